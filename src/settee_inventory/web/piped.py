"""The app led by another program: orders come by standard input, news go to standard output.

One JSON object a line. The first one says who this is (name, icon, colour, user, password); the
user is made and logged in. By pipes rather than arguments, since everybody on a machine can read
those. Orders: ``meet`` (whom to trust, by certificate), ``network`` (on or off). When the input
ends, so does the process.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from nicegui import app

from settee_inventory.book import ListChange
from settee_inventory.links.remembered import Acquaintance
from settee_inventory.web import view
from settee_inventory.web.desk import Desk

__all__ = ["Piped"]


class Piped:
    """Reads orders and tells news, on the loop of the app."""

    def __init__(self, desk: Desk, address: str) -> None:
        self._desk = desk
        self._address = address
        self._reading: asyncio.Task[None] | None = None
        self._told = ""

    async def open(self) -> None:
        """Read who this is, log in, tell the address; then read orders."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        config = json.loads(await reader.readline())
        desk = self._desk
        desk.settings.name, desk.settings.icon = config["name"], config["icon"]
        desk.settings.colour = config["colour"]
        desk.settings.options.listening = True
        if not desk.settings.ready:
            desk.settings.options.port = 0
        if not any(name == config["user"] for name, _ in desk.accounts.roles()):
            await asyncio.to_thread(desk.accounts.add, config["user"], config["password"])
        await desk.log_in("", config["user"], config["password"], config["start"])
        desk.always_open = True
        desk.on_change = self._changed
        desk.on_network = self._linked
        assert desk.identity is not None, "opened"
        self._tell(
            "ready", address=self._address, key=desk.key, fingerprint=desk.identity.fingerprint
        )
        self._linked()
        self._reading = asyncio.create_task(self._read(reader))

    def close(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            order = json.loads(line)
            await self._obey(order)
            self._tell("done", number=order["number"])
        app.shutdown()

    async def _obey(self, order: dict[str, Any]) -> None:
        network, remembered = self._desk.network, self._desk.remembered
        if network is None or remembered is None:
            return
        match order["do"]:
            case "meet":
                for friend in order["friends"]:
                    known = Acquaintance(friend["key"], friend["name"])
                    known.fingerprint = friend["fingerprint"]
                    remembered.keep(known)
                await network.refresh()
            case "network" if order["on"]:
                await network.rejoin()
            case "network":
                await network.cut()

    def _changed(self, change: ListChange) -> None:
        """Tell who has changed what, with the time at which it was there."""
        at_ns = time.time_ns()
        for each in change.items:
            latest = each.changes[-1] if each.changes else None
            if each.item is None or latest is None:
                continue
            self._tell(
                "change",
                id=each.id,
                name=each.item.name,
                quantity=each.item.quantity,
                remote=each.remote,
                by=latest.by,
                stamp=latest.at,
                at_ns=at_ns,
                count=latest.value if latest.kind == "counted" else None,
            )

    def _linked(self) -> None:
        """Tell who is connected to whom, if that has changed."""
        network, book = self._desk.network, self._desk.book
        if network is None or book is None:
            return
        parts = view.parts_of(book, network, self._desk.settings, self._desk.user, 0)
        news = {
            "online": network.online,
            "device": book.device_id,
            "pill": parts["pill"],
            "linked": [p["key"] for p in parts["peers"] if p["state"] in ("in sync", "syncing")],
            "busy": [p["key"] for p in parts["peers"] if p["state"] == "syncing"],
            "waits": self._desk.waiting,
        }
        text = json.dumps(news)
        if text != self._told:
            self._told = text
            self._tell("links", **news)

    def _tell(self, event: str, **fields: Any) -> None:
        sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
        sys.stdout.flush()
