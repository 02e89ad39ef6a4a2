"""Two ways to open a database: everything inline on a clock of ours, and with real threads."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from settee.clock import InlineWorkers
from settee.db.collection import Collection
from settee.db.database import Database


class ManualClock:
    """Time that moves when told to, chance from a seed."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0
        self._random = random.Random(7)

    def monotonic(self) -> float:
        return self.now_s

    def wall_ns(self) -> int:
        return int(self.now_s * 1e9)

    def random_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)


Opener = Callable[[str], Database]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def open_inline(tmp_path: Path, clock: ManualClock) -> Iterator[Opener]:
    """Open databases by name, as often as wanted, inline; all are closed at the end."""
    opened: list[Database] = []

    def opener(name: str) -> Database:
        db = Database._open(
            tmp_path / f"{name}.settee", clock=clock, workers=InlineWorkers(), durability="memory"
        )
        opened.append(db)
        return db

    yield opener
    for each in opened:
        each.close()


@pytest.fixture
def db(open_inline: Opener) -> Database:
    return open_inline("inline")


@pytest.fixture
def items(db: Database) -> Collection:
    return db.collection("shop.items", create=True)


@pytest.fixture
def threaded(tmp_path: Path) -> Iterator[Database]:
    """A database as users open it, but for the fsyncs."""
    with Database("threaded", directory=tmp_path, durability="memory") as db:
        yield db
