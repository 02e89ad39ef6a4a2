"""A collection whose writes are awaited. Each method says in full what it does in `settee.db`."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from settee.aio.changes import Changes
from settee.aio.driver import drive, read
from settee.db import saving
from settee.db.collection import Collection as Blocking
from settee.db.collection import OnConflict
from settee.db.document import Document
from settee.db.observer import CollectionChange, DocumentChange, Subscription
from settee.db.saving import Body
from settee.db.steps import Steps
from settee.ids import check_document_id

if TYPE_CHECKING:
    from settee.aio.database import Database

__all__ = ["Collection"]

D = TypeVar("D")
M = TypeVar("M")
T = TypeVar("T")


class Collection:
    """A named set of documents of a database; get one by `Database.collection`.

    ``await collection["id"]`` reads and ``async for id in collection`` iterates. Single documents
    are read on the loop, which takes microseconds; scans go to a worker.
    """

    def __init__(self, database: Database, blocking: Blocking) -> None:
        self._database = database
        self._blocking = blocking

    # --- what it is -------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name without its scope."""
        return self._blocking.name

    @property
    def scope(self) -> str:
        """The name of the scope, ``_default`` unless given."""
        return self._blocking.scope

    @property
    def full_name(self) -> str:
        """``scope.name``, as `Database.collection` takes it."""
        return self._blocking.full_name

    @property
    def database(self) -> Database:
        """The `Database` that this is a collection of, of the same skin."""
        return self._database

    @property
    def last_sequence(self) -> int:
        """The number of the latest change; it only rises. Give it to `changes` to go on from."""
        return self._blocking.last_sequence

    def __repr__(self) -> str:
        return repr(self._blocking)

    # --- reading ----------------------------------------------------------------------------------

    @overload
    async def get(self, id: str) -> Document | None: ...

    @overload
    async def get(self, id: str, default: D) -> Document | D: ...

    @overload
    async def get(self, id: str, *, as_: type[M]) -> M | None: ...

    @overload
    async def get(self, id: str, default: D, *, as_: type[M]) -> M | D: ...

    async def get(self, id: str, default: Any = None, *, as_: type[Any] | None = None) -> Any:
        """Return the document `id`, or `default` if there is none."""
        if as_ is None:
            return self._blocking.get(id, default)
        return self._blocking.get(id, default, as_=as_)

    def __getitem__(self, id: str) -> Coroutine[Any, Any, Document]:
        return self._item(id)

    async def _item(self, id: str) -> Document:
        return self._blocking[id]

    async def contains(self, id: str) -> bool:
        """Tell whether there is a document `id`."""
        return self._blocking.contains(id)

    async def count(self) -> int:
        """Return the number of documents, without deleted ones."""
        return self._blocking.count()

    async def ids(self) -> AsyncIterator[str]:
        """Iterate over the IDs of all documents, in order."""
        after: str | None = ""
        while after is not None:
            page, after = await self._read(partial(self._blocking._id_page, after))
            for doc_id in page:
                yield doc_id

    def __aiter__(self) -> AsyncIterator[str]:
        return self.ids()

    async def documents(self) -> AsyncIterator[Document]:
        """Iterate over all documents, in order of their IDs."""
        after: str | None = ""
        while after is not None:
            page, after = await self._read(partial(self._blocking._document_page, after))
            for document in page:
                yield document

    async def _read(self, call: Callable[[], T]) -> T:
        return await read(self._blocking._database, call)

    # --- writing ----------------------------------------------------------------------------------

    async def save(
        self,
        document: Document | Body,
        on_conflict: OnConflict = "overwrite",
        *,
        id: str | None = None,
    ) -> Document:
        """Save a document and return it, with its new sequence and revision."""
        return await self._drive(saving.save(self._blocking, document, on_conflict, id))

    async def put(self, id: str, body: Body) -> Document:
        """Save `body` as the document `id`, whatever is stored there; ``collection[id] = body``."""
        return await self.save(Document._of(check_document_id(id), body))

    async def add(self, body: Body) -> Document:
        """Save `body` as a new document with a random ID. Raises InvalidDocumentError."""
        return await self.save(Document._of(None, body))

    async def save_many(self, items: Iterable[Document | tuple[str, Body] | Body]) -> int:
        """Save many documents, over whatever is stored; return how many."""
        return await self._drive(saving.save_many(self._blocking, items))

    async def delete(self, document: Document | str, on_conflict: OnConflict = "overwrite") -> None:
        """Delete a document, given itself or its ID; peers will delete it too."""
        await self._drive(saving.delete(self._blocking, document, on_conflict))

    async def purge(self, id: str) -> None:
        """Remove every trace of a document here, and only here: a peer may send it again."""
        await self._drive(saving.purge(self._blocking, id))

    async def expire(self, id: str, at: datetime.datetime | datetime.timedelta | None) -> None:
        """Let a document be purged at a time, or (a timedelta) so long from now; None: never."""
        await self._drive(saving.expire(self._blocking, id, at))

    async def expiry(self, id: str) -> datetime.datetime | None:
        """Return when a document will be purged, None if never. Raises NotFoundError."""
        return self._blocking.expiry(id)

    async def _drive(self, steps: Steps[T]) -> T:
        return await drive(self._blocking._database, steps)

    # --- changes ----------------------------------------------------------------------------------

    def on_change(self, callback: Callable[[CollectionChange], object]) -> Subscription:
        """Call `callback` after each commit that changed documents here, by whomever."""
        return self._blocking.on_change(callback)

    def on_document_change(
        self, id: str, callback: Callable[[DocumentChange], object]
    ) -> Subscription:
        """Call `callback` after each commit that changed the document `id`, as `on_change` does."""
        return self._blocking.on_document_change(id, callback)

    def changes(self, since: int | None = None) -> Changes[CollectionChange]:
        """Iterate over changes as they are committed; `next` waits for one."""
        return Changes(self._blocking._database, self._blocking._source(since))

    def document_changes(self, id: str) -> Changes[DocumentChange]:
        """Iterate over the changes of the document `id` as they are committed."""
        return Changes(self._blocking._database, self._blocking._document_source(id))
