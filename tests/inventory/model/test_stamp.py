"""Hybrid times: later than the clock, later than all seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settee_inventory.model.stamp import (
    NEVER,
    Stamp,
    after,
    is_actor,
    is_time,
    milliseconds,
    tick,
    time_of_ns,
)


def test_a_new_time_is_the_clock_s_where_the_clock_is_ahead() -> None:
    assert milliseconds(tick(1_800_000_000_000, NEVER)) == 1_800_000_000_000


def test_a_new_time_is_after_all_seen_where_the_clock_is_behind() -> None:
    seen = tick(1_800_000_000_000, NEVER)
    assert tick(5, seen) == after(seen, 1) > seen
    assert tick(-5, NEVER) > NEVER


@given(st.integers(0, 2**44), st.lists(st.integers(0, 2**44), max_size=300))
def test_times_of_one_device_only_rise(first: int, clocks: list[int]) -> None:
    time = tick(first, NEVER)
    for clock in clocks:
        later = tick(clock, time)
        assert later > time
        assert is_time(later)
        time = later


@given(st.integers(0, 2**60), st.integers(0, 2**60))
def test_times_of_nanoseconds_keep_their_order(one: int, other: int) -> None:
    assert (time_of_ns(one) <= time_of_ns(other)) or one > other
    assert milliseconds(time_of_ns(one)) == one // 1_000_000


def test_equal_times_are_ordered_by_the_actor() -> None:
    assert Stamp(NEVER, "kitchen") < Stamp(NEVER, "van") < Stamp(after(NEVER, 1), "kitchen")


@pytest.mark.parametrize(
    "value", [None, 5, "", "0" * 15, "0" * 17, "G" * 16, "f" * 16, "0" * 15 + "A"]
)
def test_what_is_no_time_is_told(value: object) -> None:
    assert not is_time(value)


def test_a_time_beyond_the_year_9999_is_damage() -> None:
    assert is_time(f"{253_402_300_799_999:012x}ffff")
    assert not is_time(f"{253_402_300_800_000:012x}0000")


@pytest.mark.parametrize("value", [None, 5, "", "a" * 65, "a b", "<b>", "a\n"])
def test_what_is_no_actor_is_told(value: object) -> None:
    assert not is_actor(value)
    assert is_actor("edition-0f")
