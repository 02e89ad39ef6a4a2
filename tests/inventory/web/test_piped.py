"""The app led by another program."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inventory.web.programs import Program, running

# Real processes with NiceGUI in them take two seconds each to start.
pytestmark = pytest.mark.slow


def friend(program: Program, name: str) -> dict[str, str]:
    return {"key": program.ready["key"], "name": name, "fingerprint": program.ready["fingerprint"]}


def linked(program: Program, *, to: int) -> dict[str, object]:
    """Wait until a device tells that it is connected with so many."""
    while True:
        news = program.heard("links")
        if len(news["linked"]) == to:
            return news


def test_two_that_were_introduced_find_each_other_and_are_cut_off(tmp_path: Path) -> None:
    with running(tmp_path / "a", "Piped a") as one, running(tmp_path / "b", "Piped b") as other:
        one.order("meet", friends=[friend(other, "Piped b")])
        other.order("meet", friends=[friend(one, "Piped a")])
        assert linked(one, to=1)["online"] is True
        assert linked(other, to=1)["linked"] == [one.ready["key"]]
        one.process.stdin.write('{"number": 2, "do": "network", "on": false}\n')  # type: ignore[union-attr]
        one.process.stdin.flush()  # type: ignore[union-attr]
        assert linked(one, to=0)["online"] is False
        assert linked(other, to=0)["online"] is True
        one.process.stdin.write('{"number": 3, "do": "network", "on": true}\n')  # type: ignore[union-attr]
        one.process.stdin.flush()  # type: ignore[union-attr]
        linked(one, to=1)
        linked(other, to=1)
