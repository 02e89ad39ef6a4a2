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
from settee.doc.revision import everyday_version, generation
from settee.doc.version import parse_vector

__all__ = [
    "has_one_author",
    "history_text",
    "is_plainly_unknown",
    "names_above",
    "names_of",
    "same_digest",
    "state_of",
    "stored_state",
]


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


def names_of(held: Held) -> tuple[str, ...]:
    """Return all names that are held of a document: the current one, its aliases, its ancestors."""
    return (held.tid, *_names(held.aka), *_names(held.history))


def is_plainly_unknown(held: Held, tid: str) -> bool:
    """Tell quickly whether a name means neither the current revision nor an ancestor.

    True is certain, and said of nearly all new edits: a clock wrote them, and what is held is by
    one author. False: ask `conflict.known`, whose answer this is, read off the texts.
    """
    version = everyday_version(tid)
    if not (version and held.vector) or held.aka or everyday_version(held.tid) != held.vector:
        return False
    time, _, author = version.partition("@")
    my_time, _, my_author = held.vector.partition("@")
    return author != my_author or int(time, 16) > int(my_time, 16)


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


def has_one_author(vector: str) -> bool:
    """Tell whether a vector, in wire form, is a single version."""
    return "," not in vector and ";" not in vector


def history_text(
    revision: RevisionOut, base: str | None, history_max: int, *, steps: bool = False
) -> str:
    """Return the value of `history` on a connection that speaks trees.

    Ancestors, newest first, each generation one below the one before, as Couchbase Lite insists.
    `base`: what the peer has of them, or None; the list ends there. `steps`: see
    `conflict.history_for`.
    """
    if not revision.history and (base is None or generation(revision.tid) == 1):
        return ""
    if not steps and has_one_author(revision.vector):  # Then names without a hole say it all.
        names = _names(revision.history)
        cut = len(names) if base is None else names.index(base) + 1 if base in names else 0
        reached = base is None or 0 < cut <= history_max
        if reached and _descends_by_one(revision.tid, names[:cut][:history_max]):
            return ",".join(names[:cut][:history_max])
    return ",".join(history_for(stored_state(revision), base, history_max, steps=steps))


def _descends_by_one(tid: str, names: Sequence[str]) -> bool:
    expected = generation(tid) - 1
    for name in names:
        if generation(name) != expected:
            return False
        expected -= 1
    return True
