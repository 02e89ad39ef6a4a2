"""The items of a database in memory, in step with it both ways.

An edit is in memory at once and on disk when its future is done; edits made meanwhile go to disk
together. What other devices change comes through the collection's feed. Memory and disk are only
ever merged with each other, so neither can lose what the other has.

That also mends what a peer has chosen that knows nothing of merging: where one version of an item
was put above another, the one that is stored lacks what is in memory here, and is stored anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from settee import SetteeError
from settee.aio import Blob, Changes, Collection, CollectionChange
from settee_inventory.model import item as items
from settee_inventory.model.item import State, is_blob

__all__ = ["Ledger", "Step"]

_log = logging.getLogger("settee_inventory.book")

_CHUNK_COUNT: Final = 100
"""So many documents that arrive are taken in before the loop gets its turn again."""


class Step(NamedTuple):
    """One item went from one state to another."""

    id: str
    before: State | None
    after: State | None
    remote: bool
    """Whether it came through the feed."""


class Ledger:
    """The items of one collection.

    Args:
        collection: Where they are stored.
        told: Called with what happened, in order, on the loop.
    """

    def __init__(self, collection: Collection, told: Callable[[Sequence[Step]], object]) -> None:
        self.states: dict[str, State] = {}
        self._collection = collection
        self._told = told
        self._dirty: dict[str, None] = {}
        self._lacking: dict[str, None] = {}
        self._storing: dict[str, None] = {}
        self._blobs: dict[str, Blob] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._feed: Changes[CollectionChange] | None = None
        self._seen = 0
        self._moved = asyncio.Event()

    async def open(self) -> None:
        """Read all items, and follow the feed from there."""
        self._seen = self._collection.last_sequence
        self._feed = self._collection.changes(since=self._seen)
        async for document in self._collection.documents():
            self.states[document.id] = items.read(document.to_dict())
        self._watching = asyncio.create_task(self._watch(self._feed))

    async def close(self) -> None:
        """Wait for edits that were begun, and follow the feed no more."""
        while self._flushing is not None:
            await asyncio.wait([self._flushing])
        if self._feed is not None:
            self._feed.close()
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching

    # --- own edits --------------------------------------------------------------------------------

    def put(self, states: Mapping[str, State], blobs: Iterable[Blob] = ()) -> asyncio.Future[None]:
        """Take new states, made of those in `states`; the future is done when they are on disk.

        `blobs`: pictures that they name and that are not in the database yet. If the disk refuses,
        memory goes back to what is stored, and the future raises what the database raised.
        """
        self._blobs.update((blob.digest, blob) for blob in blobs if blob.digest)
        steps = [Step(id, self.states.get(id), state, False) for id, state in states.items()]
        self.states.update(states)
        self._dirty.update(dict.fromkeys(states))
        self._told(steps)
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(stored)
        self._flush_soon()
        return stored

    def _mend(self, ids: Iterable[str]) -> None:
        """Store what is in memory of items, since what is stored lacks a part of it."""
        self._lacking.update(dict.fromkeys(ids))
        self._flush_soon()

    def _flush_soon(self) -> None:
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        try:
            while self._dirty or self._lacking or self._waiting:
                edited, self._dirty = list(self._dirty), {}
                self._storing = {**dict.fromkeys(edited), **self._lacking}
                self._lacking = {}
                waiting, self._waiting = self._waiting, []
                blobs, self._blobs = self._blobs, {}
                try:
                    await self._store(self._storing, blobs)
                except Exception as exc:
                    # Edits made meanwhile build on those that failed, and fail with them.
                    edited, self._dirty = [*edited, *self._dirty], {}
                    waiting, self._waiting = [*waiting, *self._waiting], []
                    await self._take(edited, remote=False, anew=True)
                    _end(waiting, exc)
                else:
                    _end(waiting, None)
                finally:
                    self._storing = {}
        finally:
            self._flushing = None

    async def _store(self, ids: Iterable[str], blobs: Mapping[str, Blob]) -> None:
        async with self._collection.database.transaction():
            bodies = []
            for id in ids:
                document, state = await self._collection.get(id), self.states.get(id)
                if state is None:
                    continue
                if document is not None:
                    stored = items.read(document.to_dict())
                    state = items.merged(stored, state)
                    if state == stored:
                        continue
                bodies.append((id, with_blobs(items.write(state), blobs)))
            if bodies:
                await self._collection.save_many(bodies)

    # --- what others change -----------------------------------------------------------------------

    async def _watch(self, feed: Changes[CollectionChange]) -> None:
        async for change in feed:
            ids = iter(change.document_ids)
            while chunk := list(islice(ids, _CHUNK_COUNT)):
                try:
                    await self._take(chunk, remote=True)
                except SetteeError as exc:
                    _log.warning("items that have changed could not be read: %s", exc)
                await asyncio.sleep(0)
            self._seen = change.sequence
            self._moved.set()

    async def caught_up(self) -> None:
        """Wait until all that is stored now is in memory."""
        wanted = self._collection.last_sequence
        while self._seen < wanted:
            self._moved.clear()
            await self._moved.wait()

    async def _take(self, ids: Sequence[str], *, remote: bool, anew: bool = False) -> None:
        """Take in what is stored; `anew`: in place of what is in memory, not merged with it."""
        steps = []
        lacking: dict[str, State] = {}
        for id in ids:
            document = await self._collection.get(id)
            before = self.states.get(id)
            after = None if document is None else items.read(document.to_dict())
            if before is not None and not anew:
                if after is not None:
                    stored, after = after, items.merged(before, after)
                    if after != stored and id not in self._dirty and id not in self._storing:
                        lacking[id] = after
                elif id in self._dirty or id in self._storing:
                    continue  # Not stored yet.
            if after == before:
                continue
            if after is None:
                del self.states[id]
            else:
                self.states[id] = after
            steps.append(Step(id, before, after, remote))
        if steps:
            self._told(steps)
        if lacking:
            self._mend(lacking)


def _end(waiting: Iterable[asyncio.Future[None]], error: Exception | None) -> None:
    for future in waiting:
        if future.done():  # Whoever waited was cancelled.
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def with_blobs(value: Any, blobs: Mapping[str, Blob]) -> Any:
    """Return a JSON value in which blobs that are not stored yet are named by themselves."""
    if not blobs:
        return value
    if isinstance(value, dict):
        if is_blob(value) and value["digest"] in blobs:
            return blobs[value["digest"]]
        return {key: with_blobs(each, blobs) for key, each in value.items()}
    if isinstance(value, list):
        return [with_blobs(each, blobs) for each in value]
    return value
