"""How much all sessions of a database hold because of their peers, together.

Each session is bounded by itself; hundreds at their bounds would fill the memory all the same. Over
the limit of all the one that holds most has to go: whoever sends little never meets it.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

from settee.limits import INBOUND_TOTAL_BYTES_MAX

__all__ = ["Crowd"]

T = TypeVar("T")


class Crowd(Generic[T]):
    """Counts what each of a crowd holds, in bytes."""

    def __init__(self, bytes_max: int = INBOUND_TOTAL_BYTES_MAX) -> None:
        self._bytes_max: Final = bytes_max
        self._held: Final[dict[T, int]] = {}
        self._total = 0

    @property
    def total_bytes(self) -> int:
        """What all of them hold."""
        return self._total

    def holds(self, who: T, bytes_: int) -> T | None:
        """Note what one holds now; return who has to go, if that is too much for all of them."""
        self._total += bytes_ - self._held.pop(who, 0)
        if bytes_:
            self._held[who] = bytes_
        if self._total <= self._bytes_max:
            return None
        return max(self._held, key=self._held.__getitem__)
