"""What is said of a revision's ancestry in the `rev` message that carries it.

Room: pure protocol.
Touches: settee.doc.{conflict, records, revision, version}, settee.limits.
Never touches: sockets, files, the wall clock, randomness.
Spec: wire protocol 5A.3; docs/architecture.md, "Names of revisions".
"""

from __future__ import annotations

from collections.abc import Sequence

from settee.doc.conflict import State, history_for
from settee.doc.records import Held, RevisionOut
from settee.doc.revision import generation
from settee.doc.version import parse_vector

__all__ = ["history_text", "names_above", "same_digest", "state_of", "stored_state"]


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def same_digest(a: str, b: str) -> bool:
    """Tell whether two tree names differ in their generation at most; "" is like no other."""
    return bool(a) and a.partition("-")[2] == b.partition("-")[2]


def state_of(held: Held) -> State:
    """Return what is held of a document in the form that the decisions of `doc` take."""
    return State(
        tid=held.tid,
        deleted=held.deleted,
        vector=parse_vector(held.vector),
        aka=_names(held.aka),
        history=_names(held.history),
    )


def stored_state(revision: RevisionOut) -> State:
    """Return the same of a revision that is about to be sent (its aliases don't matter then)."""
    return State(
        tid=revision.tid,
        deleted=revision.deleted,
        vector=parse_vector(revision.vector),
        aka=(),
        history=_names(revision.history),
    )


def names_above(revision: RevisionOut, bases: Sequence[str]) -> tuple[str, ...]:
    """Return the known ancestors of a revision, newest first, down to one that the peer has."""
    names = _names(revision.history)
    wanted = set(bases)
    cut = next((i for i, name in enumerate(names) if name in wanted), None)
    return names if cut is None else names[: cut + 1]


def history_text(revision: RevisionOut, bases: Sequence[str], history_max: int) -> str:
    """Return the value of `history` on a connection that speaks trees.

    Ancestors, newest first, each generation one below the one before, as Couchbase Lite insists,
    down to one that the peer has. `bases` are the revisions that the peer said it has, best first.
    """
    if not revision.history and (not bases or generation(revision.tid) == 1):
        return ""
    names = _names(revision.history)
    wanted = set(bases)
    cut = next((i for i, name in enumerate(names) if name in wanted), None)
    shown = names[:history_max] if cut is None else names[: min(cut + 1, history_max)]
    # A base below the last name that may be shown has to be shown all the same: see below.
    reached = not bases or (cut is not None and cut < history_max)
    if reached and _descends_by_one(revision.tid, shown):
        return ",".join(shown)
    base = names[cut] if cut is not None else bases[0] if bases else None
    return ",".join(history_for(stored_state(revision), base, history_max))


def _descends_by_one(tid: str, names: Sequence[str]) -> bool:
    expected = generation(tid) - 1
    for name in names:
        if generation(name) != expected:
            return False
        expected -= 1
    return True
