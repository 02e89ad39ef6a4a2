"""The produce list: 42 items, their pictures, and a database filled with them.

Two forms lie side by side in each database. The first is the one document that the tutorial's
sample app keeps: ``doc::list`` in the default collection, all items in one array, so that settee
can sync with that app as it is. The second is one document per item in ``shop.items``, so that
edits of two items never meet.

Seeding is deterministic, pictures included: two devices that were seeded apart hold equal
documents, and their first contact is no conflict.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from settee import Blob

if TYPE_CHECKING:
    from settee import Database

__all__ = [
    "ITEMS",
    "ITEMS_COLLECTION",
    "LIST_ID",
    "PICTURE_TYPE",
    "Item",
    "item_body",
    "list_body",
    "other_picture",
    "picture",
    "seed",
]

ITEMS_COLLECTION: Final = "shop.items"
"""Collection with one document per item."""

LIST_ID: Final = "doc::list"
"""The sample app's one document, in the default collection."""

PICTURE_TYPE: Final = "image/png"


class Item(NamedTuple):
    """One line of the list as it is seeded."""

    name: str
    quantity: int

    @property
    def slug(self) -> str:
        """The name in file names and document IDs, such as ``brussels-sprouts``."""
        return self.name.lower().replace(" ", "-")

    @property
    def document_id(self) -> str:
        """The ID of the item's document, such as ``item::brussels-sprouts``."""
        return f"item::{self.slug}"


ITEMS: Final = (
    Item("Apples", 10),
    Item("Arugula", 100),
    Item("Asparagus", 50),
    Item("Beets", 10),
    Item("Blueberries", 10),
    Item("Broccoli", 10),
    Item("Brussels Sprouts", 4),
    Item("Cabbage", 14),
    Item("Cantaloupes", 14),
    Item("Carrots", 14),
    Item("Cauliflower", 24),
    Item("Celery", 14),
    Item("Chard", 14),
    Item("Cherries", 14),
    Item("Corn", 90),
    Item("Cucumbers", 14),
    Item("Eggplant", 14),
    Item("Garlic", 24),
    Item("Grapes", 94),
    Item("Kale", 55),
    Item("Leeks", 10),
    Item("Lettuce", 14),
    Item("Mushrooms", 14),
    Item("Onions", 14),
    Item("Peaches", 45),
    Item("Pears", 64),
    Item("Peas", 10),
    Item("Peppers", 20),
    Item("Plums", 100),
    Item("Potatoes", 14),
    Item("Pumpkins", 14),
    Item("Radishes", 19),
    Item("Raspberries", 35),
    Item("Rhubarb", 14),
    Item("Salad Greens", 14),
    Item("Spinach", 44),
    Item("Squash", 14),
    Item("Strawberries", 14),
    Item("Tomatoes", 13),
    Item("Turnips", 25),
    Item("Watermelon", 50),
    Item("Zucchini", 12),
)
"""The sample's items in its order, with its quantities."""


def picture(slug: str) -> bytes:
    """Return the PNG (256 x 256 pixels) of the item `slug`.

    Raises `FileNotFoundError` if there is no such picture.
    """
    return (resources.files("settee_inventory") / "pictures" / f"{slug}.png").read_bytes()


def other_picture(slug: str) -> bytes:
    """Return the second PNG that `slug` (``apples``, ``mushrooms`` or ``peppers``) has.

    It is for scenes in which somebody changes a picture. Raises `FileNotFoundError` for others.
    """
    return picture(f"edits/{slug}")


def item_body(item: Item) -> dict[str, Any]:
    """Return the body of one item's document, picture included."""
    return {
        "type": "item",
        "name": item.name,
        "quantity": item.quantity,
        "image": Blob.from_bytes(picture(item.slug), content_type=PICTURE_TYPE),
    }


def list_body() -> dict[str, Any]:
    """Return the body of the sample's one document: all items in one array."""
    return {
        "type": "list",
        "items": [
            {
                "key": item.name,
                "value": item.quantity,
                "image": Blob.from_bytes(picture(item.slug), content_type=PICTURE_TYPE),
            }
            for item in ITEMS
        ],
    }


def seed(db: Database) -> int:
    """Fill `db` with the produce list where it is missing; return how many documents were made.

    What is there already is left alone, so calling it again changes nothing. All is stored in one
    transaction: 43 documents, 42 different pictures (290 KB).
    """
    items = db.collection(ITEMS_COLLECTION, create=True)
    made = 0
    with db.transaction():
        if LIST_ID not in db.default_collection:
            db.default_collection[LIST_ID] = list_body()
            made += 1
        missing = [item for item in ITEMS if item.document_id not in items]
        items.save_many((item.document_id, item_body(item)) for item in missing)
    return made + len(missing)
