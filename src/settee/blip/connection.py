"""One connection: frames come in and messages go out of it, and the other way round.

Room: pure message layer.
Touches: settee.blip.codec, settee.blip.frame, settee.blip.message, settee.blip.outbox,
    settee.errors, settee.limits.
Never touches: sockets, files, the wall clock, randomness.
Source: wire protocol 2, all of it; what the peer may not do: 2.10.

Driven by two things only: the owner (`send_request`, `reply…`, `stream_write`, `consumed`) and the
peer (`receive`). After any of them, and after `frames_to_send` too, look at `events()`; send what
`frames_to_send` returns, in that order, whenever the link has room.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from settee.blip.frame import COMPRESSED, ERR, MSG, NO_REPLY, RPY, URGENT
from settee.blip.inbox import Inbox
from settee.blip.message import (
    NO_PROPERTIES,
    Reply,
    ReplyPart,
    Request,
    StreamSent,
    StreamWanted,
    encode_message,
    encode_words,
)
from settee.blip.outbox import Outbox, Outgoing
from settee.limits import COMPRESS_BODY_BYTES_MIN, COMPRESSION_LEVEL, FRAME_BYTES_MAX

__all__ = ["Connection"]


class Connection:
    """The message layer of one link. Nothing goes out before `frames_to_send`.

    `compression_level`: of deflate, 0 (never compress) to 9; COMPRESSION_LEVEL (1) by default.
    `frame_bytes_max`: of a frame that goes out; FRAME_BYTES_MAX (16 KiB) by default.
    """

    __slots__ = ("_in", "_out")

    def __init__(
        self,
        *,
        compression_level: int = COMPRESSION_LEVEL,
        frame_bytes_max: int = FRAME_BYTES_MAX,
    ) -> None:
        self._out: Final = Outbox(compression_level, frame_bytes_max)
        self._in: Final = Inbox(self._out)

    # --- sending ----------------------------------------------------------------------------------

    def send_request(
        self,
        token: object,
        properties: Mapping[str, str],
        body: bytes = b"",
        *,
        urgent: bool = False,
        no_reply: bool = False,
        compress: bool = False,
        stream_reply: bool = False,
    ) -> None:
        """Queue a request. `token` comes back with its answer and means nothing here.

        With `stream_reply` the answer comes as ReplyParts as its frames arrive (an ERR as one
        Reply); the token must then be hashable and not in use for another such request, and the
        owner must report what it has dealt with to `consumed`. `compress` is a wish: short messages
        go as they are. Raises UsageError for properties that no peer could read.
        """
        assert not (no_reply and stream_reply), "no reply can't be streamed"
        payload = encode_message(properties, body)
        flags = MSG
        if compress and len(payload) >= COMPRESS_BODY_BYTES_MIN:
            flags |= COMPRESSED
        if urgent:
            flags |= URGENT
        if no_reply:
            flags |= NO_REPLY
        else:
            self._out.unanswered_count += 1
        if stream_reply:
            assert token not in self._out.stream_tokens, f"token {token!r} is in use"
            self._out.stream_tokens.add(token)
        self._out.put(Outgoing(flags, 0, payload, token, stream_reply))

    def send_requests(self, requests: Iterable[tuple[object, list[str], bytes]]) -> None:
        """Queue requests, each with its token, its properties as words, and its body.

        As `send_request` with ``compress=True`` does, for many at once.
        """
        messages = []
        for token, words, body in requests:
            payload = encode_words(words, body)
            compress = len(payload) >= COMPRESS_BODY_BYTES_MIN
            messages.append((MSG | COMPRESSED if compress else MSG, payload, token))
        self._out.put_requests(messages)

    def reply(
        self,
        number: int,
        properties: Mapping[str, str] = NO_PROPERTIES,
        body: bytes = b"",
        *,
        compress: bool = False,
    ) -> None:
        """Queue the answer to request `number`, as urgent as the request was.

        A second answer to a request, or one to a `no_reply` request, is the owner's bug.
        """
        payload = encode_message(properties, body)
        flags = RPY | self._answer(number)
        if compress and len(payload) >= COMPRESS_BODY_BYTES_MIN:
            flags |= COMPRESSED
        self._out.put_reply(Outgoing(flags, number, payload))

    def reply_empty(self, numbers: Iterable[int]) -> None:
        """Queue an answer without properties and body to each of `numbers`."""
        plain = []
        for number in numbers:
            urgent = self._in.unanswered.pop(number, None)
            assert urgent is not None, f"request {number} does not wait for an answer"
            if urgent:
                self._out.put_reply(Outgoing(RPY | URGENT, number, b"\x00"))
            else:
                plain.append(number)
        self._out.put_empty_replies(plain)

    def reply_error(self, number: int, domain: str, code: int, message: str = "") -> None:
        """Queue an ERR as the answer to request `number`; `message` is for people."""
        payload = _error_payload(domain, code, message)
        self._out.put_reply(Outgoing(ERR | self._answer(number), number, payload))

    def reply_stream(
        self,
        number: int,
        properties: Mapping[str, str] = NO_PROPERTIES,
        data: bytes = b"",
        *,
        last: bool = False,
        compress: bool = False,
    ) -> int:
        """Begin an answer that is written piece by piece with `stream_write`; return its handle.

        It begins with `data`, which may be `last`. `events()` asks for each further piece, and
        tells when all has been sent.
        """
        head = encode_message(properties, data)
        flags = RPY | self._answer(number)
        return self._out.open_stream(flags | COMPRESSED if compress else flags, number, head, last)

    def stream_write(self, stream: int, data: bytes, *, last: bool) -> None:
        """Append a piece of any size to a streamed answer; the last may be empty.

        What is written beyond the `bytes_wanted` of an event is taken, and stays in memory.
        """
        self._out.write(stream, data, last)

    def stream_abort(
        self, stream: int, domain: str = "HTTP", code: int = 500, message: str = ""
    ) -> bool:
        """Give up a streamed answer whose source failed; return whether the connection lives on.

        True: nothing of it was sent yet, and an ERR goes out instead. False: a part is out, which
        can't be taken back nor marked as broken. Then nothing more is sent, and the owner must end
        the link, so that the peer does not take the rest for the whole.
        """
        if self._out.fail_stream(stream, _error_payload(domain, code, message)):
            return True
        self._out.stopped = True
        return False

    def consumed(self, token: object, count: int) -> None:
        """The owner has dealt with `count` more bytes of the ReplyParts of `token`.

        Only these are acknowledged, so a slow disk slows the sender. After the last part there is
        nothing to acknowledge and the call has no effect.
        """
        self._in.consumed(token, count)

    def frames_to_send(self, bytes_max: int) -> list[bytes]:
        """Return the next whole frames, to be sent in this order and all of them.

        Together they have at most `bytes_max` bytes, unless the first alone has more (a frame has
        `frame_bytes_max` at most). Empty when nothing can go: nothing is queued, all that is waits
        for ACKs or for `stream_write`, or the connection has failed.
        """
        return self._out.frames(bytes_max)

    @property
    def has_frames(self) -> bool:
        """Whether `frames_to_send` would return something."""
        return self._out.has_frames

    def events(self) -> list[StreamWanted | StreamSent]:
        """Return, once, which streams want more bytes and which have been sent.

        Ask after each call of `reply_stream`, `stream_write`, `frames_to_send` and `receive`.
        """
        events = self._out.events
        if events:
            self._out.events = []
            return events
        return []

    @property
    def outgoing_unanswered(self) -> int:
        """Our requests, queued or sent, whose answer has not come completely."""
        return self._out.unanswered_count

    @property
    def replies_waiting_bytes(self) -> int:
        """Bytes of our answers that are queued, or sent in part; streamed ones apart."""
        return self._out.replies_bytes

    @property
    def streams_waiting_bytes(self) -> int:
        """Bytes of streamed answers that have been written and not been sent."""
        return self._out.streams_bytes

    @property
    def incoming_unfinished_bytes(self) -> int:
        """Bytes, inflated, of messages of which frames are still to come; streamed ones apart."""
        return self._in.incomplete_bytes

    @property
    def incoming_unanswered(self) -> int:
        """The peer's requests that wait for an answer of ours."""
        return len(self._in.unanswered)

    # --- receiving --------------------------------------------------------------------------------

    def receive(
        self, frames: Iterable[bytes | bytearray | memoryview]
    ) -> list[Request | Reply | ReplyPart]:
        """Take frames in the order in which they came; return what they complete.

        Raises PeerProtocolError (domain ``"WebSocket"``; code 1002, or 1009 for too much) if the
        peer breaks a rule. The connection is dead then: what came in the same call has no effect,
        nothing more is sent, and each further call raises again.
        """
        return self._in.receive(frames)

    def _answer(self, number: int) -> int:
        urgent = self._in.unanswered.pop(number, None)
        assert urgent is not None, f"request {number} does not wait for an answer"
        return urgent


def _error_payload(domain: str, code: int, message: str) -> bytes:
    properties = {"Error-Domain": domain, "Error-Code": str(code)}
    return encode_message(properties, message.encode(errors="replace"))
