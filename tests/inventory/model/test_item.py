"""Items: their documents, edits and merges."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from settee_inventory.model import item as items
from settee_inventory.model.item import NAME, PICTURE, REMOVED, State
from settee_inventory.model.stamp import NEVER, Stamp
from tests.inventory.model.states import BODIES, JSON, STATES

BLOB = {"@type": "blob", "digest": "sha1-VVVVVVVVVVVVVVVVVVVVVVVVVVU=", "content_type": "image/png"}
THUMB = BLOB | {"digest": "sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA="}
SEED = Stamp(NEVER, "seed")


def apples(**values: Any) -> State:
    return items.new({NAME: "Apples", **values}, 10, SEED)


def test_an_item_is_seen_as_it_was_made() -> None:
    state = apples(unit="kg", warn_under=12, picture={"image": BLOB, "thumb": THUMB})
    item = items.item_of("item::apples", state)
    assert (item.name, item.quantity, item.unit, item.warn_under) == ("Apples", 10, "kg", 12)
    assert item.low
    assert item.picture == (BLOB["digest"], "image/png", THUMB["digest"], True)
    assert (item.changed_ms, item.changed_by, item.removed) == (0, "", False)


def test_the_document_has_plain_values_for_whoever_reads() -> None:
    body = items.write(apples(picture={"image": BLOB}))
    assert body["type"] == "item"
    assert (body["name"], body["quantity"], body["image"]) == ("Apples", 10, BLOB)
    assert REMOVED not in body


def test_a_document_that_knows_nothing_of_the_model_is_an_item_too() -> None:
    body = {"type": "item", "name": "Apples", "quantity": 10, "image": BLOB, "shelf": 3}
    state = items.read(body)
    item = items.item_of("item::apples", state)
    assert (item.name, item.quantity, item.picture and item.picture.thumb) == (
        "Apples",
        10,
        BLOB["digest"],
    )
    written = items.write(items.count(state, 2, items.stamped(state, 1, "van")))
    assert written["shelf"] == 3
    assert written["quantity"] == 12


def test_an_edit_is_stamped_after_all_that_the_item_knows() -> None:
    state = items.count(apples(), 1, Stamp("0" * 15 + "9", "van"))
    state = items.put(state, NAME, "Red", Stamp("0" * 15 + "7", "shop"))
    assert items.stamped(state, 0, "kitchen") == ("0" * 15 + "a", "kitchen")
    assert items.stamped(None, 1, "kitchen") == (f"{1:012x}0000", "kitchen")


def test_removing_is_an_edit_that_can_be_taken_back() -> None:
    state = apples()
    gone = items.put(state, REMOVED, True, items.stamped(state, 1, "van"))
    assert items.is_removed(gone)
    assert items.write(gone)["removed"] is True
    back = items.put(gone, REMOVED, False, items.stamped(gone, 1, "shop"))
    assert not items.is_removed(items.merged(gone, back))


def test_who_changed_it_last_is_told() -> None:
    state = apples()
    state = items.count(state, 1, items.stamped(state, 1_000, "van"))
    state = items.put(state, PICTURE, None, items.stamped(state, 2_000, "shop"))
    item = items.item_of("a", state)
    assert (item.changed_ms, item.changed_by, item.picture) == (2_000, "shop", None)


@given(BODIES)
def test_no_document_however_damaged_makes_reading_fail(body: dict[str, Any]) -> None:
    state = items.read(body)
    items.item_of("a", state)
    json.dumps(items.write(state))


@given(st.dictionaries(st.sampled_from(["name", "quantity", "image", "merge", "removed"]), JSON))
def test_nor_does_one_of_another_kind(body: dict[str, Any]) -> None:
    state = items.read(body)
    items.item_of("a", state)
    assert items.read(items.write(state)) == state


@given(STATES)
def test_what_is_written_is_read_again(state: State) -> None:
    assert items.read(json.loads(json.dumps(items.write(state)))) == state


@given(STATES, STATES)
def test_merging_is_commutative_to_the_byte(one: State, other: State) -> None:
    assert written(items.merged(one, other)) == written(items.merged(other, one))


@given(STATES, STATES, STATES)
def test_merging_is_associative_to_the_byte(a: State, b: State, c: State) -> None:
    left = items.merged(items.merged(a, b), c)
    assert written(left) == written(items.merged(a, items.merged(b, c)))


@given(STATES, STATES)
def test_merging_again_changes_nothing(one: State, other: State) -> None:
    both = items.merged(one, other)
    assert written(items.merged(both, items.read(items.write(both)))) == written(both)
    assert written(items.merged(both, other)) == written(both)


def written(state: State) -> str:
    return json.dumps(items.write(state), sort_keys=True)
