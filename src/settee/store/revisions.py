"""Revisions as peers see them: take a batch in, tell what is held, give current ones out.

Room: store.
Touches: the documents' tables, marks, blob references.
Never touches: sockets, threads, messages.

What a revision means beside the one that is there is decided by `settee.doc.conflict`; this module
reads the rows of a whole batch in one statement, lets it decide, and writes the result, marks and
blob references included, in few statements of the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, Final, cast

from settee.doc import body as bodies
from settee.doc import conflict, revision
from settee.doc.conflict import Relation, State
from settee.doc.records import (
    DELETED,
    HAS_BLOBS,
    Applied,
    ConflictPolicy,
    Held,
    Outcome,
    RevisionIn,
    RevisionOut,
    Settlement,
)
from settee.doc.version import RTE, Vector, Version, entries, parse_vector
from settee.errors import InvalidDocumentError
from settee.limits import CLOCK_AHEAD_S_MAX, DELTA_BODY_BYTES_MIN
from settee.store import bases
from settee.store.connection import Reader, Row
from settee.store.documents import (
    as_json,
    current_rows,
    damaged,
    names_of,
    state_of,
    write_blob_refs,
    write_documents,
)
from settee.store.marks import mark_sql
from settee.store.schema import documents_table
from settee.store.writer import Writer

__all__ = ["apply", "held", "learn", "read", "renew", "settle"]

_RTE_END: Final = "@" + RTE
_held: Final = cast("Any", partial(tuple.__new__, Held))


# --- reading ------------------------------------------------------------------------------------


_HELD_KINDS: Final = frozenset({(str, str, int, str, str, str, str, int)})
_READ_KINDS: Final = frozenset({(str, int, str, str, int, str, bytes)})


@lru_cache(maxsize=512)
def _held_sql(key: int, marked: bool) -> str:
    if marked:
        mark = "coalesce(m.tid, '')"
        join = f"LEFT JOIN marks m ON m.remote = ? AND m.collection = {key:d} AND m.doc = d.doc "
    else:
        mark, join = "''", ""
    return (
        f"SELECT d.id, d.tid, d.flags & {DELETED}, d.vector, d.aka, d.history, {mark}, d.seq "
        f"FROM {documents_table(key)} d {join}WHERE d.id IN (SELECT value FROM json_each(?))"
    )


def held(reader: Reader, key: int, doc_ids: Sequence[str], remote: int | None) -> list[Held | None]:
    """Tell what is held of documents that a peer asks about, in the order asked.

    `remote`: fill in the mark of this remote.
    """
    bindings: list[Any] = [] if remote is None else [remote]
    bindings.append(as_json(doc_ids))
    rows = reader.sound_rows(_held_sql(key, remote is not None), bindings, _HELD_KINDS)
    if not rows:
        return [None] * len(doc_ids)
    found = {row[0]: _held((row[1], bool(row[2]), *row[3:])) for row in rows}
    return [found.get(doc_id) for doc_id in doc_ids]


@lru_cache(maxsize=512)
def _read_sql(key: int) -> str:
    return (
        "SELECT id, seq, tid, history, flags, vector, CAST(body AS BLOB) "
        f"FROM {documents_table(key)} WHERE id IN (SELECT value FROM json_each(?))"
    )


def read(
    reader: Reader,
    key: int,
    doc_ids: Sequence[str],
    bases_wanted: Sequence[Sequence[str]] = (),
) -> list[RevisionOut | None]:
    """Return current revisions with all that sending them needs, in the order asked.

    `bases_wanted`: for each document, revisions that the receiver has, best first; the first whose
    body is held comes along, if the body itself is worth a delta.
    """
    found = {
        row[0]: RevisionOut(row[0], row[1], row[2], row[3], bool(row[4] & DELETED), row[5], row[6])
        for row in reader.sound_rows(_read_sql(key), (as_json(doc_ids),), _READ_KINDS)
    }
    result = [found.get(doc_id) for doc_id in doc_ids]
    if any(bases_wanted):
        _add_bases(reader, key, result, bases_wanted)
    return result


def _add_bases(
    reader: Reader,
    key: int,
    result: list[RevisionOut | None],
    bases_wanted: Sequence[Sequence[str]],
) -> None:
    wanted = [
        (i, revision.doc_id, names)
        for i, (revision, names) in enumerate(zip(result, bases_wanted, strict=True))
        if revision is not None
        and names
        and not revision.deleted
        and len(revision.body) >= DELTA_BODY_BYTES_MIN
    ]
    found = bases.read(reader, key, [(doc_id, names) for _, doc_id, names in wanted])
    for (i, _, _), base in zip(wanted, found, strict=True):
        revision = result[i]
        assert revision is not None, "only revisions that were found are looked up"
        if base is not None and base[0] != revision.tid:
            result[i] = revision._replace(base=base[0], base_body=base[1])


# --- taking a batch in --------------------------------------------------------------------------


def apply(
    writer: Writer,
    key: int,
    revisions: Sequence[RevisionIn],
    *,
    remote: int | None,
    policy: ConflictPolicy,
) -> list[Applied]:
    """Take revisions from a peer in; return what became of each, in the same order.

    A name that is there already never gets another body. The same document may occur more than
    once; its revisions are taken in order. `remote`: who has these revisions (gets marks).
    `policy`: what becomes of a conflict; where conflicts are refused, a revision without ancestors
    is taken over a tombstone all the same (wire protocol 3.6).
    """
    batch = _Batch(writer, key, remote, policy)
    batch.current = current_rows(writer, key, {item.doc_id for item in revisions})
    batch.stored = frozenset(batch.current)
    answers = batch.take(revisions)
    batch.write()
    return answers


def settle(
    writer: Writer, key: int, settlements: Sequence[Settlement], *, remote: int | None
) -> list[Applied]:
    """Write what the application decided about conflicts; as `apply`, with the policy DEFER.

    Where the document was changed meanwhile, or is in no conflict any more, its decision is not
    used: the revision is taken as `apply` would, and may be a CONFLICT again.
    """
    batch = _Batch(writer, key, remote, ConflictPolicy.DEFER)
    batch.current = current_rows(writer, key, {item.revision.doc_id for item in settlements})
    batch.stored = frozenset(batch.current)
    answers = [batch.settle(settlement) for settlement in settlements]
    batch.write()
    return answers


def learn(
    writer: Writer,
    key: int,
    names: Sequence[tuple[str, str]],
    *,
    remote: int | None,
    renumber: bool = False,
) -> None:
    """Take note of what a peer calls revisions that are here: (document ID, tree name) each.

    `remote`: who has them (gets marks). `renumber`: give each document a new sequence, too.
    """
    batch = _Batch(writer, key, remote, ConflictPolicy.RESOLVE)
    batch.current = current_rows(writer, key, {doc_id for doc_id, _ in names})
    batch.stored = frozenset(batch.current)
    for doc_id, tid in names:
        batch.learn(doc_id, tid, renumber=renumber)
    batch.write()


def renew(writer: Writer, key: int, doc_id: str, tid: str) -> None:
    """Save a document's body once more, as a revision of our own over `tid`.

    Nothing is done if another revision is current by now.
    """
    batch = _Batch(writer, key, None, ConflictPolicy.RESOLVE)
    batch.current = current_rows(writer, key, {doc_id})
    batch.stored = frozenset(batch.current)
    if batch.renew(doc_id, tid):
        batch.write()


class _Batch:
    """One `apply`: what is there, what is to be written."""

    def __init__(
        self, writer: Writer, key: int, remote: int | None, policy: ConflictPolicy
    ) -> None:
        self.writer = writer
        self.key = key
        self.remote = remote
        self.policy = policy
        self.current: dict[str, Row] = {}
        self.stored: frozenset[str] = frozenset()
        self.written: dict[str, tuple[Any, ...]] = {}  # Rows of `upsert_sql`, body last.
        self.lifted: dict[str, tuple[str, str, str, str, int]] = {}
        self.marks: list[tuple[Any, ...]] = []
        self.replaced: list[int] = []
        self.refs: dict[int, tuple[str, ...]] = {}
        self.changed: list[str] = []
        self.first_seq = self.seq = writer.last_seq(key)
        self.live_change = 0
        self.time_max = writer.wall_ns() + CLOCK_AHEAD_S_MAX * 10**9

    def take(self, revisions: Sequence[RevisionIn]) -> list[Applied]:
        """Decide about each revision. New documents, and plain edits, take the short way."""
        current, written, marks, changed = self.current, self.written, self.marks, self.changed
        key, remote = self.key, self.remote
        acceptable, is_filler = revision.is_acceptable, revision.is_filler
        version_text_of, everyday = revision.version_text_of, revision.everyday_version
        answers: list[Applied] = []
        newest = 0
        for item in revisions:
            doc_id, tid, history, deleted, body, vector, blobs, over = item
            known = current.get(doc_id)
            if over is not None and not _is_still(known, over):
                seq, there = (0, "") if known is None else (known[2], known[4])
                answers.append(Applied(Outcome.CHANGED, seq, there))
                continue
            if known is None and not tid:
                tid = revision.first_name(vector)
            text = everyday(tid) if known is None and not history else ""
            if text or (known is None and not history and tid and acceptable(tid)):
                # What conflict.adopt(None, …) says of a revision that is all we know.
                text = text or version_text_of(tid)
                native = text.endswith(_RTE_END)
                if (not vector or vector == text) and not (native and is_filler(tid)):
                    if not native:
                        time = int(text[: text.index("@")], 16)
                        if time > newest:
                            if time > self.time_max:
                                answers.append(Applied(Outcome.AHEAD, 0, ""))
                                continue
                            newest = time
                    self.seq = seq = self.seq + 1
                    flags = (DELETED if deleted else 0) | (HAS_BLOBS if blobs else 0)
                    row = (seq, doc_id, seq, flags, tid, "", "", text, body.decode())
                    written[doc_id] = current[doc_id] = row
                    changed.append(doc_id)
                    self.live_change += not deleted
                    if blobs:
                        self.refs[seq] = blobs
                    if remote is not None:
                        marks.append((remote, key, seq, tid))
                    answers.append(Applied(Outcome.STORED, seq, tid))
                    continue
            if known is not None and history and history == known[4]:
                edited = self._take_edit(item, known)
                if edited is not None:
                    answers.append(edited)
                    continue
            if newest:  # It may have to be passed by a version of our own.
                self.writer.observe_time(newest)
                newest = 0
            answers.append(self._take_one(item, known))
        if newest:
            self.writer.observe_time(newest)
        return answers

    def _take_edit(self, item: RevisionIn, known: Row) -> Applied | None:
        """Take what is plainly an edit of the current revision; None: it has to be looked at."""
        tid, vector = item.tid, item.vector
        try:
            history = conflict.plain_edit(known[4:8], tid, item.history, vector)
            if history is None:
                return None
            versions = vector.replace(";", ",").split(",") if ";" in vector else [vector]
            newest = max([int(version[: version.index("@")], 16) for version in versions])
        except (ValueError, TypeError, AttributeError):
            return None  # The row is damaged; the long way says so.
        if newest > self.time_max:
            return Applied(Outcome.AHEAD, known[2], known[4])
        self.writer.observe_time(newest)
        names = (tid, history, "", vector)
        row = self._put(item.doc_id, known, names, item.deleted, item.body.decode(), item.blobs)
        self._mark(row[0], tid)
        return Applied(Outcome.STORED, row[2], tid)

    def _take_one(self, item: RevisionIn, known: Row | None) -> Applied:
        """Decide about a revision with ancestors, or of a document that is there."""
        seq, tid = (known[2], known[4]) if known is not None else (0, "")
        if known is not None and item.tid == tid and not item.vector:
            self._mark(known[0], item.tid)
            return Applied(Outcome.SAME, seq, tid)
        history = tuple(item.history.replace(" ", "").split(",")) if item.history else ()
        told: Vector | None = None
        try:
            if not revision.check_history(item.tid, history, contiguous=not item.vector):
                return Applied(Outcome.MALFORMED, seq, tid)
            if item.vector:
                told = parse_vector(item.vector)
            said = told or conflict.claims(item.tid, history)
            if _newest_time(said) > self.time_max:
                return Applied(Outcome.AHEAD, seq, tid)
            self.writer.observe_vector(said)
        except InvalidDocumentError:
            return Applied(Outcome.MALFORMED, seq, tid)
        state = None if known is None else state_of(known)
        try:
            if state is not None and told is not None:
                told = conflict.decoded(state, told)
            relation = conflict.relate(state, item.tid, history, told)
            if relation is Relation.CONFLICT and self._is_reborn(item, known, state, told):
                relation = Relation.NEWER
            return self._decide(item, known, state, relation, history, told)
        except ValueError as exc:  # The revision was checked: it is the row.
            if known is None:
                raise
            raise damaged(known, exc) from exc

    def _decide(
        self,
        item: RevisionIn,
        known: Row | None,
        state: State | None,
        relation: Relation,
        history: tuple[str, ...],
        told: Vector | None,
    ) -> Applied:
        if relation in (Relation.SAME, Relation.OLD):
            assert known is not None
            assert state is not None
            row = self._learn(known, state, item.tid, told)
            self._mark_heard(row, item.tid, told)
            outcome = Outcome.SAME if relation is Relation.SAME else Outcome.OLD
            return Applied(outcome, row[2], row[4])
        if relation is not Relation.NEWER:
            assert known is not None
            assert state is not None
            if self.policy is ConflictPolicy.DEFER and self._is_for_the_application(
                item, known, state
            ):
                return Applied(Outcome.CONFLICT, known[2], known[4])
            if self.policy is not ConflictPolicy.REFUSE or relation is Relation.MUTUAL:
                return self._resolve(item, known, state, history, told)
            is_root = not history and (told is None or not (told.mv or told.pv))
            if not (is_root and state.deleted):  # Else a new root over a tombstone.
                self._mark_heard(known, item.tid, told)
                return Applied(Outcome.REFUSED, known[2], known[4])
        adopted = conflict.adopt(state, item.tid, history, told, item.deleted)
        row = self._store(item.doc_id, known, adopted, item.body.decode(), item.blobs)
        self._mark_heard(row, item.tid, told)
        return Applied(Outcome.STORED, row[2], row[4])

    def _is_reborn(
        self, item: RevisionIn, known: Row | None, state: State | None, told: Vector | None
    ) -> bool:
        """Whether a document that the remote knew as deleted was made anew after a purge there.

        Couchbase Lite 4 takes such a revision for the newer one, though it does not descend from
        the tombstone; by the rule for conflicts the deletion would win.
        """
        if told is None or state is None or known is None or self.remote is None:
            return False
        if not state.deleted or item.deleted:
            return False
        if not entries(told).keys().isdisjoint(entries(state.vector)):
            return False
        sql = "SELECT tid FROM marks WHERE remote = ? AND collection = ? AND doc = ?"
        mark = self.writer.row(sql, (self.remote, self.key, known[0]))
        return mark is not None and revision.version_of(mark[0]) == state.vector.cv

    def _is_for_the_application(self, item: RevisionIn, known: Row, state: State) -> bool:
        """Whether there is anything to decide: equal bodies and two deletions are no conflict."""
        if state.deleted or item.deleted:
            return state.deleted != item.deleted
        return not _same_body(self._body_of(known), item.body)

    def _resolve(
        self,
        item: RevisionIn,
        known: Row,
        state: State,
        history: tuple[str, ...],
        told: Vector | None,
    ) -> Applied:
        mine = self._body_of(known)
        equal = _same_body(mine, item.body)
        resolution = conflict.resolve(
            state, equal, item.tid, history, told, item.deleted, self._mint
        )
        if resolution.body == "mine":
            row = self._store(item.doc_id, known, resolution.state, mine.decode(), None)
        else:
            row = self._store(item.doc_id, known, resolution.state, item.body.decode(), item.blobs)
        self._mark_heard(row, item.tid, told)
        return Applied(Outcome.RESOLVED, row[2], row[4])

    def settle(self, settlement: Settlement) -> Applied:
        """Write what the application decided, if what it saw is still there."""
        item = settlement.revision
        known = self.current.get(item.doc_id)
        if known is None or known[4] != settlement.expected_tid:
            return self._take_one(item, known)
        history = tuple(item.history.replace(" ", "").split(",")) if item.history else ()
        told = parse_vector(item.vector) if item.vector else None
        state = state_of(known)
        if conflict.relate(state, item.tid, history, told) not in (
            Relation.CONFLICT,
            Relation.MUTUAL,
        ):
            return self._take_one(item, known)
        choice = settlement.choice
        settled = conflict.settle(
            state, choice, item.tid, history, told, item.deleted, settlement.deleted, self._mint
        )
        body, blobs = settlement.body, settlement.blobs
        if choice == "theirs":
            body, blobs = item.body, item.blobs
        if choice == "mine":
            row = self._store(item.doc_id, known, settled, self._body_of(known).decode(), None)
        else:
            row = self._store(item.doc_id, known, settled, body.decode(), blobs)
        self._mark_heard(row, item.tid, told)
        return Applied(Outcome.RESOLVED, row[2], row[4])

    def renew(self, doc_id: str, tid: str) -> bool:
        """Save the body over itself, if `tid` is current; tell whether it was."""
        known = self.current.get(doc_id)
        if known is None or revision.version_of(known[4]) != revision.version_of(tid):
            return False
        state = state_of(known)
        renewed = conflict.saved(state, self._mint(), state.deleted)
        self._store(doc_id, known, renewed, self._body_of(known).decode(), None)
        return True

    def _mint(self) -> Version:
        return Version(self.writer.take_times(1)[0], self.writer.source)

    def _body_of(self, known: Row) -> bytes:
        pending = self.written.get(known[1])
        if pending is not None:
            return cast("str", pending[8]).encode()
        sql = f"SELECT CAST(body AS BLOB) FROM {documents_table(self.key)} WHERE doc = ?"
        row = self.writer.row(sql, (known[0],))
        assert row is not None, "the row was read in this transaction"
        return bytes(row[0])

    def _store(
        self,
        doc_id: str,
        known: Row | None,
        state: State,
        body: str,
        blobs: tuple[str, ...] | None,
    ) -> Row:
        """Make `state` the current one, at a new sequence. `blobs` None: as they are."""
        return self._put(doc_id, known, names_of(state), state.deleted, body, blobs)

    def _put(
        self,
        doc_id: str,
        known: Row | None,
        names: tuple[str, str, str, str],
        deleted: bool,
        body: str,
        blobs: tuple[str, ...] | None,
    ) -> Row:
        """Make a revision of these `names`, as the table has them, the current one."""
        self.seq += 1
        doc = self.seq if known is None else known[0]
        flags = 0 if known is None else known[3]
        if blobs is None:
            has_blobs = bool(flags & HAS_BLOBS)
        else:
            has_blobs = bool(blobs)
            if flags & HAS_BLOBS:
                self.replaced.append(doc)
            self.refs[doc] = blobs
        flags_now = (DELETED if deleted else 0) | (HAS_BLOBS if has_blobs else 0)
        row = (doc, doc_id, self.seq, flags_now, *names, body)
        self.written.pop(doc_id, None)  # Last in the order of sequences.
        self.written[doc_id] = self.current[doc_id] = row
        self.lifted.pop(doc_id, None)
        self.changed.append(doc_id)
        was_live = known is not None and not flags & DELETED
        self.live_change += (not deleted) - was_live
        return row

    def learn(self, doc_id: str, tid: str, *, renumber: bool) -> None:
        """Take note of what a peer has, if the document is here."""
        known = self.current.get(doc_id)
        if known is None:
            return
        row = self._learn(known, state_of(known), tid, None)
        if renumber:
            self._store(doc_id, row, state_of(row), self._body_of(row).decode(), None)
        self._mark(row[0], tid)

    def _learn(self, known: Row, state: State, tid: str, told: Vector | None) -> Row:
        """Take note of another name, height or vector of what is there; no new sequence."""
        if told is None:
            learned = conflict.learn(state, tid)
        elif told.cv == state.vector.cv:  # Of an ancestor that came as a version nothing is learnt.
            learned = conflict.learn(state, tid or revision.name(1, told.cv), told)
        else:
            learned = conflict.learn(state, tid) if tid else None
        if learned is None:
            return known
        doc_id = known[1]
        names = names_of(learned)
        row = (*known[:4], *names, *known[8:])
        self.current[doc_id] = row
        if doc_id in self.written:
            self.written[doc_id] = (*row[:8], self.written[doc_id][8])
        else:
            self.lifted[doc_id] = (*names, known[0])
        return row

    def _mark_heard(self, row: Row, tid: str, told: Vector | None) -> None:
        """Note what the remote has; `tid` is empty where it told only the vector."""
        if self.remote is None:
            return
        if not tid:
            assert told is not None, "a revision has a name"
            same = revision.version_of(row[4]) == told.cv
            tid = row[4] if same else revision.name(1, told.cv)
        self._mark(row[0], tid)

    def _mark(self, doc: int, tid: str) -> None:
        if self.remote is not None:
            self.marks.append((self.remote, self.key, doc, tid))

    def write(self) -> None:
        """Write what was decided."""
        writer, key = self.writer, self.key
        if self.written:
            write_documents(writer, key, list(self.written.values()), self.stored)
        for names in self.lifted.values():
            writer.run(
                f"UPDATE {documents_table(key)} "
                "SET tid = ?, history = ?, aka = ?, vector = ? WHERE doc = ?",
                names,
            )
        if self.replaced or self.refs:
            refs = [(digest, key, doc) for doc, blobs in self.refs.items() for digest in blobs]
            write_blob_refs(writer, key, self.replaced, refs)
        if self.marks:
            writer.write_rows(mark_sql, key, self.marks)
        if self.seq > self.first_seq:
            writer.advance(key, self.seq, self.live_change, self.changed)


def _is_still(known: Row | None, tid: str) -> bool:
    """Tell whether a revision ("": none) is the current one, under whatever name."""
    if known is None or not tid:
        return known is None and not tid
    return bool(known[4] == tid or revision.version_of(known[4]) == revision.version_of(tid))


def _newest_time(vector: Vector) -> int:
    """Return the newest time that a clock wrote; tree encodings are no times."""
    times = [v.time for v in (vector.cv, *vector.mv, *vector.pv) if v.source != RTE]
    return max(times, default=0)


def _same_body(mine: bytes, theirs: bytes) -> bool:
    """Tell whether two bodies say the same, whatever the order of their keys."""
    if mine == theirs:
        return True
    try:
        return bodies.canonical(bodies.load(mine)) == bodies.canonical(bodies.load(theirs))
    except InvalidDocumentError:
        return False
