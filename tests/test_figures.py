"""The table of figures: a row of each part, the last one it had, and the rest of the page as is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import figures

PAGE = "# Promises\n\nAll of them.\n"


def test_each_part_has_one_row_and_the_page_around_the_table_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "promises.md"
    page.write_text(PAGE, encoding="utf-8")
    monkeypatch.setattr(figures, "PAGE", page)
    monkeypatch.setattr(figures, "_commit", lambda: "abc1234")
    monkeypatch.setattr(figures, "_today", lambda: "2026-01-02")
    figures.record("soak", peers=5, max_rss_mib=120.25)
    figures.record("proxy", cuts=6_500, red=0)
    figures.record("soak", peers=3, note="a smoke")
    text = page.read_text(encoding="utf-8")
    assert text.startswith(PAGE)
    table = text[text.index(figures.BEGIN) : text.index(figures.END)].splitlines()
    assert table[3:] == [
        "| `proxy` | abc1234 | 2026-01-02 | cuts 6,500, red 0 |",
        "| `soak` | abc1234 | 2026-01-02 | peers 3, note a smoke |",
    ]
    page.write_text(text + "\n## After\n", encoding="utf-8")
    figures.record("proxy", cuts=1)
    assert page.read_text(encoding="utf-8").endswith("\n## After\n")
    assert page.read_text(encoding="utf-8").count("proxy") == 1
