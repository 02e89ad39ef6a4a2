from __future__ import annotations

import asyncio
import contextvars
from pathlib import Path
from typing import Any

import pytest

from settee.aio import Database
from settee.db import database as blocking
from settee.errors import (
    ClosedError,
    DatabaseInUseError,
    InvalidNameError,
    NotFoundError,
    TransactionError,
)
from tests.aio.conftest import Play


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

        async def other() -> None:
            order.append("asks")
            assert not await items.contains("a")
            await items.put("other", {})
            order.append("other")

        task = asyncio.create_task(other())
        async with db.transaction():
            await items.put("a", {"n": 1})
            await asyncio.sleep(0)
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
                async with db.transaction():
                    pass
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
