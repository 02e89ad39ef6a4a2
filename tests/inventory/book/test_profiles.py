"""Devices describe themselves to each other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from settee_inventory.book import (
    Device,
    InputError,
)
from tests.inventory.book.scene import fleet, opened, run, sync


def test_devices_know_each_other_s_names(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path, ["kitchen", "van"]) as (kitchen, van):
            await van.save_device(Device("The van", "local_shipping", "amber"))
            told = asyncio.Event()
            kitchen.on_change(lambda change: change.items or told.set())
            await sync(kitchen, van)
            await told.wait()
            assert kitchen.devices[van.device_id] == Device("The van", "local_shipping", "amber")
            with pytest.raises(InputError):
                await van.save_device(Device(""))
        async with opened(tmp_path, "van") as van:
            assert van.devices[van.device_id].name == "van"

    run(scene)
