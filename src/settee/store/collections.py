"""The collections of a database: found, made, dropped.

Room: store.
Touches: the table `collections`, the documents' tables as a whole.
Never touches: sockets, threads, documents.

A key is never used twice. A dropped collection leaves its last sequence behind, and one made anew
under its name goes on from there: a peer that remembers a sequence must not skip what comes.
"""

from __future__ import annotations

from typing import NamedTuple

from settee.ids import CollectionName
from settee.store import schema
from settee.store.connection import Reader
from settee.store.writer import Writer

__all__ = [
    "CollectionRow",
    "drop_collection",
    "find_collection",
    "list_collections",
    "make_collection",
]


class CollectionRow(NamedTuple):
    """A collection as the store knows it. A key never comes back, nor is it given to another."""

    key: int
    name: CollectionName


def list_collections(reader: Reader) -> list[CollectionRow]:
    """Return the collections in the order in which they were made."""
    sql = "SELECT key, scope, name FROM collections WHERE NOT dropped ORDER BY key"
    return [CollectionRow(row[0], CollectionName(row[1], row[2])) for row in reader.rows(sql)]


def find_collection(reader: Reader, name: CollectionName) -> int | None:
    """Return the key of a collection, None if there is none."""
    sql = "SELECT key FROM collections WHERE scope = ? AND name = ? AND NOT dropped"
    row = reader.row(sql, (name.scope, name.name))
    return None if row is None else int(row[0])


def make_collection(writer: Writer, name: CollectionName) -> int:
    """Make a collection unless it is there; return its key."""
    key = find_collection(writer, name)
    if key is not None:  # Made by another meanwhile.
        return key
    dropped = writer.row(
        "DELETE FROM collections WHERE scope = ? AND name = ? AND dropped RETURNING last_seq",
        (name.scope, name.name),
    )
    row = writer.row(
        "INSERT INTO collections(scope, name, last_seq) VALUES (?, ?, ?) RETURNING key",
        (name.scope, name.name, dropped[0] if dropped else 0),
    )
    assert row is not None
    schema.create_documents_table(writer, row[0])
    return int(row[0])


def drop_collection(writer: Writer, name: CollectionName) -> bool:
    """Delete a collection and all that hangs on it; tell whether there was one."""
    key = find_collection(writer, name)
    if key is None:
        return False
    schema.drop_documents_table(writer, key)
    for table in ("marks", "bases", "blob_refs"):
        writer.run(f"DELETE FROM {table} WHERE collection = ?", (key,))
    writer.run("UPDATE collections SET dropped = 1, live_count = 0 WHERE key = ?", (key,))
    writer.forget_collection(key)
    return True
