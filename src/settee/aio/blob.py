"""Blobs whose content is awaited.

A blob may belong to no database yet, so its reading borrows the event loop's own worker threads.
"""

from __future__ import annotations

import asyncio
import os
from typing import BinaryIO, ClassVar

from settee.db import blob as blocking

__all__ = ["Blob", "BlobStream"]


class Blob:
    """Binary content to put anywhere in a document's tree.

    As `settee.Blob`; `read`, `save_to` and the stream of `open` are awaited.
    """

    __slots__ = ("_blob",)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # As of the blocking one.

    def __init__(self, content_type: str | None = None) -> None:
        self._blob = blocking.Blob(content_type)

    @classmethod
    def _of(cls, blob: blocking.Blob) -> Blob:
        made = cls.__new__(cls)
        made._blob = blob
        return made

    @classmethod
    def from_bytes(
        cls, data: bytes | bytearray | memoryview, content_type: str | None = None
    ) -> Blob:
        """Make a blob of `data`, such as a picture in memory."""
        return cls._of(blocking.Blob.from_bytes(data, content_type))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], content_type: str | None = None) -> Blob:
        """Make a blob of the file at `path`, read when the document is saved."""
        return cls._of(blocking.Blob.from_file(path, content_type))

    @classmethod
    def from_stream(cls, stream: BinaryIO, content_type: str | None = None) -> Blob:
        """Make a blob of what `stream` still holds, read once when the document is saved."""
        return cls._of(blocking.Blob.from_stream(stream, content_type))

    @property
    def content_type(self) -> str | None:
        """The MIME type, or None."""
        return self._blob.content_type

    @property
    def digest(self) -> str | None:
        """``sha1-`` and base64, which names the content; None for a file or stream not saved."""
        return self._blob.digest

    @property
    def length(self) -> int | None:
        """Bytes of content; None for a file or stream not saved."""
        return self._blob.length

    @property
    def properties(self) -> dict[str, object]:
        """The JSON object that stands for it. Raises UsageError while it has no digest."""
        return self._blob.properties

    async def read(self) -> bytes:
        """Return the whole content."""
        return await asyncio.to_thread(self._blob.read)

    def open(self) -> BlobStream:
        """Return the content as a binary stream that can seek; use it in a ``with``."""
        return BlobStream(self._blob)

    async def save_to(self, path: str | os.PathLike[str]) -> None:
        """Write the content to a file, whole or not at all; a file that is there is replaced."""
        await asyncio.to_thread(self._blob.save_to, path)

    def __settee_blob__(self) -> blocking.Blob:
        return self._blob

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Blob):
            return self._blob == other._blob
        return self._blob == other if isinstance(other, blocking.Blob) else NotImplemented

    def __repr__(self) -> str:
        return repr(self._blob)


class BlobStream:
    """A blob's content as a stream: ``async with blob.open() as stream: await stream.read(n)``."""

    def __init__(self, blob: blocking.Blob) -> None:
        self._blob = blob
        self._stream: BinaryIO | None = None

    async def __aenter__(self) -> BlobStream:
        self._stream = await asyncio.to_thread(self._blob.open)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes (-1: all that are left), ``b""`` at the end."""
        return await asyncio.to_thread(self._opened().read, size)

    async def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place and return it, as `io.IOBase.seek` does."""
        return await asyncio.to_thread(self._opened().seek, offset, whence)

    def tell(self) -> int:
        """Return the place in the content."""
        return self._opened().tell()

    async def close(self) -> None:
        """Close. Idempotent."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await asyncio.to_thread(stream.close)

    def _opened(self) -> BinaryIO:
        if self._stream is None:
            raise ValueError("the blob's stream is not open; use it in an `async with`")
        return self._stream
