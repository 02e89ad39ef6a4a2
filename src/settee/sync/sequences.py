"""Sets of sequences: which local ones are done, and which remote ones are still under way.

Room: pure protocol.
Touches: nothing.
Never touches: sockets, files, the wall clock, randomness.
Spec: wire protocol 4.1 (completed ranges), 4.2 (remote sequences in progress).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import ClassVar

__all__ = ["RemoteSequences", "SequenceSet"]


class SequenceSet:
    """A set of integers kept as sorted half-open ranges; nearly always just one."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ((0, 1),)) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in ranges:
            self.add_range(start, end)

    def __contains__(self, sequence: int) -> bool:
        i = bisect_right(self._starts, sequence) - 1
        return i >= 0 and sequence < self._ends[i]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SequenceSet) and self.ranges() == other.ranges()

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # Mutable.

    def __repr__(self) -> str:
        return f"SequenceSet({self.ranges()})"

    def ranges(self) -> list[tuple[int, int]]:
        """Return the half-open ranges in rising order."""
        return list(zip(self._starts, self._ends, strict=True))

    def add(self, sequence: int) -> None:
        """Add one sequence."""
        ends = self._ends
        if ends and ends[-1] == sequence:  # The usual case: the next one.
            ends[-1] = sequence + 1
        else:
            self.add_range(sequence, sequence + 1)

    def add_all(self, sequences: Iterable[int]) -> None:
        """Add integers; those that follow on each other in one step."""
        start = end = -1
        for sequence in sequences:
            if sequence == end:
                end += 1
                continue
            if end > start:
                self.add_range(start, end)
            start, end = sequence, sequence + 1
        if end > start:
            self.add_range(start, end)

    def add_range(self, start: int, end: int) -> None:
        """Add all of ``start <= sequence < end``."""
        if end <= start:
            return
        starts, ends = self._starts, self._ends
        lo = bisect_right(starts, start)
        if lo and ends[lo - 1] >= start:  # Joins the range before.
            lo -= 1
            start = starts[lo]
            end = max(end, ends[lo])
        hi = lo
        while hi < len(starts) and starts[hi] <= end:  # Swallows the ranges behind.
            end = max(end, ends[hi])
            hi += 1
        starts[lo:hi] = [start]
        ends[lo:hi] = [end]

    def first_missing(self) -> int:
        """Return the smallest sequence from 0 on that is not in the set."""
        return self._ends[0] if self._starts and self._starts[0] == 0 else 0

    def end(self) -> int:
        """Return one more than the greatest sequence in the set (0 if empty)."""
        return self._ends[-1] if self._ends else 0

    def forget_below(self, sequence: int) -> None:
        """Remove all sequences below this one."""
        count = bisect_right(self._ends, sequence)
        del self._starts[:count]
        del self._ends[:count]
        if self._starts and self._starts[0] < sequence:
            self._starts[0] = sequence

    def intersect(self, other: SequenceSet) -> SequenceSet:
        """Return the sequences that both contain."""
        result = SequenceSet(())
        ours, theirs = self.ranges(), other.ranges()
        i = j = 0
        while i < len(ours) and j < len(theirs):
            (a_start, a_end), (b_start, b_end) = ours[i], theirs[j]
            result.add_range(max(a_start, b_start), min(a_end, b_end))
            if a_end <= b_end:
                i += 1
            else:
                j += 1
        return result


class RemoteSequences:
    """The peer's sequences in the order announced, and how far all before are finished.

    They are opaque (any JSON value, here as JSON text), so order of arrival is all there is. But a
    peer whose sequences are numbers may announce one late, because of an older revision of the same
    document; then the checkpoint steps back.
    """

    __slots__ = ("_last", "_last_number", "_late", "_pending", "_since_number")

    def __init__(self, since: str = "") -> None:
        self._last = since
        self._last_number = self._since_number = _number(since)
        self._pending: dict[str, str] = {}  # Sequence -> the one announced before it.
        self._late: dict[str, int] = {}  # The same for those below one announced before.

    def announced(self, sequence: str, *, finished: bool) -> None:
        """Note a row of `changes`; `finished` if its revision isn't wanted."""
        if sequence in self._pending or sequence in self._late:
            if finished:
                self.finished(sequence)
            return
        number = _number(sequence)
        # (A peer that starts over announces what lies before `since`: there is no going by that.)
        if self._since_number < number < self._last_number:
            if not finished:
                self._late[sequence] = number - 1
            return
        if not finished:
            self._pending[sequence] = self._last
        self._last = sequence
        self._last_number = number

    def wanted(self, sequences: Iterable[str]) -> None:
        """Note rows of which the revisions are wanted; those that are noted already stay."""
        pending, late = self._pending, self._late
        for sequence in sequences:
            if sequence not in pending and sequence not in late:
                self.announced(sequence, finished=False)

    def finished(self, sequence: str) -> bool:
        """Note that the row is done with; false if it was not under way."""
        if self._pending.pop(sequence, None) is not None:
            return True
        return bool(self._late) and self._late.pop(sequence, None) is not None

    def __len__(self) -> int:
        return len(self._pending) + len(self._late)

    def __contains__(self, sequence: str) -> bool:
        return sequence in self._pending or sequence in self._late

    def checkpoint(self) -> str:
        """Return the last sequence before the earliest unfinished one ("" if none)."""
        before = next(iter(self._pending.values()), self._last)
        if self._late:
            late = min(self._late.values())
            if late < _number(before):
                return str(late) if late else ""
        return before


def _number(sequence: str) -> int:
    """Return a sequence that is a number, 0 for any other."""
    return int(sequence) if len(sequence) < 20 and sequence.isdecimal() else 0
