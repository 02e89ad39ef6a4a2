"""What the README shows, runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("['wss://")
    assert printed[1] == "0 1 ()"
    assert printed[2] == "10"


def test_every_file_that_it_names_is_there() -> None:
    for name in re.findall(r"`((?:docs|tools|benchmarks)/[\w./-]+|[A-Z]+(?:\.md)?)`", README):
        assert (Path(__file__).parent.parent / name).exists(), name


def test_its_commands_exist() -> None:
    from settee.cli.app import app

    names = {command.name or command.callback.__name__ for command in app.registered_commands}
    for name in re.findall(r"^\$ settee (\w+)", README, re.MULTILINE):
        assert name in names
