"""Many peers in one process, on virtual time: the real database, the real protocol, no sockets.

One seed decides everything: delays, edits, cuts, random names. The trace (a hash over every frame
with its time) is the same each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from settee.clock import InlineWorkers
from settee.db.database import Database
from settee.errors import ConnectionFailedError
from settee.ids import CollectionName
from settee.net.dialer import DialPlan
from settee.net.link import Link
from settee.net.tls import Trust
from settee.peer.active import ActivePeer, ReplicatorOptions
from settee.peer.attach import attach
from settee.peer.hooks import CollectionConfig
from settee.peer.passive import ListenerOptions, PassivePeer
from settee.peer.runtime import Runtime
from settee.peer.target import Target
from settee.sync.events import Activity
from tests.simulation.links import SimLink, link_pair
from tests.simulation.loop import VirtualClock, VirtualLoop


class SimPeer:
    """One device: a database, a listener, and replicators to others."""

    def __init__(self, world: World, name: str, skew_s: float = 0.0) -> None:
        self.world = world
        self.name = name
        self.clock = VirtualClock(world.loop, f"{world.seed}/{name}", skew_s=skew_s)
        self.db = Database._open(
            world.directory / f"{name}.settee",
            clock=self.clock,
            workers=InlineWorkers(),
            durability="memory",
        )
        self.runtime = Runtime(self.clock, InlineWorkers(), loop=world.loop)
        attach(self.db, self.runtime)
        self.listening = True
        self.passive = self._passive()
        self.active: list[ActivePeer] = []
        self.links: list[SimLink] = []

    def _passive(self, *, delta_sync: bool = False) -> PassivePeer:
        names = tuple(row.name for row in self.db._store.collections())
        options = ListenerOptions(path="db", collections=names, delta_sync=delta_sync)
        return PassivePeer(self.db, options, self.runtime)

    def dial(
        self,
        other: SimPeer,
        *,
        replicator_type: Any = "push_and_pull",
        continuous: bool = False,
        collections: tuple[str, ...] = ("_default",),
        max_attempts: int | None = None,
        user_agent: str = "settee/sim",
        server: str = "settee/sim",
        config: CollectionConfig | None = None,
        delta_sync: bool = True,
        auto_purge: bool = True,
        subprotocol: str = "BLIP_3+CBMobile_4",
    ) -> ActivePeer:
        """Make a replicator to `other`; start it with ``world.start(...)``."""
        world = self.world

        async def dialer(plan: DialPlan) -> Link:
            await asyncio.sleep(0.01)
            if not other.listening:
                raise ConnectionFailedError("nobody listens", domain="Network", code=19)
            world.connections += 1
            mine, theirs = link_pair(
                world.loop,
                f"{world.seed}/link{world.connections}",
                user_agent=user_agent,
                server=server,
                certificate_der=other.name.encode(),
                subprotocol=subprotocol,
            )
            number = world.connections
            for end, label in ((mine, f"{number}>"), (theirs, f"{number}<")):
                end.on_frame = lambda frame, label=label: world.traced(label, frame)
            self.links.append(mine)
            driver = other.passive.accept(theirs, None)
            if driver is not None:
                theirs.attach(driver)
            return mine

        options = ReplicatorOptions(
            targets=(Target(True, other.name, 4984, "db"),),
            replicator_type=replicator_type,
            continuous=continuous,
            collections=tuple(CollectionName.parse(c) for c in collections),
            trust=Trust(),
            max_attempts=max_attempts,
            configs=() if config is None else (config,),
            delta_sync=delta_sync,
            auto_purge=auto_purge,
        )
        peer = ActivePeer(self.db, options, self.runtime, dialer=dialer)
        self.active.append(peer)
        return peer

    def contents(self) -> dict[str, tuple[Any, ...]]:
        """Return every document by collection and ID: body, or tombstone."""
        from settee.store import feed, revisions

        result: dict[str, tuple[Any, ...]] = {}
        store = self.db._store
        with store.reader() as reader:
            for row in store.collections():
                page = feed.changes(reader, row.key, 0, 100_000)
                ids = [change.doc_id for change in page.rows]
                for out in revisions.read(reader, row.key, ids):
                    assert out is not None
                    result[f"{row.name}/{out.doc_id}"] = (
                        out.deleted,
                        None if out.deleted else out.body,
                    )
        return result


class World:
    """Peers, links and time."""

    def __init__(self, directory: Path, seed: int | str) -> None:
        self.seed = seed
        self.directory = directory
        self.random = random.Random(f"world {seed}")
        self.loop = VirtualLoop()
        self.peers: dict[str, SimPeer] = {}
        self.connections = 0
        self._trace = hashlib.sha256()
        self.frames = 0

    def traced(self, label: str, frame: bytes) -> None:
        self.frames += 1
        self._trace.update(f"{self.loop.time():.9f} {label} ".encode() + frame)

    @property
    def trace(self) -> str:
        return self._trace.hexdigest()

    def peer(self, name: str, skew_s: float = 0.0) -> SimPeer:
        peer = self.peers[name] = SimPeer(self, name, skew_s)
        return peer

    def run(self, work: Any, timeout_s: float = 3600.0) -> Any:
        """Run a coroutine on virtual time."""
        return self.loop.run_until_complete(asyncio.wait_for(work, timeout_s))

    def elapse(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.run(asyncio.sleep(seconds), seconds + 1)

    def sync(self, peer: ActivePeer) -> None:
        """Run a one-shot replicator to its end; raises its error."""

        async def work() -> None:
            await peer.start()
            await peer.finished()

        self.run(work())
        error = peer.status.value.error
        if error is not None:
            raise error

    def start(self, *peers: ActivePeer) -> None:
        async def work() -> None:
            for peer in peers:
                await peer.start()

        self.run(work())

    def settle(self, limit_s: float = 600.0) -> None:
        """Let time pass until every continuous replicator is idle and nothing is sent."""
        began_s = self.loop.time()
        while True:
            frames = self.frames
            self.elapse(2.0)
            idle = all(
                p.status.value.activity in (Activity.IDLE, Activity.STOPPED)
                for peer in self.peers.values()
                for p in peer.active
            )
            if idle and frames == self.frames:
                return
            assert self.loop.time() - began_s < limit_s, "the peers never fall silent"

    def close(self) -> None:
        async def stop() -> None:
            for peer in self.peers.values():
                for active in peer.active:
                    await active.stop()
            await asyncio.sleep(1)

        self.run(stop())
        for peer in self.peers.values():
            peer.db.close()
        pending = asyncio.all_tasks(self.loop)
        for task in pending:
            task.cancel()
        if pending:
            self.loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


@contextlib.contextmanager
def world(directory: Path, seed: int | str) -> Iterator[World]:
    """Make a world, and end it."""
    made = World(directory, seed)
    try:
        yield made
    finally:
        made.close()
