"""The last edits, and what takes each back."""

from __future__ import annotations

from settee_inventory.book.undo import EDITS_MAX, Done, Undo, taken_back
from settee_inventory.model import item as items
from settee_inventory.model import quantity as counters
from settee_inventory.model.item import NAME
from settee_inventory.model.stamp import NEVER, Stamp

SEEDED = items.new({NAME: "Apples"}, 10, Stamp(NEVER, "seed"))


def at(time: int, by: str) -> Stamp:
    return Stamp(f"{time:016x}", by)


def test_only_the_last_twenty_are_kept() -> None:
    undo = Undo()
    for number in range(EDITS_MAX + 5):
        undo.add(Done(str(number), NAME, at(number, "van"), ""))
    assert len(undo) == 20
    assert [undo.pop() for _ in range(20)][-1] == Done("5", NAME, at(5, "van"), "")
    assert undo.pop() is None


def test_a_count_is_counted_back_and_what_others_counted_stays() -> None:
    state = items.count(SEEDED, 5, at(1, "kitchen"))
    state = items.count(state, 3, at(2, "van"))
    back = taken_back(state, Done("a", "quantity", at(1, "kitchen"), 5), at(3, "kitchen"))
    assert back
    assert counters.total(back.quantity) == 13


def test_a_set_goes_back_to_what_was_shown() -> None:
    state = items.set_quantity(SEEDED, 50, at(1, "kitchen"))
    state = items.count(state, 3, at(2, "van"))
    back = taken_back(state, Done("a", "quantity", at(1, "kitchen"), 40), at(3, "kitchen"))
    assert back
    assert counters.total(back.quantity) == 13


def test_a_field_that_another_wrote_meanwhile_is_left() -> None:
    mine = items.put(SEEDED, NAME, "Red", at(1, "kitchen"))
    done = Done("a", NAME, at(1, "kitchen"), "Apples")
    back = taken_back(mine, done, at(2, "kitchen"))
    assert back
    assert items.item_of("a", back).name == "Apples"
    theirs = items.put(mine, NAME, "Green", at(2, "van"))
    assert taken_back(theirs, done, at(3, "kitchen")) is None
