"""The registers of the original's edits, in memory and in a collection that is replicated."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from settee import Conflict
from settee.aio import Changes, Collection, CollectionChange
from settee_inventory.model.mirror import (
    Register,
    is_mirror,
    later,
    read_register,
    write_register,
)

__all__ = ["Editions", "resolve_register"]


class Editions:
    """A register for each edition of the list that was edited.

    Args:
        collection: Where they are stored, by their actors' names.
        changed: Called when another device has brought a later one.
    """

    def __init__(self, collection: Collection, changed: Callable[[], object]) -> None:
        self.registers: dict[str, Register] = {}
        self._collection = collection
        self._changed = changed
        self._feed: Changes[CollectionChange] | None = None
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Read all, and follow the feed from there."""
        self._feed = self._collection.changes(since=self._collection.last_sequence)
        async for document in self._collection.documents():
            if is_mirror(document.id):
                self.registers[document.id] = read_register(document)
        self._watching = asyncio.create_task(self._watch(self._feed))

    async def close(self) -> None:
        """Follow the feed no more."""
        if self._feed is not None:
            self._feed.close()
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching

    async def put(self, actor: str, register: Register) -> None:
        """Take a register in, unless a later one is known; it is on disk then."""
        known = self.registers.get(actor)
        newest = register if known is None else later(known, register)
        self.registers[actor] = newest
        async with self._collection.database.transaction():
            stored = await self._collection.get(actor)
            if stored is None or later(read_register(stored), newest) != read_register(stored):
                await self._collection.put(actor, write_register(newest))

    async def _watch(self, feed: Changes[CollectionChange]) -> None:
        async for change in feed:
            for id in change.document_ids:
                stored = await self._collection.get(id)
                if stored is None or not is_mirror(id):
                    continue
                came, known = read_register(stored), self.registers.get(id)
                newest = came if known is None else later(known, came)
                if newest != known:
                    self.registers[id] = newest
                    self._changed()
                elif newest != came:  # A peer that knows nothing of registers chose the older.
                    await self.put(id, newest)


def resolve_register(conflict: Conflict) -> Any:
    """Resolve a conflict of a register: the later stands, as a revision newer than both."""
    local, remote = conflict.local, conflict.remote
    if local is None or remote is None:
        return remote if local is None else local
    return write_register(later(read_register(local), read_register(remote)))
