"""Whole lives of fleets, a few of them; `python -m tests.simulation` runs many.

What happens in them is in `plan`, what must hold in `invariants`. Here: that a life is green, that
the same seed gives the same trace, that the model notices what is wrong, and that a red seed is
told in a line that runs it again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.fleet import Outcome, Violation, run
from tests.simulation.many import known_seeds, one, simulate
from tests.simulation.model import Model, Seen
from tests.simulation.plan import FAULTS, draw

KEY = ("_default", "item::1")


@pytest.mark.slow
def test_a_life_is_green_and_the_same_seed_gives_the_same_trace(tmp_path: Path) -> None:
    """Slow: two lives, each with 40 minutes of heartbeats."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plan = draw(2)
    first = run(plan.without(plan.events[:40]), tmp_path / "a")
    second = run(plan.without(plan.events[:40]), tmp_path / "b")
    assert first.violation is None
    assert first.trace == second.trace


def test_a_body_that_lost_a_token_has_gone_back() -> None:
    model = Model()
    old = Seen(False, frozenset({"1.p0", "2.p0"}), "b@x", "")
    new = Seen(False, frozenset({"1.p0"}), "a@x", "")
    problem = model.follows(KEY, old, new)
    assert problem is not None
    assert problem[0] == "I8"
    assert model.follows(KEY, new, old) is None
    joined = Seen(False, new.log, "c@x", "")  # Seed 830: made of two branches, by a later clock.
    assert model.follows(KEY, old, joined) is None


def test_a_document_that_is_back_after_its_deletion_is_noticed_unless_it_was_written_again() -> (
    None
):
    model = Model()
    first = model.begin("p0", KEY, None, deletes=False)
    model.acknowledge(first, "a@x")
    alive = Seen(False, first.log, "a@x", "")
    deletion = model.begin("p0", KEY, alive, deletes=True)
    model.acknowledge(deletion, "b@x")
    tombstone = Seen(True, frozenset(), "b@x", "")
    problem = model.follows(KEY, tombstone, alive)
    assert problem is not None
    assert problem[0] == "I3"
    again = model.begin("p1", KEY, tombstone, deletes=False)
    assert model.follows(KEY, tombstone, Seen(False, again.log, "c@y", "")) is None


def test_a_tombstone_that_a_resolver_made_may_be_written_over_too() -> None:
    model = Model(joins_roots=True)
    again = model.begin("p1", KEY, Seen(True, frozenset(), "b@x", ""), deletes=False)
    merged = Seen(True, frozenset(), "b@x", "")
    assert model.follows(KEY, merged, Seen(False, again.log, "c@y", "")) is None


@pytest.mark.parametrize("trees", [True, False])
def test_the_first_revision_of_a_joined_branch_may_come_back_where_there_are_trees(
    trees: bool,
) -> None:
    """Seed 8484. What was written on top of it may not."""
    model = Model(joins_roots=True, loses_roots=trees)
    first = model.begin("p0", KEY, None, deletes=False)
    model.acknowledge(first, "a@x")
    root = Seen(False, first.log, "a@x", "")
    second = model.begin("p0", KEY, root, deletes=False)
    model.acknowledge(second, "b@x")
    edited = Seen(False, second.log, "b@x", "")
    model.acknowledge(model.begin("p0", KEY, edited, deletes=True), "c@x")
    tombstone = Seen(True, frozenset(), "c@x", "")
    assert (model.follows(KEY, tombstone, root) is None) is trees
    assert model.follows(KEY, tombstone, edited) is not None


def test_a_peer_that_was_put_back_before_its_deletion_may_write_on() -> None:
    """Seed 88: it goes by the same name as before, so that what it writes stands above."""
    model = Model()
    first = model.begin("p0", KEY, None, deletes=False)
    model.acknowledge(first, "a@x")
    alive = Seen(False, first.log, "a@x", "")
    model.acknowledge(model.begin("p0", KEY, alive, deletes=True), "b@x")
    model.forget("p0", entirely=False)
    written = model.begin("p0", KEY, alive, deletes=False)
    tombstone = Seen(True, frozenset(), "b@x", "")
    assert model.follows(KEY, tombstone, Seen(False, written.log, "c@x", "")) is None


def test_an_acknowledged_write_that_is_missing_in_the_end_is_noticed() -> None:
    model = Model()
    first = model.begin("p0", KEY, None, deletes=False)
    model.acknowledge(first, "a@x")
    second = model.begin("p0", KEY, Seen(False, first.log, "a@x", ""), deletes=False)
    model.acknowledge(second, "b@x")
    assert model.lost_by("p0", {KEY: Seen(False, second.log, "b@x", "")}, merges=False) is None
    assert model.lost_by("p0", {KEY: Seen(False, first.log, "a@x", "")}, merges=False) is not None
    assert model.lost_by("p0", {}, merges=False) is not None


def test_a_red_seed_is_told_in_one_line_that_runs_it_again() -> None:
    line = Outcome(draw(8123), Violation("I4", "2", 412.34, "it is ahead")).line
    assert line.startswith("sim FAIL seed=8123 commit=")
    assert " I4 peer=2 t=412.3s opts={" in line
    assert line.endswith("rerun: python -m tests.simulation --seed 8123 --trace")
    assert "\n" not in line


@pytest.mark.slow
def test_each_fault_is_drawn_in_a_tenth_to_a_half_of_the_seeds() -> None:
    """Slow: draws 200 plans."""
    plans = [draw(seed) for seed in range(200)]
    for name in FAULTS:
        share = sum(name in plan.faults for plan in plans) / len(plans)
        assert 0.1 <= share <= 0.5, name
    assert {plan.peers for plan in plans} == {2, 3, 4, 5, 6, 7}
    assert all(100 <= len(plan.events) <= 640 for plan in plans)


@pytest.mark.slow
@pytest.mark.parametrize("seed", known_seeds())
def test_a_seed_that_was_red_once_is_green(seed: int) -> None:
    """Slow: a life takes about a second."""
    outcome = one(seed)
    assert outcome.violation is None, outcome.line


@pytest.mark.slow
def test_each_operation_meets_each_fault_five_times_in_two_hundred_seeds() -> None:
    """Slow: runs 200 lives, some minutes on two cores."""
    total = simulate(list(range(200)), workers=2, unfinished=None)
    assert total["red"] == []
    operations = [name for name in total["done"] if name not in FAULTS and name != "stopped"]
    rare = {
        f"{operation} {fault}": total["pairs"].get(f"{operation} {fault}", 0)
        for operation in operations
        for fault in FAULTS
    }
    assert {pair: count for pair, count in rare.items() if count < 5} == {}
