"""What each remote is known to have, and what remotes there are.

Room: store.
Touches: `remotes` and `marks`.
Never touches: sockets, threads, how a remote is recognised.

A remote's key is text that says what it is, not where it is (its certificate and database, or its
URL). A mark is the tree name that was last known to be current there. It lies outside the
document's row, where it would rewrite the body, and takes no sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from settee.store.connection import Reader
from settee.store.documents import as_json
from settee.store.schema import documents_table
from settee.store.writer import Writer

__all__ = [
    "forget",
    "forget_remote",
    "last_met_at",
    "met_at",
    "mark_sql",
    "record",
    "remote_id",
    "remotes",
]


@lru_cache(maxsize=512)
def mark_sql(_key: int, rows: int) -> str:
    """Return the statement that writes marks: (remote, collection, doc, tid) per row."""
    values = ", ".join(["(?,?,?,?)"] * rows)
    return f"INSERT OR REPLACE INTO marks(remote, collection, doc, tid) VALUES {values}"


def remote_id(writer: Writer, key_text: str) -> int:
    """Return the number of a remote, a new one if it was not known. Notes that it was used now."""
    row = writer.row(
        "INSERT INTO remotes(key, last_used) VALUES (?, ?) "
        "ON CONFLICT(key) DO UPDATE SET last_used = excluded.last_used RETURNING remote",
        (key_text, writer.wall_ms()),
    )
    assert row is not None
    return int(row[0])


def met_at(writer: Writer, url: str, key_text: str) -> None:
    """Note which remote answered at a URL."""
    name = f"remote:{url}"
    writer.run("INSERT OR REPLACE INTO meta(name, value) VALUES (?, ?)", (name, key_text))


def last_met_at(reader: Reader, url: str) -> str | None:
    """Return the key of the remote that answered at a URL last, None if none ever did."""
    row = reader.row("SELECT value FROM meta WHERE name = ?", (f"remote:{url}",))
    return None if row is None else str(row[0])


def remotes(reader: Reader) -> list[tuple[int, str, int]]:
    """Return (number, key, last used in ms since 1970) of each remote, the latest used first."""
    sql = "SELECT remote, key, last_used FROM remotes ORDER BY last_used DESC, remote"
    return [(row[0], row[1], row[2]) for row in reader.rows(sql)]


def record(writer: Writer, remote: int, key: int, marks: Sequence[tuple[str, str]]) -> None:
    """Note what a remote has: (document ID, tree name) each. Unknown documents are left out."""
    sql = f"SELECT id, doc FROM {documents_table(key)} WHERE id IN (SELECT value FROM json_each(?))"
    keys: dict[str, int] = dict(writer.rows(sql, (as_json([doc_id for doc_id, _tid in marks]),)))
    rows: list[tuple[Any, ...]] = [
        (remote, key, keys[doc_id], tid) for doc_id, tid in marks if doc_id in keys
    ]
    writer.write_rows(mark_sql, key, rows)


def forget(writer: Writer, remote: int, key: int, doc_ids: Iterable[str] | None = None) -> None:
    """Forget what a remote has of a collection, or of some documents in it."""
    if doc_ids is None:
        writer.run("DELETE FROM marks WHERE remote = ? AND collection = ?", (remote, key))
        return
    writer.run(
        "DELETE FROM marks WHERE remote = ? AND collection = ? AND doc IN "
        f"(SELECT doc FROM {documents_table(key)} WHERE id IN (SELECT value FROM json_each(?)))",
        (remote, key, as_json(doc_ids)),
    )


def forget_remote(writer: Writer, remote: int) -> None:
    """Forget a remote and all that it was known to have."""
    writer.run("DELETE FROM marks WHERE remote = ?", (remote,))
    writer.run("DELETE FROM remotes WHERE remote = ?", (remote,))
