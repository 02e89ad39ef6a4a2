"""The devices that share in an inventory, each as it describes itself in a document."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from settee.aio import Collection, CollectionChange
from settee_inventory.book.values import Device
from settee_inventory.model.stamp import NEVER, is_time, tick

__all__ = ["Profiles"]

_PREFIX: Final = "device::"


class Profiles:
    """All devices by their IDs.

    Args:
        collection: Where they are stored.
        told: Called on the loop when one is another than before.
    """

    def __init__(self, collection: Collection, told: Callable[[], object]) -> None:
        self.devices: dict[str, Device] = {}
        self._collection = collection
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._subscription = collection.on_change(self._changed)

    async def open(self) -> None:
        """Read all."""
        await self._read()

    def close(self) -> None:
        """Tell nobody any more."""
        self._subscription.remove()

    async def save(self, id: str, device: Device, ms: int) -> None:
        """Describe a device; `ms`: when, in milliseconds since 1970."""
        stored = await self._collection.get(_PREFIX + id)
        at = stored.get("at") if stored is not None else None
        time = tick(ms, at if is_time(at) else NEVER)
        self.devices[id] = device
        await self._collection.put(_PREFIX + id, {"type": "device", **device._asdict(), "at": time})

    async def _read(self) -> None:
        async for document in self._collection.documents():
            if document.id.startswith(_PREFIX):
                self.devices[document.id.removeprefix(_PREFIX)] = Device.read(document)

    def _changed(self, _: CollectionChange) -> None:
        """Runs on a thread of the database."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._reread_soon)

    def _reread_soon(self) -> None:
        self._reading = self._loop.create_task(self._reread())

    async def _reread(self) -> None:
        before = dict(self.devices)
        await self._read()
        if before != self.devices:
            self._told()
