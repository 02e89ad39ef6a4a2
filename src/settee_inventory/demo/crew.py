"""The three processes of the demo, the messages to and from them, and what is known of each.

All runs on one asyncio loop: a reader per process keeps `Crew.devices` up to date and calls
`Crew.on_news`; `Crew.order` sends an order and waits for its answer; `Crew.until` waits for a
state.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from settee_inventory.children import Child, end_all

__all__ = ["NAMES", "Crew", "DeviceState", "SceneError"]

NAMES: Final = ("Kitchen", "Shop", "Van")
"""In the order in which they dial: each calls those after it."""

_ANSWER_S: Final = 15.0


class SceneError(Exception):
    """The scene could not go on; the message says what happened at which device."""


@dataclass
class DeviceState:
    """What one device has told."""

    name: str
    started: bool = False
    online: bool = False
    fingerprint: str = ""
    documents: int = 0
    quantities: dict[str, int] = field(default_factory=dict)
    """Document ID -> quantity."""
    pictures: dict[str, str] = field(default_factory=dict)
    """Document ID -> digest of its picture."""
    found: set[str] = field(default_factory=set)
    dialled: dict[str, str] = field(default_factory=dict)
    """Device that it dials -> activity of that replicator."""
    trouble: str = ""


class Crew:
    """Three running devices. An async context manager: leaving it ends the processes."""

    def __init__(self, directory: Path) -> None:
        self.devices: dict[str, DeviceState] = {name: DeviceState(name) for name in NAMES}
        self.on_news: Callable[[str, str, dict[str, Any]], None] = lambda name, event, fields: None
        self._directory = directory
        self._children: dict[str, Child] = {}
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._last_number = 0
        self._changed = asyncio.Condition()
        self.failure: str = ""
        """Why a device ended by itself; empty while none did."""

    async def __aenter__(self) -> Crew:
        password = secrets.token_urlsafe(12)
        try:
            for name in NAMES:
                await self._launch(name, password)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _launch(self, name: str, password: str) -> None:
        async def told(event: str, fields: dict[str, Any]) -> None:
            self._take(name, event, fields)
            async with self._changed:
                self._changed.notify_all()

        async def ended(code: int, said: str) -> None:
            if code or said:
                self._fail(f"{name} ended ({code}): {said}")
            async with self._changed:
                self._changed.notify_all()

        first = {"name": name, "directory": str(self._directory), "password": password}
        self._children[name] = await Child.start(
            "settee_inventory.demo.device", first=first, told=told, ended=ended
        )

    async def close(self) -> None:
        """End the processes."""
        # How they part is no news any more.
        self.on_news = lambda name, event, fields: None
        await end_all(self._children.values())

    # --- orders and waiting ----------------------------------------------------------------------

    async def order(self, name: str, do: str, **fields: Any) -> Any:
        """Send an order to a device and return its answer. Raises `SceneError` if it fails."""
        if self.failure:
            raise SceneError(self.failure)
        self._last_number += 1
        number = self._last_number
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self._children[name].send({"number": number, "do": do, **fields})
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await answer
        except TimeoutError:
            raise SceneError(f"{name} did not answer {do!r} within {_ANSWER_S:.0f} s") from None
        finally:
            del self._answers[number]

    async def until(self, reached: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Wait until `reached()`; it is asked after each piece of news.

        Raises `SceneError` that says `what` did not happen.
        """
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: bool(self.failure) or reached())
        except TimeoutError:
            raise SceneError(f"{what}: not within {timeout_s:.0f} s{self._troubles()}") from None
        if self.failure:
            raise SceneError(self.failure)

    def linked(self, name: str) -> Iterator[str]:
        """Yield the devices to which `name` has a link that works."""
        for other in NAMES:
            if other != name:
                dialler, dialled = (name, other) if name < other else (other, name)
                activity = self.devices[dialler].dialled.get(dialled, "")
                both_online = self.devices[name].online and self.devices[other].online
                if activity in ("idle", "busy") and both_online:
                    yield other

    def _troubles(self) -> str:
        said = [f"{d.name}: {d.trouble}" for d in self.devices.values() if d.trouble]
        return f" ({'; '.join(said)})" if said else ""

    # --- what the devices tell -------------------------------------------------------------------

    def _fail(self, text: str) -> None:
        self.failure = self.failure or text
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(SceneError(self.failure))

    def _take(self, name: str, event: str, fields: dict[str, Any]) -> None:
        device = self.devices[name]
        match event:
            case "answer":
                self._take_answer(name, fields)
                return
            case "ready":
                device.started, device.fingerprint = True, fields["fingerprint"]
            case "found":
                device.found.add(fields["peer"])
            case "link":
                device.dialled[fields["peer"]] = fields["activity"]
                device.trouble = fields["error"]
            case "trouble":
                device.trouble = fields["text"]
            case "items":
                # The news tells what changed, so it goes out before the state is updated.
                self.on_news(name, event, fields)
                device.documents = fields["documents"]
                for doc_id, (quantity, digest) in fields["items"].items():
                    device.quantities[doc_id] = quantity
                    device.pictures[doc_id] = digest
                return
        self.on_news(name, event, fields)

    def _take_answer(self, name: str, fields: dict[str, Any]) -> None:
        answer = self._answers.get(fields["number"])
        if answer is None or answer.done():
            return
        if "failed" in fields:
            answer.set_exception(SceneError(f"{name}: {fields['failed']}"))
        else:
            answer.set_result(fields["result"])
