"""Links between simulated peers: ordered, late, and cut when the world says so."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable

from settee.errors import ConnectionFailedError
from settee.net.link import CloseInfo, LinkEvents, PeerInfo
from tests.simulation.loop import VirtualLoop


class SimLink:
    """One end of a connection; implements `settee.net.link.Link`."""

    def __init__(self, loop: VirtualLoop, chance: random.Random, peer: PeerInfo) -> None:
        self.peer = peer
        self.other: SimLink | None = None
        self.on_frame: Callable[[bytes], None] = lambda _: None
        self._loop = loop
        self._chance = chance
        self._events: LinkEvents | None = None
        self._early: list[list[bytes]] = []
        self._early_close: CloseInfo | None = None
        self._closed = False
        self._paused = False
        self._held: list[list[bytes]] = []
        self._last_arrival_s = 0.0
        self._under_way: deque[tuple[Callable[..., None], tuple[object, ...]]] = deque()

    # --- what the owner calls ---

    def attach(self, events: LinkEvents) -> None:
        self._events = events
        early, self._early = self._early, []
        for frames in early:
            events.on_frames(frames)
        if self._early_close is not None:
            events.on_closed(self._early_close)

    def send(self, frames: Iterable[bytes]) -> None:
        if self._closed:
            return
        batch = [bytes(f) for f in frames]
        for frame in batch:
            self.on_frame(frame)
        other = self.other
        assert other is not None
        self._later(other._arrived, batch)

    @property
    def writable(self) -> bool:
        return not self._closed

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        held, self._held = self._held, []
        for frames in held:
            self._arrived(frames)

    def ping(self) -> None:
        pass

    @property
    def last_heard_s(self) -> float:
        return 0.0

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self._closed:
            return
        other = self.other
        assert other is not None
        self._closed = True
        self._later(other._ended, CloseInfo(code=code, reason=reason, clean=True, by_peer=True))
        self._later(self._tell_closed, CloseInfo(code=code, reason=reason, clean=True))

    def abort(self) -> None:
        if not self._closed:
            self.cut()

    # --- what the world does ---

    def cut(self) -> None:
        """Break the connection: what is under way is lost on both sides."""
        for end in (self, self.other):
            assert end is not None
            if not end._closed:
                end._closed = True
                error = ConnectionFailedError("cut", domain="WebSocket", code=1006)
                end._tell_closed(CloseInfo(code=1006, error=error, by_peer=True))

    def _later(self, call: Callable[..., None], *args: object) -> None:
        delay_s = self._chance.expovariate(1 / 0.003)
        self._last_arrival_s = max(self._last_arrival_s, self._loop.time() + delay_s)
        # Timers of the same moment fire in no order: what is under way has a queue of its own.
        self._under_way.append((call, args))
        self._loop.call_at(self._last_arrival_s, self._next)

    def _next(self) -> None:
        call, args = self._under_way.popleft()
        call(*args)

    def _arrived(self, frames: list[bytes]) -> None:
        if self._closed:
            return
        if self._paused:
            self._held.append(frames)
        elif self._events is None:
            self._early.append(frames)
        else:
            self._events.on_frames(frames)

    def _ended(self, info: CloseInfo) -> None:
        if not self._closed:
            self._closed = True
            self._tell_closed(info)

    def _tell_closed(self, info: CloseInfo) -> None:
        if self._events is None:
            self._early_close = info
        else:
            self._events.on_closed(info)


def link_pair(
    loop: VirtualLoop,
    seed: str,
    *,
    user_agent: str,
    server: str,
    certificate_der: bytes | None = None,
    subprotocol: str = "BLIP_3+CBMobile_3",
) -> tuple[SimLink, SimLink]:
    """Return the active and the passive end of a new connection."""
    chance = random.Random(seed)
    active = SimLink(
        loop,
        chance,
        PeerInfo(
            address="192.0.2.1",
            port=4984,
            user_agent=server,
            subprotocol=subprotocol,
            certificate_der=certificate_der,
        ),
    )
    passive = SimLink(
        loop,
        chance,
        PeerInfo(address="192.0.2.2", port=5000, user_agent=user_agent, subprotocol=subprotocol),
    )
    active.other, passive.other = passive, active
    return active, passive
