"""One blob as a file: being written, and being read.

Room: store.
Touches: the files that it is told.
Never touches: sockets, SQLite, where blobs lie.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple

from settee.errors import ClosedError, CorruptDatabaseError, InvalidDocumentError
from settee.ids import digest_text
from settee.limits import BLOB_BYTES_MAX
from settee.store.connection import translated_os
from settee.store.files import FILES, Files

__all__ = ["BlobReader", "BlobWriter", "StagedBlob"]


class StagedBlob(NamedTuple):
    """A blob that is complete but has no name yet; give it to `BlobStore.put_many`."""

    digest: str
    length: int
    path: Path


class BlobWriter:
    """Takes a blob's content piece by piece. A context manager: leaving it unfinished aborts."""

    def __init__(self, path: Path, files: Files = FILES) -> None:
        self._path = path
        self._files = files
        self._hash = hashlib.sha1(usedforsecurity=False)
        self._finished = False
        self.length: int = 0
        """Bytes written so far."""
        try:
            self._file = files.create(path)
        except OSError as exc:
            raise translated_os(exc, path) from exc

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append `data`.

        Raises InvalidDocumentError above `BLOB_BYTES_MAX`, DiskFullError, ClosedError.
        """
        if self._file.closed:
            raise ClosedError("the blob was finished or aborted already")
        size = len(data)
        if self.length + size > BLOB_BYTES_MAX:
            self.abort()
            raise InvalidDocumentError(
                f"the blob is larger than {BLOB_BYTES_MAX} bytes, which is the limit"
            )
        view = memoryview(data)
        try:
            while view:
                view = view[self._files.write(self._file, view) :]
        except OSError as exc:
            self.abort()
            raise translated_os(exc, self._path) from exc
        self._hash.update(data)
        self.length += size

    def finish(
        self, expected_digest: str | None = None, expected_length: int | None = None
    ) -> StagedBlob:
        """Close the file; return what was staged.

        Raises InvalidDocumentError, and removes the file, if digest or length are not as expected.
        """
        if self._file.closed:
            raise ClosedError("the blob was finished or aborted already")
        digest = digest_text(self._hash.digest())
        problem = ""
        if expected_length is not None and expected_length != self.length:
            problem = f"has {self.length} bytes instead of {expected_length}"
        elif expected_digest is not None and expected_digest != digest:
            problem = f"has the digest {digest} instead of {expected_digest[:80]}"
        if problem:
            self.abort()
            raise InvalidDocumentError(f"the blob that came {problem}; it was not stored")
        self._file.close()
        self._finished = True
        return StagedBlob(digest, self.length, self._path)

    def abort(self) -> None:
        """Forget what was written. Idempotent; harmless after `finish`."""
        if not self._finished:
            self._file.close()
            self._files.unlink(self._path)

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.abort()


class BlobReader(io.RawIOBase):
    """A blob's content as a file. What is read from the first byte to the last is verified.

    Raises CorruptDatabaseError on reaching the end of content that does not have its digest.
    """

    def __init__(self, path: Path, digest: str, files: Files = FILES) -> None:
        super().__init__()
        self._files: Final = files
        self._digest: Final = digest
        self._file = files.open(path)
        self.length: Final = os.fstat(self._file.fileno()).st_size
        """Bytes of the whole blob."""
        self._hash: Any = hashlib.sha1(usedforsecurity=False)
        self._hashed = 0  # -1: verified, or read out of order.

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always; but only a read in order is verified."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into `buffer`; return how many bytes, 0 at the end."""
        at = self._file.tell()
        count = self._files.read(self._file, memoryview(buffer))
        if self._hashed == at:
            self._hash.update(memoryview(buffer)[:count])
            self._hashed = at + count
            if self._hashed >= self.length:
                self._hashed = -1
                self._verify()
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; back to the beginning begins to verify anew."""
        at = self._file.seek(offset, whence)
        if at == 0:
            self._hash, self._hashed = hashlib.sha1(usedforsecurity=False), 0
        return at

    def tell(self) -> int:
        """Return where the next read begins."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file. Idempotent."""
        if not self.closed:
            self._file.close()
        super().close()

    def _verify(self) -> None:
        if digest_text(self._hash.digest()) != self._digest:
            raise CorruptDatabaseError(
                f"the blob {self._digest} is damaged: its content has another digest"
            )
