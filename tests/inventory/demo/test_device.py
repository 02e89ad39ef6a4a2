"""One device: the orders it obeys, what it tells, and what it holds."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys

import pytest

from settee import Database
from settee_inventory.data import other_picture, picture, seed
from settee_inventory.demo.device import Device, snapshot
from settee_inventory.demo.scene import compare


@pytest.fixture
def device(tmp_path):
    out = io.StringIO()
    config = {"name": "Van", "directory": str(tmp_path), "password": "pw"}
    with contextlib.closing(Device(config, out)) as made:
        yield made


def test_it_seeds_and_edits_as_it_is_told(device, tmp_path):
    assert device.obey({"do": "seed"}) == 43
    device.obey({"do": "quantity", "id": "item::kale", "quantity": 7})
    device.obey({"do": "picture", "id": "item::apples", "other": True})
    device.close()
    with Database("van", directory=tmp_path) as db:
        items = db.collection("shop.items")
        assert items["item::kale"]["quantity"] == 7
        assert items["item::apples"]["image"].read() == other_picture("apples")
        assert items["item::peppers"]["image"].read() == picture("peppers")


def test_an_order_that_is_none_is_a_bug(device):
    with pytest.raises(AssertionError, match="dance"):
        device.obey({"do": "dance"})


def test_a_process_tells_one_json_line_per_event_and_answers_each_order(tmp_path):
    config = {"name": "Shop", "directory": str(tmp_path), "password": "pw"}
    orders = [
        {"number": 1, "do": "seed"},
        {"number": 2, "do": "quantity", "id": "item::nothing", "quantity": 7},
        {"number": 3, "do": "snapshot"},
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "settee_inventory.demo.device"],
        input="\n".join(map(json.dumps, [config, *orders])),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    assert told[0]["event"] == "ready"
    assert len(told[0]["fingerprint"]) == 64
    answers = {each["number"]: each for each in told if each["event"] == "answer"}
    assert answers[1]["result"] == 43
    assert "item::nothing" in answers[2]["failed"]
    assert len(answers[3]["result"]["documents"]) == 43
    assert told[1]["event"] == "items", "what it holds at the start"
    assert "pw" not in (tmp_path / "shop.log").read_text()


def test_a_snapshot_sees_each_edit_of_a_document_and_each_blob(tmp_path):
    with Database("van", directory=tmp_path) as db:
        seed(db)
        before = snapshot(db)
        assert len(before["documents"]) == 43
        assert len(before["blobs"]) == 42
        items = db.collection("shop.items")
        kale = items["item::kale"]
        kale["quantity"] = 0
        items.save(kale)
        after = snapshot(db)
        assert compare({"before": before, "after": after}) == [
            "document shop.items/item::kale differs: before / after"
        ]


def test_two_databases_that_were_seeded_apart_have_equal_snapshots(tmp_path):
    with (
        Database("van", directory=tmp_path) as van,
        Database("shop", directory=tmp_path) as shop,
    ):
        seed(van)
        seed(shop)
        assert snapshot(van) == snapshot(shop)
