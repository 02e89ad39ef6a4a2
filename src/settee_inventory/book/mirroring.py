"""Keeps the original's list in step with the items: books what was edited there, writes it anew.

One task does both, so that no list is written before what stood in the old one is booked.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Final

from settee import ConflictError, SetteeError
from settee.aio import Blob, Changes, Collection, Document, DocumentChange
from settee_inventory.book.editions import Editions
from settee_inventory.book.ledger import Ledger, with_blobs
from settee_inventory.book.seeds import SAMPLE, SEEDED
from settee_inventory.model.item import State
from settee_inventory.model.mirror import (
    LIST_ID,
    Edits,
    applied,
    edits,
    founded,
    is_same_list,
    mirror,
    register_of,
    superseded,
)

__all__ = ["BLANK", "Mirroring", "booked"]

_log = logging.getLogger("settee_inventory.mirror")

BLANK: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAAAAACPAi4CAAAALElEQVR42u3MMREAAAgEoNf+wYxlCDcPAlCTm45A"
    "IBAIBAKBQCAQCASC58EC0mgBSIps7sgAAAAASUVORK5CYII="
)
"""A grey square: what the original sees of an item without a picture."""

KnownDevices = Container[str]

_REWRITES_MAX: Final = 3
"""How often in a row a list that another device wrote is written anew while no item changes.

Two devices that don't know the same items yet, and both mirror, would else go on for ever.
"""


class Mirroring:
    """The mirror of one inventory.

    Args:
        ledger: The items.
        editions: The registers of what was edited.
        collection: Where the list lies.
        author: The database's UUID, 32 hex digits.
        devices: Returns the IDs of all devices that are known.
        booked: Called with the edits that were found, after they are in the items.
    """

    def __init__(
        self,
        ledger: Ledger,
        editions: Editions,
        collection: Collection,
        author: str,
        devices: Callable[[], KnownDevices],
        booked: Callable[[Edits], object],
    ) -> None:
        self._ledger = ledger
        self._editions = editions
        self._devices = devices
        self._collection = collection
        self._author = author
        self._booked = booked
        self._blank = Blob.from_bytes(BLANK, "image/png")
        self._due = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._feed: Changes[DocumentChange] | None = None
        self._rewrites = 0
        self._idle = asyncio.Event()
        self._idle.set()

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
        self._idle.set()
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
            except Exception:
                _log.exception("the original's list could not be kept in step")
            if not self._due.is_set():
                self._idle.set()

    async def idle(self) -> None:
        """Have the list looked at, and wait until it is in step; at once if this is off."""
        if self._tasks:
            self._idle.clear()
            self._due.set()
            await self._idle.wait()

    async def _round(self) -> None:
        document = await self._collection.get(LIST_ID)
        body = {} if document is None else document.to_dict()
        await self.book([] if document is None else [(body, document.revision)])
        over = "" if document is None else document.revision
        states = dict(self._ledger.states)
        made = await asyncio.to_thread(mirror, states, self._blank.properties, self._author, over)
        if is_same_list(made, body) or self._rewrites >= _REWRITES_MAX:
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
        devices = self._devices()
        found = [edits(body, revision, SAMPLE, devices) for body, revision in lists]
        for edited in found:
            if edited is not None:
                await self._editions.put(edited.stamp.by, register_of(edited))
        states = self._ledger.states
        changed: dict[str, State] = {}
        for body, _ in lists:
            began = founded(body, SAMPLE, SEEDED)
            changed |= {id: state for id, state in began.items() if id not in states}
        told = [each for each in found if each is not None and booked(states, each, changed)]
        changed |= superseded({**states, **changed}, self._editions.registers)
        if changed:
            stored = self._ledger.put(changed)
            for edited in told:
                self._booked(edited)
            await stored


def booked(states: Mapping[str, State], edited: Edits, changed: dict[str, State]) -> bool:
    """Put the items that an edit of the list makes others into `changed`; tell if there are any."""
    news = False
    for id, edit in edited.items.items():
        before = changed.get(id, states.get(id))
        after = applied(before, edit, edited)
        if after != before:
            changed[id] = after
            news = True
    return news
