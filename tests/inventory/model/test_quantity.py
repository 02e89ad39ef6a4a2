"""Counts and sets: the quantity is what all edits make in order of their stamps."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settee_inventory.model import quantity as counters
from settee_inventory.model.quantity import LOG_COUNTS_MAX, ZERO, Quantity
from settee_inventory.model.stamp import Stamp
from tests.inventory.model.fleet import MINUS, PLUS, SET, Fleet
from tests.inventory.model.states import STATES

QUANTITIES = STATES.map(lambda state: state.quantity)


def at(time: int, by: str = "kitchen") -> Stamp:
    return Stamp(f"{time:016x}", by)


def test_plus_three_here_and_minus_two_there_is_plus_one_in_either_order() -> None:
    here = counters.count(ZERO, 3, at(1, "kitchen"))
    there = counters.count(ZERO, -2, at(2, "van"))
    assert counters.total(counters.joined(here, there)) == 1
    assert counters.joined(here, there) == counters.joined(there, here)


def test_a_set_drops_what_was_counted_before_it_and_not_what_was_after() -> None:
    counted = counters.count(counters.count(ZERO, 5, at(1, "van")), 7, at(4, "van"))
    stock_taking = counters.set_to(ZERO, 20, at(3, "shop"))
    assert counters.total(counters.joined(counted, stock_taking)) == 27
    assert counters.total(counters.joined(stock_taking, counted)) == 27


def test_the_latest_set_wins_whichever_arrives_last() -> None:
    early, late = counters.set_to(ZERO, 1, at(1, "van")), counters.set_to(ZERO, 2, at(2, "shop"))
    assert counters.total(counters.joined(late, early)) == 2
    assert counters.total(counters.set_to(late, 1, at(1, "van"))) == 2


def test_two_sets_at_one_moment_are_ordered_by_their_device() -> None:
    one, other = counters.set_to(ZERO, 9, at(5, "shop")), counters.set_to(ZERO, 1, at(5, "van"))
    assert counters.total(counters.joined(one, other)) == 1
    assert counters.total(counters.joined(other, one)) == 1


def test_a_quantity_below_zero_is_told_as_it_is() -> None:
    one = counters.set_to(ZERO, 1, at(1))
    both = counters.joined(
        counters.count(one, -1, at(2, "shop")), counters.count(one, -1, at(2, "van"))
    )
    assert counters.total(both) == -1


def test_a_log_that_grows_long_is_folded_and_the_sum_stays() -> None:
    quantity = counters.set_to(ZERO, 100, at(1))
    for step in range(3 * LOG_COUNTS_MAX):
        old = quantity
        quantity = counters.count(quantity, 1, at(step + 2))
        assert counters.joined(old, quantity) == quantity == counters.joined(quantity, old)
    assert counters.total(quantity) == 100 + 3 * LOG_COUNTS_MAX
    assert len(quantity.logs["kitchen"]) <= LOG_COUNTS_MAX
    late = counters.set_to(quantity, 0, at(3 * LOG_COUNTS_MAX - 10))
    assert counters.total(late) == 11, "a set amid the latest counts is exact all the same"


@given(QUANTITIES, QUANTITIES)
def test_joining_is_commutative(one: Quantity, other: Quantity) -> None:
    assert counters.joined(one, other) == counters.joined(other, one)


@given(QUANTITIES, QUANTITIES, QUANTITIES)
def test_joining_is_associative(a: Quantity, b: Quantity, c: Quantity) -> None:
    left = counters.joined(counters.joined(a, b), c)
    assert left == counters.joined(a, counters.joined(b, c))


@given(QUANTITIES, QUANTITIES)
def test_joining_again_changes_nothing(one: Quantity, other: Quantity) -> None:
    both = counters.joined(one, other)
    assert counters.joined(both, both) == both
    assert counters.joined(both, other) == both == counters.joined(one, both)


@given(QUANTITIES)
def test_what_is_written_is_read_again(quantity: Quantity) -> None:
    assert counters.read(counters.write(quantity)) == quantity


@pytest.mark.parametrize("damage", [None, [], {"set": 5}, {"counts": {"a b": {}}}, {"counts": []}])
def test_damage_counts_as_nothing(damage: object) -> None:
    assert counters.read(damage) == ZERO


def test_a_number_that_json_readers_would_spoil_is_left_out() -> None:
    huge = {
        "set": {"value": 2**53, "at": "0" * 16, "by": "van"},
        "counts": {"van": {"1" * 16: 0.5}},
    }
    assert counters.total(counters.read(huge)) == 0
    assert counters.total(counters.read({"set": {"value": True, "at": "0" * 16, "by": "v"}})) == 0


@given(st.integers(0, 2**32))
def test_five_devices_with_plus_minus_set_and_partitions_arrive_at_exact_sums(seed: int) -> None:
    play(seed, "abcde", edits=60)


def play(seed: int, names: str, edits: int) -> None:
    fleet = Fleet(seed, names)
    groups = fleet.partition()
    for _ in range(edits):
        fleet.edit((PLUS, MINUS, PLUS, MINUS, SET))
        if fleet.chance.random() < 0.4:
            fleet.meet(fleet.chance.choice(groups))
        if fleet.chance.random() < 0.1:
            groups = fleet.partition()
    fleet.settle()
    for device in fleet.devices:
        assert {id: device.total(id) for id in "ab"} == {id: fleet.right(id) for id in "ab"}


@pytest.mark.slow  # 60 longer runs of the simulation.
def test_many_longer_runs_are_exact_too() -> None:
    chance = random.Random(6)
    for _ in range(60):
        play(chance.randrange(2**32), "abcde", edits=400)
