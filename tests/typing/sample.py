"""A program that uses the public interface widely, for type checkers: `mypy --strict`, pyright.

It is checked, not run: `assert_type` says what a program may rely on, in both skins.
"""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypedDict, assert_type

from settee import (
    OTHER_KEYS,
    Activity,
    BasicAuthenticator,
    Blob,
    Browser,
    CertificateInfo,
    Changes,
    Collection,
    CollectionChange,
    Compacted,
    Database,
    Document,
    DocumentChange,
    DocumentError,
    DocumentsReplicated,
    HashedUsers,
    ListenerConnection,
    ListenerPasswordAuthenticator,
    ListenerStatus,
    NotFoundError,
    PeerFound,
    PeerGone,
    Problem,
    Progress,
    Refusal,
    ReplicationResult,
    Replicator,
    ReplicatorStatus,
    SetteeError,
    Subscription,
    SyncError,
    TLSIdentity,
    Transaction,
    URLEndpointListener,
    aio,
    browse,
)


@dataclasses.dataclass
class Item:
    """A dataclass to store."""

    name: str
    quantity: int = 0
    picture: Blob | None = None
    since: datetime.datetime | None = None
    others: dict[str, Any] = dataclasses.field(default_factory=dict, metadata=OTHER_KEYS)


class Price(TypedDict):
    """A typed dict to read as."""

    euros: float


# --- the database ---------------------------------------------------------------------------------


def databases(path: Path) -> None:
    """Open, ask, copy, delete."""
    with Database("app", directory=path, durability="normal") as db:
        assert_type(db, Database)
        assert_type(db.name, str)
        assert_type(db.path, Path)
        assert_type(db.read_only, bool)
        assert_type(db.uuid, uuid.UUID)
        assert_type(db.default_collection, Collection)
        assert_type(db.collections(), list[Collection])
        assert_type(db.scopes(), list[str])
        assert_type("shop.items" in db, bool)
        assert_type(db.compact(), Compacted)
        assert_type(db.check(blobs=False), list[Problem])
        assert_type(db.get_blob("sha1-x"), Blob | None)
        assert_type(Database.copy(db, path / "copy"), Path)
    assert_type(Database.open_prebuilt("app", path / "shipped"), Database)
    assert_type(Database.exists("app"), bool)
    Database.delete(path / "copy")


def documents(items: Collection) -> None:
    """Read and write in every form."""
    items["a"] = {"n": 1, "nested": {"list": [1, 2.5, None, True, "x"]}}
    items["b"] = Item("apples", 10, Blob.from_bytes(b"x"))
    assert_type(items["a"], Document)
    assert_type(items.get("a"), Document | None)
    assert_type(items.get("a", 5), Document | int)
    assert_type(items.get("a", as_=Item), Item | None)
    assert_type(items.get("a", 5, as_=Item), Item | int)
    assert_type(items.get("a", as_=Price), Price | None)
    assert_type(items["a"].as_(Item), Item)
    assert_type(items.add({"n": 1}), Document)
    assert_type(items.put("c", Item("corn")), Document)
    assert_type(items.save(Document("d", {"n": 1}), on_conflict="fail"), Document)
    assert_type(items.save(Item("eggs"), id="e"), Document)
    assert_type(items.save_many([("x", {}), {"n": 1}, Document("y"), Item("z")]), int)
    assert_type(len(items), int)
    assert_type("a" in items, bool)
    assert_type(list(items), list[str])
    assert_type(items.documents(), Iterator[Document])
    assert_type(items.expiry("a"), datetime.datetime | None)
    items.expire("a", datetime.timedelta(days=1))
    items.save(items["a"], on_conflict=lambda document, stored: stored is not None)
    items.delete("a", on_conflict="fail")
    del items["b"]


def one_document(document: Document) -> None:
    """What a document tells."""
    assert_type(document.id, str)
    assert_type(document.sequence, int)
    assert_type(document.revision, str)
    assert_type(document.deleted, bool)
    assert_type(document.date("since"), datetime.datetime | None)
    assert_type(document.to_dict(), dict[str, Any])
    assert_type(document.to_json(), str)
    assert_type(Document.from_json("{}"), Document)
    document["n"] = 1
    document.update(m=2)


def blobs(path: Path) -> None:
    """In and out."""
    blob = Blob.from_file(path, content_type="image/png")
    assert_type(blob, Blob)
    assert_type(blob.read(), bytes)
    assert_type(blob.digest, str | None)
    assert_type(blob.length, int | None)
    assert_type(blob.properties, dict[str, object])
    with blob.open() as stream:
        assert_type(stream, BinaryIO)
    blob.save_to(path)


def transactions(db: Database) -> None:
    """A rollback ends the block."""
    with db.transaction() as transaction:
        assert_type(transaction, Transaction)
        transaction.rollback()


def changes(db: Database, items: Collection) -> None:
    """Callbacks and iterators."""

    def told(change: CollectionChange) -> None:
        assert_type(change.document_ids, tuple[str, ...])
        assert_type(change.sequence, int)

    with items.on_change(told) as subscription:
        assert_type(subscription, Subscription)
    db.on_change(told).remove()
    assert_type(items.changes(since=0), Changes[CollectionChange])
    with items.document_changes("a") as one:
        for change in one:
            assert_type(change, DocumentChange)
            assert_type(change.document_id, str)


# --- peers ----------------------------------------------------------------------------------------


def listening(db: Database, users: HashedUsers) -> None:
    """The passive side."""
    identity = TLSIdentity.self_signed("kitchen")
    assert_type(identity.fingerprint, str)
    assert_type(identity.info, CertificateInfo)
    with URLEndpointListener(
        db,
        port=4984,
        tls_identity=identity,
        authenticator=ListenerPasswordAuthenticator(users),
        advertise=True,
    ) as listener:
        assert_type(listener.urls, list[str])
        assert_type(listener.status, ListenerStatus)
        assert_type(listener.connections, tuple[ListenerConnection, ...])
        assert_type(listener.refusals, tuple[Refusal, ...])
        assert_type(listener.tls_identity, TLSIdentity | None)
        end: Callable[[], None] = listener.on_refused(lambda refusal: print(refusal.reason))
        end()
        listener.stop(final=True)


def replicating(db: Database, target: str) -> None:
    """The active side."""

    def batch(replicated: DocumentsReplicated) -> None:
        for each in replicated.documents:
            assert_type(each.doc_id, str)
            assert_type(each.error, SetteeError | None)

    replicator = Replicator(
        db,
        target,
        replicator_type="push",
        continuous=True,
        collections=["shop.items", db.default_collection],
        authenticator=BasicAuthenticator("bob", "secret"),
        headers={"X-Shop": "1"},
    )
    replicator.on_documents(batch)
    with replicator:
        assert_type(replicator.wait_for("idle", timeout=1.5), bool)
        assert_type(replicator.wait_for(Activity.STOPPED), bool)
        assert_type(replicator.status, ReplicatorStatus)
        assert_type(replicator.status.progress, Progress)
        assert_type(replicator.server_certificate, CertificateInfo | None)
        assert_type(replicator.errors, tuple[DocumentError, ...])
        for status in replicator.statuses():
            assert_type(status.activity, Activity)
    try:
        result = db.replicate(target, replicator_type="pull")
        assert_type(result, ReplicationResult)
        assert_type(result.errors, tuple[DocumentError, ...])
    except SyncError as error:
        assert_type(error.domain, str)
        assert_type(error.code, int)
        assert_type(error.transient, bool)
    except NotFoundError:
        pass


def finding() -> PeerFound | None:
    """Peers on the local network."""
    with browse() as browser:
        assert_type(browser, Browser)
        assert_type(browser.peers, list[PeerFound])
        for event in browser:
            if isinstance(event, PeerGone):
                continue
            assert_type(event, PeerFound)
            assert_type(event.urls, list[str])
        return browser.wait_for(lambda peer: peer.tls is True, timeout=5)


# --- asyncio --------------------------------------------------------------------------------------


async def awaited(target: str) -> None:
    """The same names, awaited."""
    async with aio.Database("app") as db:
        assert_type(db, aio.Database)
        items = await db.collection("shop.items", create=True)
        assert_type(items, aio.Collection)
        assert_type(await items.get("a"), Document | None)
        assert_type(await items.get("a", as_=Item), Item | None)
        assert_type(await items["a"], Document)
        assert_type(await items.put("a", {"n": 1}), Document)
        assert_type(await items.save_many([{"n": 1}]), int)
        assert_type(await items.count(), int)
        async for id in items:
            assert_type(id, str)
        async for document in items.documents():
            assert_type(document, Document)
        async with db.transaction() as transaction:
            assert_type(transaction, aio.Transaction)
        async with items.changes(since=0) as feed:
            async for change in feed:
                assert_type(change, CollectionChange)
        async with aio.URLEndpointListener(db, allow_anonymous=True) as listener:
            assert_type(listener.port, int)
        assert_type(await db.replicate(target), ReplicationResult)
        async with aio.Replicator(db, target) as replicator:
            assert_type(await replicator.wait_for("idle"), bool)
            async for status in replicator.statuses():
                assert_type(status, ReplicatorStatus)
    async with aio.browse() as browser:
        assert_type(browser.peers, list[PeerFound])
