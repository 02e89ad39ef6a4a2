"""Two connections joined back to back, and what tests need around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from settee.blip import Connection, Reply, ReplyPart, Request, StreamSent, StreamWanted
from settee.blip.codec import Decoder, Encoder
from settee.blip.frame import CHECKSUM_BYTES, ERR, TYPE_MASK, read_header

Event = Request | Reply | ReplyPart


class Opened:
    """Takes the frames of one direction apart, the way a third party would: header and payload."""

    def __init__(self) -> None:
        self._decoder = Decoder()

    def open(self, frame: bytes) -> tuple[int, int, bytes]:
        number, flags, at = read_header(frame)
        if flags & TYPE_MASK > ERR:
            return number, flags, frame[at:]
        return number, flags, self._decoder.payload(frame, at, flags)


class Pair:
    """`a` and `b`; `pump` carries their frames until nothing moves, and keeps what came."""

    def __init__(self, *, level: int = 1) -> None:
        self.a: Final = Connection(compression_level=level)
        self.b: Final = Connection(compression_level=level)
        self.at_a: list[Event] = []
        self.at_b: list[Event] = []
        self.from_a: list[bytes] = []
        self.from_b: list[bytes] = []
        self.feed: dict[tuple[str, int], Callable[[int], tuple[bytes, bool]]] = {}
        """(side, stream) -> function that gives up to so many bytes, and whether they are last."""
        self.sent: list[tuple[str, int]] = []
        """(side, stream) of each that has been sent."""

    def step(self, bytes_max: int = 65536) -> bool:
        """Carry one gathering of frames each way; return whether anything moved."""
        self._serve("a", self.a.events())
        self._serve("b", self.b.events())
        forth = self.a.frames_to_send(bytes_max)
        back = self.b.frames_to_send(bytes_max)
        self.from_a += forth
        self.from_b += back
        self.at_b += self.b.receive(forth)
        self.at_a += self.a.receive(back)
        return bool(forth or back)

    def pump(self, bytes_max: int = 65536) -> None:
        while self.step(bytes_max):
            pass
        assert not self.a.has_frames
        assert not self.b.has_frames

    def _serve(self, side: str, events: list[StreamWanted | StreamSent]) -> None:
        while events:
            connection = self.a if side == "a" else self.b
            for event in events:
                if isinstance(event, StreamSent):
                    self.sent.append((side, event.stream))
                    continue
                data, last = self.feed[side, event.stream](event.bytes_wanted)
                connection.stream_write(event.stream, data, last=last)
            events = connection.events()


class Script:
    """A peer that sends whatever frames a test makes up, with a right checksum unless told."""

    def __init__(self) -> None:
        self._encoder = Encoder(6)

    def frame(self, number: int, flags: int, payload: bytes) -> bytes:
        return self._encoder.frame(number, flags, payload)

    def broken(self, number: int, flags: int, payload: bytes) -> bytes:
        """The next frame with one bit of its checksum turned."""
        frame = bytearray(self.frame(number, flags, payload))
        frame[-CHECKSUM_BYTES] ^= 1
        return bytes(frame)
