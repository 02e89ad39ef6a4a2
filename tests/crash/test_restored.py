"""Databases that were put back, or copied by hand: nothing is skipped, and all end alike."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.crash.syncing import SETTLED_S, DurablePeer
from tests.simulation.world import World, world


def synced(w: World, active: DurablePeer, passive: DurablePeer) -> None:
    dialled = active.dial(passive)
    w.start(dialled)
    w.run(dialled.finished(), SETTLED_S)
    assert dialled.status.value.error is None


def wrote(peer: DurablePeer, *names: str) -> None:
    for name in names:
        peer.db.default_collection[name] = {"by": peer.name}


@pytest.mark.parametrize("restored", ["a", "b"])
def test_a_backup_that_is_put_back_gets_all_again_and_loses_nothing(
    tmp_path: Path, restored: str
) -> None:
    with world(tmp_path, "before") as w:
        a, b = DurablePeer(w, "a"), DurablePeer(w, "b")
        wrote(a, "a1", "a2")
        wrote(b, "b1", "b2")
        synced(w, a, b)
    shutil.copytree(tmp_path / f"{restored}.settee", tmp_path / "backup")
    with world(tmp_path, "lost") as w:
        a, b = (DurablePeer(w, name, ahead_s=100) for name in "ab")
        wrote(a, "a3", "a4")
        wrote(b, "b3", "b4")
        synced(w, a, b)
    shutil.rmtree(tmp_path / f"{restored}.settee")
    (tmp_path / "backup").rename(tmp_path / f"{restored}.settee")
    with world(tmp_path, "after") as w:
        a, b = (DurablePeer(w, name, ahead_s=200) for name in "ab")
        # It gives the sequences of what it lost to other documents.
        wrote(a if restored == "a" else b, *(f"new{n}" for n in range(6)))
        synced(w, a, b)
        synced(w, a, b)
        assert a.contents() == b.contents()
        assert len(a.contents()) == 8 + 6


def test_a_copy_made_by_hand_passes_for_the_original_and_still_nothing_is_skipped(
    tmp_path: Path,
) -> None:
    with world(tmp_path, "before") as w:
        a, b = DurablePeer(w, "a"), DurablePeer(w, "b")
        wrote(a, "a1")
        wrote(b, "b1")
        synced(w, a, b)
    shutil.copytree(tmp_path / "a.settee", tmp_path / "twin.settee")
    with world(tmp_path, "after") as w:
        a, b, twin = (DurablePeer(w, name, ahead_s=100) for name in ("a", "b", "twin"))
        assert a.db.uuid == twin.db.uuid
        for turn in range(3):
            wrote(a, f"a-{turn}", f"a-{turn}-more")
            wrote(twin, f"twin-{turn}")
            wrote(b, f"b-{turn}")
            for each in (a, twin) if turn % 2 else (twin, a):
                synced(w, each, b)
        for each in (a, twin):
            synced(w, each, b)
        assert a.contents() == b.contents() == twin.contents()
        assert len(b.contents()) == 2 + 3 * 4


def test_a_database_that_was_erased_is_filled_again(tmp_path: Path) -> None:
    with world(tmp_path, "before") as w:
        a, b = DurablePeer(w, "a"), DurablePeer(w, "b")
        wrote(a, "a1", "a2")
        wrote(b, "b1")
        synced(w, a, b)
    shutil.rmtree(tmp_path / "b.settee")
    with world(tmp_path, "after") as w:
        a, b = DurablePeer(w, "a", ahead_s=100), DurablePeer(w, "b", ahead_s=100)
        synced(w, a, b)
        assert sorted(b.contents()) == ["_default/a1", "_default/a2", "_default/b1"]
