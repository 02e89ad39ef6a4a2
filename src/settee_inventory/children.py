"""Processes that are led through their pipes: a JSON object a line, orders in and news out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

__all__ = ["Child", "end_all"]

_LINE_BYTES_MAX: Final = 2**22
_END_S: Final = 5.0
_SAID_CHARACTERS_MAX: Final = 600
_OF_THIS_PROCESS: Final = ("NICEGUI_HOST", "NICEGUI_PORT", "NICEGUI_PROTOCOL")
"""NiceGUI leaves its host and port there, for a process that it has started itself."""

Told = Callable[[str, dict[str, Any]], Awaitable[None]]
Ended = Callable[[int, str], Awaitable[None]]


class Child:
    """A Python module that runs in a process of its own; made by `start`."""

    def __init__(self, process: asyncio.subprocess.Process, told: Told, ended: Ended) -> None:
        self.process: Final = process
        self._told = told
        self._ended = ended
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls, module: str, *arguments: str, first: dict[str, Any], told: Told, ended: Ended
    ) -> Child:
        """Start ``python -m module arguments``.

        Args:
            module: Which one.
            arguments: On its command line, which the machine's other users can read.
            first: Its first line of input, which they can't: passwords go here.
            told: Awaited with the ``event`` of each line that it prints, and the line's rest.
            ended: Awaited with its exit code and the end of what it wrote to standard error.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", module, *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES_MAX,
            env={key: value for key, value in os.environ.items() if key not in _OF_THIS_PROCESS},
        )
        child = cls(process, told, ended)
        child.send(first)
        return child

    def send(self, message: dict[str, Any]) -> None:
        """Write a line to it; if it has ended, nothing happens."""
        assert self.process.stdin is not None, "started with a pipe"
        if self.process.returncode is None:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")

    async def _read(self) -> None:
        assert self.process.stdout is not None, "started with a pipe"
        assert self.process.stderr is not None, "started with a pipe"
        errors = asyncio.create_task(self.process.stderr.read())
        async for line in self.process.stdout:
            message = json.loads(line)
            await self._told(message.pop("event"), message)
        code = await self.process.wait()
        said = (await errors).decode(errors="replace").strip()
        await self._ended(code, said[-_SAID_CHARACTERS_MAX:])

    async def _end(self) -> None:
        try:
            async with asyncio.timeout(_END_S):
                await self.process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        await asyncio.gather(self._reading, return_exceptions=True)


async def end_all(children: Iterable[Child]) -> None:
    """End processes: their input ends, then they have five seconds."""
    all_of_them = list(children)
    for child in all_of_them:
        if child.process.stdin is not None:
            child.process.stdin.close()
    await asyncio.gather(*(child._end() for child in all_of_them))
