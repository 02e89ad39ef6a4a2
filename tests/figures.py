"""Keeps the figures of the long runs where the promises are: a table in docs/promises.md.

``record("proxy", cuts=6500, minutes=31)`` writes one row, which takes the place of that part's last
one. The table lies between two markers, at the end of the page if it isn't there yet.
"""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "promises.md"
BEGIN: Final = "<!-- figures: begin; tests/figures.py writes this table -->"
END: Final = "<!-- figures: end -->"
HEAD: Final = "| part | commit | date | figures |\n|---|---|---|---|\n"


def record(part: str, **figures: object) -> None:
    """Rewrite the row of `part`."""
    page = PAGE.read_text(encoding="utf-8")
    if BEGIN not in page:
        page = (
            f"{page.rstrip()}\n\n## How we know\n\nThe last whole night runs.\n\n{BEGIN}\n{END}\n"
        )
    before, _, rest = page.partition(BEGIN)
    table, _, after = rest.partition(END)
    rows = {row.split("|")[1].strip(): row for row in table.splitlines() if row.startswith("| `")}
    said = ", ".join(f"{name.replace('_', ' ')} {_text(value)}" for name, value in figures.items())
    rows[f"`{part}`"] = f"| `{part}` | {_commit()} | {_today()} | {said} |"
    table = HEAD + "".join(f"{rows[name]}\n" for name in sorted(rows))
    PAGE.write_text(f"{before}{BEGIN}\n{table}{END}{after}", encoding="utf-8")


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _commit() -> str:
    asked = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"
