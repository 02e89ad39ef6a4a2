"""Two peers on recorded disks: the real database, sessions and effects, on virtual time."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from settee.clock import InlineWorkers
from settee.db.database import Database
from settee.errors import NotFoundError
from settee.peer.attach import attach
from settee.peer.runtime import Runtime
from settee.store import Reader, feed
from settee.store.files import FILES, Files
from tests.crash import script
from tests.crash.recording import Recorder
from tests.simulation.links import SimLink
from tests.simulation.loop import VirtualLoop
from tests.simulation.world import SimPeer, World, world
from tests.store.conftest import NOW_NS, FakeClock

WEIGHTS: Final = {
    "save": 5,
    "blob": 5,
    "many": 3,
    "transaction": 2,
    "delete": 2,
    "compact": 1,
}
ROUNDS: Final = 6
SETTLED_S: Final = 300.0


class PeerClock(FakeClock):
    """The clock of a peer: time from the loop, chance that an image can be given again."""

    def __init__(self, seed: str, loop: VirtualLoop, ahead_s: float = 0.0) -> None:
        super().__init__(seed)
        self._loop = loop
        self._ahead_s = ahead_s

    def monotonic(self) -> float:
        return self._loop.time()

    def wall_ns(self) -> int:
        return NOW_NS + int((self._loop.time() + self._ahead_s) * 1e9)


class DurablePeer(SimPeer):
    """A peer whose disk is not taken for granted."""

    def __init__(
        self,
        world: World,
        name: str,
        *,
        durability: Literal["full", "normal"] = "full",
        files: Files = FILES,
        ahead_s: float = 0.0,
    ) -> None:
        self.world = world
        self.name = name
        self.clock = PeerClock(name, world.loop, ahead_s)  # type: ignore[assignment]
        self.db = Database._open(
            world.directory / f"{name}.settee",
            clock=self.clock,
            workers=InlineWorkers(),
            durability=durability,
            files=files,
        )
        self.runtime = Runtime(self.clock, InlineWorkers(), loop=world.loop)
        attach(self.db, self.runtime)
        self.listening = True
        self.passive = self._passive()
        self.active: list[Any] = []
        self.links: list[SimLink] = []
        world.peers[name] = self

    @property
    def reader(self) -> Reader:
        assert self.db._store._writer is not None
        return self.db._store._writer


def sync(recorder: Recorder, seed: str, durability: Literal["full", "normal"]) -> dict[str, str]:
    """Edits on both sides, one-shot and continuous replication, a link that is cut."""
    chance = random.Random(f"sync {seed}")
    scripts = [iter(script.script(f"{seed}/{side}", 40, weights=WEIGHTS)) for side in "ab"]
    with world(recorder.root, f"sync {seed}") as w:
        peers = []
        for name in "ab":
            peer = DurablePeer(w, name, durability=durability, files=recorder.files)
            recorder.opened(peer.db.path, peer.reader)
            peers.append(peer)
        a, b = peers
        recorder.on_commit = _never_ahead(a, b)
        for _ in range(ROUNDS):
            for peer, steps in zip(peers, scripts, strict=True):
                for _ in range(chance.randrange(5)):
                    _edit(peer, next(steps))
            dialled = a.dial(b, continuous=chance.random() < 0.4)
            w.start(dialled)
            if chance.random() < 0.4:
                w.elapse(chance.random() * 0.4)
                for peer, steps in zip(peers, scripts, strict=True):
                    _edit(peer, next(steps))
                if chance.random() < 0.5:
                    a.links[-1].cut()
            w.elapse(chance.choice((0.3, 5.0, 20.0)))
            w.run(dialled.stop())
    return {"a.settee": "a", "b.settee": "b"}


def _edit(peer: DurablePeer, step: script.Step) -> None:
    with contextlib.suppress(NotFoundError):  # What the other side deleted.
        script.act(peer.db, step)


class AheadOfData(AssertionError):
    """A checkpoint speaks of what is not stored."""


def _never_ahead(a: DurablePeer, b: DurablePeer) -> Any:
    """Return what checks, after each commit of the active peer, that its checkpoint is covered."""

    def check(name: str, reader: Reader) -> None:
        if name != "a.settee":
            return
        for (body,) in reader.rows("SELECT body FROM checkpoints"):
            told = orjson.loads(body)
            if told.get("local", 0) > feed.last_seq(reader, 1):
                raise AheadOfData(f"local {told['local']} of {feed.last_seq(reader, 1)}")
            remote = int(told.get("remote", 0))
            held = {row.doc_id: row for row in feed.changes(reader, 1, 0, 10_000).rows}
            for row in feed.changes(b.reader, 1, 0, 10_000).rows:
                if row.seq <= remote and row.doc_id not in held:
                    raise AheadOfData(f"remote {remote}, and {row.doc_id} is not there")

    return check


def resume(place: Path, *, edits: bool = True) -> None:
    """Let both peers of an image sync again; raise if they do not end alike."""
    with world(place, "resumed") as w:
        a, b = (DurablePeer(w, name, ahead_s=10_000.0) for name in "ab")
        if edits:  # Sequences that a cut took back are given to other documents.
            for n in range(3):
                b.db.default_collection[f"after-{n}"] = {"n": n}
        for _ in range(3):
            dialled = a.dial(b)
            w.start(dialled)
            w.run(dialled.finished(), SETTLED_S)
            error = dialled.status.value.error
            if error is not None:
                raise AssertionError(f"syncing again ended with {error}")
        here, there = a.contents(), b.contents()
        if here != there:
            differ = {
                name for name in here.keys() | there.keys() if here.get(name) != there.get(name)
            }
            raise AssertionError(f"syncing again left the peers different: {sorted(differ)}")
        for peer in (a, b):
            problems = peer.db.check()
            if problems:
                raise AssertionError(f"after syncing again {peer.name} has: {problems[0]}")
