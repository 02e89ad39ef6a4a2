"""The demo: its check, and the whole scene."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from settee import Database
from settee_inventory.demo import run
from settee_inventory.demo.device import snapshot
from settee_inventory.demo.scene import compare


def _snapshots(**changes):
    shots = {
        name: {"documents": {"c/a": "1", "c/b": "2"}, "blobs": {"sha1-x": "9"}}
        for name in ("Kitchen", "Shop", "Van")
    }
    for name, (kind, key, value) in changes.items():
        if value is None:
            del shots[name][kind][key]
        else:
            shots[name][kind][key] = value
    return shots


def test_equal_snapshots_have_no_differences():
    assert compare(_snapshots()) == []


def test_what_differs_is_named_with_the_sides():
    told = compare(_snapshots(Van=("documents", "c/b", "other")))
    assert told == ["document c/b differs: Kitchen and Shop / Van"]


def test_what_is_missing_is_named_with_the_place():
    assert compare(_snapshots(Shop=("blobs", "sha1-x", None))) == ["blob sha1-x is missing at Shop"]
    assert compare(_snapshots(Shop=("documents", "c/new", "1"))) == [
        "document c/new is missing at Kitchen and Van"
    ]


def test_a_directory_in_use_is_refused(tmp_path, capsys):
    (tmp_path / "something").touch()
    assert run(fast=True, keep=tmp_path) == 1
    assert "not empty" in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole_scene_ends_with_three_equal_devices(tmp_path):
    """Slow: three processes start, and DNS-SD takes more than a second to announce each time."""
    out = io.StringIO()
    code = run(fast=True, keep=tmp_path / "kept", console=Console(file=out, width=100))
    assert code == 0, out.getvalue()
    assert "All three hold the same 43 documents and 45 pictures" in out.getvalue()
    names = ("kitchen", "shop", "van")
    shots = []
    for name in names:
        with Database(name, directory=tmp_path / "kept", create=False) as db:
            shots.append(snapshot(db))
            assert db.collection("shop.items")["item::kale"]["quantity"] in (40, 60)
    assert shots[0] == shots[1] == shots[2]
