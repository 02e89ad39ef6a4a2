"""The network between simulated peers: who reaches whom, how fast, and when not."""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import TYPE_CHECKING

from settee.errors import ConnectionFailedError
from settee.limits import CONNECT_S
from settee.net.dialer import DialPlan
from settee.net.link import Link
from tests.simulation.loop import VirtualLoop
from tests.simulation.streams import Connection

if TYPE_CHECKING:
    from tests.simulation.device import Device
    from tests.simulation.plan import LinkPlan

__all__ = ["Network"]

_LEAST_S = 0.001


class Network:
    """Makes connections and lets bytes through them."""

    def __init__(self, loop: VirtualLoop, seed: int, *, tell: bool = False) -> None:
        self.loop = loop
        self.chance = random.Random(f"network {seed}")
        self.latency_s = 0.003
        self.rates: dict[str, float] = {}
        """Bytes a second that a slow peer sends and takes."""
        self.blocked: set[tuple[str, str]] = set()
        self.connections: list[Connection] = []
        self.chunks = 0
        self.talk = 0
        """Chunks that were more than a heartbeat."""
        self._count = 0
        self._tell = tell
        self._hash = hashlib.sha256()

    # --- the trace --------------------------------------------------------------------------------

    def traced(self, label: str, data: bytes) -> None:
        self.chunks += 1
        if len(data) > 12:
            self.talk += 1
        self.note(f"{label} {len(data)}", data)

    def note(self, what: str, data: bytes = b"") -> None:
        """Add to the trace what happened now."""
        line = f"{self.loop.time():.9f} {what}"
        self._hash.update(line.encode() + data)
        if self._tell:
            print(f"{line} {hashlib.sha256(data).hexdigest()[:8] if data else ''}", flush=True)

    @property
    def trace(self) -> str:
        return self._hash.hexdigest()

    # --- what streams ask -------------------------------------------------------------------------

    def delay_s(self, source: str, target: str, size: int) -> float:
        delay_s = _LEAST_S + self.chance.expovariate(1 / self.latency_s)
        rate = min(self.rates.get(source, 1e9), self.rates.get(target, 1e9))
        return delay_s + size / rate

    def is_blocked(self, source: str, target: str) -> bool:
        return (source, target) in self.blocked

    # --- what goes wrong --------------------------------------------------------------------------

    def block(self, source: str, target: str, seconds: float) -> None:
        """Let nothing through in one direction for a while; it arrives after it."""
        self.blocked.add((source, target))
        self.loop.call_later(seconds, self.unblock, source, target)

    def unblock(self, source: str, target: str) -> None:
        self.blocked.discard((source, target))
        for connection in self.connections:
            for stream in connection.streams:
                if (stream.source, stream.target) == (source, target):
                    self.loop.call_soon(stream.flow)

    def hang_up(self, name: str) -> None:
        """A process died: its kernel resets its connections, after what was sent has arrived."""
        for connection in self.open_connections():
            if name in (connection.active, connection.passive):
                mine, theirs = connection.ends
                if name == connection.passive:
                    mine, theirs = theirs, mine
                self.loop.call_soon(mine.broken, ConnectionResetError("the process died"))
                delay_s = self.delay_s(name, theirs.out.source, 0)
                self.loop.call_later(
                    delay_s, theirs.broken, ConnectionResetError("reset by the peer")
                )

    def heal(self) -> None:
        """Let everything through again, fast. What was swallowed stays so: heartbeats find out."""
        self.latency_s = 0.003
        self.rates.clear()
        for source, target in sorted(self.blocked):
            self.unblock(source, target)
        for connection in self.connections:
            for stream in connection.streams:
                stream.cut_at = None

    def open_connections(self) -> list[Connection]:
        self.connections = [each for each in self.connections if each.is_open]
        return self.connections

    # --- dialling ---------------------------------------------------------------------------------

    def dialer(self, device: Device, other: Device, link: LinkPlan):  # type: ignore[no-untyped-def]
        """Return what dials `other` from `device`, as `settee.net.dialer.dial` does."""
        incarnation = device.incarnation

        async def dial(plan: DialPlan) -> Link:
            await asyncio.sleep(self.delay_s(device.name, other.name, 0))
            ways = ((device.name, other.name), (other.name, device.name))
            if any(way in self.blocked for way in ways) or other.is_dark:
                await asyncio.sleep(CONNECT_S)
                raise ConnectionFailedError("no answer", domain="Network", code=3)
            if incarnation.dead or other.passive is None or not other.listening:
                raise ConnectionFailedError("nobody listens", domain="Network", code=19)
            self._count += 1
            connection = Connection(
                self,
                self.loop,
                self._count,
                device.name,
                other.name,
                reads=(device.runtime.reads, other.runtime.reads),
                random_bytes=device.clock.random_bytes,
                subprotocol=f"BLIP_3+CBMobile_{link.level}",
                product="settee/sim",
            )
            mine, theirs = incarnation, other.incarnation
            connection.ends[0].muted = lambda: mine.dead
            connection.ends[1].muted = lambda: theirs.dead
            self.connections.append(connection)
            self.note(f"{self._count} opened {device.name}>{other.name}")
            driver = other.passive.accept(connection.theirs, None)
            connection.theirs.attach(driver)
            return connection.mine

        return dial
