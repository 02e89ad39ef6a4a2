"""Bodies of earlier revisions, kept so that a peer can be sent, or can send, only what changed.

Room: store.
Touches: the `bases` table.
Never touches: sockets, threads, deltas themselves.

Kept only once delta sync has been in use for the database (`enable`), only of bodies worth a delta,
and only the last few of a document besides those that a remote is known to have. A base is named by
its revision; any name of the same version finds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

import orjson

from settee.doc.records import DELETED
from settee.doc.revision import version_of
from settee.limits import DELTA_BASES_MAX, DELTA_BODY_BYTES_MIN
from settee.store.connection import Reader
from settee.store.schema import documents_table
from settee.store.writer import Writer

__all__ = ["enable", "forget", "is_enabled", "keep", "read"]

_FLAG: Final = "delta_bases"


def is_enabled(reader: Reader) -> bool:
    """Tell whether bases are kept."""
    return reader.row("SELECT 1 FROM meta WHERE name = ?", (_FLAG,)) is not None


def enable(writer: Writer) -> None:
    """Keep bases from now on."""
    writer.run("INSERT OR IGNORE INTO meta(name, value) VALUES (?, 1)", (_FLAG,))
    writer.keeps_bases = True


@lru_cache(maxsize=512)
def _keep_sql(key: int) -> str:
    return (
        "INSERT OR REPLACE INTO bases(collection, doc, seq, tid, body) "
        f"SELECT {key:d}, doc, seq, tid, body FROM {documents_table(key)} "
        "WHERE id IN (SELECT value FROM json_each(?)) "
        f"AND flags & {DELETED} = 0 AND length(body) >= {DELTA_BODY_BYTES_MIN:d}"
    )


_PRUNE_SQL: Final = (
    "DELETE FROM bases AS b WHERE collection = ?1 "
    "AND doc IN (SELECT doc FROM {table} WHERE id IN (SELECT value FROM json_each(?2))) "
    "AND (SELECT count(*) FROM bases n WHERE n.collection = b.collection AND n.doc = b.doc "
    f"AND n.seq > b.seq) >= {DELTA_BASES_MAX:d} "
    "AND NOT EXISTS (SELECT 1 FROM marks m JOIN remotes r USING (remote) "
    "WHERE m.collection = b.collection AND m.doc = b.doc AND m.tid = b.tid)"
)


def keep(writer: Writer, key: int, doc_ids: Iterable[str]) -> None:
    """Keep the current bodies of documents that are about to be written over."""
    ids = orjson.dumps(list(doc_ids)).decode()
    writer.run(_keep_sql(key), (ids,))
    writer.run(_PRUNE_SQL.format(table=documents_table(key)), (key, ids))


def forget(writer: Writer, key: int, docs: str) -> None:
    """Forget the bases of documents, by a JSON array of their keys."""
    sql = "DELETE FROM bases WHERE collection = ? AND doc IN (SELECT value FROM json_each(?))"
    writer.run(sql, (key, docs))


def _digest(tid: str) -> str:
    return tid.partition("-")[2]


def read(
    reader: Reader,
    key: int,
    wanted: Sequence[tuple[str, Sequence[str]]],
    *,
    bytes_max: int | None = None,
) -> list[tuple[str, bytes] | None]:
    """Return for each (document ID, revisions, best first) the first that is held, with its body.

    The current revision counts too; tombstones don't. With `bytes_max` the answer ends before the
    bodies exceed it together, but has one at least.
    """
    if bytes_max is not None:
        wanted = wanted[: _fitting(reader, key, [doc_id for doc_id, _ in wanted], bytes_max)]
    ids = orjson.dumps([doc_id for doc_id, _ in wanted]).decode()
    table = documents_table(key)
    within = "IN (SELECT value FROM json_each(?))"
    held: dict[str, list[tuple[str, str, bytes]]] = {}
    for doc_id, tid, aka, body in reader.rows(
        f"SELECT id, tid, aka, CAST(body AS BLOB) FROM {table} "
        f"WHERE id {within} AND flags & {DELETED} = 0",
        (ids,),
    ):
        held[doc_id] = [(tid, aka, body)]
    for doc_id, tid, body in reader.rows(
        f"SELECT d.id, b.tid, CAST(b.body AS BLOB) FROM {table} d "
        f"JOIN bases b ON b.collection = {key:d} AND b.doc = d.doc WHERE d.id {within}",
        (ids,),
    ):
        held.setdefault(doc_id, []).append((tid, "", body))
    return [_first(held.get(doc_id, ()), revisions) for doc_id, revisions in wanted]


def _fitting(reader: Reader, key: int, doc_ids: Sequence[str], bytes_max: int) -> int:
    """Return of how many documents, in this order, the bodies fit; at least one."""
    sizes: dict[str, int] = dict(
        reader.rows(
            "SELECT d.id, max(ifnull(octet_length(d.body), 0), ifnull((SELECT "
            "max(octet_length(b.body)) FROM bases b "
            f"WHERE b.collection = {key:d} AND b.doc = d.doc), 0)) "
            f"FROM {documents_table(key)} d WHERE d.id IN (SELECT value FROM json_each(?))",
            (orjson.dumps(list(doc_ids)).decode(),),
        )
    )
    total = 0
    for place, doc_id in enumerate(doc_ids):
        total += sizes.get(doc_id, 0)
        if total > bytes_max:
            return max(1, place)
    return len(doc_ids)


def _first(
    held: Sequence[tuple[str, str, bytes]], revisions: Sequence[str]
) -> tuple[str, bytes] | None:
    for revision in revisions:
        for tid, aka, body in held:
            if (
                _digest(tid) == _digest(revision)
                or revision in aka.split(",")
                or version_of(tid) == version_of(revision)
            ):
                return revision, body
    return None
