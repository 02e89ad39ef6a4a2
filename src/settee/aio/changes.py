"""Iterators over changes for ``async for``."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from settee.aio.driver import wait
from settee.db.changes import ChangeSource
from settee.db.database import Database

__all__ = ["Changes"]

T = TypeVar("T")


class Changes(Generic[T]):
    """An iterator over changes that waits for more; end it with `close` or as a context manager.

    It ends by itself when the database is closed. One task iterates; any may close.
    """

    def __init__(self, database: Database, source: ChangeSource[T]) -> None:
        self._database = database
        self._source = source
        self._woken: asyncio.Event | None = None

    def __aiter__(self) -> Changes[T]:
        return self

    async def __anext__(self) -> T:
        source = self._source
        if self._woken is None:
            self._woken = self._wake_here()
        while not source.closed:
            if source.behind:
                found = await wait(self._database._offload(source.next_page))
            else:
                self._woken.clear()
                found = source.take()
            if found is not None:
                return found
            if not source.behind and not source.closed:
                await self._woken.wait()
        raise StopAsyncIteration

    def _wake_here(self) -> asyncio.Event:
        woken, loop = asyncio.Event(), asyncio.get_running_loop()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(woken.set)

        self._source.on_wake(wake)
        return woken

    def close(self) -> None:
        """Stop; a `next` that waits ends with StopIteration. Idempotent."""
        self._source.close()

    async def __aenter__(self) -> Changes[T]:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
