"""A database whose opening, closing and writes are awaited."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from uuid import UUID

from settee.aio.blob import Blob
from settee.aio.changes import Changes
from settee.aio.collection import Collection
from settee.aio.driver import wait
from settee.clock import Clock, SystemClock, ThreadWorkers, Workers
from settee.db import location
from settee.db.collection import Collection as BlockingCollection
from settee.db.database import Database as Blocking
from settee.db.database import Durability
from settee.db.database import Transaction as BlockingTransaction
from settee.db.observer import CollectionChange, Subscription
from settee.db.offload import run
from settee.db.replication import ReplicationResult
from settee.errors import ClosedError, TransactionError
from settee.store.maintenance import Compacted, Problem
from settee.store.transaction import Transaction as StoreTransaction

__all__ = ["Database", "Transaction"]

T = TypeVar("T")


class Database:
    """A database of JSON documents in collections, in a directory of its own.

    ``async with Database("inventory") as db:``, or ``db = await Database("inventory")`` and
    ``await db.close()``; it is opened then, not before. Parameters and errors as of
    `settee.Database`.
    """

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
    ) -> Database:
        """As the blocking one, with a clock and workers of the caller's; to be opened."""
        database = cls.__new__(cls)
        database._begin(path, clock, workers, durability, create)
        return database

    def _begin(
        self, path: Path, clock: Clock, workers: Workers, durability: Durability, create: bool
    ) -> None:
        self._path = path
        self._durability: Durability = durability
        self._workers = workers
        self._opened: Blocking | None = None
        self._make: Callable[[], Blocking] = partial(
            Blocking._open,
            path,
            clock=clock,
            workers=workers,
            durability=durability,
            create=create,
        )

    # --- life -------------------------------------------------------------------------------------

    @staticmethod
    async def exists(
        name_or_path: str | os.PathLike[str], directory: str | os.PathLike[str] | None = None
    ) -> bool:
        """Tell whether there is a database of this name or path. Raises InvalidNameError."""
        return Blocking.exists(name_or_path, directory)

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

        As the constructor, it opens (and copies) when it is awaited or entered.
        """
        database = cls(location.locate(name_or_path, directory), durability=durability)
        database._make = partial(
            Blocking.open_prebuilt,
            name_or_path,
            prebuilt,
            directory=directory,
            durability=durability,
        )
        return database

    @staticmethod
    async def copy(
        source: Database | str | os.PathLike[str],
        destination: str | os.PathLike[str],
        *,
        directory: str | os.PathLike[str] | None = None,
    ) -> Path:
        """Copy a database with its blobs, also while it is in use; return where the copy lies."""
        origin = source.path if isinstance(source, Database) else source
        call = partial(Blocking.copy, origin, destination, directory=directory)
        return await _beside(ThreadWorkers(), call)

    @staticmethod
    async def delete(
        name_or_path: str | os.PathLike[str], directory: str | os.PathLike[str] | None = None
    ) -> None:
        """Delete a database that nobody has open, with its blobs."""
        await _beside(ThreadWorkers(), partial(Blocking.delete, name_or_path, directory))

    async def _open_now(self) -> Database:
        if self._opened is None:
            opened = await _beside(self._workers, self._make, Blocking.close)
            opened._face, opened._make_face = self, self._face_of
            self._opened = opened
        return self

    def __await__(self) -> Generator[Any, None, Database]:
        return self._open_now().__await__()

    async def close(self) -> None:
        """Close: end what runs on the database, and wait for writes that were begun. Idempotent."""
        if self._opened is not None:
            if self._opened._in_transaction():
                raise TransactionError("close the database after the transaction, not inside it")
            await _beside(self._workers, self._opened.close)

    async def __aenter__(self) -> Database:
        return await self._open_now()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return (
            f"<Database {self.name!r} at {self._path}>" if not self._opened else repr(self._opened)
        )

    @property
    def _blocking(self) -> Blocking:
        if self._opened is None:
            raise ClosedError(
                f"the database {self.name!r} is not open yet; use `async with` or `await` it"
            )
        return self._opened

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
        return self._blocking.read_only

    @property
    def uuid(self) -> UUID:
        """What names this database as an author of revisions; a copy has another one."""
        return self._blocking.uuid

    # --- collections ------------------------------------------------------------------------------

    def _face_of(self, blocking: BlockingCollection) -> Collection:
        blocking._wrap_blob = Blob._of
        return Collection(self, blocking)

    @property
    def default_collection(self) -> Collection:
        """The collection that every database has, ``_default``."""
        face: Collection = self._blocking.default_collection._face
        return face

    async def collection(self, name: str, create: bool = False) -> Collection:
        """Return the collection ``"name"`` or ``"scope.name"``; with `create` make it."""
        call = partial(self._blocking.collection, name, create)
        face: Collection = (await self._offload(call) if create else call())._face
        return face

    async def collections(self) -> list[Collection]:
        """Return all collections."""
        return [each._face for each in self._blocking.collections()]

    async def scopes(self) -> list[str]:
        """Return the names of the scopes, each once. A scope is there while it has a collection."""
        return self._blocking.scopes()

    async def delete_collection(self, name: str) -> None:
        """Delete a collection with all its documents, here and only here."""
        await self._offload(partial(self._blocking.delete_collection, name))

    async def _offload(self, call: Callable[[], T]) -> T:
        if self._blocking._in_transaction():
            return call()  # Raises what the blocking skin raises there.
        return await wait(self._blocking._offload(call))

    # --- transactions -----------------------------------------------------------------------------

    def transaction(self) -> Transaction:
        """Return a context manager in which all writes commit together, or none.

        It belongs to the task that enters it and to tasks made inside, which see its writes.
        """
        self._blocking._check()
        return Transaction(self._blocking)

    # --- changes ----------------------------------------------------------------------------------

    def on_change(self, callback: Callable[[CollectionChange], object]) -> Subscription:
        """Call `callback` after each commit that changed documents, once for each collection."""
        return self._blocking.on_change(callback)

    def changes(self) -> Changes[CollectionChange]:
        """Iterate over changes of all collections as they are committed; `next` waits for one."""
        return Changes(self._blocking, self._blocking._source())

    # --- blobs by themselves ----------------------------------------------------------------------

    async def save_blob(self, blob: Blob) -> Blob:
        """Store a blob's content before any document names it; return the same blob."""
        inner = blob.__settee_blob__() if isinstance(blob, Blob) else blob
        await self._offload(partial(self._blocking.save_blob, inner))
        return blob

    async def get_blob(self, reference: Mapping[str, object] | str) -> Blob | None:
        """Return the blob of a digest, or of the JSON object that names it; None if it isn't here.

        Raises InvalidDocumentError for what names no blob.
        """
        found = self._blocking.get_blob(reference)
        return None if found is None else Blob._of(found)

    # --- maintenance ------------------------------------------------------------------------------

    async def compact(self) -> Compacted:
        """Give space back: remove blobs that nothing names, and rewrite the file without gaps."""
        return await self._offload(self._blocking.compact)

    async def reindex(self) -> None:
        """Build anew what is derived from the documents: indexes, counts, who names which blob."""
        await self._offload(self._blocking.reindex)

    async def check(self, *, blobs: bool = True) -> list[Problem]:
        """Look for damage; return what was found, an empty list if nothing."""
        return await self._offload(partial(self._blocking.check, blobs=blobs))

    async def optimize(self, full: bool = False) -> None:
        """Let SQLite look at its indexes, to use them well; `full`: at all of them, whole."""
        await self._offload(partial(self._blocking.optimize, full))

    # --- replication ------------------------------------------------------------------------------

    async def replicate(self, target: Any, **options: Any) -> ReplicationResult:
        """Sync once with `target`, a URL or another database, and return what was done."""
        if isinstance(target, Database):
            target = target._blocking
        return await self._offload(partial(self._blocking.replicate, target, **options))


class Transaction:
    """The context manager that `Database.transaction` returns."""

    def __init__(self, database: Blocking) -> None:
        self._database = database
        self._skinned = BlockingTransaction(database)

    def rollback(self) -> None:
        """Undo all, and leave the ``with`` block at once."""
        self._skinned.rollback()

    async def __aenter__(self) -> Transaction:
        if self._skinned._begin_part():
            return self
        inner = self._skinned._begin_whole()
        acquired = self._database._offload(inner.acquire)
        try:
            await wait(acquired)
        except BaseException:
            # Cancelled while waiting for its turn: when that comes, nobody is there to use it.
            acquired.add_done_callback(partial(_give_back, inner))
            raise
        inner.adopt()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        skinned = self._skinned
        if not skinned._end_part(exc):
            inner = skinned._inner
            assert inner is not None
            inner.leave()
            try:
                await wait(self._database._offload(inner.commit if exc is None else inner.rollback))
            except BaseException:
                skinned._undone()
                raise
            if exc is not None:
                skinned._undone()
        return exc is skinned._rolled_back


def _give_back(inner: StoreTransaction, acquired: Future[None]) -> None:
    if acquired.exception() is None:
        inner.rollback()


async def _beside(
    workers: Workers, call: Callable[[], T], undo: Callable[[T], object] | None = None
) -> T:
    """Run a call on a worker made for it; `undo` what it returns if nobody waits any more."""
    worker = workers.serial("settee-open")
    future: Future[T] = Future()
    worker.submit(partial(run, future, call))
    try:
        return await wait(future)
    except asyncio.CancelledError:
        if undo is not None:
            worker.submit(partial(_undo, future, undo))
        raise
    finally:
        worker.submit(worker.close)


def _undo(done: Future[T], undo: Callable[[T], object]) -> None:
    if done.exception() is None:
        undo(done.result())
