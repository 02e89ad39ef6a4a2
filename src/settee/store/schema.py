"""What lies in the SQLite file, and how an older file becomes a newer one.

Room: store.
Touches: the database's tables.
Never touches: sockets, threads, documents' meaning.

`STEPS` is the history of the schema: ``user_version`` counts how many of them a file has had. Each
runs in one transaction with its record. A file of a newer settee is refused, not guessed at.

Per collection there is one table ``docs_<key>``. Its columns, in order: `doc`, an integer that
never changes nor comes back (the sequence at which the document was first stored); `id`; `seq`, the
document's latest sequence; `flags` (`settee.doc.records`); `tid`, `history`, `aka` and `vector`,
the revision's names; `expires`, milliseconds since 1970; `body`, last because it is the largest,
as TEXT so that JSON functions read it cheaply.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

from settee.errors import CorruptDatabaseError, NewerSchemaError, NotADatabaseError
from settee.ids import DEFAULT_COLLECTION, DEFAULT_SCOPE
from settee.store.connection import PAGE_BYTES, Reader

__all__ = [
    "APPLICATION_ID",
    "STEPS",
    "Step",
    "check_is_ours",
    "create_documents_indexes",
    "create_documents_table",
    "documents_table",
    "drop_documents_table",
    "set_up_file",
    "stored_version",
    "upgrade",
]

APPLICATION_ID: Final = 0x53455454
"""``SETT``, in the header of every settee database."""

Step: TypeAlias = Callable[[Reader, Callable[[int], bytes]], None]
"""One change of the schema; is given the database inside a transaction, and a source of chance."""


@lru_cache(maxsize=1024)
def documents_table(key: int) -> str:
    """Return the name of the table that holds the documents of collection `key`."""
    return f"docs_{key:d}"


def create_documents_table(reader: Reader, key: int) -> None:
    """Make the table of a new collection."""
    table = documents_table(key)
    reader.run(
        f"CREATE TABLE {table}("
        "doc INTEGER PRIMARY KEY, id TEXT NOT NULL, seq INTEGER NOT NULL, flags INTEGER NOT NULL, "
        "tid TEXT NOT NULL, history TEXT NOT NULL, aka TEXT NOT NULL, vector TEXT NOT NULL, "
        "expires INTEGER, body TEXT NOT NULL) STRICT"
    )
    create_documents_indexes(reader, key)


def create_documents_indexes(reader: Reader, key: int) -> None:
    """Make those of a collection's indexes that aren't there."""
    table = documents_table(key)
    for statement in (
        f"CREATE UNIQUE INDEX IF NOT EXISTS {table}_id ON {table}(id)",
        f"CREATE UNIQUE INDEX IF NOT EXISTS {table}_seq ON {table}(seq)",
        f"CREATE INDEX IF NOT EXISTS {table}_expires ON {table}(expires) WHERE expires IS NOT NULL",
    ):
        reader.run(statement)


def drop_documents_table(reader: Reader, key: int) -> None:
    """Remove the table of a deleted collection, with its indexes."""
    reader.run(f"DROP TABLE {documents_table(key)}")


def _step_1(reader: Reader, random_bytes: Callable[[int], bytes]) -> None:
    for statement in (
        # `live_count` counts documents that are not deleted. A dropped collection leaves its row
        # (`dropped` = 1) so that one made anew under its name goes on with the sequences, and
        # AUTOINCREMENT keeps its key from coming back.
        "CREATE TABLE collections(key INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, "
        "name TEXT NOT NULL, last_seq INTEGER NOT NULL DEFAULT 0, "
        "live_count INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0, "
        "UNIQUE(scope, name, dropped)) STRICT",
        # Revisions beside the current one: of a remote in conflict, and kept as bases of deltas.
        "CREATE TABLE leaves(collection INTEGER NOT NULL, doc INTEGER NOT NULL, "
        "tid TEXT NOT NULL, remote INTEGER NOT NULL, flags INTEGER NOT NULL, "
        "history TEXT NOT NULL, vector TEXT NOT NULL, body TEXT NOT NULL, "
        "PRIMARY KEY(collection, doc, tid)) STRICT, WITHOUT ROWID",
        "CREATE TABLE remotes(remote INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, "
        "last_used INTEGER NOT NULL) STRICT",
        "CREATE TABLE marks(remote INTEGER NOT NULL, collection INTEGER NOT NULL, "
        "doc INTEGER NOT NULL, tid TEXT NOT NULL, "
        "PRIMARY KEY(remote, collection, doc)) STRICT, WITHOUT ROWID",
        "CREATE TABLE checkpoints(id TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE TABLE peer_checkpoints(id TEXT PRIMARY KEY, rev TEXT NOT NULL, body BLOB NOT NULL, "
        "last_used INTEGER NOT NULL) STRICT",
        "CREATE INDEX peer_checkpoints_used ON peer_checkpoints(last_used)",
        "CREATE TABLE blob_refs(digest TEXT NOT NULL, collection INTEGER NOT NULL, "
        "doc INTEGER NOT NULL, PRIMARY KEY(digest, collection, doc)) STRICT, WITHOUT ROWID",
        "CREATE INDEX blob_refs_doc ON blob_refs(collection, doc)",
        "CREATE TABLE meta(name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID",
    ):
        reader.run(statement)
    reader.run(
        "INSERT INTO collections(key, scope, name) VALUES (1, ?, ?)",
        (DEFAULT_SCOPE, DEFAULT_COLLECTION),
    )
    create_documents_table(reader, 1)
    for name in ("private_uuid", "public_uuid"):
        reader.run("INSERT INTO meta(name, value) VALUES (?, ?)", (name, random_bytes(16)))
    reader.run("INSERT INTO meta(name, value) VALUES ('hybrid_time', 0)")


def _step_2(reader: Reader, _random_bytes: Callable[[int], bytes]) -> None:
    # Bases of deltas have a table of their own, in the order in which they were current. Nothing
    # was ever written to the one that was meant for them.
    reader.run("DROP TABLE leaves")
    reader.run(
        "CREATE TABLE bases(collection INTEGER NOT NULL, doc INTEGER NOT NULL, "
        "seq INTEGER NOT NULL, tid TEXT NOT NULL, body TEXT NOT NULL, "
        "PRIMARY KEY(collection, doc, seq)) STRICT, WITHOUT ROWID"
    )


STEPS: Final[tuple[Step, ...]] = (_step_1, _step_2)
"""Step k makes a database of version k out of one of version k - 1. Never change one: add one."""


def stored_version(reader: Reader) -> int:
    """Return how many steps the file has had."""
    row = reader.row("PRAGMA user_version")
    assert row is not None
    version = int(row[0])
    if version < 0:
        raise CorruptDatabaseError(
            f"{reader.path} says schema version {version}; restore it from a copy"
        )
    return version


def check_is_ours(reader: Reader) -> bool:
    """Tell whether the file is a settee database (False: it is empty and may become one).

    Raises NotADatabaseError for another program's database.
    """
    row = reader.row("PRAGMA application_id")
    assert row is not None
    if row[0] == APPLICATION_ID:
        return True
    if row[0] == 0 and reader.row("SELECT 1 FROM sqlite_schema LIMIT 1") is None:
        return False
    raise NotADatabaseError(
        f"{reader.path} is a SQLite database of another program; settee leaves it alone"
    )


def set_up_file(reader: Reader) -> None:
    """Give a file what lies in it for good: page size and WAL mode. Harmless on a finished one."""
    reader.run(f"PRAGMA page_size = {PAGE_BYTES}")
    row = reader.row("PRAGMA journal_mode = WAL")
    if row is None or row[0] != "wal":
        raise NotADatabaseError(
            f"{reader.path} can't be kept in WAL mode (got {row and row[0]!r}): "
            "it may lie on a network file system, which settee does not support"
        )


def upgrade(
    reader: Reader, random_bytes: Callable[[int], bytes], steps: Sequence[Step] = STEPS
) -> int:
    """Run the steps that the file has not had; return how many ran.

    Each step and its record are one transaction, so that a process that dies between two leaves a
    whole database of an older version. Two processes that open at once do each step once. Raises
    NewerSchemaError if the file has had more steps than `steps`.
    """
    ran = 0
    while (version := stored_version(reader)) < len(steps):
        reader.run("BEGIN IMMEDIATE")
        try:
            if stored_version(reader) == version:
                steps[version](reader, random_bytes)
                reader.run(f"PRAGMA application_id = {APPLICATION_ID}")
                reader.run(
                    "INSERT INTO meta(name, value) VALUES ('schema', ?) "
                    "ON CONFLICT(name) DO UPDATE SET value = excluded.value",
                    (version + 1,),
                )
                reader.run(f"PRAGMA user_version = {version + 1}")
                ran += 1
            reader.run("COMMIT")
        except BaseException:
            if reader.in_transaction:
                reader.run("ROLLBACK")
            raise
    check_version(reader, steps)
    return ran


def check_version(reader: Reader, steps: Sequence[Step] = STEPS) -> None:
    """Raise unless the file has had exactly `steps`, and its record agrees."""
    version = stored_version(reader)
    if version > len(steps):
        raise NewerSchemaError(
            f"{reader.path} has schema version {version}, written by a newer settee; "
            f"this one knows {len(steps)}. Upgrade settee to open it"
        )
    row = reader.row("SELECT value FROM meta WHERE name = 'schema'")
    if row is None or row[0] != version:
        raise CorruptDatabaseError(
            f"{reader.path} says schema version {version}, its record {row and row[0]!r}; "
            "restore it from a copy"
        )
