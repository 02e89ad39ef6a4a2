"""Rules that were tried and given up, as patches of the real code: the simulation must notice them.

Each is a context manager; while it is entered every settee peer of this process makes the mistake.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

from settee.doc import ancestry, conflict
from settee.doc.conflict import State
from settee.doc.records import Held
from settee.doc.revision import name
from settee.doc.version import RTE, Vector, edit, entries
from settee.store import revisions
from settee.sync import history, trees
from settee.sync.session import SessionConfig

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
            others = {s: t for s, t in entries(state.vector).items() if s != RTE}
            others.pop(version.source, None)
            before = Vector(state.vector.cv)
            vector = edit(before, version)._replace(pv=())
            for source, time in others.items():
                vector = vector._replace(pv=(*vector.pv, type(version)(time, source)))
            height = int(state.tid.partition("-")[0])
            state = state._replace(tid=name(height, version), vector=vector, aka=())
        return original(self, doc_id, known, state, body, blobs)

    with mock.patch.object(revisions._Batch, "_store", store):
        yield


def never_lifted() -> contextlib.AbstractContextManager[Any]:
    """A name keeps its generation, whatever a receiver has."""
    return mock.patch.object(conflict, "_lifted", lambda state, _height: state)


def history_as_seen() -> contextlib.AbstractContextManager[Any]:
    """A history names what the settee peer really saw, and nothing in between."""

    def history_for(state: State, base: str | None, history_max: int) -> list[str]:
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


def conflicts_refused() -> contextlib.AbstractContextManager[Any]:
    """A passive settee peer refuses conflicts at level 3, as Couchbase Lite does."""
    return mock.patch.object(
        SessionConfig, "refuse_conflicts", property(lambda config: not config.active)
    )


def engines_table() -> contextlib.AbstractContextManager[Any]:
    """Proposals are answered as Couchbase Lite answers them, by the parent alone."""

    def status_by_name(
        tid: str, parent: str, mine: Held | None, *, refuses: bool
    ) -> tuple[int, str]:
        state = None if mine is None else history.state_of(mine)
        return conflict.propose_status(state, tid, parent)

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
