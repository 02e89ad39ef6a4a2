"""info, and how databases are opened."""

from __future__ import annotations

import json

import pytest

from settee import Database


def _make(directory):
    with Database("van", directory=directory) as db:
        items = db.collection("shop.items", create=True)
        items.save_many((f"i{n}", {"n": n}) for n in range(1200))
        db.default_collection["a"] = {}


@pytest.mark.feature("CLI-10")
def test_info_tells_collections_and_size(run, tmp_path):
    _make(tmp_path)
    ran = run("info", "van")
    assert (ran.code, ran.err) == (0, "")
    assert "van.settee" in ran.out
    rows = [row.split() for row in ran.out.splitlines()]
    assert ["shop.items", "1,200"] in rows
    assert ["_default._default", "1"] in rows


def test_info_as_json_has_the_same(run, tmp_path):
    _make(tmp_path)
    told = json.loads(run("info", "van", "--json").out)
    assert told["name"] == "van"
    assert told["bytes"] > 10_000
    counts = {each["name"]: each["documents"] for each in told["collections"]}
    assert counts == {"_default._default": 1, "shop.items": 1200}


def test_a_database_can_be_named_by_its_path_with_its_ending(run, tmp_path):
    _make(tmp_path)
    for name in ("van", "van.settee", "./van", tmp_path / "van.settee"):
        assert json.loads(run("info", name, "--json").out)["name"] == "van", name


def test_what_is_no_database_is_a_sentence(run, tmp_path):
    (tmp_path / "x.settee").mkdir()
    (tmp_path / "x.settee" / "db.sqlite3").write_bytes(b"not a database" * 100)
    ran = run("info", "x")
    assert ran.code == 1
    assert ran.err.startswith("settee: ")
    assert "Traceback" not in ran.err
