"""The original's list kept in step: over real databases, in random order."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from settee import BasicAuthenticator, ListenerPasswordAuthenticator
from settee.aio import Replicator, URLEndpointListener
from settee_inventory.book import Inventory, is_mirror
from settee_inventory.book.mirroring import BLANK, booked
from settee_inventory.book.pictures import content_type_of
from settee_inventory.book.seeds import SAMPLE
from settee_inventory.data import list_body
from settee_inventory.model.mirror import edits
from tests.inventory.book.original import LIST, VISITOR, Original, Strangers, original
from tests.inventory.book.scene import APPLES, BEETS, fleet, image, opened, run, sync, until


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch) -> Strangers:
    return Strangers(monkeypatch)


@contextlib.asynccontextmanager
async def mirroring(directory: Path, names: list[str]) -> AsyncIterator[list[Inventory]]:
    # The clock is the one by which the databases name their revisions.
    async with fleet(directory, names, now=lambda _: time.time) as books:
        for book in books:
            await book.set_mirrors(True)
            await book.mirrored()
        yield books


async def shown(book: Inventory) -> dict[str, int]:
    return await Original(book.db).shown()


def test_the_list_follows_the_items(tmp_path: Path) -> None:
    async def scene() -> None:
        async with mirroring(tmp_path, ["kitchen"]) as (kitchen,):
            assert len(await shown(kitchen)) == 42
            await kitchen.change_quantity(APPLES, -3)
            await kitchen.rename(BEETS, "Red beets")
            await kitchen.remove("item::kale")
            await kitchen.add("Corn salad", quantity=5)
            await kitchen.mirrored()
            lines = await shown(kitchen)
            assert (lines["Apples"], lines["Red beets"], lines["Corn salad"]) == (7, 10, 5)
            assert "Kale" not in lines
            await kitchen.set_mirrors(False)
            await kitchen.change_quantity(APPLES, -3)
            await kitchen.mirrored()
            assert (await shown(kitchen))["Apples"] == 7
        async with opened(tmp_path) as kitchen:
            assert not kitchen.mirrors

    run(scene)


def test_a_missing_picture_is_a_grey_one_that_the_original_can_read(tmp_path: Path) -> None:
    async def scene() -> None:
        async with mirroring(tmp_path, ["kitchen"]) as (kitchen,):
            await kitchen.remove_picture(APPLES)
            await kitchen.mirrored()
            document = await kitchen.db.default_collection[LIST]
            content = await kitchen.picture(document.to_dict()["items"][0]["image"]["digest"])
            assert content
            assert content.data == BLANK
            assert content.content_type == content_type_of(BLANK) == "image/png"

    run(scene)


def test_what_the_original_writes_is_a_count_of_its_own(
    tmp_path: Path, strangers: Strangers
) -> None:
    async def scene() -> None:
        async with (
            mirroring(tmp_path, ["kitchen"]) as (kitchen,),
            original(tmp_path, strangers) as phone,
        ):
            await phone.meet(kitchen)
            await phone.write("Apples", 12)
            await kitchen.change_quantity(APPLES, -3)
            await phone.meet(kitchen)
            await kitchen.mirrored()
            assert kitchen.items[APPLES].quantity == 9
            assert is_mirror(kitchen.items[APPLES].changed_by) or kitchen.history(APPLES)
            (entry,) = [e for e in await kitchen.activity() if is_mirror(e.by)]
            assert dict(entry.items)[APPLES] == "Apples"
            await phone.meet(kitchen)
            assert (await phone.shown())["Apples"] == 9

    run(scene)


def test_the_sample_s_own_list_can_be_joined(tmp_path: Path, strangers: Strangers) -> None:
    async def scene() -> None:
        async with opened(tmp_path, start="join") as book, original(tmp_path, strangers) as phone:
            await phone.db.default_collection.put(LIST, list_body())
            await phone.write("Apples", 12)
            await phone.meet(book)
            await book.set_mirrors(True)
            await book.mirrored()
            assert len(book.items) == 42
            assert book.items[APPLES].quantity == 12
            assert book.items[APPLES].picture

    run(scene)


def test_a_restart_goes_on_where_it_was(tmp_path: Path, strangers: Strangers) -> None:
    async def scene() -> None:
        async with original(tmp_path, strangers) as phone:
            async with mirroring(tmp_path, ["kitchen"]) as (kitchen,):
                await phone.meet(kitchen)
            await phone.write("Apples", 12)
            async with opened(tmp_path) as kitchen:
                assert kitchen.mirrors
                await phone.meet(kitchen)
                await kitchen.mirrored()
                assert kitchen.items[APPLES].quantity == 12

    run(scene)


def test_two_that_do_not_know_the_same_items_do_not_write_for_ever(
    tmp_path: Path, strangers: Strangers
) -> None:
    async def scene() -> None:
        async with (
            mirroring(tmp_path, ["kitchen", "van"]) as (kitchen, van),
            original(tmp_path, strangers) as phone,
        ):
            await kitchen.change_quantity(APPLES, 1)
            await van.change_quantity(BEETS, 1)
            for _ in range(12):
                for book in (kitchen, van):
                    await phone.meet(book)
                    await book.mirrored()
            before = phone.db.default_collection.last_sequence
            for book in (kitchen, van):
                await phone.meet(book)
                await book.mirrored()
            assert phone.db.default_collection.last_sequence == before

    run(scene)


def test_booking_the_same_list_again_changes_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with mirroring(tmp_path, ["kitchen"]) as (kitchen,):
            await kitchen.set_mirrors(False)
            await Original(kitchen.db).write("Apples", 12)
            document = await kitchen.db.default_collection[LIST]
            edited = edits(document.to_dict(), document.revision, SAMPLE)
            assert edited
            states, changed = kitchen._ledger.states, {}
            assert booked(states, edited, changed)
            assert set(changed) == {APPLES}
            assert not booked({**states, **changed}, edited, {})

    run(scene)


async def play(seed: int, directory: Path, strangers: Strangers, steps: int) -> None:
    """Two that mirror, one that writes absolute numbers: in random order, then all meet."""
    chance = random.Random(seed)
    counted = {APPLES: 0, BEETS: 0}
    async with (
        mirroring(directory, ["kitchen", "van"]) as books,
        original(directory, strangers) as phone,
    ):
        await phone.meet(books[0])
        for _ in range(steps):
            book = chance.choice(books)
            match chance.randrange(5):
                case 0:
                    id, by = chance.choice(sorted(counted)), chance.randint(-3, 3)
                    counted[id] += by
                    await book.change_quantity(id, by, floor=None)
                case 1:
                    await phone.write(chance.choice(["Apples", "Beets"]), chance.randint(0, 20))
                case 2:
                    await phone.meet(book)
                case 3:
                    await book.mirrored()
                case 4:
                    await sync(*chance.sample(books, 2))
        for _ in range(4):
            for book in books:
                await phone.meet(book)
                await book.mirrored()
            await sync(*books)
            await asyncio.gather(*(book.mirrored() for book in books))
        wanted = {
            "Apples": 10 + counted[APPLES] + phone.differences.get("Apples", 0),
            "Beets": 10 + counted[BEETS] + phone.differences.get("Beets", 0),
        }
        for book in books:
            assert {book.items[id].name: book.items[id].quantity for id in counted} == wanted
        assert {name: (await phone.shown())[name] for name in wanted} == wanted


@pytest.mark.parametrize("seed", [1])
def test_two_that_mirror_and_one_absolute_writer_arrive_at_exact_sums(
    tmp_path: Path, strangers: Strangers, seed: int
) -> None:
    run(lambda: play(seed, tmp_path, strangers, 30))


@pytest.mark.slow  # 8 longer runs over three databases.
def test_many_longer_runs_are_exact_too(tmp_path: Path, strangers: Strangers) -> None:
    async def scene() -> None:
        for seed in range(100, 108):
            await play(seed, tmp_path / str(seed), strangers, 80)

    run(scene, 600)


@pytest.mark.slow
def test_a_phone_and_two_devices_over_real_sockets_arrive_at_exact_sums(
    tmp_path: Path, strangers: Strangers
) -> None:
    """Slow: three devices, TLS and all, a dozen edits one after the other."""

    async def scene() -> None:
        async with (
            mirroring(tmp_path, ["kitchen", "van"]) as (kitchen, van),
            original(tmp_path, strangers) as phone,
            URLEndpointListener(
                phone.db,
                host="127.0.0.1",
                tls=False,
                authenticator=ListenerPasswordAuthenticator(lambda u, p: (u, p) == ("bob", "pw")),
            ) as phone_listener,
            URLEndpointListener(
                kitchen.db,
                host="127.0.0.1",
                tls=False,
                allow_anonymous=True,
                collections=Inventory.COLLECTIONS,
            ) as kitchen_listener,
        ):
            strangers.ports.add(phone_listener.port)
            links = [
                Replicator(
                    book.db,
                    phone_listener.urls[0],
                    continuous=True,
                    collections=book.replicated_with_original(),
                    authenticator=BasicAuthenticator("bob", "pw"),
                    user_agent=VISITOR,
                )
                for book in (kitchen, van)
            ]
            links.append(
                Replicator(
                    van.db,
                    kitchen_listener.urls[0],
                    continuous=True,
                    collections=van.replicated(),
                )
            )
            async with contextlib.AsyncExitStack() as stack:
                for link in links:
                    await stack.enter_async_context(link)
                for link in links:
                    assert await link.wait_for("idle", timeout=20)
                chance = random.Random(4)
                counted = 0
                for _ in range(30):
                    by = chance.randint(-3, 3)
                    counted += by
                    await chance.choice([kitchen, van]).change_quantity(APPLES, by, floor=None)
                    if chance.random() < 0.4:
                        await phone.write("Apples", chance.randint(0, 20))

                def wanted() -> int:
                    return 10 + counted + phone.differences["Apples"]

                def agreed() -> bool:
                    return all(b.items[APPLES].quantity == wanted() for b in (kitchen, van))

                await until(agreed, [kitchen, van])
                async with phone.db.default_collection.document_changes(LIST) as changes:
                    while (await phone.shown())["Apples"] != wanted():
                        await anext(changes)

    run(scene)


def test_a_picture_from_the_original_is_taken(tmp_path: Path, strangers: Strangers) -> None:
    async def scene() -> None:
        async with (
            mirroring(tmp_path, ["kitchen"]) as (kitchen,),
            original(tmp_path, strangers) as phone,
        ):
            from settee.aio import Blob

            await phone.meet(kitchen)
            document = await phone.db.default_collection[LIST]
            lines = document["items"]
            lines[0] = {**lines[0], "image": Blob.from_bytes(image(300, 200), "image/jpeg")}
            document["items"] = lines
            await phone.db.default_collection.save(document)
            await phone.meet(kitchen)
            await kitchen.mirrored()
            small = await kitchen.thumbnail(APPLES)
            assert small
            assert small.content_type == "image/jpeg"
            assert kitchen.conflicts() == []

    run(scene)
