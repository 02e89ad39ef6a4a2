"""What settee is built of: what is declared, and what is imported."""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

DECIDED = {"apsw", "orjson", "cryptography", "zeroconf", "typer", "rich"}
"""Whoever adds one decides on its maintenance and on its holes, too."""

ALONG = {
    "ifaddr": "zeroconf",
    "uvloop": "the extra `speed`",
    "websockets": "the extra `speed`",
    "zlib_ng": "the extra `speed`",
}
"""What comes with one of them, or is used where it is there."""

APP = {"nicegui", "PIL", "segno", "starlette"}
"""The sample app's own, of the extra `app`; `starlette` comes with `nicegui`."""


def declared() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {each.partition(">=")[0]: each.partition(">=")[2] for each in project["dependencies"]}


@pytest.mark.sec("SEC-40")
def test_the_direct_dependencies_are_those_that_were_decided_on() -> None:
    """Guards `dependencies` in pyproject.toml."""
    assert set(declared()) == DECIDED
    assert all(declared().values()), "each has a least version"


@pytest.mark.sec("SEC-40")
def test_nothing_else_is_imported() -> None:
    others = imported("settee") - {"settee", "settee_inventory"}
    assert others <= DECIDED | set(ALONG)
    assert imported("settee_inventory") - {"settee", "settee_inventory"} <= APP | DECIDED


def imported(package: str) -> set[str]:
    """Return what a package imports that neither Python nor it brings."""
    found: set[str] = set()
    for path in (ROOT / "src" / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names)
