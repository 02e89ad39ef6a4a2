"""Documents with blobs against a dict, while the process dies between any two steps on the disk.

Slow: a life with images of a disk, fsyncs and reopening takes tenths of a second.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from settee import Blob
from settee.clock import InlineWorkers
from settee.db.database import Database
from tests.db.conftest import ManualClock
from tests.prop import examples

IDS = st.sampled_from(["a", "b", "c"])
CONTENTS = st.sampled_from([b"", b"one", b"two" * 1000, b"three" * 40_000])
DIES_AT = st.one_of(st.none(), st.integers(1, 14))
STEPS = [
    *[(os, name) for name in ("fsync", "replace", "rename", "unlink", "mkdir", "utime")],
    *[(Path, name) for name in ("replace", "rename", "unlink", "mkdir")],
]


@contextmanager
def before_step(number: int, work: Callable[[], None]) -> Iterator[None]:
    """Call `work` before the step of that number on the disk, counted from 1."""
    count = 0
    with pytest.MonkeyPatch.context() as patch:

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def step(*args: Any, **more: Any) -> Any:
                nonlocal count
                count += 1
                if count == number:
                    work()
                return real(*args, **more)

            return step

        for holder, name in STEPS:
            patch.setattr(holder, name, counted(getattr(holder, name)))
        yield


class BlobsAgainstADict(RuleBasedStateMachine):
    """`live` is what each document's blob must be."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory(prefix="settee-prop-")
        self.root = Path(self.place.name)
        self.clock = ManualClock()
        self.count = 0
        self.live: dict[str, bytes] = {}
        self.db = self.opened()

    def opened(self) -> Database:
        path = self.root / f"{self.count}.settee"
        return Database._open(path, clock=self.clock, workers=InlineWorkers(), durability="full")

    def teardown(self) -> None:
        self.db.close()
        self.place.cleanup()

    def dying(self, at: int | None, work: Callable[[], None]) -> bool:
        """Do something; if it takes so many steps, go on from the disk as it was before that one.

        Returns whether it was done, and told so.
        """
        image = self.root / f"{self.count + 1}.settee"
        died = False

        def die() -> None:
            nonlocal died
            died = True
            shutil.copytree(self.root / f"{self.count}.settee", image, symlinks=True)

        if at is None:
            work()
            return True
        with before_step(at, die):
            work()
        if died:
            self.db.close()
            self.count += 1
            self.db = self.opened()
        return not died

    @rule(id=IDS, content=CONTENTS, at=DIES_AT)
    def save(self, id: str, content: bytes, at: int | None) -> None:
        def work() -> None:
            self.db.default_collection[id] = {"blob": Blob.from_bytes(content, "image/png")}

        if self.dying(at, work):
            self.live[id] = content
            return
        found = self.db.default_collection.get(id)
        now = None if found is None else found["blob"].read()
        assert now in (content, self.live.get(id)), "half of a save"
        if now is not None:
            self.live[id] = now

    @rule(id=IDS, at=DIES_AT)
    def delete(self, id: str, at: int | None) -> None:
        if id not in self.live:
            return
        if (
            self.dying(at, lambda: self.db.default_collection.delete(id))
            or id not in self.db.default_collection
        ):
            del self.live[id]

    @rule(at=DIES_AT, hours=st.sampled_from([0, 2]))
    def compact(self, at: int | None, hours: int) -> None:
        self.clock.now_s += hours * 3600
        whole = self.dying(at, lambda: self.db.compact() and None)
        if whole:
            folder = self.db.path / "blobs"
            names = [p for p in folder.iterdir() if p.is_file()] if folder.exists() else []
            assert len(names) == len(set(self.live.values())), "what nothing names is gone"

    @rule()
    def reopen(self) -> None:
        self.db.close()
        self.db = self.opened()

    @invariant()
    def every_document_has_its_blob(self) -> None:
        found = {d.id: d["blob"].read() for d in self.db.default_collection.documents()}
        assert found == self.live
        staging = self.db.path / "blobs" / "staging"
        left = [p for p in staging.rglob("*") if p.is_file() and p.suffix != ".lock"]
        assert left == [], "left half done"


TestBlobsAreThere = pytest.mark.property(number=10)(BlobsAgainstADict.TestCase)
TestBlobsAreThere = pytest.mark.slow(TestBlobsAreThere)
TestBlobsAreThere.settings = examples(10)
