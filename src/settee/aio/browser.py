"""Finding peers, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, final

from settee.aio.driver import wait
from settee.aio.listener import URLEndpointListener
from settee.errors import ClosedError
from settee.net.discovery import SERVICE_TYPE
from settee.peer import Browser as Blocking
from settee.peer import PeerEvent, PeerFound

__all__ = ["Browser", "browse"]


def browse(
    service_type: str = SERVICE_TYPE,
    *,
    interfaces: Sequence[str] | None = None,
    own: Sequence[URLEndpointListener] = (),
) -> Browser:
    """Look for listeners on the local network; use the result in a ``with``."""
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
        self._blocking: Final = Blocking(
            service_type, interfaces=interfaces, own=[one._blocking for one in own]
        )
        self._events: asyncio.Queue[PeerEvent | None] | None = None
        self._closed = False

    async def __aenter__(self) -> Browser:
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[PeerEvent | None] = asyncio.Queue()
        self._events = events

        def heard(event: PeerEvent) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(events.put_nowait, event)

        self._blocking.on_event(heard)
        await wait(self._blocking._runtime.submit(self._blocking._start()))
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def peers(self) -> list[PeerFound]:
        """Who is there now, by name."""
        return self._blocking.peers

    def on_event(self, callback: Callable[[PeerEvent], object]) -> Callable[[], None]:
        """Call back for each peer found or gone; returns a function that ends it."""
        return self._blocking.on_event(callback)

    async def next(self, timeout: float | None = None) -> PeerEvent | None:
        """Return the next event; None if there is none in time (seconds), or when closed."""
        if self._events is None:
            if self._closed:
                return None
            raise ClosedError("nothing is being looked for yet: use the browser in an async with")
        if self._closed and self._events.empty():
            return None
        try:
            return await asyncio.wait_for(self._events.get(), timeout)
        except TimeoutError:
            return None

    async def __aiter__(self) -> AsyncIterator[PeerEvent]:
        while (event := await self.next()) is not None:
            yield event

    async def wait_for(
        self, wanted: Callable[[PeerFound], bool], timeout: float | None = None
    ) -> PeerFound | None:
        """Return the first peer that `wanted` says yes to; None if there is none in time."""

        async def look() -> PeerFound | None:
            for peer in self.peers:
                if wanted(peer):
                    return peer
            async for event in self:
                if isinstance(event, PeerFound) and wanted(event):
                    return event
            return None

        try:
            return await asyncio.wait_for(look(), timeout)
        except TimeoutError:
            return None

    async def close(self) -> None:
        """Stop looking. Idempotent."""
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._blocking.close)
        if self._events is not None:
            self._events.put_nowait(None)
