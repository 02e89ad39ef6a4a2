"""What the shell offers when Tab is pressed: databases, collections, document IDs, labels.

A completion must never disturb who types: nothing is made, whatever goes wrong offers nothing.
"""

from __future__ import annotations

import functools
import itertools
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import typer

from settee import Database
from settee.db.location import SUFFIX

__all__ = ["collection_names", "database_names", "document_ids", "identity_labels"]

_OFFERED_MAX: Final = 200
"""More than anybody reads; a collection may have a million documents."""

_Completer = Callable[[typer.Context, str], list[str]]


def _quiet(offer: Callable[[typer.Context, str], Iterator[str]]) -> _Completer:
    """Make a completion of a generator: bounded, and silent whatever goes wrong."""

    @functools.wraps(offer)
    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            return list(itertools.islice(offer(ctx, incomplete), _OFFERED_MAX))
        except Exception:
            return []

    # Typer looks at the parameters' types; the wrapped function's are only text here.
    complete.__annotations__ = {"ctx": typer.Context, "incomplete": str}
    del complete.__wrapped__
    return complete


@_quiet
def database_names(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer the databases that lie where the text typed so far points, and folders on the way."""
    head, slash, start = incomplete.rpartition("/")
    directory = Path(head + slash) if slash else Path()
    for path in sorted(directory.iterdir()):
        if not path.name.startswith(start) or (path.name[0] == "." and not start):
            continue
        if Database.exists(path):
            yield head + slash + path.name.removesuffix(SUFFIX)
        elif slash and path.is_dir() and path.suffix != SUFFIX:
            yield f"{head}{slash}{path.name}/"


@_quiet
def collection_names(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer the collections of the database that is named before."""
    with _database(ctx) as db:
        names = [collection.full_name for collection in db.collections()]
    for name in names:
        short = name.removeprefix("_default.")
        if short.startswith(incomplete):
            yield short
        elif name.startswith(incomplete):
            yield name


@_quiet
def document_ids(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer the documents whose IDs begin so, of the database and collection named before."""
    with _database(ctx) as db:
        collection = db.collection(_value(ctx, "collection") or "_default")
        if incomplete in collection:
            yield incomplete
        # IDs come in order: those that begin so follow each other.
        after: str | None = incomplete
        while after is not None:
            page, after = collection._id_page(after)
            for doc_id in page:
                if not doc_id.startswith(incomplete):
                    return
                yield doc_id


@_quiet
def identity_labels(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer the labels of the identities that are kept."""
    from settee.cli.certificates import kept_labels

    for label in kept_labels():
        if label.startswith(incomplete):
            yield label


def _first_word(ctx: typer.Context) -> str | None:
    """Return the first argument of the command out of the line as the shell told it."""
    typed = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS", "")
    words = shlex.split(typed)
    after = words[words.index(str(ctx.info_name)) + 1 :]
    return next((word for word in after if not word.startswith("-")), None)


def _database(ctx: typer.Context) -> Database:
    return Database(str(_value(ctx, "name")), create=False)


def _value(ctx: typer.Context, name: str) -> Any:
    value = ctx.params.get(name)
    if value is None and name == "name":
        return _first_word(ctx)  # After an option that still lacks its value nothing is parsed.
    return value[0] if isinstance(value, list | tuple) and value else value
