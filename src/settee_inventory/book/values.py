"""What the book hands out besides items: devices, changes of the list, activity."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from settee_inventory.model import Change, Item

__all__ = ["Content", "Device", "Entry", "ItemChange", "ListChange", "Undone"]

_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_NAME_CHARACTERS_MAX: Final = 60


class Device(NamedTuple):
    """A device as others see it."""

    name: str
    icon: str = ""
    """The name of an icon, such as ``"storefront"``; "" if none was chosen."""
    colour: str = ""
    """The name of a colour, such as ``"amber"``; "" if none was chosen."""

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Device:
        """Return the device of a profile document; what is damaged is left out."""
        name, icon, colour = body.get("name"), body.get("icon"), body.get("colour")
        return cls(
            name[:_NAME_CHARACTERS_MAX] if isinstance(name, str) else "",
            icon if isinstance(icon, str) and _WORD.fullmatch(icon) else "",
            colour if isinstance(colour, str) and _WORD.fullmatch(colour) else "",
        )


class ItemChange(NamedTuple):
    """What happened to one item."""

    id: str
    item: Item | None
    """As it is now; None if it was removed or is gone."""
    changes: tuple[Change, ...]
    """The edits that it did not show before, oldest first."""
    remote: bool
    """Whether they came from another device."""


class ListChange(NamedTuple):
    """What happened to the list since the last call."""

    items: tuple[ItemChange, ...]


class Entry(NamedTuple):
    """One line of the activity."""

    ms: int
    """When it was noted here: milliseconds since 1970."""
    kind: str
    """``"edited"`` (here), ``"received"``, ``"merged"``, ``"conflict"``, ``"decided"``, or what
    `Inventory.note` was given."""
    by: str
    """The device, or the edition of the original's list, that did it; "" if nobody is named."""
    items: tuple[tuple[str, str], ...]
    """ID and name of the items that it is about; the first 12."""
    item_count: int
    """How many items it is about."""
    detail: Mapping[str, Any]
    """More, by kind; for ``"merged"``: the quantities ``here``, ``there`` and ``both``, and the
    ``fields`` that came from both sides; for ``"conflict"`` and ``"decided"``: the ``field``."""


class Undone(NamedTuple):
    """What `Inventory.undo` did."""

    item: Item
    """The item, as it is now."""
    field: str
    """``"quantity"`` or the field's name; ``"removed"`` for an addition or a removal."""
    done: bool
    """False if it was left as it is, since another device wrote the field meanwhile."""
    by: str
    """That device; "" if done."""


class Content(NamedTuple):
    """A picture for a browser."""

    data: bytes
    content_type: str
    """Told from the bytes; ``application/octet-stream`` if they are no picture."""
