"""What goes out next: numbering, taking turns, urgency, the window.

Room: pure message layer.
Touches: settee.blip.codec, settee.blip.frame, settee.blip.message, settee.limits.
Never touches: sockets, files, the wall clock, randomness.
Source: wire protocol 2.7, 2.8, 2.9.

Messages take turns frame by frame. Urgent ones have a queue of their own; when others wait, too, an
urgent frame and another alternate, and the others are kept short, so that a long message never
holds up an urgent one and a flood of urgent ones never stops the rest.

Streamed bodies have a queue of their own, too. Whatever their number, they and the other messages
get the same share of the link, _TURN_BYTES in turn. Among them a turn is long enough for a small
body to go out whole: of one that was begun and not ended nothing is left when a connection breaks,
and what comes in a row its receiver writes as one.

A message is in a queue exactly while it has a frame that may go: one whose window is full waits for
an ACK, a streamed one whose buffer is too empty waits for its owner.

A request gets its number when its first frame is made: so the numbers on the wire rise without gaps
whatever overtook what.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from settee.blip.codec import Encoder
from settee.blip.frame import (
    ACK_MSG,
    ACK_RPY,
    COMPRESSED,
    ERR,
    MORE_COMING,
    MSG,
    NO_REPLY,
    RPY,
    TYPE_MASK,
    URGENT,
    ack_frame,
    put_header,
)
from settee.blip.message import StreamSent, StreamWanted
from settee.limits import (
    BLOB_CHUNK_BYTES,
    FRAME_BYTES_LONG_MAX,
    FRAME_BYTES_MAX,
    UNACKED_BYTES_MAX,
    WRITE_BYTES_MAX,
)

__all__ = ["STREAM_BUFFER_BYTES_MAX", "Outbox", "Outgoing", "OutgoingStream"]

_OVERHEAD_BYTES: Final = 16
"""At most 10 + 1 bytes of header and 4 of checksum."""

_SHORT_BYTES: Final = 4096 * 7 // 8
"""Payload of a normal frame while an urgent message waits: a frame of at most 4096 bytes."""

_TURN_BYTES: Final = WRITE_BYTES_MAX
"""What streamed bodies send while other messages wait, and the other way round."""

STREAM_BUFFER_BYTES_MAX: Final = 2 * BLOB_CHUNK_BYTES
_STREAM_BUFFER_BYTES_LOW: Final = STREAM_BUFFER_BYTES_MAX - FRAME_BYTES_LONG_MAX + _OVERHEAD_BYTES
"""A stream's owner is asked for more when its buffer falls to this: after one long frame, so that
the next can go out while more is read."""

_EMPTY: Final = b"\x00"
"""The payload of a message without properties and body."""

_REPLY_UPKEEP_BYTES: Final = 256
"""What a reply costs in memory beside its payload."""

_EMPTY_REPLY_BYTES: Final = 40
"""What an empty reply costs: a number in a queue."""


NewRequest = tuple[int, bytes, object]
"""Flags, payload and token of a request of which nothing has gone out."""


class Outgoing:
    """A message on its way out."""

    __slots__ = (
        "acked_bytes",
        "flags",
        "number",
        "payload",
        "position",
        "queued",
        "sent_bytes",
        "stream_reply",
        "token",
    )

    def __init__(
        self,
        flags: int,
        number: int,
        payload: bytes,
        token: object = None,
        stream_reply: bool = False,
    ) -> None:
        self.flags: int = flags
        """Type, Urgent and NoReply; Compressed if it may be."""
        self.number: int = number
        """0 for a request that has not begun."""
        self.payload: bytes = payload
        self.position: int = 0
        """Payload bytes already sent."""
        self.token: object = token
        self.stream_reply: bool = stream_reply
        self.queued: bool = True
        self.sent_bytes: int = 0
        """Of its frames behind their headers, checksums included: what ACKs count."""
        self.acked_bytes: int = 0

    def ready(self) -> bool:
        """Tell whether a frame of it may go out."""
        return self.sent_bytes - self.acked_bytes < UNACKED_BYTES_MAX

    def room(self, bytes_max: int) -> int:
        """Return how many bytes its next frame would carry if `bytes_max` are allowed."""
        return min(len(self.payload) - self.position, bytes_max)

    def take(self, count: int) -> tuple[bytes | memoryview, bool]:
        """Return the next `count` bytes of payload, and whether they are the last."""
        start = self.position
        self.position = end = start + count
        return memoryview(self.payload)[start:end], end == len(self.payload)


class OutgoingStream(Outgoing):
    """A reply whose body is written piece by piece; never more than its buffer is in memory."""

    __slots__ = ("asked", "buffer", "closed", "handle", "turn_bytes", "whole_bytes")

    flags: int
    position: int

    def __init__(
        self, flags: int, number: int, head: bytes, last: bool, handle: int, whole_bytes: int
    ) -> None:
        super().__init__(flags, number, b"")
        self.buffer: bytearray = bytearray(head)
        self.closed: bool = last
        """Whether the last piece has been written."""
        self.turn_bytes: int = 0
        """Sent since others had their turn."""
        self.whole_bytes: Final = whole_bytes
        """What it waits for before it makes a frame that is not the last."""
        self.asked: bool = False
        """Whether its owner was asked for more and has not written since."""
        self.handle: Final = handle
        self.queued = False

    def ready(self) -> bool:
        """Tell whether it holds a whole frame or its end, and its window is open."""
        return (self.closed or len(self.buffer) >= self.whole_bytes) and super().ready()

    def room(self, bytes_max: int) -> int:
        """Return how many bytes its next frame would carry if `bytes_max` are allowed."""
        return min(len(self.buffer), bytes_max)

    def take(self, count: int) -> tuple[bytes | memoryview, bool]:
        """Remove the next `count` bytes from the buffer; tell whether they are the last."""
        data = bytes(memoryview(self.buffer)[:count])
        del self.buffer[:count]
        self.position += count
        return data, self.closed and not self.buffer

    def fail(self, payload: bytes) -> None:
        """Turn it into an ERR with that payload; nothing may have gone out yet."""
        assert self.position == 0, "an ERR can't follow what went out as RPY"
        self.flags = self.flags & URGENT | ERR
        self.buffer = bytearray(payload)
        self.closed = True


Queued = Outgoing | NewRequest | int
"""What waits in a queue. Nearly all that is sent is new requests, each gone with its first frame,
and empty replies, which a plain integer stands for: the number of the request."""


class Outbox:
    """The outgoing half of a connection."""

    __slots__ = (
        "_acks",
        "_deflated_bytes",
        "_encode",
        "_normal",
        "_normal_turn",
        "_plain_bytes",
        "_sending",
        "_streamed",
        "_streams",
        "_streams_begun_count",
        "_streams_turn",
        "_turn_left_bytes",
        "_urgent",
        "acks_idle",
        "awaited",
        "awaited_streams",
        "events",
        "frames_made",
        "replies_bytes",
        "requests_begun_count",
        "stopped",
        "stream_tokens",
        "streams_bytes",
        "unanswered_count",
    )

    def __init__(self, compression_level: int, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._plain_bytes: Final = frame_bytes_max - _OVERHEAD_BYTES
        self._deflated_bytes: Final = frame_bytes_max * 7 // 8
        """Payload that goes into a compressed frame: a deflate that finds nothing to save may need
        9 bits for a byte (fixed codes, as the quick level of zlib-ng has), and no frame may grow
        too long."""
        self._encode: Final = Encoder(compression_level).frame
        self._acks: dict[tuple[int, int], int] = {}
        """(number, flags) -> bytes taken of an incoming message; only the newest count matters."""
        self._urgent: deque[Queued] = deque()
        self._normal: deque[Queued] = deque()
        self._streamed: deque[Queued] = deque()
        """Streams that have a frame to send."""
        self._normal_turn = False
        """Whether the last frame was urgent."""
        self._streams_turn = False
        self._turn_left_bytes = _TURN_BYTES
        self._sending: dict[tuple[int, bool], Outgoing] = {}
        """(number, is a request) -> message of which some frames are sent, for its ACKs."""
        self._streams: dict[int, OutgoingStream] = {}
        self._streams_begun_count = 0
        self.acks_idle: int = 0
        """ACKs that said nothing new."""
        self.frames_made: int = 0
        self.replies_bytes: int = 0
        """Of replies that are queued, or sent in part; of streamed ones the end is not here yet."""
        self.streams_bytes: int = 0
        """Of streamed bodies, in their buffers."""
        self.requests_begun_count: int = 0
        """The number of the latest request of which a frame was made."""
        self.awaited: dict[int, object] = {}
        """Number -> token of each request that is wholly sent and not answered."""
        self.awaited_streams: dict[int, object] = {}
        """The same for requests whose reply is to be streamed."""
        self.stream_tokens: set[object] = set()
        """Of requests whose reply is to be streamed, from being queued to the end of the reply."""
        self.unanswered_count: int = 0
        """Requests queued or sent, without a complete answer."""
        self.events: list[StreamWanted | StreamSent] = []
        self.stopped: bool = False
        """Nothing goes out any more."""

    @property
    def has_frames(self) -> bool:
        """Whether `frames` would return something."""
        waiting = self._urgent or self._normal or self._streamed or self._acks
        return bool(waiting) and not self.stopped

    def put(self, message: Outgoing) -> None:
        """Queue a message behind those of its kind."""
        if message.flags & URGENT:
            self._urgent.append(message)
        elif isinstance(message, OutgoingStream):
            self._streamed.append(message)
        else:
            self._normal.append(message)

    def put_requests(self, requests: list[NewRequest]) -> None:
        """Queue requests that are not urgent and wait for an answer each."""
        self.unanswered_count += len(requests)
        self._normal.extend(requests)

    def put_reply(self, message: Outgoing) -> None:
        """Queue the answer to a request of the peer's."""
        self.replies_bytes += len(message.payload) + _REPLY_UPKEEP_BYTES
        self.put(message)

    def put_empty_replies(self, numbers: list[int]) -> None:
        """Queue empty replies, none of them urgent."""
        self.replies_bytes += _EMPTY_REPLY_BYTES * len(numbers)
        self._normal.extend(numbers)

    def put_ack(self, number: int, to_request: bool, count: int) -> None:
        """Queue an ACK of `count` bytes in all. ACKs go out before anything else."""
        kind = ACK_MSG if to_request else ACK_RPY
        self._acks[number, kind | URGENT | NO_REPLY] = count

    def acknowledged(self, number: int, of_request: bool, count: int) -> None:
        """The peer has taken `count` bytes of a message of ours.

        A count that fell, or one for no message on its way, is ignored; one beyond what was sent
        counts as all of it.
        """
        message = self._sending.get((number, of_request))
        if message is None or count <= message.acked_bytes:
            self.acks_idle += 1
            return
        message.acked_bytes = min(count, message.sent_bytes)
        self._wake(message)

    # --- streams ----------------------------------------------------------------------------------

    def open_stream(self, flags: int, number: int, head: bytes, last: bool) -> int:
        """Begin a streamed reply and return its handle."""
        self._streams_begun_count = handle = self._streams_begun_count + 1
        self._streams[handle] = stream = OutgoingStream(
            flags, number, head, last, handle, self._plain_bytes
        )
        self.streams_bytes += len(head)
        self._ask(stream)
        self._wake(stream)
        return handle

    def write(self, handle: int, data: bytes, last: bool) -> None:
        """Append to a stream's buffer."""
        stream = self._stream(handle)
        stream.buffer += data
        self.streams_bytes += len(data)
        stream.closed = last
        stream.asked = False
        self._ask(stream)
        self._wake(stream)

    def fail_stream(self, handle: int, payload: bytes) -> bool:
        """Send an ERR instead of the stream if nothing went out yet; return whether that was so."""
        stream = self._stream(handle)
        if stream.position:
            return False
        self.streams_bytes += len(payload) - len(stream.buffer)
        stream.fail(payload)
        self._wake(stream)
        return True

    def _stream(self, handle: int) -> OutgoingStream:
        stream = self._streams.get(handle)
        assert stream is not None, f"there is no stream {handle}, or it has ended"
        assert not stream.closed, f"the last of stream {handle} has been written"
        return stream

    def _ask(self, stream: OutgoingStream) -> None:
        held = len(stream.buffer)
        if not stream.closed and not stream.asked and held <= _STREAM_BUFFER_BYTES_LOW:
            stream.asked = True
            self.events.append(StreamWanted(stream.handle, STREAM_BUFFER_BYTES_MAX - held))

    def _wake(self, message: Outgoing) -> None:
        if not message.queued and message.ready():
            message.queued = True
            self.put(message)

    # --- frames -----------------------------------------------------------------------------------

    def frames(self, bytes_max: int) -> list[bytes]:
        """Return the next frames, together at most `bytes_max` bytes, but at least one if any."""
        if self.stopped:
            return []
        encode, urgent, normal, streamed = self._encode, self._urgent, self._normal, self._streamed
        frames = [ack_frame(number, flags, count) for (number, flags), count in self._acks.items()]
        self._acks.clear()
        left = bytes_max - sum(map(len, frames))
        while urgent or normal or streamed:
            if not (urgent or streamed or self._streams_turn):
                left = self._add_whole(frames, left)
                if not normal:
                    break
            from_urgent = bool(urgent) and not (self._normal_turn and (normal or streamed))
            queue = urgent if from_urgent else self._whose_turn()
            message = queue[0]
            if isinstance(message, int):
                if left < _OVERHEAD_BYTES and frames:
                    break
                del queue[0]
                self.replies_bytes -= _EMPTY_REPLY_BYTES
                frame = encode(message, RPY, _EMPTY)
            else:
                if isinstance(message, tuple):
                    flags, payload, token = message
                    queue[0] = message = Outgoing(flags, 0, payload, token)
                if urgent and not from_urgent:
                    carried_max = _SHORT_BYTES
                else:
                    compressed = message.flags & COMPRESSED
                    carried_max = self._deflated_bytes if compressed else self._plain_bytes
                carried = message.room(carried_max)
                if left < carried + _OVERHEAD_BYTES and frames:
                    break
                del queue[0]
                frame = self._frame(message, carried)
            self._normal_turn = from_urgent
            if not from_urgent:
                self._turn_left_bytes -= len(frame)
            frames.append(frame)
            left -= len(frame)
        self.frames_made += len(frames)
        return frames

    def _add_whole(self, frames: list[bytes], left: int) -> int:
        """Add a frame for each of the next messages that one frame holds; return what is left.

        Nothing else waits, so nobody's turn is to be looked for. It is so nearly always.
        """
        encode, normal, awaited = self._encode, self._normal, self.awaited
        before = left
        while normal:
            message = normal[0]
            if isinstance(message, tuple):
                flags, payload, token = message
                size = len(payload)
                if size > self._deflated_bytes or left < size + _OVERHEAD_BYTES:
                    break
                normal.popleft()
                self.requests_begun_count = number = self.requests_begun_count + 1
                frame = encode(number, flags, payload)
                awaited[number] = token
            elif isinstance(message, int):
                if left < _OVERHEAD_BYTES:
                    break
                normal.popleft()
                self.replies_bytes -= _EMPTY_REPLY_BYTES
                frame = encode(message, RPY, _EMPTY)
            else:
                size = len(message.payload)
                if message.position or size > self._deflated_bytes or left < size + _OVERHEAD_BYTES:
                    break
                normal.popleft()
                frame = self._frame(message, size)
            frames.append(frame)
            left -= len(frame)
        if left < before:
            self._normal_turn = False
            self._turn_left_bytes -= before - left
        return left

    def _whose_turn(self) -> deque[Queued]:
        """Return the queue that the next frame comes from, streams or other messages."""
        normal, streamed = self._normal, self._streamed
        mine, other = (streamed, normal) if self._streams_turn else (normal, streamed)
        if mine and not (other and self._turn_left_bytes <= 0):
            return mine
        self._streams_turn = not self._streams_turn
        self._turn_left_bytes = _TURN_BYTES
        return other

    def _frame(self, message: Outgoing, count: int) -> bytes:
        number = message.number
        if not number:
            self.requests_begun_count = message.number = number = self.requests_begun_count + 1
        if count == len(message.payload) and not isinstance(message, OutgoingStream):
            # All of a message in one frame: no window, no ACKs.
            frame = self._encode(number, message.flags, message.payload)
            self._finished(message)
            return frame
        data, last = message.take(count)
        if isinstance(message, OutgoingStream):
            self.streams_bytes -= count
        frame = self._encode(number, message.flags | (0 if last else MORE_COMING), data)
        key = number, message.flags & TYPE_MASK == MSG
        if last:
            self._sending.pop(key, None)
            self._finished(message)
            return frame
        self._sending[key] = message
        message.sent_bytes += len(frame) - len(put_header(number, 0))
        message.queued = False
        if isinstance(message, OutgoingStream):
            self._ask(message)
            if self._is_in_turn(message, len(frame)):
                message.queued = True
                self._streamed.appendleft(message)
                return frame
        self._wake(message)
        return frame

    def _is_in_turn(self, stream: OutgoingStream, frame_bytes: int) -> bool:
        """Whether the next frame of a stream goes out before those of others."""
        stream.turn_bytes += frame_bytes
        if (
            stream.turn_bytes < STREAM_BUFFER_BYTES_MAX
            and not stream.flags & URGENT
            and stream.ready()
        ):
            return True
        stream.turn_bytes = 0
        return False

    def _finished(self, message: Outgoing) -> None:
        flags = message.flags
        if isinstance(message, OutgoingStream):
            del self._streams[message.handle]
            self.events.append(StreamSent(message.handle))
        elif flags & TYPE_MASK:
            self.replies_bytes -= len(message.payload) + _REPLY_UPKEEP_BYTES
        elif not flags & NO_REPLY:
            # From now on, and not before, the peer may answer this request.
            awaited = self.awaited_streams if message.stream_reply else self.awaited
            awaited[message.number] = message.token
