"""A settee peer of the simulation: the real store and the real sessions, on virtual time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from settee.clock import InlineWorkers
from settee.doc import conflict
from settee.doc.version import parse_vector
from settee.ids import CollectionName
from settee.peer.driver import SessionDriver
from settee.peer.runtime import Runtime
from settee.store import Store, documents, feed, marks, revisions
from settee.sync.checkpoint import checkpoint_id
from settee.sync.events import ActivityChanged, DocumentsReplicated
from settee.sync.history import state_of
from settee.sync.options import SessionConfig
from settee.sync.session import Session
from tests.simulation.bridge.engine import State
from tests.simulation.bridge.timeline import Timeline
from tests.simulation.links import SimLink
from tests.simulation.loop import VirtualClock

DEFAULT = CollectionName("_default", "_default")
_ALL = 100_000


class BridgePeer:
    """One settee device."""

    def __init__(
        self, name: str, directory: Path, timeline: Timeline, seed: str, *, skew_s: float
    ) -> None:
        self.name = name
        self.clock = VirtualClock(timeline, f"{seed}/{name}", skew_s=skew_s)  # type: ignore[arg-type]
        self.runtime = Runtime(self.clock, InlineWorkers(), loop=timeline)  # type: ignore[arg-type]
        self.store = Store.open(
            directory / f"{name}.settee",
            durability="memory",
            clock=self.clock,
            workers=InlineWorkers(),
        )
        row = self.store.collection(DEFAULT)
        assert row is not None
        self._key = row.key

    # --- what an application does -----------------------------------------------------------------

    def edit(self, doc_id: str, state: State) -> bool:
        edit = documents.Edit(doc_id, state.body, state.deleted)
        self.store.write(lambda writer: documents.save(writer, self._key, [edit]))
        return True

    def state(self, doc_id: str) -> State | None:
        with self.store.reader() as reader:
            found = documents.get(reader, self._key, doc_id)
        if found is None:
            return None
        return State(bool(found.flags & 1), found.body)

    def purge(self, doc_id: str) -> None:
        self.store.write(lambda writer: documents.purge(writer, self._key, [doc_id]))

    # --- what a simulation looks at ---------------------------------------------------------------

    def documents(self) -> dict[str, conflict.State]:
        """Return what is kept of each document beside its body; asserts that it is sound."""
        with self.store.reader() as reader:
            page = feed.changes(reader, self._key, 0, _ALL)
            ids = [row.doc_id for row in page.rows]
            held = revisions.held(reader, self._key, ids, None)
        states = {}
        for doc_id, one in zip(ids, held, strict=True):
            assert one is not None
            states[doc_id] = state_of(one)
            conflict.assert_sound(states[doc_id])
        return states

    def names_of(self, doc_id: str) -> str:
        """Return tree name and vector, for people."""
        with self.store.reader() as reader:
            (one,) = revisions.held(reader, self._key, [doc_id], None)
        return "nothing" if one is None else f"{one.tid} {one.aka} [{one.history}] {one.vector}"

    def cv(self, doc_id: str) -> object:
        with self.store.reader() as reader:
            (one,) = revisions.held(reader, self._key, [doc_id], None)
        return None if one is None else parse_vector(one.vector).cv

    # --- sessions ---------------------------------------------------------------------------------

    def connect(
        self,
        link: SimLink,
        remote: str,
        told: Callable[[ActivityChanged | DocumentsReplicated], None],
        *,
        active: bool,
        continuous: bool,
        level: int,
        resolves: bool,
        to_settee: bool,
    ) -> SessionDriver:
        """Make a session on a link, as the replicator and the listener do; it is to be started."""
        remote_id = None
        ids: tuple[str, ...] = ()
        if active:
            private = self.store.private_uuid.hex()
            ids = (checkpoint_id(database=private, remote=remote, collection=DEFAULT),)
            remote_id = self.store.write(lambda writer: marks.remote_id(writer, remote))
        config = SessionConfig(
            active=active,
            collections=(DEFAULT,),
            checkpoint_ids=ids,
            continuous=continuous,
            level=level,
            resolves=resolves,
            peer_is_settee=to_settee,
            wall_offset_s=self.clock.wall_ns() / 1e9 - self.clock.monotonic(),
        )
        return SessionDriver(
            self.runtime,
            self.store,
            Session(config, now=self.clock.monotonic()),
            link,
            keys=[self._key],
            remote=remote_id,
            on_event=told,
            tag=(remote, 1),
        )

    def close(self) -> None:
        self.runtime.close()
        self.store.close()
