"""collections, mkcoll and rmcoll."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.feature("CLI-13")


def test_collections_are_made_listed_and_removed(run):
    assert run("mkcoll", "van", "shop.items").out == "shop.items\n"
    run("put", "van", "a", "{}", "-c", "shop.items")
    rows = [json.loads(each) for each in run("collections", "van", "--json").out.splitlines()]
    assert rows == [
        {"name": "_default._default", "documents": 0, "last_sequence": 0},
        {"name": "shop.items", "documents": 1, "last_sequence": 1},
    ]
    shown = run("collections", "van").out.splitlines()
    assert shown[0].split() == ["Collection", "Documents", "Last", "sequence"]
    assert shown[2].split() == ["shop.items", "1", "1"]
    assert run("rmcoll", "van", "shop.items", "--yes") == (0, "", "")
    assert len(run("collections", "van", "--json").out.splitlines()) == 1


def test_one_that_is_there_is_an_error_unless_that_is_fine(run):
    run("mkcoll", "van", "items")
    ran = run("mkcoll", "van", "items")
    assert (ran.code, ran.out) == (2, "")
    assert run("mkcoll", "van", "items", "--exist-ok").code == 0


def test_a_bad_name_makes_no_database(run, tmp_path):
    assert run("mkcoll", "van", "_items").code == 2
    assert not (tmp_path / "van.settee").exists()


def test_documents_are_deleted_only_when_that_is_meant(run):
    run("put", "van", "a", "{}", "-c", "items")
    ran = run("rmcoll", "van", "items")
    assert ran.code == 2
    assert "1 document" in ran.err
    assert run("cat", "van", "a", "-c", "items").code == 0
    run("mkcoll", "van", "empty")
    assert run("rmcoll", "van", "empty").code == 0


def test_the_default_one_stays_and_a_missing_one_is_exit_code_3(run):
    run("put", "van", "a", "{}")
    assert run("rmcoll", "van", "_default", "--yes").code == 2
    assert run("rmcoll", "van", "gone", "--yes").code == 3
