"""Finding peers on the local network: the blocking face of discovery."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Final, final

from settee.clock import SystemClock, ThreadWorkers
from settee.errors import ClosedError
from settee.net.discovery import SERVICE_TYPE, PeerEvent, PeerFound, PeerGone
from settee.net.discovery import Browser as Finder
from settee.net.multicast import Network
from settee.peer.listener import URLEndpointListener
from settee.peer.runtime import Runtime

__all__ = ["Browser", "PeerEvent", "PeerFound", "PeerGone", "browse"]


def browse(
    service_type: str = SERVICE_TYPE,
    *,
    interfaces: Sequence[str] | None = None,
    own: Sequence[URLEndpointListener] = (),
) -> Browser:
    """Look for listeners on the local network; use the result in a ``with``.

    Args:
        service_type: DNS-SD type to look for.
        interfaces: Addresses of the interfaces to look on, such as ``["127.0.0.1"]``; None means
            all but loopback, or loopback where there is nothing else.
        own: Listeners of this program, which are left out.

    Raises:
        ConfigError: The service type can't be one.
    """
    return Browser(service_type, interfaces=interfaces, own=own)


@final
class Browser:
    """Lists peers that announce themselves. An iterator of `PeerFound` and `PeerGone`.

    What is found is a hint: only the certificate of a peer says who it is.
    """

    def __init__(
        self,
        service_type: str = SERVICE_TYPE,
        *,
        interfaces: Sequence[str] | None = None,
        own: Sequence[URLEndpointListener] = (),
    ) -> None:
        self._events: Final[SimpleQueue[PeerEvent | None]] = SimpleQueue()
        self._listeners: list[Callable[[PeerEvent], object]] = []
        self._runtime: Final = Runtime(SystemClock(), ThreadWorkers())
        self._network: Final = Network(interfaces)
        self._service_type: Final = service_type
        self._own: Final = tuple(own)
        self._finder: Finder | None = None
        self._closed = False

    def __enter__(self) -> Browser:
        self._runtime.wait(self._start())
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def _start(self) -> None:
        self._finder = Finder(
            self._network, self._heard, is_own=self._is_own, service_type=self._service_type
        )
        self._finder.start()

    async def _stop(self) -> None:
        if self._finder is not None:
            await self._finder.stop()
        await self._network.close()

    def _is_own(self, host: str) -> bool:
        return any(host in listener._peer.discovery_hosts for listener in self._own)

    def _heard(self, event: PeerEvent) -> None:
        self._events.put(event)
        for listener in list(self._listeners):
            self._runtime.callback(listener, event)

    @property
    def peers(self) -> list[PeerFound]:
        """Who is there now, by name."""
        finder = self._finder
        return [] if finder is None else finder.peers

    def on_event(self, callback: Callable[[PeerEvent], object]) -> Callable[[], None]:
        """Call back for each peer found or gone; returns a function that ends it."""
        self._listeners.append(callback)

        def unlisten() -> None:
            if callback in self._listeners:
                self._listeners.remove(callback)

        return unlisten

    def next(self, timeout: float | None = None) -> PeerEvent | None:
        """Return the next event; None if there is none in time (seconds), or when closed."""
        if self._closed and self._events.empty():
            return None
        if self._finder is None and not self._closed:
            raise ClosedError("nothing is being looked for yet: use the browser in a with")
        try:
            return self._events.get(timeout=timeout)
        except Empty:
            return None

    def __iter__(self) -> Iterator[PeerEvent]:
        """Yield events as they come, until the browser is closed."""
        while True:
            event = self.next()
            if event is None:
                return
            yield event

    def wait_for(
        self, wanted: Callable[[PeerFound], bool], timeout: float | None = None
    ) -> PeerFound | None:
        """Return the first peer that `wanted` says yes to; None if there is none in time."""
        clock = self._runtime.clock
        end_s = None if timeout is None else clock.monotonic() + timeout
        for peer in self.peers:
            if wanted(peer):
                return peer
        while True:
            left_s = None if end_s is None else end_s - clock.monotonic()
            if left_s is not None and left_s <= 0:
                return None
            event = self.next(left_s)
            if event is None:
                return None
            if isinstance(event, PeerFound) and wanted(event):
                return event

    def close(self) -> None:
        """Stop looking. Idempotent."""
        if self._closed:
            return
        self._closed = True
        try:
            self._runtime.wait(self._stop())
        except ClosedError:
            return
        finally:
            self._runtime.close()
            self._events.put(None)
