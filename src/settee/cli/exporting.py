"""``settee export``: a collection as JSON lines or as one JSON array, in constant memory."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Final, NamedTuple

import orjson
import typer

from settee import Blob, Collection, CorruptDatabaseError, ExistsError, NotFoundError
from settee.cli.database import (
    DEFAULT_COLLECTION,
    CollectionOption,
    DatabaseArgument,
    collection_in,
    opened,
)
from settee.cli.exits import ExitCode
from settee.cli.importing import ID_KEY, QuietOption, blob_file
from settee.cli.render import (
    TransferView,
    bytes_text,
    documents_text,
    json_text,
    line,
    notice,
    problem,
    show_json,
)
from settee.clock import SystemClock
from settee.errors import ConfigError

__all__ = ["ExportOptions", "export_documents", "run_export"]

_WRITE_BYTES: Final = 1 << 18
_PROBLEMS_SHOWN_MAX: Final = 20


def export_documents(
    name: DatabaseArgument,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="Write to this file; - or nothing is standard output."),
    ] = "-",
    collection: CollectionOption = DEFAULT_COLLECTION,
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="PATTERN", help="Only documents with such IDs: item::*"),
    ] = None,
    array: Annotated[
        bool, typer.Option("--array", help="One JSON array instead of a line per document.")
    ] = False,
    id_key: Annotated[
        str, typer.Option("--id", metavar="KEY", help="Write the ID as this property.")
    ] = ID_KEY,
    blobs: Annotated[
        Path | None,
        typer.Option(
            "--blobs",
            metavar="DIR",
            help="Write the content of blobs into this directory, made if missing: a file each, "
            "named by its SHA-1. Without it blobs are only named.",
        ),
    ] = None,
    quiet: QuietOption = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Say as JSON what was done; on standard error if the documents are on the other.",
        ),
    ] = False,
) -> None:
    """Export a collection as JSON lines or an array.

    In the order of the IDs, and as `import` takes it. A file appears when it is whole, in the place
    of one that is there.
    """
    options = ExportOptions(only, array, id_key, blobs)
    run_export(name, file, collection, options, quiet=quiet, as_json=as_json)


class ExportOptions(NamedTuple):
    """What an export is told beside what goes where."""

    only: str | None = None
    array: bool = False
    id_key: str = ID_KEY
    blobs: Path | None = None


def run_export(
    name: str,
    file: str,
    collection: str,
    options: ExportOptions,
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    """Export, showing how it goes, and end with the exit code that says how it went."""
    if not options.id_key:
        raise ConfigError("--id", "the name of the property is empty")
    clock = SystemClock()
    start_s = clock.monotonic()
    with opened(name) as db:
        documents = collection_in(db, collection)
        total = 0 if options.only else len(documents)
        blobs = _BlobFiles(options.blobs)
        is_quiet = quiet or as_json or (file == "-" and sys.stdout.isatty())
        with _sink(file) as sink, TransferView("exporting", quiet=is_quiet) as view:
            written = _Written(sink, array=options.array, as_text=_is_terminal(file))
            for text in _texts(documents, options, blobs):
                if written.add(text):
                    view.show(
                        documents=written.count,
                        bytes_done=written.bytes_done,
                        elapsed_s=clock.monotonic() - start_s,
                        share=written.count / total if total else None,
                    )
            written.finish()
    _summarise(written, blobs, file, clock.monotonic() - start_s, as_json=as_json, quiet=quiet)
    if blobs.missing:
        raise typer.Exit(ExitCode.FAILED)


# --- documents ------------------------------------------------------------------------------------


def _texts(documents: Collection, options: ExportOptions, blobs: _BlobFiles) -> Iterator[bytes]:
    """Yield the JSON of each document, its ID in it."""
    id_key, pattern = options.id_key, options.only
    for document in documents.documents():
        doc_id = document.id
        if pattern is not None and not fnmatch.fnmatchcase(doc_id, pattern):
            continue
        body = dict(document)
        if id_key in body and body[id_key] != doc_id and str(body[id_key]) != doc_id:
            raise ExistsError(
                f"the document {doc_id!r} has a property {id_key!r} of its own; "
                "give another one for the ID with --id KEY"
            )
        yield orjson.dumps({id_key: doc_id, **body}, default=blobs.take)


class _BlobFiles:
    """Where the content of blobs goes; beside that, gives the JSON object that names one."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self.count = 0
        """Blobs met in documents, each as often as it is named."""
        self.has_directory = directory is not None
        self.missing = 0
        """Blobs whose content could not be written."""
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)

    def take(self, value: object) -> dict[str, object]:
        """Write the content of a blob, once; return its JSON."""
        if not isinstance(value, Blob):
            raise TypeError(f"{type(value).__name__} in a stored document")
        self.count += 1
        properties = value.properties
        if self._directory is not None:
            file = blob_file(self._directory, str(properties["digest"]))
            try:
                self._write(value, file)
            except (NotFoundError, CorruptDatabaseError) as exc:
                self.missing += 1
                if self.missing <= _PROBLEMS_SHOWN_MAX:
                    problem(str(exc))
        return properties

    def _write(self, blob: Blob, file: Path) -> None:
        if file.exists() and file.stat().st_size == blob.length:
            return
        blob.save_to(file)


def _summarise(
    written: _Written,
    blobs: _BlobFiles,
    file: str,
    elapsed_s: float,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    to_standard_output = file == "-"
    if as_json:
        told = {
            "exported": written.count,
            "bytes": written.bytes_done,
            "blobs": blobs.count,
            "blobs_missing": blobs.missing,
            "elapsed_s": round(elapsed_s, 3),
        }
        if to_standard_output:
            notice(json_text(told))
        else:
            show_json(told)
        return
    if quiet:
        return
    rate = f", {written.count / elapsed_s:,.0f}/s" if written.count >= 512 else ""
    said = (
        f"Exported {documents_text(written.count)} ({bytes_text(written.bytes_done)}) "
        f"in {elapsed_s:.1f} s{rate}"
    )
    if not to_standard_output:
        line(said)
    elif sys.stderr.isatty():
        notice(said)
    if blobs.count and not blobs.has_directory:
        notice(f"The content of {blobs.count:,} blobs is not in it; --blobs DIR writes that too.")


# --- where to -------------------------------------------------------------------------------------


class _Written:
    """What has been written: gathered, so that a million documents are not a million writes."""

    def __init__(self, sink: BinaryIO, *, array: bool, as_text: bool) -> None:
        self._sink = sink
        self._array = array
        self._as_text = as_text
        self._parts: list[bytes] = []
        self._waiting = 0
        self.count = 0
        self.bytes_done = 0

    def add(self, text: bytes) -> bool:
        """Take the JSON of one document; tell whether this was the time to write them out."""
        if self._as_text:
            # A terminal: no sign in a document may steer it.
            text = json_text(orjson.loads(text)).encode("utf-8", "backslashreplace")
        before = b"[\n" if self._array and not self.count else b",\n" if self._array else b""
        self._parts.append(before + text if self._array else text + b"\n")
        self._waiting += len(self._parts[-1])
        self.count += 1
        if self._waiting < _WRITE_BYTES and not self._as_text:
            return False
        self._write()
        return True

    def finish(self) -> None:
        """Write the end."""
        if self._array:
            self._parts.append(b"\n]\n" if self.count else b"[]\n")
        self._write()
        self._sink.flush()

    def _write(self) -> None:
        data = b"".join(self._parts)
        self._parts.clear()
        self._waiting = 0
        self._sink.write(data)
        self.bytes_done += len(data)


def _is_terminal(file: str) -> bool:
    return file == "-" and sys.stdout.isatty()


@contextlib.contextmanager
def _sink(file: str) -> Iterator[BinaryIO]:
    """Give what to write to: standard output, a pipe or device, or a file that appears whole."""
    if file == "-":
        sys.stdout.flush()
        yield sys.stdout.buffer
        return
    path = Path(file)
    if path.exists() and not path.is_file():
        with path.open("wb") as sink:
            yield sink
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as sink:
            yield sink
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
