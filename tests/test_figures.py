"""The figures beside the promises: each where its part is marked, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import figures
from tests.crash.__main__ import PARTS

PAGE = "# Promises\n\n| a | <!--soak--><!--/-->; <!--proxy-->not run<!--/--> |\n\nAll of them.\n"
LONG = {
    "simulation",
    "properties",
    "soak",
    "proxy",
    "planted",
    *(f"crash {each}" for each in PARTS),
}


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    page = tmp_path / "promises.md"
    page.write_text(PAGE, encoding="utf-8")
    monkeypatch.setattr(figures, "PAGES", (page,))
    monkeypatch.setattr(figures, "commit", lambda: "abc1234")
    monkeypatch.setattr(figures, "_today", lambda: "2026-01-02")
    return page


def test_figures_stand_where_their_part_is_marked_and_the_last_ones_only(page: Path) -> None:
    figures.record("soak", peers=5, memory="120 MiB")
    figures.record("proxy", connections_harmed=6_500, red=0)
    figures.record("soak", peers=3, memory="80 MiB")
    assert page.read_text(encoding="utf-8") == (
        "# Promises\n\n| a | <!--soak-->3 peers, memory 80 MiB (abc1234, 2026-01-02)<!--/-->; "
        "<!--proxy-->6,500 connections harmed, 0 red (abc1234, 2026-01-02)<!--/--> |\n\n"
        "All of them.\n"
    )


def test_figures_that_no_page_has_a_place_for_are_an_error(page: Path) -> None:
    with pytest.raises(LookupError, match="no page has a place for the figures of fuzz"):
        figures.record("fuzz", inputs=1)
    assert page.read_text(encoding="utf-8") == PAGE


def test_every_long_part_has_its_place_and_every_gate_of_plain_tests_is_there() -> None:
    marked = figures.parts()
    assert set(marked) >= LONG
    for part in marked:
        runner, _, paths = part.partition(" ")
        if runner == "pytest":
            missing = [path for path in paths.split() if not (figures.ROOT / path).exists()]
            assert missing == []
