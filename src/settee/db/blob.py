"""Blobs: bytes that belong to a document but do not lie in its JSON.

A `Blob` begins as bytes, a file or a stream that nobody has stored yet. The save of a document that
holds it streams the content into the database, in pieces of `BLOB_CHUNK_BYTES`, and from then on
the object reads from there. A blob that was read from a document is lazy: nothing but its
properties is in memory until somebody asks for the content.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import mimetypes
import os
import shutil
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Final, cast

from settee.errors import InvalidDocumentError, NotFoundError, UsageError
from settee.ids import digest_bytes, digest_text
from settee.limits import BLOB_BYTES_MAX, BLOB_CHUNK_BYTES

if TYPE_CHECKING:
    from settee.store.blobs import BlobStore, StagedBlob

__all__ = ["Blob", "is_blob_properties", "put_blobs"]

_OWN_KEYS: Final = frozenset({"@type", "content_type", "digest", "length"})


def is_blob_properties(value: Mapping[str, object]) -> bool:
    """Tell whether a JSON object stands for a blob (wire protocol 6.1)."""
    return value.get("@type") == "blob" and digest_bytes(value.get("digest")) is not None


class Blob:
    """Binary content to put anywhere in a document's tree.

    Make one with `from_bytes`, `from_file` or `from_stream`. Blobs are equal when their content is;
    of a file or a stream that is known only after a save. They are mutable in that respect, and so
    can't be hashed.
    """

    __slots__ = (
        "__weakref__",
        "_blobs",
        "_content_type",
        "_data",
        "_digest",
        "_extra",
        "_length",
        "_lock",
        "_path",
        "_stream",
    )

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # Equality changes when a stream is saved.

    def __init__(self, content_type: str | None = None) -> None:
        if content_type is not None and not isinstance(content_type, str):
            raise InvalidDocumentError(
                f"a blob's content type must be a str, not {type(content_type).__name__}"
            )
        self._content_type = content_type
        self._data: bytes | None = None
        self._path: Path | None = None
        self._stream: BinaryIO | None = None
        self._blobs: BlobStore | None = None
        self._digest: str | None = None
        self._length: int | None = None
        self._extra: dict[str, object] = {}
        self._lock = threading.Lock()

    # --- in ---------------------------------------------------------------------------------------

    @classmethod
    def from_bytes(
        cls, data: bytes | bytearray | memoryview, content_type: str | None = None
    ) -> Blob:
        """Make a blob of `data`, such as a picture in memory.

        `content_type` is a MIME type such as ``"image/png"``, by default none. Raises
        InvalidDocumentError for more than `BLOB_BYTES_MAX` bytes (1 GiB).
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InvalidDocumentError(f"a blob is made of bytes, not {type(data).__name__}")
        blob = cls(content_type)
        blob._data = bytes(data)
        blob._length = len(blob._data)
        if blob._length > BLOB_BYTES_MAX:
            raise InvalidDocumentError(
                f"the blob has {blob._length} bytes; no peer takes more than {BLOB_BYTES_MAX}"
            )
        return blob

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], content_type: str | None = None) -> Blob:
        """Make a blob of the file at `path`, read when the document is saved.

        `content_type` is guessed from the file's name unless given. Raises NotFoundError if there
        is no such file.
        """
        blob = cls(content_type or mimetypes.guess_type(os.fspath(path))[0])
        blob._path = Path(path)
        if not blob._path.is_file():
            raise NotFoundError(f"there is no file {os.fspath(path)!r} to make a blob of")
        return blob

    @classmethod
    def from_stream(cls, stream: BinaryIO, content_type: str | None = None) -> Blob:
        """Make a blob of what `stream` still holds, read once when the document is saved.

        The stream stays the caller's to close, after the save. `content_type` is a MIME type, by
        default none.
        """
        blob = cls(content_type)
        blob._stream = stream
        return blob

    @classmethod
    def _stored(cls, blobs: BlobStore, properties: Mapping[str, object]) -> Blob:
        """Make the lazy blob that a document's JSON names."""
        blob = cls.__new__(cls)
        kind, length = properties.get("content_type"), properties.get("length")
        blob._content_type = kind if isinstance(kind, str) else None
        blob._data = blob._path = blob._stream = None
        blob._blobs = blobs
        blob._digest = cast(str, properties["digest"])
        blob._length = length if isinstance(length, int) else None
        blob._extra = {key: properties[key] for key in properties.keys() - _OWN_KEYS}
        blob._lock = threading.Lock()
        return blob

    # --- properties -------------------------------------------------------------------------------

    @property
    def content_type(self) -> str | None:
        """The MIME type, or None."""
        return self._content_type

    @property
    def digest(self) -> str | None:
        """``sha1-`` and base64, which names the content; None for a file or stream not saved."""
        if self._digest is None and self._data is not None:
            self._digest = digest_text(hashlib.sha1(self._data, usedforsecurity=False).digest())
        return self._digest

    @property
    def length(self) -> int | None:
        """Bytes of content; None for a file or stream not saved."""
        return self._length

    @property
    def properties(self) -> dict[str, object]:
        """The JSON object that stands for it. Raises UsageError while it has no digest.

        ``{"@type": "blob", "content_type": …, "digest": …, "length": …}``.
        """
        digest = self.digest
        if digest is None:
            raise UsageError(f"{self!r} has no digest yet; save a document that holds it first")
        found: dict[str, object] = {"@type": "blob"}
        if self._content_type is not None:
            found["content_type"] = self._content_type
        found["digest"] = digest
        if self._length is not None:
            found["length"] = self._length
        return found | self._extra

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Blob):
            return NotImplemented
        return self is other or (self.digest is not None and self.digest == other.digest)

    def __repr__(self) -> str:
        source = self._digest or self._path or self._stream or "bytes"
        length = "" if self._length is None else f", {self._length} bytes"
        return f"<Blob {source!s}{length}, {self._content_type or 'no content type'}>"

    # --- out --------------------------------------------------------------------------------------

    def read(self) -> bytes:
        """Return the whole content.

        Raises NotFoundError if the content isn't in the database (any more), CorruptDatabaseError
        if it does not match its digest, UsageError for a stream that isn't saved.
        """
        if self._data is not None:
            return self._data
        if self._blobs is not None and self._digest is not None:
            return self._blobs.read(self._digest)
        with self.open() as stream:
            return stream.read()

    def open(self) -> BinaryIO:
        """Return the content as a binary stream that can seek; use it in a ``with``.

        Raises as `read` does.
        """
        if self._data is not None:
            return io.BytesIO(self._data)
        blobs, digest = self._blobs, self._digest
        if blobs is not None and digest is not None:
            return cast(BinaryIO, io.BufferedReader(blobs.open(digest), BLOB_CHUNK_BYTES))
        if self._path is not None:
            return _open_file(self._path)
        raise UsageError(
            "a blob made of a stream can be read only after a document that holds it was saved"
        )

    def save_to(self, path: str | os.PathLike[str]) -> None:
        """Write the content to a file, whole or not at all; a file that is there is replaced.

        Raises as `read` does.
        """
        target = Path(path)
        part = target.with_name(f".{target.name}.part")
        try:
            with self.open() as source, part.open("wb") as sink:
                shutil.copyfileobj(source, sink, BLOB_CHUNK_BYTES)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    # --- into the store ---------------------------------------------------------------------------

    def _stage(self, blobs: BlobStore) -> StagedBlob:
        """Stream the content into a temporary place of the store; not durable yet."""
        source = self._stream if self._blobs is None else None
        opened = self.open() if source is None else contextlib.nullcontext(source)
        with opened as stream, blobs.writer() as writer:
            while chunk := stream.read(BLOB_CHUNK_BYTES):
                if not isinstance(chunk, bytes):
                    raise InvalidDocumentError(
                        f"a blob's stream must give bytes, not {type(chunk).__name__}; open it 'rb'"
                    )
                writer.write(chunk)
            return writer.finish()

    def _bind(self, blobs: BlobStore, staged: StagedBlob) -> None:
        """From now on read from the store, unless the content lies in another one already."""
        if self._blobs is None:
            self._blobs, self._digest, self._length = blobs, staged.digest, staged.length
            self._data = self._path = self._stream = None


def put_blobs(blobs: BlobStore, found: Sequence[Blob]) -> None:
    """Put the content of blobs into the store, with one durability point for all.

    A blob that lies there already costs nothing. The store keeps new content while its `Blob`
    object lives, so that a save that failed can be repeated. Raises InvalidDocumentError for one
    that is too large, NotFoundError for a file that is gone, DiskFullError.
    """
    staged: list[tuple[Blob, StagedBlob]] = []
    with contextlib.ExitStack() as locks:
        for blob in sorted({id(each): each for each in found}.values(), key=id):
            locks.enter_context(blob._lock)  # In one order everywhere: two saves can't deadlock.
        locks.callback(lambda: blobs.discard(each for _, each in staged))
        for blob in {id(each): each for each in found}.values():
            stored = blob._blobs is not None and blob._digest is not None
            if not (stored and (blob._blobs is blobs or blobs.has(blob._digest or ""))):
                staged.append((blob, blob._stage(blobs)))
        if not staged:
            return
        for blob, each in staged:
            weakref.finalize(blob, blobs.lease([each.digest])).atexit = False
        blobs.put_many([each for _, each in staged])
        for blob, each in staged:
            blob._bind(blobs, each)
        staged.clear()


def _open_file(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as exc:
        raise NotFoundError(f"the file {str(path)!r} that a blob was made of is gone") from exc
