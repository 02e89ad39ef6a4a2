"""What happens to items is written down, with who did it."""

from __future__ import annotations

from pathlib import Path

from settee_inventory.book import (
    ListChange,
)
from tests.inventory.book.scene import APPLES, BEETS, fleet, run, sync


def test_what_others_change_is_told_with_who_did_it(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path, ["kitchen", "van"]) as (kitchen, van):
            told: list[ListChange] = []
            kitchen.on_change(told.append)
            await van.change_quantity(APPLES, -2)
            await van.remove(BEETS)
            await sync(van, kitchen)
            found = {c.id: c for t in told for c in t.items}
            assert found[APPLES].remote
            assert [(e.by, e.value) for e in found[APPLES].changes] == [(van.device_id, -2)]
            assert found[APPLES].item == kitchen.items[APPLES]
            assert found[BEETS].item is None
            (entry,) = [e for e in await kitchen.activity() if e.kind == "received"]
            assert (entry.by, entry.item_count) == (van.device_id, 2)
            assert dict(entry.items) == {APPLES: "Apples", BEETS: "Beets"}

    run(scene)


def test_a_merge_is_told_in_the_activity(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path, ["kitchen", "van"]) as (kitchen, van):
            await kitchen.change_quantity(APPLES, 3)
            await van.change_quantity(APPLES, -2)
            await sync(kitchen, van)
            assert kitchen.items[APPLES].quantity == van.items[APPLES].quantity == 11
            (entry,) = [e for e in await kitchen.activity() if e.kind == "merged"]
            assert entry.items == ((APPLES, "Apples"),)
            assert entry.detail == {"here": 13, "there": 8, "both": 11, "fields": ["quantity"]}

    run(scene)
