"""``settee ls``, ``cat``, ``put`` and ``rm``: documents from the shell."""

from __future__ import annotations

import fnmatch
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from settee import (
    Blob,
    Collection,
    Document,
    ExistsError,
    InvalidDocumentError,
    NotFoundError,
)
from settee.cli.completion import document_ids
from settee.cli.database import (
    DEFAULT_COLLECTION,
    CollectionOption,
    DatabaseArgument,
    JsonOption,
    collection_in,
    opened,
)
from settee.cli.render import bytes_text, json_text, line, lines, table
from settee.doc.body import check_reserved
from settee.errors import ConfigError
from settee.ids import check_document_id
from settee.limits import DOCUMENT_BODY_BYTES_MAX

__all__ = ["cat", "ls", "put", "rm"]

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Document ID.", autocompletion=document_ids)
]


def ls(
    name: DatabaseArgument,
    pattern: Annotated[
        str | None, typer.Argument(metavar="PATTERN", help="Only IDs like this: item::*")
    ] = None,
    long: Annotated[
        bool, typer.Option("--long", "-l", help="With revision, sequence, size and blobs.")
    ] = False,
    collection: CollectionOption = DEFAULT_COLLECTION,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Leave out so many.")] = 0,
    limit: Annotated[int | None, typer.Option("--limit", min=0, help="At most so many.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List a collection's documents, in the order of their IDs."""
    with opened(name) as db:
        documents = collection_in(db, collection)
        end = None if limit is None else offset + limit
        if not long:
            ids = itertools.islice(_matching(documents, pattern), offset, end)
            lines((json_text({"id": doc_id}) for doc_id in ids) if as_json else ids)
            return
        rows = itertools.islice(_matching_rows(documents, pattern), offset, end)
        if as_json:
            lines(map(json_text, rows))
            return
        table(
            ["ID", "Sequence>", "Size>", "Blobs>", "Revision"],
            (
                (
                    row["id"],
                    row["sequence"],
                    bytes_text(row["bytes"]),
                    row["blobs"] or "",
                    row["revision"],
                )
                for row in rows
            ),
        )


def cat(
    name: DatabaseArgument,
    doc_id: IdArgument,
    collection: CollectionOption = DEFAULT_COLLECTION,
    key: Annotated[
        str | None,
        typer.Option(
            "--key", "-k", metavar="KEY", help="Only this property: name, items[3].price."
        ),
    ] = None,
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
    """Print a document as JSON, or the content of a blob."""
    with opened(name) as db:
        document = collection_in(db, collection)[doc_id]
        if blob is not None:
            _write_blob(_blob_at(document, blob), output)
            return
        value: Any = document.to_dict()
        if key is not None:
            value = _at(document, value, key)
        text = json_text(value, pretty=not as_json)
    if output is not None:
        output.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


def put(
    name: DatabaseArgument,
    doc_id: IdArgument,
    text: Annotated[
        str, typer.Argument(metavar="JSON|-", help="The body, an object; - reads standard input.")
    ] = "-",
    collection: CollectionOption = DEFAULT_COLLECTION,
    merge: Annotated[
        bool,
        typer.Option("--merge", "-m", help="Keep the properties that are not named."),
    ] = False,
    create: Annotated[
        bool, typer.Option("--create", help="Only if there is no document with this ID.")
    ] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Only if there is a document with this ID.")
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
    if create and (update or merge):
        raise ConfigError("--create", "it can't go together with --update or --merge")
    check_document_id(doc_id)
    with opened(name, create=not update) as db:
        documents = collection_in(db, collection, create=not update)
        if merge or create or update:
            with db.transaction():
                known = documents.get(doc_id)
                if create and known is not None:
                    raise ExistsError(f"there is a document {doc_id!r} already")
                if update and known is None:
                    raise NotFoundError(f"there is no document {doc_id!r} to update")
                kept = dict(known) if merge and known is not None else {}
                saved = documents.put(doc_id, {**kept, **body})
        else:
            saved = documents.put(doc_id, body)
        line(f"{doc_id} {saved.revision}")


def rm(
    name: DatabaseArgument,
    doc_ids: Annotated[
        list[str],
        typer.Argument(metavar="ID", help="Document IDs.", autocompletion=document_ids),
    ],
    collection: CollectionOption = DEFAULT_COLLECTION,
    purge: Annotated[
        bool,
        typer.Option("--purge", help="Forget it here only: other peers keep it, and may resend."),
    ] = False,
) -> None:
    """Delete documents, here and at the peers; all or none.

    Peers learn of it at the next sync.
    """
    with opened(name) as db:
        documents = collection_in(db, collection)
        with db.transaction():
            for doc_id in doc_ids:
                if purge:
                    documents.purge(doc_id)
                else:
                    del documents[doc_id]


def _matching(documents: Collection, pattern: str | None) -> Iterator[str]:
    if pattern is None:
        return iter(documents)
    return (doc_id for doc_id in documents if fnmatch.fnmatchcase(doc_id, pattern))


def _matching_rows(documents: Collection, pattern: str | None) -> Iterator[dict[str, Any]]:
    for document in documents.documents():
        if pattern is None or fnmatch.fnmatchcase(document.id, pattern):
            yield _long_row(document)


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


def _at(document: Document, value: Any, path: str) -> Any:
    """Return what lies at a path such as ``items[3].image``. Raises `NotFoundError`."""
    for step in path.replace("[", ".[").removeprefix(".").split("."):
        try:
            value = value[int(step[1:-1])] if step.startswith("[") else value[step]
        except (KeyError, IndexError, TypeError, ValueError):
            raise NotFoundError(f"document {document.id!r} has no property {path!r}") from None
    return value


def _blob_at(document: Document, path: str) -> Blob:
    value = _at(document, document, path)
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
