"""A directory, and a way to run a coroutine with an open database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from settee.aio import Database

Scene = Callable[[Database], Awaitable[None]]
Play = Callable[[Scene], None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Run a coroutine function on a loop of its own, with an open database."""

    def played(scene: Scene) -> None:
        async def whole() -> None:
            async with Database("app", directory=tmp_path, durability="memory") as db:
                await scene(db)

        asyncio.run(asyncio.wait_for(whole(), 30))

    return played
