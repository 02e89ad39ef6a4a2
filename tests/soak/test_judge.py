"""What a soak is judged by: a figure over its bound is seen, and what was taken back too."""

from __future__ import annotations

from typing import Any

from tests.soak.judge import Judge, taken_back


def judged(minutes: float = 30, **changes: Any) -> dict[str, bool]:
    """Judge a run in which one value rises from what is usual to what is given."""
    judge = Judge(minutes)
    life = judge.life("first")
    count = 40
    for n in range(count):
        usual: dict[str, Any] = {"rss_mib": 60.0, "fds": 20, "threads": 9, "wal_mib": 4.0}
        state = {**usual, "loop_lags": [0.01], "arrivals": [0.1], "operations": n, "documents": n}
        for name, value in changes.items():
            before = state[name]
            if isinstance(value, list):
                state[name] = value
            else:
                state[name] = before + (value - before) * n / (count - 1)
        judge.take(life, n / count * minutes * 60, state, calm=True)
    return {figure.what: figure.holds(1) for figure in judge.figures()}


def bad(minutes: float = 30, **changes: Any) -> list[str]:
    return [what for what, holds in judged(minutes, **changes).items() if not holds]


def test_what_is_usual_is_good() -> None:
    assert bad() == []
    assert len(judged()) == 7


def test_each_figure_over_its_bound_is_seen() -> None:
    assert "memory of a peer" in bad(rss_mib=250.0)
    assert bad(rss_mib=80.0) == ["growth at the end"]
    assert bad(rss_mib=61.0) == []
    assert bad(rss_mib=65.0, minutes=240) == ["growth of the first peer"]
    assert bad(fds=40) == ["handles, spread in calm"]
    assert bad(threads=18) == ["threads, spread in calm"]
    assert bad(wal_mib=100.0) == ["log of a database"]
    assert bad(loop_lags=[0.5]) == ["lag of a loop, p99"]
    assert bad(arrivals=[6.0]) == ["until a change arrives, p99"]


def test_in_a_short_run_growth_is_not_judged() -> None:
    assert not [what for what in judged(minutes=1, rss_mib=80.0) if "growth" in what]


def test_what_happens_while_it_warms_up_counts_for_nothing() -> None:
    judge = Judge(10)
    life = judge.life("first")
    state: dict[str, Any] = {"rss_mib": 999.0, "fds": 1, "threads": 1, "wal_mib": 99.0}
    state |= {"loop_lags": [9.0], "arrivals": [99.0], "operations": 1, "documents": 1}
    judge.take(life, 100, state, calm=True)
    assert judge.figures() == []
    state |= {"rss_mib": 9.0, "wal_mib": 1.0, "loop_lags": [0.0], "arrivals": [0.0]}
    judge.take(life, 130, state, calm=True)
    assert all(figure.holds(1) for figure in judge.figures())


def test_what_was_saved_and_is_gone_or_old_is_taken_back() -> None:
    journal = [("a", 1), ("a", 2), ("b", 3), ("c", 4)]
    assert taken_back(journal, {"a": 2, "b": 3, "c": 4}) == []
    assert taken_back(journal, {"a": 2, "b": 3, "c": 5}) == []
    assert taken_back(journal, {"a": 1, "b": 3}) == ["a", "c"]
