"""Resolvers: what settee is given when two devices edited apart."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from settee import Conflict, Document
from settee_inventory.model import item as items
from settee_inventory.model import resolver
from settee_inventory.model.item import NAME, State
from settee_inventory.model.stamp import NEVER, Stamp
from tests.inventory.model.states import STATES

SEEDED = items.new({NAME: "Apples"}, 10, Stamp(NEVER, "seed"))


def conflict(local: Any, remote: Any) -> Conflict:
    def document(body: Any) -> Document | None:
        return None if body is None else Document("item::apples", body)

    return Conflict(
        document_id="item::apples",
        collection="shop.items",
        local=document(local),
        remote=document(remote),
    )


def test_counts_of_both_sides_are_kept_and_told() -> None:
    mine = items.count(SEEDED, 3, Stamp("0" * 15 + "1", "kitchen"))
    theirs = items.count(SEEDED, -2, Stamp("0" * 15 + "1", "van"))
    told: list[tuple[Any, ...]] = []
    resolve = resolver.item_resolver(lambda *merge: told.append(merge))
    body = resolve(conflict(items.write(mine), items.write(theirs)))
    assert body["quantity"] == 11
    assert told == [("item::apples", mine, theirs, items.read(body))]


def test_the_side_that_holds_all_is_returned_as_a_newer_revision() -> None:
    newer = items.count(SEEDED, 3, Stamp("0" * 15 + "1", "kitchen"))
    resolve = resolver.item_resolver()
    both = conflict(items.write(newer), items.write(SEEDED))
    assert resolve(both) is not both.local
    assert resolve(both) == both.local
    both = conflict(items.write(SEEDED), items.write(newer))
    assert resolve(both) == both.remote


def test_a_deletion_never_wins_over_an_item() -> None:
    resolve = resolver.item_resolver()
    here = conflict(items.write(SEEDED), None)
    assert resolve(here) is here.local
    there = conflict(None, items.write(SEEDED))
    assert resolve(there) is there.remote


@given(STATES, STATES)
def test_both_sides_come_to_the_same_document(one: State, other: State) -> None:
    resolve = resolver.item_resolver()
    here = resolve(conflict(items.write(one), items.write(other)))
    there = resolve(conflict(items.write(other), items.write(one)))
    assert Document("a", here) == Document("a", there)


def test_of_two_profiles_the_later_stands() -> None:
    old, new = {"name": "A", "at": "0" * 16}, {"name": "B", "at": "0" * 15 + "1"}
    for both in (conflict(old, new), conflict(new, old)):
        chosen = resolver.resolve_profile(both)
        assert chosen in (both.local, both.remote)
        assert chosen["name"] == "B"
    damaged = conflict({"name": "C", "at": 5}, old)
    assert resolver.resolve_profile(damaged)["name"] == "C", "ties go to the greater text"
    gone = conflict(None, old)
    assert resolver.resolve_profile(gone) is gone.remote
