"""The dialect of version vectors: Couchbase Lite 4.x, Sync Gateway 4.x, and settee peers.

Room: pure protocol.
Touches: settee.doc, settee.errors, settee.limits, settee.sync.
Never touches: sockets, files, the wall clock, randomness.
Spec: wire protocol 5B, 5C; docs/architecture.md, "Names of revisions".

A revision is called by its current version in rows and in ``rev``; what it contains follows in
``history``. A database that was upgraded from trees may still say tree names, alone or behind a
vector: such a *legacy* name is read as the version that it stands for.

Between settee peers the tree name travels, too: as the last element of a row, and with its
ancestors as the property ``tree`` of `rev`. Other peers ignore both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from settee.doc.ancestry import by_height
from settee.doc.conflict import Relation, State, known
from settee.doc.records import Held, RevisionIn, RevisionOut
from settee.doc.revision import (
    everyday_version,
    generation,
    is_filler,
    is_native,
    is_tree_name,
    name,
    version_of,
    version_text_of,
)
from settee.doc.version import (
    RTE,
    Order,
    Vector,
    Version,
    build,
    compare,
    contains,
    entries,
    format_vector,
    join_history,
    parse_vector,
    parse_version,
    rte_time,
    split_history,
)
from settee.errors import InvalidDocumentError, PeerProtocolError
from settee.limits import HISTORY_NAMES_RECEIVED_MAX
from settee.sync.dialect import Dialect, Ground, Heard
from settee.sync.history import has_one_author, names_above, same_digest, state_of
from settee.sync.messages import AnnouncedRow, ProposedRow
from settee.sync.trees import answer_by_name, status_by_name

__all__ = ["VectorDialect"]


class VectorDialect(Dialect):
    """Versions; with tree names beside them between settee peers."""

    versioning: ClassVar[str] = "version-vectors"

    def __init__(self, *, is_extended: bool) -> None:
        self.is_extended: bool = is_extended
        self.learns: bool = is_extended

    # --- names ------------------------------------------------------------------------------------

    def name(self, tid: str) -> str:
        """Return the version that a tree name stands for."""
        return version_text_of(tid) if tid else ""

    def tid_of(self, text: str) -> str | None:
        """Return a legacy name as it is; for a version or a vector a name of generation 1."""
        if "@" not in text:
            return text if is_tree_name(text) else None
        try:
            return name(1, parse_vector(text).cv)
        except InvalidDocumentError:
            return None

    def row_end(self, tid: str) -> list[object]:
        """Return the tree name, for a settee peer."""
        return [tid] if self.is_extended else []

    def reply_properties(self) -> dict[str, str]:
        """Say that a newer revision may come in place of the one asked for."""
        return {"sendReplacementRevs": "1"}

    # --- revisions --------------------------------------------------------------------------------

    def heard(self, properties: Mapping[str, str]) -> Heard | None:
        """Read ``rev``, ``history`` and, from a settee peer, ``tree``."""
        rev, history = properties.get("rev", ""), properties.get("history", "")
        if self.is_extended and rev and not history:
            tid = properties.get("tree", "")
            if everyday_version(tid) == rev:  # As of nearly all new documents.
                return Heard(tid, "", rev)
        if "@" not in rev:
            return Heard(rev, history.replace(" ", ""), "") if is_tree_name(rev) else None
        tid, _, names = properties.get("tree", "").replace(" ", "").partition(",")
        is_told = self.is_extended and tid != ""
        try:
            if "-" in history:  # No version has one, every tree name has.
                return _heard_of_upgraded(rev, history)
            if not is_told:
                parse_version(rev)
        except InvalidDocumentError:
            return None
        # The rest of the vector is read, and judged, where it is compared.
        vector = rev
        if history:
            vector = f"{rev}, {history}" if ";" in history else f"{rev}; {history}"
        if not is_told:
            return Heard("", "", vector)
        if everyday_version(tid) != rev and not (is_tree_name(tid) and version_text_of(tid) == rev):
            return None
        return Heard(tid, names, vector)

    def said(
        self,
        revision: RevisionOut,
        bases: Sequence[str],
        ground: Ground,
        history_max: int,
        *,
        retold: bool,
    ) -> dict[str, str]:
        """Write the current version as ``rev`` and the rest of the vector as ``history``.

        `retold`: with the tree names behind it, for a peer whose database was upgraded and that
        calls this document's revisions by them; or, if the peer has nothing of a revision that was
        born as a tree name, under that.
        """
        vector = revision.vector
        if not retold and has_one_author(vector):
            properties = {"rev": vector}
            if self.is_extended:
                tid = revision.tid
                above = names_above(revision, bases) if revision.history else ()
                properties["tree"] = ",".join((tid, *above)) if above else tid
            return properties
        if retold and not bases and parse_vector(vector).cv.source == RTE:
            return _as_born(revision)
        if retold:
            names = (revision.tid, *names_above(revision, ()))
            rev, history = split_history(parse_vector(vector), filter(is_native, names))
        else:
            current, semicolon, rest = vector.partition(";")
            rev, comma, merged = current.partition(",")
            # `cv`, `cv; pv`, or with a merge `cv, mv, mv; pv` and `cv, mv, mv;`.
            history = (merged + semicolon + rest if comma else rest).lstrip(" ")
        properties = {"rev": rev}
        if history:
            properties["history"] = history
        if self.is_extended:
            properties["tree"] = ",".join((revision.tid, *names_above(revision, bases)))
        return properties

    def is_as_given(self, tid: str, given: RevisionIn) -> bool:
        """Compare versions; between settee peers the names, which are told, too."""
        if given.tid:
            return tid == given.tid
        return version_text_of(tid) == given.vector.partition(";")[0].partition(",")[0]

    # --- decisions --------------------------------------------------------------------------------

    def answer(self, row: AnnouncedRow, mine: Held | None, *, refuses: bool) -> tuple[object, str]:
        """Answer by the version, or by the whole vector where the row has it."""
        if self.is_extended and is_tree_name(row.tree):
            return answer_by_name(row.tree, mine, refuses=refuses)
        tid, vector = self._read(row.rev)
        if tid is None:
            raise PeerProtocolError(f"{row.rev[:80]!r} is not a revision ID", domain="HTTP")
        if mine is None:
            return [], ""
        state = state_of(mine)
        relation = _relation(state, tid, vector)
        if relation is Relation.SAME:
            return 0, mine.tid
        # What the peer was believed to have passed long ago it may have put above ours since.
        if relation is Relation.OLD and not same_digest(mine.mark, mine.tid):
            return 0, tid
        held = [version_text_of(mine.tid)]
        if mine.mark and not same_digest(mine.mark, mine.tid):
            held.append(version_text_of(mine.mark))
        return held, ""

    def status(self, row: ProposedRow, mine: Held | None, *, refuses: bool) -> tuple[int, str]:
        """Answer by current versions, or by the whole vector where the row has it (5B.4)."""
        told = self.is_extended and is_tree_name(row.tree)
        if told and mine is None and not row.parent:
            return 0, ""
        if told and mine is not None and row.parent and not mine.aka:
            current = mine.vector.partition(";")[0].partition(",")[0]
            if row.parent == current and everyday_version(row.tree) not in ("", current):
                return 0, ""  # An edit of what is here.
        tid, vector = (row.tree, None) if told else self._read(row.rev)
        parent = self.tid_of(row.parent) if row.parent else ""
        if tid is None or parent is None:
            return 400, ""
        if self.is_extended:
            return status_by_name(tid, parent, mine)
        if mine is None:
            return 0, ""  # With a parent, too: purged here, it may come back.
        state = state_of(mine)
        relation = _relation(state, tid, vector)
        if relation is Relation.SAME:
            return 304, ""
        fits = parent and known(state, parent) is Relation.SAME
        if fits or (not parent and mine.deleted) or not refuses:
            return 0, ""
        if relation is not Relation.OLD and vector and contains(vector, state.vector.cv):
            return 0, ""
        return 409, mine.vector

    def relation(self, state: State, text: str) -> Relation:
        """Tell what a version, a vector or a legacy name is to ours."""
        tid, vector = self._read(text)
        return Relation.UNKNOWN if tid is None else _relation(state, tid, vector)

    def _read(self, text: str) -> tuple[str | None, Vector | None]:
        """Return a name for what the peer named, and as much as it told of its vector."""
        if "@" not in text:
            return (text if is_tree_name(text) else None), None
        try:
            vector = parse_vector(text)
        except InvalidDocumentError:
            return None, None
        return name(1, vector.cv), vector


def _heard_of_upgraded(rev: str, history: str) -> Heard | None:
    """Read a vector with tree names behind it."""
    vector, ancestors = join_history(rev, history)
    assert vector is not None, "a rev with @ is a version"
    if len(ancestors) > HISTORY_NAMES_RECEIVED_MAX or not all(map(is_tree_name, ancestors)):
        return None
    tree = rte_time(vector)
    if tree and vector.cv.source != RTE:  # It would be lost among the ancestors.
        entry = name(tree >> 40, Version(tree, RTE))
        ancestors = tuple(sorted((*ancestors, entry), key=by_height))
    return Heard("", ",".join(ancestors), format_vector(_with_ancestors(vector, ancestors)))


def _relation(state: State, tid: str, vector: Vector | None) -> Relation:
    if vector is None:
        return known(state, tid)
    if vector.cv == state.vector.cv:
        return Relation.SAME
    if not vector.mv and not vector.pv:  # Perhaps all that there is, perhaps not.
        return Relation.OLD if contains(state.vector, vector.cv) else Relation.UNKNOWN
    return Relation.OLD if compare(vector, state.vector) is Order.OLDER else Relation.UNKNOWN


def _as_born(revision: RevisionOut) -> dict[str, str]:
    """Say a revision of the tree world as a database that was upgraded from trees does.

    Where its own name was lifted, or left to others, the generation and the first digits that are
    in the version name it, too.
    """
    time = parse_vector(revision.vector).cv.time
    height = time >> 40
    tid = revision.tid if is_native(revision.tid) else f"{height}-{time & 2**40 - 1:010x}"
    names = filter(is_native, names_above(revision, ()))
    history = ",".join(each for each in names if generation(each) < height)
    return {"rev": tid, "history": history} if history else {"rev": tid}


def _with_ancestors(vector: Vector, legacy: Sequence[str]) -> Vector:
    """Return a vector that contains what its legacy ancestors stand for, too."""
    times = entries(vector)
    for tid in legacy:
        if not is_filler(tid):
            time, source = version_of(tid)
            if time > times.get(source, 0) and source != vector.cv.source:
                times[source] = time
    return build(vector.cv, vector.mv, times)
