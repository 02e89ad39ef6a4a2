"""Every command against everything that can be wrong: one sentence, an exit code, no traceback.

Not the mirror of a module: what is held here holds for all commands.
"""

from __future__ import annotations

import os
import shutil
import sqlite3

import apsw
import pytest

from settee import Blob, Database
from settee.cli import app as app_module
from settee.store import connection

READING = [
    ["ls", "van"],
    ["ls", "van", "--long"],
    ["cat", "van", "a"],
    ["revs", "van", "a"],
    ["expire", "van", "a"],
    ["watch", "van", "--since", "0", "--no-wait"],
    ["export", "van"],
    ["export", "van", "out.jsonl"],
    ["cp", "van", "out.json"],
    ["info", "van"],
    ["collections", "van"],
]
CHECKING = [["check", "van"]]
WRITING = [
    ["rm", "van", "a"],
    ["rm", "van", "a", "--purge"],
    ["expire", "van", "a", "7d"],
    ["rmcoll", "van", "shop.items", "--yes"],
    ["compact", "van"],
    ["reindex", "van"],
]
MAKING = [
    ["put", "van", "z", "{}"],
    ["import", "van"],
    ["mkcoll", "van", "new"],
]
COPYING = [["cp", "van", "bus"]]
NETWORK = [
    ["push", "van", "wss://127.0.0.1:1/x"],
    ["pull", "van", "wss://127.0.0.1:1/x", "-c", "shop.items"],
    ["sync", "van", "wss://127.0.0.1:1/x", "-c", "shop.items"],
    ["cp", "van", "wss://127.0.0.1:1/x"],
]
LISTENING = [["listen", "van", "--anonymous", "--host", "127.0.0.1"]]
OF_A_DATABASE = [*READING, *CHECKING, *WRITING, *MAKING, *COPYING, *NETWORK, *LISTENING]
OTHERS = ["browse", "demo", "cert", "user"]


def shown(command):
    return " ".join(command)


@pytest.fixture
def van(tmp_path):
    """Some hundred documents, so that the file has pages to damage."""
    with Database("van", directory=tmp_path, durability="memory") as db:
        db.default_collection["a"] = {"n": 1, "image": Blob.from_bytes(b"picture")}
        db.default_collection.save_many((f"{n:05}", {"x": "y" * 300}) for n in range(500))
        db.collection("shop.items", create=True)["b"] = {}
    return tmp_path / "van.settee"


def assert_a_sentence(ran, codes):
    assert ran.code in codes, ran
    assert "Traceback" not in ran.err
    assert "a bug in settee" not in ran.err
    problems = [each for each in ran.err.splitlines() if each.startswith("settee: ")]
    assert problems, ran
    assert all(each.isprintable() for each in problems)


def test_no_command_is_forgotten():
    named = {command[0] for command in OF_A_DATABASE} | set(OTHERS)
    assert named == set(app_module.command().commands)


def makes(command) -> bool:
    """Whether the command makes a database that is missing."""
    return command in MAKING or command[0] in ("pull", "sync", "listen")


@pytest.mark.parametrize("command", [c for c in OF_A_DATABASE if not makes(c)], ids=shown)
def test_a_missing_database_is_not_found(run, tmp_path, command):
    ran = run(*command)
    assert_a_sentence(ran, {3})
    assert "van" in ran.err
    assert list(tmp_path.glob("*.settee")) == []
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("command", OF_A_DATABASE, ids=shown)
def test_a_name_that_can_t_be_one_is_wrong_usage(run, tmp_path, command):
    ran = run(*[each.replace("van", "no such\x1b[31m name?") for each in command], stdin="{}")
    assert_a_sentence(ran, {2})
    assert list(tmp_path.glob("*.settee")) == []


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        pytest.param(kind, command, id=f"{kind}-{shown(command)}")
        for kind in ("file", "text", "other", "empty folder")
        for command in OF_A_DATABASE
        if not (kind == "empty folder" and makes(command))  # One may become a database.
    ],
)
def test_what_is_no_database_is_left_alone(run, tmp_path, command, kind):
    place = tmp_path / "van.settee"
    if kind == "file":
        place.write_text("not a database")
    else:
        place.mkdir()
    if kind == "text":
        (place / "db.sqlite3").write_text("not a database " * 1000)
    elif kind == "other":
        with sqlite3.connect(place / "db.sqlite3") as other:
            other.execute("CREATE TABLE notes(text)")
        other.close()
    ran = run(*command, stdin="{}")
    assert_a_sentence(ran, {1, 3})
    if kind == "file":
        assert place.read_text() == "not a database"


# A listener listens for as long as nobody asks for what is damaged.
@pytest.mark.parametrize("command", [c for c in OF_A_DATABASE if c not in LISTENING], ids=shown)
def test_a_damaged_file_is_told(van, run, command):
    file = van / "db.sqlite3"
    size = file.stat().st_size
    with file.open("r+b") as raw:
        raw.seek(8192)
        raw.write(os.urandom(size - 8192 - 4096))
    ran = run(*command, stdin="{}")
    assert "Traceback" not in ran.err
    assert "a bug in settee" not in ran.err
    if ran.code != 0:  # Some parts may be whole, and a command may need no other.
        assert_a_sentence(ran, {1, 5})
    else:
        assert command[0] in ("info", "collections", "mkcoll", "put", "import", "pull", "sync")


# Those of the network wait for their turn and try again.
@pytest.mark.parametrize(
    "command", [c for c in OF_A_DATABASE if c not in LISTENING and c not in NETWORK], ids=shown
)
def test_a_locked_database_can_be_read_and_writers_are_told(van, run, monkeypatch, command):
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 0.02)
    other = apsw.Connection(str(van / "db.sqlite3"))  # Its library, for locks count per library.
    other.execute("BEGIN IMMEDIATE")
    ran = run(*command, stdin="{}")
    other.execute("ROLLBACK")
    other.close()
    if command in READING or command in CHECKING or command in COPYING:
        assert ran.code == 0, ran
    else:
        assert_a_sentence(ran, {1})


@pytest.fixture
def sealed(van, monkeypatch):
    """The database lies where nothing can be written; for root, who may, that is only said."""
    if os.geteuid() != 0:
        for each in [*van.rglob("*"), van]:
            each.chmod(0o555 if each.is_dir() else 0o444)
        yield van
        for each in [van, *van.rglob("*")]:
            each.chmod(0o755 if each.is_dir() else 0o644)
    else:
        monkeypatch.setattr("settee.store.store.is_writable", lambda _: False)
        yield van


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
@pytest.mark.parametrize("command", [*READING, *CHECKING, *WRITING, *MAKING], ids=shown)
def test_a_sealed_database_can_be_read_and_writers_are_told(sealed, run, command):
    ran = run(*command, stdin="{}")
    if command in READING or command in CHECKING:
        assert ran.code == 0, ran
    else:
        assert_a_sentence(ran, {1})
        assert "written" in ran.err


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="a place where root can't write either")
@pytest.mark.parametrize("command", MAKING, ids=shown)
def test_a_place_where_nothing_can_be_made_is_told(run, command):
    ran = run(*[each.replace("van", "/proc/self/van") for each in command], stdin="{}")
    assert_a_sentence(ran, {1})


@pytest.mark.parametrize("target", ["/proc/self/out.jsonl", "gone/out.jsonl", "van.settee"])
def test_a_file_that_can_t_be_written_is_told(van, run, target):
    assert_a_sentence(run("export", "van", target), {1, 3})
    assert_a_sentence(run("cat", "van", "a", "-o", target), {1, 3})


def test_a_directory_in_place_of_a_file_is_told(van, run):
    assert_a_sentence(run("import", "van", "van.settee"), {1})
    assert_a_sentence(run("listen", "van", "--users", "van.settee"), {1})
    assert_a_sentence(run("put", "van", "x", "{}", "--blob", "image=van.settee"), {1, 2, 3})


@pytest.mark.parametrize(
    "arguments",
    [
        ["cat", "van", ""],
        ["cat", "van", "a", "--blob", ""],
        ["cat", "van", "a", "--key", "n[x]"],
        ["ls", "van", "--offset", "-1"],
        ["ls", "van", "--limit", "x"],
        ["ls", "van", "-c", "a.b.c"],
        ["ls", "van", "-c", ""],
        ["put", "van", "", "{}"],
        ["put", "van", "_x", "{}"],
        ["put", "van", "x" * 241, "{}"],
        ["put", "van", "a\x00b", "{}"],
        ["put", "van", "a", "{}", "--create"],
        ["put", "van", "zz", "{}", "--update"],
        ["put", "van", "a", "{}", "--create", "--update"],
        ["rm", "van", "zz"],
        ["rmcoll", "van", ""],
        ["mkcoll", "van", ""],
        ["revs", "van", ""],
        ["expire", "van", "a", "0x"],
        ["watch", "van", "-c", "gone"],
        ["import", "van", "-c", "_x"],
        ["push", "van", "wss://[::1", "-c", "shop.items"],
        ["push", "van", "http://127.0.0.1/x"],
        ["sync", "van", "wss://127.0.0.1:1/x", "--pin", "zz"],
        ["listen", "van"],
        ["user", "add", "users", ""],
        ["user", "list", "\x00"],
    ],
    ids=shown,
)
def test_arguments_that_can_t_be_are_sentences(van, run, arguments):
    ran = run(*arguments, stdin="{}")
    assert ran.code in (1, 2, 3), ran
    assert ran.out == ""
    assert "Traceback" not in ran.err
    assert "a bug in settee" not in ran.err
    assert ran.err


def test_a_full_disk_is_told(van, run, monkeypatch):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    assert_a_sentence(run("export", "van", "/dev/full"), {1})
    assert_a_sentence(run("cat", "van", "a", "-o", "/dev/full"), {1})


def test_a_database_that_vanishes_while_it_is_copied_leaves_nothing(van, run, tmp_path):
    shutil.rmtree(van / "blobs", ignore_errors=True)
    ran = run("cp", "van", "bus")
    assert ran.code in (0, 1)
    assert "Traceback" not in ran.err
    if ran.code:
        assert not (tmp_path / "bus.settee").exists()
