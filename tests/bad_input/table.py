"""The rows of docs/bad-input.md."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "bad-input.md"


def rows() -> dict[str, str]:
    """Return the name of the expected error by row."""
    found = re.findall(r"^\| `([a-z0-9-]+)` \| [^|]+ \| (\w+) \|", PAGE.read_text("utf-8"), re.M)
    assert len({row for row, _ in found}) == len(found), "a row is there twice"
    return dict(found)


def row_of_test(name: str) -> str:
    """Return the row that a test function proves."""
    return name.partition("[")[0].removeprefix("test_").replace("_", "-")
