"""A collection of documents: a mapping from ID to `Document`, kept on disk.

Reads run in the caller's thread on a reader of the pool; inside a transaction of that thread they
see its own writes. Writes return when they are committed, durable as the database was opened.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from settee.db import models, saving
from settee.db.blob import Blob
from settee.db.changes import Changes, ChangeSource
from settee.db.document import Document
from settee.db.observer import Batch, CollectionChange, DocumentChange, Subscription
from settee.db.saving import Body
from settee.db.values import decode, decode_many, naming
from settee.doc.records import DELETED
from settee.errors import ClosedError, ConfigError, NotFoundError
from settee.ids import check_document_id, is_document_id
from settee.limits import PAGE_ROWS
from settee.store import documents, feed

if TYPE_CHECKING:
    from settee.db.database import Database
    from settee.store import CollectionRow, Reader, Writer
    from settee.store.documents import StoredDocument

__all__ = ["Collection", "ConflictHandler", "OnConflict"]

D = TypeVar("D")
M = TypeVar("M")

ConflictHandler = Callable[[Document, Document | None], bool]
"""Given the document to save and the stored one (None if deleted), change the first and return
True to save it over the other, or False to give up."""

OnConflict = Literal["overwrite", "fail"] | ConflictHandler
"""What a save does if the stored document is not the one that was read."""


class Collection:
    """A named set of documents of a database; get one by `Database.collection`.

    ``collection["id"]`` reads, ``collection["id"] = {...}`` saves, ``del collection["id"]``
    deletes, ``in``, ``len`` and iteration (over IDs, in their order) do what they say. Safe to use
    from any thread.
    """

    def __init__(self, database: Database, row: CollectionRow) -> None:
        self._database = database
        self._key = row.key
        self._name = row.name
        self._dropped = False
        self._wrap_blob: Callable[[Blob], object] | None = None
        make_face = database._make_face
        self._face: Any = self if make_face is None else make_face(self)

    # --- what it is -------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name without its scope."""
        return self._name.name

    @property
    def scope(self) -> str:
        """The name of the scope, ``_default`` unless given."""
        return self._name.scope

    @property
    def full_name(self) -> str:
        """``scope.name``, as `Database.collection` takes it."""
        return f"{self._name.scope}.{self._name.name}"

    @property
    def database(self) -> Any:
        """The `Database` that this is a collection of, of the same skin."""
        return self._database._face

    @property
    def last_sequence(self) -> int:
        """The number of the latest change; it only rises. Give it to `changes` to go on from."""
        self._check()
        with self._database._reading() as reader:
            return feed.last_seq(reader, self._key)

    def __repr__(self) -> str:
        return f"<Collection {self._name} of {self._database.name!r}>"

    # --- reading ----------------------------------------------------------------------------------

    @overload
    def get(self, id: str) -> Document | None: ...

    @overload
    def get(self, id: str, default: D) -> Document | D: ...

    @overload
    def get(self, id: str, *, as_: type[M]) -> M | None: ...

    @overload
    def get(self, id: str, default: D, *, as_: type[M]) -> M | D: ...

    def get(self, id: str, default: Any = None, *, as_: type[Any] | None = None) -> Any:
        """Return the document `id`, or `default` if there is none.

        With `as_`, a dataclass or a TypedDict, an instance of that (`Document.as_`). Raises
        InvalidNameError if `id` isn't a str, InvalidDocumentError naming the path of a value that
        `as_` has no place for.
        """
        row = self._row(id)
        if row is None:
            return default
        body = decode(row.body, row.flags, self._database._store.blobs, self._wrap_blob)
        if as_ is not None:
            with naming(row.doc_id):
                return models.build(as_, body)
        return Document._stored(self, row.doc_id, body, row.seq, row.tid)

    def __getitem__(self, id: str) -> Document:
        found = self.get(id)
        if found is None:
            raise self._missing(id)
        return found

    def contains(self, id: str) -> bool:
        """Tell whether there is a document `id`."""
        return self._row(id) is not None

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self.contains(id)

    def count(self) -> int:
        """Return the number of documents, without deleted ones."""
        self._check()
        with self._database._reading() as reader:
            count = documents.count(reader, self._key)
            overdue = self._overdue(reader)
            if overdue:
                rows = documents.get_many(reader, self._key, list(overdue))
                count -= sum(1 for row in rows if row is not None and not row.flags & DELETED)
        return count

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return True  # An empty collection is still one.

    def ids(self) -> Iterator[str]:
        """Iterate over the IDs of all documents, in order.

        Reads in pages: a change made meanwhile may or may not be seen, no document comes twice.
        """
        after: str | None = ""
        while after is not None:
            page, after = self._id_page(after)
            yield from page

    def __iter__(self) -> Iterator[str]:
        return self.ids()

    def documents(self) -> Iterator[Document]:
        """Iterate over all documents, in order of their IDs.

        Reads in pages: a change made meanwhile may or may not be seen, no document comes twice.
        """
        after: str | None = ""
        while after is not None:
            page, after = self._document_page(after)
            yield from page

    def _id_page(self, after: str) -> tuple[list[str], str | None]:
        """Return the page of IDs after an ID, and where the next one begins (None: nowhere)."""
        self._check()
        with self._database._reading() as reader:
            page = documents.ids(reader, self._key, after, PAGE_ROWS)
            overdue = self._overdue(reader)
        last = page[-1] if len(page) == PAGE_ROWS else None
        return [doc_id for doc_id in page if doc_id not in overdue] if overdue else page, last

    def _document_page(self, after: str) -> tuple[list[Document], str | None]:
        """Return the page of documents after an ID, and where the next one begins."""
        self._check()
        with self._database._reading(single=True) as reader:
            rows = documents.iterate_rows(reader, self._key, after, PAGE_ROWS)
        last = rows[-1][0] if len(rows) == PAGE_ROWS else None
        if any(row[-1] is not None for row in rows):
            now_ms = self._database._now_ms()
            rows = [row for row in rows if row[-1] is None or row[-1] > now_ms]
        return self._documents_of(rows), last

    def _overdue(self, reader: Reader) -> frozenset[str]:
        """Return the IDs of documents that have expired and are not purged yet: mostly none."""
        # Not by the database's own idea of the next expiry: another process may have set one.
        return frozenset(documents.due(reader, self._key, self._database._now_ms(), 2**31))

    def _purge_overdue(self, writer: Writer) -> None:
        """Purge what has expired, inside a write that must not be lost with it."""
        now_ms = self._database._now_ms()
        while due := documents.due(writer, self._key, now_ms):
            documents.purge(writer, self._key, due)

    def _documents_of(self, rows: Sequence[tuple[Any, ...]]) -> list[Document]:
        """Make documents of rows of the fields of `StoredDocument`."""
        if not rows:
            return []
        doc_ids, seqs, tids, flags, _, bodies, _ = zip(*rows, strict=True)
        values = decode_many(bodies, flags, self._database._store.blobs, self._wrap_blob)
        return list(map(Document._stored, repeat(self), doc_ids, values, seqs, tids))

    # --- writing ----------------------------------------------------------------------------------

    def save(
        self,
        document: Document | Body,
        on_conflict: OnConflict = "overwrite",
        *,
        id: str | None = None,
    ) -> Document:
        """Save a document and return it, with its new sequence and revision.

        An instance of a dataclass, or a mapping, is saved under `id`, as one that was never read.
        `on_conflict` says what happens if the stored document is not the one that `document` was
        read as: ``"overwrite"`` saves over it, ``"fail"`` raises ConflictError and stores nothing,
        a callable is given both (`ConflictHandler`) and may merge. Raises InvalidDocumentError
        naming the path of a value that no peer would take, ConfigError for an `id` too many or too
        few.
        """
        return self._database._drive(saving.save(self, document, on_conflict, id))

    def put(self, id: str, body: Body) -> Document:
        """Save `body` as the document `id`, whatever is stored there; ``collection[id] = body``.

        Raises InvalidNameError, InvalidDocumentError.
        """
        return self.save(Document._of(check_document_id(id), body))

    def __setitem__(self, id: str, body: Body) -> None:
        self.put(id, body)

    def add(self, body: Body) -> Document:
        """Save `body` as a new document with a random ID. Raises InvalidDocumentError."""
        return self.save(Document._of(None, body))

    def save_many(self, items: Iterable[Document | tuple[str, Body] | Body]) -> int:
        """Save many documents, over whatever is stored; return how many.

        `items` are `Document` objects, pairs of ID and body, or bodies that get a random ID; a body
        is a mapping or an instance of a dataclass. They
        are taken and committed in batches, so any number will do; for all or nothing use it in a
        `Database.transaction`. Raises InvalidDocumentError: then earlier batches are stored.
        """
        return self._database._drive(saving.save_many(self, items))

    def delete(self, document: Document | str, on_conflict: OnConflict = "overwrite") -> None:
        """Delete a document, given itself or its ID; peers will delete it too.

        `on_conflict` as for `save`. Raises NotFoundError if there is none.
        """
        self._database._drive(saving.delete(self, document, on_conflict))

    def __delitem__(self, id: str) -> None:
        self.delete(id)

    def purge(self, id: str) -> None:
        """Remove every trace of a document here, and only here: a peer may send it again.

        Raises NotFoundError if there is none.
        """
        self._database._drive(saving.purge(self, id))

    def expire(self, id: str, at: datetime.datetime | datetime.timedelta | None) -> None:
        """Let a document be purged at a time, or (a timedelta) so long from now; None: never.

        Expiry is local, as a purge is. Raises NotFoundError if there is no such document,
        InvalidDocumentError for a datetime without a time zone.
        """
        self._database._drive(saving.expire(self, id, at))

    def expiry(self, id: str) -> datetime.datetime | None:
        """Return when a document will be purged, None if never. Raises NotFoundError."""
        row = self._row(id)
        if row is None:
            raise self._missing(id)
        return None if row.expires is None else saving.moment_of_ms(row.expires)

    # --- changes ----------------------------------------------------------------------------------

    def on_change(self, callback: Callable[[CollectionChange], object]) -> Subscription:
        """Call `callback` after each commit that changed documents here, by whomever.

        It runs on a worker of the database, in order; an exception in it is logged. Commits that
        came while it ran are told as one. What another process, or another `Database` object,
        purges is not told: a purge leaves nothing to be found.
        """
        self._check()
        return self._database._subscribe(self._key, lambda batch: callback(self._change(batch)))

    def on_document_change(
        self, id: str, callback: Callable[[DocumentChange], object]
    ) -> Subscription:
        """Call `callback` after each commit that changed the document `id`, as `on_change` does."""
        self._check()
        check_document_id(id)

        def tell(batch: Batch) -> None:
            if id in batch.ids:
                callback(DocumentChange(self._face, id))

        return self._database._subscribe(self._key, tell)

    def changes(self, since: int | None = None) -> Changes[CollectionChange]:
        """Iterate over changes as they are committed; `next` waits for one.

        With `since`, a sequence, first what has changed after it: nothing is missed, something may
        come twice. Close it, or use it in a ``with``, to stop listening.
        """
        return Changes(self._source(since))

    def document_changes(self, id: str) -> Changes[DocumentChange]:
        """Iterate over the changes of the document `id` as they are committed."""
        return Changes(self._document_source(id))

    def _source(self, since: int | None) -> ChangeSource[CollectionChange]:
        self._check()
        if since is not None and (not isinstance(since, int) or since < 0):
            raise ConfigError("since", f"must be a sequence, 0 or more, not {since!r}")
        return self._database._change_source(self._key, self._change, since=since)

    def _document_source(self, id: str) -> ChangeSource[DocumentChange]:
        self._check()
        make = partial(self._document_change, check_document_id(id))
        return self._database._change_source(self._key, make, document_id=id)

    def _change(self, batch: Batch) -> CollectionChange:
        return CollectionChange(self._face, tuple(batch.ids), batch.sequence)

    def _document_change(self, id: str, _: Batch) -> DocumentChange:
        return DocumentChange(self._face, id)

    # --- for the modules beside -------------------------------------------------------------------

    def _check(self) -> None:
        self._database._check()
        if self._dropped:
            raise ClosedError(f"the collection {self._name} was deleted; get it again to use it")

    def _row(self, id: str) -> StoredDocument | None:
        """Read the row of a document that is there for the application."""
        if not is_document_id(id if isinstance(id, str) else check_document_id(id)):
            return None  # A name that nothing can have.
        self._check()
        with self._database._reading(single=True) as reader:
            row = documents.get(reader, self._key, id)
        return None if row is None or row.flags & DELETED or self._expired(row) else row

    def _expired(self, row: StoredDocument) -> bool:
        return row.expires is not None and row.expires <= self._database._now_ms()

    def _missing(self, id: str) -> NotFoundError:
        return NotFoundError(f"there is no document {id[:240]!r} in the collection {self._name}")
