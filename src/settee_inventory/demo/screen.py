"""What the demo shows: a live table on a terminal, plain lines anywhere else.

The table has one column per device. A value that has just come in is bold, one that is not what
the others hold is marked with a ``*`` as well as by its colour. Under it run the last events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from settee_inventory.demo.crew import Crew, DeviceState

__all__ = ["Row", "Screen", "draw"]

_FRESH_S: Final = 1.6
"""So long a new value stays bold."""

_WIDTH_MAX: Final = 100
_LINES_BESIDE_EVENTS: Final = 19
"""Lines of everything but the events: title, caption (two lines), table, gaps."""

_EVENTS_MIN: Final = 3
_EVENTS_MAX: Final = 10


class Row(NamedTuple):
    """One watched value: a quantity, or a picture."""

    label: str
    doc_id: str
    picture_names: dict[str, str] | None
    """For a picture: digest -> what it shows. None for a quantity."""

    def value(self, device: DeviceState) -> str:
        """Return what the device holds, as shown; empty if it has not got it yet."""
        if self.picture_names is None:
            quantity = device.quantities.get(self.doc_id)
            return "" if quantity is None else str(quantity)
        digest = device.pictures.get(self.doc_id, "")
        return self.picture_names.get(digest, digest[5:13])


class Screen:
    """Shows the scene. A context manager; `tick` redraws, and is cheap when nothing changed."""

    def __init__(
        self, crew: Crew, rows: list[Row], *, console: Console, now: Callable[[], float]
    ) -> None:
        self._crew = crew
        self._rows = rows
        self._console = console
        self._now = now
        self._start_s = now()
        self._caption = ""
        self._lines: deque[Text] = deque(maxlen=_EVENTS_MAX)
        self._fresh: dict[tuple[str, str], float] = {}
        self._shown: dict[tuple[str, str], str] = {}
        self._live: Live | None = None

    def __enter__(self) -> Screen:
        if self._console.is_terminal:
            self._live = Live(
                self._drawn(), console=self._console, auto_refresh=False, vertical_overflow="crop"
            )
            self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.update(self._drawn(), refresh=True)
            self._live.stop()
            self._live = None

    def caption(self, text: str) -> None:
        """Say what happens now."""
        self._caption = text
        if self._live is None:
            self._console.print()
            self._console.print(Text(text), soft_wrap=True)
        self.tick()

    def event(self, who: str, text: str) -> None:
        """Add one event to the list below the table."""
        line = Text.assemble(
            (f"{self._now() - self._start_s:5.1f} s  ", "dim"), (f"{who:<8}", "bold"), text
        )
        self._lines.append(line)
        if self._live is None:
            self._console.print(line, soft_wrap=True)

    def tick(self) -> None:
        """Draw the present state."""
        self._note_changes()
        if self._live is not None:
            self._live.update(self._drawn(), refresh=True)

    def table(self) -> None:
        """Where there is no live table, print it as it stands now."""
        if self._live is None:
            self._console.print()
            self._console.print(self._table())

    def _note_changes(self) -> None:
        now = self._now()
        for device in self._crew.devices.values():
            for row in self._rows:
                key = (device.name, row.label)
                value = row.value(device)
                former = self._shown.get(key)
                if former is not None and former != value:
                    self._fresh[key] = now
                self._shown[key] = value

    def _drawn(self) -> RenderableType:
        size = self._console.size
        events_max = max(_EVENTS_MIN, min(_EVENTS_MAX, size.height - _LINES_BESIDE_EVENTS))
        events = list(self._lines)[-events_max:]
        # Always as many lines: a table that jumps up and down can't be read.
        events += [Text("")] * (events_max - len(events))
        for line in events:
            line.no_wrap, line.overflow = True, "ellipsis"
        caption = self._caption if len(self._caption) > size.width else f"{self._caption}\n"
        title = Text.assemble(
            ("settee demo", "bold"),
            ("  three devices, nothing between them", "dim"),
            (f"   {self._now() - self._start_s:.0f} s", "dim"),
        )
        return Group(title, Text(""), Text(caption, style="cyan"), self._table(), Text(""), *events)

    def _table(self) -> Table:
        fresh = {key for key, since in self._fresh.items() if self._now() - since < _FRESH_S}
        return draw(self._crew, self._rows, fresh, width=min(self._console.width, _WIDTH_MAX))


def draw(crew: Crew, rows: list[Row], fresh: set[tuple[str, str]], *, width: int) -> Table:
    """Return the table of all devices; `fresh` names the cells to be bold."""
    devices = list(crew.devices.values())
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), width=width, header_style="bold")
    table.add_column(Text("* differs", style="dim"), width=18, no_wrap=True)
    for device in devices:
        table.add_column(device.name, ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_row("linked to", *(_link_text(crew, device) for device in devices))
    table.add_row("documents", *(Text(str(device.documents)) for device in devices))
    table.add_row("")
    for row in rows:
        values = [row.value(device) for device in devices]
        held = [value for value in values if value]
        # Of the values that there are, the one that most devices hold; empty is none yet.
        common = max(held, key=held.count) if held else ""
        cells = []
        for device, value in zip(devices, values, strict=True):
            style = "dim" if not device.online else ""
            if (device.name, row.label) in fresh:
                style = "bold green"
            elif value and value != common:
                style = "yellow"
            mark = " *" if value and value != common else ""
            cells.append(Text(f"{value or '-'}{mark}", style=style))
        table.add_row(row.label, *cells)
    return table


def _link_text(crew: Crew, device: DeviceState) -> Text:
    if not device.started:
        return Text("starting …", style="dim")
    if not device.online:
        return Text("○ offline", style="yellow")
    linked = list(crew.linked(device.name))
    if not linked:
        return Text("○ nobody yet", style="dim")
    return Text(f"● {', '.join(linked)}", style="green")
