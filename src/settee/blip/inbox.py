"""What comes in: whole messages out of frames, and when the sender may go on.

Room: pure message layer.
Touches: settee.blip.codec, settee.blip.frame, settee.blip.message, settee.blip.outbox,
    settee.errors, settee.limits.
Never touches: sockets, files, the wall clock, randomness.
Source: wire protocol 2.3, 2.4, 2.7, 2.9, 2.10.

Nothing here trusts the peer: each table has a bound, and a broken rule ends the connection.
Unknown frame types, ACKs for nothing and the second of two equal property keys are ignored, as
Couchbase Lite does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from settee.blip.codec import Decoder
from settee.blip.frame import (
    ACK_MSG,
    ACK_RPY,
    ERR,
    MORE_COMING,
    MSG,
    NO_REPLY,
    TOO_BIG,
    TYPE_MASK,
    URGENT,
    read_header,
    uvarint,
    violation,
)
from settee.blip.message import Incoming, Reply, ReplyPart, Request, decode_message, head_is_whole
from settee.blip.outbox import Outbox
from settee.errors import PeerProtocolError
from settee.limits import (
    ACK_INTERVAL_BYTES,
    ACKS_IDLE_MAX,
    INBOUND_BYTES_MAX,
    MESSAGES_INCOMPLETE_BYTES_MAX,
    MESSAGES_INCOMPLETE_MAX,
    REQUESTS_UNANSWERED_MAX,
)

__all__ = ["Inbox"]

_EMPTY: Final = b"\x00"
"""The payload of a message without properties and body: nearly all replies."""

_Events = list[Request | Reply | ReplyPart]


class _IncomingStream:
    """A reply whose body is handed on as it comes. ACKs wait until its owner has consumed it."""

    __slots__ = (
        "acked_bytes",
        "consumed_bytes",
        "delivered_bytes",
        "head",
        "marks",
        "number",
        "taken_bytes",
    )

    def __init__(self, number: int) -> None:
        self.number: Final = number
        self.head: bytearray | None = bytearray()
        """What has come of the properties; None once they are complete."""
        self.taken_bytes = 0
        """Of its frames so far behind their headers: what ACKs count."""
        self.acked_bytes = 0
        self.delivered_bytes = 0
        """Of the body, handed to the owner."""
        self.consumed_bytes = 0
        self.marks: deque[tuple[int, int]] = deque()
        """(delivered_bytes, taken_bytes) after each part that is not consumed yet."""


class Inbox:
    """The incoming half of a connection. It knows the outgoing half, where ACKs and answers end."""

    __slots__ = (
        "_acks_withheld",
        "_decoder",
        "_failed",
        "_incomplete",
        "_incomplete_requests_count",
        "_out",
        "_requests_begun_count",
        "_streams",
        "incomplete_bytes",
        "unanswered",
    )

    def __init__(self, out: Outbox) -> None:
        self._out: Final = out
        self._decoder: Final = Decoder()
        self._failed = False
        self._requests_begun_count = 0
        """The number of the latest request of which a frame came."""
        self.unanswered: dict[int, int] = {}
        """Number -> Urgent flag or 0 of each request that came whole and was not answered."""
        self._incomplete: dict[tuple[int, bool], Incoming] = {}
        """(number, is a request) -> message; oldest first."""
        self._incomplete_requests_count = 0
        self.incomplete_bytes: int = 0
        """Inflated, of all of them together."""
        self._acks_withheld = False
        self._streams: dict[object, _IncomingStream] = {}
        """Token -> streamed reply, from its first frame to its last."""

    def receive(self, frames: Iterable[bytes | bytearray | memoryview]) -> _Events:
        """Take frames in their order and return what they complete; see `Connection.receive`."""
        if self._failed:
            raise violation("it did so before, and nothing after that can be read")
        events: _Events = []
        payload_of = self._decoder.payload
        incomplete, awaited_streams = self._incomplete, self._out.awaited_streams
        try:
            for frame in frames:
                if not isinstance(frame, bytes):
                    frame = bytes(frame)
                number, flags, at = read_header(frame)
                kind = flags & TYPE_MASK
                if kind > ERR:
                    if kind in (ACK_MSG, ACK_RPY):
                        self._out.acknowledged(number, kind == ACK_MSG, uvarint(frame, at)[0])
                        if self._out.acks_idle > ACKS_IDLE_MAX + self._out.frames_made:
                            raise violation("a flood of ACKs for nothing")
                    continue
                payload = payload_of(frame, at, flags)
                if flags & MORE_COMING or incomplete or awaited_streams:
                    self._frame(number, flags, payload, at, len(frame), events)
                elif kind == MSG:
                    if number == self._requests_begun_count + 1:
                        self._requests_begun_count = number
                    else:
                        self._expect_new(number)
                    events.append(self._request(number, flags, payload, len(frame)))
                else:
                    events.append(self._reply(number, kind, payload))
        except PeerProtocolError:
            self._failed = True
            self._out.stopped = True
            incomplete.clear()
            raise
        return events

    def consumed(self, token: object, count: int) -> None:
        """The owner has dealt with `count` more bytes; see `Connection.consumed`."""
        stream = self._streams.get(token)
        if stream is None:
            return
        stream.consumed_bytes += count
        assert stream.consumed_bytes <= stream.delivered_bytes, "consumed more than was delivered"
        taken = 0
        marks = stream.marks
        while marks and marks[0][0] <= stream.consumed_bytes:
            taken = marks.popleft()[1]
        if taken - stream.acked_bytes >= ACK_INTERVAL_BYTES:
            stream.acked_bytes = taken
            self._out.put_ack(stream.number, False, taken)

    # --- whole messages in one frame: nearly all --------------------------------------------------

    def _expect_new(self, number: int) -> None:
        if number != self._requests_begun_count + 1:
            raise violation(
                f"a frame of request {number}, which is neither unfinished nor the next one, "
                f"{self._requests_begun_count + 1}"
            )
        self._requests_begun_count = number

    def _request(self, number: int, flags: int, payload: bytes, wire_bytes: int) -> Request:
        properties, body = decode_message(payload)
        no_reply = flags & NO_REPLY
        if not no_reply:
            if len(self.unanswered) >= REQUESTS_UNANSWERED_MAX:
                raise violation(f"more than {REQUESTS_UNANSWERED_MAX} requests without an answer")
            self.unanswered[number] = flags & URGENT
        return Request(number, properties, body, bool(flags & URGENT), bool(no_reply), wire_bytes)

    def _reply(self, number: int, kind: int, payload: bytes) -> Reply:
        out = self._out
        if number in out.awaited:
            token = out.awaited.pop(number)
        elif kind == ERR and number in out.awaited_streams:
            token = out.awaited_streams.pop(number)
            out.stream_tokens.remove(token)
        else:
            raise _unasked(number)
        out.unanswered_count -= 1
        if payload == _EMPTY:
            return Reply(token, kind == ERR, {}, b"")
        properties, body = decode_message(payload)
        return Reply(token, kind == ERR, properties, body)

    # --- messages in several frames, and all others meanwhile -------------------------------------

    def _frame(
        self, number: int, flags: int, payload: bytes, at: int, size: int, events: _Events
    ) -> None:
        kind = flags & TYPE_MASK
        key = number, kind == MSG
        message = self._incomplete.get(key)
        if message is None:
            if kind != MSG and number in self._out.awaited_streams:
                token = self._out.awaited_streams[number]
                if kind != ERR:
                    self._stream_frame(token, number, flags, payload, size - at, events)
                    return
                if token in self._streams:
                    raise _mixed(number)
            if not flags & MORE_COMING:
                if kind == MSG:
                    self._expect_new(number)
                    events.append(self._request(number, flags, payload, size))
                else:
                    events.append(self._reply(number, kind, payload))
                return
            message = self._begin(number, flags)
            self._incomplete[key] = message
        elif kind != message.flags & TYPE_MASK:
            raise _mixed(number)
        message.add(payload, size, size - at)
        self.incomplete_bytes += len(payload)
        if not flags & MORE_COMING:
            self._finish(key, message, events)
        elif self.incomplete_bytes > MESSAGES_INCOMPLETE_BYTES_MAX:
            raise violation(
                f"more than {MESSAGES_INCOMPLETE_BYTES_MAX} bytes of unfinished messages",
                code=TOO_BIG,
            )
        else:
            self._acknowledge(message)

    def _begin(self, number: int, flags: int) -> Incoming:
        if flags & TYPE_MASK == MSG:
            self._expect_new(number)
            if self._incomplete_requests_count >= MESSAGES_INCOMPLETE_MAX:
                raise violation(f"more than {MESSAGES_INCOMPLETE_MAX} unfinished requests")
            self._incomplete_requests_count += 1
        elif number not in self._out.awaited and number not in self._out.awaited_streams:
            raise _unasked(number)
        return Incoming(number, flags)

    def _finish(self, key: tuple[int, bool], message: Incoming, events: _Events) -> None:
        del self._incomplete[key]
        self.incomplete_bytes -= len(message.buffer)
        number, is_request = key
        payload = bytes(message.buffer)
        if is_request:
            self._incomplete_requests_count -= 1
            events.append(self._request(number, message.flags, payload, message.wire_bytes))
        else:
            events.append(self._reply(number, message.flags & TYPE_MASK, payload))
        if self._acks_withheld:
            self._acks_withheld = False
            for other in self._incomplete.values():
                self._acknowledge(other)

    def _acknowledge(self, message: Incoming) -> None:
        """Send an ACK if one is due and there is room for what it will let come.

        When many long messages come at once, only the oldest goes on, so that memory is bounded
        and one after another they finish.
        """
        if message.taken_bytes - message.acked_bytes < ACK_INTERVAL_BYTES:
            return
        if self.incomplete_bytes > INBOUND_BYTES_MAX and message is not next(
            iter(self._incomplete.values())
        ):
            self._acks_withheld = True
            return
        message.acked_bytes = message.taken_bytes
        self._out.put_ack(message.number, message.flags & TYPE_MASK == MSG, message.taken_bytes)

    def _stream_frame(
        self,
        token: object,
        number: int,
        flags: int,
        payload: bytes,
        taken_bytes: int,
        events: _Events,
    ) -> None:
        stream = self._streams.get(token)
        if stream is None:
            self._streams[token] = stream = _IncomingStream(number)
        stream.taken_bytes += taken_bytes
        last = not flags & MORE_COMING
        properties = None
        if stream.head is not None:
            stream.head += payload
            if not last and not head_is_whole(stream.head):
                return
            properties, payload = decode_message(bytes(stream.head))
            stream.head = None
        if last:
            del self._out.awaited_streams[number]
            del self._streams[token]
            self._out.stream_tokens.remove(token)
            self._out.unanswered_count -= 1
        elif payload:
            stream.delivered_bytes += len(payload)
            stream.marks.append((stream.delivered_bytes, stream.taken_bytes))
        elif properties is None:
            return
        events.append(ReplyPart(token, payload, last, properties))


def _unasked(number: int) -> PeerProtocolError:
    return violation(f"an answer to request {number}, which does not wait for one")


def _mixed(number: int) -> PeerProtocolError:
    return violation(f"frames of RPY and of ERR as one answer to request {number}")
