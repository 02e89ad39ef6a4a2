"""WebSocket frames: bytes to messages and back.

Room: pure network. Bytes come in, messages and bytes go out.
Touches: settee.errors, settee.limits, settee.net.mask.
Never touches: sockets, files, asyncio, the wall clock, randomness.

Source: RFC 6455, part 5, and wire protocol 1.7 and 1.8: no extensions, so no reserved bits; binary
messages only; client frames masked, server frames not. Frames are handled in batches: one read
gives a list of messages, and a list of messages becomes one write.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from settee.errors import PeerProtocolError
from settee.limits import WEBSOCKET_MESSAGE_BYTES_MAX, WEBSOCKET_PARTS_MAX
from settee.net.mask import xor

__all__ = [
    "NO_CODE",
    "OP_BINARY",
    "OP_CLOSE",
    "OP_PING",
    "OP_PONG",
    "Parser",
    "close_payload",
    "pack",
    "pack_control",
    "parse_close",
]

OP_CONTINUATION: Final = 0x0
OP_TEXT: Final = 0x1
OP_BINARY: Final = 0x2
OP_CLOSE: Final = 0x8
OP_PING: Final = 0x9
OP_PONG: Final = 0xA

CONTROL_BYTES_MAX: Final = 125
"""Payload of a control frame, by RFC 6455, 5.5."""

NO_CODE: Final = 1005
"""What stands for the code of a CLOSE without payload; never on the wire."""

_CODES_RECEIVED: Final = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})
_NO_KEY: Final = b"\0\0\0\0"


def _broken(problem: str, code: int) -> PeerProtocolError:
    return PeerProtocolError(f"broken WebSocket frame: {problem}", domain="WebSocket", code=code)


class Parser:
    """Cuts what a peer sends into messages.

    `server` tells which end this is: a server takes masked frames only, a client unmasked ones.
    After a CLOSE or an error everything that follows is ignored. Memory is taken for bytes that
    came, never for bytes that a length field promises.
    """

    __slots__ = (
        "_closed",
        "_mask_bit",
        "_message_bytes_max",
        "_needed",
        "_parts",
        "_parts_bytes",
        "_parts_max",
        "_tail",
        "before_error",
    )

    def __init__(
        self,
        server: bool,
        *,
        message_bytes_max: int = WEBSOCKET_MESSAGE_BYTES_MAX,
        parts_max: int = WEBSOCKET_PARTS_MAX,
    ) -> None:
        self._mask_bit = 0x80 if server else 0
        self._message_bytes_max = message_bytes_max
        self._parts_max = parts_max
        self._tail = bytearray()
        self._needed = 0
        self._parts: list[bytes] | None = None
        self._parts_bytes = 0
        self._closed = False
        self.before_error: list[tuple[int, bytes]] = []
        """Messages that were whole before the frame for which `feed` raised."""

    @property
    def held_bytes(self) -> int:
        """Bytes kept of a message that is not whole yet."""
        return len(self._tail) + self._parts_bytes

    def feed(self, data: bytes | bytearray | memoryview) -> list[tuple[int, bytes]]:
        """Take what came and return the messages that are whole now, as ``(opcode, payload)``.

        The opcode is `OP_BINARY` (fragments joined), `OP_PING`, `OP_PONG` or `OP_CLOSE`.

        Raises PeerProtocolError with domain ``"WebSocket"`` and the code to close with: 1002 for a
        frame that RFC 6455 forbids, 1003 for a text message, 1007 for a CLOSE reason that is not
        UTF-8, 1009 for a message larger than `message_bytes_max` or in more than `parts_max` parts.
        """
        if self._closed:
            return []
        tail = self._tail
        if tail:
            tail += data
            if len(tail) < self._needed:
                return []
            whole = bytes(tail)
            tail.clear()
        else:
            whole = data if type(data) is bytes else bytes(data)
        messages: list[tuple[int, bytes]] = []
        try:
            self._cut(whole, messages)
        except PeerProtocolError:
            self.before_error = messages
            self._stop()
            raise
        return messages

    def _cut(self, data: bytes, messages: list[tuple[int, bytes]]) -> None:
        """Append the messages in `data` to `messages` and keep what is left for the next call."""
        mask_bit = self._mask_bit
        largest = self._message_bytes_max
        add = messages.append
        begin, end = 0, len(data)
        needed = 2
        while end - begin >= 2:
            first, length = data[begin], data[begin + 1]
            if first != 0x82 or self._parts is not None:
                self._check_head(first, length & 0x7F)
            if length & 0x80 != mask_bit:
                raise _broken("not masked" if mask_bit else "masked by a server", 1002)
            length &= 0x7F
            at = begin + 2
            if length >= 126:
                at += 2 if length == 126 else 8
                if end < at:
                    needed = at - begin
                    break
                length = int.from_bytes(data[begin + 2 : at], "big")
            if length > largest or (first & 0x0F == 0 and length > largest - self._parts_bytes):
                raise _broken(f"a message of {self._parts_bytes + length} bytes or more", 1009)
            if mask_bit:
                at += 4
            stop = at + length
            if end < stop:
                needed = stop - begin
                break
            payload = data[at:stop]
            if mask_bit:
                key = data[at - 4 : at]
                if key != _NO_KEY:
                    payload = xor(payload, key)
            begin = stop
            if first == 0x82:
                add((OP_BINARY, payload))
            elif self._take_other(first, payload, messages):
                return
        if begin < end:
            self._tail += data[begin:] if begin else data
            self._needed = needed

    def _check_head(self, first: int, length: int) -> None:
        """Refuse a forbidden first byte; `length` is the 7-bit one."""
        opcode = first & 0x0F
        if first & 0x70:
            raise _broken("a reserved bit is set, but no extension was agreed", 1002)
        if opcode >= 0x8:
            if opcode > OP_PONG:
                raise _broken(f"reserved opcode {opcode}", 1002)
            if not first & 0x80:
                raise _broken("fragmented control frame", 1002)
            if length > CONTROL_BYTES_MAX:
                raise _broken("control frame longer than 125 bytes", 1002)
        elif opcode > OP_BINARY:
            raise _broken(f"reserved opcode {opcode}", 1002)
        elif opcode == OP_CONTINUATION:
            if self._parts is None:
                raise _broken("a continuation of nothing", 1002)
        elif self._parts is not None:
            raise _broken("a new message inside a fragmented one", 1002)
        elif opcode == OP_TEXT:
            raise _broken("a text message; only binary ones are spoken here", 1003)

    def _take_other(self, first: int, payload: bytes, messages: list[tuple[int, bytes]]) -> bool:
        """Take a frame that is no whole message; return whether it was a CLOSE."""
        opcode = first & 0x0F
        if opcode >= 0x8:
            if opcode == OP_CLOSE:
                parse_close(payload)
                self._stop()
            messages.append((opcode, payload))
            return opcode == OP_CLOSE
        parts = self._parts
        if parts is None:
            parts = self._parts = []
        if len(parts) >= self._parts_max:
            raise _broken(f"a message in more than {self._parts_max} parts", 1009)
        self._parts_bytes += len(payload)
        parts.append(payload)
        if first & 0x80:
            messages.append((OP_BINARY, b"".join(parts)))
            self._parts = None
            self._parts_bytes = 0
        return False

    def _stop(self) -> None:
        self._closed = True
        self._tail = bytearray()
        self._parts = None
        self._parts_bytes = 0


def parse_close(payload: bytes) -> tuple[int, str]:
    """Return code and reason of a CLOSE frame's payload; `NO_CODE` if it is empty.

    Raises PeerProtocolError: 1002 for a code that must not be on the wire, 1007 for a reason that
    is not UTF-8.
    """
    if not payload:
        return NO_CODE, ""
    if len(payload) < 2:
        raise _broken("CLOSE with half a code", 1002)
    code = int.from_bytes(payload[:2], "big")
    if code not in _CODES_RECEIVED and not 3000 <= code < 5000:
        raise _broken(f"CLOSE with the reserved code {code}", 1002)
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise _broken("CLOSE with a reason that is not UTF-8", 1007) from None


def close_payload(code: int, reason: str = "") -> bytes:
    """Return the payload of a CLOSE frame; a long reason is cut between two characters."""
    text = reason.encode()
    if len(text) > CONTROL_BYTES_MAX - 2:
        text = text[: CONTROL_BYTES_MAX - 2].decode(errors="ignore").encode()
    return code.to_bytes(2, "big") + text


def _head(first: int, mask_bit: int, size: int) -> bytes:
    if size < 126:
        return bytes((first, mask_bit | size))
    if size < 65536:
        return bytes((first, mask_bit | 126, size >> 8, size & 0xFF))
    return bytes((first, mask_bit | 127)) + size.to_bytes(8, "big")


_HEADS: Final = tuple(_head(0x80 | OP_BINARY, 0, size) for size in range(2048))
_HEADS_MASKED: Final = tuple(_head(0x80 | OP_BINARY, 0x80, size) for size in range(2048))


def pack(payloads: Sequence[bytes], keys: bytes | None = None) -> bytes:
    """Return `payloads` as binary messages, one after the other, ready for one write.

    `keys`: for a client, unpredictable bytes, at least four per payload (RFC 6455 wants a fresh key
    for every frame); None for a server, whose frames are not masked.
    """
    pieces: list[bytes] = []
    add = pieces.append
    if keys is None:
        for payload in payloads:
            size = len(payload)
            add(_HEADS[size] if size < 2048 else _head(0x82, 0, size))
            add(payload)
        return b"".join(pieces)
    assert len(keys) >= 4 * len(payloads), "a mask for every frame"
    at = 0
    for payload in payloads:
        size = len(payload)
        key = keys[at : at + 4]
        at += 4
        add(_HEADS_MASKED[size] if size < 2048 else _head(0x82, 0x80, size))
        add(key)
        add(xor(payload, key))
    return b"".join(pieces)


def pack_control(opcode: int, payload: bytes = b"", key: bytes | None = None) -> bytes:
    """Return one PING, PONG or CLOSE frame; `key` is the mask of a client, None for a server."""
    assert opcode >= OP_CLOSE, "a control frame"
    assert len(payload) <= CONTROL_BYTES_MAX, "a control frame is short"
    if key is None:
        return _head(0x80 | opcode, 0, len(payload)) + payload
    return _head(0x80 | opcode, 0x80, len(payload)) + key + xor(payload, key)
