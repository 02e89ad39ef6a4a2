"""`tools/run.py`: when it installs, when it doesn't, and what it says when it can't."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

RUN = Path(__file__).resolve().parent.parent / "tools" / "run.py"


class Commands:
    """Writes down what would have been run; `failing` names a word that makes one fail."""

    def __init__(self) -> None:
        self.run: list[list[str]] = []
        self.handed_over: list[list[str]] = []
        self.failing = ""

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.run.append(command)
        failed = bool(self.failing) and self.failing in command
        version = "{} {}\n".format(*sys.version_info[:2])
        return subprocess.CompletedProcess(command, int(failed), stdout=version)

    def hand_over(self, command: list[str]) -> int:
        self.handed_over.append(command)
        return 0

    def installed(self) -> list[str]:
        return [
            command[-1].rpartition("[")[2].strip("]") for command in self.run if "pip" in command
        ]

    def made(self) -> int:
        return sum("venv" in command for command in self.run)


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commands: Commands) -> ModuleType:
    """The module, in a project of its own with a `.venv` that works and is not stamped."""
    spec = importlib.util.spec_from_file_location("settee_tools_run", RUN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "STAMP", tmp_path / ".venv" / "settee-stamp.json")
    monkeypatch.setattr(module.subprocess, "run", commands)
    monkeypatch.setattr(module, "hand_over", commands.hand_over)
    monkeypatch.delenv("SETTEE_HYPOTHESIS", raising=False)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    python = module.venv_program("python")
    python.parent.mkdir(parents=True)
    python.touch()
    return module


def test_the_second_run_installs_nothing(run: ModuleType, commands: Commands) -> None:
    assert run.main(["test"]) == 0
    assert commands.installed() == ["test"]
    assert run.main(["test", "tests/doc"]) == 0
    assert commands.installed() == ["test"]
    assert commands.made() == 0
    python = str(run.venv_program("python"))
    assert commands.handed_over[-1] == [
        *[python, "-m", "pytest", "-q", "-n", "auto", "-m"],
        *["not slow and not interop and not browser", "tests/doc"],
    ]


def test_the_demo_needs_no_more_than_the_tests_have(run: ModuleType, commands: Commands) -> None:
    run.main(["test"])
    run.main(["demo", "--show"])
    assert len(commands.installed()) == 1
    assert commands.handed_over[-1][1:] == ["-m", "settee_inventory.table", "--show"]
    run.main(["demo-terminal", "--fast"])
    assert len(commands.installed()) == 1
    assert commands.handed_over[-1][1:] == ["-m", "settee", "demo", "--fast"]


def test_the_demo_in_a_terminal_needs_settee_alone(run: ModuleType, commands: Commands) -> None:
    run.main(["demo-terminal"])
    assert commands.installed() == [str(run.ROOT)]
    run.main(["demo"])
    assert commands.installed() == [str(run.ROOT), "app"]


def test_the_browsers_tests_bring_all_that_the_others_need(
    run: ModuleType, commands: Commands
) -> None:
    run.main(["browser", "-k", "axe"])
    assert commands.installed() == ["browser"]
    assert commands.handed_over[-1][-4:] == ["browser", "tests/browser", "-k", "axe"]
    run.main(["test"])
    assert commands.installed() == ["browser"]


def test_the_pages_are_built_with_what_they_need_and_strictly(
    run: ModuleType, commands: Commands
) -> None:
    run.main(["test"])
    run.main(["docs"])
    assert commands.installed() == ["test", "docs,test"]
    assert commands.handed_over[-1][1:] == ["-m", "mkdocs", "build", "--strict"]


def test_the_tests_need_more_than_the_demo_has(run: ModuleType, commands: Commands) -> None:
    run.main(["demo"])
    run.main(["test"])
    assert commands.installed() == ["app", "app,test"]
    run.main(["demo"])
    assert len(commands.installed()) == 2


def test_a_changed_declaration_is_installed_again(run: ModuleType, commands: Commands) -> None:
    run.main(["test"])
    (run.ROOT / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    run.main(["test"])
    assert commands.installed() == ["test", "test"]
    assert commands.made() == 0


def test_another_python_makes_the_environment_anew(
    run: ModuleType, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.main(["test"])
    monkeypatch.setattr(run, "usable_venv", lambda: False)
    monkeypatch.setattr(run, "fingerprint", lambda: "of another Python")
    run.main(["test"])
    assert commands.made() == 1
    assert commands.installed() == ["test", "test"]


@pytest.mark.parametrize("stamp", ["", "[]", "{", '{"fingerprint": 7}'])
def test_a_damaged_stamp_counts_as_none(run: ModuleType, commands: Commands, stamp: str) -> None:
    run.STAMP.write_text(stamp)
    assert run.main(["test"]) == 0
    assert commands.installed() == ["test"]
    assert json.loads(run.STAMP.read_text())["extras"] == ["test"]


def test_a_failed_installation_says_what_to_do_and_is_tried_again(
    run: ModuleType, commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.failing = "pip"
    assert run.main(["test"]) == 3
    assert "is there a network?" in capsys.readouterr().err
    assert commands.handed_over == []
    commands.failing = ""
    assert run.main(["test"]) == 0
    assert commands.installed() == ["test", "test"]


def test_a_python_without_venv_is_told_the_package(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "usable_venv", lambda: False)
    monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
    assert run.main(["test"]) == 3
    assert "apt install python3." in capsys.readouterr().err


def test_an_old_python_hands_over_to_a_newer_one_that_works(
    run: ModuleType, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "PYTHON_MIN", (3, 11))
    monkeypatch.setattr(run.sys, "version_info", (3, 9, 6, "final", 0))
    monkeypatch.setattr(run.shutil, "which", lambda name: f"/bin/{name}")
    commands.failing = "/bin/python3.14"
    run.main(["test", "-x"])
    assert commands.handed_over == [["/bin/python3.13", str(RUN), "test", "-x"]]


def test_an_old_python_alone_is_told(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run.sys, "version_info", (3, 9, 6, "final", 0))
    monkeypatch.setattr(run.shutil, "which", lambda name: None)
    assert run.main(["test"]) == 3
    assert "Python 3.11 or newer is needed; this is 3.9" in capsys.readouterr().err


def test_other_words_show_how_it_is_used(
    run: ModuleType, commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in ([], ["tset"]):
        assert run.main(arguments) == 2
        assert "interop" in capsys.readouterr().err
    assert commands.handed_over == []


def test_interop_without_its_tests_says_so(
    run: ModuleType, commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["interop"]) == 2
    assert "no tests/interop" in capsys.readouterr().err
    (run.ROOT / "tests" / "interop").mkdir(parents=True)
    assert run.main(["interop"]) == 0
    assert commands.handed_over[-1][-1] == "tests/interop"


def test_modules_are_compiled_once_and_beside_no_source(run: ModuleType) -> None:
    run.main(["test"])
    assert "PYTHONDONTWRITEBYTECODE" not in run.os.environ
    assert run.os.environ["PYTHONPYCACHEPREFIX"] == str(run.VENV / "pycache")


def test_the_night_looks_further(
    run: ModuleType, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SETTEE_HYPOTHESIS", "steady")
    monkeypatch.delenv("PART", raising=False)
    run.main(["night"])
    assert run.os.environ["SETTEE_HYPOTHESIS"] == "night"
    chosen = "not interop and not browser"
    assert commands.handed_over[-1][1:] == ["-m", "pytest", "-q", "-m", chosen]
    monkeypatch.setenv("PART", "soak")
    run.main(["night", "--minutes", "2"])
    assert commands.handed_over[-1][1:] == ["-m", "tests.interop.soak", "--minutes", "2"]
    monkeypatch.setenv("PART", "live")
    run.main(["night", "--seed", "7"])
    assert commands.handed_over[-1][1:] == ["-m", "tests.interop.bridge", "--seed", "7"]


def test_the_night_that_fuzzes_installs_what_it_needs(
    run: ModuleType, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SETTEE_HYPOTHESIS", "steady")
    monkeypatch.setenv("PART", "load")
    run.main(["night"])
    assert commands.installed() == ["test"]
    monkeypatch.setenv("PART", "fuzz")
    run.main(["night", "--seconds", "5"])
    assert commands.installed() == ["test", "fuzz,test"]
    assert commands.handed_over[-1][1:] == ["-m", "tests.fuzz", "--all", "--seconds", "5"]


def test_a_part_of_the_night_that_there_is_not_is_told(
    run: ModuleType,
    commands: Commands,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PART", "noon")
    assert run.main(["night"]) == 2
    assert commands.handed_over == []
    said = capsys.readouterr().err
    assert "PART is one of tests, simulation, bridge, soak, live, fuzz, load, attack" in said
