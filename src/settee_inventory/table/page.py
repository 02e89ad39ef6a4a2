"""The page of the table: heads, lines and switches; under each head the real app in a frame."""

from __future__ import annotations

import asyncio
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from nicegui import app, ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from settee_inventory.table.crew import LOOKS, Crew
from settee_inventory.table.story import Story

__all__ = ["Table", "TableView"]

_ASSETS: Final = Path(__file__).parent.parent / "web" / "assets"
_GATHER_S: Final = 0.03
_STYLES: Final = ("tokens", "base", "table")


class TableView(Element, component="inventory_table.js"):
    """The whole page: shows the state that it is given, and says what people do."""

    def __init__(self, table: Table) -> None:
        super().__init__()
        self._table = table
        self._props["state"] = table.state()
        self.on("act", self._acted)

    def _acted(self, event: GenericEventArguments) -> None:
        request = event.args if isinstance(event.args, dict) else {}
        name = request.get("device")
        match request.get("name"):
            case "network" if name in LOOKS:
                self._table.crew.order(str(name), "network", on=request.get("on") is True)
            case "restart" if name in LOOKS:
                self._table.restart(str(name))
            case "start over":
                self._table.start_over()


class Table:
    """The crew, its story, and the pages that show them."""

    def __init__(self, directory: Path, origin: str) -> None:
        self.crew = Crew(directory, origin, self._told)
        self._story = Story()
        self._starting = True
        self._views: set[TableView] = set()
        self._gathering: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def serve(self) -> None:
        """Make the page."""
        app.add_static_files("/assets", str(_ASSETS))
        stamp = max(int(file.stat().st_mtime) for file in _ASSETS.rglob("*.css"))

        @ui.page("/")
        def page() -> None:
            ui.add_head_html(
                "".join(
                    f'<link rel="stylesheet" href="/assets/css/{name}.css?v={stamp}">'
                    for name in _STYLES
                )
            )
            view = TableView(self)
            self._views.add(view)
            ui.context.client.on_delete(lambda: self._views.discard(view))

    async def open(self) -> None:
        """Start the crew."""
        await self.crew.start()
        self._starting = False
        self._show()

    async def close(self) -> None:
        """End the crew."""
        await self.crew.close()

    def restart(self, name: str) -> None:
        """Start a device again whose process has ended."""
        self._task(self.crew.restart(name))

    def start_over(self) -> None:
        """Begin anew with the sample list."""

        async def again() -> None:
            self._starting, self._story = True, Story()
            self._show()
            await self.crew.start_over()
            self._starting = False
            self._show()

        self._task(again())

    def state(self) -> dict[str, Any]:
        """Return all that the page shows."""
        story = self._story
        return {
            "starting": self._starting,
            "devices": [self._device(name) for name in LOOKS],
            "lines": [self._line(one, other) for one, other in combinations(LOOKS, 2)],
            "journey": story.journey,
            "step": story.step,
            "result": story.result,
        }

    def _device(self, name: str) -> dict[str, Any]:
        icon, colour = LOOKS[name]
        member = self.crew.members[name]
        links = member.links
        return {
            "name": name,
            "icon": icon,
            "colour": colour,
            "address": member.address,
            "online": links.get("online", True),
            "pill": links.get("pill"),
            "count": len(links.get("linked", [])),
            "waits": links.get("waits", 0),
            "failure": member.failure,
        }

    def _line(self, one: str, other: str) -> dict[str, Any]:
        """Both ends have to say that they are connected: one alone may not know yet."""
        a, b = self.crew.members[one], self.crew.members[other]
        cut = not (a.links.get("online", True) and b.links.get("online", True))
        up = b.key in a.links.get("linked", []) and a.key in b.links.get("linked", [])
        busy = b.key in a.links.get("busy", []) or a.key in b.links.get("busy", [])
        dead = bool(a.failure or b.failure)
        state = "cut" if cut or dead else "moving" if up and busy else "up" if up else "trying"
        return {"one": one, "other": other, "state": state}

    def _told(self, name: str, event: str, fields: dict[str, Any]) -> None:
        self._story.told(name, event, fields)
        if self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(_GATHER_S, self._show)

    def _show(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        state = self.state()
        for view in list(self._views):
            view.run_method("show", state)

    def _task(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
