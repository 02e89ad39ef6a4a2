"""The activity: what happened, as seen from this device."""

from __future__ import annotations

from pathlib import Path

import pytest

from settee_inventory.book import Entry, activity
from tests.inventory.book.scene import APPLES, BEETS, opened, run


def test_notes_are_told_and_outlive_the_program(tmp_path: Path) -> None:
    async def scene() -> None:
        told: list[Entry] = []
        async with opened(tmp_path) as book:
            stop = book.on_activity(told.append)
            await book.note("error", who="Van", text="It does not answer.")
            stop()
            await book.note("connected", who="Shop")
            assert [entry.kind for entry in told] == ["error"]
        async with opened(tmp_path) as book:
            entries = await book.activity()
            assert [entry.kind for entry in entries] == ["connected", "error"]
            assert entries[1].detail == {"who": "Van", "text": "It does not answer."}
            assert entries[1].ms == 1_800_000_000_000

    run(scene)


def test_edits_one_after_another_are_one_entry(tmp_path: Path) -> None:
    async def scene() -> None:
        now = [1_800_000_000.0]
        async with opened(tmp_path, now=lambda: now[0]) as book:
            for id in (APPLES, BEETS, APPLES):
                await book.change_quantity(id, 1)
            (entry,) = await book.activity()
            assert (entry.item_count, dict(entry.items)) == (2, {APPLES: "Apples", BEETS: "Beets"})
            now[0] += 61
            await book.change_quantity(APPLES, 1)
            assert [entry.item_count for entry in await book.activity()] == [1, 2]

    run(scene)


def test_only_the_latest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "ENTRIES_MAX", 10)
    monkeypatch.setattr(activity, "_SPARE", 5)

    async def scene() -> None:
        async with opened(tmp_path) as book:
            for number in range(40):
                await book.note("n", text=str(number))
        async with opened(tmp_path) as book:
            entries = await book.activity(100)
            assert 10 <= len(entries) <= 15
            assert entries[0].detail["text"] == "39"
            assert len(await book.activity(3)) == 3

    run(scene)


def test_an_entry_of_another_version_is_passed_over(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as book:
            stored = await book.db.collection("local.activity")
            await stored.put("1", {"ms": "x"})
            await stored.put("2", {"kind": "n"})
        async with opened(tmp_path) as book:
            assert await book.activity() == []

    run(scene)
