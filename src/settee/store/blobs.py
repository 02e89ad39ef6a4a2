"""Blobs: content named by its SHA-1, a file each, made durable by the batch.

Room: store.
Touches: the folder ``blobs`` of a database.
Never touches: sockets, SQLite (but for the references that `remove_unneeded` asks for).

A blob is written to a file of its own under ``staging`` while its digest is computed
(`BlobWriter`), and moved to its name by `put_many`: all files of the batch are synced side by side,
renamed, and the folder is synced once. Only then may a row that names them be committed. So a name
that exists is complete, and a row that exists finds its blobs, power cuts included.
docs/adr/0003-blob-layout.md has the reasons.

Staging folders belong to one open store each, proven by a lock; those of dead processes are swept
at the next open. A blob is removed by `remove_unneeded` only: when no row names it, nobody in this
process leases it, and it is older than an hour, which is the lease of other processes.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

from settee.clock import Clock, Worker, Workers
from settee.errors import (
    ClosedError,
    NotFoundError,
    StoreError,
)
from settee.ids import digest_bytes, digest_text
from settee.limits import BLOB_LEASE_S
from settee.logs import room_log
from settee.store.blob_files import BlobReader, BlobWriter, StagedBlob
from settee.store.connection import translated_os
from settee.store.files import FILES, Files
from settee.store.leases import FileLock
from settee.store.writer import Writer

__all__ = ["BlobReader", "BlobStore", "BlobWriter", "StagedBlob"]

log: logging.Logger = room_log("store")

_SYNC_WORKERS: Final = 4
"""Files synced side by side. More gained nothing on the disk of ADR 0003."""

_NAME_CHARS: Final = 40
_ASIDE: Final = ".old"


class BlobStore:
    """The blobs of one database. All methods may be called on any thread."""

    def __init__(
        self,
        directory: Path,
        *,
        clock: Clock,
        workers: Workers,
        durable: bool,
        read_only: bool,
        files: Files = FILES,
    ) -> None:
        self.directory: Final = directory
        self._files: Final = files
        self._staging_root: Final = directory / "staging"
        self._clock = clock
        self._workers = workers
        self._durable = durable
        self._read_only = read_only
        self._mutex = threading.Lock()
        self._staging: Path | None = None
        self._staging_lock: FileLock | None = None
        self._staged_count = 0
        self._leases: Counter[str] = Counter()
        self._released: deque[str] = deque()
        self._sync_workers: list[Worker] = []
        self._closed = False

    # --- writing ----------------------------------------------------------------------------------

    def writer(self) -> BlobWriter:
        """Begin a blob. Raises ReadOnlyError, DiskFullError, ClosedError."""
        with self._mutex:
            staging = self._open_staging()
            self._staged_count += 1
            return BlobWriter(staging / f"{self._staged_count:x}", self._files)

    def put_many(self, staged: Sequence[StagedBlob]) -> None:
        """Give staged blobs their names, durably; call it before the rows that name them commit.

        One durability point for the batch: the files are synced side by side, renamed, and the
        folder is synced once. A blob that is there already costs nothing but that, and counts as
        new again for a removal. Raises DiskFullError or StoreError; those already named stay.
        """
        fresh: dict[str, Path] = {}
        spare: list[StagedBlob] = []
        for blob in staged:
            if blob.digest in fresh or self._renew(blob.digest):
                spare.append(blob)
            else:
                fresh[blob.digest] = blob.path
        self.discard(spare)
        if not staged:
            return
        now_ns = self._clock.wall_ns()
        self._sync_files(list(fresh.values()), now_ns)
        try:
            for digest, path in fresh.items():
                self._files.rename(path, self._path(digest))
            if self._durable:
                self._files.sync_folder(self.directory)
        except OSError as exc:
            raise translated_os(exc, self.directory) from exc

    def discard(self, staged: Iterable[StagedBlob]) -> None:
        """Remove staged blobs that will not be put; those that were are left alone."""
        for blob in staged:
            with contextlib.suppress(OSError):  # What can't be removed goes at the next open.
                self._files.unlink(blob.path)

    def put(self, data: bytes) -> str:
        """Store a small blob by itself; return its digest."""
        with self.writer() as writer:
            writer.write(data)
            blob = writer.finish()
        self.put_many([blob])
        return blob.digest

    # --- reading ----------------------------------------------------------------------------------

    def has(self, digest: str) -> bool:
        """Tell whether a blob is there. False for what is no digest."""
        raw = digest_bytes(digest)
        return raw is not None and (self.directory / raw.hex()).exists()

    def missing(self, digests: Iterable[str]) -> list[str]:
        """Return those that are not there, each once, in order. Lease first what you rely on."""
        return [digest for digest in dict.fromkeys(digests) if not self.has(digest)]

    def open(self, digest: str) -> BlobReader:
        """Open a blob for reading. Raises NotFoundError; see `BlobReader` for damage."""
        try:
            return BlobReader(self._path(digest), digest, self._files)
        except FileNotFoundError as exc:
            raise _not_found(digest) from exc
        except OSError as exc:
            raise translated_os(exc, self._path(digest)) from exc

    def length(self, digest: str) -> int:
        """Return a blob's length in bytes. Raises NotFoundError."""
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError as exc:
            raise _not_found(digest) from exc

    def begin(self, digest: str, count: int) -> tuple[int, bytes]:
        """Return a blob's length and at most `count` of its bytes, as `read_at` does."""
        return self._read_some(digest, 0, count)

    def read_at(self, digest: str, offset: int, count: int) -> bytes:
        """Return at most `count` bytes from `offset` on, not verified. Raises NotFoundError."""
        return self._read_some(digest, offset, count)[1]

    def _read_some(self, digest: str, offset: int, count: int) -> tuple[int, bytes]:
        path = self._path(digest)
        try:
            with self._files.open(path) as file:
                length = os.fstat(file.fileno()).st_size
                piece = bytearray(max(0, min(count, length - offset)))
                file.seek(offset)
                size = self._files.read(file, memoryview(piece))
        except FileNotFoundError as exc:
            raise _not_found(digest) from exc
        except OSError as exc:
            raise translated_os(exc, path) from exc
        return length, bytes(memoryview(piece)[:size])

    def read(self, digest: str) -> bytes:
        """Return a whole blob, verified. Raises NotFoundError, CorruptDatabaseError."""
        with self.open(digest) as reader:
            return reader.readall()

    # --- keeping and removing ---------------------------------------------------------------------

    def lease(self, digests: Iterable[str]) -> Callable[[], None]:
        """Keep blobs from removal, whether there already or to come, until the result is called.

        Other processes are kept off those that are there for an hour.
        """
        return self.hold(digests)[0]

    def hold(self, digests: Iterable[str]) -> tuple[Callable[[], None], list[str]]:
        """Lease blobs; return what ends that, and which of them are not there."""
        held = [digest for digest in digests if digest_bytes(digest) is not None]
        with self._mutex:
            self._counted_leases().update(held)
        missing = [digest for digest in held if not self._renew(digest)]

        def release() -> None:
            # Also called by a garbage collection, in a thread that may be holding the lock.
            self._released.extend(held)
            held.clear()

        return release, missing

    def _is_leased(self, digest: str) -> bool:
        with self._mutex:
            return digest in self._counted_leases()

    def _counted_leases(self) -> Counter[str]:
        while self._released:
            digest = self._released.popleft()
            self._leases[digest] -= 1
            if self._leases[digest] <= 0:
                del self._leases[digest]
        return self._leases

    def remove_unneeded(
        self,
        writer: Writer,
        unused_since_ns: int | None = None,
        among: set[str] | None = None,
    ) -> list[tuple[str, int]]:
        """Remove blobs that nobody needs; return (digest, bytes) of each. A job for the writer.

        Inside a write transaction, so that no process commits a reference meanwhile.
        `unused_since_ns`: the wall clock's nanoseconds at which no other process had the database
        open. What none has renewed since then none can lease, however young it is. `among`: no
        other blobs than these.
        """
        unneeded = self.unneeded(writer)
        if among is not None:
            unneeded &= among
        young_ns = writer.wall_ns() - int(BLOB_LEASE_S * 1e9)
        if unused_since_ns is not None:
            young_ns = max(young_ns, unused_since_ns)
        removed = []
        for digest in sorted(unneeded):
            leased = self._is_leased(digest)
            try:
                length = None if leased else self._remove_if_old(self._path(digest), young_ns)
            except OSError as exc:
                raise translated_os(exc, self.directory) from exc
            if length is not None:
                removed.append((digest, length))
        return removed

    def unneeded(self, writer: Writer) -> set[str]:
        """Return the blobs that no row names."""
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:  # No blob was ever stored.
            return set()
        except OSError as exc:
            raise translated_os(exc, self.directory) from exc
        found = {digest for name in names if (digest := _digest_of_name(name)) is not None}
        return found.difference(
            row[0] for row in writer.rows("SELECT DISTINCT digest FROM blob_refs")
        )

    def sweep(self) -> int:
        """Remove the staging folders of processes that died; return how many. Done at open."""
        swept = 0
        try:
            self._put_back_asides()
            names = os.listdir(self._staging_root)
        except FileNotFoundError:  # No blob was ever stored.
            return 0
        for name in sorted({name.removesuffix(".lock") for name in names}):
            try:
                lock = FileLock.try_acquire(self._staging_root / f"{name}.lock")
            except StoreError as exc:
                log.warning("could not look after left-over files: %s", exc)
                continue
            if lock is not None:  # Nobody alive has it.
                self._files.remove_folder(self._staging_root / name)
                lock.release(remove=True)
                swept += 1
        return swept

    def close(self) -> None:
        """Remove what was staged and not put; open readers stay usable. Idempotent."""
        with self._mutex:
            self._closed = True
            staging, lock = self._staging, self._staging_lock
            self._staging = self._staging_lock = None
            workers, self._sync_workers = self._sync_workers, []
        for worker in workers:
            worker.close()
        if staging is not None and lock is not None:
            self._files.remove_folder(staging)
            lock.release(remove=True)

    # --- inside -----------------------------------------------------------------------------------

    def _path(self, digest: str) -> Path:
        path = _path_in(self.directory, digest) if isinstance(digest, str) else None
        if path is None:
            raise NotFoundError(f"{str(digest)[:80]!r} is not a blob's digest")
        return path

    def _open_staging(self) -> Path:
        """Return this store's own staging folder, made when first needed. Under the mutex."""
        if self._closed:
            raise ClosedError("the database is closed; open it again to go on")
        if self._read_only:
            raise translated_os(OSError(errno.EROFS, "opened for reading"), self.directory)
        while self._staging is None:
            try:
                if not self.directory.exists():  # A power cut took it, with nothing in it.
                    self._make(self.directory)
                    if self._durable:
                        self._files.sync_folder(self.directory.parent)
                self._make(self._staging_root)
            except OSError as exc:
                raise translated_os(exc, self._staging_root) from exc
            path = self._staging_root / self._clock.random_bytes(8).hex()
            lock = FileLock.try_acquire(path.with_suffix(".lock"))
            if lock is None:
                continue
            try:
                self._files.make_folder(path)
            except FileExistsError:
                lock.release()
                continue
            except OSError as exc:
                lock.release(remove=True)
                raise translated_os(exc, path) from exc
            self._staging, self._staging_lock = path, lock
        return self._staging

    def _make(self, folder: Path) -> None:
        with contextlib.suppress(FileExistsError):
            self._files.make_folder(folder)

    def _renew(self, digest: str) -> bool:
        """Make a blob count as new, for other processes' removals; tell whether it is there."""
        now_ns = self._clock.wall_ns()
        try:
            self._files.stamp(self._path(digest), now_ns)
        except FileNotFoundError:
            return False
        except OSError:  # Not ours to touch, or the disk.
            return self._path(digest).exists()
        return True

    def _remove_if_old(self, path: Path, young_ns: int) -> int | None:
        """Remove a blob unless it is young; return how many bytes it had, None if it stays.

        Another process may renew it meanwhile, relying on it. So it is taken out of the way first:
        who renews before that is seen here, who renews after that sees that it is gone.
        """
        aside = path.with_suffix(_ASIDE)
        try:
            if path.stat().st_mtime_ns > young_ns:
                return None
            self._files.rename(path, aside)
            found = aside.stat()
            if found.st_mtime_ns > young_ns:
                self._files.rename(aside, path)
                return None
            self._files.unlink(aside)
        except FileNotFoundError:  # Another process collects, or put it back at its open.
            return None
        return found.st_size

    def _put_back_asides(self) -> None:
        """Undo what a removal was doing when its process died; a later one decides anew."""
        for name in os.listdir(self.directory):
            if name.endswith(_ASIDE):
                aside = self.directory / name
                with contextlib.suppress(FileNotFoundError):
                    self._files.rename(aside, aside.with_suffix(""))

    def _sync_files(self, paths: Sequence[Path], now_ns: int) -> None:
        """Sync files side by side; raise the first error."""
        if len(paths) <= 1 or not self._durable or self._workers.inline():
            for path in paths:
                self._sync_file(path, now_ns)
            return
        with self._mutex:
            while len(self._sync_workers) < min(_SYNC_WORKERS, len(paths)):
                number = len(self._sync_workers)
                self._sync_workers.append(self._workers.serial(f"settee-blobs-{number}"))
            workers = self._sync_workers[: len(paths)]
        done = threading.Semaphore(0)
        errors: list[Exception] = []

        def sync(share: Sequence[Path]) -> None:
            try:
                for path in share:
                    self._sync_file(path, now_ns)
            except Exception as exc:
                errors.append(exc)
            finally:
                done.release()

        for number, worker in enumerate(workers):
            worker.submit(partial(sync, paths[number :: len(workers)]))
        for _ in workers:
            done.acquire()
        if errors:
            raise errors[0]

    def _sync_file(self, path: Path, now_ns: int) -> None:
        try:
            if self._durable:
                self._files.sync(path, now_ns)
            else:
                self._files.stamp(path, now_ns)
        except OSError as exc:
            raise translated_os(exc, path) from exc


@lru_cache(maxsize=1024)  # A blob that comes is asked for five times, in a short while.
def _path_in(directory: Path, digest: str) -> Path | None:
    raw = digest_bytes(digest)
    return None if raw is None else directory / raw.hex()


def _digest_of_name(name: str) -> str | None:
    if len(name) != _NAME_CHARS:
        return None
    try:
        return digest_text(bytes.fromhex(name))
    except ValueError:
        return None


def _not_found(digest: str) -> NotFoundError:
    return NotFoundError(f"there is no blob {str(digest)[:80]} in this database")
