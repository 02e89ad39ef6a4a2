"""Keeps the last figures of each gate where the promise stands: docs/promises.md and the README.

``record("proxy", connections_harmed=6500, red=0)`` rewrites each ``<!--proxy-->…<!--/-->`` there to
"6,500 connections harmed, 0 red", with the commit and the date. A gate of plain tests is marked
``<!--pytest tests/db tests/disk-->…<!--/-->``; ``python -m tests.figures`` runs all of those.
"""

from __future__ import annotations

import datetime
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PAGES: Final = (ROOT / "docs" / "promises.md", ROOT / "README.md")
_MARK: Final = re.compile(r"<!--(?P<part>[^>]+)-->(?P<said>[^<]*)<!--/-->")


def record(part: str, *, commits: Sequence[str] = (), **figures: object) -> None:
    """Write the figures of `part` wherever it is marked. Raises LookupError if it is nowhere.

    `commits`: on which it ran, if not on this one.
    """
    said = ", ".join(_text(name.replace("_", " "), value) for name, value in figures.items())
    _write(part, f"{said} ({', '.join(commits or [commit()])}, {_today()})")


def _write(part: str, said: str) -> None:
    marks = 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        pattern = re.compile(rf"(<!--{re.escape(part)}-->)[^<]*(<!--/-->)")
        text, count = pattern.subn(lambda found: found[1] + said + found[2], text)
        marks += count
        if count:
            page.write_text(text, encoding="utf-8")
    if not marks:
        raise LookupError(f"no page has a place for the figures of {part}")


def parts() -> list[str]:
    """Return all that is marked, each once."""
    found = [each["part"] for page in PAGES for each in _MARK.finditer(page.read_text("utf-8"))]
    return list(dict.fromkeys(found))


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return f"{name} {value}"
    return f"{value:,.3g} {name}" if isinstance(value, float) else f"{value:,} {name}"


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


@cache
def commit() -> str:
    """Return the short name of what is tested; with a + if there are changes beside it."""

    def ask(*words: str) -> str:
        asked = ["git", *words]
        told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
        return told.stdout.strip()

    changed = ask("status", "--porcelain", "--", "src", "tests")
    return (ask("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


def main() -> int:
    """Run each gate of plain tests, and write down how many passed; return 1 if one did not."""
    red = 0
    for part in parts():
        runner, _, paths = part.partition(" ")
        if runner != "pytest":
            continue
        asked = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "-p", "no:cacheprovider"]
        told = subprocess.run(
            [*asked, *paths.split()], cwd=ROOT, capture_output=True, text=True, check=False
        )
        closing = told.stdout.strip().splitlines()[-1] if told.stdout.strip() else told.stderr
        passed = re.search(r"(\d+) passed", closing)
        print(f"{part}: {closing}", flush=True)
        if told.returncode or passed is None:
            red += 1
        else:
            record(part, tests_passed=int(passed[1]))
    return 1 if red else 0


if __name__ == "__main__":
    sys.exit(main())
