"""What of the application runs inside a replication: filters and conflict resolvers.

Runs on a worker of its own, never on the loop or inside a transaction, so it may take its time. A
filter that raises an error rejects nothing and stops the session; a resolver that does leaves its
conflict open, to be met again at the next start.
"""

from __future__ import annotations

import asyncio
import enum
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from settee.db.document import Document
from settee.db.values import decode, encode
from settee.doc import body as bodies
from settee.doc import conflict
from settee.doc.records import DELETED, HAS_BLOBS, Applied, Outcome, RevisionIn, Settlement
from settee.errors import ConflictError, InvalidDocumentError, SetteeError, UsageError
from settee.ids import CollectionName
from settee.logs import room_log
from settee.store import documents, revisions
from settee.sync.options import CollectionOptions

if TYPE_CHECKING:
    from settee.db.collection import Collection
    from settee.db.database import Database

__all__ = [
    "AccessRequest",
    "Authorize",
    "CollectionConfig",
    "Conflict",
    "ConflictResolver",
    "DocumentFlags",
    "Guard",
    "Hooks",
    "ReplicationFilter",
    "protocol_options",
]

_log = room_log("peer")

_ATTEMPTS_MAX: Final = 10
"""How often a resolver is asked about one document that keeps being changed meanwhile."""


class DocumentFlags(enum.Flag):
    """What a filter is told besides the document."""

    NONE = 0
    DELETED = 1
    """It is a deletion; the document is empty, or what the tombstone holds."""
    ACCESS_REMOVED = 2
    """The peer took the access away; the document is empty. False keeps the local one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two revisions of one document, neither made on the other."""

    document_id: str
    collection: CollectionName
    local: Document | None
    """What is here; None if it was deleted."""
    remote: Document | None
    """What came from the peer; None if it was deleted there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequest:
    """What a listener's `authorize` is asked: may this user read, or write, this document?

    Who replaces a document must be allowed to write both what is there and what it becomes; who
    deletes one, what is there. A tombstone that is to be read is an empty document with the flag
    DELETED: all that a peer learns is the ID.
    """

    user: str | None
    """Who asks, by its password or certificate; None if it is anonymous."""
    collection: CollectionName
    document: Document
    """As it is here, or, to write, as it is to become."""
    flags: DocumentFlags
    """DELETED: it is deleted, or to be."""
    write: bool


Authorize = Callable[[AccessRequest], bool]
ReplicationFilter = Callable[[Document, DocumentFlags], bool]
Resolution = Document | Mapping[str, Any] | None
ConflictResolver = Callable[[Conflict], Resolution | Awaitable[Resolution]]
"""Returns `conflict.local` or `conflict.remote` as they are, a merge of them, or None to delete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionConfig:
    """A collection to replicate, with what holds for it alone."""

    collection: str
    """Its name, such as ``"shop.items"``."""
    document_ids: Sequence[str] | None = None
    """Only these documents, in both directions; None: all."""
    channels: Sequence[str] | None = None
    """Pull only what is in these channels. Of Sync Gateway; other peers refuse them."""
    push_filter: ReplicationFilter | None = None
    """Push only documents for which it returns true."""
    pull_filter: ReplicationFilter | None = None
    """Take only documents for which it returns true."""
    conflict_resolver: ConflictResolver | None = None
    """Decides conflicts; None: the default rule."""


def protocol_options(config: CollectionConfig) -> CollectionOptions:
    """Return what the protocol has to know of a collection's configuration."""
    ids = config.document_ids
    return CollectionOptions(
        document_ids=None if ids is None else tuple(ids),
        channels=tuple(config.channels or ()),
        push_filter=config.push_filter is not None,
        pull_filter=config.pull_filter is not None,
        resolver=config.conflict_resolver is not None,
    )


class Hooks:
    """The application's part in one replication. Its methods run on the hooks worker."""

    def __init__(self, db: Database, configs: Sequence[CollectionConfig]) -> None:
        self._db = db
        self._store = db._store
        self._configs = list(configs)

    # --- filters ----------------------------------------------------------------------------------

    def filter_push(self, index: int, doc_ids: Sequence[str]) -> list[bool]:
        """Tell which documents the push filter lets out."""
        accept = self._configs[index].push_filter
        assert accept is not None, "asked only where there is a filter"
        collection = self._collection(index)
        with self._store.reader() as reader:
            rows = documents.get_many(reader, collection._key, doc_ids)
        result = []
        for doc_id, row in zip(doc_ids, rows, strict=True):
            if row is None:
                result.append(True)  # Purged meanwhile: the pusher finds out by itself.
                continue
            deleted = bool(row.flags & DELETED)
            document = self._document(collection, doc_id, row.body, row.flags, row.seq, row.tid)
            flags = DocumentFlags.DELETED if deleted else DocumentFlags.NONE
            result.append(bool(accept(document, flags)))
        return result

    def filter_pull(self, index: int, items: Sequence[RevisionIn]) -> list[bool | str]:
        """Tell which revisions the pull filter lets in."""
        accept = self._configs[index].pull_filter
        assert accept is not None, "asked only where there is a filter"
        collection = self._collection(index)
        return [
            bool(
                accept(
                    self._remote_document(collection, item),
                    DocumentFlags.DELETED if item.deleted else DocumentFlags.NONE,
                )
            )
            for item in items
        ]

    def purge(self, index: int, doc_ids: Sequence[str]) -> list[bool]:
        """Purge documents that the peer took away, unless the pull filter keeps them."""
        accept = self._configs[index].pull_filter
        collection = self._collection(index)
        leaving = [
            doc_id
            for doc_id in doc_ids
            if accept is None or accept(Document(doc_id), DocumentFlags.ACCESS_REMOVED)
        ]
        key = collection._key
        with self._store.reader() as reader:
            held = documents.get_many(reader, key, leaving)
        there = {doc_id for doc_id, row in zip(leaving, held, strict=True) if row is not None}
        if there:
            self._store.write(lambda writer: documents.purge(writer, key, there))
        return [doc_id in there for doc_id in doc_ids]

    # --- conflicts --------------------------------------------------------------------------------

    def resolve(
        self, index: int, items: Sequence[RevisionIn], remote: int | None
    ) -> list[Applied | SetteeError]:
        """Have the application decide conflicts, one after another."""
        return [self._resolve_one(index, item, remote) for item in items]

    def _resolve_one(
        self, index: int, item: RevisionIn, remote: int | None
    ) -> Applied | SetteeError:
        collection = self._collection(index)
        key = collection._key
        for _ in range(_ATTEMPTS_MAX):
            with self._store.reader() as reader:
                row = documents.get(reader, key, item.doc_id)
            if row is None:
                settlement = Settlement(item, "", "theirs", b"", False, ())
            else:
                try:
                    settlement = self._decided(index, collection, item, row)
                except SetteeError as exc:
                    return exc
                except Exception as exc:
                    _log.exception("the conflict resolver raised an error for %r", item.doc_id)
                    return UsageError(
                        f"the conflict resolver failed for document {item.doc_id!r}: {exc!r}; the "
                        "conflict stays open until the next start"
                    )
            (applied,) = self._store.write(
                lambda writer, settlement=settlement: revisions.settle(  # type: ignore[misc]
                    writer, key, [settlement], remote=remote
                )
            )
            if applied.outcome is not Outcome.CONFLICT:
                return applied
        return ConflictError(
            f"document {item.doc_id!r} was changed {_ATTEMPTS_MAX} times while its conflict was "
            "being resolved; it stays open until the next start"
        )

    def _decided(
        self, index: int, collection: Collection, item: RevisionIn, row: documents.StoredDocument
    ) -> Settlement:
        resolver = self._configs[index].conflict_resolver
        assert resolver is not None, "asked only where there is a resolver"
        local = None
        if not row.flags & DELETED:
            local = self._document(collection, item.doc_id, row.body, row.flags, row.seq, row.tid)
        theirs = None if item.deleted else self._remote_document(collection, item)
        result = resolver(
            Conflict(
                document_id=item.doc_id,
                collection=collection._name,
                local=local,
                remote=theirs,
            )
        )
        if inspect.isawaitable(result):
            result = asyncio.run(_awaited(result))
        if result is None:
            if local is None:
                return Settlement(item, row.tid, "mine", b"", False, ())
            if theirs is None:
                return Settlement(item, row.tid, "theirs", b"", False, ())
            return Settlement(item, row.tid, "merged", b"{}", True, ())
        if result is local and _unchanged(local, row.body):
            return Settlement(item, row.tid, "mine", b"", False, ())
        if result is theirs and _unchanged(theirs, item.body):
            return Settlement(item, row.tid, "theirs", b"", False, ())
        if isinstance(result, Document) and result.id not in ("", item.doc_id):
            _log.warning(
                "the conflict resolver returned document %r for %r; its body is used",
                result.id,
                item.doc_id,
            )
        if not isinstance(result, Mapping):
            raise InvalidDocumentError(
                f"the conflict resolver returned a {type(result).__name__} for document "
                f"{item.doc_id!r}; return conflict.local, conflict.remote, a mapping or None"
            )
        encoded = self._db._drive(encode(self._store.blobs, item.doc_id, dict(result)))
        return Settlement(item, row.tid, "merged", encoded.body, False, encoded.blobs)

    # --- documents --------------------------------------------------------------------------------

    def _collection(self, index: int) -> Collection:
        return self._db.collection(self._configs[index].collection)

    def _remote_document(self, collection: Collection, item: RevisionIn) -> Document:
        flags = HAS_BLOBS if item.blobs else 0
        tid = item.tid or conflict.name_of(item.vector)
        return self._document(collection, item.doc_id, item.body, flags, 0, tid)

    def _document(
        self, collection: Collection, doc_id: str, body: bytes, flags: int, seq: int, tid: str
    ) -> Document:
        value = decode(body, flags, self._store.blobs, collection._wrap_blob)
        return Document._stored(collection, doc_id, value, seq, tid)


class Guard(Hooks):
    """What a listener's `authorize` decides about one peer."""

    def __init__(
        self,
        db: Database,
        collections: Sequence[CollectionName],
        user: str | None,
        authorize: Authorize,
    ) -> None:
        def asking(collection: CollectionName, write: bool) -> ReplicationFilter:
            def allowed(document: Document, flags: DocumentFlags) -> bool:
                return authorize(
                    AccessRequest(
                        user=user,
                        collection=collection,
                        document=document,
                        flags=flags,
                        write=write,
                    )
                )

            return allowed

        self.configs: Final = tuple(
            CollectionConfig(
                collection=name.path,
                push_filter=asking(name, False),
                pull_filter=asking(name, True),
            )
            for name in collections
        )
        super().__init__(db, self.configs)

    def filter_pull(self, index: int, items: Sequence[RevisionIn]) -> list[bool | str]:
        """Tell which revisions the user may write, and over what: over nothing else they may."""
        may_write = self.configs[index].pull_filter
        assert may_write is not None, "made above"
        collection = self._collection(index)
        with self._store.reader() as reader:
            rows = documents.get_many(reader, collection._key, [item.doc_id for item in items])

        def allowed(item: RevisionIn, row: documents.StoredDocument | None) -> bool | str:
            flags = DocumentFlags.DELETED if item.deleted else DocumentFlags.NONE
            concerned: list[Document] = []
            if row is not None and not row.flags & DELETED:
                concerned.append(
                    self._document(collection, item.doc_id, row.body, row.flags, row.seq, row.tid)
                )
            if not (item.deleted and concerned):
                concerned.append(self._remote_document(collection, item))
            if not all(may_write(document, flags) for document in concerned):
                return False
            return "" if row is None else row.tid

        return [allowed(item, row) for item, row in zip(items, rows, strict=True)]


async def _awaited(work: Awaitable[Resolution]) -> Resolution:
    return await work


def _unchanged(document: Document, body: bytes) -> bool:
    """Whether a document that was handed out is still what it was."""
    return bodies.canonical(document.to_dict()) == bodies.canonical(bodies.load(body))
