"""An embedded database: opening, closing, its collections, transactions, changes.

Everything here may be called from any thread. Reads are plain functions on a reader of the pool;
each write is a job of the store's writer, whose commit the caller waits for.
"""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar
from uuid import UUID

from settee.clock import Clock, SystemClock, ThreadWorkers, Workers
from settee.db import location
from settee.db.blob import Blob, is_blob_properties, put_blobs
from settee.db.changes import Changes, ChangeSource
from settee.db.collection import Collection
from settee.db.expiry import Expiry
from settee.db.observer import Batch, CollectionChange, Observer, Subscription
from settee.db.offload import Offload
from settee.db.replication import ReplicationResult
from settee.db.steps import Begin, Step, Steps, Wait, Write
from settee.db.ticker import Ticker
from settee.db.transaction import RolledBack, Transaction, check_part
from settee.errors import (
    ClosedError,
    ConfigError,
    InvalidDocumentError,
    NotFoundError,
    SetteeError,
    TransactionError,
)
from settee.ids import DEFAULT_COLLECTION, DEFAULT_SCOPE, CollectionName
from settee.limits import DATA_VERSION_POLL_S
from settee.logs import room_log
from settee.store import CollectionRow, Reader, Store, Writer, maintenance
from settee.store.copying import copy_database
from settee.store.files import FILES, Files
from settee.store.maintenance import Compacted, Problem
from settee.store.transaction import current_transaction

__all__ = ["Database", "Durability", "RolledBack", "SupportsReplication", "Transaction"]

_log = room_log("db")

T = TypeVar("T")

Durability = Literal["full", "normal", "memory"]
"""``"full"``: a write that returned survives a power cut. ``"normal"``: it survives the death of
the process; a power cut may drop the latest, as a whole suffix. ``"memory"``: nothing promised."""


class SupportsReplication(Protocol):
    """What `Database.replicate` needs of the room above; `settee` fills it in."""

    def replicate(self, db: Database, target: Any, **options: Any) -> ReplicationResult:
        """Replicate once and return the result."""


class Database:
    """A database of JSON documents in collections, in a directory of its own.

    ``Database("inventory")`` opens, or creates, ``inventory.settee`` in the current directory; use
    it in a ``with``, or `close` it. `name_or_path` is a name (1 to 128 of ``A-Z a-z 0-9 _ - .``) or
    a path; `directory` says where a name lies. `durability` says what a power cut may take.
    With ``create=False`` there must be one: NotFoundError.

    Raises InvalidNameError, ConfigError, NotADatabaseError, NewerSchemaError (written by a newer
    settee), CorruptDatabaseError, ReadOnlyError (to be
    created where nothing can be written).
    """

    _replication: ClassVar[SupportsReplication | None] = None
    """Filled in by `settee`."""

    _make_face: Callable[[Collection], Any] | None = None
    """Makes the async skin's own object of each collection."""

    def __init__(
        self,
        name_or_path: str | os.PathLike[str],
        *,
        directory: str | os.PathLike[str] | None = None,
        durability: Durability = "full",
        create: bool = True,
    ) -> None:
        path = location.locate(name_or_path, directory)
        self._begin(path, SystemClock(), ThreadWorkers(), durability, create)

    @classmethod
    def _open(
        cls,
        path: Path,
        *,
        clock: Clock,
        workers: Workers,
        durability: Durability = "full",
        create: bool = True,
        files: Files = FILES,
    ) -> Database:
        """Open with a clock, workers and files of the caller's: how a simulation does it."""
        database = cls.__new__(cls)
        database._begin(path, clock, workers, durability, create, files)
        return database

    def _begin(
        self,
        path: Path,
        clock: Clock,
        workers: Workers,
        durability: Durability,
        create: bool,
        files: Files = FILES,
    ) -> None:
        self._closed = True  # Until the store is open: a failure leaves nothing to warn of.
        if durability not in ("full", "normal", "memory"):
            raise ConfigError(
                "durability", f'must be "full", "normal" or "memory", not {durability!r}'
            )
        if not create and not location.exists(path):
            raise NotFoundError(f"there is no database at {path}; create=True would make one")
        self._path = path
        self._clock = clock
        self._workers = workers
        self._durability: Durability = durability
        self._face: Any = self
        self._peers: object | None = None  # What the room above keeps here for its peers.
        self._lock = threading.Lock()
        self._store = Store.open(
            path, create=create, durability=durability, clock=clock, workers=workers, files=files
        )
        self._mark = location.OpenMark(path, clock.random_bytes(8).hex())
        try:
            self._start(workers)
        except BaseException:
            self._store.close()
            self._mark.release()
            raise
        self._closed = False

    def _start(self, workers: Workers) -> None:
        self._observer = Observer(self._store, lambda: workers.serial("settee-callbacks"))
        self._ticker = Ticker(workers, self._tick)
        self._background = Offload(workers, "settee-work")
        self._collections: dict[CollectionName, Collection] = {}
        self._sources: set[ChangeSource[Any]] = set()
        self._closers: list[Callable[[], None]] = []
        self._expiry = Expiry(self._store, self._clock, self._ticker.wake)
        self._expiry.look()

    # --- life -------------------------------------------------------------------------------------

    @staticmethod
    def exists(
        name_or_path: str | os.PathLike[str], directory: str | os.PathLike[str] | None = None
    ) -> bool:
        """Tell whether there is a database of this name or path. Raises InvalidNameError."""
        return location.exists(location.locate(name_or_path, directory))

    @classmethod
    def open_prebuilt(
        cls,
        name_or_path: str | os.PathLike[str],
        prebuilt: str | os.PathLike[str],
        *,
        directory: str | os.PathLike[str] | None = None,
        durability: Durability = "full",
    ) -> Database:
        """Open a database; the first time, make it as a copy of one that came with the program.

        `prebuilt` is the path of that (or a name in `directory`); it may lie where nothing can be
        written. Once the database is there `prebuilt` is not looked at. A process that dies while
        it copies leaves nothing half made. Raises what `copy` and opening raise.
        """
        path = location.locate(name_or_path, directory)
        _copy_unless_there(path, prebuilt, directory)
        return cls(path, durability=durability, create=False)

    @staticmethod
    def copy(
        source: Database | str | os.PathLike[str],
        destination: str | os.PathLike[str],
        *,
        directory: str | os.PathLike[str] | None = None,
    ) -> Path:
        """Copy a database with its blobs, also while it is in use; return where the copy lies.

        `source` is a database, or a name or path as of `Database`; so is `destination`, where
        nothing may be yet. Names lie in `directory`. The copy is one committed state, and a
        database of its own: it has other UUIDs, and no checkpoints. Copies of the files by other
        means would pass for the original at its peers. Raises NotFoundError, NotADatabaseError,
        NewerSchemaError, ExistsError, DatabaseInUseError (another process copies there),
        DiskFullError, ReadOnlyError.
        """
        if isinstance(source, Database):
            origin = source._path
        else:
            origin = location.locate_either(source, directory)
        target = location.locate_either(destination, directory)
        copy_database(origin, target, clock=SystemClock())
        return target

    @staticmethod
    def delete(
        name_or_path: str | os.PathLike[str], directory: str | os.PathLike[str] | None = None
    ) -> None:
        """Delete a database that nobody has open, with its blobs.

        Raises NotFoundError if there is none, DatabaseInUseError if it is open here or in another
        process, NotADatabaseError, ReadOnlyError.
        """
        location.remove(location.locate(name_or_path, directory))

    def close(self) -> None:
        """Close: end what runs on the database, and wait for writes that were begun. Idempotent.

        Replicators and listeners stop, iterators over changes end. Raises TransactionError inside
        a transaction of one's own.
        """
        if current_transaction(self._store) is not None:
            raise TransactionError("close the database after the transaction, not inside it")
        with self._lock:
            if self._closed:
                return
            self._closed = True
            closers, self._closers = self._closers[::-1], []
            sources = list(self._sources)
        for closer in closers:
            try:
                closer()
            except Exception:
                _log.exception("stopping what ran on %s failed; closing goes on", self._path)
        for source in sources:
            source.close()
        self._ticker.close()
        self._background.close()
        self._observer.close()
        self._store.close()
        self._mark.release()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn(
                f"the database {self._path} was not closed; use it in a with",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    def __repr__(self) -> str:
        return f"<Database {self.name!r} {'closed' if self._closed else 'open'} at {self._path}>"

    @property
    def name(self) -> str:
        """The name, without directory and suffix."""
        return self._path.name.removesuffix(location.SUFFIX)

    @property
    def path(self) -> Path:
        """The database's directory, absolute."""
        return self._path

    @property
    def durability(self) -> Durability:
        """What was asked for at opening."""
        return self._durability

    @property
    def read_only(self) -> bool:
        """Whether it lies where nothing can be written; then writes raise ReadOnlyError."""
        return self._store.read_only

    @property
    def uuid(self) -> UUID:
        """What names this database as an author of revisions; a copy has another one."""
        return UUID(bytes=self._store.public_uuid)

    # --- collections ------------------------------------------------------------------------------

    @property
    def default_collection(self) -> Collection:
        """The collection that every database has, ``_default``."""
        return self.collection(DEFAULT_COLLECTION)

    def collection(self, name: str, create: bool = False) -> Collection:
        """Return the collection ``"name"`` or ``"scope.name"``; with `create` make it.

        Raises NotFoundError if there is none, InvalidNameError for a name that can't be one.
        """
        self._check()
        parsed = CollectionName.parse(name)
        known = self._collections.get(parsed)
        if known is not None and not known._dropped:
            return known
        row = self._store.collection(parsed, create=create)
        if row is None:
            raise NotFoundError(
                f"there is no collection {name!r} in {self.name!r}; create=True would make one"
            )
        return self._collection_of(row)

    def collections(self) -> list[Collection]:
        """Return all collections."""
        self._check()
        return [self._collection_of(row) for row in self._store.collections()]

    def scopes(self) -> list[str]:
        """Return the names of the scopes, each once. A scope is there while it has a collection."""
        self._check()
        names = (row.name.scope for row in self._store.collections())
        return list(dict.fromkeys((DEFAULT_SCOPE, *names)))

    def delete_collection(self, name: str) -> None:
        """Delete a collection with all its documents, here and only here.

        Raises NotFoundError if there is none, InvalidNameError for the default collection.
        """
        self._check()
        parsed = CollectionName.parse(name)
        if not self._store.delete_collection(parsed):
            raise NotFoundError(f"there is no collection {name!r} in {self.name!r}")
        with self._lock:
            known = self._collections.pop(parsed, None)
            sources = list(self._sources)
        if known is not None:
            known._dropped = True
            for source in sources:
                if source.key == known._key:
                    source.close()

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        self._check()
        return self._store.collection(CollectionName.parse(name)) is not None

    def _collection_of(self, row: CollectionRow) -> Collection:
        with self._lock:
            known = self._collections.get(row.name)
            if known is None or known._key != row.key:
                if known is not None:
                    known._dropped = True  # Deleted, and made anew, by another process.
                known = self._collections[row.name] = Collection(self, row)
            return known

    # --- transactions -----------------------------------------------------------------------------

    def transaction(self) -> Transaction:
        """Return a context manager in which all writes commit together, or none.

        It belongs to the thread that enters it, which sees its own writes; all others wait with
        theirs, so keep it short: after 30 s it can only be rolled back. An exception rolls back.
        Callbacks are told after the commit. One inside another is a part of it: it commits with the
        outer one, and rolled back it undoes itself only. Entering it raises TransactionError where
        it would wait for itself.
        """
        self._check()
        return Transaction(self)

    def _forget_undone(self) -> None:
        """Forget collections that a rollback unmade: their keys may go to others."""
        with contextlib.suppress(SetteeError):
            there = {row.key: row.name for row in self._store.collections()}
            with self._lock:
                for name, known in list(self._collections.items()):
                    if there.get(known._key) != name:
                        known._dropped = True
                        del self._collections[name]

    # --- changes ----------------------------------------------------------------------------------

    def on_change(self, callback: Callable[[CollectionChange], object]) -> Subscription:
        """Call `callback` after each commit that changed documents, once for each collection.

        It runs on a worker of the database, in order; an exception in it is logged. Commits that
        came while it ran are told as one.
        """
        self._check()
        return self._subscribe(None, lambda batch: callback(self._change(batch)))

    def changes(self) -> Changes[CollectionChange]:
        """Iterate over changes of all collections as they are committed; `next` waits for one.

        Close it, or use it in a ``with``, to stop listening.
        """
        return Changes(self._source())

    def _source(self) -> ChangeSource[CollectionChange]:
        self._check()
        return self._change_source(None, self._change)

    def _change(self, batch: Batch) -> CollectionChange:
        return CollectionChange(
            self._collection_of_key(batch.key)._face, tuple(batch.ids), batch.sequence
        )

    def _collection_of_key(self, key: int) -> Collection:
        for known in list(self._collections.values()):
            if known._key == key:
                return known
        for row in self._store.collections():
            if row.key == key:
                return self._collection_of(row)
        raise NotFoundError(f"a collection of {self.name!r} was deleted while it changed")

    def _subscribe(self, key: int | None, tell: Callable[[Batch], object]) -> Subscription:
        remove = self._observer.listen(key, tell)
        self._ticker.wake()
        return Subscription(remove)

    def _change_source(
        self,
        key: int | None,
        make: Callable[[Batch], T],
        *,
        since: int | None = None,
        document_id: str | None = None,
    ) -> ChangeSource[T]:
        source = ChangeSource(
            self._observer,
            self._store,
            key,
            make,
            since=since,
            document_id=document_id,
            on_end=self._sources.discard,
        )
        self._sources.add(source)
        self._ticker.wake()
        return source

    # --- blobs by themselves ----------------------------------------------------------------------

    def save_blob(self, blob: Blob) -> Blob:
        """Store a blob's content before any document names it; return the same blob.

        It then has its `Blob.properties`, and stays while the object lives; after that `compact`
        removes it, unless a saved document names it. Raises InvalidDocumentError for what is no
        blob or too large, NotFoundError for a file that is gone, DiskFullError.
        """
        self._check()
        if not isinstance(blob, Blob):
            raise InvalidDocumentError(f"save_blob takes a Blob, not {type(blob).__name__}")
        put_blobs(self._store.blobs, [blob])
        return blob

    def get_blob(self, reference: Mapping[str, object] | str) -> Blob | None:
        """Return the blob of a digest, or of the JSON object that names it; None if it isn't here.

        Raises InvalidDocumentError for what names no blob.
        """
        self._check()
        if isinstance(reference, str):
            reference = {"@type": "blob", "digest": reference}
        if not isinstance(reference, Mapping) or not is_blob_properties(reference):
            raise InvalidDocumentError(
                "this names no blob: give a digest, 'sha1-…', or an object like Blob.properties"
            )
        blobs, digest = self._store.blobs, str(reference["digest"])
        if not blobs.has(digest):
            return None
        return Blob._stored(blobs, {"length": blobs.length(digest), **reference})

    # --- maintenance ------------------------------------------------------------------------------

    def compact(self) -> Compacted:
        """Give space back: remove blobs that nothing names, and rewrite the file without gaps.

        Other writes wait meanwhile. Blobs younger than an hour stay while another process, or
        another `Database` object, has the database open. Needs as much free space as the file has,
        there and in the system's directory for temporary files.
        Raises TransactionError inside a transaction, DiskFullError, ReadOnlyError,
        DatabaseInUseError if another process keeps writing.
        """
        self._check_outside("compact")
        now_ns = self._clock.wall_ns()  # Before looking: who opens it later renews what it uses.
        since_ns = now_ns if self._mark.is_only() else None
        return maintenance.compact(self._store, unused_since_ns=since_ns)

    def reindex(self) -> None:
        """Build anew what is derived from the documents: indexes, counts, who names which blob.

        Other writes wait meanwhile. Raises CorruptDatabaseError if the documents can't be read,
        TransactionError inside a transaction, ReadOnlyError.
        """
        self._check_outside("reindex")
        self._store.write(maintenance.reindex)

    def check(self, *, blobs: bool = True) -> list[Problem]:
        """Look for damage; return what was found, an empty list if nothing.

        Reads the whole file, every document, and with `blobs` the content of every blob; else only
        whether it is there. Others may read and write meanwhile. Mends nothing: `reindex` can, for
        problems of the kind ``"reference"``.
        """
        self._check()
        return maintenance.check(self._store, blobs=blobs)

    def optimize(self, full: bool = False) -> None:
        """Let SQLite look at its indexes, to use them well; `full`: at all of them, whole.

        Worth a call after the amount of data has changed much. Raises TransactionError inside a
        transaction, ReadOnlyError.
        """
        self._check_outside("optimize")
        self._store.write(partial(maintenance.optimize, full=full))

    def _check_outside(self, name: str) -> None:
        self._check()
        if self._in_transaction():
            raise TransactionError(f"{name} can't run inside a transaction; call it after its end")

    # --- replication ------------------------------------------------------------------------------

    def replicate(self, target: Any, **options: Any) -> ReplicationResult:
        """Sync once with `target`, a URL or another database, and return what was done.

        `options` are those of `Replicator`; the result is a `ReplicationResult`. Raises what
        `Replicator` raises, TransactionError inside a transaction.
        """
        self._check()
        if current_transaction(self._store) is not None:
            raise TransactionError("syncing inside a transaction would wait for itself")
        assert self._replication is not None, "import settee, not settee.db"
        return self._replication.replicate(self, target, **options)

    # --- for the modules beside and the rooms above -----------------------------------------------

    def _check(self) -> None:
        if self._closed:
            raise ClosedError(f"the database {self.name!r} is closed; open it again to go on")

    def _now_ms(self) -> int:
        return self._clock.wall_ns() // 1_000_000

    def _on_close(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when the database closes, last registered first; return the undoing."""
        with self._lock:
            self._check()
            self._closers.append(callback)

        def unregister() -> None:
            with self._lock:
                self._closers = [each for each in self._closers if each is not callback]

        return unregister

    def _reading(self, *, single: bool = False) -> AbstractContextManager[Reader]:
        """Give a reader: of the pool, or the transaction's writer to the one who owns it.

        `single`: for one statement only.
        """
        return self._store.reader(single=single)

    def _in_transaction(self) -> bool:
        """Whether the calling thread and task own a transaction."""
        return current_transaction(self._store) is not None

    def _submit(self, job: Callable[[Writer], T]) -> Future[T]:
        """Hand a job to the writer; inside one's own transaction run it at once."""
        own = current_transaction(self._store)
        if own is None:
            return self._store.submit(job)
        future: Future[T] = Future()
        try:
            own.writer.check_open()
            check_part(own.writer)
            future.set_result(own.writer.attempt(job))
        except Exception as exc:
            future.set_exception(exc)
        return future

    def _offload(self, call: Callable[[], T]) -> Future[T]:
        """Run what takes long on a worker, for callers that must not block."""
        return self._background.submit(call)

    def _drive(self, steps: Steps[T]) -> T:
        """Run a procedure in the calling thread."""
        try:
            step = next(steps)
            while True:
                try:
                    result = self._run_step(step)
                except BaseException as exc:
                    step = steps.throw(exc)
                else:
                    step = steps.send(result)
        except StopIteration as end:
            value: T = end.value
            return value

    def _run_step(self, step: Step) -> Any:
        if isinstance(step, Write):
            return self._submit(step.job).result()
        if isinstance(step, Begin):
            return self._submit(step.job)
        if isinstance(step, Wait):
            return step.future.result()
        return step.call()

    # --- the heartbeat ----------------------------------------------------------------------------

    def _poll(self) -> None:
        """Look for another process's commits, and purge what has expired.

        Called by the ticker; by the runtime where there are no threads. Cheap.
        """
        if not self._closed:
            self._tick()

    def _tick(self) -> float | None:
        """Do what is due; return after how many seconds to come again, None if for nothing."""
        try:
            listening = self._observer.active
            if listening:
                self._observer.poll()
            rest_s = self._expiry.purge_when_due()
            return DATA_VERSION_POLL_S if listening else rest_s
        except ClosedError:
            return None
        except SetteeError as exc:
            _log.warning("looking after %s failed, and is tried again: %s", self._path, exc)
            return 10.0


def _copy_unless_there(
    path: Path,
    prebuilt: str | os.PathLike[str],
    directory: str | os.PathLike[str] | None,
) -> None:
    """Make the database at `path` as a copy, if it isn't there."""
    if not location.exists(path):
        origin = location.locate_either(prebuilt, directory)
        copy_database(origin, path, clock=SystemClock(), exist_ok=True)
