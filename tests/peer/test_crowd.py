"""Of a crowd that holds too much, the one that holds most is named."""

from __future__ import annotations

import pytest

from settee.peer.crowd import Crowd


def test_below_the_limit_and_at_it_nobody_has_to_go() -> None:
    crowd: Crowd[str] = Crowd(100)
    assert crowd.holds("a", 60) is None
    assert crowd.holds("b", 40) is None
    assert crowd.total_bytes == 100


@pytest.mark.parametrize("over", [1, 10_000])
def test_above_it_the_one_that_holds_most_has_to(over: int) -> None:
    crowd: Crowd[str] = Crowd(100)
    crowd.holds("a", 60)
    assert crowd.holds("b", 40 + over) == ("a" if over == 1 else "b")


def test_what_is_given_back_counts_no_more() -> None:
    crowd: Crowd[str] = Crowd(100)
    crowd.holds("a", 90)
    crowd.holds("a", 30)
    assert crowd.holds("b", 70) is None
    crowd.holds("a", 0)
    assert crowd.total_bytes == 70
    assert crowd.holds("c", 30) is None
