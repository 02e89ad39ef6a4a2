"""What could not merge, as people are shown it, and what their decision picks."""

from __future__ import annotations

from typing import Any, NamedTuple

from settee import NotFoundError
from settee_inventory.model import Item, Picture, State, changes
from settee_inventory.model import item as items
from settee_inventory.model.fields import Version
from settee_inventory.model.item import PICTURE
from settee_inventory.model.stamp import milliseconds

__all__ = ["Choice", "Conflict", "conflict_of", "decided"]


class Choice(NamedTuple):
    """One version of a field that could not merge."""

    version: str
    """What `Inventory.restore` takes."""
    ms: int
    by: str
    value: Any
    """Of a picture: a `Picture`, or None. Of ``"removed"``: whether the item is."""


class Conflict(NamedTuple):
    """A field of an item that two devices wrote apart."""

    item: Item
    field: str
    shown: Choice
    others: tuple[Choice, ...]


def conflict_of(item: Item, found: changes.Conflict) -> Conflict:
    """Return what people are shown of a conflict of `item`."""
    others = tuple(_choice(other, found.field) for other in found.others)
    return Conflict(item, found.field, _choice(found.shown, found.field), others)


def decided(state: State, field: str, version: str | None) -> tuple[Version, Version]:
    """Return the version that is shown, and the one to show: of that name, None for the first.

    Raises NotFoundError if there is nothing to decide, or no such version any more.
    """
    conflict = next((each for each in changes.conflicts(state) if each.field == field), None)
    if conflict is None:
        raise NotFoundError("nothing of this waits for a decision any more; look at it again")
    if version is None:
        return conflict.shown, conflict.shown
    for each in conflict.others:
        if _name_of(each) == version:
            return conflict.shown, each
    raise NotFoundError("this version is not there any more; look at the item again")


def _choice(version: Version, field: str) -> Choice:
    value: Picture | Any = version.value
    if field == PICTURE:
        value = items.picture_of(value)
    return Choice(_name_of(version), milliseconds(version.at), version.by, value)


def _name_of(version: Version) -> str:
    return f"{version.at}@{version.by}"
