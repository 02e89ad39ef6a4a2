"""``settee watch``: changes as JSON lines, as they are committed by whichever process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from settee import Changes, Collection, CollectionChange, Database
from settee.cli.completion import collection_names
from settee.cli.database import DEFAULT_COLLECTION, DatabaseArgument, collection_in, opened
from settee.cli.exits import ended_by_signals
from settee.cli.history import stored
from settee.cli.render import notice, show_json
from settee.doc.records import DELETED
from settee.errors import ConfigError

__all__ = ["watch"]


def watch(
    name: DatabaseArgument,
    collection: Annotated[
        str | None,
        typer.Option(
            "--collection",
            "-c",
            metavar="NAME",
            help="Only this collection (default: all of them).",
            autocompletion=collection_names,
        ),
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(
            "--since",
            metavar="N",
            min=0,
            help="First all that has changed after this sequence of the collection (without "
            "--collection the default one); 0 is the beginning.",
        ),
    ] = None,
    no_wait: Annotated[
        bool,
        typer.Option("--no-wait", help="With --since: end where the changes of now begin."),
    ] = False,
    body: Annotated[bool, typer.Option("--body", help="With the documents' bodies.")] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="End after so many changes.")
    ] = None,
) -> None:
    """Print each change as a line of JSON, until Ctrl-C.

    A line has the collection, the ID, the sequence and the revision; "deleted" or "purged" if the
    document is gone (another process's purge leaves no trace to be seen). To go on later where this
    ended, give the last sequence to --since.
    """
    if no_wait and since is None:
        raise ConfigError("--no-wait", "it needs --since: without, nothing has happened yet")
    with ended_by_signals(), opened(name) as db:
        if collection is None and since is not None:
            collection = DEFAULT_COLLECTION
        watched = None if collection is None else collection_in(db, collection)
        end = watched.last_sequence if watched is not None and no_wait else None
        if end is not None and since is not None and end <= since:
            return
        try:
            with _changes(db, watched, since) as changes:
                if end is None:
                    notice(f"Watching {db.name if watched is None else watched.full_name} …")
                _print(changes, end, body, limit)
        except KeyboardInterrupt:
            pass


def _changes(
    db: Database, watched: Collection | None, since: int | None
) -> Changes[CollectionChange]:
    return db.changes() if watched is None else watched.changes(since=since)


def _print(
    changes: Changes[CollectionChange], end: int | None, with_body: bool, limit: int | None
) -> None:
    left = limit
    for change in changes:
        for told in _told(change.collection, change.document_ids, change.sequence, with_body):
            show_json(told)
            left = None if left is None else left - 1
            if left == 0:
                return
        if end is not None and change.sequence >= end:
            return


def _told(
    collection: Collection, ids: Sequence[str], sequence: int, with_body: bool
) -> Iterator[dict[str, Any]]:
    """Yield what to print of one batch, in the order of sequences, so that the last may be kept."""
    rows = stored(collection, ids)
    found = [row for row in rows if row is not None]
    for row in sorted(found, key=lambda row: row.seq):
        told: dict[str, Any] = {
            "collection": collection.full_name,
            "id": row.doc_id,
            "sequence": row.seq,
            "revision": row.tid,
        }
        if row.flags & DELETED:
            told["deleted"] = True
        elif with_body:
            told["body"] = json.loads(row.body)
        yield told
    for doc_id, kept in zip(ids, rows, strict=True):
        if kept is None:
            yield {
                "collection": collection.full_name,
                "id": doc_id,
                "sequence": sequence,
                "purged": True,
            }
