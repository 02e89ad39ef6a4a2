"""The three processes: started, led and read through their pipes, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

__all__ = ["LOOKS", "Crew", "Member"]

LOOKS: Final = {
    "Kitchen": ("restaurant", "amber"),
    "Shop": ("storefront", "blue"),
    "Van": ("local_shipping", "plum"),
}
"""Name of each device, its icon and its colour."""

USER: Final = "demo"
_OF_THIS_PROCESS: Final = ("NICEGUI_HOST", "NICEGUI_PORT", "NICEGUI_PROTOCOL")
_LINE_BYTES_MAX: Final = 2**22
_READY_S: Final = 60.0
_END_S: Final = 5.0
_STDERR_CHARACTERS: Final = 400

News = Callable[[str, str, dict[str, Any]], None]


@dataclass
class Member:
    """One device and its process."""

    name: str
    process: asyncio.subprocess.Process | None = None
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
        self._readers: set[asyncio.Task[None]] = set()
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
        folder = self._directory / name.lower()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "settee_inventory", "--piped", "--loopback", "--port", "0"),
            *("--directory", str(folder), "--framed-by", self._framed_by),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES_MAX,
            # NiceGUI leaves its host and port there, for a process that it has started itself.
            env={key: value for key, value in os.environ.items() if key not in _OF_THIS_PROCESS},
        )
        member.process = process
        task = asyncio.create_task(self._listen(member, process))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)
        icon, colour = LOOKS[name]
        # By the pipe, not by the command line: the machine's other users can read those.
        self._write(
            member,
            {
                "name": name,
                "icon": icon,
                "colour": colour,
                "user": USER,
                "password": self._password,
                "start": "sample",
            },
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
        self._write(self.members[name], {"number": self._last_number, "do": do, **fields})

    def _write(self, member: Member, message: dict[str, Any]) -> None:
        process = member.process
        if process is not None and process.stdin is not None and process.returncode is None:
            process.stdin.write(json.dumps(message).encode() + b"\n")

    async def _listen(self, member: Member, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None, "started with a pipe"
        assert process.stderr is not None, "started with a pipe"
        errors = asyncio.create_task(process.stderr.read())
        async for line in process.stdout:
            message = json.loads(line)
            event = message.pop("event")
            if event == "ready":
                member.address, member.key = message["address"], message["key"]
                member.fingerprint = message["fingerprint"]
                self._ready[member.name].set()
            elif event == "links":
                member.links = message
            self._on_news(member.name, event, message)
        code = await process.wait()
        said = (await errors).decode(errors="replace").strip()
        if not self._ending:
            member.failure = f"Its program ended ({code}). {said[-_STDERR_CHARACTERS:]}".strip()
            member.links = {}
            self._ready[member.name].set()
            self._on_news(member.name, "ended", {})

    async def close(self) -> None:
        """End all: their input ends, then they have five seconds."""
        self._ending = True
        processes = [member.process for member in self.members.values() if member.process]
        for process in processes:
            if process.stdin is not None:
                process.stdin.close()
        for process in processes:
            try:
                async with asyncio.timeout(_END_S):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        await asyncio.gather(*self._readers, return_exceptions=True)
