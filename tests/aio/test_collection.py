from __future__ import annotations

import asyncio
import datetime
import threading

import pytest

from settee.aio import CollectionChange, Database, Document
from settee.errors import ConflictError, InvalidDocumentError, NotFoundError
from settee.limits import PAGE_ROWS
from tests.aio.conftest import Play


def test_documents_are_saved_read_and_deleted(play: Play) -> None:
    async def scene(db: Database) -> None:
        items = db.default_collection
        saved = await items.put("a", {"n": 1})
        assert saved.collection is items
        document = await items["a"]
        assert document.collection is items
        document["n"] = 2
        assert (await items.save(document, "fail")).revision.startswith("2-")
        assert (await items.get("a")) == {"n": 2}
        assert await items.get("none") is None
        assert await items.get("none", 5) == 5
        assert await items.contains("a")
        added = await items.add({"n": 3})
        assert await items.count() == 2
        await items.delete(added)
        await items.purge("a")
        assert await items.count() == 0
        assert items.last_sequence == 4
        for gone in (items["a"], items.delete("a"), items.purge("a"), items.expiry("a")):
            with pytest.raises(NotFoundError):
                await gone
        with pytest.raises(InvalidDocumentError, match="'a': x: nan"):
            await items.put("a", {"x": float("nan")})

    play(scene)


@pytest.mark.parametrize("count", [0, 1, PAGE_ROWS, PAGE_ROWS + 1, 2100])
def test_many_are_saved_and_iterated(play: Play, count: int) -> None:
    async def scene(db: Database) -> None:
        items = db.default_collection
        assert await items.save_many((f"{n:05}", {"n": n}) for n in range(count)) == count
        assert [each async for each in items] == [f"{n:05}" for n in range(count)]
        assert [each["n"] async for each in items.documents()] == list(range(count))
        assert [each async for each in items.ids()] == [each async for each in items]

    play(scene)


def test_a_conflict_handler_runs_on_a_worker_never_on_the_loop(play: Play) -> None:
    async def scene(db: Database) -> None:
        items = db.default_collection
        mine = await items.put("a", {"n": 1})
        await items.put("a", {"n": 5})
        threads: list[threading.Thread] = []

        def merge(document: Document, current: Document | None) -> bool:
            assert current is not None
            threads.append(threading.current_thread())
            document["n"] += current["n"]
            return True

        with pytest.raises(ConflictError):
            await items.save(mine, "fail")
        await items.save(mine, merge)
        assert (await items["a"])["n"] == 6
        assert threads[0] is not threading.current_thread()

    play(scene)


def test_a_write_that_was_begun_is_stored_though_its_task_is_cancelled(play: Play) -> None:
    async def scene(db: Database) -> None:
        items = db.default_collection
        held, go_on = threading.Event(), threading.Event()

        def hold(_: object) -> bool:
            held.set()
            return go_on.wait(10)

        waiting = db._blocking._store.submit(hold)
        held.wait(10)
        task = asyncio.create_task(items.put("a", {"n": 1}))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        await asyncio.wrap_future(waiting)
        await items.put("b", {})
        assert await items.contains("a")

    play(scene)


def test_many_tasks_share_commits(play: Play) -> None:
    async def scene(db: Database) -> None:
        items = db.default_collection
        commits: list[int] = []
        db._blocking._store.on_commit(lambda commit: commits.append(len(commit.changes)))
        await asyncio.gather(*(items.put(f"{n}", {"n": n}) for n in range(200)))
        assert await items.count() == 200
        await items.put("last", {})
        assert len(commits) < 100

    play(scene)


def test_expiry_is_set_and_told(play: Play) -> None:
    async def scene(db: Database) -> None:
        items = db.default_collection
        await items.put("a", {})
        at = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
        await items.expire("a", at)
        assert await items.expiry("a") == at

    play(scene)


def test_callbacks_get_the_async_collection(play: Play) -> None:
    async def scene(db: Database) -> None:
        items = db.default_collection
        told: asyncio.Queue[object] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def tell(change: object) -> None:
            loop.call_soon_threadsafe(told.put_nowait, change)

        with items.on_change(tell), db.on_change(tell), items.on_document_change("a", tell):
            await items.put("a", {})
            for _ in range(3):
                change = await told.get()
                assert isinstance(change, tuple)
                assert change[0] is items
        assert isinstance(change, tuple)
        assert CollectionChange.__name__ == "CollectionChange"

    play(scene)
