"""What runs through all frames of one direction: the deflate stream and the checksum.

Room: pure message layer.
Touches: settee.blip.frame, settee.errors, settee.limits, zlib; zlib_ng, if it is installed.
Never touches: sockets, files, the wall clock, randomness.
Source: wire protocol 2.5, 2.6, 2.11.

Both are states of a whole direction, so frames must be encoded in the order in which they are sent
and decoded in the order in which they came. ACK frames pass by both.

Deflating is a fifth of what sending a small document takes. zlib-ng (extra ``speed``) does it in a
fourth of the time, for some more bytes, and checksums in a ninth (docs/performance.md, "Deflate").
What a peer sent is always inflated by the standard library's zlib: it can be anything.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final
from zlib import Z_SYNC_FLUSH

from settee.blip.frame import CHECKSUM_BYTES, COMPRESSED, TOO_BIG, put_header, violation
from settee.limits import COMPRESSION_LEVEL, MESSAGE_BODY_BYTES_MAX

__all__ = [
    "INFLATED_BYTES_MAX",
    "Decoder",
    "Encoder",
    "crc32",
    "deflate_implementation",
    "deflater",
]

INFLATED_BYTES_MAX: Final = MESSAGE_BODY_BYTES_MAX
"""What one frame may inflate to. Couchbase Lite fills a frame with up to 16 KiB of *deflated*
bytes, so one honest frame of zeros can hold 16 MiB: the bound can't be much lower."""

_RAW: Final = -zlib.MAX_WBITS
"""Deflate without header or trailer, 32 KiB window."""

_TAIL: Final = b"\x00\x00\xff\xff"
"""Every sync flush ends so; it is not transmitted."""


_Data = bytes | memoryview


def _choose() -> tuple[str, Callable[[int, int, int], Any], Callable[[_Data, int], int]]:
    try:
        from zlib_ng.zlib_ng import compressobj, crc32
    except ImportError:
        return "zlib", zlib.compressobj, zlib.crc32
    return "zlib-ng", compressobj, crc32


_chosen: Final = _choose()

deflate_implementation: Final[str] = _chosen[0]
"""``"zlib-ng"`` or ``"zlib"``, the standard library's."""

_compressobj = _chosen[1]

crc32: Final[Callable[[_Data, int], int]] = _chosen[2]
"""`crc32(data, checksum of what came before)`, the fastest there is on this machine."""


def deflater(level: int) -> Any:
    """Return a new raw deflate stream with the methods of `zlib.compressobj`; `level` is 1 to 9."""
    return _compressobj(level, zlib.DEFLATED, _RAW)


class Encoder:
    """Makes the frames of one outgoing direction. Level 0 never compresses."""

    __slots__ = ("_checksum", "_compress", "_flush", "_level")

    def __init__(self, level: int = COMPRESSION_LEVEL) -> None:
        assert 0 <= level <= 9, level
        self._level = level
        self._checksum = 0
        self._compress: Callable[[bytes | memoryview], bytes] | None = None
        self._flush: Callable[[int], bytes]

    def frame(self, number: int, flags: int, payload: bytes | memoryview) -> bytes:
        """Return the next frame; it must be sent before any that is made after it.

        The Compressed flag is a wish: it is cleared for an empty payload and at level 0.
        """
        self._checksum = checksum = crc32(payload, self._checksum)
        if flags & COMPRESSED:
            if payload and self._level:
                compress = self._compress or self._begin()
                deflated = compress(payload) + self._flush(Z_SYNC_FLUSH)
                assert deflated.endswith(_TAIL), "a sync flush ends with an empty stored block"
                payload = deflated[:-4]
            else:
                flags &= ~COMPRESSED
        return b"".join((put_header(number, flags), payload, checksum.to_bytes(4, "big")))

    def _begin(self) -> Callable[[bytes | memoryview], bytes]:
        # Made at first use: it takes 256 KiB, and many connections compress nothing.
        stream = deflater(self._level)
        compress: Callable[[bytes | memoryview], bytes] = stream.compress
        self._flush = stream.flush
        self._compress = compress
        return compress


class Decoder:
    """Opens and checks the frames of one incoming direction."""

    __slots__ = ("_checksum", "_inflater")

    def __init__(self) -> None:
        self._checksum = 0
        self._inflater: Any = None

    def payload(self, frame: bytes, at: int, flags: int) -> bytes:
        """Return the inflated payload of the next MSG, RPY or ERR frame; its header ends at `at`.

        Raises PeerProtocolError if it does not inflate, inflates to more than INFLATED_BYTES_MAX
        bytes (nothing beyond is ever made), or the running checksum differs.
        """
        payload = frame[at:-CHECKSUM_BYTES]
        if flags & COMPRESSED and payload:
            inflater = self._inflater
            if inflater is None:
                self._inflater = inflater = zlib.decompressobj(_RAW)
            try:
                # One byte more than allowed tells "exactly full" from "there would be more".
                payload = inflater.decompress(payload + _TAIL, INFLATED_BYTES_MAX + 1)
            except zlib.error:
                raise violation("a frame does not inflate") from None
            if len(payload) > INFLATED_BYTES_MAX:
                raise violation(
                    f"a frame inflates to more than {INFLATED_BYTES_MAX} bytes", code=TOO_BIG
                )
            if inflater.eof:
                raise violation("the deflate stream was ended inside a frame")
        self._checksum = checksum = crc32(payload, self._checksum)
        if checksum.to_bytes(4, "big") != frame[-CHECKSUM_BYTES:]:
            raise violation("a frame's checksum is wrong")
        return payload
