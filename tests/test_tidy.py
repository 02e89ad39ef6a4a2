"""The house's rules, as tests: sizes, rooms, banned words and calls, dependencies.

Each rule is a function that finds offences in a text or a name, tried out on planted ones first,
then run over the whole project. A list that should be empty names what is wrong.
"""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
FILE_LINES_MAX = 700
FUNCTION_LINES_MAX = 60
LINE_CHARACTERS_MAX = 100
PRAGMA = re.compile(r"\s+# (?:type: ignore|noqa)\b.*$")
"""What a line says to a tool does not count: it can't be broken."""
DOCSTRING_CHARACTERS_MIN = 20

PURE = ("blip/", "doc/", "sync/", "net/cookies.py", "net/frames.py", "net/http1.py")
MAY_TOUCH_THE_MACHINE = ("clock.py", "net/", "peer/runtime.py")
DEPENDENCIES = {"apsw", "cryptography", "orjson", "rich", "typer", "zeroconf"}
EMPTY_WORDS = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}

# Written in halves, so that this file is not its own offender.
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:wo" + r"rk|ro" + r"ot)(?:/[\w.-]|\b(?![\w./-]))")
REGISTRY = re.compile(
    "|".join(
        [
            r"files\.pythonhosted" + r"\.org",
            r"pypi\.(?:org|python)" + r"(?:\.org)?/simple",
            r"registry\.npmjs" + r"\.org",
            r"repo1?\.maven" + r"\.(?:apache\.)?org",
            r"proxy\.golang" + r"\.org",
            r"--(?:extra-)?index" + r"-url",
            r"artifact" + r"ory|nex" + r"us/repository",
        ]
    )
)

BANNED_MODULES = {"time", "random", "secrets"}
BANNED_NAMES = {
    "asyncio.sleep",
    "os.urandom",
    "threading.Thread",
    "threading.Timer",
    "uuid.uuid1",
    "uuid.uuid4",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
}


# --- what there is --------------------------------------------------------------------------------


def sources(package: str = "") -> list[Path]:
    return sorted((SOURCE / package).rglob("*.py"))


def in_settee(path: Path) -> str:
    return path.relative_to(SOURCE / "settee").as_posix()


def tracked() -> list[Path]:
    """What is in the repository, or would be with the next commit; in an archive, all of it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
        return [path for path in paths if path.is_file()]
    return [path for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts]


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked():
        try:
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
        except UnicodeDecodeError:
            continue


# --- rules ----------------------------------------------------------------------------------------


@functools.cache
def parsed(source: str) -> ast.Module:
    return ast.parse(source)


def long_functions(source: str) -> list[str]:
    found = []
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            count = node.end_lineno - node.lineno + 1
            if count > FUNCTION_LINES_MAX:
                found.append(f"{node.name} has {count} lines")
    return found


def banned_calls(source: str) -> list[str]:
    """Find time, chance and threads, however they are imported or called."""
    tree = parsed(source)
    known: dict[str, str] = {}
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                known[alias.asname or top] = alias.name if alias.asname else top
                if top in BANNED_MODULES:
                    found.append(f"{node.lineno}: import {alias.name}")
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                known[alias.asname or alias.name] = full
                if node.module.partition(".")[0] in BANNED_MODULES or full in BANNED_NAMES:
                    found.append(f"{node.lineno}: from {node.module} import {alias.name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            full = dotted(node, known)
            if full in BANNED_NAMES:
                found.append(f"{node.lineno}: {full}")
    return found


def dotted(node: ast.expr, known: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return known.get(node.id, f"?{node.id}")
    return f"{dotted(node.value, known)}.{node.attr}" if isinstance(node, ast.Attribute) else "?"


def missing_room_lines(source: str) -> list[str]:
    document = ast.get_docstring(parsed(source)) or ""
    lines = ("Room: ", "Touches: ", "Never touches: ")
    return [line for line in lines if not re.search(f"^{line}", document, re.MULTILINE)]


def empty_words(path: str) -> list[str]:
    return [word for word in re.split(r"[^a-z]+", path.lower()) if word in EMPTY_WORDS]


def mirror(path: Path) -> Path:
    """Return the test file of a source file."""
    package, *rooms, file = path.relative_to(SOURCE).parts
    if package == "settee_inventory":
        rooms = ["inventory", *rooms]
    return ROOT.joinpath("tests", *rooms, f"test_{file}")


# --- the rules find what they are for -------------------------------------------------------------


def test_a_planted_long_function_is_found() -> None:
    body = "".join(f"    x = {i}\n" for i in range(FUNCTION_LINES_MAX - 1))
    assert long_functions("def fits():\n" + body) == []
    assert long_functions("class A:\n  async def long(self):\n" + body + "    pass\n") == [
        "long has 61 lines"
    ]


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import time as t",
        "from time import monotonic",
        "import random",
        "from random import Random",
        "import secrets",
        "from uuid import uuid4",
        "import uuid; uuid.uuid4()",
        "import uuid as u; u.uuid4()",
        "import os; os.urandom(4)",
        "from os import urandom as chance",
        "import threading; threading.Thread(target=f)",
        "from threading import Thread",
        "import threading as th; th.Timer(1, f)",
        "import asyncio\nasync def f():\n  await asyncio.sleep(1)",
        "from asyncio import sleep",
        "import datetime; datetime.datetime.now()",
        "from datetime import datetime; datetime.now(tz)",
        "from datetime import date; date.today()",
    ],
)
def test_planted_time_chance_and_threads_are_found(source: str) -> None:
    assert len(banned_calls(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import os; os.path.join('a', 'b')",
        "import threading; threading.Lock()",
        "import asyncio; asyncio.Event()",
        "from datetime import datetime; datetime.fromtimestamp(0)",
        "def time(): pass\ntime()",
        "'time.sleep(1)'",
        "self.time.sleep(1)",
        "import uuid; uuid.UUID(bytes=b)",
    ],
)
def test_what_only_looks_like_it_is_not_found(source: str) -> None:
    assert banned_calls(source) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cd /wo" + "rk/main", True),
        ("'/ro" + "ot/.cache'", True),
        ("lies in /wo" + "rk", True),
        ("framewo" + "rk/main", False),
        ("net/wo" + "rk/x", False),
        ("https://example.com/wo" + "rk/x", False),
        ("the / ro" + "ot", False),
        ("/wo" + "rkshop/x", False),
        ("/wo" + "rk-items", False),
    ],
)
def test_planted_machine_paths_are_found(text: str, found: bool) -> None:
    assert bool(MACHINE_PATH.search(text)) is found


@pytest.mark.parametrize(
    "text",
    [
        "https://pypi" + ".org/simple",
        "https://files.pythonhosted" + ".org/packages/x.whl",
        "pip install --index" + "-url x",
        "https://registry.npmjs" + ".org/x",
        "https://repo1.maven" + ".org/maven2",
        "https://repo.maven" + ".apache.org/maven2",
        "https://proxy.golang" + ".org",
    ],
)
def test_planted_registries_are_found(text: str) -> None:
    assert REGISTRY.search(text)


def test_planted_unfinished_work_is_found() -> None:
    assert UNFINISHED.search("# TO" + "DO: later")
    assert UNFINISHED.search("FIX" + "ME")
    assert not UNFINISHED.search("mastodon TODOS".lower())


def test_a_planted_room_without_its_lines_is_found() -> None:
    whole = '"""A.\n\nRoom: b.\nTouches: c.\nNever touches: d.\n"""'
    assert missing_room_lines(whole) == []
    assert missing_room_lines('"""A.\n\nRoom: b.\nNever touches: d.\n"""') == ["Touches: "]
    assert len(missing_room_lines("x = 1")) == 3


def test_planted_empty_words_are_found() -> None:
    assert empty_words("src/settee/net_utils.py") == ["utils"]
    assert empty_words("src/settee/helpers/x.py") == ["helpers"]
    assert empty_words("src/settee/commonplace.py") == []


def test_each_source_has_its_place_among_the_tests() -> None:
    assert mirror(SOURCE / "settee/net/link.py") == ROOT / "tests/net/test_link.py"
    assert mirror(SOURCE / "settee/ids.py") == ROOT / "tests/test_ids.py"
    assert mirror(SOURCE / "settee_inventory/data.py") == ROOT / "tests/inventory/test_data.py"


# --- the project keeps them -----------------------------------------------------------------------


def none_of(offences: Iterable[object]) -> None:
    """Fail with every offence in sight, however many there are."""
    lines = [str(offence) for offence in offences]
    assert not lines, "\n" + "\n".join(lines)


def test_files_are_of_a_size_to_read() -> None:
    counts = {path.relative_to(SOURCE): len(path.read_text().splitlines()) for path in sources()}
    none_of(f"{path}: {count}" for path, count in counts.items() if count > FILE_LINES_MAX)


def test_functions_are_of_a_size_to_read() -> None:
    none_of(
        f"{path.relative_to(SOURCE)}: {long}"
        for path in sources()
        for long in long_functions(path.read_text())
    )


def test_lines_fit_a_screen() -> None:
    none_of(
        f"{name}:{number}"
        for name, text in texts()
        if name.endswith(".py")
        for number, line in enumerate(text.splitlines(), start=1)
        if len(PRAGMA.sub("", line)) > LINE_CHARACTERS_MAX
    )


def test_modules_of_pure_rooms_say_what_they_touch() -> None:
    none_of(
        f"{in_settee(path)}: no line {line!r}"
        for path in sources("settee")
        if in_settee(path).startswith(PURE) and path.name != "__init__.py"
        for line in missing_room_lines(path.read_text())
    )


def test_every_module_says_what_it_is_for() -> None:
    none_of(
        path.relative_to(SOURCE)
        for path in sources()
        if len(ast.get_docstring(parsed(path.read_text())) or "") < DOCSTRING_CHARACTERS_MIN
    )


def test_every_module_has_a_test_file_of_its_name() -> None:
    none_of(
        mirror(path).relative_to(ROOT)
        for path in sources()
        if path.name not in ("__init__.py", "__main__.py") and not mirror(path).exists()
    )


def test_time_chance_and_threads_stay_behind_their_seams() -> None:
    none_of(
        f"{in_settee(path)}:{call}"
        for path in sources("settee")
        if not in_settee(path).startswith(MAY_TOUCH_THE_MACHINE)
        for call in banned_calls(path.read_text())
    )


@pytest.mark.parametrize(
    "rule", [UNFINISHED, MACHINE_PATH, REGISTRY], ids=["unfinished", "machine path", "registry"]
)
def test_no_file_holds_what_belongs_elsewhere(rule: re.Pattern[str]) -> None:
    none_of(
        f"{name}:{number}: {match[0]}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        for match in rule.finditer(line)
    )


def test_no_file_has_an_empty_word_for_a_name() -> None:
    names = [path.relative_to(ROOT).as_posix() for path in tracked()]
    none_of(name for name in names if name.endswith(".py") and empty_words(name))


def test_the_run_time_dependencies_are_those_decided_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [re.split(r"[^A-Za-z0-9_.-]", line)[0] for line in project["dependencies"]]
    assert sorted(named) == sorted(DEPENDENCIES)
