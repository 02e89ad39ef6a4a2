"""Locks that die with their process: who may run sync, whose temporary files are whose.

Room: store.
Touches: lock files.
Never touches: sockets, threads, SQLite.

A lock is the operating system's lock on an open file, so that nothing is left behind by a process
that was killed. What is written in the file only tells others whom to ask. Network file systems,
where such locks may mean nothing, are not supported.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Final

from settee.errors import DatabaseInUseError
from settee.store.connection import translated_os

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["FileLock", "SyncLease"]

SYNC_LOCK_NAME: Final = "sync.lock"
_OWNER_BYTES_MAX: Final = 20
_LOCKED_OFFSET: Final = 1024  # Windows locks forbid reading: not where the owner is written.


class FileLock:
    """An exclusive lock on a file, held until `release` or the end of the process.

    Two locks on one file exclude each other within one process too.
    """

    def __init__(self, path: Path, fd: int) -> None:
        self.path: Final = path
        self._fd = fd

    @classmethod
    def try_acquire(cls, path: Path) -> FileLock | None:
        """Take the lock at `path`, making the file if it isn't there; None if another holds it.

        Raises ReadOnlyError, DiskFullError or StoreError if the file can't be made.
        """
        while True:
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            except OSError as exc:
                raise translated_os(exc, path) from exc
            try:
                if not _lock(fd):
                    os.close(fd)
                    return None
                if _is_at(fd, path):
                    return cls(path, fd)
            except OSError as exc:
                os.close(fd)
                raise translated_os(exc, path) from exc
            os.close(fd)  # Removed between opening and locking: it locks nothing any more.

    def write_owner(self) -> None:
        """Write this process's ID into the file, for the message that another will read."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        os.write(self._fd, b"%d\n" % os.getpid())

    def release(self, *, remove: bool = False) -> None:
        """Give the lock up. Idempotent. `remove`: take the file away first."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            if remove:
                self.path.unlink(missing_ok=True)
        finally:
            os.close(fd)


def owner_of(path: Path) -> str:
    """Return what the holder of a lock wrote into its file, "an unknown process" if nothing."""
    try:
        with path.open("rb") as file:
            text = file.read(_OWNER_BYTES_MAX).decode("ascii", "replace").strip()
    except OSError:
        text = ""
    return f"process {text}" if text.isdigit() else "an unknown process"


if sys.platform == "win32":

    def _lock(fd: int) -> bool:
        os.lseek(fd, _LOCKED_OFFSET, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _is_at(fd: int, path: Path) -> bool:
        return True  # An open file can't be removed there.

else:

    def _lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _is_at(fd: int, path: Path) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), path.stat())
        except FileNotFoundError:
            return False


class SyncLease:
    """The right to run sync for a database; at most one `Store` of one process has it.

    A context manager. Given up by `release` and by the death of the process, however it dies.
    """

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock

    @classmethod
    def acquire(cls, directory: Path) -> SyncLease:
        """Take the lease of the database in `directory`.

        Raises DatabaseInUseError naming the process that has it.
        """
        path = directory / SYNC_LOCK_NAME
        lock = FileLock.try_acquire(path)
        if lock is None:
            raise DatabaseInUseError(
                f"{owner_of(path)} already runs sync for {directory}; stop its replicators and "
                "listeners first. Reading and writing are not affected"
            )
        try:
            lock.write_owner()
        except OSError as exc:
            lock.release()
            raise translated_os(exc, path) from exc
        return cls(lock)

    def release(self) -> None:
        """Give it up. Idempotent."""
        self._lock.release()

    def __enter__(self) -> SyncLease:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
