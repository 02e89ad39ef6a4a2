"""``settee collections``, ``mkcoll`` and ``rmcoll``: the collections of a database."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from settee import ConfigError, ExistsError
from settee.cli.completion import collection_names
from settee.cli.database import DatabaseArgument, JsonOption, collection_in, opened
from settee.cli.render import documents_text, line, show_json, table
from settee.ids import CollectionName

__all__ = ["collections", "mkcoll", "rmcoll"]


def collections(name: DatabaseArgument, as_json: JsonOption = False) -> None:
    """List the collections of a database."""
    with opened(name) as db:
        rows = [(each.full_name, len(each), each.last_sequence) for each in db.collections()]
    if as_json:
        for full_name, count, sequence in rows:
            show_json({"name": full_name, "documents": count, "last_sequence": sequence})
        return
    table(
        ["Collection", "Documents>", "Last sequence>"],
        [(full_name, f"{count:,}", f"{sequence:,}") for full_name, count, sequence in rows],
    )


def mkcoll(
    name: DatabaseArgument,
    collection: Annotated[
        str,
        typer.Argument(metavar="NAME", help="items, or with a scope: shop.items"),
    ],
    exist_ok: Annotated[
        bool, typer.Option("--exist-ok", help="It is no error if it is there already.")
    ] = False,
) -> None:
    """Make a collection.

    Makes the database if it is missing. Commands that write make what they need; a listener or a
    pull serves what is there.
    """
    CollectionName.parse(collection)  # Before a database is made for it.
    with opened(name, create=True) as db:
        if not exist_ok and collection in db:
            raise ExistsError(f"the collection {collection!r} is there already")
        line(collection_in(db, collection, create=True).full_name)


def rmcoll(
    name: DatabaseArgument,
    collection: Annotated[
        str,
        typer.Argument(metavar="NAME", help="The collection.", autocompletion=collection_names),
    ],
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Don't ask, though documents are in it.")
    ] = False,
) -> None:
    """Delete a collection and its documents, here only.

    Peers keep theirs. The default collection can't be deleted.
    """
    with opened(name) as db:
        count = len(collection_in(db, collection))
        if count and not yes:
            holds = f"{collection} holds {documents_text(count)}"
            if not sys.stdin.isatty():
                raise ConfigError("--yes", f"{holds}; give this option to delete them all")
            typer.confirm(f"{holds}. Delete them all?", abort=True, err=True)
        db.delete_collection(collection)
