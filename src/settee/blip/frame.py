"""The bytes of one frame: numbers, flags, where the payload begins and ends.

Room: pure message layer.
Touches: settee.errors, settee.limits.
Never touches: sockets, files, the wall clock, randomness.
Source: wire protocol 2.2, 2.9, 2.10.

::

    MSG, RPY, ERR     uvarint(number) uvarint(flags) payload checksum(4 bytes, big-endian)
    ACK_MSG, ACK_RPY  uvarint(number) uvarint(flags) uvarint(byte count)
"""

from __future__ import annotations

from typing import Final

from settee.errors import PeerProtocolError
from settee.limits import FRAME_BYTES_RECEIVED_MAX

__all__ = [
    "ACK_MSG",
    "ACK_RPY",
    "CHECKSUM_BYTES",
    "COMPRESSED",
    "ERR",
    "MORE_COMING",
    "MSG",
    "NO_REPLY",
    "RPY",
    "TOO_BIG",
    "TYPE_MASK",
    "URGENT",
    "ack_frame",
    "put_header",
    "put_uvarint",
    "read_header",
    "split",
    "uvarint",
    "violation",
]

MSG: Final = 0
RPY: Final = 1
ERR: Final = 2
ACK_MSG: Final = 4
ACK_RPY: Final = 5
"""Types of a frame, in its lowest three flag bits. The others (3, 6, 7) are ignored on receipt."""

TYPE_MASK: Final = 0x07
COMPRESSED: Final = 0x08
"""The payload of this frame is deflated."""
URGENT: Final = 0x10
"""Goes before messages that are not; a reply copies it from its request."""
NO_REPLY: Final = 0x20
"""The request must not be answered."""
MORE_COMING: Final = 0x40
"""Not the last frame of its message."""

CHECKSUM_BYTES: Final = 4

TOO_BIG: Final = 1009
"""WebSocket close code for a frame or message beyond our limits."""

_BROKEN: Final = 1002
"""WebSocket close code for everything else that the protocol forbids."""

_UVARINT_BYTES_MAX: Final = 10
_UVARINT_END: Final = 2**64


def violation(problem: str, *, code: int = _BROKEN) -> PeerProtocolError:
    """Return (not raise) the error for a peer that broke the message protocol.

    Its domain is ``"WebSocket"`` and `code` the close code to send: 1002, or 1009 for too much.
    """
    return PeerProtocolError(
        f"the peer broke the message protocol: {problem}; this connection is of no more use, "
        "close it and connect again",
        domain="WebSocket",
        code=code,
    )


def uvarint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Read an unsigned varint of `data` at offset `at`; return it and the offset behind it.

    Seven bits a byte, lowest first, the high bit says that more follow. Raises PeerProtocolError if
    it is cut off, longer than 10 bytes, or not below 2^64.
    """
    value = 0
    shift = 0
    for byte in data[at : at + _UVARINT_BYTES_MAX]:
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= _UVARINT_END:
                break
            return value, at
        shift += 7
    raise violation("a number in it is cut off or beyond 64 bits")


def put_uvarint(value: int) -> bytes:
    """Return `value` (0 to 2^64 - 1) as an unsigned varint."""
    assert 0 <= value < _UVARINT_END, value
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def put_header(number: int, flags: int) -> bytes:
    """Return the two varints that a frame begins with. Our flags always fit one byte."""
    if number < 0x80:
        return bytes((number, flags))
    if number < 0x4000:
        return (number & 0x7F | 0x80 | number >> 7 << 8 | flags << 16).to_bytes(3, "little")
    if number < 0x20_0000:
        low = number & 0x7F | 0x80 | (number >> 7 & 0x7F | 0x80) << 8
        return (low | number >> 14 << 16 | flags << 24).to_bytes(4, "little")
    return put_uvarint(number) + bytes((flags,))


def read_header(frame: bytes) -> tuple[int, int, int]:
    """Return a frame's number, its flags, and the offset behind them.

    Unknown high bits of the flags are left in. Raises PeerProtocolError for a frame that is too
    short to be one of its type, too long, or whose header is malformed.
    """
    size = len(frame)
    if size < 2:
        raise violation(f"a frame of {size} bytes")
    if size > FRAME_BYTES_RECEIVED_MAX:
        raise violation(
            f"a frame of {size} bytes, the limit is {FRAME_BYTES_RECEIVED_MAX}", code=TOO_BIG
        )
    number = frame[0]
    flags = frame[1]
    at = 2
    if number >= 0x80:
        if flags < 0x80 and size > 2:
            number = number & 0x7F | flags << 7
            at = 3
        elif size > 3 and frame[2] < 0x80:
            number = number & 0x7F | (flags & 0x7F) << 7 | frame[2] << 14
            at = 4
        else:
            number, at = uvarint(frame, 0)
            at += 1
            if at > size:
                raise violation("a frame that ends inside its header")
        flags = frame[at - 1]
    if flags >= 0x80:
        flags, at = uvarint(frame, at - 1)
    if flags & TYPE_MASK <= ERR and size - at < CHECKSUM_BYTES:
        raise violation(f"a frame of {size} bytes, too short for its checksum")
    return number, flags, at


def ack_frame(number: int, flags: int, count: int) -> bytes:
    """Return a frame that tells how many bytes of a message have been taken."""
    return put_header(number, flags) + put_uvarint(count)


def split(frame: bytes) -> tuple[int, int, bytes, int | None]:
    """Take a frame apart: number, flags, payload as transmitted, checksum.

    For tests and tools: nothing is inflated or verified. Frames without a checksum (ACKs and
    unknown types) give None there and everything behind the header as payload. Raises
    PeerProtocolError for a malformed frame.
    """
    number, flags, at = read_header(frame)
    if flags & TYPE_MASK > ERR:
        return number, flags, frame[at:], None
    end = len(frame) - CHECKSUM_BYTES
    return number, flags, frame[at:end], int.from_bytes(frame[end:], "big")
