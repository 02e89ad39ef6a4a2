"""One open database: its connections, its collections, its blobs.

Room: store.
Touches: the database's directory.
Never touches: sockets, documents' meaning.

Reads run in the caller's thread on a pooled connection. Writes are jobs for the one writer, or run
inside a transaction that holds it. A database is a directory, ``NAME.settee``, with ``db.sqlite3``,
its log, and the folder ``blobs``.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

from settee.clock import Clock, Workers
from settee.errors import (
    ClosedError,
    ConfigError,
    CorruptDatabaseError,
    InvalidNameError,
    NotADatabaseError,
    NotFoundError,
    ReadOnlyError,
    StoreError,
    TransactionError,
)
from settee.ids import CollectionName
from settee.logs import room_log
from settee.store import bases, schema
from settee.store.blobs import BlobStore
from settee.store.collections import (
    CollectionRow,
    drop_collection,
    find_collection,
    list_collections,
    make_collection,
)
from settee.store.commits import CommitFuture, GroupCommit, Job
from settee.store.connection import (
    DURABILITIES,
    Reader,
    check_sqlite_version,
    open_connection,
    translated_os,
)
from settee.store.files import FILES, Files
from settee.store.leases import SyncLease
from settee.store.place import BLOBS_FOLDER, DATABASE_FILE, LOG_FILE, is_writable, look_at
from settee.store.reading import ReaderPool, ReadLease
from settee.store.transaction import Transaction, Turnstile, current_transaction, waits_on_itself
from settee.store.writer import Commit, Writer

__all__ = ["Store"]

log: logging.Logger = room_log("store")

T = TypeVar("T")


class Store:
    """An open database. Made by `open`; a context manager; usable from any thread."""

    def __init__(
        self,
        directory: Path,
        *,
        durability: str,
        clock: Clock,
        workers: Workers,
        read_only: bool,
        files: Files = FILES,
    ) -> None:
        self.directory: Final = directory
        self.read_only: Final = read_only
        self.private_uuid: bytes = b""
        """16 bytes that tell this copy of the database from every other one."""
        self.public_uuid: bytes = b""
        """16 bytes that name this database as an author of revisions."""
        self.source: str = ""
        """`public_uuid` as versions spell it: 22 characters of base64."""
        self.blobs: Final = BlobStore(
            directory / BLOBS_FOLDER,
            clock=clock,
            workers=workers,
            durable=durability != "memory",
            read_only=read_only,
            files=files,
        )
        self.on_foreign_commit: Callable[[], None] | None = None
        """Called on the writer worker when a look finds that another process committed something,
        which may be what commit listeners can't be told of: an expiry, a mark."""
        self._durability = durability
        self._files = files
        self._clock = clock
        self._workers = workers
        self._path = directory / DATABASE_FILE
        self._immutable = False
        self._pid = os.getpid()
        self._mutex = threading.Lock()
        self._closed = False
        self._readers: Final = ReaderPool(self._open_reader)
        self._listeners: dict[object, Callable[[Commit], None]] = {}
        self._turnstile = Turnstile()
        self._writer: Writer | None = None
        self._commits: GroupCommit | None = None
        self._worker = workers.serial("settee-writer")
        self._sync_lease: SyncLease | None = None
        self._sync_lease_count = 0

    # --- opening and closing ----------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        create: bool = True,
        durability: str = "full",
        clock: Clock,
        workers: Workers,
        files: Files = FILES,
    ) -> Store:
        """Open the database in `directory`, making it if `create` and there is none.

        `durability`: ``"full"``, ``"normal"`` or ``"memory"`` (`connection.DURABILITIES`). A place
        that can't be written is opened for reading. Raises NotFoundError, NotADatabaseError,
        NewerSchemaError, CorruptDatabaseError, DatabaseInUseError, DiskFullError, ConfigError.
        """
        if durability not in DURABILITIES:
            known = ", ".join(map(repr, DURABILITIES))
            raise ConfigError("durability", f"must be one of {known}, not {durability!r}")
        check_sqlite_version()
        found = look_at(directory)
        if not found and not create:
            raise NotFoundError(f"there is no database at {directory}")
        read_only = found and not is_writable(directory)
        if not found:
            try:
                directory.mkdir(parents=True, exist_ok=True)
            except OSError as exc:
                raise translated_os(exc, directory) from exc
        store = cls(
            directory,
            durability=durability,
            clock=clock,
            workers=workers,
            read_only=read_only,
            files=files,
        )
        try:
            store._start()
        except BaseException:
            store.close()
            raise
        return store

    def _start(self) -> None:
        if self.read_only:
            reader = self._first_reader()
            self._read_identity(reader)
            self._readers.give_back(reader)
            log.info("opened %s for reading only: it can't be written", self.directory)
            return
        connection = open_connection(
            self._path, durability=self._durability, writable=True, create=True
        )
        writer = Writer(
            connection, self._path, clock=self._clock, listening=lambda: bool(self._listeners)
        )
        self._writer = writer
        if connection.readonly("main"):
            raise ReadOnlyError(f"{self._path} can't be written, though its directory can")
        schema.check_is_ours(writer)
        schema.set_up_file(writer)
        if schema.upgrade(writer, self._clock.random_bytes):
            self._make_names_durable()
        self._read_identity(writer)
        writer.source = self.source
        writer.keeps_bases = bases.is_enabled(writer)
        writer.learn_known()
        self._commits = GroupCommit(
            store=self,
            writer=writer,
            worker=self._worker,
            turnstile=self._turnstile,
            inline=self._workers.inline(),
            notify=self._notify,
            notify_foreign=self._notify_foreign,
        )
        self.blobs.sweep()

    def _make_names_durable(self) -> None:
        """Make the folder for blobs, and see that a power cut can't take a new database's names."""
        folder = self.directory / BLOBS_FOLDER
        try:
            with contextlib.suppress(FileExistsError):
                self._files.make_folder(folder)
            if self._durability != "memory":
                self._files.sync_folder(self.directory)
                self._files.sync_folder(self.directory.absolute().parent)
        except OSError as exc:
            raise translated_os(exc, folder) from exc

    def _first_reader(self) -> Reader:
        """Open a database that can't be written."""
        log_file = self._path.with_name(LOG_FILE)
        try:
            self._immutable = not log_file.exists()
            reader = self._open_reader()
            if not schema.check_is_ours(reader):
                raise NotADatabaseError(f"{self._path} is empty, and can't be written")
            schema.check_version(reader)
        except StoreError as exc:
            if type(exc) is StoreError:  # It can't be opened: its log needs a file beside it.
                raise ReadOnlyError(
                    f"{self._path} holds changes not yet copied out of its log, and its place "
                    "can't be written: open it once where it can"
                ) from exc
            raise
        return reader

    def _read_identity(self, reader: Reader) -> None:
        found: dict[str, Any] = dict(reader.rows("SELECT name, value FROM meta"))
        for name in ("private_uuid", "public_uuid"):
            value = found.get(name)
            if not isinstance(value, bytes) or len(value) != 16:
                raise CorruptDatabaseError(f"{self._path} has lost its {name}")
        if not isinstance(found.get("hybrid_time"), int):
            raise CorruptDatabaseError(f"{self._path} has lost its hybrid_time")
        self.private_uuid, self.public_uuid = found["private_uuid"], found["public_uuid"]
        self.source = base64.b64encode(self.public_uuid)[:22].decode("ascii")

    def close(self) -> None:
        """Finish the writes that were submitted, then close everything. Idempotent.

        Waits for an open transaction of another thread; raises TransactionError inside one's own.
        """
        if current_transaction(self) is not None:
            raise TransactionError("a database can't be closed inside its own transaction")
        inline = self._workers.inline()
        with self._mutex:
            if self._closed:
                return
            if inline and not self._turnstile.try_acquire():
                raise TransactionError("a transaction is open; end it before closing the database")
            self._closed = True
        if not inline:
            self._turnstile.acquire()  # The last transaction has ended, and none can begin.
        self._turnstile.release()
        if self._commits is not None:
            self._commits.close()
        self._worker.close()
        self._readers.close()
        if self._writer is not None:
            self._writer.close()
        self.blobs.close()
        with self._mutex:
            lease, self._sync_lease = self._sync_lease, None
        if lease is not None:
            lease.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"the database {self.directory} is closed; open it again to go on")
        if os.getpid() != self._pid:
            raise ClosedError(
                f"the database {self.directory} was opened before a fork, by process {self._pid}; "
                "open it again in this process"
            )

    # --- reading ----------------------------------------------------------------------------------

    def reader(self, *, single: bool = False) -> ReadLease:
        """Return a context manager that yields a `Reader` in a short read transaction.

        `single`: it is for one statement, which sees one state without a transaction around it,
        and costs a fifth less. Inside one's own transaction it yields the writer: one reads
        one's own writes.
        """
        self._check_open()
        return ReadLease(self, self._readers, single)

    def _open_reader(self) -> Reader:
        connection = open_connection(
            self._path,
            durability=self._durability,
            writable=False,
            immutable=self._immutable,
        )
        return Reader(connection, self._path)

    # --- writing ----------------------------------------------------------------------------------

    def submit(self, job: Job[T]) -> CommitFuture[T]:
        """Queue a job for the writer; the future is done after the commit that it is part of.

        A job that raises undoes its own work only. Raises ReadOnlyError, ClosedError.
        """
        return self._writing().submit(job)

    def write(self, job: Job[T]) -> T:
        """Run a job and wait for its commit; return what it returned, or raise what it raised.

        Inside one's own transaction it runs at once, as a part of that.
        """
        commits = self._writing()
        transaction = current_transaction(self)
        if transaction is not None:
            transaction.writer.check_open()
            return transaction.writer.attempt(job)
        return commits.submit(job).result()

    def transaction(self) -> Transaction:
        """Return a context manager that yields the `Writer`, for the calling thread and task alone.

        All other writes wait. Raises TransactionError when nested, on the writer worker, or if it
        stays open for longer than `TRANSACTION_S_MAX` (found out at the next write or the commit).
        """
        commits = self._writing()
        if current_transaction(self) is not None:
            raise TransactionError("a transaction is open already; its writes are part of it")
        if waits_on_itself(self):
            raise TransactionError("the transaction that this runs in belongs to another thread")
        if self._worker.is_current():
            raise TransactionError("a write job or commit listener is in a transaction already")
        assert self._writer is not None
        return Transaction(
            store=self,
            writer=self._writer,
            turnstile=self._turnstile,
            clock=self._clock,
            wait=not self._workers.inline(),
            check=self._check_open,
            finished=commits.finished,
            ended=commits.after_transaction,
        )

    @contextlib.contextmanager
    def alone(self) -> Iterator[Writer]:
        """Yield the writer outside of a transaction, while all other writes of this store wait.

        For what SQLite does only there, such as rewriting the file. Raises TransactionError where
        waiting for one's turn would never end, ReadOnlyError, ClosedError.
        """
        commits = self._writing()
        if waits_on_itself(self) or self._worker.is_current():
            raise TransactionError("this can't be done inside a transaction; do it after its end")
        if not self._workers.inline():
            self._turnstile.acquire()
        elif not self._turnstile.try_acquire():
            raise TransactionError("a transaction is open; this can be done after its end")
        try:
            self._check_open()
            assert self._writer is not None
            yield self._writer
        finally:
            self._turnstile.release()
            commits.after_transaction()

    def _writing(self) -> GroupCommit:
        self._check_open()
        if self._commits is None:
            raise ReadOnlyError(f"{self.directory} lies in a place that can't be written")
        return self._commits

    # --- what changed -----------------------------------------------------------------------------

    def on_commit(self, callback: Callable[[Commit], None]) -> Callable[[], None]:
        """Call `callback` on the writer worker after each commit that changed documents.

        Must be quick and not wait for writes. An exception is logged, and others are told all the
        same. Returns what ends it.
        """
        token = object()
        self._listeners[token] = callback

        def unsubscribe() -> None:
            self._listeners.pop(token, None)

        return unsubscribe

    def poll_external(self) -> None:
        """Look whether another process committed, and tell the listeners (on the worker) if so.

        Cheap; to be called every `DATA_VERSION_POLL_S` by who listens. A change of ours finds such
        a commit without it.
        """
        self._check_open()
        if self._commits is not None and self._listeners:
            self._commits.poll()

    def _notify(self, commit: Commit) -> None:
        for callback in list(self._listeners.values()):
            try:
                callback(commit)
            except Exception:
                log.exception("a commit listener failed")

    def _notify_foreign(self) -> None:
        callback = self.on_foreign_commit
        if callback is None:
            return
        try:
            callback()
        except Exception:
            log.exception("looking at another process's commit failed")

    # --- collections ------------------------------------------------------------------------------

    def collections(self) -> list[CollectionRow]:
        """Return the collections in the order in which they were made; the default one is first."""
        with self.reader() as reader:
            return list_collections(reader)

    def collection(self, name: CollectionName, create: bool = False) -> CollectionRow | None:
        """Return a collection, made if `create`; None if there is none."""
        with self.reader() as reader:
            key = find_collection(reader, name)
        if key is None and create:
            key = self.write(lambda writer: make_collection(writer, name))
        return None if key is None else CollectionRow(key, name)

    def delete_collection(self, name: CollectionName) -> bool:
        """Delete a collection with all documents; tell whether there was one.

        A collection made later under this name has another key and goes on with the sequences.
        """
        if name.is_default:
            raise InvalidNameError("the default collection can't be deleted; purge its documents")
        return self.write(lambda writer: drop_collection(writer, name))

    # --- sync, and blobs that nobody needs --------------------------------------------------------

    def lease_sync(self) -> Callable[[], None]:
        """Take the right to run sync for this database; return what gives it back.

        Shared by all who ask on this `Store`. Raises DatabaseInUseError naming the process that has
        it, ReadOnlyError, ClosedError.
        """
        self._writing()
        with self._mutex:
            if self._sync_lease is None:
                self._sync_lease = SyncLease.acquire(self.directory)
                self._sync_lease_count = 0
            self._sync_lease_count += 1
        released = threading.Event()

        def release() -> None:
            with self._mutex:
                if released.is_set() or self._sync_lease is None:
                    return
                released.set()
                self._sync_lease_count -= 1
                if self._sync_lease_count == 0:
                    self._sync_lease.release()
                    self._sync_lease = None

        return release

    def collect_blobs(self) -> list[str]:
        """Remove blobs that nothing references and nobody leases; return their digests."""
        return self.write(self.blobs.collect)
