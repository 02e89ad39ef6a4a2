"""Many light peers on one event loop: real replicators, diallers and databases, no threads."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from settee import BasicAuthenticator
from settee.clock import InlineWorkers, SystemClock
from settee.db.database import Database
from settee.ids import CollectionName
from settee.net.tls import Trust
from settee.peer.active import ActivePeer, ReplicatorOptions
from settee.peer.attach import attach
from settee.peer.credentials import Credentials
from settee.peer.hooks import CollectionConfig
from settee.peer.runtime import Runtime
from settee.peer.target import Target
from settee.sync.events import Activity, DocumentsReplicated
from tests.load.server import PASSWORD

PER_ADDRESS = 30
"""Connections from one address of loopback: a listener takes 32."""


class LightPeer:
    """A database and a replicator."""

    def __init__(self, directory: Path, number: int, port: int, pin: str, **options: Any) -> None:
        loop = asyncio.get_running_loop()
        clock, workers = SystemClock(), InlineWorkers()
        self.db = Database._open(
            directory / f"peer-{number}.settee", clock=clock, workers=workers, durability="memory"
        )
        runtime = Runtime(clock, workers, loop=loop)
        attach(self.db, runtime)
        self.number = number
        self.waiting: dict[str, float] = {}
        """Documents that were written here and are not confirmed, and since when."""
        self.latencies: list[float] = []
        self.arrived_at: dict[str, float] = {}
        ids = options.pop("document_ids", None)
        config = CollectionConfig(collection="_default", document_ids=ids)
        defaults: dict[str, Any] = {
            "targets": (Target(True, "127.0.0.1", port, "load"),),
            "collections": (CollectionName.parse("_default"),),
            "trust": Trust(pins=(bytes.fromhex(pin),)),
            "credentials": Credentials.of(BasicAuthenticator(f"user-{number}", PASSWORD)),
            "configs": (config,),
            "local_address": f"127.0.{1 + number // PER_ADDRESS}.1",
        }
        self.peer = ActivePeer(self.db, ReplicatorOptions(**{**defaults, **options}), runtime)
        self.peer.document_listeners.append(self._replicated)

    def _replicated(self, event: DocumentsReplicated) -> None:
        now = time.monotonic()
        for document in event.documents:
            assert document.error is None, document
            if event.pushed:
                began = self.waiting.pop(document.doc_id, None)
                if began is not None:
                    self.latencies.append(now - began)
            else:
                self.arrived_at[document.doc_id] = now

    def write(self, doc_id: str, body: dict[str, Any]) -> None:
        """Write a document here, whose confirmation is measured."""
        self.waiting[doc_id] = time.monotonic()
        self.db.default_collection[doc_id] = body

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 - what is waited for is no event.
                await asyncio.sleep(0.005)

    @property
    def connected(self) -> bool:
        """Whether it is in touch with the listener."""
        return self.peer.status.value.activity in (Activity.IDLE, Activity.BUSY)

    @property
    def idle(self) -> bool:
        return self.peer.status.value.activity is Activity.IDLE

    async def close(self) -> None:
        await self.peer.stop()
        with contextlib.suppress(Exception):
            self.db.close()


async def all_idle(peers: list[LightPeer], timeout_s: float) -> None:
    """Wait until each is connected and has nothing to do."""
    async with asyncio.timeout(timeout_s):
        while not all(peer.idle for peer in peers):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
