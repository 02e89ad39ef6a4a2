"""Looking after a database: making it smaller, building again what is derived, finding damage.

Room: store.
Touches: the whole file, the blobs' names and content.
Never touches: sockets, a document's meaning.

Documents, their histories and blobs are what can't be had again. Indexes, counts and the table of
which document names which blob are derived: `reindex` makes them anew. `check` only reads, in short
steps, so that it may run beside writers; it reports and mends nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import orjson

from settee.doc import blob as blob_references
from settee.doc import body as bodies
from settee.doc import revision
from settee.doc.records import DELETED, HAS_BLOBS
from settee.doc.version import time_of
from settee.errors import (
    CorruptDatabaseError,
    InvalidDocumentError,
    NotFoundError,
    StoreError,
)
from settee.ids import digest_bytes, is_document_id
from settee.limits import BLOB_CHUNK_BYTES, CHECK_PROBLEMS_MAX, PAGE_ROWS
from settee.store.collections import CollectionRow
from settee.store.connection import Reader, Row
from settee.store.documents import state_of
from settee.store.place import DATABASE_FILE, LOG_FILE
from settee.store.schema import create_documents_indexes, documents_table
from settee.store.store import Store
from settee.store.writer import Writer

__all__ = ["Compacted", "Problem", "ProblemKind", "check", "compact", "optimize", "reindex"]

ProblemKind: TypeAlias = Literal["file", "database", "document", "reference", "blob"]

_INTEGRITY_LINES_MAX: Final = 100
_ANALYSIS_ROWS: Final = 400
"""Rows of an index that a quick `optimize` looks at: enough to tell one index from another."""


class Problem(NamedTuple):
    """Something that `check` found wrong."""

    kind: ProblemKind
    """``"file"``: SQLite's own structure; restore a copy, or export what can be read.
    ``"database"``: a count or a name of the database itself. ``"document"``: a document that can't
    be read as it was written. ``"reference"``: derived tables, which `reindex` mends. ``"blob"``:
    content that is missing or damaged; a peer that has it can't know."""
    place: str
    """What it is about: a file, a collection, ``collection/document``, or a blob's digest."""
    message: str
    """What is wrong, as a sentence without its subject."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.place}: {self.message}"


class Compacted(NamedTuple):
    """What `compact` did."""

    blobs_removed: int
    """Blobs that no document named any more."""
    blob_bytes: int
    """Bytes that those had."""
    file_bytes: int
    """Bytes by which the database file and its log became smaller."""

    @property
    def bytes_freed(self) -> int:
        """Bytes that the disk has back."""
        return self.blob_bytes + self.file_bytes


# --- smaller, faster ------------------------------------------------------------------------------


def compact(store: Store, *, unused_since_ns: int | None = None) -> Compacted:
    """Remove blobs that nothing names, then rewrite the file without its gaps.

    Blobs that another process may be about to use stay for an hour, unless `unused_since_ns`
    (nanoseconds since 1970) says since when no other process can have had the database open.
    Other threads' writes wait meanwhile; reads go on. Needs as much free space as the file has.
    Raises DiskFullError, TransactionError, ReadOnlyError, DatabaseInUseError.
    """
    before = _file_bytes(store.directory)
    store.blobs.sweep()
    removed = store.remove_unneeded_blobs(unused_since_ns)
    with store.alone() as writer:
        writer.run("PRAGMA temp_store = FILE")  # The copy may be larger than the memory.
        try:
            writer.run("VACUUM")
        finally:
            writer.run("PRAGMA temp_store = MEMORY")
        writer.run("PRAGMA wal_checkpoint(TRUNCATE)")
    freed = max(0, before - _file_bytes(store.directory))
    return Compacted(len(removed), sum(length for _, length in removed), freed)


def _file_bytes(directory: Path) -> int:
    total = 0
    for name in (DATABASE_FILE, LOG_FILE):
        try:
            total += (directory / name).stat().st_size
        except FileNotFoundError:
            continue
    return total


def optimize(writer: Writer, *, full: bool = False) -> None:
    """Let SQLite count what its indexes hold, so that it chooses well. A job for the writer.

    `full` reads all of every index; else a sample, of those that changed much.
    """
    writer.run(f"PRAGMA analysis_limit = {0 if full else _ANALYSIS_ROWS}")
    writer.run("ANALYZE" if full else "PRAGMA optimize(0x10002)")


# --- what is derived ------------------------------------------------------------------------------


def reindex(writer: Writer) -> None:
    """Build the indexes, the counts and the references to blobs anew. A job for the writer.

    Raises CorruptDatabaseError if documents contradict each other or can't be read.
    """
    writer.run("REINDEX")
    writer.run("DELETE FROM blob_refs")
    for (key,) in writer.rows("SELECT key FROM collections WHERE NOT dropped"):
        table = documents_table(key)
        create_documents_indexes(writer, key)
        writer.run(
            "UPDATE collections SET live_count = "
            f"(SELECT count(*) FROM {table} WHERE flags & {DELETED} = 0), "
            f"last_seq = max(last_seq, coalesce((SELECT max(seq) FROM {table}), 0)) WHERE key = ?",
            (key,),
        )
        after = 0
        while rows := writer.rows(
            f"SELECT doc, flags, CAST(body AS BLOB) FROM {table} WHERE doc > ? "
            "ORDER BY doc LIMIT ?",
            (after, PAGE_ROWS),
        ):
            after = rows[-1][0]
            _refer_anew(writer, key, rows)


def _refer_anew(writer: Writer, key: int, rows: Sequence[Row]) -> None:
    refs: list[tuple[str, int, int]] = []
    flipped: list[int] = []
    for doc, flags, body in rows:
        try:
            digests = _digests(body)
        except InvalidDocumentError:
            continue  # `check` tells of it.
        refs.extend((digest, key, doc) for digest in digests)
        if bool(flags & HAS_BLOBS) != bool(digests):
            flipped.append(doc)
    if flipped:
        writer.run(
            f"UPDATE {documents_table(key)} SET flags = (flags | {HAS_BLOBS}) - "
            f"(flags & {HAS_BLOBS}) WHERE doc IN (SELECT value FROM json_each(?))",
            (orjson.dumps(flipped).decode(),),
        )
    for ref in refs:
        writer.run("INSERT OR IGNORE INTO blob_refs(digest, collection, doc) VALUES (?,?,?)", ref)


def _digests(body: bytes) -> list[str]:
    """Return the blobs that a body names. Raises InvalidDocumentError for what isn't JSON."""
    if not blob_references.may_have_blobs(body):
        return []
    return [each.digest for each in blob_references.find_blobs(bodies.load(body))]


# --- what is wrong --------------------------------------------------------------------------------


def check(store: Store, *, blobs: bool = True) -> list[Problem]:
    """Return what is wrong with a database, at most `CHECK_PROBLEMS_MAX` things; empty if nothing.

    Reads every page of the file, every document and, with `blobs`, the content of every blob that
    is named; else only that it is there.
    """
    found = itertools.chain(
        _in_the_file(store),
        _in_the_identity(store),
        _in_collections(store),
        _in_blobs(store, blobs),
    )
    return list(itertools.islice(found, CHECK_PROBLEMS_MAX))


def _in_the_file(store: Store) -> Iterator[Problem]:
    try:
        with store.reader() as reader:
            lines = [
                str(row[0])
                for row in reader.rows(f"PRAGMA integrity_check({_INTEGRITY_LINES_MAX})")
            ]
    except StoreError as exc:
        lines = [str(exc)]
    for line in lines:
        if line != "ok":
            yield Problem("file", DATABASE_FILE, line)


def _in_the_identity(store: Store) -> Iterator[Problem]:
    try:
        with store.reader() as reader:
            found: dict[str, Any] = dict(reader.rows("SELECT name, value FROM meta"))
    except StoreError as exc:
        yield Problem("database", "meta", str(exc))
        return
    for name in ("private_uuid", "public_uuid"):
        if not isinstance(found.get(name), bytes) or len(found[name]) != 16:
            yield Problem("database", "meta", f"has lost its {name}")
    if not isinstance(found.get("hybrid_time"), int):
        yield Problem("database", "meta", "has lost its hybrid_time")


def _in_collections(store: Store) -> Iterator[Problem]:
    try:
        rows = store.collections()
        with store.reader() as reader:
            lost = reader.row(
                "SELECT count(*) FROM blob_refs WHERE collection NOT IN "
                "(SELECT key FROM collections WHERE NOT dropped)"
            )
    except StoreError as exc:
        yield Problem("database", "collections", str(exc))
        return
    if lost is not None and lost[0]:
        message = f"has {lost[0]} references to blobs of collections that are gone"
        yield Problem("reference", "blob_refs", message)
    for row in rows:
        try:
            yield from _in_counts(store, row)
            yield from _in_documents(store, row)
        except NotFoundError:
            continue  # Deleted while we looked.
        except StoreError as exc:
            yield Problem("file", str(row.name), f"can't be read to its end: {exc}")


def _in_counts(store: Store, row: CollectionRow) -> Iterator[Problem]:
    table = documents_table(row.key)
    with store.reader() as reader:
        found = reader.row(
            f"SELECT live_count, (SELECT count(*) FROM {table} WHERE flags & {DELETED} = 0), "
            f"last_seq, (SELECT coalesce(max(max(seq), max(doc)), 0) FROM {table}), "
            "(SELECT count(*) FROM blob_refs r WHERE r.collection = c.key AND NOT EXISTS "
            f"(SELECT 1 FROM {table} d WHERE d.doc = r.doc)) "
            "FROM collections c WHERE key = ? AND NOT dropped",
            (row.key,),
        )
        kept = {
            name
            for (name,) in reader.rows(
                "SELECT name FROM sqlite_schema WHERE tbl_name = ?", (table,)
            )
        }
    if found is None:
        return
    for index in ("id", "seq", "expires"):
        if f"{table}_{index}" not in kept:
            yield Problem("reference", str(row.name), f"has lost its index by {index}")
    counted, live, last_seq, highest, lost = found
    if counted != live:
        yield Problem("reference", str(row.name), f"counts {counted} documents and has {live}")
    if not isinstance(last_seq, int) or highest > last_seq:
        message = f"has a document at sequence {highest}, beyond its last one, {last_seq}"
        yield Problem("database", str(row.name), message)
    if lost:
        message = f"has {lost} references to blobs of documents that are gone"
        yield Problem("reference", str(row.name), message)


def _in_documents(store: Store, row: CollectionRow) -> Iterator[Problem]:
    """Read the documents page by page, each with its references in one short transaction."""
    key, after = row.key, 0
    sql = (
        "SELECT doc, id, seq, flags, tid, history, aka, vector, CAST(body AS BLOB) "
        f"FROM {documents_table(key)} WHERE doc > ? ORDER BY doc LIMIT ?"
    )
    while True:
        with store.reader() as reader:
            page = reader.rows(sql, (after, PAGE_ROWS))
            if not page:
                return
            last = page[-1][0]
            refs = _references(reader, key, after, last)
            clock = reader.row("SELECT value FROM meta WHERE name = 'hybrid_time'")
        after = last
        time_max = clock[0] if clock and isinstance(clock[0], int) else 2**64
        for document in page:
            place = f"{row.name}/{document[1]}"
            for kind, message in _in_a_row(document, refs, store.source, time_max):
                yield Problem(kind, place, message)


def _references(reader: Reader, key: int, after: int, last: int) -> dict[int, set[str]]:
    refs: dict[int, set[str]] = {}
    sql = "SELECT doc, digest FROM blob_refs WHERE collection = ? AND doc > ? AND doc <= ?"
    for doc, digest in reader.rows(sql, (key, after, last)):
        refs.setdefault(doc, set()).add(digest)
    return refs


def _in_a_row(
    row: Row, refs: dict[int, set[str]], source: str, time_max: int
) -> Iterator[tuple[ProblemKind, str]]:
    """Tell what is wrong with one document and what is derived of it."""
    doc, doc_id, _seq, flags, tid, _history, _aka, _vector, body = row
    if not is_document_id(doc_id):
        yield "document", "has a name that no document may have"
    try:
        state = state_of(row)
        if not all(map(revision.is_tree_name, (tid, *state.history))):
            yield "document", "has a revision that can't be"
        elif time_of(state.vector, source) > time_max:
            yield "document", "has a version that is ahead of the database's clock"
    except (CorruptDatabaseError, InvalidDocumentError, ValueError) as exc:
        yield "document", f"has a damaged revision: {exc}"
        return
    try:
        bodies.load(body)
        digests = set(_digests(body))
    except InvalidDocumentError as exc:
        yield "document", f"has a damaged body: {exc}"
        return
    if digests != refs.get(doc, set()) or bool(flags & HAS_BLOBS) != bool(digests):
        yield "reference", "names other blobs than are noted for it"


def _in_blobs(store: Store, content: bool) -> Iterator[Problem]:
    after = ""
    while True:
        try:
            with store.reader() as reader:
                page = [
                    row[0]
                    for row in reader.rows(
                        "SELECT DISTINCT digest FROM blob_refs WHERE digest > ? "
                        "ORDER BY digest LIMIT ?",
                        (after, PAGE_ROWS),
                    )
                ]
        except StoreError as exc:
            yield Problem("file", "blob_refs", f"can't be read to its end: {exc}")
            return
        if not page:
            return
        after = page[-1]
        for digest in page:
            problem = _in_a_blob(store, digest, content)
            # It may have been removed with the last document that named it, meanwhile.
            user = _user_of(store, digest) if problem else None
            if user is not None:
                yield Problem("blob", digest, f"{problem}; {user} names it")


def _in_a_blob(store: Store, digest: str, content: bool) -> str | None:
    if digest_bytes(digest) is None:
        return "is no digest"
    if not store.blobs.has(digest):
        return "is missing"
    if not content:
        return None
    buffer = bytearray(BLOB_CHUNK_BYTES)
    try:
        with store.blobs.open(digest) as reader:
            while reader.readinto(buffer):
                pass
    except NotFoundError:
        return "is missing"
    except CorruptDatabaseError:
        return "is damaged: its content has another digest"
    except (OSError, StoreError) as exc:
        return f"can't be read: {exc}"
    return None


def _user_of(store: Store, digest: str) -> str | None:
    """Return a document that names a blob now, None if none does any more."""
    names = {row.key: str(row.name) for row in store.collections()}
    with store.reader() as reader:
        row = reader.row("SELECT collection, doc FROM blob_refs WHERE digest = ?", (digest,))
        if row is None or row[0] not in names:
            return None
        found = reader.row(f"SELECT id FROM {documents_table(row[0])} WHERE doc = ?", (row[1],))
    return None if found is None else f"{names[row[0]]}/{found[0]}"
