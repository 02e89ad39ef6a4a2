"""What the peers' async skins share: waiting for values that settee's own threads change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

from settee.aio.collection import Collection
from settee.db.collection import Collection as BlockingCollection
from settee.peer.hooks import CollectionConfig
from settee.peer.status import Watched

__all__ = ["blocking_of", "until", "values"]

T = TypeVar("T")


def blocking_of(
    collections: Sequence[Collection | CollectionConfig | str] | None,
) -> list[BlockingCollection | CollectionConfig | str] | None:
    """Return the blocking collections behind async ones; names and configurations stay."""
    if collections is None:
        return None
    return [each._blocking if isinstance(each, Collection) else each for each in collections]


async def values(watched: Watched[T], is_last: Callable[[T], bool]) -> AsyncIterator[T]:
    """Yield the value now and at each change, until one is the last."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[T] = asyncio.Queue()

    def changed(value: T) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(queue.put_nowait, value)

    value, unlisten = watched.listen_from_now(changed)
    try:
        while True:
            yield value
            if is_last(value):
                return
            value = await queue.get()
    finally:
        unlisten()


async def until(watched: Watched[T], accepts: Callable[[T], bool], timeout_s: float | None) -> bool:
    """Wait until `accepts(value)`; false if that did not happen in time."""

    async def look() -> None:
        async for _ in values(watched, accepts):
            pass

    try:
        await asyncio.wait_for(look(), timeout_s)
    except TimeoutError:
        return False
    return True
