from __future__ import annotations

import asyncio
import contextvars
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from settee.aio import Blob, Database
from settee.db import database as blocking
from settee.errors import (
    ClosedError,
    DatabaseInUseError,
    InvalidNameError,
    NotFoundError,
    TransactionError,
)
from tests.aio.conftest import Play


@dataclasses.dataclass
class Item:
    name: str
    image: Blob | None = None


def test_it_is_opened_by_the_with_or_the_await_and_not_before(tmp_path: Path) -> None:
    async def scene() -> None:
        db = Database("app", directory=tmp_path)
        assert (db.name, db.path, db.durability) == ("app", tmp_path / "app.settee", "full")
        assert not await Database.exists("app", tmp_path)
        with pytest.raises(ClosedError, match="not open yet"):
            await db.collections()
        assert await db is db
        assert await db is db
        assert await Database.exists("app", tmp_path)
        with pytest.raises(DatabaseInUseError):
            await Database.delete("app", tmp_path)
        assert not db.read_only
        await db.close()
        await db.close()
        with pytest.raises(ClosedError):
            await db.collection("x")
        await Database.delete("app", tmp_path)
        with pytest.raises(NotFoundError):
            async with Database("app", directory=tmp_path, create=False):
                pass
        with pytest.raises(InvalidNameError):
            Database("a b")

    asyncio.run(scene())


def test_closing_what_was_never_opened_does_nothing(tmp_path: Path) -> None:
    asyncio.run(Database("app", directory=tmp_path).close())
    assert list(tmp_path.iterdir()) == []


def test_collections_are_the_async_ones_and_stay_the_same(play: Play) -> None:
    async def scene(db: Database) -> None:
        items = await db.collection("shop.items", create=True)
        assert await db.collection("shop.items") is items
        assert await db.collections() == [db.default_collection, items]
        assert await db.scopes() == ["_default", "shop"]
        assert items.database is db
        assert (items.full_name, items.scope, items.name) == ("shop.items", "shop", "items")
        await db.delete_collection("shop.items")
        with pytest.raises(NotFoundError):
            await db.collection("shop.items")
        with pytest.raises(ClosedError, match="deleted"):
            await items.get("a")

    play(scene)


def test_a_transaction_sees_its_writes_and_others_wait(play: Play) -> None:
    async def scene(db: Database) -> None:
        items = db.default_collection
        order: list[str] = []
        begun = asyncio.Event()

        async def other() -> None:
            await begun.wait()
            order.append("asks")
            assert not await items.contains("a")
            await items.put("other", {})
            order.append("other")

        task = asyncio.create_task(other())  # Out here: inside it would belong to the transaction.
        async with db.transaction():
            begun.set()
            await asyncio.sleep(0)
            await items.put("a", {"n": 1})
            assert [each async for each in items] == ["a"]
            assert [each["n"] async for each in items.documents()] == [1]
            assert await items.save_many([("b", {}), ("c", {})]) == 2
            assert await items.count() == 3
            order.append("mine")
        await task
        assert order == ["asks", "mine", "other"]
        assert [each async for each in items] == ["a", "b", "c", "other"]

    play(scene)


def test_an_exception_or_a_rollback_undoes_all(play: Play) -> None:
    async def scene(db: Database) -> None:
        items = db.default_collection

        async def fail_in_the_middle() -> None:
            async with db.transaction():
                await items.put("a", {})
                raise RuntimeError("mine")

        with pytest.raises(RuntimeError, match="mine"):
            await fail_in_the_middle()
        async with db.transaction() as transaction:
            await items.put("b", {})
            transaction.rollback()
        assert await items.count() == 0

    play(scene)


def test_a_task_cancelled_while_it_waits_for_its_turn_leaves_the_way_free(play: Play) -> None:
    async def scene(db: Database) -> None:
        async def waits() -> None:
            async with db.transaction():
                raise AssertionError("it was cancelled")

        async with db.transaction():
            # A copy of the context would make the other transaction nested.
            task = asyncio.get_running_loop().create_task(waits(), context=outside)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await db.default_collection.put("a", {})
        async with db.transaction():
            await db.default_collection.put("b", {})
        assert await db.default_collection.count() == 2

    outside = contextvars.copy_context()
    play(scene)


def test_what_would_wait_for_itself_is_refused_inside(play: Play) -> None:
    async def scene(db: Database) -> None:
        async with db.transaction():
            with pytest.raises(TransactionError):
                await db.close()
            with pytest.raises(TransactionError):
                await db.replicate("wss://x/y")

    play(scene)


def test_replicate_runs_beside_the_loop(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    class Above:
        def replicate(self, db: Any, target: Any, **options: Any) -> Any:
            return (db, target, options)

    monkeypatch.setattr(blocking.Database, "_replication", Above())

    async def scene(db: Database) -> None:
        result = await db.replicate("wss://x/y", continuous=False)
        assert result == (db._blocking, "wss://x/y", {"continuous": False})

    play(scene)


@pytest.mark.feature("TX-01")
def test_transactions_nest(play: Play) -> None:
    async def scene(db: Database) -> None:
        items = db.default_collection
        async with db.transaction():
            await items.put("a", {})
            async with db.transaction() as inner:
                await items.put("b", {})
                inner.rollback()
            async with db.transaction():
                await items.put("c", {})
        assert [each async for each in items] == ["a", "c"]
        async with db.transaction() as outer, db.transaction():
            made = await db.collection("x", create=True)
            outer.rollback()
        with pytest.raises(ClosedError, match="deleted"):
            await made.put("a", {})

    play(scene)


@pytest.mark.feature("MNT-01", "MNT-02", "MNT-03", "BLOB-08")
def test_maintenance_and_blobs_by_themselves(play: Play) -> None:
    async def scene(db: Database) -> None:
        blob = await db.save_blob(Blob.from_bytes(b"picture", "image/png"))
        found = await db.get_blob(blob.properties)
        assert found is not None
        assert await found.read() == b"picture"
        assert await db.get_blob("sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00=") is None
        await db.default_collection.put("a", {"image": blob})
        await db.reindex()
        await db.optimize()
        assert (await db.compact()).blobs_removed == 0
        assert await db.check() == await db.check(blobs=False) == []
        async with db.transaction():
            with pytest.raises(TransactionError):
                await db.compact()

    play(scene)


@pytest.mark.feature("DB-10", "PRE-01")
def test_a_database_is_copied_and_a_prebuilt_one_opened(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Database("prebuilt", directory=tmp_path) as db:
            await db.default_collection.put("a", {"n": 1})
            assert await Database.copy(db, "copy", directory=tmp_path) == tmp_path / "copy.settee"
            original = db.uuid
        for _ in range(2):
            opening = Database.open_prebuilt("app", db.path, directory=tmp_path / "home")
            async with opening as app:
                assert app.path == tmp_path / "home" / "app.settee"
                assert app.uuid != original
                assert (await app.default_collection["a"])["n"] == 1

    asyncio.run(scene())


@pytest.mark.feature("DOC-25")
def test_dataclasses_are_saved_and_read(play: Play) -> None:
    async def scene(db: Database) -> None:
        items = db.default_collection
        apples = Item("Apples", Blob.from_bytes(b"red"))
        await items.save(apples, id="apples")
        await items.put("again", apples)
        assert await items.save_many([("third", apples)]) == 1
        for each in ("apples", "again", "third"):
            found = await items.get(each, as_=Item)
            assert found is not None
            assert found.image is not None
            assert (found.name, await found.image.read()) == ("Apples", b"red")
        assert await items.get("none", 5, as_=Item) == 5

    play(scene)


@pytest.mark.feature("TX-01")
def test_a_task_cannot_write_into_the_nested_transaction_of_another(play: Play) -> None:
    """Its rollback would undo that write, and nobody would know."""

    async def scene(db: Database) -> None:
        items = db.default_collection
        inside, tried = asyncio.Event(), asyncio.Event()

        async def nests() -> None:
            async with db.transaction() as inner:
                await items.put("undone", {})
                await asyncio.create_task(writes_inside())
                inside.set()
                await tried.wait()
                inner.rollback()

        async def writes_inside() -> None:
            await items.put("inside", {})

        async with db.transaction():
            task = asyncio.create_task(nests())
            await inside.wait()
            for attempt in (items.put("lost", {}), db.transaction().__aenter__()):
                with pytest.raises(TransactionError, match="another task"):
                    await attempt
            tried.set()
            await task
            await items.put("kept", {})
        assert [each async for each in items] == ["kept"]

    play(scene)
