"""The original app, as far as its data go: one database, one document, absolute numbers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from settee import ConflictError
from settee.aio import Database
from settee.net.link import PeerInfo
from settee_inventory.book import Inventory

LIST = "doc::list"
VISITOR = "visits-the-original"
"""What devices call themselves to it over sockets."""


class Strangers:
    """Lets settee in the original's place, and the devices, take each other for strangers.

    So it is with Couchbase Lite: its listener refuses what conflicts with its own revision, and
    leaves the decision to whoever connected.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.meeting = False
        self.ports: set[int] = set()
        patch.setattr("settee.peer.passive.is_settee", self._is_settee)
        patch.setattr("settee.peer.active.is_settee", self._is_settee)

    def _is_settee(self, peer: PeerInfo) -> bool:
        if peer.address == "local":  # Of this program: `Original.meet` runs alone.
            return not self.meeting
        return VISITOR not in peer.user_agent and peer.port not in self.ports


class Original:
    """It knows nothing of the model, and refuses conflicts."""

    def __init__(self, db: Database, strangers: Strangers | None = None) -> None:
        self.db = db
        self.strangers = strangers
        self.differences: dict[str, int] = {}

    async def shown(self) -> dict[str, int]:
        """Return what its screen shows."""
        document = await self.db.default_collection.get(LIST)
        items = [] if document is None else document.to_dict()["items"]
        return {line["key"]: line["value"] for line in items}

    async def write(self, name: str, number: int) -> None:
        """Write a number over the one that is shown, with all other lines as they are."""
        while True:
            document = await self.db.default_collection[LIST]
            body: dict[str, Any] = document.to_dict()
            (line,) = (each for each in body["items"] if each["key"] == name)
            difference = number - line["value"]
            line["value"] = number
            document["items"] = body["items"]
            with contextlib.suppress(ConflictError):  # The list came anew: look again.
                await self.db.default_collection.save(document, on_conflict="fail")
                break
        self.differences[name] = self.differences.get(name, 0) + difference

    async def meet(self, book: Inventory) -> None:
        """Let a device connect to it: the device resolves conflicts, it refuses them."""
        assert self.strangers is not None
        self.strangers.meeting = True
        await book.db.replicate(self.db, collections=book.replicated_with_original())
        self.strangers.meeting = False
        await book.caught_up()


@contextlib.asynccontextmanager
async def original(directory: Path, strangers: Strangers) -> AsyncIterator[Original]:
    """Open the original's database."""
    async with Database("userdb", directory=directory / "original", durability="memory") as db:
        yield Original(db, strangers)
