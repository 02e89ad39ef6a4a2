"""One item of the inventory: its document, the edits of it, and how two copies merge.

Room: pure inventory model.
Touches: documents as dicts of JSON values, times.
Never touches: the wall clock, settee, files.

`read` makes the `State` of a document's body, every edit and `merged` make a new state of old ones,
`write` makes the body again. Nothing that another device may have sent makes `read` fail: what is
damaged counts as not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeGuard

from settee_inventory.model import fields as registers
from settee_inventory.model import quantity as counters
from settee_inventory.model.canonical import text_of
from settee_inventory.model.fields import Fields, Version
from settee_inventory.model.quantity import Quantity
from settee_inventory.model.stamp import NEVER, Stamp, milliseconds, tick

__all__ = [
    "FIELDS",
    "NAME",
    "PICTURE",
    "PLAIN",
    "REMOVED",
    "TYPE",
    "UNIT",
    "WARN_UNDER",
    "Item",
    "Picture",
    "State",
    "count",
    "is_blob",
    "is_removed",
    "item_of",
    "latest",
    "merged",
    "new",
    "picture_of",
    "put",
    "read",
    "set_quantity",
    "stamped",
    "write",
]

NAME: Final = "name"
UNIT: Final = "unit"
WARN_UNDER: Final = "warn_under"
PICTURE: Final = "picture"
"""Its value is None or ``{"image": blob, "thumb": blob}``; the thumb may be missing."""
REMOVED: Final = "removed"
FIELDS: Final = (NAME, UNIT, WARN_UNDER, PICTURE, REMOVED)
"""The fields that mean something here; others are merged and kept all the same."""

TYPE: Final = "item"
PLAIN: Final = "plain"
"""The actor of what stands in a document that knows nothing of this model."""

_DERIVED: Final = frozenset({"type", "quantity", "image", "merge", *FIELDS})


class State(NamedTuple):
    """All that is known of one item. Never changed in place."""

    quantity: Quantity
    fields: Fields
    extra: Mapping[str, Any]
    """What else the document holds, of other programs: kept, the greater text winning."""


class Picture(NamedTuple):
    """What names a picture's content; the bytes are blobs of the database."""

    digest: str
    """Of the picture, ``sha1-…``."""
    content_type: str
    thumb: str
    """Digest of the small one; the picture's own where there is no small one."""
    has_thumb: bool


class Item(NamedTuple):
    """An item as people see it."""

    id: str
    name: str
    quantity: int
    """Exact, and so negative when two devices took the last one each."""
    unit: str
    warn_under: int | None
    picture: Picture | None
    removed: bool
    changed_ms: int
    """When it was last changed: milliseconds since 1970, 0 if it never was."""
    changed_by: str
    """The device that did, "" if none."""
    conflicts: tuple[str, ...]
    """Fields of which another version waits for a decision."""

    @property
    def low(self) -> bool:
        """Whether there are fewer than the number to warn under."""
        return self.warn_under is not None and self.quantity < self.warn_under


# --- edits ----------------------------------------------------------------------------------------


def stamped(state: State | None, now_ms: int, device: str) -> Stamp:
    """Return the stamp of an edit that `device` makes now, knowing `state`."""
    return Stamp(tick(now_ms, NEVER if state is None else latest(state)), device)


def new(values: Mapping[str, Any], quantity: int, stamp: Stamp) -> State:
    """Return a new item with the values of its fields; None and "" are left out."""
    fields = registers.EMPTY
    for name, value in values.items():
        if value is not None and value != "":
            fields = registers.put(fields, name, value, stamp)
    return State(Quantity(quantity, stamp, {}), fields, {})


def count(state: State, by: int, stamp: Stamp) -> State:
    """Return the item with its quantity counted up or down."""
    return state._replace(quantity=counters.count(state.quantity, by, stamp))


def set_quantity(state: State, value: int, stamp: Stamp) -> State:
    """Return the item with its quantity set: earlier counts are dropped."""
    return state._replace(quantity=counters.set_to(state.quantity, value, stamp))


def put(
    state: State, field: str, value: Any, stamp: Stamp, beside: Sequence[Version] = ()
) -> State:
    """Return the item with a field written, over all versions of it that are known here.

    But those of `beside` are kept, as a conflict to decide: the maker of this one has not seen
    them. Removing an item is writing True to its field `REMOVED`; False takes that back.
    """
    return state._replace(fields=registers.put(state.fields, field, value, stamp, beside))


def merged(one: State, other: State) -> State:
    """Return what both know together: the same whichever comes first, and however often."""
    if one is other:
        return one
    extra = dict(one.extra)
    for key, value in other.extra.items():
        if key not in extra or text_of(value) > text_of(extra[key]):
            extra[key] = value
    return State(
        counters.joined(one.quantity, other.quantity),
        registers.joined(one.fields, other.fields),
        extra,
    )


def latest(state: State) -> str:
    """Return the latest time that the item knows."""
    return max(counters.latest(state.quantity), registers.latest(state.fields))


# --- what people see ------------------------------------------------------------------------------


def is_removed(state: State) -> bool:
    """Tell whether the item was removed."""
    return registers.value_of(state.fields, REMOVED) is True


def item_of(id: str, state: State, conflicts: tuple[str, ...] = ()) -> Item:
    """Return the item as people see it; `conflicts` as `changes.conflicts` finds them."""
    fields = state.fields
    name, unit = registers.value_of(fields, NAME), registers.value_of(fields, UNIT)
    warn_under = registers.value_of(fields, WARN_UNDER)
    changed = _last_change(state)
    return Item(
        id,
        name if isinstance(name, str) else "",
        counters.total(state.quantity),
        unit if isinstance(unit, str) else "",
        warn_under if counters.is_count(warn_under) else None,
        picture_of(registers.value_of(fields, PICTURE)),
        is_removed(state),
        milliseconds(changed.at),
        changed.by if changed.at > NEVER else "",
        conflicts,
    )


def _last_change(state: State) -> Stamp:
    stamps = [state.quantity.at]
    stamps += [Stamp(max(log), actor) for actor, log in state.quantity.logs.items()]
    stamps += [versions[0].stamp for versions in state.fields.versions.values()]
    return max(stamps)


def picture_of(value: Any) -> Picture | None:
    """Return the picture that a value of the field `PICTURE` names."""
    if not isinstance(value, dict) or not is_blob(value.get("image")):
        return None
    image, thumb = value["image"], value.get("thumb")
    kind = image.get("content_type")
    return Picture(
        image["digest"],
        kind if isinstance(kind, str) else "application/octet-stream",
        thumb["digest"] if is_blob(thumb) else image["digest"],
        is_blob(thumb),
    )


def is_blob(value: object) -> TypeGuard[dict[str, Any]]:
    """Tell whether a JSON value names a blob."""
    return (
        isinstance(value, dict)
        and value.get("@type") == "blob"
        and isinstance(value.get("digest"), str)
    )


# --- documents ------------------------------------------------------------------------------------


def write(state: State) -> dict[str, Any]:
    """Return the document's body: plain values for whoever reads, and under `merge` the state."""
    body: dict[str, Any] = {**state.extra, "type": TYPE, "quantity": counters.total(state.quantity)}
    for name in (NAME, UNIT, WARN_UNDER):
        value = registers.value_of(state.fields, name)
        if value is not None:
            body[name] = value
    picture = registers.value_of(state.fields, PICTURE)
    if isinstance(picture, dict) and is_blob(picture.get("image")):
        body["image"] = picture["image"]
    if is_removed(state):
        body[REMOVED] = True
    body["merge"] = {
        "quantity": counters.write(state.quantity),
        **registers.write(state.fields),
    }
    return body


def read(body: Mapping[str, Any]) -> State:
    """Return the state of a document's body.

    A body without `merge`, made by a program that knows nothing of this model, is an item that
    always had its values.
    """
    extra = {key: value for key, value in body.items() if key not in _DERIVED}
    merge = body.get("merge")
    if isinstance(merge, dict):
        return State(counters.read(merge.get("quantity")), registers.read(merge), extra)
    given = {name: body[name] for name in FIELDS if body.get(name) is not None}
    if is_blob(body.get("image")):
        given[PICTURE] = {"image": body["image"]}
    versions = {name: (Version(NEVER, PLAIN, value),) for name, value in given.items()}
    value = body.get("quantity")
    base = value if counters.is_count(value) else 0
    seen = {PLAIN: NEVER} if versions else {}
    return State(Quantity(base, Stamp(NEVER, PLAIN), {}), Fields(versions, seen), extra)
