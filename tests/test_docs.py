"""What the pages show, works: their Python runs, their commands exist, their files are there.

docs/api.md has tests of its own (`tests/test_examples.py`), and so has the README's example.
"""

from __future__ import annotations

import builtins
import configparser
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import typer

from settee import HashedUsers
from settee.cli.app import command
from tests.test_examples import end_what_hangs as end_what_hangs  # A fixture.
from tools import api, docs, messages, newcomer, run
from tools.docs import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path != DOCS / "api.md")
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
SNIPPET = re.compile(r'^--8<-- "([^":]+)(?::([\w-]+))?"$', re.MULTILINE)
NOT_OURS = {"sudo", "python3", "git", "cd", "systemctl", "journalctl", "export", ".venv/bin/pip"}
"""Programs of the console examples that settee does not answer for."""


class Block(NamedTuple):
    """A block of code of a page."""

    page: Path
    language: str
    code: str

    @property
    def name(self) -> str:
        return self.page.relative_to(ROOT).as_posix()


def blocks(*languages: str) -> list[Block]:
    return [
        Block(page, language, code)
        for page in [ROOT / "README.md", DOCS / "api.md", *PAGES]
        for _, language, code in FENCE.findall(page.read_text(encoding="utf-8"))
        if not languages or language in languages
    ]


def section(file: str, name: str) -> str:
    """Return what a page takes from a file."""
    text = (ROOT / file).read_text(encoding="utf-8")
    if not name:
        return text
    start, end = (f"# --8<-- [{word}:{name}]\n" for word in ("start", "end"))
    assert text.count(start) == text.count(end) == 1, f"{file} has no section {name}"
    return text.partition(start)[2].partition(end)[0]


def expanded(code: str) -> str:
    return SNIPPET.sub(lambda snippet: section(snippet[1], snippet[2] or ""), code)


# --- Python ---------------------------------------------------------------------------------------


def pages_that_run() -> dict[str, str]:
    """Return the Python of each page in a row, but for what is taken from files alone."""
    found: dict[str, str] = {}
    for block in blocks("python"):
        whole = SNIPPET.sub("", block.code).strip()
        if whole and block.page not in (ROOT / "README.md", DOCS / "api.md"):
            found[block.name] = found.get(block.name, "") + expanded(block.code) + "\n"
    return found


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What the tutorial's pages have at hand: a database, a folder, the functions above."""
    from tests import test_tutorial

    tutorial = test_tutorial.passive
    with test_tutorial.inventory.open_inventory("alice", tmp_path) as db:
        yield {"db": db, "folder": tmp_path, "make_listener": tutorial.make_listener}


@pytest.fixture
def former_signals_and_logs() -> Iterator[None]:
    """A page may catch a signal and open a log."""
    import logging
    import signal

    former, log = signal.getsignal(signal.SIGTERM), logging.getLogger("settee")
    handlers, level = list(log.handlers), log.level
    yield
    signal.signal(signal.SIGTERM, former)
    for handler in set(log.handlers) - set(handlers):
        log.removeHandler(handler)
        handler.close()
    log.setLevel(level)
    added = [h for h in logging.getLogger().handlers if getattr(h, "baseFilename", "")]
    for handler in added:
        logging.getLogger().removeHandler(handler)
        handler.close()


@pytest.mark.parametrize("page", pages_that_run())
@pytest.mark.usefixtures("former_signals_and_logs")
def test_the_python_of_a_page_runs(
    page: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.chdir(tmp_path)
    module = ModuleType("settee_page")
    if page.startswith("docs/tutorial/"):
        vars(module).update(request.getfixturevalue("scene"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(pages_that_run()[page], page, "exec"), vars(module))


def test_every_section_that_a_page_takes_from_a_file_is_there() -> None:
    taken = [
        (snippet[1], snippet[2] or "")
        for block in blocks()
        for snippet in SNIPPET.finditer(block.code)
    ]
    assert len(taken) > 20
    assert all(section(*each).strip() for each in taken)


def test_every_section_of_the_tutorials_programs_is_shown() -> None:
    shown = {(s[1], s[2]) for block in blocks() for s in SNIPPET.finditer(block.code)}
    for program in sorted((ROOT / "examples" / "tutorial").glob("*.py")):
        name = program.relative_to(ROOT).as_posix()
        there = re.findall(r"\[start:([\w-]+)\]", program.read_text(encoding="utf-8"))
        missing = {each for each in there if (name, each) not in shown}
        assert missing <= {"constants", "main"}, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_a_page_has_one_title_and_no_section_twice(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^(#+) (.+)$", text, re.MULTILINE)
    assert [level for level, _ in headings].count("#") == 1
    sections = [words for level, words in headings if level == "##"]
    assert [each for each in sections if sections.count(each) > 1] == []


# --- the other languages --------------------------------------------------------------------------


def test_every_block_says_what_it_is_and_is_of_a_kind_that_is_checked() -> None:
    checked = {"python", "console", "json", "ini", "text"}
    assert [block for block in blocks() if block.language not in checked] == []


@pytest.mark.parametrize("block", blocks("json"), ids=lambda block: block.name)
def test_json_is_json(block: Block) -> None:
    json.loads(block.code)


def commands(code: str) -> list[str]:
    """Return what is typed in a console."""
    joined = re.sub(r"\\\n\s*", "", code)
    return [line.removeprefix("$ ") for line in joined.splitlines() if line.startswith("$ ")]


def check_command(line: str) -> str:
    """Return what is wrong with a command line; empty if nothing."""
    words = shlex.split(line, comments=True)
    if words[0] == "sudo":
        words = words[1:]
    program = Path(words[0]).name
    if program == "settee":
        return check_settee(words[1:])
    if program == "make":
        return "" if words[1] in run.COMMANDS else f"there is no make {words[1]}"
    if program == "python" and words[1].endswith(".py"):
        return "" if (ROOT / words[1]).exists() else f"there is no {words[1]}"
    if program == "python" and words[1] == "-m":
        module = ROOT / words[2].replace(".", "/")
        there = module.is_dir() or module.with_suffix(".py").exists()
        return "" if there else f"there is no module {words[2]}"
    known = words[0] in NOT_OURS or program in ("pip", "useradd", "mvn", "go", "npm", "cargo")
    return "" if known else f"{words[0]} is not known here"


def check_settee(words: list[str]) -> str:
    """Parse a command line of settee as the program would, and run nothing."""
    whole: Any = command()
    try:
        with whole.make_context("settee", list(words)) as context:
            rest = [*context._protected_args, *context.args]
            while rest:
                name, found, rest = whole.resolve_command(context, rest)
                inner = found.make_context(name, rest, parent=context)
                rest = [*getattr(inner, "_protected_args", []), *inner.args]
                if not hasattr(found, "commands"):
                    break
                whole, context = found, inner
    except typer.Exit:
        return ""  # --version and --help.
    except USAGE as error:
        return f"settee {shlex.join(words)}: {error}"
    return ""


USAGE = next(cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "UsageError")
"""What a command line that can't be raises: of click, or of typer's own copy of it."""

CONSOLES = [
    pytest.param(line, id=f"{block.name}: {line[:60]}")
    for block in blocks("console")
    for line in commands(block.code)
]


@pytest.mark.parametrize("line", CONSOLES)
def test_a_command_that_a_page_shows_can_be_typed(line: str) -> None:
    assert check_command(line) == ""


def test_a_command_that_is_not_there_is_found() -> None:
    assert "No such command" in check_command("settee lsiten x")
    assert "No such option" in check_command("settee listen x --advertize")
    assert check_command("make dmeo") == "there is no make dmeo"
    assert check_command("python examples/tutorial/pasive.py x").startswith("there is no")
    assert check_command("rm -r x") == "rm is not known here"


def test_the_newcomers_path_is_what_the_pages_show() -> None:
    assert newcomer.typed("index.md", "Install")[-1] == ".venv/bin/settee --version"
    programs = [line.split()[1] for line in newcomer.typed("quickstart.md", "Two devices for real")]
    assert programs == ["put", "listen", "browse", "sync", "ls"]


# --- the service ----------------------------------------------------------------------------------


def units() -> list[str]:
    return [expanded(block.code) for block in blocks("ini")]


@pytest.mark.parametrize("unit", units(), ids=lambda unit: unit.split()[-1])
def test_a_unit_starts_a_command_that_there_is(unit: str) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit)
    assert check_command(parser["Service"]["ExecStart"]) == ""


@pytest.mark.slow
def test_the_service_starts_and_ends_in_order(tmp_path: Path) -> None:
    """Starts a process, which takes a second."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(ROOT / "examples" / "service" / "settee-listen.service", encoding="utf-8")
    words = shlex.split(parser["Service"]["ExecStart"])
    words[words.index("--port") + 1] = "0"
    environment = os.environ | {"XDG_DATA_HOME": str(tmp_path / "data")}
    users = HashedUsers()
    users.add("van", "a long password")
    users.save(tmp_path / "users.json")
    process = subprocess.Popen(
        [sys.executable, "-m", "settee", *words[1:], "--host", "127.0.0.1"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Listening on  wss://127.0.0.1:")
    process.terminate()  # What `systemctl stop` does.
    process.communicate(timeout=30)
    assert process.returncode == 0


# --- names ----------------------------------------------------------------------------------------


def test_every_name_on_the_page_for_users_of_couchbase_lite_is_one_of_settee() -> None:
    import settee

    text = (DOCS / "couchbase-names.md").read_text(encoding="utf-8")
    wrong = []
    for row in re.findall(r"^\|(?! in Couch| ?-).*\|(.*)\|$", text, re.MULTILINE):
        for name in re.findall(r"`([A-Z]\w+)((?:\.\w+)*)", row):
            cls = getattr(settee, name[0], None)
            if cls is None and not hasattr(builtins, name[0]):
                wrong.append(name[0])
            elif cls is not None and name[1] and not has(cls, name[1][1:]):
                wrong.append("".join(name))
    assert wrong == []


def has(cls: Any, attribute: str) -> bool:
    fields = api.field_words(cls) if isinstance(cls, type) else {}
    return hasattr(cls, attribute) or attribute in fields or attribute in api.made(cls)


def test_options_on_that_page_are_options() -> None:
    import inspect

    import settee

    text = (DOCS / "couchbase-names.md").read_text(encoding="utf-8")
    for heading, cls in (("## Replicator", settee.Replicator), ("## Listener", None)):
        part = text.partition(heading)[2].partition("\n## ")[0]
        named = set(re.findall(r"`([a-z_]+)=", part)) - {"reset", "accept", "roots", "pins"}
        listener = inspect.signature(settee.URLEndpointListener).parameters
        options = inspect.signature(cls).parameters if cls else listener
        assert named <= set(options), heading


# --- error messages -------------------------------------------------------------------------------


def test_the_page_of_error_messages_is_up_to_date_and_has_every_error() -> None:
    page = docs.Page(messages.page(), messages.problems())
    assert docs.stale("guides/troubleshooting", page) == ""
    assert page.problems == []


def test_every_reason_for_which_a_listener_refuses_is_on_the_page() -> None:
    page = (DOCS / "guides" / "troubleshooting.md").read_text(encoding="utf-8")
    sources = [ROOT / "src" / "settee" / "peer" / name for name in ("doorkeeper.py", "passive.py")]
    reasons = [
        reason
        for source in sources
        for reason in re.findall(r'reason=f?"([^"{:]+)', source.read_text(encoding="utf-8"))
    ]
    assert len(reasons) >= 8
    assert [each for each in reasons if f"| {each.strip()}" not in page] == []


def raised() -> Iterator[tuple[str, Any]]:
    """Yield errors as they happen, with their names."""
    from settee import Database, SetteeError, URLEndpointListener

    def attempts(db: Database) -> Iterator[Any]:
        items = db.default_collection
        yield lambda: items["nothing"]
        yield lambda: items.put("a", {"n": float("nan")})
        yield lambda: items.put("a", {"_x": 1})
        yield lambda: items.put("", {})
        yield lambda: db.collection("no.such")
        yield lambda: db.collection("a b")
        yield lambda: URLEndpointListener(db)
        yield lambda: URLEndpointListener(db, port=70000, allow_anonymous=True)
        yield lambda: db.replicate("wss://host/")
        yield lambda: db.replicate("wss://u:p@host/db")
        yield lambda: db.replicate("ws://127.0.0.1:9/x", max_attempts=1)
        yield lambda: db.replicate("ws://127.0.0.1:9/x", continuous=True)
        yield lambda: Database.delete("nothing")
        yield lambda: Database("nothing", create=False)
        yield lambda: Database("x", durability="no")  # type: ignore[arg-type]

    with Database("messages") as db:
        for attempt in attempts(db):
            try:
                attempt()
            except SetteeError as error:
                yield type(error).__name__, error
            else:
                raise AssertionError("nothing was raised")
    try:
        len(db.default_collection)
    except SetteeError as error:
        yield type(error).__name__, error


def test_errors_that_happen_are_found_among_the_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = messages.found()
    for name, error in raised():
        fitting = [each for each in told if each.error == name and each.pattern.search(str(error))]
        assert fitting, f"{name}: {error}"


def test_a_message_is_read_out_of_the_source(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text(
        "def check(n, problem):\n"
        "    if n > 1:\n"
        "        raise ConfigError('n', f'must be 1, not {n}; ' + 'give less')\n"
        "    raise StoreError(f'{problem} after {BUSY_TIMEOUT_S:.0f} s')\n"
        "check(2, 'the file is locked')\n"
        "check(3, 'the disk is gone')\n",
        encoding="utf-8",
    )
    monkey = pytest.MonkeyPatch()
    monkey.setattr(messages, "ROOT", tmp_path)
    texts = {(each.error, each.text) for each in messages.in_module(source)}
    monkey.undo()
    assert texts == {
        ("ConfigError", "n: must be 1, not …; give less"),
        ("StoreError", "the file is locked after 10 s"),
        ("StoreError", "the disk is gone after 10 s"),
    }
