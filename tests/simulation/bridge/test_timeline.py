"""Virtual time runs what is due, in order."""

from __future__ import annotations

from tests.simulation.bridge.timeline import Timeline


def test_what_is_due_runs_in_the_order_of_time_then_of_asking() -> None:
    timeline, ran = Timeline(), []
    timeline.call_later(2, ran.append, "c")
    timeline.call_later(1, ran.append, "a")
    timeline.call_soon(lambda: timeline.call_at(1, ran.append, "b"))
    timeline.call_later(1, ran.append, "never").cancel()
    timeline.run_for(1.5)
    assert (ran, timeline.time()) == (["a", "b"], 1.5)
    timeline.run_for(1)
    assert (ran, timeline.time()) == (["a", "b", "c"], 2.5)


def test_it_stops_when_something_is_done_and_tells_when_nothing_is_left() -> None:
    timeline, ran = Timeline(), []
    for delay_s in (1, 2, 30):
        timeline.call_later(delay_s, ran.append, delay_s)
    assert timeline.run_until(lambda: len(ran) == 2, 10)
    assert timeline.time() == 2
    assert not timeline.run_until(lambda: len(ran) == 3, 10)
    assert timeline.run_until(lambda: len(ran) == 3, 100)
    assert not timeline.run_until(lambda: False, 100)
