"""Rules that were tried and given up, as patches of the real code: the simulation must notice them.

Each is a context manager; while it is entered every settee peer of this process makes the mistake.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

from settee.doc import ancestry, conflict, revision
from settee.doc.conflict import State
from settee.doc.records import Held
from settee.doc.revision import name
from settee.doc.version import RTE, Vector, Version, build, entries
from settee.peer.driver import SessionDriver
from settee.store import revisions
from settee.sync import history, trees
from settee.sync.options import SessionConfig
from settee.sync.puller import Puller
from settee.sync.pusher_passive import PassivePusher
from settee.sync.vectors import VectorDialect
from tests.simulation.bridge.bridging import BridgePeer

Mistake = Callable[[], contextlib.AbstractContextManager[Any]]


@contextlib.contextmanager
def new_version_for_a_tree_revision() -> Iterator[None]:
    """Each settee peer calls a revision of the tree world by a version of its own.

    So Sync Gateway does. Two of them then have two versions for one revision.
    """
    original = revisions._Batch._store

    def store(self: Any, doc_id: str, known: Any, state: State, body: str, blobs: Any) -> Any:
        if state.vector.cv.source == RTE and not (known is not None and known[4] == state.tid):
            version = self._mint()
            times = {s: time for s, time in entries(state.vector).items() if s != RTE}
            spelled = name(revision.generation(state.tid), version)
            vector = build(version, (), {**times, version.source: version.time})
            state = state._replace(tid=spelled, vector=vector, aka=())
        return original(self, doc_id, known, state, body, blobs)

    with mock.patch.object(revisions._Batch, "_store", store):
        yield


def never_lifted() -> contextlib.AbstractContextManager[Any]:
    """A name keeps its generation, whatever a receiver has."""
    return mock.patch.object(conflict, "_lifted", lambda state, _height: state)


def history_as_seen() -> contextlib.AbstractContextManager[Any]:
    """A history names what the settee peer really saw, and nothing in between."""

    def history_for(
        state: State, base: str | None, history_max: int, *, steps: bool = False
    ) -> list[str]:
        names = list(state.history)
        if base in names:
            names = names[: names.index(base) + 1]
        return names[:history_max]

    return mock.patch.object(history, "history_for", history_for)


@contextlib.contextmanager
def fillers_without_versions() -> Iterator[None]:
    """A history leads down to what the receiver has, but says nothing of what came between."""

    def must_tell(state: State, base: str | None) -> list[Any]:
        return []

    with (
        mock.patch.object(ancestry, "must_tell", must_tell),
        mock.patch.object(conflict, "must_tell", must_tell),
    ):
        yield


@contextlib.contextmanager
def conflicts_refused() -> Iterator[None]:
    """A passive settee peer refuses conflicts at level 3 whatever the peer has seen."""
    refuses = property(lambda config: not config.active)
    with (
        mock.patch.object(SessionConfig, "refuse_conflicts", refuses),
        mock.patch.object(Puller, "_is_ours_to_resolve", return_value=False),
    ):
        yield


@contextlib.contextmanager
def announced_at_once() -> Iterator[None]:
    """A passive settee peer announces its rows without listening to the peer's first."""
    original = PassivePusher.subscribe

    def subscribe(self: Any, request: Any, doc_ids: Any) -> None:
        self._listens = False
        original(self, request, doc_ids)

    with mock.patch.object(PassivePusher, "subscribe", subscribe):
        yield


@contextlib.contextmanager
def digests_are_hashes() -> Iterator[None]:
    """A name's digest is a hash of the version: whoever has not heard the version can't read it."""
    books: dict[object, dict[str, Version]] = {}
    reader: list[object] = [None]

    def read_by(store: object) -> None:
        if reader[0] is not store:
            reader[0] = store
            revision.version_of.cache_clear()

    def hashed(height: int, version: Version) -> str:
        digest = hashlib.sha1(f"{version}".encode(), usedforsecurity=False).hexdigest()
        books.setdefault(reader[0], {})[digest] = version
        revision.version_of.cache_clear()
        return f"{height}-{digest}"

    def embedded(digest: str) -> Version | None:
        return books.get(reader[0], {}).get(digest)

    step, edit_, documents = SessionDriver._step, BridgePeer.edit, BridgePeer.documents

    def stepped(self: SessionDriver, *arguments: Any) -> None:
        read_by(self._store)
        step(self, *arguments)

    def edited(self: BridgePeer, *arguments: Any) -> bool:
        read_by(self.store)
        return edit_(self, *arguments)

    def looked_at(self: BridgePeer) -> Any:
        read_by(self.store)
        return documents(self)

    with contextlib.ExitStack() as patches:
        for module in [m for key, m in sys.modules.items() if key.startswith("settee.")]:
            if getattr(module, "name", None) is name:
                patches.enter_context(mock.patch.object(module, "name", hashed))
        patches.enter_context(mock.patch.object(revision, "_embedded", embedded))
        patches.enter_context(mock.patch.object(SessionDriver, "_step", stepped))
        patches.enter_context(mock.patch.object(BridgePeer, "edit", edited))
        patches.enter_context(mock.patch.object(BridgePeer, "documents", looked_at))
        yield
    revision.version_of.cache_clear()


def engines_table() -> contextlib.AbstractContextManager[Any]:
    """Proposals are answered as Couchbase Lite answers them, by the parent alone."""

    def status_by_name(tid: str, parent: str, mine: Held | None) -> tuple[int, str]:
        if mine is None:
            return (409 if parent else 0), ""
        state = history.state_of(mine)
        if ancestry.is_same(state, tid):
            return 304, mine.tid
        fits = ancestry.is_same(state, parent) if parent else mine.deleted
        return (0 if fits else 409), mine.tid

    return mock.patch.object(trees, "status_by_name", status_by_name)


@contextlib.contextmanager
def holes_not_trusted() -> Iterator[None]:
    """A revision is unknown where the vector has its generation and no name stands for it."""

    def born_at(names: Sequence[str], height: int) -> bool:
        return True

    with (
        mock.patch.object(ancestry, "born_at", born_at),
        mock.patch.object(conflict, "born_at", born_at),
    ):
        yield


@contextlib.contextmanager
def later_version_wins() -> Iterator[None]:
    """The later version wins a conflict, whatever it was made on; nothing is ever mutual."""

    def rank(vector: Vector, deleted: bool) -> tuple[bool, int, bool, int, str]:
        return deleted, 0, False, vector.cv.time, vector.cv.source

    original = conflict.relate

    def relate(state: Any, tid: str, names: Any, vector: Any) -> conflict.Relation:
        relation = original(state, tid, names, vector)
        mutual = relation is conflict.Relation.MUTUAL and vector is None
        return conflict.Relation.OLD if mutual else relation

    with (
        mock.patch.object(conflict, "rank", rank),
        mock.patch.object(conflict, "relate", relate),
    ):
        yield


def pruned_histories_not_trusted() -> contextlib.AbstractContextManager[Any]:
    """A history that a shallow tree cut off above our revision counts as a conflict."""
    return mock.patch.object(conflict, "PRUNED_NAMES_MIN", 10**9)


@contextlib.contextmanager
def no_tree_names_at_level_4() -> Iterator[None]:
    """Settee peers tell each other versions only; each finds heights of its own."""
    original = VectorDialect.said

    def said(self: VectorDialect, *arguments: Any, **more: Any) -> dict[str, str]:
        properties = original(self, *arguments, **more)
        properties.pop("tree", None)
        return properties

    with (
        mock.patch.object(VectorDialect, "said", said),
        mock.patch.object(VectorDialect, "row_end", return_value=[]),
    ):
        yield
