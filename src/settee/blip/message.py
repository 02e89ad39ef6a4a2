"""What a message is: properties and a body, and how it is put together from frames.

Room: pure message layer.
Touches: settee.blip.frame, settee.errors, settee.limits.
Never touches: sockets, files, the wall clock, randomness.
Source: wire protocol 2.3, 2.4.

::

    uvarint(length of the properties) (key NUL value NUL)* body
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Final, NamedTuple

from settee.blip.frame import TOO_BIG, put_uvarint, uvarint, violation
from settee.errors import UsageError
from settee.limits import MESSAGE_BODY_BYTES_MAX, PROPERTIES_BYTES_MAX

__all__ = [
    "NO_PROPERTIES",
    "Incoming",
    "Reply",
    "ReplyPart",
    "Request",
    "StreamSent",
    "StreamWanted",
    "decode_message",
    "encode_message",
    "encode_words",
    "head_is_whole",
]

NO_PROPERTIES: Final[Mapping[str, str]] = {}

_LENGTH_BYTES_MAX: Final = 10


class Request(NamedTuple):
    """An incoming request, complete. Answer it once, unless `no_reply`."""

    number: int
    properties: dict[str, str]
    body: bytes
    urgent: bool
    no_reply: bool
    wire_bytes: int
    """Of all its frames as received, headers and checksums included."""


class Reply(NamedTuple):
    """The answer to one of our requests, complete."""

    token: object
    """What the request was sent with."""
    error: bool
    """Whether it is an ERR: ``Error-Domain`` (absent: ``BLIP``) and ``Error-Code`` tell why."""
    properties: dict[str, str]
    body: bytes


class ReplyPart(NamedTuple):
    """A piece of the body of a reply that was asked for with ``stream_reply=True``."""

    token: object
    data: bytes
    """May be empty in the first and in the last part."""
    last: bool
    properties: dict[str, str] | None
    """The reply's properties in its first part, None in the others."""


class StreamWanted(NamedTuple):
    """An outgoing streamed body has room for `bytes_wanted` more; asked once per write."""

    stream: int
    bytes_wanted: int


class StreamSent(NamedTuple):
    """The last frame of an outgoing streamed body, or of the ERR in its place, has been made."""

    stream: int


def encode_message(properties: Mapping[str, str], body: bytes) -> bytes:
    """Return the payload of a whole message.

    Raises UsageError if the properties hold a NUL or a lone surrogate, or take more than
    PROPERTIES_BYTES_MAX (100 KiB): no peer could read them.
    """
    if not properties:
        return b"\x00" + body
    return encode_words(list(chain.from_iterable(properties.items())), body)


def encode_words(words: list[str], body: bytes) -> bytes:
    """Return the payload of a whole message with properties: a key, its value, and so on.

    Raises UsageError as `encode_message` does.
    """
    text = "\x00".join(words)
    if text.count("\x00") != len(words) - 1:
        raise UsageError(f"a message property holds a NUL character: {words[::2]}; remove it")
    try:
        head = text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"a message property is not valid Unicode text ({error})") from None
    size = len(head) + 1
    if size < 0x80:
        return b"%c%b\x00%b" % (size, head, body)
    if size < 0x4000:
        return b"%c%c%b\x00%b" % (size & 0x7F | 0x80, size >> 7, head, body)
    if size > PROPERTIES_BYTES_MAX:
        raise UsageError(
            f"the properties of a message take {size} bytes, no peer accepts more than "
            f"{PROPERTIES_BYTES_MAX}: shorten them or put the data into the body"
        )
    return b"%b%b\x00%b" % (put_uvarint(size), head, body)


def decode_message(payload: bytes) -> tuple[dict[str, str], bytes]:
    """Return the properties and the body of a whole message.

    Of a key that comes twice the first value counts, as in Couchbase Lite. Raises PeerProtocolError
    if the properties are cut off, longer than 100 KiB, not UTF-8, or not pairs of NUL-terminated
    words.
    """
    if not payload:
        raise violation("a message without properties length")
    size = payload[0]
    if not size:
        return {}, payload[1:]
    at = 1
    if size >= 0x80:
        if len(payload) > 1 and payload[1] < 0x80:
            size, at = size & 0x7F | payload[1] << 7, 2
        else:
            size, at = uvarint(payload, 0)
        if not size:
            return {}, payload[at:]
    end = at + size
    if size > PROPERTIES_BYTES_MAX or end > len(payload):
        raise violation(f"properties of {size} bytes in a message of {len(payload)}")
    try:
        words = payload[at:end].decode().split("\x00")
    except UnicodeDecodeError:
        raise violation("message properties that are not UTF-8") from None
    if words.pop() or len(words) & 1:
        raise violation("message properties that are not pairs of NUL-terminated words")
    pairs = iter(words)
    properties = dict(zip(pairs, pairs))  # noqa: B905 - they are even, and asking costs a third.
    if 2 * len(properties) != len(words):
        # Taken from the back, the first of equal keys is written last.
        properties = dict(zip(words[-2::-2], words[-1::-2], strict=True))
    return properties, payload[end:]


def head_is_whole(payload: bytes | bytearray) -> bool:
    """Tell whether all properties of a message are in these its first bytes.

    Raises PeerProtocolError if their length is malformed or beyond the limit.
    """
    if len(payload) < _LENGTH_BYTES_MAX and all(byte >= 0x80 for byte in payload):
        return False
    size, at = uvarint(payload, 0)
    if size > PROPERTIES_BYTES_MAX:
        raise violation(f"message properties of {size} bytes, the limit is {PROPERTIES_BYTES_MAX}")
    return at + size <= len(payload)


class Incoming:
    """A message of which frames are still to come."""

    __slots__ = (
        "acked_bytes",
        "buffer",
        "flags",
        "number",
        "taken_bytes",
        "wire_bytes",
    )

    def __init__(self, number: int, flags: int) -> None:
        self.number: Final = number
        self.flags: Final = flags
        """Of its first frame."""
        self.buffer: bytearray = bytearray()
        """Inflated, so far. One buffer: a million frames of two bytes must not cost a million
        objects."""
        self.wire_bytes: int = 0
        """Of the frames so far, whole."""
        self.taken_bytes: int = 0
        """Of the frames so far behind their headers: what ACKs count."""
        self.acked_bytes: int = 0
        """Of those, told to the sender."""

    def add(self, payload: bytes, wire_bytes: int, taken_bytes: int) -> None:
        """Append a frame. Raises PeerProtocolError beyond MESSAGE_BODY_BYTES_MAX inflated bytes."""
        self.buffer += payload
        self.wire_bytes += wire_bytes
        self.taken_bytes += taken_bytes
        if len(self.buffer) > MESSAGE_BODY_BYTES_MAX:
            raise violation(f"a message of more than {MESSAGE_BODY_BYTES_MAX} bytes", code=TOO_BIG)
