"""How documents are written: as steps that both skins run (see `settee.db.steps`)."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from settee.db.document import Document
from settee.db.models import DataclassInstance, fields_of, is_model
from settee.db.steps import Begin, Steps, Wait, Work, Write, run_here
from settee.db.values import Encoded, encode, encode_many, encode_plain_many
from settee.doc.records import DELETED
from settee.errors import ConfigError, ConflictError, InvalidDocumentError, NotFoundError
from settee.ids import are_plain_document_ids, check_document_id
from settee.limits import SAVE_BATCH_BYTES_MAX, SAVE_BATCH_REVISIONS_MAX
from settee.store import documents
from settee.store.documents import Edit

if TYPE_CHECKING:
    from settee.db.collection import Collection, OnConflict
    from settee.store.blobs import BlobStore
    from settee.store.documents import Saved, StoredDocument
    from settee.store.writer import Writer

__all__ = ["delete", "expire", "moment_of_ms", "purge", "save", "save_many"]

_ATTEMPTS_MAX: Final = 100
"""Calls of a conflict handler for one save: more means that it can't win."""

_BATCHES_BEGUN_MAX: Final = 4
"""Batches at the store at once: it commits two together, and has the next two when it is done."""

_CHUNK_COUNT: Final = 100
"""Documents of a batch that are encoded in one go, and whose blobs become durable together."""

_edit: Final = cast("Callable[[tuple[Any, ...]], Edit]", partial(tuple.__new__, Edit))
_BODY: Final = itemgetter(1)
_TOMBSTONE: Final = b"{}"
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MILLISECOND: Final = datetime.timedelta(milliseconds=1)


Body = Mapping[str, Any] | DataclassInstance
"""The values of a document: a mapping, or an instance of a dataclass."""

Item = Document | tuple[str, Body] | Body
"""What `Collection.save_many` takes."""


# --- one document ---------------------------------------------------------------------------------


def save(
    collection: Collection,
    document: Document | Body,
    on_conflict: OnConflict,
    id: str | None = None,
) -> Steps[Document]:
    """The steps of `Collection.save`."""
    collection._check()
    _check_on_conflict(on_conflict)
    if not isinstance(document, Document):
        document = _named(document, id)
    elif id is not None:
        raise ConfigError("id", "can't be given with a Document, which has its own")
    _check_home(collection, document)
    blobs = collection._database._store.blobs
    doc_id = document._id or _new_id(collection)
    for _ in range(_ATTEMPTS_MAX):
        encoded = yield from encode(blobs, document._id, document._body)
        expect = None if on_conflict == "overwrite" else document._tid
        edit = Edit(doc_id, encoded.body, False, encoded.blobs, expect)
        try:
            saved = yield from _write(blobs, encoded.blobs, _saving(collection, [edit]))
        except ConflictError:
            if not callable(on_conflict):
                raise
            yield from _settle(collection, document, doc_id, on_conflict)
        else:
            _adopt(collection, document, saved[0])
            return document
    raise ConflictError(
        f"the document {doc_id!r} was changed {_ATTEMPTS_MAX} times by others while the conflict "
        "handler merged; nothing was stored"
    )


def _named(body: Body, id: str | None) -> Document:
    """Make a new document of what was given to `save` in place of one."""
    if not isinstance(body, Mapping) and not is_model(body):
        raise InvalidDocumentError(
            "save takes a Document, or a mapping or an instance of a dataclass with its id, not "
            f"{type(body).__name__}"
        )
    if id is None:
        raise ConfigError(
            "id",
            f"must be given to save {type(body).__name__} under; "
            "add(...) saves it under a new, random one",
        )
    return Document(id, body)


def delete(
    collection: Collection, document: Document | str, on_conflict: OnConflict
) -> Steps[None]:
    """The steps of `Collection.delete`."""
    collection._check()
    _check_on_conflict(on_conflict)
    if isinstance(document, str):
        if on_conflict != "overwrite":
            raise ConfigError("on_conflict", "needs a Document, to know which revision was read")
        document = Document(document)
    elif not isinstance(document, Document):
        raise InvalidDocumentError(
            f"delete takes a Document or its ID, not {type(document).__name__}"
        )
    _check_home(collection, document)
    key, doc_id = collection._key, document._id
    if not doc_id:
        raise NotFoundError("this document was never saved, so it can't be deleted")
    for _ in range(_ATTEMPTS_MAX):
        expect = None if on_conflict == "overwrite" else document._tid
        edit = Edit(doc_id, _TOMBSTONE, True, (), expect)

        def job(writer: Writer, edit: Edit = edit) -> list[Saved]:
            row = _live(collection, writer, doc_id)
            if row.expires is not None:  # A tombstone must live until all peers have it.
                documents.expire(writer, key, doc_id, None)
            return documents.save(writer, key, [edit])

        try:
            saved = yield Write(job)
        except ConflictError:
            if not callable(on_conflict):
                raise
            yield from _settle(collection, document, doc_id, on_conflict)
        else:
            _adopt(collection, document, saved[0])
            document._deleted = True
            return
    raise ConflictError(
        f"the document {doc_id!r} was changed {_ATTEMPTS_MAX} times by others while the conflict "
        "handler decided; nothing was deleted"
    )


def _settle(
    collection: Collection,
    document: Document,
    doc_id: str,
    handler: Callable[[Document, Document | None], bool],
) -> Steps[None]:
    """Let the handler merge what is stored into `document`, which then stands on top of it."""
    with collection._database._reading() as reader:
        row = documents.get(reader, collection._key, doc_id)
    current = collection._documents_of([row])[0] if row and not row.flags & DELETED else None
    merged = yield Work(lambda: handler(document, current))
    if not merged:
        raise ConflictError(
            f"the document {doc_id!r} was changed by others and the conflict handler gave up; "
            "nothing was stored"
        )
    document._tid = row.tid if row else ""


def _adopt(collection: Collection, document: Document, saved: Saved) -> None:
    document._id, document._seq, document._tid = saved.doc_id, saved.seq, saved.tid
    document._deleted = False
    document._collection = collection


def _saving(collection: Collection, edits: list[Edit]) -> Callable[[Writer], list[Saved]]:
    def job(writer: Writer) -> list[Saved]:
        # What has expired is gone; saved again it would be a new document, that stays.
        collection._purge_overdue(writer)
        return documents.save(writer, collection._key, edits)

    return job


def _write(
    blobs: BlobStore, digests: Iterable[str], job: Callable[[Writer], list[Saved]]
) -> Steps[list[Saved]]:
    """Write rows that name blobs: the content must be there, and stay until the rows commit."""
    with _kept(blobs, digests):
        saved: list[Saved] = yield Write(job)
        return saved


@contextlib.contextmanager
def _kept(blobs: BlobStore, digests: Iterable[str]) -> Iterator[None]:
    """Keep blobs from being collected. Raises InvalidDocumentError if one isn't there."""
    named = list(dict.fromkeys(digests))
    if not named:
        yield
        return
    release = blobs.lease(named)
    try:
        missing = blobs.missing(named)
        if missing:
            raise InvalidDocumentError(
                f"the document names the blob {missing[0]}, whose content is not in this "
                "database; put a Blob in its place"
            )
        yield
    finally:
        release()


# --- many -----------------------------------------------------------------------------------------


class _Prepared(NamedTuple):
    """A batch for the writer."""

    documents: list[Document | None]
    edits: list[Edit]
    body_bytes: int


class _Running(NamedTuple):
    """A batch that the writer has."""

    batch: _Prepared
    future: Future[list[Saved]]
    kept: contextlib.ExitStack


def save_many(collection: Collection, items: Iterable[Item]) -> Steps[int]:
    """The steps of `Collection.save_many`: while one batch commits the next is prepared."""
    collection._check()
    blobs = collection._database._store.blobs
    source = iter(items)
    running: deque[_Running] = deque()
    count = 0
    try:
        while (batch := (yield from _next_batch(collection, source))).edits:
            if len(running) >= _BATCHES_BEGUN_MAX:
                count += yield from _finish_oldest(collection, running)
            with contextlib.ExitStack() as kept:
                kept.enter_context(_kept(blobs, [d for edit in batch.edits for d in edit.blobs]))
                future = yield Begin(_saving(collection, batch.edits))
                running.append(_Running(batch, future, kept.pop_all()))
        while running:
            count += yield from _finish_oldest(collection, running)
    except BaseException:
        while running:  # What was begun is stored; its futures are read.
            with contextlib.suppress(Exception):
                yield from _finish_oldest(collection, running)
        raise
    return count


def _finish_oldest(collection: Collection, running: deque[_Running]) -> Steps[int]:
    batch, future, kept = running.popleft()
    with kept:
        saved: list[Saved] = yield Wait(future)
    for document, row in zip(batch.documents, saved, strict=True):
        if document is not None:
            _adopt(collection, document, row)
    return len(saved)


def _next_batch(collection: Collection, source: Iterator[Item]) -> Steps[_Prepared]:
    """Take and encode items until they make a batch; blobs become durable in pieces of it."""
    blobs = collection._database._store.blobs
    batch = _Prepared([], [], 0)
    while len(batch.edits) < SAVE_BATCH_REVISIONS_MAX and batch.body_bytes < SAVE_BATCH_BYTES_MAX:
        chunk = list(itertools.islice(source, _CHUNK_COUNT))
        if not chunk:
            break
        edits: list[Edit] | None = yield Work(partial(_plain_edits, chunk))
        if edits is not None:
            batch.edits.extend(edits)
            batch.documents.extend([None] * len(edits))
            size = sum(map(len, map(_BODY, edits)))
            batch = batch._replace(body_bytes=batch.body_bytes + size)
            continue
        taken = [_item(collection, item) for item in chunk]
        named = [(doc_id, body) for doc_id, body, _ in taken]
        encoded: list[Encoded] = yield Work(partial(_encode_here, blobs, named))
        for (doc_id, _, document), each in zip(taken, encoded, strict=True):
            batch.edits.append(Edit(doc_id, each.body, False, each.blobs, None))
            batch.documents.append(document)
        batch = batch._replace(
            body_bytes=batch.body_bytes + sum(len(each.body) for each in encoded)
        )
    return batch


def _plain_edits(chunk: list[Any]) -> list[Edit] | None:
    """Make the edits of pairs of ID and dict, all plain; None: `_item` looks at each.

    Most that is saved in bulk is such, and then this costs a quarter of looking.
    """
    if set(map(type, chunk)) != {tuple} or set(map(len, chunk)) != {2}:
        return None
    doc_ids, values = zip(*chunk, strict=True)
    if set(map(type, values)) != {dict} or not are_plain_document_ids(doc_ids):
        return None
    made = encode_plain_many(values)
    if made is None:
        return None
    return list(map(_edit, zip(doc_ids, made, repeat(False), repeat(()), repeat(None))))


def _encode_here(blobs: BlobStore, named: list[tuple[str, Mapping[str, Any]]]) -> list[Encoded]:
    return run_here(encode_many(blobs, named))


def _item(collection: Collection, item: Item) -> tuple[str, Mapping[str, Any], Document | None]:
    if isinstance(item, Document):
        _check_home(collection, item)
        return item._id or _new_id(collection), item._body, item
    doc_id, body = item if isinstance(item, tuple) and len(item) == 2 else (None, item)
    if isinstance(body, Document):
        body = body._body
    elif not isinstance(body, Mapping) and is_model(body):
        body = fields_of(body)
    if isinstance(body, Mapping):
        return _new_id(collection) if doc_id is None else check_document_id(doc_id), body, None
    raise InvalidDocumentError(
        "save_many takes Document objects, bodies, or pairs of ID and body; a body is a mapping or "
        f"an instance of a dataclass, not {type(item).__name__}"
    )


# --- purge and expiry -----------------------------------------------------------------------------


def purge(collection: Collection, doc_id: str) -> Steps[None]:
    """The steps of `Collection.purge`."""
    collection._check()
    key = collection._key
    check_document_id(doc_id)

    def job(writer: Writer) -> None:
        if not documents.purge(writer, key, [doc_id]):
            raise collection._missing(doc_id)

    yield Write(job)


def expire(
    collection: Collection, doc_id: str, at: datetime.datetime | datetime.timedelta | None
) -> Steps[None]:
    """The steps of `Collection.expire`."""
    collection._check()
    key = collection._key
    check_document_id(doc_id)
    at_ms = _expiry_ms(at, collection._database._now_ms())

    def job(writer: Writer) -> None:
        _live(collection, writer, doc_id)
        documents.expire(writer, key, doc_id, at_ms)

    yield Write(job)
    if at_ms is not None:
        collection._database._expiry.look()


def _expiry_ms(at: datetime.datetime | datetime.timedelta | None, now_ms: int) -> int | None:
    """Return milliseconds since 1970, rounded up: nothing is purged before its time."""
    if at is None:
        return None
    if isinstance(at, datetime.timedelta):
        return now_ms - (-at // _MILLISECOND)
    if not isinstance(at, datetime.datetime):
        raise InvalidDocumentError(
            f"an expiry is a datetime, a timedelta or None, not {type(at).__name__}"
        )
    if at.utcoffset() is None:
        raise InvalidDocumentError(
            "the expiry's datetime has no time zone; use datetime.now(timezone.utc) + …, "
            "or a timedelta"
        )
    return max(0, -((_EPOCH - at) // _MILLISECOND))


def moment_of_ms(at_ms: int) -> datetime.datetime:
    """Return the moment so many milliseconds after 1970, in UTC."""
    return _EPOCH + at_ms * _MILLISECOND


# --- common ---------------------------------------------------------------------------------------


def _live(collection: Collection, writer: Writer, doc_id: str) -> StoredDocument:
    """Return the row of a document that exists, else raise NotFoundError."""
    row = documents.get(writer, collection._key, doc_id)
    if row is None or row.flags & DELETED or collection._expired(row):
        raise collection._missing(doc_id)
    return row


def _check_home(collection: Collection, document: Document) -> None:
    home = document._collection
    if home is not None and (
        home._key != collection._key or home._database._store is not collection._database._store
    ):
        raise ConfigError(
            "document",
            f"{document._id!r} belongs to {home!r}; to copy it here save a mapping: "
            "collection[id] = document",
        )


def _check_on_conflict(on_conflict: object) -> None:
    if on_conflict not in ("overwrite", "fail") and not callable(on_conflict):
        raise ConfigError(
            "on_conflict", f'must be "overwrite", "fail" or a callable, not {on_conflict!r}'
        )


def _new_id(collection: Collection) -> str:
    return str(uuid.UUID(bytes=collection._database._clock.random_bytes(16), version=4))
