"""Who changed what, when; and what could not merge."""

from __future__ import annotations

from hypothesis import given

from settee_inventory.model import changes
from settee_inventory.model import item as items
from settee_inventory.model.changes import COUNTED, QUANTITY, SET, WRITTEN, Change
from settee_inventory.model.item import NAME, PICTURE, REMOVED, State
from settee_inventory.model.stamp import NEVER, Stamp
from tests.inventory.model.states import STATES

SEEDED = items.new({NAME: "Apples"}, 10, Stamp(NEVER, "seed"))


def at(time: int, by: str) -> Stamp:
    return Stamp(f"{time:016x}", by)


def brief(found: tuple[Change, ...]) -> list[tuple[object, ...]]:
    return [(each.field, each.kind, each.value, each.by) for each in found]


def test_a_difference_tells_each_edit_with_its_device() -> None:
    after = items.count(SEEDED, -2, at(1, "van"))
    after = items.put(after, NAME, "Red apples", at(2, "shop"))
    after = items.count(after, 3, at(3, "kitchen"))
    found = changes.diff(SEEDED, after)
    assert brief(found) == [
        (QUANTITY, COUNTED, -2, "van"),
        (NAME, WRITTEN, "Red apples", "shop"),
        (QUANTITY, COUNTED, 3, "kitchen"),
    ]
    assert found[1].before == "Apples"
    assert changes.diff(after, after) == ()
    assert changes.diff(SEEDED, SEEDED) == ()


def test_only_counts_that_were_not_shown_before_are_told() -> None:
    before = items.count(SEEDED, -2, at(1, "van"))
    after = items.count(before, 3, at(2, "van"))
    assert brief(changes.diff(before, after)) == [(QUANTITY, COUNTED, 3, "van")]


def test_a_set_is_told_with_what_was_counted_after_it() -> None:
    after = items.count(items.set_quantity(SEEDED, 7, at(5, "shop")), 1, at(6, "van"))
    assert brief(changes.diff(SEEDED, after)) == [
        (QUANTITY, SET, 7, "shop"),
        (QUANTITY, COUNTED, 1, "van"),
    ]


def test_an_edit_that_lost_is_no_change() -> None:
    late = items.put(SEEDED, NAME, "Late", at(9, "van"))
    early = items.put(SEEDED, NAME, "Early", at(5, "shop"))
    assert changes.diff(late, items.merged(late, early)) == ()
    assert brief(changes.diff(early, items.merged(late, early))) == [(NAME, WRITTEN, "Late", "van")]


def test_history_is_newest_first_and_leaves_out_what_was_seeded() -> None:
    state = items.count(SEEDED, 1, at(1 << 16, "van"))
    state = items.put(state, NAME, "Red", at(2 << 16, "shop"))
    assert [(each.by, each.ms) for each in changes.history(state)] == [("shop", 2), ("van", 1)]
    assert changes.history(SEEDED) == ()


def test_two_pictures_at_once_are_a_conflict_and_any_can_be_restored() -> None:
    one = items.put(SEEDED, PICTURE, {"image": 1}, at(1, "van"))
    other = items.put(SEEDED, PICTURE, {"image": 2}, at(2, "shop"))
    both = items.merged(one, other)
    (conflict,) = changes.conflicts(both)
    assert (conflict.field, conflict.shown.by) == (PICTURE, "shop")
    assert [(each.by, each.value) for each in conflict.others] == [("van", {"image": 1})]
    restored = items.put(both, PICTURE, conflict.others[0].value, at(3, "kitchen"))
    assert changes.conflicts(items.merged(restored, both)) == ()


def test_an_item_removed_here_and_used_there_is_a_conflict() -> None:
    removed = items.put(SEEDED, REMOVED, True, at(1, "shop"))
    used = items.count(SEEDED, -1, at(2, "van"))
    (conflict,) = changes.conflicts(items.merged(removed, used))
    assert (conflict.field, conflict.shown.by) == (REMOVED, "shop")
    assert conflict.others == (("0" * 15 + "2", "van", False),)


def test_an_item_used_and_then_removed_is_none() -> None:
    used = items.count(SEEDED, -1, at(1, "van"))
    removed = items.put(used, REMOVED, True, at(2, "shop"))
    assert changes.conflicts(removed) == ()


def test_an_item_removed_and_then_used_by_the_same_device_is_none() -> None:
    removed = items.put(SEEDED, REMOVED, True, at(1, "shop"))
    assert changes.conflicts(items.count(removed, -1, at(2, "shop"))) == ()


def test_a_removed_item_that_somebody_decided_about_is_none() -> None:
    both = items.merged(
        items.put(SEEDED, REMOVED, True, at(1, "shop")), items.count(SEEDED, -1, at(2, "van"))
    )
    assert changes.conflicts(items.put(both, REMOVED, True, at(3, "kitchen"))) == ()
    assert changes.conflicts(items.put(both, REMOVED, False, at(3, "kitchen"))) == ()


@given(STATES, STATES)
def test_differences_of_any_two_states_can_be_told(one: State, other: State) -> None:
    changes.diff(one, items.merged(one, other))
    changes.conflicts(items.merged(one, other))
    assert changes.diff(one, one) == ()
