"""Disk images after power cuts: a handful of each kind, and bugs planted to see that they count.

Slow: each test opens hundreds of databases. ``python -m tests.crash images`` opens thousands.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from settee import Blob, Database
from settee.clock import InlineWorkers
from settee.store import Store
from tests.crash import images
from tests.crash.disk import Disk, Log
from tests.store.conftest import FakeClock

pytestmark = pytest.mark.slow


@pytest.mark.feature("DB-03")
@pytest.mark.parametrize("number", [0, 1, 3, 12, 13])
def test_a_power_cut_at_any_moment_leaves_a_whole_database(number: int) -> None:
    result = images.run(number, 250, 1)
    assert result["found"] == []
    assert result["images"] > 150


def test_the_log_tells_what_is_really_there(tmp_path: Path) -> None:
    """The model with everything kept is the live folder, byte for byte."""
    with images.recording(tmp_path) as recorder:
        images._local(recorder, "4", "full")
    live = {
        str(path.relative_to(tmp_path)): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }
    assert images.kept_whole(recorder.log) == live


def first_finds(number: int) -> Iterator[str]:
    result = images.run(number, 600, 1)
    yield from result["found"]


@pytest.mark.parametrize(
    ("forgotten", "told"),
    [("sync", "blob"), ("sync_folder", "blob"), ("database", "state")],
)
def test_a_sync_that_is_forgotten_is_found(
    monkeypatch: pytest.MonkeyPatch, forgotten: str, told: str
) -> None:
    real = Log.sync

    def sync(log: Log, node: int) -> None:
        is_blob = any(each == node and len(name) < 3 for (_, name), each in log._names.items())
        if is_blob == (forgotten == "database"):
            real(log, node)

    if forgotten == "sync_folder":
        monkeypatch.setattr(Log, "sync_folder", lambda *_: None)
    else:
        monkeypatch.setattr(Log, "sync", sync)
    assert any(told in line for line in first_finds(0)), "no image showed it"


def test_a_blob_goes_only_once_the_commit_that_let_it_go_is_durable() -> None:
    """With "normal" a cut may bring back the document that named it."""
    assert _problems_after_a_purge() == []


def test_a_blob_that_goes_too_early_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "_durably_unneeded", lambda _: None)
    assert any("is missing" in each for each in _problems_after_a_purge())


def _problems_after_a_purge() -> list[str]:
    problems: list[str] = []
    with (
        images.folder() as root,
        images.recording(root) as recorder,
        Database._open(
            root / "a.settee",
            clock=FakeClock("a"),
            workers=InlineWorkers(),
            durability="normal",
            files=recorder.files,
        ) as db,
    ):
        db.default_collection["a"] = {"image": Blob.from_bytes(b"picture")}
        db.compact()  # That it was saved is durable.
        gc.collect()
        db.default_collection.purge("a")
        assert db.compact().blobs_removed == 1
    disk = Disk()
    with images.folder() as root:
        for entry in recorder.log.entries:
            disk.take(entry)
            if entry[0] != "remove":
                continue
            image = disk.image(random.Random(0), keeps=_names_only)
            images.lay_out(image, root / "cut", random.Random(0))
            with Database._open(
                root / "cut" / "a.settee", clock=FakeClock("a"), workers=InlineWorkers()
            ) as db:
                problems += map(str, db.check())
    return problems


def _names_only(_: int, kind: str) -> float | None:
    return 1.0 if kind == "name" else None
