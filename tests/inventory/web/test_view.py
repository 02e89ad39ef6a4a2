"""What the pages show."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from settee_inventory.book import Change, Item, ItemChange, ListChange, Picture
from settee_inventory.web import view
from tests.inventory.web.desks import SESSION, do, introduce, opened, peer_of, until

CORN = Item(
    "item::corn", "Corn", 5, "kg", 6, Picture("sha1-a/b=", "image/jpeg", "sha1-c", True),
    False, 1000, "van", (),
)  # fmt: skip


def test_an_item_is_plain_values() -> None:
    assert view.item_of(CORN, True) == {
        "id": "item::corn",
        "name": "Corn",
        "quantity": 5,
        "unit": "kg",
        "warn": 6,
        "picture": "sha1-a/b=",
        "thumb": "/picture/sha1-c",
        "photo": True,
        "at": 1000,
        "by": "van",
        "waits": True,
    }


def test_a_picture_without_a_small_one_has_one_made_and_another_address_when_it_changes() -> None:
    picture = Picture("sha1-a/b=", "image/png", "sha1-a/b=", False)
    shown = view.item_of(CORN._replace(picture=picture), False)
    assert shown["thumb"] == "/thumb/item%3A%3Acorn?of=sha1-a%2Fb%3D"
    assert not shown["photo"]
    assert view.item_of(CORN._replace(picture=None), False)["thumb"] is None


def change(field: str, kind: str, value: object) -> Change:
    return Change(field, kind, value, "0" * 16, "van")


@pytest.mark.parametrize(
    ("made", "short"),
    [
        (change("quantity", "counted", 2), "Another device +2"),
        (change("quantity", "counted", -2), f"Another device {view.MINUS}2"),
        (change("quantity", "set", 12), "Another device set 12"),
        (change("name", "written", "Maize"), "Another device new name"),
        (change("picture", "written", None), "Another device new picture"),
        (change("removed", "written", False), "Another device brought back"),
        (change("future", "written", 1), "Another device changed"),
    ],
)
def test_a_remote_change_is_told_in_few_words(tmp_path: Path, made: Change, short: str) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as desk:
            assert desk.book is not None
            told = ListChange((ItemChange("item::corn", CORN, (made,), True),))
            patch = view.change_of(told, desk.book, set())
            assert patch["news"][0]["text"] == short
            own = ListChange((ItemChange("item::corn", CORN, (made,), False),))
            assert view.change_of(own, desk.book, set())["news"] == []
            gone = ListChange((ItemChange("item::corn", None, (), True),))
            patch = view.change_of(gone, desk.book, set())
            assert (patch["items"], patch["news"]) == ({"item::corn": None}, [])

    asyncio.run(scene())


def test_a_device_without_links_is_alone_and_says_so(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as desk:
            state = desk.state(SESSION)
            assert (state["pill"]["text"], state["pill"]["tone"]) == ("Alone", "off")
            await do(desk, "count", id="item::apples", by=1)
            assert desk.state(SESSION)["pill"]["more"] == "1 change waits"

    asyncio.run(scene())


@pytest.mark.slow  # Two real devices, with certificates, hashed passwords and disks.
def test_pill_browser_and_listener_tell_one_story(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path, "Shop") as shop, opened(tmp_path, "Van", "join") as van:
            key = await introduce(van, shop)
            await until(lambda: van.state(SESSION)["pill"]["text"] == "In sync")
            state = van.state(SESSION)
            assert state["pill"]["long"] == "In sync with 1 device"
            assert state["links"]["synced"] == 1
            assert peer_of(van, key)["chip"]["text"] == "In sync"
            await until(lambda: shop.state(SESSION)["pill"]["text"] == "In sync")
            state = shop.state(SESSION)
            assert [client["name"] for client in state["listener"]["clients"]] == ["Van"]
            assert state["pill"]["devices"] == [{"icon": "warehouse", "colour": "teal"}]

    asyncio.run(scene())
