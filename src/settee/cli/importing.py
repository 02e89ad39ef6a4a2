"""``settee import``: documents from JSON lines, JSON arrays and pipes into a collection.

The way of a document: `JsonStream` finds its text, `_Documents.parsed` checks it as strictly as
any other door of the database does and takes its ID, `_Documents.with_blobs` puts in the content of
its blobs, `Collection.save_many` stores it with a thousand others. Each step is a generator, so
that a file of any length passes in constant memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, NamedTuple

import typer

from settee import Blob, Collection, InvalidDocumentError, NotFoundError, SetteeError
from settee.cli.completion import collection_names
from settee.cli.database import (
    DEFAULT_COLLECTION,
    DatabaseArgument,
    JsonOption,
    collection_in,
    opened,
)
from settee.cli.exits import ExitCode
from settee.cli.json_stream import JsonStream
from settee.cli.render import (
    TransferView,
    bytes_text,
    documents_text,
    line,
    notice,
    problem,
    show_json,
)
from settee.clock import SystemClock
from settee.doc.blob import find_blobs
from settee.doc.body import check_reserved, load
from settee.errors import InvalidNameError
from settee.ids import check_document_id, digest_bytes
from settee.limits import BLOB_CHUNK_BYTES

__all__ = ["ID_KEY", "blob_file", "import_documents", "run_import"]

ID_KEY: Final = "_id"
"""The property that holds a document's ID in a file, unless told otherwise."""

_BLOB_KEYS: Final = frozenset({"@type", "content_type", "digest", "length"})
_PROBLEMS_SHOWN_MAX: Final = 20
_SHOWN_EVERY: Final = 512
"""Documents between two looks at the clock."""

FilesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE",
        help="JSON lines, a JSON array of objects, or objects one after the other; - or nothing "
        "is standard input.",
    ),
]
IntoOption = Annotated[
    str,
    typer.Option(
        "--collection",
        "-c",
        metavar="NAME",
        help="Into this collection, made if missing.",
        autocompletion=collection_names,
    ),
]
IdOption = Annotated[
    str | None,
    typer.Option(
        "--id",
        metavar="KEY",
        show_default=False,
        help="The property that is the document's ID, text or an integer. Without this option "
        "it is _id, and documents that have none get a random one. With it, _id is left out.",
    ),
]
PrefixOption = Annotated[
    str, typer.Option("--id-prefix", metavar="TEXT", help="Put this before each ID.")
]
KeepGoingOption = Annotated[
    bool,
    typer.Option(
        "--keep-going",
        "-k",
        help="Leave out what can't be imported, say where it is, and end with exit code 1.",
    ),
]
BlobsOption = Annotated[
    Path | None,
    typer.Option(
        "--blobs",
        metavar="DIR",
        help="Take the content of blobs from this directory, as `export --blobs` wrote it.",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


def import_documents(
    name: DatabaseArgument,
    files: FilesArgument = None,
    collection: IntoOption = DEFAULT_COLLECTION,
    id_key: IdOption = None,
    id_prefix: PrefixOption = "",
    keep_going: KeepGoingOption = False,
    blobs: BlobsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import documents from files or standard input.

    Makes the database if it is missing. A document replaces the one with its ID. What comes before
    a bad line is imported: the error names file and line. If an ID comes twice, the later document
    is the newer revision.
    """
    options = ImportOptions(id_key, id_prefix, keep_going, blobs)
    run_import(name, files or ["-"], collection, options, quiet=quiet, as_json=as_json)


class ImportOptions(NamedTuple):
    """What an import is told beside what goes where."""

    id_key: str | None = None
    id_prefix: str = ""
    keep_going: bool = False
    blobs: Path | None = None


def run_import(
    name: str,
    files: list[str],
    collection: str,
    options: ImportOptions,
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    """Import, showing how it goes, and end with the exit code that says how it went."""
    for file in files:
        if file != "-" and not Path(file).exists():
            raise NotFoundError(f"no such file: {file}")
    if options.blobs is not None and not options.blobs.is_dir():
        raise NotFoundError(f"no such directory: {options.blobs}")
    clock = SystemClock()
    start_s = clock.monotonic()
    taken = _Documents(files, options)
    count = 0
    with TransferView("importing", quiet=quiet or as_json) as view:
        parsed = taken.parsed()
        # Before anything is opened: a file that begins with nonsense leaves no new database.
        first = list(itertools.islice(parsed, 1))
        if first or taken.failure is None:
            with opened(name, create=True) as db:
                documents = collection_in(db, collection, create=True)
                items = taken.with_blobs(documents, itertools.chain(first, parsed))
                count = documents.save_many(_shown(view, clock, start_s, taken, items))
    elapsed_s = clock.monotonic() - start_s
    _summarise(taken, count, collection, elapsed_s, as_json=as_json)
    if taken.failure is not None:
        raise taken.failure
    if taken.refused:
        raise typer.Exit(ExitCode.FAILED)


_Item = tuple[str, dict[str, Any]]


class _Documents:
    """The documents of some files, and what is wrong with them."""

    def __init__(self, files: list[str], options: ImportOptions) -> None:
        self._files = files
        self._options = options
        self._clock = SystemClock()
        self._streams: list[JsonStream] = []
        self._place = ("", 0)
        self._total_bytes = _total_bytes(files)
        self.refused: list[tuple[str, int, str]] = []
        """File, line and what is wrong, of the first ones."""
        self.refused_count = 0
        self.failure: SetteeError | None = None
        """Why it ended before the end."""

    @property
    def bytes_read(self) -> int:
        """Bytes taken from all files so far."""
        return sum(stream.bytes_read for stream in self._streams)

    @property
    def share(self) -> float | None:
        """How much of all files that is; None for what has no end that is known."""
        return min(1.0, self.bytes_read / self._total_bytes) if self._total_bytes else None

    def parsed(self) -> Iterator[_Item]:
        """Yield ID and body of each document; ends at the first that can't be one, if told so."""
        for file in self._files:
            shown = "standard input" if file == "-" else file
            with _open(file) as source:
                stream = JsonStream(source, shown)
                self._streams.append(stream)
                try:
                    for at, text in stream:
                        self._place = (shown, at)
                        try:
                            item = self._item(text)
                        except (InvalidDocumentError, InvalidNameError) as exc:
                            if not self._refuse(str(exc)):
                                return
                            continue
                        yield item
                except InvalidDocumentError as exc:  # It can't go on in this file.
                    self.failure = exc
                    return

    def _item(self, text: bytes) -> _Item:
        body = load(text)
        id_key = self._options.id_key
        key = id_key or ID_KEY
        if key != ID_KEY:
            body.pop(ID_KEY, None)
        if key in body:
            value = body.pop(key) if key[0] == "_" else body[key]
            if type(value) is int:
                value = str(value)
            elif not isinstance(value, str):
                raise InvalidDocumentError(f"{key!r} is the ID, so it must be text or an integer")
            doc_id = self._options.id_prefix + value
        elif id_key is not None:
            raise InvalidDocumentError(f"there is no property {id_key!r} to be the document's ID")
        else:
            new = uuid.UUID(bytes=self._clock.random_bytes(16), version=4)
            doc_id = f"{self._options.id_prefix}{new}"
        check_reserved(body)
        return check_document_id(doc_id), body

    def with_blobs(self, collection: Collection, items: Iterator[_Item]) -> Iterator[_Item]:
        """Pass documents on, with a `Blob` for each one whose content lies in the directory."""
        directory = self._options.blobs
        for item in items:
            body = item[1]
            if not _names_blobs(body):
                yield item
                continue
            try:
                if directory is not None:
                    body = _filled(body, directory)
                _check_content(collection, body)
            except (InvalidDocumentError, NotFoundError) as exc:
                if not self._refuse(str(exc)):
                    return
                continue
            yield item[0], body

    def _refuse(self, why: str) -> bool:
        """Note what is wrong with the document at hand; tell whether to go on without it."""
        file, at = self._place
        if not self._options.keep_going:
            self.failure = InvalidDocumentError(f"{file}:{at}: {why}")
            return False
        self.refused_count += 1
        if len(self.refused) < _PROBLEMS_SHOWN_MAX:
            self.refused.append((file, at, why))
            problem(f"{file}:{at}: {why}")
        return True


def _shown(
    view: TransferView,
    clock: SystemClock,
    start_s: float,
    taken: _Documents,
    items: Iterator[_Item],
) -> Iterator[_Item]:
    """Pass documents on and show how many there were."""
    for count, item in enumerate(items, start=1):
        yield item
        if count % _SHOWN_EVERY == 0:
            view.show(
                documents=count,
                bytes_done=taken.bytes_read,
                elapsed_s=clock.monotonic() - start_s,
                share=taken.share,
            )


def _summarise(
    taken: _Documents, count: int, collection: str, elapsed_s: float, *, as_json: bool
) -> None:
    if as_json:
        error = None if taken.failure is None else str(taken.failure)
        refused = [{"file": file, "line": at, "error": why} for file, at, why in taken.refused]
        show_json(
            {
                "imported": count,
                "bytes": taken.bytes_read,
                "elapsed_s": round(elapsed_s, 3),
                "error": error,
                "refused": taken.refused_count,
                "refusals": refused,
            }
        )
        return
    if count or taken.failure is None:
        rate = f", {count / elapsed_s:,.0f}/s" if count >= _SHOWN_EVERY else ""
        line(
            f"Imported {documents_text(count)} ({bytes_text(taken.bytes_read)}) "
            f"into {collection} in {elapsed_s:.1f} s{rate}"
        )
    if taken.refused_count > len(taken.refused):
        more = taken.refused_count - len(taken.refused)
        problem(f"{more:,} more were left out and are not named")
    if taken.refused_count:
        notice(f"Left out {documents_text(taken.refused_count)}.")


# --- files ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _open(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    with Path(file).open("rb", buffering=1 << 18) as source:
        yield source


def _total_bytes(files: list[str]) -> int:
    """Return the size of all files, 0 if one has none that is known."""
    total = 0
    for file in files:
        path = Path(file)
        if file == "-" or not path.is_file():
            return 0
        total += path.stat().st_size
    return total


# --- blobs ----------------------------------------------------------------------------------------


def blob_file(directory: Path, digest: str) -> Path:
    """Return the file of a blob's content: its SHA-1 in hex, as ``sha1sum`` prints it."""
    raw = digest_bytes(digest)
    assert raw is not None, "only well-formed digests are looked for"
    return directory / raw.hex()


def _names_blobs(body: dict[str, Any]) -> bool:
    return any(type(value) in (dict, list) for value in body.values()) and bool(find_blobs(body))


def _filled(value: Any, directory: Path) -> Any:
    """Copy a tree with a `Blob` in the place of each blob object whose file is there."""
    if isinstance(value, list):
        return [_filled(each, directory) for each in value]
    if not isinstance(value, dict):
        return value
    digest = value.get("digest")
    if value.get("@type") == "blob" and digest_bytes(digest) is not None:
        file = blob_file(directory, str(digest))
        return _blob(file, value) if file.is_file() else value
    return {key: _filled(each, directory) for key, each in value.items()}


def _blob(file: Path, properties: dict[str, Any]) -> Blob:
    digest = hashlib.sha1(usedforsecurity=False)
    with file.open("rb") as content:
        while chunk := content.read(BLOB_CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != file.name:
        raise InvalidDocumentError(f"the blob {file} is damaged: its content has another SHA-1")
    kind = properties.get("content_type")
    blob = Blob.from_file(file, kind if isinstance(kind, str) else None)
    blob._extra = {key: properties[key] for key in properties.keys() - _BLOB_KEYS}
    return blob


def _check_content(collection: Collection, body: dict[str, Any]) -> None:
    """Raise InvalidDocumentError if a blob is named whose content would still be missing."""
    digests = [reference.digest for reference in find_blobs(body)]
    missing = collection.database._store.blobs.missing(digests)
    if missing:
        raise InvalidDocumentError(
            f"the content of the blob {missing[0]} is missing; give --blobs DIR, the directory "
            "that `settee export --blobs DIR` wrote"
        )
