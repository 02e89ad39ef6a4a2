"""Keeps the original's list in step with the items: books what was edited there, writes it anew.

One task does both, so that no list is written before what stood in the old one is booked.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from settee import ConflictError, SetteeError
from settee.aio import Blob, Changes, Collection, Document, DocumentChange
from settee_inventory.book.ledger import Ledger, with_blobs
from settee_inventory.book.seeds import SAMPLE, SEEDED
from settee_inventory.model import mirror
from settee_inventory.model.item import State
from settee_inventory.model.mirror import LIST_ID, Edits

__all__ = ["BLANK", "Mirroring", "booked"]

_log = logging.getLogger("settee_inventory.mirror")

BLANK: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAAAAACPAi4CAAAALElEQVR42u3MMREAAAgEoNf+wYxlCDcPAlCTm45A"
    "IBAIBAKBQCAQCASC58EC0mgBSIps7sgAAAAASUVORK5CYII="
)
"""A grey square: what the original sees of an item without a picture."""

_REWRITES_MAX: Final = 3
"""How often in a row a list that another device wrote is written anew while no item changes.

Two devices that don't know the same items yet, and both mirror, would else go on for ever.
"""


class Mirroring:
    """The mirror of one inventory.

    Args:
        ledger: The items.
        collection: Where the list lies.
        author: The database's UUID, 32 hex digits.
        booked: Called with the edits that were found, after they are in the items.
    """

    def __init__(
        self,
        ledger: Ledger,
        collection: Collection,
        author: str,
        booked: Callable[[Edits], object],
    ) -> None:
        self._ledger = ledger
        self._collection = collection
        self._author = author
        self._booked = booked
        self._blank = Blob.from_bytes(BLANK, "image/png")
        self._due = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._feed: Changes[DocumentChange] | None = None
        self._rewrites = 0

    @property
    def running(self) -> bool:
        """Whether the list is kept in step."""
        return bool(self._tasks)

    async def start(self) -> None:
        """Begin, with one round at once. Does nothing if it runs."""
        if self._tasks:
            return
        self._feed = self._collection.document_changes(LIST_ID)
        self._tasks = [
            asyncio.create_task(self._watch(self._feed)),
            asyncio.create_task(self._run()),
        ]
        self.items_changed()

    async def stop(self) -> None:
        """End, and leave the list as it is."""
        tasks, self._tasks = self._tasks, []
        if self._feed is not None:
            self._feed.close()
            self._feed = None
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def items_changed(self) -> None:
        """Have the list looked at, since the items are others now."""
        self._rewrites = 0
        self._due.set()

    async def _watch(self, feed: Changes[DocumentChange]) -> None:
        async for _ in feed:
            self._due.set()

    async def _run(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._round()
            except SetteeError as exc:
                _log.warning("the original's list could not be kept in step: %s", exc)

    async def _round(self) -> None:
        document = await self._collection.get(LIST_ID)
        body = {} if document is None else document.to_dict()
        if document is not None:
            await self.book([(body, document.revision)])
        over = "" if document is None else document.revision
        states = dict(self._ledger.states)
        made = await asyncio.to_thread(
            mirror.mirror, states, self._blank.properties, self._author, over
        )
        if mirror.is_same_list(made, body) or self._rewrites >= _REWRITES_MAX:
            return
        self._rewrites += 1
        fresh = Document(LIST_ID) if document is None else document
        fresh.clear()
        assert self._blank.digest, "it is made of bytes"
        fresh.update(with_blobs(made, {self._blank.digest: self._blank}))
        with contextlib.suppress(ConflictError):  # Another wrote it meanwhile: the feed tells.
            await self._collection.save(fresh, on_conflict="fail")

    async def book(self, lists: Sequence[tuple[Mapping[str, Any], str]]) -> None:
        """Book what list documents, with their revisions, hold beyond their editions."""
        changed: dict[str, State] = {}
        told = []
        for body, revision in lists:
            states = {**self._ledger.states, **changed}
            new, edited = booked(states, body, revision)
            changed |= new
            if new and edited is not None:
                told.append(edited)
        if changed:
            stored = self._ledger.put(changed)
            for edited in told:
                self._booked(edited)
            await stored


def booked(
    states: Mapping[str, State], body: Mapping[str, Any], revision: str
) -> tuple[dict[str, State], Edits | None]:
    """Return the items that a list document makes others, and what was edited in it."""
    changed = {
        id: state for id, state in mirror.founded(body, SAMPLE, SEEDED).items() if id not in states
    }
    edited = mirror.edits(body, revision, SAMPLE)
    for id, edit in edited.items.items() if edited else ():
        before = changed.get(id, states.get(id))
        assert edited is not None, "it has items"
        after = mirror.applied(before, edit, edited)
        if after != before:
            changed[id] = after
    changed |= mirror.superseded({**states, **changed})
    return changed, edited
