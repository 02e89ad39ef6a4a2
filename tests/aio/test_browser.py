"""Finding peers with ``async for``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from settee import ClosedError, PeerFound
from settee.aio import Database, URLEndpointListener, browse

LOOPBACK = ["127.0.0.1"]


def test_a_browser_has_to_be_entered_and_ends_when_closed() -> None:
    async def work() -> None:
        browser = browse(interfaces=LOOPBACK)
        with pytest.raises(ClosedError, match="async with"):
            await browser.next(0.01)
        async with browser:
            assert browser.peers == []
            assert await browser.next(0.01) is None
        assert await browser.next() is None
        assert [event async for event in browser] == []

    asyncio.run(work())


@pytest.mark.slow
def test_an_advertised_listener_is_found(tmp_path: Path) -> None:
    """Slow: DNS-SD asks for a second whether a name is free before it announces it."""

    async def work() -> None:
        async with Database("kitchen", directory=tmp_path) as kitchen:
            listener = URLEndpointListener(
                kitchen,
                host="127.0.0.1",
                allow_anonymous=True,
                advertise="Async kitchen",
                discovery_interfaces=LOOPBACK,
            )
            async with browse(interfaces=LOOPBACK) as browser, listener:
                found = await browser.wait_for(lambda p: p.name.startswith("Async"), timeout=20)
                assert isinstance(found, PeerFound)
                assert found.port == listener.port

    asyncio.run(work())
