"""Listener, browser and links together."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import settee
from settee import ListenerPasswordAuthenticator
from settee.aio import Database, URLEndpointListener
from settee_inventory.data import LIST_ID, list_body
from tests.inventory.web.desks import (
    PASSWORD,
    SESSION,
    do,
    introduce,
    opened,
    peer_of,
    state_of,
    until,
)

# Two real devices each: certificates, hashed passwords, databases that are synced to disk.
pytestmark = pytest.mark.slow


def test_two_devices_meet_sync_part_and_meet_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path, "Shop") as shop, opened(tmp_path, "Van", "join") as van:
            assert van.book is not None
            assert len(van.book.items) == 0
            key = await introduce(van, shop)
            items = van.book.items
            await until(lambda: len(items) == 42)
            await do(van, "disconnect", key=key)
            assert state_of(van, key) == "off"
            await do(shop, "count", id="item::apples", by=3)
            await do(van, "count", id="item::apples", by=-2)
            assert van.state(SESSION)["links"] == {"synced": 0, "alone": True, "waits": 1}
            await do(van, "connect", key=key)
            await until(lambda: items["item::apples"].quantity == 11)
            assert shop.book is not None
            there = shop.book.items
            await until(lambda: there["item::apples"].quantity == 11)
            await until(lambda: van.state(SESSION)["links"]["waits"] == 0)

    asyncio.run(scene())


def test_a_cut_device_hears_nobody_and_comes_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path, "Shop") as shop, opened(tmp_path, "Van", "join") as van:
            key = await introduce(van, shop)
            assert van.network is not None
            await van.network.cut()
            await van.network.cut()
            assert state_of(van, key) == "no network"
            assert van.state(SESSION)["pill"]["text"] == "No network"
            assert shop.network is not None
            listening = shop.network.listening
            await until(lambda: not listening.clients)
            await van.network.rejoin()
            await until(lambda: state_of(van, key) == "in sync")

    asyncio.run(scene())


def test_a_wrong_login_is_refused_and_the_right_one_works(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path, "Shop") as shop, opened(tmp_path, "Van", "join") as van:
            key = await introduce(van, shop)
            await do(van, "connect", key=key, user="mallory", password="guess")
            await until(lambda: state_of(van, key) == "refused")
            assert "does not know “mallory”" in peer_of(van, key)["line"]
            await do(van, "connect", key=key, user="bob", password=PASSWORD)
            await until(lambda: state_of(van, key) == "in sync")

    asyncio.run(scene())


def test_another_login_lasts_until_the_device_is_forgotten_and_is_told_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    async def scene() -> None:
        async with opened(tmp_path, "Shop") as shop, opened(tmp_path, "Van", "join") as van:
            await do(shop, "user", name="ann", password="quite another secret", role="edit")
            key = await introduce(van, shop)
            await do(van, "connect", key=key, user="ann", password="quite another secret")
            await until(lambda: state_of(van, key) == "in sync")
            await do(van, "log_out")
            await van.log_in(SESSION, "bob", PASSWORD, None)
            await until(lambda: state_of(van, key) == "in sync")
            (client,) = shop.state(SESSION)["listener"]["clients"]
            assert client["user"] == "ann"
            assert "quite another secret" not in json.dumps(await van.diagnosis(), default=str)
            await do(van, "forget", key=key)
            assert await introduce(van, shop) == key
            (client,) = shop.state(SESSION)["listener"]["clients"]
            assert client["user"] == "bob"

    asyncio.run(scene())
    assert "quite another secret" not in caplog.text


def test_who_may_only_look_there_gets_all_and_changes_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path, "Shop") as shop, opened(tmp_path, "Van", "join") as van:
            await do(shop, "user", name="guest", password="secret", role="look")
            key = await introduce(van, shop)
            await do(van, "connect", key=key, user="guest", password="secret")
            await until(lambda: state_of(van, key) == "in sync")
            assert van.book is not None
            assert shop.book is not None
            await do(van, "count", id="item::apples", by=5)
            await do(shop, "count", id="item::corn", by=1)
            mine = van.book.items
            await until(lambda: mine["item::corn"].quantity == 91)
            assert shop.book.items["item::apples"].quantity == 10

    asyncio.run(scene())


def test_another_key_than_at_the_first_meeting_is_refused(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path, "Shop") as shop, opened(tmp_path, "Van", "join") as van:
            key = await introduce(van, shop)
            await do(shop, "encryption", mode="anonymous")
            await until(lambda: state_of(van, key) in ("retrying", "refused"))
            await do(van, "retry", key=key)
            await until(lambda: state_of(van, key) == "refused")
            assert "another key than before" in peer_of(van, key)["line"]
            assert peer_of(van, key)["actions"][0] == "compare"

    asyncio.run(scene())


def test_a_device_whose_words_differ_is_never_dialled(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path, "Shop") as shop, opened(tmp_path, "Van", "join") as van:
            assert shop.network is not None
            assert await shop.network.start_listening()
            key = await do(van, "meet", address=shop.network.listening.urls[0])
            assert state_of(van, key) == "new"
            await do(van, "block", key=key)
            assert state_of(van, key) == "blocked"
            assert shop.network.listening.clients == []
            await do(van, "forget", key=key)
            assert state_of(van, key) == ""

    asyncio.run(scene())


def test_a_scanned_invitation_needs_no_words(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path, "Shop") as shop, opened(tmp_path, "Van", "join") as van:
            assert shop.network is not None
            assert await shop.network.start_listening()
            listening = shop.network.listening
            key = await do(van, "meet", address=listening.invitation(listening.urls[0]))
            await until(lambda: state_of(van, key) == "in sync")

    asyncio.run(scene())


def test_a_device_is_found_by_its_name(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path, "Finder") as finder, opened(tmp_path, "Kept-7c1") as shop:
            assert shop.network is not None
            shop.network.options.visible = True
            assert await shop.network.start_listening()

            def found() -> list[str]:
                return [peer["name"] for peer in finder.state(SESSION)["peers"]]

            await until(lambda: "Kept-7c1" in found())
            assert "Kept-7c1" not in [peer["name"] for peer in shop.state(SESSION)["peers"]]
            await do(finder, "refresh")
            assert "Kept-7c1" in found()

    asyncio.run(scene())


def test_the_original_app_is_told_apart_and_its_list_kept_in_step(tmp_path: Path) -> None:
    """A database with the one document and nothing else, served as the original serves it."""
    (tmp_path / "original").mkdir()

    with settee.Database("userdb", directory=tmp_path / "original") as seeded:
        seeded.default_collection[LIST_ID] = list_body()

    async def scene() -> None:
        async with (
            opened(tmp_path, "Van", "sample") as van,
            Database("userdb", directory=tmp_path / "original") as theirs,
        ):
            assert van.book is not None
            listener = URLEndpointListener(
                theirs,
                host="127.0.0.1",
                collections=["_default"],
                authenticator=ListenerPasswordAuthenticator(lambda user, password: True),
            )
            async with listener:
                key = await do(van, "meet", address=listener.urls[0])
                shown = await do(van, "probe", key=key)
                await do(van, "trust", key=key, fingerprint=shown["fingerprint"])
                await until(lambda: state_of(van, key) == "refused")
                assert peer_of(van, key)["actions"][0] == "original"
                await do(van, "original", key=key)
                await until(lambda: state_of(van, key) == "in sync")
                there = await theirs.default_collection[LIST_ID]
                next(each for each in there["items"] if each["key"] == "Apples")["value"] = 4
                await theirs.default_collection.save(there)
                items = van.book.items
                await until(lambda: items["item::apples"].quantity == 4)

    asyncio.run(scene())
