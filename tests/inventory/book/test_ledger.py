"""Memory and disk in step: what is stored, what arrives, what a peer had dropped."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from settee.aio import Blob
from settee_inventory.book import ListChange
from settee_inventory.book.ledger import with_blobs
from settee_inventory.model import item as items
from tests.inventory.book.scene import APPLES, BEETS, fleet, opened, run, sync, until


def test_what_is_stored_beside_the_book_is_merged_in(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as book:
            stored = await book.db.collection("shop.items")
            state = book._ledger.states[APPLES]
            other = items.count(state, 5, items.stamped(state, 1_800_000_000_000, "van"))
            await book.change_quantity(APPLES, 1)
            await stored.put(APPLES, items.write(other))
            await book.caught_up()
            assert book.items[APPLES].quantity == 16

    run(scene)


def test_what_a_peer_dropped_is_stored_anew(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as book:
            stored = await book.db.collection("shop.items")
            old = items.write(book._ledger.states[APPLES])
            await book.change_quantity(APPLES, -4)
            await stored.put(APPLES, old)
            async with stored.document_changes(APPLES) as changes:
                while (await stored[APPLES])["quantity"] != 6:
                    await anext(changes)
            assert book.items[APPLES].quantity == 6

    run(scene)


def test_own_edits_are_written_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as book:
            stored = await book.db.collection("shop.items")
            await book.caught_up()
            before = stored.last_sequence
            for _ in range(20):
                await book.change_quantity(APPLES, 1)
            await asyncio.gather(*(book.change_quantity(APPLES, 1) for _ in range(20)))
            await book.caught_up()
            await book._ledger.close()
            assert stored.last_sequence - before <= 22

    run(scene)


def test_an_item_that_another_program_deletes_is_gone(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as book:
            told: list[ListChange] = []
            book.on_change(told.append)
            stored = await book.db.collection("shop.items")
            await stored.delete(APPLES)
            await stored.put(BEETS, {"name": "Beets", "quantity": "no number", "merge": 5})
            await book.caught_up()
            assert APPLES not in book.items
            assert BEETS in book.items
            assert (told[0].items[0].item, told[0].items[0].remote) == (None, True)

    run(scene)


def test_an_edit_whose_task_is_cancelled_is_stored_all_the_same(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as book:
            task = asyncio.create_task(book.change_quantity(APPLES, 1))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        async with opened(tmp_path) as book:
            assert book.items[APPLES].quantity == 11

    run(scene)


def test_many_items_that_arrive_are_told_in_few_calls(tmp_path: Path) -> None:
    async def scene() -> None:
        async with (
            opened(tmp_path, "van", start="empty") as van,
            opened(tmp_path, "kitchen", start="join") as kitchen,
        ):
            await asyncio.gather(*(van.add(f"Item {n}", quantity=n) for n in range(300)))
            told: list[ListChange] = []
            kitchen.on_change(told.append)
            await sync(kitchen, van)
            await until(lambda: len(kitchen.items) == 300, [kitchen])
            assert sum(len(each.items) for each in told) == 300
            assert len([each for each in told if each.items]) <= 20
            assert {i.name: i.quantity for i in kitchen.items.values()} == {
                i.name: i.quantity for i in van.items.values()
            }

    run(scene)


def test_blobs_that_are_not_stored_yet_are_put_where_they_are_named() -> None:
    blob = Blob.from_bytes(b"x", "image/png")
    assert blob.digest
    other = {"@type": "blob", "digest": "sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA="}
    body = {"a": [blob.properties, other], "b": 1}
    assert with_blobs(body, {}) is body
    placed = with_blobs(body, {blob.digest: blob})
    assert placed["a"][0] is blob
    assert placed["a"][1] == other


def test_nothing_is_left_running_after_closing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path, ["kitchen", "van"]) as books:
            await books[0].set_mirrors(True)
        gc.collect()
        assert len(asyncio.all_tasks()) == 2, "this one and the one that runs it"

    run(scene)
