"""The first walk works as it stands."""

from __future__ import annotations

import json
import shlex

from settee.cli import tour


def test_bare_settee_shows_the_tour(run):
    ran = run()
    assert (ran.code, ran.err) == (0, "")
    for command in tour.COMMANDS:
        assert f"  {command}\n" in ran.out
    assert "settee --help" in ran.out


def test_it_fits_a_small_terminal(run):
    lines = run().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 23


def test_its_commands_work_when_they_are_pasted(run):
    said = [run(*shlex.split(command)[1:]) for command in tour.COMMANDS]
    assert [ran.code for ran in said] == [0, 0, 0]
    assert "apples" in said[1].out
    assert json.loads(said[2].out) == {"_id": "apples", "name": "Apples", "quantity": 10}
