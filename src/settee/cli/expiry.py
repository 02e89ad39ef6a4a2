"""``settee expire``: when a document is purged by itself."""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Final

import typer

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
from settee.errors import ConfigError

__all__ = ["expire", "moment"]

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN: Final = re.compile(r"(\d{1,9})([smhdw])")


def expire(
    name: DatabaseArgument,
    doc_id: Annotated[
        str, typer.Argument(metavar="ID", help="Document ID.", autocompletion=document_ids)
    ],
    when: Annotated[
        str | None,
        typer.Argument(
            metavar="WHEN",
            help="In so long: 30s, 10m, 2h, 7d, 4w. At a time: 2027-01-31T18:00 (local unless it "
            "has an offset). Or: never. Without it, the time is only shown.",
        ),
    ] = None,
    collection: CollectionOption = DEFAULT_COLLECTION,
    as_json: JsonOption = False,
) -> None:
    """Show or set when a document is purged by itself.

    It is purged here only. A process that has the database open does it; else it is done at the
    next opening. Other peers keep the document, and may send it again if they change it.
    """
    at = moment(when) if when is not None else None
    with opened(name) as db:
        documents = collection_in(db, collection)
        if when is not None:
            documents.expire(doc_id, at)
            if doc_id not in documents:
                line("purged now: that time is over")
                return
        expires = documents.expiry(doc_id)
    if as_json:
        show_json({"id": doc_id, "expires": None if expires is None else expires.isoformat()})
    else:
        shown = "never" if expires is None else expires.astimezone().isoformat(" ", "seconds")
        line(shown)


def moment(text: str) -> datetime.datetime | datetime.timedelta | None:
    """Read a time as it is typed. Raises ConfigError."""
    if text == "never":
        return None
    span = _SPAN.fullmatch(text)
    if span is not None:
        try:
            return datetime.timedelta(**{_UNITS[span[2]]: int(span[1])})
        except OverflowError:
            raise ConfigError("WHEN", f"{text!r} is longer than calendars go") from None
    try:
        return datetime.datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ConfigError(
            "WHEN", f"{text!r} is none of 30s, 10m, 2h, 7d, 4w, 2027-01-31T18:00, never"
        ) from None
