"""What happened to items, put into the activity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from settee_inventory.book.activity import Activity
from settee_inventory.book.values import Entry, ItemChange
from settee_inventory.model import State, changes
from settee_inventory.model import quantity as counters

__all__ = ["Notes"]

_ITEMS_NAMED_MAX: Final = 12


class Notes:
    """Writes down what is told.

    Args:
        activity: Where it stands.
        own: This device.
        name_of: The name of an item, None for one that is not known.
        ms: The time: milliseconds since 1970.
    """

    def __init__(
        self,
        activity: Activity,
        own: str,
        name_of: Callable[[str], str | None],
        ms: Callable[[], int],
    ) -> None:
        self._activity = activity
        self._own = own
        self._name_of = name_of
        self._ms = ms

    def add(
        self,
        kind: str,
        by: str,
        ids: Sequence[str],
        detail: Mapping[str, Any],
        *,
        fold: bool = False,
    ) -> None:
        """Add an entry about items; with `fold` into the last one, if that is of its kind."""
        named = [(id, self._name_of(id)) for id in ids[:_ITEMS_NAMED_MAX]]
        known = tuple((id, name) for id, name in named if name is not None)
        self._activity.add(Entry(self._ms(), kind, by, known, len(ids), detail), fold=fold)

    def received(self, told: Sequence[ItemChange]) -> None:
        """Add what came from other devices, one entry for each of them."""
        by: dict[str, list[str]] = {}
        for change in told:
            if change.remote:
                others = {each.by for each in change.changes if each.by != self._own}
                for device in others or {""}:
                    by.setdefault(device, []).append(change.id)
        for device, ids in by.items():
            self.add("received", device, ids, {}, fold=True)

    def merged(self, id: str, mine: State, theirs: State, both: State) -> None:
        """Add that a replicator has merged two copies of an item."""
        here, there = changes.diff(theirs, both), changes.diff(mine, both)
        if not here or not there:
            return
        detail = {
            "here": counters.total(mine.quantity),
            "there": counters.total(theirs.quantity),
            "both": counters.total(both.quantity),
            "fields": sorted({each.field for each in (*here, *there)}),
        }
        self.add("merged", there[-1].by, [id], detail)
