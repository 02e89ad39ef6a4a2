"""The tutorial's data: a produce list with pictures, in a database for each user."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from settee import Blob, Collection, CollectionChange, Database, Subscription

# --8<-- [start:constants]
HERE = Path(__file__).parent
PICTURES = resources.files("settee_inventory") / "pictures"
ITEMS = "shop.items"
# --8<-- [end:constants]


# --8<-- [start:open]
def open_inventory(user: str, folder: Path) -> Database:
    """Open the database of a user; make and fill it the first time."""
    is_new = not Database.exists(user, folder)
    db = Database(user, directory=folder)
    if is_new:
        seed(db)
    return db


# --8<-- [end:open]
# --8<-- [start:seed]
def seed(db: Database) -> None:
    """Fill a new database from the file that comes with the program."""
    produce = json.loads((HERE / "produce.json").read_text(encoding="utf-8"))
    items = db.collection(ITEMS, create=True)
    with db.transaction():
        for line in produce["items"]:
            slug = line["key"].lower().replace(" ", "-")
            items[f"item::{slug}"] = {
                "type": "item",
                "name": line["key"],
                "quantity": line["value"],
                "image": picture(slug),
            }


def picture(name: str) -> Blob:
    """Return one of the pictures that come with settee."""
    return Blob.from_bytes((PICTURES / f"{name}.png").read_bytes(), "image/png")


# --8<-- [end:seed]
# --8<-- [start:list-document]
def save_as_list(db: Database) -> None:
    """Save all items as one document, `doc::list`."""
    document: dict[str, Any] = {"type": "list", "items": []}
    for item in db.collection(ITEMS).documents():
        document["items"].append(
            {"key": item["name"], "value": item["quantity"], "image": item["image"]}
        )
    db.default_collection[f"doc::{document['type']}"] = document


# --8<-- [end:list-document]
# --8<-- [start:show]
def show(items: Collection) -> None:
    """Print the list."""
    for item in items.documents():
        print(f"{item['name']:<18}{item['quantity']:>4}  {item['image'].length:>6} B")


# --8<-- [end:show]
# --8<-- [start:edit]
def set_quantity(items: Collection, id: str, quantity: int) -> None:
    """Change a quantity; peers that are connected get it by themselves."""
    item = items[id]
    item["quantity"] = quantity
    items.save(item)


def set_picture(items: Collection, id: str, name: str) -> None:
    """Change a picture; only the new one travels."""
    item = items[id]
    item["image"] = picture(name)
    items.save(item)


# --8<-- [end:edit]
# --8<-- [start:watch]
def watch(items: Collection) -> Subscription:
    """Print what becomes different, whoever did it: this program or a peer."""

    def state(id: str) -> str:
        item = items.get(id)
        if item is None:
            return "gone"
        return f"{item['quantity']}, picture {item['image'].digest[5:11]}"

    seen = {id: state(id) for id in items}

    def changed(change: CollectionChange) -> None:
        for id in change.document_ids:
            before, seen[id] = seen.get(id, "new"), state(id)
            if seen[id] != before:
                print(f"{id}: {seen[id]}")

    return items.on_change(changed)


# --8<-- [end:watch]
