"""``settee revs``: what the database knows of a document's past, for who looks after a sync."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from settee import Collection, NotFoundError
from settee.cli.completion import document_ids
from settee.cli.database import (
    DEFAULT_COLLECTION,
    CollectionOption,
    DatabaseArgument,
    JsonOption,
    collection_in,
    opened,
)
from settee.cli.render import line, show_json
from settee.doc.records import DELETED
from settee.store import documents, marks, revisions

if TYPE_CHECKING:
    from settee.store.documents import StoredDocument

__all__ = ["revs", "stored"]


def stored(collection: Collection, ids: Sequence[str]) -> list[StoredDocument | None]:
    """Return rows as they lie in the store, tombstones too; None for what is not there."""
    with collection.database._reading() as reader:
        return documents.get_many(reader, collection._key, ids)


def revs(
    name: DatabaseArgument,
    doc_id: Annotated[
        str, typer.Argument(metavar="ID", help="Document ID.", autocompletion=document_ids)
    ],
    collection: CollectionOption = DEFAULT_COLLECTION,
    as_json: JsonOption = False,
) -> None:
    """Show a document's revision, ancestors and vector.

    And which revision peers are known to have. Deleted documents are shown, too: as long as they
    are not purged, their revision travels.
    """
    with opened(name) as db:
        known = _known(collection_in(db, collection), doc_id)
    if as_json:
        show_json(known)
        return
    state = "deleted" if known["deleted"] else "live"
    line(f"Document   {known['id']}  ({state}, sequence {known['sequence']:,})")
    line(f"Revision   {known['revision']}")
    _lines("Ancestors", known["ancestors"])
    _lines("Vector", known["vector"])
    _lines("Also known", known["also_known_as"])
    _lines("Peers have", [f"{each['revision']}  at {each['peer']}" for each in known["peers"]])


def _known(collection: Collection, doc_id: str) -> dict[str, Any]:
    """Return all that is known of a document's revisions. Raises NotFoundError."""
    key = collection._key
    with collection.database._reading() as reader:
        (row,) = documents.get_many(reader, key, [doc_id])
        (held,) = revisions.held(reader, key, [doc_id], None)
        if row is None or held is None:
            raise NotFoundError(
                f"there is no document {doc_id!r} in the collection {collection.full_name}"
            )
        peers = []
        for remote, peer, _last_used_ms in marks.remotes(reader):
            (marked,) = revisions.held(reader, key, [doc_id], remote)
            if marked is not None and marked.mark:
                peers.append({"peer": peer, "revision": marked.mark})
    return {
        "id": row.doc_id,
        "sequence": row.seq,
        "deleted": bool(row.flags & DELETED),
        "revision": row.tid,
        "ancestors": _parts(held.history),
        "vector": _parts(held.vector),
        "also_known_as": _parts(held.aka),
        "peers": peers,
    }


def _parts(text: str) -> list[str]:
    """Split a list as the store writes it."""
    return [part for part in (each.strip() for each in text.replace(";", ",").split(",")) if part]


def _lines(title: str, values: Sequence[str]) -> None:
    for place, value in enumerate(values):
        line(f"{title if place == 0 else '':<10} {value}")
