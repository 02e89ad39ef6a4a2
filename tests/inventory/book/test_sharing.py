"""What is replicated, and that no edit is lost on the way: over real databases and sockets."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from settee import Conflict, Document
from settee.aio import Replicator, URLEndpointListener
from settee_inventory.book import Inventory
from settee_inventory.book.sharing import list_resolver
from tests.inventory.book.scene import APPLES, BEETS, fleet, image, opened, run, sync, until

NAMES = ["kitchen", "shop", "van", "stall", "store"]


class Right:
    """The sums that all must arrive at: every edit in order of its stamp."""

    def __init__(self) -> None:
        self.edits: dict[str, list[tuple[str, str, str, int]]] = {APPLES: [], BEETS: []}

    async def edit(self, chance: random.Random, book: Inventory) -> None:
        id, value = chance.choice(sorted(self.edits)), chance.randint(0, 9)
        kind = chance.choice(["plus", "plus", "minus", "minus", "set"])
        if kind == "set":
            await book.set_quantity(id, value)
        elif value:
            value = -value if kind == "minus" else value
            await book.change_quantity(id, value, floor=None)
        else:
            return
        # Not out of the history: a later `set` of another device may have come in, and dropped it.
        done = book._undo.pop()
        assert done is not None
        assert (done.id, done.field) == (id, "quantity")
        self.edits[id].append((*done.stamp, kind, value))

    def sums(self) -> dict[str, int]:
        found = {}
        for id, edits in self.edits.items():
            found[id] = 10
            for _, _, kind, value in sorted(edits):
                found[id] = value if kind == "set" else found[id] + value
        return found


def shown(book: Inventory) -> dict[str, int]:
    return {id: book.items[id].quantity for id in (APPLES, BEETS)}


def test_what_is_this_device_s_own_business_stays_here(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path, ["kitchen", "van"]) as (kitchen, van):
            await kitchen.note("error", who="Shop")
            await sync(kitchen, van)
            assert [entry.kind for entry in await van.activity()] == []
            configs = (*kitchen.replicated(), *kitchen.replicated_with_original())
            names = {each.collection for each in configs}
            assert names == set(Inventory.COLLECTIONS)
            assert [c.collection for c in kitchen.replicated_with_original()] == ["_default"]
            everything = {each.full_name for each in await kitchen.db.collections()}
            assert everything - {f"_default.{n}" if "." not in n else n for n in names} == {
                "local.activity",
                "local.settings",
            }

    run(scene)


def test_two_that_were_seeded_apart_meet_without_a_conflict(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path, ["kitchen", "van"]) as (kitchen, van):
            before = dict(kitchen.items)
            await sync(kitchen, van)
            assert dict(kitchen.items) == dict(van.items) == before
            assert kitchen.conflicts() == []
            assert await kitchen.activity() == []

    run(scene)


def test_pictures_travel_with_their_items(tmp_path: Path) -> None:
    async def scene() -> None:
        async with (
            opened(tmp_path, "kitchen") as kitchen,
            opened(tmp_path, "van", start="join") as van,
        ):
            await kitchen.set_picture(APPLES, image(300, 200))
            await sync(van, kitchen)
            assert len(van.items) == 42
            assert await van.thumbnail(APPLES) == await kitchen.thumbnail(APPLES)

    run(scene)


async def play(directory: Path, seed: int, steps: int) -> None:
    chance, right = random.Random(seed), Right()
    skews = {name: chance.uniform(-60, 60) for name in NAMES}
    now = [1_800_000_000.0]
    async with fleet(directory, NAMES, now=lambda name: lambda: now[0] + skews[name]) as books:
        groups = [books]
        for _ in range(steps):
            now[0] += chance.choice([0, 0.001, 5])
            await right.edit(chance, chance.choice(books))
            if chance.random() < 0.3:
                groups = [books[:2], books[2:]] if chance.random() < 0.5 else [books]
                await sync(*chance.sample(chance.choice(groups), 2))
        for _ in range(3):
            for other in books[1:]:
                await sync(books[0], other)
        assert [shown(book) for book in books] == [right.sums()] * len(books)


@pytest.mark.parametrize("seed", [1])
def test_five_databases_with_plus_minus_set_and_partitions_arrive_at_exact_sums(
    tmp_path: Path, seed: int
) -> None:
    run(lambda: play(tmp_path, seed, 25))


@pytest.mark.slow  # 5 longer runs over five databases.
def test_many_longer_runs_of_five_databases_are_exact_too(tmp_path: Path) -> None:
    async def scene() -> None:
        for seed in range(50, 55):
            await play(tmp_path / str(seed), seed, 150)

    run(scene, 600)


@contextlib.asynccontextmanager
async def listening(books: Sequence[Inventory]) -> AsyncIterator[list[URLEndpointListener]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                URLEndpointListener(
                    book.db,
                    host="127.0.0.1",
                    tls=False,
                    allow_anonymous=True,
                    collections=Inventory.COLLECTIONS,
                )
            )
            for book in books
        ]


@pytest.mark.slow
def test_five_devices_over_sockets_with_cuts_arrive_at_exact_sums(tmp_path: Path) -> None:
    """Slow: five devices, TLS and all, with links that are cut and come back."""

    async def scene() -> None:
        chance, right = random.Random(11), Right()
        async with fleet(tmp_path, NAMES) as books, listening(books[:2]) as doors:
            links = [
                Replicator(book.db, door.urls[0], continuous=True, collections=book.replicated())
                for book, door in (
                    (books[1], doors[0]),
                    (books[2], doors[0]),
                    (books[3], doors[1]),
                    (books[4], doors[1]),
                    (books[4], doors[0]),
                )
            ]
            async with contextlib.AsyncExitStack() as stack:
                for link in links:
                    await stack.enter_async_context(link)
                cut: list[Replicator] = []
                for step in range(40):
                    await right.edit(chance, chance.choice(books))
                    if step % 10 == 5:
                        for link in cut:
                            link.resume()
                        cut = chance.sample(links, 3)
                        for link in cut:
                            await link.suspend()
                for link in cut:
                    link.resume()
                await until(lambda: all(shown(b) == right.sums() for b in books), books)
                assert [shown(book) for book in books] == [right.sums()] * 5

    run(scene)


def test_both_sides_of_a_conflict_of_the_list_are_booked_before_one_is_chosen() -> None:
    booked: list[int] = []

    async def book(lists: Sequence[object]) -> None:
        booked.append(len(lists))

    async def scene() -> None:
        resolve = list_resolver(asyncio.get_running_loop(), book)

        def conflict(id: str, local: Document | None, remote: Document | None) -> Conflict:
            return Conflict(document_id=id, collection="_default", local=local, remote=remote)

        one = Document("doc::list", {"items": []})
        other = Document("doc::list", {"items": [{"key": "Apples", "value": 12}]})
        chosen = await asyncio.to_thread(resolve, conflict("doc::list", one, other))
        assert chosen is other
        assert booked == [2]
        assert resolve(conflict("doc::list", None, other)) is other
        assert resolve(conflict("doc::list", one, None)) is one
        assert resolve(conflict("another", one, other)) is other
        assert booked == [2]

    run(scene)
