"""The last edits made here, and what takes each back."""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NamedTuple

from settee_inventory.model import fields as registers
from settee_inventory.model import item as items
from settee_inventory.model.changes import QUANTITY
from settee_inventory.model.item import State
from settee_inventory.model.stamp import Stamp

__all__ = ["EDITS_MAX", "Done", "Undo", "taken_back"]

EDITS_MAX: Final = 20


class Done(NamedTuple):
    """An edit that was made."""

    id: str
    field: str
    stamp: Stamp
    before: Any
    """What the field showed; of the quantity: by how much the edit changed it."""
    over: Stamp | None = None
    """The version of the field that was shown before; None if there was none."""


class Undo:
    """The last edits, newest at the end."""

    def __init__(self) -> None:
        self._done: deque[Done] = deque(maxlen=EDITS_MAX)

    def __len__(self) -> int:
        return len(self._done)

    def add(self, done: Done) -> None:
        """Remember an edit; beyond `EDITS_MAX` the oldest is forgotten."""
        self._done.append(done)

    def stands_for(self, former: Stamp | None, stamp: Stamp) -> None:
        """Note that a version is shown again, now as `stamp`: the edit that made it is next."""
        for n, each in enumerate(self._done):
            if each.stamp == former:
                self._done[n] = each._replace(stamp=stamp)

    def pop(self) -> Done | None:
        """Return the last edit and forget it; None if there is none."""
        return self._done.pop() if self._done else None


def taken_back(state: State, done: Done, stamp: Stamp) -> State | None:
    """Return the item with an edit taken back; None if another wrote the field meanwhile.

    What waits for a decision goes on waiting. A quantity is counted back by what the edit changed,
    so counts of others stay. An addition is one of `REMOVED`, which a new item has not: taking it
    back removes the item.
    """
    if done.field == QUANTITY:
        return items.count(state, -done.before, stamp)
    shown = registers.shown(state.fields, done.field)
    if shown is not None and shown.stamp != done.stamp:
        return None
    rivals = registers.rivals(state.fields, done.field)
    return items.put(state, done.field, done.before, stamp, rivals)
