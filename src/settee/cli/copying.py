"""``settee cp``: from one place to another; what the places are decides what is done."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from settee import Database, ExistsError, NotFoundError
from settee.cli.completion import database_names
from settee.cli.credentials import PasswordFileOption, PasswordOption, UserOption
from settee.cli.database import DEFAULT_COLLECTION, JsonOption
from settee.cli.exporting import ExportOptions, run_export
from settee.cli.importing import ImportOptions, run_import
from settee.cli.render import line, show_json
from settee.cli.replication import (
    CollectionsOption,
    PinOption,
    QuietOption,
    SelfSignedOption,
    options_of,
    run_replication,
)
from settee.errors import ConfigError

__all__ = ["cp"]

_FILE_ENDINGS: Final = (".json", ".jsonl", ".ndjson")


def cp(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FROM",
            help="A database, wss://HOST:PORT/NAME, or a .json or .jsonl file.",
            autocompletion=database_names,
        ),
    ],
    destination: Annotated[
        str,
        typer.Argument(
            metavar="TO", help="The same kinds of places.", autocompletion=database_names
        ),
    ],
    user: UserOption = None,
    password: PasswordOption = None,
    password_file: PasswordFileOption = None,
    pin: PinOption = None,
    self_signed: SelfSignedOption = False,
    collection: CollectionsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Copy a database: to a new one, to or from a peer or a file.

    To a peer is `push`, from one is `pull`. A copy is a database of its own, with an identity of
    its own among peers, and is made while the original may be in use. Files are those of `export`
    and `import`, which have more options.
    """
    kinds = (_kind(source), _kind(destination))
    if "peer" not in kinds and (user or password or password_file or pin or self_signed):
        raise ConfigError("--user", "it is for a peer, and neither place is one")
    if "peer" in kinds:
        if kinds == ("peer", "peer") or "file" in kinds:
            raise ConfigError("TO", "one of the two places must be a database here")
        name, target = (source, destination) if kinds[1] == "peer" else (destination, source)
        options = options_of(
            user, password, password_file, pin, self_signed, collection, False, None
        )
        direction = "push" if kinds[1] == "peer" else "pull"
        run_replication(name, target, direction, options, quiet, as_json)
    elif kinds == ("database", "database"):
        if collection:
            raise ConfigError("--collection", "a database is copied as a whole")
        _copy(source, destination, as_json=as_json)
    elif kinds == ("file", "file"):
        raise ConfigError("TO", "one of the two places must be a database")
    else:
        into = _only(collection)
        if kinds[0] == "file":
            run_import(destination, [source], into, ImportOptions(), quiet=quiet, as_json=as_json)
        else:
            form = ExportOptions(array=destination.endswith(".json"))
            run_export(source, destination, into, form, quiet=quiet, as_json=as_json)


def _kind(place: str) -> str:
    if "://" in place:
        return "peer"
    return "file" if place.lower().endswith(_FILE_ENDINGS) else "database"


def _only(collections: list[str] | None) -> str:
    if collections and len(collections) > 1:
        raise ConfigError("--collection", "a file holds one collection")
    return collections[0] if collections else DEFAULT_COLLECTION


def _copy(source: str, destination: str, *, as_json: bool) -> None:
    if not Database.exists(source):
        raise NotFoundError(f"there is no database {source!r}")
    if Database.exists(destination):
        raise ExistsError(
            f"there is a database {destination!r} already; delete it first, or sync the two"
        )
    Database.copy(source, destination)
    with Database(destination, create=False) as db:
        count = sum(len(collection) for collection in db.collections())
        path = str(db.path)
    if as_json:
        show_json({"path": path, "documents": count})
    else:
        line(f"Copied {count:,} documents to {path}")
