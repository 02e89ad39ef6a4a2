"""The listener of a device."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from settee_inventory.links.listening import caller_name, caller_of
from tests.inventory.web.desks import SESSION, do, introduce, opened, state_of, until


def test_a_caller_says_which_device_it_is() -> None:
    said = f"settee/0.1.0 {caller_name('0123456789abcdef', 'fedcba9876543210')}"
    assert caller_of(said) == ("0123456789abcdef", "fedcba9876543210")
    assert len(said) <= 100, "the library shows so many characters"
    assert caller_of("CouchbaseLite/3.2 (iOS)") is None
    assert caller_of("inventory/1 device.<script> key.fedcba9876543210") is None


@pytest.mark.slow  # Two real devices, with certificates, hashed passwords and disks.
def test_clients_are_shown_with_what_they_did_and_can_be_disconnected(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path, "Shop") as shop, opened(tmp_path, "Van", "join") as van:
            key = await introduce(van, shop)
            assert van.book is not None
            assert shop.network is not None
            items = van.book.items
            await until(lambda: len(items) == 42)
            (client,) = shop.state(SESSION)["listener"]["clients"]
            assert (client["name"], client["user"]) == ("Van", "bob")
            assert client["out"] >= 42
            assert client["bytes_out"] > 100_000
            assert client["address"].startswith("127.0.0.1:")
            assert await do(shop, "drop", number=client["number"])
            assert not await do(shop, "drop", number=999)
            # It is continuous, so it comes back; with another number.
            await until(lambda: state_of(van, key) != "in sync")
            await do(van, "retry", key=key)
            listening = shop.network.listening
            await until(lambda: [c.number for c in listening.clients] == [client["number"] + 1])

    asyncio.run(scene())


def test_a_taken_port_is_told_and_another_one_is_found(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as shop:
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", 0))
                taken.listen()
                port = taken.getsockname()[1]
                assert shop.network is not None
                shop.network.options.port = port
                assert not await do(shop, "listen")
                listener = shop.state(SESSION)["listener"]
                assert listener["problem"] == f"Port {port} is taken by another program."
                assert not listener["running"]
                assert await do(shop, "listen", anywhere=True)
                listener = shop.state(SESSION)["listener"]
                assert listener["problem"] == ""
                assert listener["port"] not in (0, port)

    asyncio.run(scene())


def test_a_listener_that_was_on_is_on_after_the_next_log_in(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as shop:
            assert await do(shop, "listen")
            assert shop.network is not None
            port = shop.network.listening.port
            await do(shop, "log_out")
            await shop.log_in(SESSION, "bob", "a long secret", None)
            assert shop.network.listening.port == port

    asyncio.run(scene())


@pytest.mark.slow  # Two real devices, with certificates, hashed passwords and disks.
def test_a_device_that_is_kept_out_is_out_until_it_is_let_in(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path, "Shop") as shop, opened(tmp_path, "Van", "join") as van:
            key = await introduce(van, shop)
            assert van.book is not None
            assert shop.network is not None
            await do(shop, "keep_out", device=van.book.device_id)
            await until(lambda: state_of(van, key) == "refused")
            assert shop.network.listening.clients == []
            await do(shop, "log_out")
            await shop.log_in(SESSION, "bob", "a long secret", None)
            await do(van, "connect", key=key)
            await until(lambda: state_of(van, key) == "refused")
            (blocked,) = shop.state(SESSION)["listener"]["kept_out"]
            assert blocked["name"] == "Van"
            await do(shop, "let_in", device=van.book.device_id)
            await do(van, "connect", key=key)
            await until(lambda: state_of(van, key) == "in sync")

    asyncio.run(scene())
