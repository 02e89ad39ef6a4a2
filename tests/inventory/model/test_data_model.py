"""docs/data-model.md and the model's docstring say what is so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from settee_inventory import model
from settee_inventory.book import Inventory
from settee_inventory.model import changes, mirror
from settee_inventory.model import item as items
from settee_inventory.model import quantity as counters

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "data-model.md").read_text(encoding="utf-8")
ITEM, LIST = (json.loads(each) for each in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL))


def test_the_document_in_the_text_is_one_that_the_model_writes() -> None:
    assert items.write(items.read(ITEM)) == ITEM
    assert items.item_of("item::apples", items.read(ITEM)).quantity == 11


def test_its_conflict_is_told() -> None:
    (conflict,) = changes.conflicts(items.read(ITEM))
    assert (conflict.field, conflict.shown.value) == ("name", "Red apples")
    assert [each.value for each in conflict.others] == ["Green apples"]


def test_the_list_in_the_text_is_read_as_it_says() -> None:
    image = ITEM["image"]
    body = {"items": [{"key": "Red apples", "value": 13, "image": image}], **LIST}
    found = mirror.edits(body, "2-ab", {})
    assert found
    assert found.items["item::apples"].by == 2
    assert found.stamp.by == "edition-" + LIST["edition"]["id"]


def test_the_collections_are_those_that_are_replicated() -> None:
    table = set(re.findall(r"^\| `([a-z_.]+)` \|", TEXT, re.MULTILINE))
    assert table == set(Inventory.COLLECTIONS)


def test_the_numbers_in_the_text_are_the_code_s() -> None:
    assert f"more than {counters.LOG_COUNTS_MAX} counts" in TEXT
    assert f"after {counters.LOG_COUNTS_MAX // 2} more counts" in TEXT


def test_the_example_of_the_model_runs() -> None:
    assert model.__doc__
    example = model.__doc__.partition("::\n\n")[2]
    lines = [line.strip() for line in example.splitlines() if line.strip()]
    values: dict[str, Any] = {"now_ms": 1_800_000_000_000}
    exec("\n".join(lines[:-1]), values)
    assert eval(lines[-1].partition("#")[0], values) == 11
