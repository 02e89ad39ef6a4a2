"""The dialect of revision trees: Couchbase Lite 2.8 to 3.x, Sync Gateway at levels 2 and 3.

Room: pure protocol.
Touches: settee.doc, settee.errors, settee.limits, settee.sync.
Never touches: sockets, files, the wall clock, randomness.
Spec: wire protocol 3.5, 3.6, 5A; docs/architecture.md, "Names of revisions".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from settee.doc.conflict import Relation, State, ancestors_held, has_room, known, relate
from settee.doc.records import Held, RevisionIn, RevisionOut
from settee.doc.revision import generation, is_tree_name, version_of
from settee.errors import PeerProtocolError
from settee.limits import HISTORY_NAMES_MAX
from settee.sync.dialect import Dialect, Ground, Heard, Verdict
from settee.sync.history import (
    has_one_author,
    history_text,
    is_plainly_unknown,
    names_above,
    names_of,
    same_digest,
    state_of,
    stored_state,
)
from settee.sync.messages import AnnouncedRow, ProposedRow

__all__ = ["TreeDialect", "answer_by_name", "status_by_name"]


class TreeDialect(Dialect):
    """Tree names, as they are."""

    versioning: ClassVar[str] = "rev-trees"
    learns = True

    def name(self, tid: str) -> str:
        """Return the tree name itself."""
        return tid

    def tid_of(self, text: str) -> str | None:
        """Return the name if it is one."""
        return text if is_tree_name(text) else None

    def row_end(self, tid: str) -> list[object]:
        """Return nothing: the row is complete."""
        return []

    def reply_properties(self) -> dict[str, str]:
        """Say how many ancestors are of use."""
        return {"maxHistory": str(HISTORY_NAMES_MAX)}

    def heard(self, properties: Mapping[str, str]) -> Heard | None:
        """Read ``rev`` and ``history``."""
        tid = properties.get("rev", "")
        if not is_tree_name(tid):
            return None
        return Heard(tid, properties.get("history", "").replace(" ", ""), "")

    def ground(self, revision: RevisionOut, bases: Sequence[str]) -> Ground:
        """Find the newest revision of the peer's that is ours, or an ancestor of ours.

        The peer lists its leaf first, and what is unknown here is nothing to build on: claiming to
        descend from it would put a stranger's edit below ours unseen.
        """
        if not bases:
            return Ground(Verdict.SEND, None)
        if has_one_author(revision.vector) and bases[0] in names_above(revision, bases):
            return Ground(Verdict.SEND, bases[0])
        state = stored_state(revision)
        for place, base in enumerate(bases):
            relation = known(state, base)
            if relation is Relation.SAME:
                # As its leaf, spelled lower, it takes the higher name as a child of that.
                lower = place == 0 and generation(base) < generation(state.tid)
                return Ground(Verdict.SEND if lower else Verdict.HELD, base)
            if relation is Relation.OLD:
                return Ground(Verdict.SEND if has_room(state, base) else Verdict.LIFT, base)
        return Ground(Verdict.SEND, None)

    def said(
        self,
        revision: RevisionOut,
        bases: Sequence[str],
        ground: Ground,
        history_max: int,
        *,
        retold: bool,
    ) -> dict[str, str]:
        """Write ``rev`` and, where there are ancestors to tell of, ``history``.

        `retold`: by steps in place of the ancestors' own names, which the peer may hold on a branch
        that is dead.
        """
        properties = {"rev": revision.tid}
        if revision.history or ground.base:
            history = history_text(revision, ground.base, history_max, steps=retold)
            if history:
                properties["history"] = history
        return properties

    def is_as_given(self, tid: str, given: RevisionIn) -> bool:
        """Compare names, generations too: the peer would take a lifted one for another."""
        return tid == given.tid

    def answer(self, row: AnnouncedRow, mine: Held | None, *, refuses: bool) -> tuple[object, str]:
        """Answer by the name alone."""
        if not is_tree_name(row.rev):
            raise PeerProtocolError(f"{row.rev[:80]!r} is not a revision ID", domain="HTTP")
        return answer_by_name(row.rev, mine, refuses=refuses)

    def status(self, row: ProposedRow, mine: Held | None, *, refuses: bool) -> tuple[int, str]:
        """Answer by the names alone.

        A revision that is unknown is wanted, as a rule: only its history can tell whether it
        descends from ours. If it is the child of an ancestor of ours, or the first of its
        document, there is nothing more to be told.
        """
        tid, parent = row.rev, row.parent
        if not is_tree_name(tid) or (parent and not is_tree_name(parent)):
            return 400, ""
        status, theirs = status_by_name(tid, parent, mine)
        if status or mine is None or not refuses:
            return status, theirs
        state = state_of(mine)
        if parent:
            whole = generation(tid) == generation(parent) + 1
            whole = whole and known(state, parent) is Relation.OLD
        else:
            whole = generation(tid) == 1 and not mine.deleted
        history = (parent,) if parent else ()
        if whole and relate(state, tid, history, None) is Relation.CONFLICT:
            return 409, mine.tid
        return 0, ""

    def relation(self, state: State, text: str) -> Relation:
        """Tell what the name is to ours."""
        return known(state, text) if is_tree_name(text) else Relation.UNKNOWN


def answer_by_name(tid: str, mine: Held | None, *, refuses: bool) -> tuple[object, str]:
    """Answer a row of `changes` that names its revision `tid`, as `Dialect.answer` does."""
    if mine is None:
        return [], ""
    if mine.tid != tid:
        relation = Relation.UNKNOWN
        if not is_plainly_unknown(mine, tid):
            relation = known(state_of(mine), tid)
        height, ours = generation(tid), generation(mine.tid)
        if relation is Relation.UNKNOWN:
            if refuses and height <= ours:
                return 409, ""
            return ancestors_held(names_of(mine), height), ""
        if relation is Relation.OLD and (height >= ours or same_digest(mine.mark, mine.tid)):
            # The peer was believed to have ours, or its name stands too high for an ancestor:
            # perhaps it has put ours below. Ask to see, and not with the very revision for a
            # base, or its history would say nothing.
            version = version_of(tid)
            held = ancestors_held(names_of(mine), height)
            return [name for name in held if version_of(name) != version], ""
    return 0, tid


def status_by_name(tid: str, parent: str, mine: Held | None) -> tuple[int, str]:
    """Answer a proposed revision by the tree names, as `Dialect.status` does."""
    if mine is None:
        return 0, ""
    if mine.tid == tid:
        return 304, ""
    state = state_of(mine)
    relation = known(state, tid)
    if relation is Relation.SAME:
        return 304, ""
    if relation is Relation.OLD and not (parent and known(state, parent) is Relation.SAME):
        return 409, mine.tid
    return 0, ""
