"""Takes an input apart into the values that a target wants. Total: any bytes give something."""

from __future__ import annotations

__all__ = ["Reading", "joined"]


class Reading:
    """Numbers and pieces from the front of an input; zeros and nothing when it is used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def more(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._data)

    def byte(self) -> int:
        """Return the next byte."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def number(self) -> int:
        """Return the next two bytes as a number."""
        return self.byte() << 8 | self.byte()

    def piece(self) -> bytes:
        """Return the next piece, which its first two bytes give the length of."""
        return self.take(self.number())

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes, or as many as are left."""
        piece = self._data[self._at : self._at + count]
        self._at += count
        return piece

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(len(self._data))


def joined(*pieces: bytes) -> bytes:
    """Write pieces so that `Reading.piece` gives them back; longer ones than 64 KiB are cut."""
    return b"".join(len(p[:65535]).to_bytes(2, "big") + p[:65535] for p in pieces)
