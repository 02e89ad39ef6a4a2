"""The three processes: started, led and read through their pipes, and ended."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from settee_inventory.children import Child, end_all

__all__ = ["LOOKS", "Crew", "Member"]

LOOKS: Final = {
    "Kitchen": ("restaurant", "amber"),
    "Shop": ("storefront", "blue"),
    "Van": ("local_shipping", "plum"),
}
"""Name of each device, its icon and its colour."""

USER: Final = "demo"
_READY_S: Final = 60.0

News = Callable[[str, str, dict[str, Any]], None]


@dataclass
class Member:
    """One device and its process."""

    name: str
    child: Child | None = None
    address: str = ""
    key: str = ""
    fingerprint: str = ""
    failure: str = ""
    """Why it ended by itself; empty while it runs."""
    links: dict[str, Any] = field(default_factory=dict)
    """What it told last about its connections."""


class Crew:
    """Starts three devices in `directory`; `on_news(name, event, fields)` is told everything."""

    def __init__(self, directory: Path, framed_by: str, on_news: News) -> None:
        self.members = {name: Member(name) for name in LOOKS}
        self._directory = directory
        self._framed_by = framed_by
        self._on_news = on_news
        self._password = secrets.token_urlsafe(12)
        self._ready = {name: asyncio.Event() for name in LOOKS}
        self._last_number = 0
        self._ending = False

    async def start(self) -> None:
        """Start all three at once, and make them known to each other.

        Raises TimeoutError if one is not ready in time.
        """
        self._ending = False
        await asyncio.gather(*(self._launch(name) for name in LOOKS))
        for name in LOOKS:
            await self._introduce(name)

    async def restart(self, name: str) -> None:
        """Start one again whose process has ended; its data is still there."""
        await self._launch(name)
        await self._introduce(name)

    async def start_over(self) -> None:
        """Begin anew, with the sample list."""
        await self.close()
        await asyncio.to_thread(shutil.rmtree, self._directory, True)
        await self.start()

    async def _launch(self, name: str) -> None:
        member = self.members[name]
        member.failure, member.links = "", {}
        self._ready[name].clear()
        icon, colour = LOOKS[name]
        member.child = await Child.start(
            "settee_inventory",
            *("--piped", "--loopback", "--port", "0"),
            *("--directory", str(self._directory / name.lower()), "--framed-by", self._framed_by),
            first={
                "name": name,
                "icon": icon,
                "colour": colour,
                "user": USER,
                "password": self._password,
                "start": "sample",
            },
            told=lambda event, fields: self._told(member, event, fields),
            ended=lambda code, said: self._ended(member, code, said),
        )
        async with asyncio.timeout(_READY_S):
            await self._ready[name].wait()

    async def _introduce(self, name: str) -> None:
        """Let one trust the others, as if their words had been compared."""
        friends = [
            {"key": other.key, "name": other.name, "fingerprint": other.fingerprint}
            for other in self.members.values()
            if other.name != name and other.key
        ]
        self.order(name, "meet", friends=friends)

    def order(self, name: str, do: str, **fields: Any) -> None:
        """Send an order to a device."""
        self._last_number += 1
        child = self.members[name].child
        if child is not None:
            child.send({"number": self._last_number, "do": do, **fields})

    async def _told(self, member: Member, event: str, fields: dict[str, Any]) -> None:
        if event == "ready":
            member.address, member.key = fields["address"], fields["key"]
            member.fingerprint = fields["fingerprint"]
            self._ready[member.name].set()
        elif event == "links":
            member.links = fields
        self._on_news(member.name, event, fields)

    async def _ended(self, member: Member, code: int, said: str) -> None:
        if not self._ending:
            member.failure = f"Its program ended ({code}). {said}".strip()
            member.links = {}
            self._ready[member.name].set()
            self._on_news(member.name, "ended", {})

    async def close(self) -> None:
        """End all."""
        self._ending = True
        await end_all(member.child for member in self.members.values() if member.child)
