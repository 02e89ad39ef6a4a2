"""Documents as an application sees them: get, save, purge, expire, iterate.

Room: store.
Touches: the documents' tables.
Never touches: sockets, threads, what a peer said.

Everything is batch-shaped. Bodies are the UTF-8 JSON bytes that they were given as, to the byte.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from functools import lru_cache, partial
from itertools import repeat
from operator import itemgetter
from typing import Any, Final, NamedTuple, cast

import orjson

from settee.doc import conflict, revision
from settee.doc.conflict import State
from settee.doc.records import DELETED, HAS_BLOBS
from settee.doc.version import Version, format_vector, parse_vector, source_hex, time_of
from settee.errors import (
    ConflictError,
    CorruptDatabaseError,
    NotFoundError,
)
from settee.limits import HISTORY_NAMES_MAX, PAGE_ROWS
from settee.store import bases
from settee.store.connection import Reader, Row
from settee.store.schema import documents_table
from settee.store.writer import Writer

__all__ = [
    "Edit",
    "Saved",
    "StoredDocument",
    "count",
    "due",
    "expire",
    "get",
    "get_many",
    "ids",
    "iterate",
    "iterate_rows",
    "next_expiry",
    "purge",
    "save",
]


class StoredDocument(NamedTuple):
    """A document as it lies in the store; a tombstone has the flag `DELETED`."""

    doc_id: str
    seq: int
    tid: str
    flags: int
    vector: str
    body: bytes
    expires: int | None
    """Milliseconds since 1970 at which it is purged, None: never."""


class Edit(NamedTuple):
    """One local save or deletion."""

    doc_id: str
    body: bytes
    """UTF-8 JSON, checked by `settee.doc.body`."""
    deleted: bool = False
    blobs: tuple[str, ...] = ()
    """Digests that the body names, put into the blob store before."""
    expect_tid: str | None = None
    """None: the last write wins. ``""``: no live document may be there. Else the revision that this
    edit was made on, by any of its tree names."""


class Saved(NamedTuple):
    """The answer to an `Edit`, in the same place of the list."""

    doc_id: str
    seq: int
    tid: str


_ID: Final = frozenset({(str,)})
_KINDS: Final = frozenset((str, int, str, int, str, bytes, last) for last in (int, type(None)))
_COLUMNS: Final = "id, seq, tid, flags, vector, CAST(body AS BLOB), expires"
_document: Final = cast("Any", partial(tuple.__new__, StoredDocument))
_save_of: Final = cast("Any", partial(tuple.__new__, Saved))
_DELETED: Final = itemgetter(2)
_BLOBS: Final = itemgetter(3)
_EXPECTED: Final = itemgetter(4)


@lru_cache(maxsize=512)
def _select(key: int, tail: str) -> str:
    return f"SELECT {_COLUMNS} FROM {documents_table(key)} WHERE {tail}"


# --- reading ------------------------------------------------------------------------------------


def get(reader: Reader, key: int, doc_id: str) -> StoredDocument | None:
    """Return one document, a tombstone too; None if it was never stored."""
    rows = reader.sound_rows(_select(key, "id = ?"), (doc_id,), _KINDS)
    return cast("StoredDocument", _document(rows[0])) if rows else None


def get_many(reader: Reader, key: int, doc_ids: Sequence[str]) -> list[StoredDocument | None]:
    """Return documents in the order asked for, None where there is none."""
    sql = _select(key, "id IN (SELECT value FROM json_each(?))")
    rows = reader.sound_rows(sql, (as_json(doc_ids),), _KINDS)
    found = {row[0]: _document(row) for row in rows}
    return [found.get(doc_id) for doc_id in doc_ids]


def iterate(
    reader: Reader, key: int, after_id: str = "", limit: int = PAGE_ROWS
) -> list[StoredDocument]:
    """Return a page of live documents in the order of their IDs (UTF-8 bytes).

    `after_id`: the last ID of the page before, "" for the first page. A page shorter than `limit`
    is the last.
    """
    return list(map(_document, iterate_rows(reader, key, after_id, limit)))


def iterate_rows(reader: Reader, key: int, after_id: str, limit: int) -> list[Row]:
    """Return the page of `iterate` as plain rows, of the fields of `StoredDocument`."""
    sql = _select(key, f"id > ? AND flags & {DELETED} = 0 ORDER BY id LIMIT ?")
    return reader.sound_rows(sql, (after_id, limit), _KINDS)


def ids(reader: Reader, key: int, after_id: str = "", limit: int = PAGE_ROWS) -> list[str]:
    """Return a page of live documents' IDs; as `iterate`, without reading bodies."""
    sql = (
        f"SELECT id FROM {documents_table(key)} "
        f"WHERE id > ? AND flags & {DELETED} = 0 ORDER BY id LIMIT ?"
    )
    return [row[0] for row in reader.sound_rows(sql, (after_id, limit), _ID)]


def count(reader: Reader, key: int) -> int:
    """Return the number of live documents. Costs the same for any number."""
    sql = "SELECT live_count FROM collections WHERE key = ? AND NOT dropped"
    row = reader.row(sql, (key,))
    if row is None:
        raise NotFoundError(f"the collection was deleted from {reader.path}")
    if type(row[0]) is not int:
        raise CorruptDatabaseError(f"{reader.path} is damaged: restore it from a copy")
    return row[0]


# --- saving -------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def upsert_sql(key: int, rows: int) -> str:
    """Return the statement that writes documents: new ones with their key, known ones in place.

    Columns bound per row: doc, id, seq, flags, tid, history, aka, vector, body. For a known
    document `doc` is only a placeholder that must not be in use: its new sequence.
    """
    values = ", ".join(["(?,?,?,?,?,?,?,?,?)"] * rows)
    return (
        f"INSERT INTO {documents_table(key)}"
        f"(doc, id, seq, flags, tid, history, aka, vector, body) VALUES {values} "
        "ON CONFLICT(id) DO UPDATE SET seq = excluded.seq, flags = excluded.flags, "
        "tid = excluded.tid, history = excluded.history, aka = excluded.aka, "
        "vector = excluded.vector, body = excluded.body"
    )


@lru_cache(maxsize=512)
def _insert_sql(key: int, rows: int) -> str:
    """Return the statement that writes new documents.

    Columns bound per row: doc, which is also its first sequence, id, flags, tid, vector, body.
    """
    values = ", ".join(
        f"(?{n + 1},?{n + 2},?{n + 1},?{n + 3},?{n + 4},'','',?{n + 5},?{n + 6})"
        for n in range(0, 6 * rows, 6)
    )
    return (
        f"INSERT INTO {documents_table(key)}"
        f"(doc, id, seq, flags, tid, history, aka, vector, body) VALUES {values}"
    )


@lru_cache(maxsize=512)
def _blob_refs_sql(_key: int, rows: int) -> str:
    values = ", ".join(["(?,?,?)"] * rows)
    return f"INSERT OR IGNORE INTO blob_refs(digest, collection, doc) VALUES {values}"


@lru_cache(maxsize=512)
def _current_sql(key: int) -> str:
    return (
        "SELECT d.doc, d.id, d.seq, d.flags, d.tid, d.history, d.aka, d.vector "
        f"FROM json_each(?) j CROSS JOIN {documents_table(key)} d ON d.id = j.value"
    )


def as_json(texts: Iterable[str]) -> str:
    """Return `texts` as the JSON array that ``json_each`` takes: any number in one statement."""
    return orjson.dumps(texts if isinstance(texts, list) else list(texts)).decode()


def current_rows(reader: Reader, key: int, doc_ids: Iterable[str]) -> dict[str, Row]:
    """Return what is stored of documents beside their bodies, by ID.

    Rows are (doc, id, seq, flags, tid, history, aka, vector).
    """
    rows = reader.rows(_current_sql(key), (as_json(doc_ids),))
    return {row[1]: row for row in rows}


def state_of(row: Row) -> State:
    """Return a row of `current_rows` as the pure rooms know it. Raises CorruptDatabaseError."""
    _doc, _id, seq, flags, tid, history, aka, vector = row[:8]
    if not (type(seq) is type(flags) is int and type(tid) is type(history) is type(aka) is str):
        raise damaged(row, "a column has another type")
    try:
        parsed = parse_vector(vector)
    except (ValueError, TypeError) as exc:
        raise damaged(row, exc) from exc
    return State(
        tid=tid,
        deleted=bool(flags & DELETED),
        vector=parsed,
        aka=tuple(aka.split(",")) if aka else (),
        history=tuple(history.split(",")) if history else (),
    )


def damaged(row: Row, problem: object) -> CorruptDatabaseError:
    """Return the error for a row whose names can't be what was written."""
    return CorruptDatabaseError(
        f"the row of document {row[1]!r} is damaged ({problem}); restore the database from a copy"
    )


def _saved(known: Row, version: Version, deleted: bool) -> State:
    """Return the state after a save over `known`. Raises CorruptDatabaseError."""
    state = state_of(known)
    if time_of(state.vector, version.source) >= version.time:
        raise damaged(known, "its version is ahead of the database's clock")
    try:
        return conflict.saved(state, version, deleted)
    except ValueError as exc:
        raise damaged(known, exc) from exc


def _names_of_own(
    known: Row, time: int, source_name: str, author: str
) -> tuple[str, str, str] | None:
    """Return tree name, history and vector of a save over a revision that is all our own.

    What `conflict.saved` says, without its objects; None where another author's version is in
    sight, or a name that isn't as we write it.
    """
    tid, history, aka, vector = known[4:8]
    if aka or type(tid) is not str or type(vector) is not str or not vector.endswith(source_name):
        return None
    time_hex = vector[: -len(source_name)]
    height, _, digest = tid.partition("-")
    if digest != f"ff{time_hex:0>16}{author}" or not height.isdecimal():
        return None
    if not int(digest[2:18], 16) < time:
        return None
    ancestors = tid
    if history:
        count = history.count(",") + 1
        if history.count(author) != count:
            return None
        if count >= HISTORY_NAMES_MAX:
            history = history.rpartition(",")[0]
        ancestors = f"{tid},{history}"
    return f"{int(height) + 1}-ff{time:016x}{author}", ancestors, f"{time:x}{source_name}"


def names_of(state: State) -> tuple[str, str, str, str]:
    """Return tree name, history, aliases and vector of a state as the table has them."""
    history, aka = ",".join(state.history), ",".join(state.aka)
    return (state.tid, history, aka, format_vector(state.vector))


def write_blob_refs(
    writer: Writer, key: int, replaced: Sequence[int], refs: Sequence[tuple[str, int, int]]
) -> None:
    """Forget which blobs the documents `replaced` (by `doc`) named; add (digest, key, doc)."""
    if replaced:
        writer.run(
            "DELETE FROM blob_refs WHERE collection = ? "
            "AND doc IN (SELECT value FROM json_each(?))",
            (key, orjson.dumps(replaced).decode()),
        )
    if refs:
        writer.write_rows(_blob_refs_sql, key, refs)


def save(writer: Writer, key: int, edits: Sequence[Edit]) -> list[Saved]:
    """Save new revisions by this database's own author.

    Raises ConflictError before anything is written if an edit's `expect_tid` is not what is there.
    The same document may occur more than once; the edits are taken in order.
    """
    doc_ids = [edit[0] for edit in edits]
    distinct = set(doc_ids)
    seq = writer.last_seq(key)
    current = current_rows(writer, key, distinct)
    if not current and len(distinct) == len(doc_ids):
        return _save_new(writer, key, seq, doc_ids, edits)
    _check_expectations(edits, current)
    stored = frozenset(current)
    source = writer.source
    source_name, author = f"@{source}", source_hex(source)
    prefix = "1-ff%016x" + author
    written: dict[str, tuple[Any, ...]] = {}
    saved: list[Saved] = []
    replaced: list[int] = []
    refs: dict[str, tuple[int, tuple[str, ...]]] = {}
    live_change = 0
    for edit, time in zip(edits, writer.take_times(len(edits)), strict=True):
        doc_id, body, deleted, blobs, _expected = edit
        seq += 1
        known = current.get(doc_id)
        if known is None:  # What conflict.saved(None, …) says, without its objects.
            tid = prefix % time
            flags = (DELETED if deleted else 0) | (HAS_BLOBS if blobs else 0)
            row: tuple[Any, ...] = (
                seq, doc_id, seq, flags, tid, "", "", f"{time:x}{source_name}", body.decode(),
            )  # fmt: skip
            live_change += not deleted
            doc = seq
        else:
            doc = known[0]
            flags = (DELETED if deleted else 0) | (HAS_BLOBS if blobs else 0)
            names = _names_of_own(known, time, source_name, author)
            if names is None:
                state = _saved(known, Version(time, source), deleted)
                names = state.tid, ",".join(state.history), format_vector(state.vector)
            tid, history, vector = names
            row = (doc, doc_id, seq, flags, tid, history, "", vector, body.decode())
            live_change += (known[3] & DELETED) - (flags & DELETED)
            if known[3] & HAS_BLOBS:
                replaced.append(doc)
            written.pop(doc_id, None)
        if blobs or known is not None:
            refs[doc_id] = (doc, blobs)
        written[doc_id] = current[doc_id] = row
        saved.append(_save_of((doc_id, seq, tid)))
    write_documents(writer, key, list(written.values()), stored)
    write_blob_refs(writer, key, replaced, [(d, key, doc) for doc, ds in refs.values() for d in ds])
    writer.advance(key, seq, live_change, doc_ids)
    return saved


def _save_new(
    writer: Writer, key: int, last_seq: int, doc_ids: list[str], edits: Sequence[Edit]
) -> list[Saved]:
    """Save documents that were never stored, each once: `save` for most of an import."""
    if any(map(_EXPECTED, edits)):
        _check_expectations(edits, {})
    times = writer.take_times(len(edits))
    author, source_name = source_hex(writer.source), f"@{writer.source}"
    tids = [f"1-ff{time:016x}{author}" for time in times]
    vectors = [f"{time:x}{source_name}" for time in times]
    texts = [edit[1].decode() for edit in edits]
    seqs = range(last_seq + 1, last_seq + 1 + len(edits))
    flags: Iterable[int] = repeat(0)
    live_count = len(edits)
    named = any(map(_BLOBS, edits))
    if named or any(map(_DELETED, edits)):
        flags = [
            (DELETED if deleted else 0) | (HAS_BLOBS if blobs else 0)
            for _, _, deleted, blobs, _ in edits
        ]
        live_count -= sum(1 for edit in edits if edit.deleted)
    rows = list(zip(seqs, doc_ids, flags, tids, vectors, texts, strict=False))
    writer.write_rows(_insert_sql, key, rows)
    if named:
        pairs = zip(seqs, edits, strict=True)
        write_blob_refs(writer, key, (), [(d, key, doc) for doc, edit in pairs for d in edit.blobs])
    writer.advance(key, seqs.stop - 1, live_count, doc_ids)
    return list(map(_save_of, zip(doc_ids, seqs, tids, strict=True)))


def write_documents(
    writer: Writer, key: int, rows: Sequence[tuple[Any, ...]], stored: Container[str]
) -> None:
    """Write rows of `upsert_sql`'s columns, whose `doc` is the real one.

    `stored`: the IDs that have a row already.
    """
    # A stored document's real key would collide with itself, and SQLite does not promise that the
    # collision of IDs is seen first. Its new sequence is free: no document was first stored at it.
    if writer.keeps_bases:
        bases.keep(writer, key, [row[1] for row in rows if row[1] in stored])
    if stored:
        rows = [row if row[1] not in stored else (row[2], *row[1:]) for row in rows]
    writer.write_rows(upsert_sql, key, rows)


def _check_expectations(edits: Sequence[Edit], current: dict[str, Row]) -> None:
    for edit in edits:
        expected = edit.expect_tid
        if expected is None:
            continue
        row = current.get(edit.doc_id)
        if expected == "":
            if row is not None and not row[3] & DELETED:
                raise ConflictError(
                    f"document {edit.doc_id!r} exists already; nothing was stored. "
                    "Read it and save again"
                )
        elif row is None or not _is_revision(row, expected):
            raise ConflictError(
                f"document {edit.doc_id!r} was changed or purged meanwhile; nothing was stored. "
                "Read it again and repeat the change"
            )


def _is_revision(row: Row, tid: str) -> bool:
    """Tell whether `tid` is a name of the row's revision (its height may have been raised)."""
    if tid == row[4] or tid in row[6].split(","):
        return True
    return revision.is_derived(tid) and revision.version_of(tid) == parse_vector(row[7]).cv


# --- purge and expiry ---------------------------------------------------------------------------


def purge(writer: Writer, key: int, doc_ids: Iterable[str]) -> int:
    """Forget documents with all that is known about them; return how many there were.

    Nothing is told to peers: a peer that has one may send it again. Sequences don't come back.
    """
    current = current_rows(writer, key, doc_ids)
    seq = writer.last_seq(key)
    if not current:
        return 0
    docs = orjson.dumps([row[0] for row in current.values()]).decode()
    within = "IN (SELECT value FROM json_each(?))"
    writer.run(f"DELETE FROM {documents_table(key)} WHERE doc {within}", (docs,))
    bases.forget(writer, key, docs)
    writer.run(f"DELETE FROM blob_refs WHERE collection = ? AND doc {within}", (key, docs))
    writer.run(
        f"DELETE FROM marks WHERE collection = ? AND doc {within} "
        "AND remote IN (SELECT remote FROM remotes)",
        (key, docs),
    )
    live_change = -sum(1 for row in current.values() if not row[3] & DELETED)
    writer.advance(key, seq, live_change, list(current))
    return len(current)


def expire(writer: Writer, key: int, doc_id: str, at_ms: int | None) -> None:
    """Set when a document is to be purged, milliseconds since 1970; None: never.

    Takes no new sequence. Raises NotFoundError if there is no live document of that ID.
    """
    writer.last_seq(key)
    sql = (
        f"UPDATE {documents_table(key)} SET expires = ? "
        f"WHERE id = ? AND flags & {DELETED} = 0 RETURNING doc"
    )
    if not writer.rows(sql, (at_ms, doc_id)):
        raise NotFoundError(f"there is no document {doc_id!r} to expire")


def due(reader: Reader, key: int, now_ms: int, limit: int = PAGE_ROWS) -> list[str]:
    """Return the IDs of at most `limit` documents whose time to be purged has come."""
    sql = (
        f"SELECT id FROM {documents_table(key)} "
        "WHERE expires IS NOT NULL AND expires <= ? ORDER BY expires LIMIT ?"
    )
    return [row[0] for row in reader.sound_rows(sql, (now_ms, limit), _ID)]


def next_expiry(reader: Reader) -> int | None:
    """Return when the next document of any collection is to be purged, ms since 1970, or None."""
    times = []
    for (key,) in reader.rows("SELECT key FROM collections WHERE NOT dropped"):
        table = documents_table(key)
        row = reader.row(f"SELECT min(expires) FROM {table} WHERE expires IS NOT NULL")
        if row is not None and row[0] is not None:
            times.append(int(row[0]))
    return min(times, default=None)
