"""Documents with blobs against a dict, while the process dies between any two steps on their files.

Slow: a life with images of a disk, fsyncs and reopening takes tenths of a second.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from settee import Blob
from settee.clock import InlineWorkers
from settee.db.database import Database
from settee.store.files import FILES
from tests.db.conftest import ManualClock
from tests.prop import examples

IDS = st.sampled_from(["a", "b", "c"])
CONTENTS = {"empty": b"", "one": b"one", "two": b"two" * 1000, "long": b"three" * 40_000}
DIES_AT = st.one_of(st.none(), st.integers(1, 14))
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where an fsync costs nothing: that it is asked for is what counts here."""


class Steps:
    """The file system; calls `die` before the step `at` that changes something, counted from 1."""

    def __init__(self) -> None:
        self.at: int | None = None
        self.die: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        real = getattr(FILES, name)

        def step(*args: Any) -> Any:
            if self.at is not None:
                self.at -= 1
                if self.at == 0:
                    self.die()
            return real(*args)

        return real if name in ("open", "read") else step


class BlobsAgainstADict(RuleBasedStateMachine):
    """`live` is what each document's blob must be."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory(prefix="settee-prop-", dir=MEMORY)
        self.root = Path(self.place.name)
        self.clock = ManualClock()
        self.count = 0
        self.live: dict[str, bytes] = {}
        self.files = Steps()
        self.db = self.opened()

    def opened(self) -> Database:
        path = self.root / f"{self.count}.settee"
        return Database._open(
            path, clock=self.clock, workers=InlineWorkers(), durability="full", files=self.files
        )

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

        self.files.at, self.files.die = at, die
        work()
        self.files.at = None
        if died:
            self.db.close()
            self.count += 1
            self.db = self.opened()
        return not died

    @rule(id=IDS, name=st.sampled_from(list(CONTENTS)), at=DIES_AT)
    def save(self, id: str, name: str, at: int | None) -> None:
        content = CONTENTS[name]

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
        assert found.keys() == self.live.keys()
        assert [id for id, content in found.items() if content != self.live[id]] == []
        staging = self.db.path / "blobs" / "staging"
        left = [p for p in staging.rglob("*") if p.is_file() and p.suffix != ".lock"]
        assert left == [], "left half done"


TestBlobsAreThere = pytest.mark.property(number=10)(BlobsAgainstADict.TestCase)
TestBlobsAreThere = pytest.mark.slow(TestBlobsAreThere)
TestBlobsAreThere.settings = examples(10)
