"""The produce list, its pictures, and a database seeded with them."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from settee import Database
from settee_inventory import data
from tools import pictures as picture_tool

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def db(tmp_path):
    with Database("shop", directory=tmp_path) as opened:
        yield opened


def test_the_list_is_the_sample_s():
    assert len(data.ITEMS) == 42
    assert sum(item.quantity for item in data.ITEMS) == 1166
    assert [item.name for item in data.ITEMS] == sorted(item.name for item in data.ITEMS)


def test_ids_are_stable_and_plain():
    by_name = {item.name: item for item in data.ITEMS}
    assert by_name["Apples"].document_id == "item::apples"
    assert by_name["Brussels Sprouts"].document_id == "item::brussels-sprouts"
    assert len({item.document_id for item in data.ITEMS}) == 42


def test_each_item_has_its_own_picture_of_256_pixels_in_both_forms():
    digests = set()
    for item in data.ITEMS:
        png = data.picture(item.slug)
        assert png[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">II", png[16:24]) == (256, 256)
        digests.add(hashlib.sha256(png).digest())
        svg = resources.files("settee_inventory") / "pictures" / f"{item.slug}.svg"
        assert svg.read_text(encoding="utf-8").startswith("<svg ")
    assert len(digests) == 42


@pytest.mark.parametrize("slug", ["apples", "mushrooms", "peppers"])
def test_second_pictures_differ_from_the_first(slug):
    assert data.other_picture(slug) != data.picture(slug)


def test_an_unknown_picture_is_an_error():
    with pytest.raises(FileNotFoundError):
        data.picture("durian")


def test_every_picture_is_made_by_the_tool_and_credited():
    made = {*picture_tool.GLYPHS, *picture_tool.DRAWN}
    assert made == {item.slug for item in data.ITEMS}
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    drawn, borrowed = notice.split("The other 23", 1)
    assert "Copyright (c) Microsoft Corporation" in borrowed
    for slug in picture_tool.DRAWN:
        assert slug in drawn, slug
    for slug in picture_tool.GLYPHS:
        assert slug in borrowed, slug


def test_seeding_makes_both_forms_with_all_pictures(db):
    assert data.seed(db) == 43
    listed = db.default_collection[data.LIST_ID]
    assert listed["type"] == "list"
    assert [(row["key"], row["value"]) for row in listed["items"]] == list(data.ITEMS)
    items = db.collection(data.ITEMS_COLLECTION)
    assert len(items) == 42
    for item, row in zip(data.ITEMS, listed["items"], strict=True):
        document = items[item.document_id]
        assert (document["type"], document["name"], document["quantity"]) == ("item", *item)
        assert document["image"].content_type == "image/png"
        assert document["image"].read() == data.picture(item.slug)
        assert row["image"].digest == document["image"].digest


def test_seeding_again_leaves_edits_alone(db):
    data.seed(db)
    items = db.collection(data.ITEMS_COLLECTION)
    apples = items["item::apples"]
    apples["quantity"] = 3
    items.save(apples)
    assert data.seed(db) == 0
    assert items["item::apples"]["quantity"] == 3


def test_seeding_completes_what_is_missing(db):
    data.seed(db)
    items = db.collection(data.ITEMS_COLLECTION)
    items.purge("item::kale")
    assert data.seed(db) == 1
    assert items["item::kale"]["quantity"] == 55


def test_importing_the_data_starts_no_command_line():
    code = "import sys, settee_inventory.data; sys.exit('typer' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
