"""Vectors and the clock behind them, against what really happened."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settee.doc.version import (
    TIME_MIN,
    HybridClock,
    Order,
    Vector,
    Version,
    compare,
    edit,
    entries,
    format_vector,
    merge,
    parse_vector,
    source_text,
)
from tests.prop import examples

AUTHORS = [source_text(f"{n:02x}" * 16) for n in range(1, 5)]
NS = 10**9


class Seen(NamedTuple):
    """A revision, and every version that truly went into it."""

    vector: Vector
    versions: frozenset[Version]


def truth(a: Seen, b: Seen) -> Order:
    if a.vector.cv == b.vector.cv:
        return Order.SAME
    return {
        (True, True): Order.MUTUAL,
        (True, False): Order.NEWER,
        (False, True): Order.OLDER,
        (False, False): Order.CONFLICT,
    }[b.vector.cv in a.versions, a.vector.cv in b.versions]


steps = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)


@pytest.mark.property(number=2)
@examples(20)
@given(steps)
def test_vectors_compare_as_what_was_really_seen(steps: list[tuple[int, int]]) -> None:
    """A step from a peer to itself is an edit; to another one, that one hears of the revision."""
    held: list[Seen | None] = [None] * len(AUTHORS)
    ever: list[Seen] = []
    time = TIME_MIN
    for giver, taker in steps:
        time += 1 << 16
        version = Version(time, AUTHORS[taker])
        mine, theirs = held[taker], held[giver]
        if giver == taker:
            before = frozenset() if mine is None else mine.versions
            vector = edit(None if mine is None else mine.vector, version)
            made = Seen(vector, before | {version})
        elif theirs is None:
            continue
        elif mine is None or truth(theirs, mine) is Order.NEWER:
            made = theirs
        elif truth(theirs, mine) is Order.CONFLICT:
            merged = merge(mine.vector, theirs.vector, version)
            for source, at in {**entries(mine.vector), **entries(theirs.vector)}.items():
                assert entries(merged)[source] >= at, "a merge is above both"
            made = Seen(merged, mine.versions | theirs.versions | {version})
        else:
            continue
        held[taker] = made
        ever.append(made)
    for a in ever:
        assert parse_vector(format_vector(a.vector)) == a.vector
        for b in ever:
            assert compare(a.vector, b.vector) is truth(a, b)


@pytest.mark.property(number=3)
@examples(20)
@given(
    st.integers(0, 2**61),
    st.lists(st.tuples(st.integers(0, 2**61), st.sampled_from(["now", "take", "hear"]))),
)
def test_times_rise_whatever_the_clock_says(last: int, moments: list[tuple[int, str]]) -> None:
    clock = HybridClock(last)
    before = last
    for wall_ns, what in moments:
        if what == "now":
            times = [clock.now(wall_ns)]
        elif what == "take":
            times = list(clock.take(3, wall_ns))
        else:  # Another's time, at most two minutes ahead, moves ours and never back.
            heard = max(TIME_MIN, wall_ns + 119 * NS)
            if heard <= wall_ns + 120 * NS:
                clock.observe(heard, wall_ns)
                assert clock.last >= max(before, heard)
            before = clock.last
            continue
        assert times == sorted(set(times))
        assert times[0] > before
        assert times[0] >= wall_ns & ~0xFFFF
        before = times[-1]
        clock = HybridClock(before)  # As after a restart.
