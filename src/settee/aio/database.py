"""A database whose opening, closing and writes are awaited."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from settee.aio.blob import Blob
from settee.aio.changes import Changes
from settee.aio.collection import Collection
from settee.aio.driver import wait
from settee.clock import Clock, SystemClock, ThreadWorkers, Workers
from settee.db import location
from settee.db.collection import Collection as BlockingCollection
from settee.db.database import Database as Blocking
from settee.db.database import Durability, RolledBack
from settee.db.observer import CollectionChange, Subscription
from settee.db.offload import run
from settee.errors import ClosedError, TransactionError
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
        self._make = partial(
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

    @staticmethod
    async def delete(
        name_or_path: str | os.PathLike[str], directory: str | os.PathLike[str] | None = None
    ) -> None:
        """Delete a database that nobody has open, with its blobs."""
        await _beside(ThreadWorkers(), partial(Blocking.delete, name_or_path, directory))

    async def _open_now(self) -> Database:
        if self._opened is None:
            opened = await _beside(self._workers, self._make)
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
        return Transaction(self._blocking, self._blocking._store.transaction())

    # --- changes ----------------------------------------------------------------------------------

    def on_change(self, callback: Callable[[CollectionChange], object]) -> Subscription:
        """Call `callback` after each commit that changed documents, once for each collection."""
        return self._blocking.on_change(callback)

    def changes(self) -> Changes[CollectionChange]:
        """Iterate over changes of all collections as they are committed; `next` waits for one."""
        return Changes(self._blocking, self._blocking._source())

    # --- replication ------------------------------------------------------------------------------

    async def replicate(self, target: Any, **options: Any) -> Any:
        """Sync once with the peer at `target`, a URL, and return what was done."""
        return await self._offload(partial(self._blocking.replicate, target, **options))


class Transaction:
    """The context manager that `Database.transaction` returns."""

    def __init__(self, database: Blocking, inner: StoreTransaction) -> None:
        self._database = database
        self._inner = inner
        self._rolled_back = RolledBack()

    def rollback(self) -> None:
        """Undo all, and leave the ``with`` block at once."""
        raise self._rolled_back

    async def __aenter__(self) -> Transaction:
        acquired = self._database._offload(self._inner.acquire)
        try:
            await wait(acquired)
        except BaseException:
            # Cancelled while waiting for its turn: when that comes, nobody is there to use it.
            acquired.add_done_callback(self._give_back)
            raise
        self._inner.adopt()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._inner.leave()
        end = self._inner.commit if exc is None else self._inner.rollback
        await wait(self._database._offload(end))
        return exc is self._rolled_back

    def _give_back(self, acquired: Future[None]) -> None:
        if acquired.exception() is None:
            self._inner.rollback()


async def _beside(workers: Workers, call: Callable[[], T]) -> T:
    """Run a call on a worker made for it."""
    worker = workers.serial("settee-open")
    future: Future[T] = Future()
    worker.submit(partial(run, future, call))
    try:
        return await wait(future)
    finally:
        worker.submit(worker.close)
