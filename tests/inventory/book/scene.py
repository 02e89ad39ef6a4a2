"""Inventories for tests: opened in a directory, run on a loop, waited for without sleeping."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from PIL import Image

from settee_inventory.book import Device, Inventory, Start

APPLES = "item::apples"
BEETS = "item::beets"


def run(scene: Callable[[], Awaitable[None]], seconds: float = 60) -> None:
    """Run a coroutine function to its end, on a loop of its own."""

    async def whole() -> None:
        await asyncio.wait_for(scene(), seconds)

    asyncio.run(whole())


@contextlib.asynccontextmanager
async def opened(
    directory: Path,
    name: str = "kitchen",
    *,
    start: Start = "sample",
    now: Callable[[], float] | None = None,
) -> AsyncIterator[Inventory]:
    """Open a device's inventory, by default with the sample list."""
    book = await Inventory.open(
        directory / name,
        "bob",
        start=start,
        device=Device(name),
        durability="memory",
        now=now or (lambda: 1_800_000_000.0),
    )
    try:
        yield book
    finally:
        await book.close()


@contextlib.asynccontextmanager
async def fleet(
    directory: Path, names: Sequence[str], now: Callable[[str], Callable[[], float]] | None = None
) -> AsyncIterator[list[Inventory]]:
    """Open an inventory for each name."""
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(opened(directory, name, now=now(name) if now else None))
            for name in names
        ]


async def sync(one: Inventory, other: Inventory) -> None:
    """Let two inventories of this process meet, `one` being the active side."""
    await one.db.replicate(other.db, collections=one.replicated())
    await one.caught_up()
    await other.caught_up()


async def until(
    condition: Callable[[], bool], books: Sequence[Inventory], seconds: float = 30
) -> None:
    """Wait until something is so, looking whenever a list changes."""
    woken = asyncio.Event()
    stops = [book.on_change(lambda _: woken.set()) for book in books]
    stops += [book.on_activity(lambda _: woken.set()) for book in books]
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await woken.wait()
                woken.clear()
    finally:
        for stop in stops:
            stop()


def image(
    width: int = 40, height: int = 20, kind: str = "JPEG", colour: str = "red", turned: int = 1
) -> bytes:
    """Return a picture file; `turned`: its EXIF orientation."""
    made = Image.new("RGB", (width, height), colour)
    exif = Image.Exif()
    exif[0x0112] = turned
    stream = io.BytesIO()
    made.save(stream, kind, exif=exif)
    return stream.getvalue()
