"""What happened, as seen from this device, kept on this device: the last few hundred entries."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from settee import SetteeError
from settee.aio import Collection
from settee_inventory.book.values import Entry

__all__ = ["ENTRIES_MAX", "FOLD_MS", "ITEMS_NAMED_MAX", "Activity"]

ENTRIES_MAX: Final = 500
ITEMS_NAMED_MAX: Final = 12
FOLD_MS: Final = 60_000
"""An entry of the same kind by the same device within this time goes into the one before."""

_SPARE: Final = 100
"""Old entries are dropped so many at a time."""


class Activity:
    """The entries of one database, newest last, written behind in batches."""

    def __init__(self, collection: Collection, told: Callable[[Entry], object]) -> None:
        self._collection = collection
        self._told = told
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._unsaved: dict[str, None] = {}
        self._saving: asyncio.Task[None] | None = None
        self._count = 0

    async def open(self) -> None:
        """Read the entries of earlier runs."""
        async for document in self._collection.documents():
            entry = _read(document.to_dict())
            if entry is not None:
                self._entries[document.id] = entry

    async def close(self) -> None:
        """Wait until all is written."""
        while self._saving is not None:
            await asyncio.wait([self._saving])

    def latest(self, count: int) -> list[Entry]:
        """Return the latest entries, newest first."""
        newest = list(reversed(self._entries.values()))
        return newest[:count]

    def add(self, entry: Entry, *, fold: bool = False) -> None:
        """Add an entry; with `fold` into the last one, if that is of its kind and not old."""
        id, last = next(reversed(self._entries.items())) if self._entries else ("", None)
        if (
            fold
            and last is not None
            and (last.kind, last.by) == (entry.kind, entry.by)
            and 0 <= entry.ms - last.ms <= FOLD_MS
        ):
            items = dict(last.items)
            new = sum(each not in items for each, _ in entry.items)
            named = tuple((items | dict(entry.items)).items())[:ITEMS_NAMED_MAX]
            beyond = max(entry.item_count - len(entry.items), 0)
            entry = entry._replace(items=named, item_count=last.item_count + new + beyond)
        else:
            self._count += 1
            id = f"{max(entry.ms, 0):015d}-{self._count % 10**6:06d}"
        self._entries[id] = entry
        self._unsaved[id] = None
        self._told(entry)
        if self._saving is None:
            self._saving = asyncio.create_task(self._save())

    async def _save(self) -> None:
        try:
            while self._unsaved:
                ids, self._unsaved = self._unsaved, {}
                # The log is for reading: a full disk is told by the edits that it refuses.
                with contextlib.suppress(SetteeError):
                    await self._collection.save_many(
                        (id, _write(self._entries[id])) for id in ids if id in self._entries
                    )
                    await self._drop_old()
        finally:
            self._saving = None

    async def _drop_old(self) -> None:
        if len(self._entries) <= ENTRIES_MAX + _SPARE:
            return
        old = list(self._entries)[: len(self._entries) - ENTRIES_MAX]
        async with self._collection.database.transaction():
            for id in old:
                del self._entries[id]
                if await self._collection.contains(id):
                    await self._collection.purge(id)


def _write(entry: Entry) -> dict[str, Any]:
    return {**entry._asdict(), "items": [list(each) for each in entry.items]}


def _read(body: Mapping[str, Any]) -> Entry | None:
    try:
        return Entry(
            int(body["ms"]),
            str(body["kind"]),
            str(body["by"]),
            tuple((str(id), str(name)) for id, name in body["items"]),
            int(body["item_count"]),
            dict(body["detail"]),
        )
    except (KeyError, TypeError, ValueError):
        return None  # Of another version of this program.
