"""Fields that are written whole: the later is shown, what was written apart is kept."""

from __future__ import annotations

import pytest
from hypothesis import given

from settee_inventory.model import fields as registers
from settee_inventory.model.fields import EMPTY, Fields
from settee_inventory.model.stamp import Stamp
from tests.inventory.model.states import STATES

FIELDS = STATES.map(lambda state: state.fields)


def at(time: int, by: str) -> Stamp:
    return Stamp(f"{time:016x}", by)


APPLES = registers.put(EMPTY, "name", "Apples", at(1, "kitchen"))


def test_a_later_edit_that_knew_the_earlier_leaves_no_conflict() -> None:
    renamed = registers.put(APPLES, "name", "Red apples", at(2, "van"))
    both = registers.joined(APPLES, renamed)
    assert both == renamed == registers.joined(renamed, APPLES)
    assert registers.value_of(both, "name") == "Red apples"
    assert registers.rivals(both, "name") == ()


def test_two_names_given_apart_are_both_kept_and_the_later_is_shown() -> None:
    red = registers.put(APPLES, "name", "Red apples", at(3, "van"))
    green = registers.put(APPLES, "name", "Green apples", at(2, "shop"))
    both = registers.joined(green, red)
    assert registers.value_of(both, "name") == "Red apples"
    assert [each.value for each in registers.rivals(both, "name")] == ["Green apples"]
    decided = registers.put(both, "name", "Green apples", at(4, "kitchen"))
    for old in (red, green, both):
        assert registers.joined(decided, old) == decided
    assert registers.rivals(decided, "name") == ()


def test_two_equal_names_given_apart_are_no_conflict() -> None:
    one = registers.put(APPLES, "name", "Red apples", at(3, "van"))
    other = registers.put(APPLES, "name", "Red apples", at(2, "shop"))
    assert registers.rivals(registers.joined(one, other), "name") == ()


def test_edits_of_different_fields_both_stand() -> None:
    unit = registers.put(APPLES, "unit", "kg", at(2, "van"))
    name = registers.put(APPLES, "name", "Red apples", at(3, "shop"))
    both = registers.joined(unit, name)
    assert registers.value_of(both, "unit") == "kg"
    assert registers.value_of(both, "name") == "Red apples"
    assert registers.shown(both, "picture") is None


def test_what_the_writer_had_not_seen_is_kept_beside_and_told_to_all() -> None:
    red = registers.put(APPLES, "name", "Red apples", at(2, "van"))
    beside = registers.unseen(red, "name", ["Apples"], "shop")
    mine = registers.put(red, "name", "Our apples", at(3, "shop"), beside)
    assert registers.value_of(mine, "name") == "Our apples"
    assert [each.value for each in registers.rivals(mine, "name")] == ["Red apples"]
    for known in (APPLES, red):
        assert registers.joined(mine, known) == registers.joined(known, mine) == mine
    again = registers.put(
        mine,
        "name",
        "All our apples",
        at(4, "shop"),
        registers.unseen(mine, "name", ["Apples"], "shop"),
    )
    assert [each.value for each in registers.rivals(again, "name")] == ["Red apples"]


def test_what_the_writer_had_seen_or_wrote_is_written_over() -> None:
    red = registers.put(APPLES, "name", "Red apples", at(2, "van"))
    assert registers.unseen(red, "name", ["Apples", "Red apples"], "shop") == ()
    assert registers.unseen(red, "name", ["Apples"], "van") == ()
    assert registers.unseen(red, "unit", [], "shop") == ()


@given(FIELDS, FIELDS)
def test_joining_is_commutative(one: Fields, other: Fields) -> None:
    assert registers.joined(one, other) == registers.joined(other, one)


@given(FIELDS, FIELDS, FIELDS)
def test_joining_is_associative(a: Fields, b: Fields, c: Fields) -> None:
    left = registers.joined(registers.joined(a, b), c)
    assert left == registers.joined(a, registers.joined(b, c))


@given(FIELDS, FIELDS)
def test_joining_again_changes_nothing(one: Fields, other: Fields) -> None:
    both = registers.joined(one, other)
    assert registers.joined(both, Fields(dict(both.versions), dict(both.seen))) == both
    assert registers.joined(both, other) == both == registers.joined(one, both)


@given(FIELDS)
def test_what_is_written_is_read_again(fields: Fields) -> None:
    assert registers.read(registers.write(fields)) == fields


@pytest.mark.parametrize(
    "damage",
    [
        None,
        5,
        {"fields": 5},
        {"fields": {"name": 5}},
        {"fields": {"name": [{"at": 5}]}},
        {"seen": 5},
    ],
)
def test_damage_counts_as_nothing(damage: object) -> None:
    assert registers.read(damage) == EMPTY
