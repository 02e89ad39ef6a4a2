"""Runs the command line in this process, in a directory of its own."""

from __future__ import annotations

import io
import sys
from typing import NamedTuple

import pytest

from settee import Database, cli


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """``run("ls", "van", stdin="…")`` returns exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("SETTEE_PASSWORD", raising=False)
    # What a power cut would take is not what these tests are about, and fsyncs are their time.
    monkeypatch.setitem(Database.__init__.__kwdefaults__, "durability", "memory")

    def run_it(*arguments: object, stdin: str | bytes = "") -> Ran:
        raw = stdin if isinstance(stdin, bytes) else stdin.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        capfd.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        said = capfd.readouterr()
        return Ran(code, said.out, said.err)

    return run_it
