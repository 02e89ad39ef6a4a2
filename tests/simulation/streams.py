"""Simulated TCP: ordered bytes between two transports, late, slow, stalled or cut.

The real `Wire` and `SocketLink` sit on these transports, so WebSocket framing, heartbeats, closing
and back-pressure are those of production.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from settee.net.link import PeerInfo, SocketLink
from settee.net.wire import ReadBuffer, Wire
from tests.simulation.loop import VirtualLoop

__all__ = ["Connection", "Stream", "Transport"]

_EOF: Final = b""
_HIGH: Final = 256 * 1024


class Stream:
    """One direction of a connection."""

    def __init__(self, connection: Connection, label: str, source: str, target: str) -> None:
        self.connection = connection
        self.label = label
        self.source, self.target = source, target
        self.sender: Transport
        self.receiver: Transport
        self.cut_at: int | None = None
        """The connection breaks when so many bytes have arrived."""
        self.dead: bool = False
        """Nothing arrives any more, and nobody is told: a black hole."""
        self.arrived_bytes = 0
        self._queue: deque[bytes] = deque()
        self.waiting_bytes = 0
        self._due = 0  # Chunks whose time has come.
        self._last_s = 0.0

    def push(self, data: bytes) -> None:
        network, loop = self.connection.network, self.connection.loop
        self._queue.append(data)
        self.waiting_bytes += len(data)
        delay_s = network.delay_s(self.source, self.target, len(data))
        self._last_s = max(self._last_s, loop.time()) + delay_s
        loop.call_at(self._last_s, self._ripe)

    def _ripe(self) -> None:
        self._due += 1
        self.flow()

    def flow(self) -> None:
        """Deliver what is due, unless something holds it up."""
        connection = self.connection
        while self._due and self._queue:
            if self.dead or connection.network.is_blocked(self.source, self.target):
                return
            receiver = self.receiver
            if not receiver.reading and not receiver.lost:
                return
            self._due -= 1
            data = self._queue.popleft()
            self.waiting_bytes -= len(data)
            if self.cut_at is not None and self.arrived_bytes + len(data) >= self.cut_at:
                data = data[: max(0, self.cut_at - self.arrived_bytes)]
                self._deliver(data)
                connection.cut()
                return
            if data == _EOF:
                receiver.ended()
            else:
                self._deliver(data)
        self.sender.drained()

    def _deliver(self, data: bytes) -> None:
        if not data:
            return
        self.arrived_bytes += len(data)
        self.connection.network.traced(self.label, data)
        if self.receiver.lost:
            # Nobody is there: the kernel says so to who sent it.
            self.connection.loop.call_soon(self.sender.broken, ConnectionResetError("reset"))
        else:
            self.receiver.took(data)


class Transport(asyncio.Transport):
    """One end, as asyncio would give it to a protocol."""

    def __init__(self, loop: VirtualLoop, out: Stream, into: Stream) -> None:
        super().__init__()
        self._loop = loop
        self.out, self.into = out, into
        out.sender = into.receiver = self
        self.reading = True
        self.lost = False
        self.muted: Callable[[], bool] = lambda: False
        """Whether its process is dead: then it says nothing more."""
        self._closing = False
        self._full = False
        self._protocol: Any = None

    def use(self, protocol: asyncio.BufferedProtocol) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    # --- what the network does --------------------------------------------------------------------

    def took(self, data: bytes) -> None:
        view = memoryview(data)
        while view and not self.lost:
            buffer = self._protocol.get_buffer(-1)
            count = min(len(buffer), len(view))
            buffer[:count] = view[:count]
            self._protocol.buffer_updated(count)
            view = view[count:]

    def drained(self) -> None:
        if self._full and self.out.waiting_bytes < _HIGH // 4 and not self.lost:
            self._full = False
            self._protocol.resume_writing()

    def ended(self) -> None:
        """The other side said that nothing more comes."""
        if not self.lost and not self._closing:
            self._protocol.eof_received()
            self.close()

    def broken(self, error: Exception | None) -> None:
        """The connection is gone."""
        if not self.lost:
            self.lost = self._closing = True
            self._protocol.connection_lost(error)

    # --- what asyncio's protocols call ------------------------------------------------------------

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.lost or self._closing or self.muted():
            return
        self.out.push(bytes(data))
        if self.out.waiting_bytes > _HIGH and not self._full:
            self._full = True
            self._protocol.pause_writing()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self.muted():
            self.out.push(_EOF)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        if not self.reading:
            self.reading = True
            self._loop.call_soon(self.into.flow)

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        if not self.muted():
            self.out.push(_EOF)
        self._loop.call_soon(self.broken, None)

    def abort(self) -> None:
        if self.lost:
            return
        self._closing = True
        self._loop.call_soon(self.broken, None)
        self.reset_other()

    def reset_other(self) -> None:
        """Let the other side learn, in a while, that this one is gone."""
        out = self.out
        if self.muted() or out.dead:
            return
        delay_s = out.connection.network.delay_s(out.source, out.target, 0)

        def arrive() -> None:
            if out.dead:
                return
            if out.connection.network.is_blocked(out.source, out.target):
                self._loop.call_later(1.0, arrive)
            else:
                out.receiver.broken(ConnectionResetError("reset by the peer"))

        self._loop.call_later(delay_s, arrive)


class _Opening:
    """Uses a wire until its link does."""

    def connected(self) -> None:
        pass

    def received(self, data: bytes) -> None:
        raise AssertionError("bytes came before the link was made")

    def drained(self) -> None:
        pass

    def ended(self, error: Exception | None) -> None:
        pass


class Connection:
    """Both directions between an active and a passive peer, and the links at their ends."""

    def __init__(
        self,
        network: Any,
        loop: VirtualLoop,
        number: int,
        active: str,
        passive: str,
        *,
        reads: tuple[ReadBuffer, ReadBuffer],
        random_bytes: Callable[[int], bytes],
        subprotocol: str,
        product: str,
    ) -> None:
        self.network, self.loop, self.number = network, loop, number
        self.active, self.passive = active, passive
        there = Stream(self, f"{number}>", active, passive)
        back = Stream(self, f"{number}<", passive, active)
        self.streams = (there, back)
        self.ends = (Transport(loop, there, back), Transport(loop, back, there))
        wires = tuple(Wire(buffer, _Opening()) for buffer in reads)
        for end, wire in zip(self.ends, wires, strict=True):
            end.use(wire)
        self.mine = SocketLink(
            wires[0],
            server=False,
            peer=PeerInfo(
                address="192.0.2.1",
                port=4984,
                user_agent=product,
                subprotocol=subprotocol,
                certificate_der=passive.encode(),
            ),
            random_bytes=random_bytes,
        )
        self.theirs = SocketLink(
            wires[1],
            server=True,
            peer=PeerInfo(
                address="192.0.2.2", port=5000, user_agent=product, subprotocol=subprotocol
            ),
            random_bytes=random_bytes,
        )

    @property
    def is_open(self) -> bool:
        return not (self.ends[0].lost and self.ends[1].lost)

    def cut(self) -> None:
        """Break it: what is under way is lost, both sides learn at once."""
        for stream in self.streams:
            stream.dead = True
        for end in self.ends:
            self.loop.call_soon(end.broken, ConnectionResetError("cut"))

    def swallow(self) -> None:
        """Let nothing through any more, and tell nobody."""
        for stream in self.streams:
            stream.dead = True
