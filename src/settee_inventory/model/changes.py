"""Who changed what, when; what could not merge; and what came with a merge.

Room: pure inventory model.
Touches: states of items.
Never touches: the wall clock, settee, files, words for people.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from settee_inventory.model import fields as registers
from settee_inventory.model import quantity as counters
from settee_inventory.model.fields import Version
from settee_inventory.model.item import FIELDS, REMOVED, State
from settee_inventory.model.stamp import NEVER, Stamp, milliseconds

__all__ = ["COUNTED", "QUANTITY", "SET", "WRITTEN", "Change", "Conflict", "conflicts", "diff"]
__all__ += ["history"]

QUANTITY: Final = "quantity"
COUNTED: Final = "counted"
SET: Final = "set"
WRITTEN: Final = "written"


class Change(NamedTuple):
    """One edit that an item shows."""

    field: str
    """``"quantity"`` or the name of a field, such as ``"name"``."""
    kind: str
    """`COUNTED` (by `value`), `SET` or `WRITTEN` (to `value`)."""
    value: Any
    at: str
    by: str
    """The actor: a device, or the original app's list (`mirror.is_mirror`)."""
    before: Any = None
    """What a `WRITTEN` field showed before, where that is known."""

    @property
    def ms(self) -> int:
        """When: milliseconds since 1970."""
        return milliseconds(self.at)


class Conflict(NamedTuple):
    """A field of which two versions were made apart."""

    field: str
    shown: Version
    others: tuple[Version, ...]
    """Versions that can be restored. For `REMOVED`: False, by whoever went on using the item."""


def conflicts(state: State) -> tuple[Conflict, ...]:
    """Return what could not merge, in the order of `FIELDS`, then by name.

    An item that one device removed while another changed it is one: nobody edits what he sees
    removed, so an edit stamped after the removal was made without knowing of it.
    """
    versions = state.fields.versions
    found = []
    names = (*FIELDS, *sorted(each for each in versions if each not in FIELDS))
    for name in names:
        others = registers.rivals(state.fields, name)
        if name == REMOVED and not others:
            others = _edits_of_the_removed(state)
        if others:
            found.append(Conflict(name, versions[name][0], others))
    return tuple(found)


def _edits_of_the_removed(state: State) -> tuple[Version, ...]:
    removal = registers.shown(state.fields, REMOVED)
    if removal is None or removal.value is not True:
        return ()
    stamps = [state.quantity.at]
    stamps += [Stamp(max(log), actor) for actor, log in state.quantity.logs.items()]
    stamps += [v[0].stamp for name, v in state.fields.versions.items() if name != REMOVED]
    last = max(stamp for stamp in stamps)
    if last <= removal.stamp or last.by == removal.by:
        return ()
    return (Version(last.at, last.by, False),)


def diff(before: State | None, after: State) -> tuple[Change, ...]:
    """Return the edits that `after` shows and `before` did not, oldest first."""
    old = State(counters.ZERO, registers.EMPTY, {}) if before is None else before
    found = []
    number, was = after.quantity, old.quantity
    if number is not was:
        if number.at != was.at or (before is None and number.at.by):
            found.append(Change(QUANTITY, SET, number.base, *number.at))
        for actor, log in number.logs.items():
            known = was.logs.get(actor)
            if known is log:
                continue
            found += [
                Change(QUANTITY, COUNTED, by, time, actor)
                for time, by in log.items()
                if by and (known is None or time > max(known))
            ]
    if after.fields is not old.fields:
        for name, versions in after.fields.versions.items():
            held = registers.shown(old.fields, name)
            if held is None or held[:2] != versions[0][:2]:
                at, by, value = versions[0]
                found.append(Change(name, WRITTEN, value, at, by, held and held.value))
    return tuple(sorted(found, key=lambda change: (change.at, change.by)))


def history(state: State) -> tuple[Change, ...]:
    """Return the edits that the item still knows, newest first; not what it was seeded with.

    Counts before the last set are not known any more, nor values that were written over.
    """
    return tuple(change for change in reversed(diff(None, state)) if change.at > NEVER)
