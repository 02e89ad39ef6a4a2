"""The demo's table and lines."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from settee_inventory.demo.crew import Crew
from settee_inventory.demo.scene import watched_rows
from settee_inventory.demo.screen import Screen, draw


class _Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def _crew():
    crew = Crew(Path("unused"))
    for device in crew.devices.values():
        device.started = device.online = True
        device.documents = 43
        for row in watched_rows():
            device.quantities[row.doc_id] = 10
            if row.picture_names:
                device.pictures[row.doc_id] = next(iter(row.picture_names))
    crew.devices["Kitchen"].dialled = {"Shop": "idle", "Van": "busy"}
    crew.devices["Shop"].dialled = {"Van": "idle"}
    return crew


def _text(crew, *, width=80, fresh=frozenset()):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(draw(crew, watched_rows(), set(fresh), width=width))
    return console.file.getvalue()


def _row(text, label):
    return next(line for line in text.splitlines() if line.startswith(label))


def test_all_links_of_all_devices_are_shown_on_80_columns():
    text = _text(_crew())
    linked = _row(text, "linked to")
    assert "Shop, Van" in linked
    assert "Kitchen, Van" in linked
    assert "Kitchen, Shop" in linked
    assert "…" not in text
    assert text.count("*") == 1, "only in the legend"


def test_what_one_device_lacks_is_marked_without_colour():
    crew = _crew()
    crew.devices["Van"].quantities["item::kale"] = 7
    assert _row(_text(crew), "Kale").split() == ["Kale", "10", "10", "7", "*"]


def test_pictures_are_shown_by_what_is_on_them():
    assert _row(_text(_crew()), "Apples picture").split() == ["Apples", "picture", *["red"] * 3]


def test_an_offline_device_has_no_link_on_either_side():
    crew = _crew()
    crew.devices["Van"].online = False
    linked = _row(_text(crew), "linked to")
    assert "offline" in linked
    assert "Van" not in linked


def test_without_a_terminal_captions_and_events_are_lines():
    clock = _Clock()
    out = io.StringIO()
    screen = Screen(_crew(), watched_rows(), console=Console(file=out, width=100), now=clock)
    with screen:
        screen.caption("The Van drives off.")
        clock.now_s = 3.25
        screen.event("Van", "is offline")
        screen.tick()
    assert out.getvalue() == "\nThe Van drives off.\n  3.2 s  Van     is offline\n"


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 20)])
def test_the_live_screen_always_fits_and_never_changes_its_height(width, height):
    def drawn(screen, out):
        out.seek(0)
        out.truncate()
        screen._console.print(screen._drawn())
        return out.getvalue().splitlines()

    out = io.StringIO()
    console = Console(file=out, width=width, height=height, force_terminal=True, color_system=None)
    screen = Screen(_crew(), watched_rows(), console=console, now=_Clock())
    screen._caption = "short"
    before = drawn(screen, out)
    screen._caption = "They find each other by DNS-SD, and sync over TLS with pinned certificates."
    for number in range(30):
        screen.event("Kitchen", f"event {number} " + "x" * width)
    after = drawn(screen, out)
    assert len(before) == len(after) <= max(height - 1, 22)
    assert all(len(line.rstrip()) <= width for line in after)
    assert "event 29" in after[-1]
