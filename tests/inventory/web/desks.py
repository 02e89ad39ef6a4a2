"""Desks for tests: real databases, listeners and links, on loopback, without a browser."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from settee_inventory.web.actions import perform
from settee_inventory.web.desk import Desk

USER = "bob"
PASSWORD = "a long secret"
SESSION = "session"
PATIENCE_S = 20.0


@contextlib.asynccontextmanager
async def opened(directory: Path, name: str = "Shop", start: str = "sample") -> AsyncIterator[Desk]:
    """A device whose first run is over: logged in, listening on a port of its own."""
    desk = Desk(directory / name, loopback=True)
    desk.settings.options.port = 0
    # Two devices of a test meet by address: announcing takes a second each.
    desk.settings.options.visible = False
    await desk.open()
    try:
        first = {"name": name, "icon": "warehouse", "colour": "teal", "start": start}
        await perform(desk, SESSION, "log_in", {"user": USER, "password": PASSWORD, **first})
        yield desk
    finally:
        await desk.close()


async def do(desk: Desk, name: str, /, **args: Any) -> Any:
    """Ask a desk as a page does."""
    return await perform(desk, SESSION, name, args)


async def until(reached: Callable[[], bool]) -> None:
    """Wait until something holds; the library tells of changes on threads of its own."""
    async with asyncio.timeout(PATIENCE_S):
        while not reached():  # noqa: ASYNC110 (what is waited for has no event of its own)
            await asyncio.sleep(0.01)


async def introduce(caller: Desk, listener: Desk) -> str:
    """Let `caller` know and dial `listener`; return the key."""
    assert caller.network is not None
    assert listener.network is not None
    assert await listener.network.start_listening()
    key: str = await do(caller, "meet", address=listener.network.listening.urls[0])
    shown = await do(caller, "probe", key=key)
    await do(caller, "trust", key=key, fingerprint=shown["fingerprint"])
    await until(lambda: state_of(caller, key) == "in sync")
    return key


def state_of(desk: Desk, key: str) -> str:
    """How it stands with a device, as the Browser shows it."""
    peers = desk.state(SESSION)["peers"]
    return next((str(peer["state"]) for peer in peers if peer["key"] == key), "")


def peer_of(desk: Desk, key: str) -> dict[str, Any]:
    """The Browser's entry of a device."""
    found: dict[str, Any] = next(p for p in desk.state(SESSION)["peers"] if p["key"] == key)
    return found
