"""The desk: who is logged in, and what the pages are sent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from settee_inventory.web.actions import ActionError, perform
from settee_inventory.web.desk import Desk, LogInError
from tests.inventory.web.desks import PASSWORD, SESSION, USER, do, opened


def test_the_first_user_of_a_device_is_made_and_others_are_checked(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as desk:
            assert desk.is_in(SESSION)
            assert not desk.is_in("another browser")
            with pytest.raises(LogInError, match="don't match"):
                await desk.log_in("x", USER, "wrong", None)
            await desk.log_in("x", USER, PASSWORD, None)
            assert desk.is_in("x")

    asyncio.run(scene())


def test_another_user_waits_until_this_one_has_logged_out(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as desk:
            await do(desk, "user", name="ann", password="secret", role="edit")
            with pytest.raises(LogInError, match="bob is logged in"):
                await desk.log_in("x", "ann", "secret", None)
            await desk.log_out()
            await desk.log_in("x", "ann", "secret", "sample")
            assert desk.user == "ann"
            assert not desk.is_in(SESSION)

    asyncio.run(scene())


def test_before_the_log_in_a_page_is_shown_nothing_of_the_inventory(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as desk:
            state = desk.state("another browser")
            assert state["screen"] == "login"
            assert state["items"] == {}
            assert "peers" not in state
            with pytest.raises(ActionError, match="Log in first"):
                await perform(desk, "another browser", "count", {"id": "item::apples", "by": 1})

    asyncio.run(scene())


def test_pages_are_sent_what_changed_and_only_if_they_are_logged_in(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as desk:
            sent: list[dict[str, Any]] = []
            stolen: list[dict[str, Any]] = []
            end = desk.attach(SESSION, sent.append)
            desk.attach("another browser", stolen.append)
            await do(desk, "count", id="item::apples", by=-2)
            items = [patch["items"] for patch in sent if "items" in patch]
            assert items[0]["item::apples"]["quantity"] == 8
            assert items[0]["item::apples"]["waits"]
            assert stolen == []
            end()
            sent.clear()
            await do(desk, "count", id="item::apples", by=1)
            assert sent == []

    asyncio.run(scene())


def test_a_device_keeps_its_identity_and_its_list(tmp_path: Path) -> None:
    async def scene() -> tuple[str, str, int]:
        async with opened(tmp_path) as desk:
            assert desk.book is not None
            await do(desk, "count", id="item::apples", by=1)
            return desk.key, desk.book.device_id, desk.book.items["item::apples"].quantity

    key, device_id, quantity = asyncio.run(scene())
    assert quantity == 11

    async def again() -> None:
        desk = Desk(tmp_path / "Shop", loopback=True)
        await desk.open()
        assert desk.state(SESSION)["screen"] == "login"
        assert desk.state(SESSION)["me"]["user"] == USER
        await desk.log_in(SESSION, USER, PASSWORD, None)
        assert desk.book is not None
        assert (desk.key, desk.book.device_id) == (key, device_id)
        assert desk.book.items["item::apples"].quantity == 11
        await desk.close()

    asyncio.run(again())


def test_a_name_that_cannot_be_is_told_and_nobody_is_logged_in(tmp_path: Path) -> None:
    async def scene() -> None:
        desk = Desk(tmp_path, loopback=True)
        await desk.open()
        with pytest.raises(ActionError, match="Give this device a name"):
            await perform(desk, SESSION, "log_in", {"user": "bob", "password": "x", "name": "  "})
        with pytest.raises(ActionError, match="can't be a user"):
            await perform(desk, SESSION, "log_in", {"user": "a:b", "password": "x", "name": "Shop"})
        assert desk.book is None
        await desk.close()

    asyncio.run(scene())
