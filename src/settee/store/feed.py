"""The feed: a collection's documents in the order of their latest change.

Room: store.
Touches: the documents' tables and marks, reading.
Never touches: sockets, threads.

A document has one row, at its latest sequence; an update moves it to the end. So the feed is a
range scan of an index, read in pages.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, Final, cast

from settee.doc.records import DELETED, ChangeRow, ChangesPage
from settee.errors import CorruptDatabaseError, NotFoundError
from settee.store.connection import Reader
from settee.store.documents import as_json
from settee.store.schema import documents_table

__all__ = ["changes", "last_seq"]

_KINDS: Final = frozenset({(int, str, str, int, int, str)})
_change: Final = cast("Any", partial(tuple.__new__, ChangeRow))


@lru_cache(maxsize=512)
def _sql(key: int, marked: bool, chosen: bool, active_only: bool) -> str:
    mark = "coalesce(m.tid, '')" if marked else "''"
    sql = (
        f"SELECT d.seq, d.id, d.tid, d.flags, octet_length(d.body), {mark} "
        f"FROM {documents_table(key)} d "
    )
    if marked:
        sql += f"LEFT JOIN marks m ON m.remote = ? AND m.collection = {key:d} AND m.doc = d.doc "
    sql += "WHERE d.seq > ? "
    if chosen:
        sql += "AND d.id IN (SELECT value FROM json_each(?)) "
    if active_only:
        sql += f"AND d.flags & {DELETED} = 0 "
    return sql + "ORDER BY d.seq LIMIT ?"


def last_seq(reader: Reader, key: int) -> int:
    """Return a collection's last sequence. Raises NotFoundError if the collection was deleted."""
    row = reader.row("SELECT last_seq FROM collections WHERE key = ? AND NOT dropped", (key,))
    if row is None:
        raise NotFoundError(f"the collection was deleted from {reader.path}")
    if type(row[0]) is not int:
        raise CorruptDatabaseError(f"{reader.path} is damaged: restore it from a copy")
    return row[0]


def changes(
    reader: Reader,
    key: int,
    since: int,
    limit: int,
    *,
    remote: int | None = None,
    doc_ids: frozenset[str] | None = None,
    active_only: bool = False,
) -> ChangesPage:
    """Return a page of the feed after the sequence `since`.

    `remote`: fill in the marks of this remote. `doc_ids`: of these documents only. `active_only`:
    no tombstones. A page with fewer than `limit` rows reaches the end: all up to its `last_seq` has
    been looked at.
    """
    # First the end, then the rows: outside a transaction a page may reach beyond, never fall short.
    end = last_seq(reader, key)
    bindings: list[Any] = [] if remote is None else [remote]
    bindings.append(since)
    if doc_ids is not None:
        bindings.append(as_json(doc_ids))
    bindings.append(limit)
    sql = _sql(key, remote is not None, doc_ids is not None, active_only)
    return ChangesPage(list(map(_change, reader.sound_rows(sql, bindings, _KINDS))), end)
