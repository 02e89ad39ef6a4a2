from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from settee.db import location
from settee.db.database import Database
from settee.errors import (
    ConfigError,
    DatabaseInUseError,
    InvalidNameError,
    NotADatabaseError,
    NotFoundError,
)


@pytest.mark.feature("DB-02")
def test_a_name_lies_in_the_directory_and_a_path_where_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = Path.cwd()
    assert location.locate("app") == here / "app.settee"
    assert location.locate("app.settee") == here / "app.settee"
    assert location.locate("app", "sub") == here / "sub" / "app.settee"
    assert location.locate(Path("app")) == here / "app.settee"
    assert location.locate(f"sub{os.sep}app") == here / "sub" / "app.settee"
    assert location.locate(tmp_path / "app.settee") == tmp_path / "app.settee"


@pytest.mark.sec("SEC-39")
@pytest.mark.parametrize("bad", ["", ".", "..", ".hidden", "a b", "é", "x" * 129, "a\x00", "a\n"])
def test_a_name_that_cannot_be_is_refused(bad: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidNameError):
        Database(bad, directory=tmp_path)
    with pytest.raises(InvalidNameError):
        Database.exists(bad)
    assert list(tmp_path.iterdir()) == []


def test_a_path_and_a_directory_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="directory"):
        Database(tmp_path / "app", directory=tmp_path)
    with pytest.raises(ConfigError, match="not bytes"):
        Database(b"app")  # type: ignore[arg-type]


@pytest.mark.feature("DB-08", "DB-09")
def test_exists_and_delete(tmp_path: Path) -> None:
    assert not Database.exists("app", tmp_path)
    with pytest.raises(NotFoundError):
        Database.delete("app", tmp_path)
    with Database("app", directory=tmp_path) as db:
        db.default_collection["a"] = {"n": 1}
    assert Database.exists("app", tmp_path)
    assert Database.exists(db.path)
    Database.delete("app", tmp_path)
    assert list(tmp_path.iterdir()) == []
    with Database("app", directory=tmp_path) as db:
        assert len(db.default_collection) == 0


@pytest.mark.feature("DB-07")
def test_what_is_open_is_not_deleted(tmp_path: Path) -> None:
    with Database("app", directory=tmp_path) as db:
        with pytest.raises(DatabaseInUseError, match=f"open in process {os.getpid()}"):
            Database.delete("app", tmp_path)
        db.default_collection["a"] = {}
    Database.delete("app", tmp_path)


CHILD = """
import sys
from settee.db.database import Database
db = Database(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


@pytest.mark.feature("DB-07")
@pytest.mark.slow
def test_what_another_process_has_open_is_not_deleted_until_it_dies(tmp_path: Path) -> None:
    """Starts a Python process, which takes about a second."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "app")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        with pytest.raises(DatabaseInUseError, match=f"process {child.pid}"):
            Database.delete("app", tmp_path)
    finally:
        child.kill()
        child.communicate()
    Database.delete("app", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_marks_of_the_dead_are_cleared_at_the_next_open(tmp_path: Path) -> None:
    with Database("app", directory=tmp_path) as db:
        folder = db.path / "open"
        (folder / "0011223344556677.lock").write_bytes(b"99999\n")
        with Database("app", directory=tmp_path):
            assert len(list(folder.iterdir())) == 2
    assert list(folder.iterdir()) == []


def test_a_directory_that_is_no_database_is_not_deleted(tmp_path: Path) -> None:
    place = tmp_path / "app.settee"
    place.mkdir()
    (place / "diary.txt").write_text("dear diary")
    with pytest.raises(NotADatabaseError, match="nothing was deleted"):
        Database.delete("app", tmp_path)
    assert (place / "diary.txt").exists()


def test_the_rest_of_an_interrupted_deletion_does_not_hinder_the_next(tmp_path: Path) -> None:
    rest = tmp_path / ".app.settee.deleted"
    rest.mkdir()
    (rest / "db.sqlite3").write_bytes(b"x")
    with Database("app", directory=tmp_path):
        pass
    Database.delete("app", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_for_names_where_one_of_two_may_be_a_path(tmp_path: Path) -> None:
    assert location.locate_either("app", tmp_path) == tmp_path / "app.settee"
    assert location.locate_either(tmp_path / "app", "elsewhere") == tmp_path / "app.settee"
    assert location.locate_either(f"{tmp_path}{os.sep}app", "x") == tmp_path / "app.settee"


def test_a_mark_knows_whether_it_is_the_only_one(tmp_path: Path) -> None:
    first = location.OpenMark(tmp_path, "first")
    assert first.is_only()
    second = location.OpenMark(tmp_path, "second")
    assert not first.is_only()
    assert not second.is_only()
    second.release()
    assert first.is_only()
    first.release()
    assert not first.is_only(), "it is set no more, and knows nothing"
    nowhere = location.OpenMark(tmp_path / "none", "mark")
    assert not nowhere.is_only()
