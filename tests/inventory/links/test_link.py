"""One device that is dialled."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from settee_inventory.links.link import Login, shown_fingerprint
from tests.inventory.web.desks import do, introduce, opened, peer_of, state_of, until


def test_a_login_never_shows_its_password() -> None:
    assert "secret" not in repr(Login("bob", "secret"))


@pytest.mark.slow  # Two real devices, with certificates, hashed passwords and disks.
def test_a_stranger_is_asked_for_the_certificate_and_told_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path, "Shop") as shop, opened(tmp_path, "Van", "join") as van:
            assert shop.network is not None
            assert shop.identity is not None
            assert van.book is not None
            assert await shop.network.start_listening()
            url = shop.network.listening.urls[0]
            collections = van.book.replicated()
            shown = await shown_fingerprint(van.book.db, url, collections)
            assert shown == shop.identity.fingerprint
            listener = shop.network.listening.listener
            assert listener is not None
            # It went no further than the handshake, so no user was ever named.
            assert not [each for each in listener.refusals if "password" in each.reason]
            await shop.network.stop_listening()
            assert await shown_fingerprint(van.book.db, url, collections) is None

    asyncio.run(scene())


@pytest.mark.slow  # Two real devices, with certificates, hashed passwords and disks.
def test_a_device_that_does_not_answer_is_tried_again_at_a_told_time(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path, "Shop") as shop, opened(tmp_path, "Van", "join") as van:
            key = await introduce(van, shop)
            assert shop.network is not None
            await do(shop, "stop_listening")
            await until(lambda: state_of(van, key) == "retrying")
            peer = peer_of(van, key)
            assert 0 < peer["retry_at"] - time.time() * 1000 < 35_000
            assert peer["actions"] == ["retry"]
            assert await shop.network.start_listening()
            await do(van, "retry", key=key)
            await until(lambda: state_of(van, key) == "in sync")

    asyncio.run(scene())
