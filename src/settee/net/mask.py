"""The XOR mask of WebSocket frames that go from client to server.

Room: pure network.
Touches: the C routine of `websockets`, if that package is installed.
Never touches: sockets, files, the wall clock, randomness.

Source: RFC 6455, 5.3. The mask protects nothing here; it costs, though: with the C routine next to
nothing, with Python's integers 1 µs for a small document and 0.2 ms for 100 KB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["implementation", "xor", "xor_with_integers"]


def xor_with_integers(data: bytes, key: bytes) -> bytes:
    """Return `data` with each byte XORed by the 4-byte `key`, in turn. Its own inverse."""
    size = len(data)
    if not size:
        return b""
    keys = key * (size // 4) + key[: size & 3]
    masked = int.from_bytes(data, "little") ^ int.from_bytes(keys, "little")
    return masked.to_bytes(size, "little")


def _choose() -> tuple[str, Callable[[bytes, bytes], bytes]]:
    try:
        from websockets.speedups import apply_mask
    except ImportError:
        return "integers", xor_with_integers
    return "websockets", apply_mask


_chosen: Final = _choose()

implementation: Final[str] = _chosen[0]
"""``"websockets"`` (C) or ``"integers"``; for ``settee doctor`` and bug reports."""

xor: Final[Callable[[bytes, bytes], bytes]] = _chosen[1]
"""`xor(data, key)`: the fastest routine there is on this machine."""
