"""One simulated peer: a database, its listener, its replicators, its application's live view."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from settee.clock import InlineWorkers
from settee.db.collection import Collection
from settee.db.database import Database
from settee.doc.conflict import State
from settee.doc.records import DELETED
from settee.errors import SetteeError
from settee.ids import CollectionName
from settee.net.tls import Trust
from settee.peer.active import ActivePeer, ReplicatorOptions
from settee.peer.attach import attach
from settee.peer.hooks import AccessRequest, CollectionConfig, Conflict, DocumentFlags
from settee.peer.passive import ListenerOptions, PassivePeer
from settee.peer.runtime import Runtime
from settee.peer.target import Target
from settee.store.documents import state_of
from settee.store.files import FILES
from settee.store.schema import documents_table
from settee.sync.events import Activity
from tests.simulation.disks import PeerDisk
from tests.simulation.loop import VirtualClock
from tests.simulation.model import Seen
from tests.simulation.plan import DOCUMENTS, PURGED, LinkPlan
from tests.simulation.slow import SlowRuntime

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet

__all__ = ["Device", "Incarnation", "Row", "merge"]


class Incarnation:
    """One process: when it is dead, nothing that its remains do counts."""

    def __init__(self) -> None:
        self.dead = False


class Row(NamedTuple):
    """A document as it lies in a database."""

    seq: int
    state: State
    body: dict[str, Any]

    @property
    def seen(self) -> Seen:
        """What the model knows of it."""
        time, source = self.state.vector.cv
        if self.state.deleted:
            return Seen(True, frozenset(), f"{time:x}@{source}", "")
        return Seen(
            False,
            frozenset(self.body.get("log", ())),
            f"{time:x}@{source}",
            self.body.get("image_of", ""),
        )


class AppError(RuntimeError):
    """An error that the application raises in a callback."""


class Device:
    """A peer that may die, be put back, and be started again."""

    def __init__(self, fleet: Fleet, name: str, skew_s: float) -> None:
        self.fleet = fleet
        self.name = name
        self.clock = VirtualClock(fleet.loop, f"{fleet.plan.seed}/{name}", skew_s=skew_s)
        self.chance = random.Random(f"device {fleet.plan.seed}/{name}")
        self.path = fleet.directory / f"{name}-0.settee"
        self.lives = 0
        self.snapshots: list[Path] = []
        self.is_gone = False
        """Left for good."""
        self.is_dark = False
        """Without power: it does not even refuse connections."""
        self.listening = True
        self.incarnation = Incarnation()
        self.is_ending = False
        """Its process has ended, and its remains are not cleared away yet."""
        self.disk: PeerDisk | None = None
        """Where something may go wrong with the disk."""
        self.passive: PassivePeer | None = None
        self.actives: dict[int, ActivePeer] = {}
        """By the number of the link."""
        self.extras: list[ActivePeer] = []
        """Replicators beside those, to the same peers."""
        self.live: dict[tuple[str, str], frozenset[str]] = {}
        """What the application's live view shows: documents and their tokens."""
        self.sequences: dict[str, int] = {}
        """The last sequence of each collection that was seen."""
        self.skew_high_s = skew_s
        """How far its clock was ahead of the loop's at most."""

    # --- life -------------------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        """Whether its process runs."""
        return self.passive is not None and not self.incarnation.dead

    def open(self) -> None:
        """Start its process."""
        plan, loop = self.fleet.plan, self.fleet.loop
        self.incarnation = Incarnation()
        self.disk = None if self.fleet.disks is None else self.fleet.disks.insert(self.path)
        self.db = Database._open(
            self.path,
            files=FILES if self.disk is None else self.disk.files,
            clock=self.clock,
            workers=InlineWorkers(),
            durability=plan.durability,  # type: ignore[arg-type]
        )
        self.collections: dict[str, Collection] = {
            name: self.db.collection(name, create=True) for name in plan.collections
        }
        self.runtime: Runtime
        if "slow_disk" in plan.faults:
            slow = SlowRuntime(self.clock, loop, random.Random(f"{plan.seed}/{self.name}/disk"))
            slow.is_slow = not self.fleet.is_healed
            self.runtime = slow
        else:
            self.runtime = Runtime(self.clock, InlineWorkers(), loop=loop)
        attach(self.db, self.runtime)
        names = tuple(CollectionName.parse(name) for name in plan.collections)
        self.passive = PassivePeer(
            self.db,
            ListenerOptions(
                path="db",
                collections=names,
                delta_sync=plan.listener_deltas,
                resolve_conflicts=plan.listener_resolves,
                authorize=self._authorize if plan.listener_authorizes else None,
            ),
            self.runtime,
        )
        self.lives += 1
        self.is_dark = False
        self.look_again()
        incarnation = self.incarnation
        self.db.on_change(lambda change: self._changed(incarnation, change))

    def set_clock(self, skew_s: float) -> None:
        self.clock.skew_s = skew_s
        self.skew_high_s = max(self.skew_high_s, skew_s)

    async def close(self) -> None:
        """End its process in good order."""
        if self.disk is not None:
            self.disk.forget()
        passive, self.passive = self.passive, None
        for active in [*self.actives.values(), *self.extras]:
            await active.stop()
        self.actives.clear()
        self.extras.clear()
        if passive is not None:
            drivers = [each._driver for each in passive.connections]
            for driver in drivers:
                driver.link.abort()
            for driver in drivers:
                await driver.done.wait()
        self.incarnation.dead = True
        self.db.close()

    async def die(self, *, power: bool = False, left: Path | None = None) -> None:
        """End its process at once, and nothing that it does counts.

        What lies on the disk stays; of a power cut, what was synced. `left` is a copy of that, if
        the process ended before.
        """
        passive, self.passive = self.passive, None
        actives, self.actives = [*self.actives.values(), *self.extras], {}
        self.extras = []
        self.incarnation.dead = True
        self.path = self.leave(power=power) if left is None else left
        if self.disk is not None:
            self.disk.forget()
        self.fleet.network.hang_up(self.name)
        # Its remains have to be cleared away, on files that nobody looks at any more.
        db = self.db
        for active in actives:
            await active.stop()
        assert passive is not None
        for connection in passive.connections:
            connection._driver.link.abort()
            await connection._driver.done.wait()
        db.close()
        self.is_ending = False

    def end_in(self, operations: int, *, power: bool, then: Callable[[], object]) -> None:
        """Let its process end in the middle of what it does, at one of its disk's operations."""
        assert self.disk is not None
        incarnation = self.incarnation

        def end() -> None:
            if not incarnation.dead:
                incarnation.dead = self.is_ending = True
                self.fleet.spawn(buried(self.leave(power=power)))

        async def buried(left: Path) -> None:
            await self.die(left=left)
            then()

        self.disk.ends_in, self.disk.on_end = operations, end

    def leave(self, *, power: bool) -> Path:
        """Return a copy of what its next process finds."""
        path = self.fleet.directory / f"{self.name}-{self.lives}.settee"
        if self.disk is None:
            ignored = shutil.ignore_patterns("*.lock", "*-shm")
            shutil.copytree(self.path, path, ignore=ignored)
        else:
            chance = random.Random(f"{self.fleet.plan.seed}/{self.name}/{self.lives}/power")
            self.disk.leave(path, chance, power=power)
        return path

    def begin_anew(self, source: Path | None) -> None:
        """Have another database from now on: a copy of `source`, or an empty one."""
        self.path = self.fleet.directory / f"{self.name}-{self.lives}.settee"
        self.sequences.clear()
        if source is not None:
            # An author whose database and clock were both put back would use its times twice.
            self.clock.skew_s = self.skew_high_s
            shutil.copytree(source, self.path)

    def copy_files(self, target: Path) -> None:
        """Copy the files as they lie on the disk, without what belongs to the process."""
        ignored = shutil.ignore_patterns("*.lock", "*-shm", "open", "staging")
        shutil.copytree(self.path, target, ignore=ignored)

    def discard(self) -> None:
        """Close what is left open at the end of a run."""
        if self.lives and not self.db._closed:
            self.db.close()

    # --- replicating ------------------------------------------------------------------------------

    def replicator(self, link: LinkPlan, other: Device, *, continuous: bool) -> ActivePeer:
        """Make a replicator to another peer; it is to be started."""
        ids = [*DOCUMENTS, *PURGED] if link.filter == "ids" else None
        configs = tuple(
            CollectionConfig(
                collection=name,
                document_ids=ids,
                push_filter=self._filter if link.filter == "push" else None,
                pull_filter=self._filter if link.filter == "pull" else None,
                conflict_resolver=self._merge if link.merges else None,
            )
            for name in link.collections
        )
        options = ReplicatorOptions(
            targets=(Target(True, other.name, 4984, "db"),),
            replicator_type=link.type,  # type: ignore[arg-type]
            continuous=continuous,
            collections=tuple(CollectionName.parse(name) for name in link.collections),
            trust=Trust(),
            configs=configs,
            delta_sync=link.deltas,
        )
        dialer = self.fleet.network.dialer(self, other, link)
        return ActivePeer(self.db, options, self.runtime, dialer=dialer)

    def _filter(self, document: Any, flags: DocumentFlags) -> bool:
        self.maybe_raise()
        return not document.id.startswith("private::")

    def _authorize(self, request: AccessRequest) -> bool:
        return not request.document.id.startswith("private::")

    def _merge(self, conflict: Conflict) -> Any:
        self.maybe_raise()
        return merge(conflict)

    def maybe_raise(self) -> None:
        """Raise an error of the application's, now and then, where the seed wants it."""
        fleet = self.fleet
        if "callback" in fleet.plan.faults and not fleet.is_healed and self.chance.random() < 0.05:
            fleet.happened("callback")
            raise AppError("an application's mistake")

    @property
    def is_quiet(self) -> bool:
        """Whether none of its replicators has anything to do."""
        resting = (Activity.IDLE, Activity.STOPPED)
        return all(each.status.value.activity in resting for each in self.actives.values())

    # --- what it has ------------------------------------------------------------------------------

    def rows(self, only: set[str] | None = None) -> dict[tuple[str, str], Row]:
        """Return all documents, tombstones too, of one state of the database."""
        found: dict[tuple[str, str], Row] = {}
        with self.fleet.disturbed(False), self.db._store.reader() as reader:
            for name, collection in self.collections.items():
                sql = (
                    "SELECT doc, id, seq, flags, tid, history, aka, vector, CAST(body AS BLOB) "
                    f"FROM {documents_table(collection._key)}"
                )
                for row in reader.rows(sql):
                    if only is None or row[1] in only:
                        body = {} if row[3] & DELETED else orjson.loads(row[8])
                        found[name, row[1]] = Row(row[2], state_of(row), body)
        return found

    def row(self, name: str, doc_id: str) -> Row | None:
        return self.rows({doc_id}).get((name, doc_id))

    # --- the application's live view --------------------------------------------------------------

    def look_again(self) -> None:
        """Read everything, as an application does when it starts; judge it beside the last look."""
        rows = self.rows()
        self.fleet.looked(self, {key: row.seen for key, row in rows.items()})
        self.live = {key: r.seen.log for key, r in rows.items() if not r.state.deleted}

    def _changed(self, incarnation: Incarnation, change: Any) -> None:
        if incarnation.dead or incarnation is not self.incarnation:
            return
        name = change.collection.full_name
        name = "_default" if name == "_default._default" else name
        rows = self.rows(set(change.document_ids))
        for doc_id in change.document_ids:
            key = (name, doc_id)
            row = rows.get(key)
            self.fleet.shown(self, key, None if row is None else row.seen)
            if row is None or row.state.deleted:
                self.live.pop(key, None)
            else:
                self.live[key] = row.seen.log
        self.maybe_raise()

    def try_write(self, job: Callable[[], object]) -> bool:
        """Do a write of the application's; tell whether it returned."""
        try:
            with self.fleet.disturbed():
                job()
        except SetteeError as exc:
            self.fleet.refused(self, exc)
            return False
        return not self.incarnation.dead


def merge(conflict: Conflict) -> Any:
    """The application's resolver: all tokens of both; a deletion wins. The same at every peer."""
    mine, theirs = conflict.local, conflict.remote
    if mine is None or theirs is None:
        return None
    a, b = mine.to_dict(), theirs.to_dict()
    log = sorted({*a["log"], *b["log"]})
    first, second = sorted((a, b), key=lambda body: (body.get("image_of", ""), body["log"]))
    merged = {**first, **second, "log": log}
    if "image" not in second:
        merged.pop("image", None)
        merged.pop("image_of", None)
    named = sorted((mine, theirs), key=lambda document: document.revision.partition("-")[2])
    for document in named[::-1]:
        if document.to_dict() == merged:
            return document
    return merged
