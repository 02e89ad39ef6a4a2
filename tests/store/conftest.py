"""A database per test, on a clock that moves only when told, with both kinds of workers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from settee.clock import InlineWorkers, ThreadWorkers, Workers
from settee.store import Store
from settee.store.files import FILES, Files

NOW_NS = 1_795_000_000 * 10**9


class FakeClock:
    """Time and chance from the test's hand."""

    def __init__(self, seed: str = "") -> None:
        self.now_s = 1000.0
        self.now_ns = NOW_NS
        self._seed = seed
        self._drawn = 0

    def monotonic(self) -> float:
        return self.now_s

    def wall_ns(self) -> int:
        return self.now_ns

    def random_bytes(self, count: int) -> bytes:
        self._drawn += 1
        return hashlib.shake_128(f"{self._seed}/{self._drawn}".encode()).digest(count)

    def advance(self, seconds: float) -> None:
        self.now_s += seconds
        self.now_ns += int(seconds * 1e9)


Opener = Callable[..., Store]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["inline", "threads"])
def workers(request: pytest.FixtureRequest) -> Workers:
    return InlineWorkers() if request.param == "inline" else ThreadWorkers()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "test.settee"


@pytest.fixture
def open_store(directory: Path, clock: FakeClock) -> Iterator[Opener]:
    """Opens databases and closes them after the test; each has its own seed."""
    stores: list[Store] = []

    def opener(
        path: Path = directory,
        *,
        workers: Workers | None = None,
        create: bool = True,
        durability: str = "memory",
        clock: FakeClock = clock,
        files: Files = FILES,
    ) -> Store:
        store = Store.open(
            path,
            create=create,
            durability=durability,
            clock=clock,
            workers=workers or InlineWorkers(),
            files=files,
        )
        stores.append(store)
        return store

    yield opener
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store: Opener) -> Store:
    return open_store()
