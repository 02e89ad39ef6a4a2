from __future__ import annotations

import asyncio

from settee.aio import CollectionChange, Database, DocumentChange
from settee.limits import PAGE_ROWS
from tests.aio.conftest import Play


def test_changes_come_as_they_are_committed(play: Play) -> None:
    async def scene(db: Database) -> None:
        items = db.default_collection
        async with (
            items.changes() as changes,
            db.changes() as everything,
            items.document_changes("b") as of_b,
        ):
            await items.put("a", {})
            assert await anext(changes) == CollectionChange(items, ("a",), 1)
            assert await anext(everything) == CollectionChange(items, ("a",), 1)
            waiting = [asyncio.create_task(anext(each)) for each in (of_b, changes)]
            await asyncio.sleep(0)
            assert not any(each.done() for each in waiting)
            await items.put("b", {})
            assert await waiting[0] == DocumentChange(items, "b")
            assert await waiting[1] == CollectionChange(items, ("b",), 2)

    play(scene)


def test_since_gives_the_past_first(play: Play) -> None:
    async def scene(db: Database) -> None:
        items = db.default_collection
        await items.save_many((f"{n:05}", {}) for n in range(PAGE_ROWS + 5))
        seen: list[str] = []
        async with items.changes(since=2) as changes:
            async for change in changes:
                seen.extend(change.document_ids)
                if change.sequence == PAGE_ROWS + 5:
                    await items.put("new", {})
                if "new" in change.document_ids:
                    break
        assert seen[0] == "00002"
        assert len(set(seen)) == PAGE_ROWS + 4

    play(scene)


def test_close_ends_an_iteration_that_waits(play: Play) -> None:
    async def scene(db: Database) -> None:
        async def collect(changes: object) -> list[object]:
            return [each async for each in changes]  # type: ignore[attr-defined]

        items = await db.collection("x", create=True)
        for end in ("iterator", "collection", "database"):
            changes = items.changes()
            task = asyncio.create_task(collect(changes))
            await asyncio.sleep(0)
            if end == "iterator":
                changes.close()
            elif end == "collection":
                await db.delete_collection("x")
                items = await db.collection("x", create=True)
            else:
                await db.close()
            assert await task == []

    play(scene)


def test_a_cancelled_wait_does_not_lose_what_comes_after(play: Play) -> None:
    async def scene(db: Database) -> None:
        items = db.default_collection
        async with items.changes() as changes:
            task = asyncio.create_task(anext(changes))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await items.put("a", {})
            assert (await anext(changes)).document_ids == ("a",)

    play(scene)
