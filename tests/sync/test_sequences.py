from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settee.sync.sequences import RemoteSequences, SequenceSet

NUMBERS = st.integers(0, 40)
RANGES = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12)


def members(ranges: list[tuple[int, int]]) -> set[int]:
    return {n for start, end in ranges for n in range(start, end)}


@settings(max_examples=60, deadline=None)
@given(RANGES, RANGES)
def test_a_sequence_set_is_a_set(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
    one, other = SequenceSet(a), SequenceSet(b)
    assert {n for n in range(45) if n in one} == members(a)
    for (_, end), (start, _) in zip(one.ranges(), one.ranges()[1:], strict=False):
        assert end < start, "ranges rise and do not touch"
    assert members(one.intersect(other).ranges()) == members(a) & members(b)
    assert one.intersect(other) == other.intersect(one)
    assert one.end() == max(members(a), default=-1) + 1
    assert one.first_missing() == min(set(range(45)) - members(a))


@settings(max_examples=40, deadline=None)
@given(st.lists(NUMBERS, max_size=30), NUMBERS)
def test_adding_one_by_one_and_forgetting_below(numbers: list[int], below: int) -> None:
    one = SequenceSet(())
    for number in numbers:
        one.add(number)
    assert members(one.ranges()) == set(numbers)
    one.forget_below(below)
    assert members(one.ranges()) == {n for n in numbers if n >= below}


def test_a_new_set_has_sequence_0_done() -> None:
    assert SequenceSet().ranges() == [(0, 1)]
    assert SequenceSet().first_missing() == 1
    assert SequenceSet() != [(0, 1)]
    assert repr(SequenceSet([(3, 5)])) == "SequenceSet([(3, 5)])"
    with pytest.raises(TypeError):
        hash(SequenceSet())


def test_the_checkpoint_stands_before_the_earliest_unfinished() -> None:
    remote = RemoteSequences("7")
    remote.announced("9", finished=False)
    remote.announced('"12:3"', finished=False)
    remote.announced("20", finished=True)
    assert remote.checkpoint() == "7"
    assert remote.finished('"12:3"')
    assert remote.checkpoint() == "7"
    assert remote.finished("9")
    assert remote.checkpoint() == "20"
    assert len(remote) == 0


def test_a_sequence_is_finished_once() -> None:
    remote = RemoteSequences()
    remote.announced("1", finished=False)
    assert remote.finished("1")
    assert not remote.finished("1")
    assert not remote.finished("2")


def test_a_row_announced_again_keeps_its_place() -> None:
    remote = RemoteSequences()
    remote.announced("1", finished=False)
    remote.announced("2", finished=False)
    remote.announced("1", finished=False)
    assert "1" in remote
    assert remote.finished("2")
    assert remote.checkpoint() == ""
    remote.announced("1", finished=True)
    assert remote.checkpoint() == "2"


@pytest.mark.regression("checkpoint moved by something else than the peer's sequence")
@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), max_size=20), st.randoms(use_true_random=False))
def test_whatever_the_order_the_checkpoint_passes_nothing_unfinished(
    wanted: list[bool], chance: object
) -> None:
    remote = RemoteSequences("0")
    open_ = [n for n, want in enumerate(wanted, start=1) if want]
    for n, want in enumerate(wanted, start=1):
        remote.announced(str(n), finished=not want)
    chance.shuffle(open_)  # type: ignore[attr-defined]
    while open_:
        assert int(remote.checkpoint()) == min(open_) - 1
        remote.finished(str(open_.pop()))
    assert remote.checkpoint() == str(len(wanted))


def test_a_number_that_comes_late_takes_the_checkpoint_back_until_it_is_finished() -> None:
    remote = RemoteSequences("10")
    remote.announced("15", finished=True)
    remote.announced("20", finished=False)
    for late in ("13", "12", "14"):
        remote.announced(late, finished=False)
    assert remote.checkpoint() == "11"
    assert len(remote) == 4
    remote.announced("11", finished=True)
    assert remote.finished("12")
    assert not remote.finished("12")
    assert remote.checkpoint() == "12"
    remote.announced("13", finished=True)
    assert remote.checkpoint() == "13"
    remote.finished("14")
    assert remote.checkpoint() == "15"
    remote.finished("20")
    assert remote.checkpoint() == "20"


def test_the_first_number_of_all_may_come_late_too() -> None:
    remote = RemoteSequences()
    remote.announced("2", finished=True)
    remote.announced("1", finished=False)
    assert remote.checkpoint() == ""


def test_a_peer_that_starts_over_is_followed() -> None:
    remote = RemoteSequences("100")
    for n in range(1, 51):
        remote.announced(str(n), finished=True)
    assert remote.checkpoint() == "50", "else what it writes up to 100 would be passed over"


@pytest.mark.parametrize("other", ['"12:3"', '"5"', "1.5", "null", "9" * 30, "²"])
def test_what_is_no_number_goes_by_the_order_of_arrival(other: str) -> None:
    remote = RemoteSequences("7")
    remote.announced("9", finished=True)
    remote.announced(other, finished=False)
    assert remote.checkpoint() == "9"
    remote.finished(other)
    assert remote.checkpoint() == other
