"""Who is to be told is told, whatever the others do."""

from __future__ import annotations

from pathlib import Path

import pytest

from settee_inventory.book import (
    ListChange,
)
from settee_inventory.book.callbacks import Callbacks
from tests.inventory.book.scene import APPLES, fleet, opened, run, sync


def test_a_callback_that_fails_keeps_nothing_from_going_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        told: list[ListChange] = []

        def fails(_: object) -> None:
            raise RuntimeError("a bug of the page")

        async with fleet(tmp_path, ["kitchen", "van"]) as (kitchen, van):
            for register in (kitchen.on_change, kitchen.on_activity):
                register(fails)
            kitchen.on_change(told.append)
            await kitchen.change_quantity(APPLES, 1)
            await van.change_quantity(APPLES, 1)
            await sync(kitchen, van)
            assert kitchen.items[APPLES].quantity == 12
            assert len([each for each in told if each.items]) == 2
        assert "a bug of the page" in caplog.text
        async with opened(tmp_path) as kitchen:
            assert kitchen.items[APPLES].quantity == 12
            await kitchen.close()
            await kitchen.close()

    run(scene)


def test_who_was_taken_out_is_told_no_more() -> None:
    told: list[int] = []
    news = Callbacks[int]()
    end, _ = news.add(told.append), news.add(lambda each: told.append(-each))
    news.tell(1)
    end()
    end()
    news.tell(2)
    assert told == [1, -1, -2]
