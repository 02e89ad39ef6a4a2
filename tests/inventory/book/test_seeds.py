"""The sample list as items."""

from __future__ import annotations

from settee_inventory.book.seeds import SAMPLE, seeds
from settee_inventory.data import ITEMS
from settee_inventory.model import item as items


def test_the_seeds_are_the_sample_s_items_with_their_pictures() -> None:
    states, blobs = seeds()
    assert len(states) == len(blobs) == len(ITEMS) == 42
    made = {id: items.item_of(id, state) for id, state in states.items()}
    assert {id: (item.name, item.quantity) for id, item in made.items()} == SAMPLE
    assert {item.picture.digest for item in made.values() if item.picture} == {
        blob.digest for blob in blobs
    }


def test_two_devices_seed_the_same_documents() -> None:
    one, other = seeds()[0], seeds()[0]
    assert {id: items.write(state) for id, state in one.items()} == {
        id: items.write(state) for id, state in other.items()
    }
