"""What docs/api.md and the folder ``examples`` show, runs and says what they say it says."""

from __future__ import annotations

import ast
import faulthandler
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import settee
from tools import api, docs

HANGING_S = 60
ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = sorted((ROOT / "examples").glob("*.py"))
PROVES = {"offline_edits": ["DOC-08"]}
"""Programs that show a feature: a deletion that reaches the other peer."""
SLOW = {"Finding peers": "DNS-SD asks for a second whether a name is free"}
"""Sections whose examples take more than a second, and why."""


@pytest.fixture(autouse=True)
def end_what_hangs() -> Iterator[None]:
    """An example waits as a program does, without a limit: say where, and end the run."""
    faulthandler.dump_traceback_later(HANGING_S, exit=True, file=sys.__stderr__)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(
            each, id=each.heading, marks=[pytest.mark.slow] if each.heading in SLOW else []
        )
        for each in api.examples()
    ],
)
def test_the_examples_of_a_section_run(
    example: api.Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is slow: `SLOW` says why."""
    monkeypatch.chdir(tmp_path)
    module = ModuleType("settee_example")  # Dataclasses look up the module that they are made in.
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(example.code, f"docs/api.md, {example.heading}", "exec"), vars(module))


@pytest.mark.feature("DB-05")
def test_the_page_has_each_signature_with_its_defaults_and_is_up_to_date() -> None:
    assert docs.stale("api", docs.Page(api.page())) == ""


def test_every_public_name_is_described_and_used_in_an_example() -> None:
    assert api.problems() == []


# --- the programs ---------------------------------------------------------------------------------


def promised(program: Path) -> str:
    """Return what a program's docstring says that it prints."""
    document = ast.get_docstring(ast.parse(program.read_text(encoding="utf-8"))) or ""
    printed = re.search(r"It prints::\n\n((?:    .*\n?|\n)+)", document + "\n")
    assert printed is not None, f"{program.name} does not say what it prints"
    return "\n".join(line[4:] for line in printed[1].rstrip().splitlines()) + "\n"


def trimmed(text: str) -> list[str]:
    """Return lines without the spaces at their ends, of which a table has some."""
    return [line.rstrip() for line in text.rstrip().splitlines()]


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(each, id=each.stem, marks=pytest.mark.feature(*PROVES.get(each.stem, ())))
        for each in PROGRAMS
    ],
)
def test_a_program_prints_what_its_docstring_says(
    program: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(program), run_name="__main__")
    assert trimmed(capsys.readouterr().out) == trimmed(promised(program))


def test_the_programs_are_there() -> None:
    assert {program.stem for program in PROGRAMS} == {
        "asyncio_app",
        "blobs",
        "change_feed",
        "conflict_merge",
        "fastapi_app",
        "filter_per_user",
        "live_view",
        "offline_edits",
        "sensor_logger",
        "two_peers",
    }


def test_the_programs_use_public_names_only() -> None:
    for program in PROGRAMS:
        for node in ast.walk(ast.parse(program.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("settee"):
                assert node.module in ("settee", "settee.aio"), program.name
            if isinstance(node, ast.Attribute):
                assert not node.attr.startswith("_"), program.name


# --- the tool finds what it is for ----------------------------------------------------------------


def test_names_count_as_used_where_they_are_used_and_not_where_they_are_imported() -> None:
    code = (
        "from settee import Blob, Database\nfrom settee.aio import Changes\nDatabase('x').close()"
    )
    assert api.used(code) == ({"Database"}, set(), {"close"})


def test_a_long_signature_is_written_one_parameter_a_line() -> None:
    text = api.signature("Database", settee.Database)
    assert text.startswith("Database(\n    name_or_path: str | os.PathLike[str],\n    *,\n")
    assert "    durability: Durability = 'full',\n" in text
    (short,) = api.signatures("close", settee.Database, settee.Database.close)
    assert short == "close() -> None"


def test_overloads_are_written_each() -> None:
    written = api.signatures("get", settee.Collection, settee.Collection.get)
    assert written[:2] == [
        "get(id: str) -> Document | None",
        "get(id: str, default: D) -> Document | D",
    ]


def test_what_a_class_makes_for_good_is_among_its_members() -> None:
    made = api.made(settee.ListenerConnection)
    assert made["user"] == (
        "str | None",
        "Who it is, by its password or its certificate; None if it is anonymous.",
    )
    assert "_driver" not in made
    assert api.made(settee.PeerFound) == {}
    assert "- **`since: datetime`**" in "\n".join(api.reference("ListenerConnection", "Given."))


def test_docstrings_become_markdown() -> None:
    doc = "Do ``it``\nnow.\n\nArgs:\n    a: One\n        thing.\n    b: Two."
    assert api.prose(doc) == ["Do `it` now.", "", "- `a`: One thing.", "- `b`: Two."]
    raises = "Go.\n\nRaises:\n    X: Never."
    assert api.prose(raises) == ["Go.", "", "Raises:", "", "- `X`: Never."]
