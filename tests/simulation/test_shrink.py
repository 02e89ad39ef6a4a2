"""A red life is made shorter for as long as it stays red."""

from __future__ import annotations

import time

from tests.simulation.shrink import fewest


def soon() -> float:
    return time.monotonic() + 60


def test_only_what_it_takes_is_left_in_order() -> None:
    tried: list[list[int]] = []

    def red(items: list[int]) -> bool:
        tried.append(items)
        return {3, 41, 77} <= set(items)

    assert fewest(range(100), red, soon()) == [3, 41, 77]
    assert len(tried) < 120


def test_nothing_is_left_of_what_is_red_anyway() -> None:
    assert fewest(range(10), lambda _: True, soon()) == []


def test_all_of_it_is_left_if_it_takes_all_or_if_there_is_no_time() -> None:
    assert fewest(range(9), lambda items: len(items) == 9, soon()) == list(range(9))
    assert fewest(range(9), lambda _: True, time.monotonic() - 1) == list(range(9))
