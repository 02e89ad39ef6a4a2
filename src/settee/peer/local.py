"""Two databases of one program replicate without a network: a pair of links in memory.

Each database has a loop of its own; frames cross from one to the other in the order in which they
were sent. What is under way is bounded, as on a socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Final

from settee.db.database import Database
from settee.errors import ConfigError, ConnectionFailedError, PeerError, SyncError
from settee.limits import CLOSE_WAIT_S, WRITE_BUFFER_BYTES_MAX
from settee.logs import printable, room_log
from settee.net.dialer import DialPlan
from settee.net.link import CloseInfo, Link, LinkEvents, PeerInfo
from settee.peer.attach import runtime_of
from settee.peer.passive import ListenerOptions, PassivePeer
from settee.peer.runtime import Runtime
from settee.peer.versions import PRODUCT, SUBPROTOCOLS

if TYPE_CHECKING:
    from settee.peer.driver import SessionDriver

__all__ = ["LocalDialer", "MemoryLink", "dialer_for", "link_pair"]

_log: Final = room_log("peer")

_NORMAL: Final = frozenset({1000, 1001, 1005})
_TRY_AGAIN: Final = 4001
_LOST: Final = 1006
_OUR_BUG: Final = 1011


class MemoryLink:
    """One end of a connection inside this program; a `Link`. To be used on its own loop only."""

    def __init__(self, runtime: Runtime, peer: PeerInfo) -> None:
        self._runtime: Final = runtime
        self._peer: Final = peer
        self._other: MemoryLink | None = None
        self._events: LinkEvents | None = None
        self._waiting: list[tuple[list[bytes], int]] = []
        """What came while nobody was attached or reading was paused."""
        self._paused = False
        self._under_way_bytes = 0
        """Sent, and not yet taken by the other end."""
        self._was_full = False
        self._info: CloseInfo | None = None
        """How it ends, once that is known; nothing is sent from then on."""
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None

    # --- what its user calls ----------------------------------------------------------------------

    @property
    def peer(self) -> PeerInfo:
        """Who is at the other end."""
        return self._peer

    @property
    def writable(self) -> bool:
        """Whether more should be sent now; when false, `on_writable` will be called."""
        if self._info is not None:
            return False
        if self._under_way_bytes >= WRITE_BUFFER_BYTES_MAX:
            self._was_full = True
            return False
        return True

    @property
    def last_heard_s(self) -> float:
        """Always 0: the other end can't go away unnoticed."""
        return 0.0

    def attach(self, events: LinkEvents) -> None:
        """Say once who uses the link; what came before is delivered now."""
        assert self._events is None, "a link has one user"
        self._events = events
        self._deliver_waiting()
        if self._closed:
            self._tell_closed()

    def send(self, frames: Iterable[bytes]) -> None:
        """Send frames in order; without effect once the link is closing."""
        if self._info is not None:
            return
        batch = [bytes(frame) for frame in frames]
        size = sum(map(len, batch))
        self._under_way_bytes += size
        self._at_other(MemoryLink._arrived, batch, size)

    def pause(self) -> None:
        """Take no more from the other end until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        self._paused = False
        self._deliver_waiting()

    def ping(self) -> None:
        """Do nothing: the other end can't go away unnoticed."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye with a code, wait for the answer, end. Idempotent."""
        if self._info is not None:
            return
        self._info = CloseInfo(code=code, reason=reason)
        self._at_other(MemoryLink._goodbye, code, reason)
        self._timer = self._runtime.loop.call_later(CLOSE_WAIT_S, self._end)

    def abort(self) -> None:
        """End at once, without a word: to the other end the connection is lost."""
        if self._closed:
            return
        if self._info is None:
            self._info = CloseInfo(code=_LOST, reason="aborted here")
        self._at_other(MemoryLink._lost)
        self._runtime.loop.call_soon(self._end)

    # --- what the other end calls, on this one's loop ---------------------------------------------

    def _arrived(self, batch: list[bytes], size: int) -> None:
        if self._info is not None:
            return
        self._waiting.append((batch, size))
        self._deliver_waiting()

    def _taken(self, size: int) -> None:
        self._under_way_bytes -= size
        if self._was_full and self.writable:
            self._was_full = False
            if self._events is not None:
                self._events.on_writable()

    def _goodbye(self, code: int, reason: str) -> None:
        if self._info is None:
            said = printable(reason)
            error: SyncError | None = None
            if code not in _NORMAL:
                error = PeerError(
                    f"the other database closed the connection with code {code}"
                    + (f": {said}" if said else ""),
                    domain="WebSocket",
                    code=code,
                    transient=code == _TRY_AGAIN,
                )
            self._info = CloseInfo(code=code, reason=said, clean=True, error=error, by_peer=True)
            self._at_other(MemoryLink._answered)
            self._end()
        else:
            self._answered()  # Both said it at once.

    def _answered(self) -> None:
        assert self._info is not None, "only what was said is answered"
        if not self._closed:
            self._info = CloseInfo(code=self._info.code, reason=self._info.reason, clean=True)
            self._end()

    def _lost(self) -> None:
        if self._info is None:
            error = ConnectionFailedError(
                "the connection to the other database was lost", domain="WebSocket", code=_LOST
            )
            self._info = CloseInfo(code=_LOST, error=error, by_peer=True)
        self._end()

    # --- inside -----------------------------------------------------------------------------------

    def _at_other(self, method: Callable[..., None], *args: object) -> None:
        other = self._other
        assert other is not None, "links are made in pairs"
        other._runtime.call(method, other, *args)

    def _deliver_waiting(self) -> None:
        while self._waiting and self._events is not None and not self._paused:
            batch, size = self._waiting.pop(0)
            try:
                self._events.on_frames(batch)
            except Exception:
                _log.exception("the user of a link in memory raised an error")
                self.close(_OUR_BUG, "internal error")
                return
            self._at_other(MemoryLink._taken, size)

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._events is not None:
            self._tell_closed()

    def _tell_closed(self) -> None:
        assert self._events is not None
        assert self._info is not None
        self._events.on_closed(self._info)


def link_pair(
    active: Runtime, passive: Runtime, *, user_agent: str = PRODUCT
) -> tuple[MemoryLink, MemoryLink]:
    """Return the two ends of a new connection, each for its own runtime's loop."""
    subprotocol = SUBPROTOCOLS[0]
    ends = (
        MemoryLink(
            active, PeerInfo(address="local", port=0, user_agent=PRODUCT, subprotocol=subprotocol)
        ),
        MemoryLink(
            passive,
            PeerInfo(address="local", port=0, user_agent=user_agent, subprotocol=subprotocol),
        ),
    )
    ends[0]._other, ends[1]._other = ends[1], ends[0]
    return ends


class LocalDialer:
    """Connects a replicator with another database of this program, instead of dialling."""

    def __init__(self, runtime: Runtime, other: Database) -> None:
        self._runtime: Final = runtime
        self._other: Final = other
        self._others: Final = runtime_of(other)

    async def __call__(self, plan: DialPlan) -> Link:
        """Return a link to a session of the other database; raises ClosedError if it is closed."""
        mine, theirs = link_pair(self._runtime, self._others, user_agent=plan.user_agent)
        await asyncio.wrap_future(self._others.submit(self._accept(theirs)))
        return mine

    async def _accept(self, link: MemoryLink) -> None:
        """Serve the link; on the other database's loop."""
        other, runtime = self._other, self._others
        served = tuple(row.name for row in other._store.collections())
        passive = PassivePeer(other, ListenerOptions(path="local", collections=served), runtime)
        driver = passive.accept(link, None)
        link.attach(driver)

        def closing() -> None:
            runtime.wait(_end(driver))

        unregister = other._on_close(closing)

        async def until_done() -> None:
            await driver.done.wait()
            unregister()

        runtime.spawn(until_done())


async def _end(driver: SessionDriver) -> None:
    driver.end(1001, "the other database was closed")
    try:
        await asyncio.wait_for(driver.done.wait(), CLOSE_WAIT_S + 1)
    except TimeoutError:
        driver.link.abort()


def dialer_for(db: Database, target: object) -> Callable[[DialPlan], Awaitable[Link]] | None:
    """Return how `db` connects to a target that is a database; None for any other target."""
    if not isinstance(target, Database):
        return None
    if target.path == db.path:
        raise ConfigError("target", f"is the database {db.name!r} itself")
    return LocalDialer(runtime_of(db), target)
