"""The sample list as items: the same documents on every device that is seeded."""

from __future__ import annotations

from typing import Final

from settee.aio import Blob
from settee_inventory.data import ITEMS, PICTURE_TYPE, picture
from settee_inventory.model import item as items
from settee_inventory.model.item import NAME, PICTURE, State
from settee_inventory.model.stamp import NEVER, Stamp

__all__ = ["SAMPLE", "SEEDED", "seeds"]

SEEDED: Final = Stamp(NEVER, "seed")
"""The stamp of what was seeded: before every edit."""

SAMPLE: Final = {each.document_id: (each.name, each.quantity) for each in ITEMS}
"""Name and number of the sample's items, by their IDs."""


def seeds() -> tuple[dict[str, State], list[Blob]]:
    """Return the sample's items, and their pictures as blobs to be stored. Reads 42 files."""
    states, blobs = {}, []
    for each in ITEMS:
        blob = Blob.from_bytes(picture(each.slug), content_type=PICTURE_TYPE)
        blobs.append(blob)
        values = {NAME: each.name, PICTURE: {"image": blob.properties}}
        states[each.document_id] = items.new(values, each.quantity, SEEDED)
    return states, blobs
