"""How each command opens its database, and ``settee info``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated

import typer

from settee import Collection, Database, NotFoundError
from settee.cli.completion import collection_names, database_names
from settee.cli.render import bytes_text, line, notice, show_json, table

__all__ = [
    "DEFAULT_COLLECTION",
    "CollectionOption",
    "DatabaseArgument",
    "JsonOption",
    "collection_in",
    "info",
    "opened",
    "size_bytes",
]

DatabaseArgument = Annotated[
    str,
    typer.Argument(
        metavar="DB",
        help="Database: a name or a path, with or without its ending .settee.",
        autocompletion=database_names,
    ),
]
CollectionOption = Annotated[
    str,
    typer.Option(
        "--collection",
        "-c",
        metavar="NAME",
        help="Collection, such as shop.items or items.",
        autocompletion=collection_names,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable: JSON.")]

DEFAULT_COLLECTION = "_default"


@contextlib.contextmanager
def opened(name: str, *, create: bool = False) -> Iterator[Database]:
    """Open a database for one command; with `create`, make it if missing and say so.

    Raises `NotFoundError` if it is missing and not to be made.
    """
    is_new = not Database.exists(name)
    if is_new and not create:
        raise NotFoundError(
            f"there is no database {name!r}; `settee put`, `import` and `pull` make one"
        )
    with Database(name, create=create) as db:
        if is_new:
            notice(f"Made the database {db.name} ({db.path}).")
        yield db


def collection_in(db: Database, name: str, *, create: bool = False) -> Collection:
    """Return the collection `name` of `db`. Raises `NotFoundError` if missing, unless `create`."""
    return db.collection(name, create=create)


def info(name: DatabaseArgument, as_json: JsonOption = False) -> None:
    """Show what a database holds: collections, documents, size."""
    with opened(name) as db:
        collections = [
            {"name": collection.full_name, "documents": len(collection)}
            for collection in db.collections()
        ]
        on_disk_bytes = size_bytes(db)
        if as_json:
            show_json(
                {
                    "name": db.name,
                    "path": str(db.path),
                    "bytes": on_disk_bytes,
                    "collections": collections,
                }
            )
            return
        line(f"Database  {db.name}")
        line(f"Path      {db.path}")
        line(f"On disk   {bytes_text(on_disk_bytes)}")
        line("")
        table(
            ["Collection", "Documents>"],
            [(each["name"], f"{each['documents']:,}") for each in collections],
        )


def size_bytes(db: Database) -> int:
    """Return the bytes of all files in the database's directory."""
    total = 0
    for file in db.path.rglob("*"):
        # A journal file may vanish between being listed and being asked.
        with contextlib.suppress(FileNotFoundError):
            if file.is_file():
                total += file.stat().st_size
    return total
