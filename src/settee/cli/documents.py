"""``settee ls``, ``cat``, ``put`` and ``rm``: documents from the shell."""

from __future__ import annotations

import fnmatch
import itertools
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from settee import Blob, Collection, Document, InvalidDocumentError, NotFoundError
from settee.cli.database import (
    DEFAULT_COLLECTION,
    CollectionOption,
    DatabaseArgument,
    JsonOption,
    collection_in,
    opened,
)
from settee.cli.render import bytes_text, json_text, line, show_json, table
from settee.doc.body import check_reserved
from settee.errors import ConfigError
from settee.limits import DOCUMENT_BODY_BYTES_MAX

__all__ = ["cat", "ls", "put", "rm"]

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Document ID.")]


def ls(
    name: DatabaseArgument,
    pattern: Annotated[
        str | None, typer.Argument(metavar="[PATTERN]", help="Only IDs like this: item::*")
    ] = None,
    long: Annotated[
        bool, typer.Option("--long", "-l", help="With revision, sequence, size and blobs.")
    ] = False,
    collection: CollectionOption = DEFAULT_COLLECTION,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Leave out so many.")] = 0,
    limit: Annotated[int | None, typer.Option("--limit", min=0, help="At most so many.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the documents of a collection, one ID per line, in the order of their IDs."""
    with opened(name) as db:
        documents = collection_in(db, collection)
        end = None if limit is None else offset + limit
        wanted = itertools.islice(_matching(documents, pattern), offset, end)
        if not long:
            for doc_id in wanted:
                if as_json:
                    show_json({"id": doc_id})
                else:
                    line(doc_id)
            return
        rows = [_long_row(documents[doc_id]) for doc_id in wanted]
        if as_json:
            for row in rows:
                show_json(row)
            return
        table(
            ["ID", "Sequence>", "Size>", "Blobs>", "Revision"],
            [
                (
                    row["id"],
                    row["sequence"],
                    bytes_text(row["bytes"]),
                    row["blobs"] or "",
                    row["revision"],
                )
                for row in rows
            ],
        )


def cat(
    name: DatabaseArgument,
    doc_id: IdArgument,
    collection: CollectionOption = DEFAULT_COLLECTION,
    blob: Annotated[
        str | None,
        typer.Option(
            "--blob",
            metavar="KEY",
            help="Write the content of the blob in this property instead: image, items[3].image.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to this file."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="On one line.")] = False,
) -> None:
    """Print a document as JSON, or the content of one of its blobs."""
    with opened(name) as db:
        document = collection_in(db, collection)[doc_id]
        if blob is not None:
            _write_blob(_blob_at(document, blob), output)
            return
        text = json_text(document.to_dict(), pretty=not as_json)
    if output is not None:
        output.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


def put(
    name: DatabaseArgument,
    doc_id: IdArgument,
    text: Annotated[
        str, typer.Argument(metavar="[JSON|-]", help="The body, an object; - reads standard input.")
    ] = "-",
    collection: CollectionOption = DEFAULT_COLLECTION,
    merge: Annotated[
        bool,
        typer.Option("--merge", "-m", help="Keep the properties that are not named."),
    ] = False,
    blob: Annotated[
        list[str] | None,
        typer.Option(
            "--blob", metavar="KEY=FILE", help="Put a file in as the property KEY; repeatable."
        ),
    ] = None,
) -> None:
    """Save a document: make it, or replace the one with this ID.

    The database and the collection are made if they are missing. Prints the ID and the revision.
    """
    body = dict(Document.from_json(_json_given(text, only_blobs=bool(blob))))
    # Before anything is opened: a body that can't be saved leaves no new database behind.
    check_reserved(body)
    for assignment in blob or ():
        key, equals, file = assignment.partition("=")
        if not (key and equals and file):
            raise ConfigError("--blob", f"{assignment!r} is not KEY=FILE")
        body[key] = Blob.from_file(file)
    with opened(name, create=True) as db:
        documents = collection_in(db, collection, create=True)
        if merge:
            with db.transaction():
                saved = documents.put(doc_id, {**(documents.get(doc_id) or {}), **body})
        else:
            saved = documents.put(doc_id, body)
        line(f"{doc_id} {saved.revision}")


def rm(
    name: DatabaseArgument,
    doc_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Document IDs.")],
    collection: CollectionOption = DEFAULT_COLLECTION,
    purge: Annotated[
        bool,
        typer.Option("--purge", help="Forget it here only: other peers keep it, and may resend."),
    ] = False,
) -> None:
    """Delete documents, here and, at the next sync, at the peers. All of them or none."""
    with opened(name) as db:
        documents = collection_in(db, collection)
        with db.transaction():
            for doc_id in doc_ids:
                if purge:
                    documents.purge(doc_id)
                else:
                    del documents[doc_id]


def _matching(documents: Collection, pattern: str | None) -> Any:
    if pattern is None:
        return iter(documents)
    return (doc_id for doc_id in documents if fnmatch.fnmatchcase(doc_id, pattern))


def _long_row(document: Document) -> dict[str, Any]:
    return {
        "id": document.id,
        "sequence": document.sequence,
        "bytes": len(document.to_json().encode()),
        "blobs": _blob_count(dict(document)),
        "revision": document.revision,
    }


def _blob_count(value: Any) -> int:
    if isinstance(value, Blob):
        return 1
    if isinstance(value, dict):
        return sum(map(_blob_count, value.values()))
    return sum(map(_blob_count, value)) if isinstance(value, list) else 0


def _json_given(text: str, *, only_blobs: bool) -> bytes:
    """Return the JSON of `put`: the argument, or standard input (``{}`` if only blobs are put)."""
    if text != "-":
        return text.encode("utf-8", "surrogateescape")
    if only_blobs and sys.stdin.isatty():
        return b"{}"
    raw = sys.stdin.buffer.read(DOCUMENT_BODY_BYTES_MAX + 1)
    if not raw.strip():
        if only_blobs:
            return b"{}"
        raise InvalidDocumentError("standard input is empty; give the document's JSON")
    return raw.strip()


def _blob_at(document: Document, path: str) -> Blob:
    """Return the blob at a path such as ``items[3].image``. Raises `NotFoundError`."""
    value: Any = document
    for step in path.replace("[", ".[").split("."):
        try:
            value = value[int(step[1:-1])] if step.startswith("[") else value[step]
        except (KeyError, IndexError, TypeError, ValueError):
            raise NotFoundError(f"document {document.id!r} has no property {path!r}") from None
    if not isinstance(value, Blob):
        raise NotFoundError(f"property {path!r} of document {document.id!r} is not a blob")
    return value


def _write_blob(blob: Blob, output: Path | None) -> None:
    if output is not None:
        blob.save_to(output)
        return
    if sys.stdout.isatty() and not (blob.content_type or "").startswith("text/"):
        raise ConfigError("--blob", "this would fill the terminal with bytes; give --output FILE")
    with blob.open() as content:
        while chunk := content.read(1 << 16):
            sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
