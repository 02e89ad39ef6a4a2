"""The disks of simulated peers: full, failing, and without power in the middle of an operation."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from settee import Blob, Database
from settee.clock import InlineWorkers
from settee.errors import DiskFullError, StoreError
from tests.crash.disk import Log
from tests.simulation.disks import Disks, PeerDisk
from tests.store.conftest import FakeClock


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[Disks]:
    made = Disks(tmp_path)
    made.calm = False
    yield made
    made.unregister()


def database(disk: PeerDisk) -> Database:
    return Database._open(
        disk.path, clock=FakeClock("a"), workers=InlineWorkers(), files=disk.files
    )


def reopened(disk: PeerDisk, disks: Disks, name: str, *, power: bool, seed: int = 0) -> Database:
    path = disk.path.with_name(name)
    disk.leave(path, random.Random(seed), power=power)
    return database(disks.insert(path))


def test_a_full_disk_refuses_what_needs_space_until_it_is_empty_again(
    disks: Disks, tmp_path: Path
) -> None:
    disk = disks.insert(tmp_path / "a")
    with database(disk) as db:
        db.default_collection["one"] = {"n": 1}
        disk.lacks_space = True
        with pytest.raises(DiskFullError):
            db.default_collection["two"] = {"n": 2}
        assert db.default_collection["one"]["n"] == 1
        disk.empty()
        db.default_collection["two"] = {"n": 2}


def test_the_nth_operation_fails_and_no_other(disks: Disks, tmp_path: Path) -> None:
    disk = disks.insert(tmp_path / "a")
    with database(disk) as db:
        disk.fails_in = 2
        with pytest.raises(StoreError):
            db.default_collection["one"] = {"n": 1}
        assert disk.hits == 1
        db.default_collection["one"] = {"n": 1}


def test_nothing_fails_while_it_is_calm(disks: Disks, tmp_path: Path) -> None:
    disk = disks.insert(tmp_path / "a")
    with database(disk) as db:
        disk.fails_in = 1
        with disks.at_work(False):
            db.default_collection["one"] = {"n": 1}
        assert disk.fails_in == 1
        disk.forget()


def test_what_was_saved_survives_a_power_cut_in_the_middle_of_the_next_save(
    disks: Disks, tmp_path: Path
) -> None:
    disk = disks.insert(tmp_path / "a")
    left: list[Path] = []

    def end() -> None:
        left.append(tmp_path / "b")
        disk.leave(left[0], random.Random(1), power=True)

    db = database(disk)
    db.default_collection["one"] = {"image": Blob.from_bytes(b"picture", "image/png")}
    disk.ends_in, disk.on_end = 3, end
    db.default_collection["two"] = {"n": 2}
    db.close()
    with database(disks.insert(left[0])) as again:
        assert again.default_collection["one"]["image"].read() == b"picture"
        assert "two" not in again.default_collection


def test_a_save_that_was_not_synced_may_be_lost_in_a_power_cut_but_not_in_a_crash(
    disks: Disks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = disks.insert(tmp_path / "a")
    with database(disk) as db:
        db.default_collection["one"] = {"n": 1}
        monkeypatch.setattr(Log, "sync", lambda *_: None)
        db.default_collection["two"] = {"n": 2}
        kept = []
        for seed in range(20):
            with reopened(disk, disks, f"power-{seed}", power=True, seed=seed) as again:
                kept.append("two" in again.default_collection)
        with reopened(disk, disks, "crash", power=False) as again:
            assert "two" in again.default_collection
    assert set(kept) == {True, False}
