"""Rows of docs/bad-input.md about what lies on the disk."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import apsw
import pytest

from settee import Collection, Database
from tests.bad_input import test_documents
from tests.bad_input.table import row_of_test, rows
from tests.disk import namespace

Error = type[Exception]


def left_alone(directory: Path, expected: Error, name: str = "other") -> None:
    """Opening, deleting and copying refuse what lies there, and leave it as it is."""

    def state() -> list[tuple[str, bytes]]:
        return sorted(
            (str(path.relative_to(directory)), path.read_bytes() if path.is_file() else b"")
            for path in directory.rglob("*")
            if "app.settee" not in path.parts and not path.name.endswith(("-shm", "-wal"))
        )

    before = state()
    for create in (True, False):
        with pytest.raises(expected):
            Database(directory / f"{name}.settee", create=create)
    with pytest.raises(expected):
        Database.copy(directory / f"{name}.settee", directory / "copy.settee")
    assert state() == before


def test_another_file_format(place: Path, expected: Error) -> None:
    for content in (b"my diary, not a database", b"\x00" * 100, b"PK\x03\x04" + b"x" * 9000):
        folder = place / "other.settee"
        folder.mkdir(exist_ok=True)
        (folder / "db.sqlite3").write_bytes(content)
        left_alone(place, expected)


def test_another_program(place: Path, expected: Error) -> None:
    (place / "other.settee").mkdir()
    connection = apsw.Connection(str(place / "other.settee" / "db.sqlite3"))
    connection.execute("CREATE TABLE diary(text); INSERT INTO diary VALUES ('dear')")
    connection.close()
    left_alone(place, expected)


def test_another_directory(place: Path, expected: Error) -> None:
    (place / "other.settee").mkdir()
    (place / "other.settee" / "letter.txt").write_text("dear")
    with pytest.raises(expected):
        Database("other", directory=place)
    with pytest.raises(expected):
        Database.delete("other", place)
    assert (place / "other.settee" / "letter.txt").read_text() == "dear"


def test_file_in_the_way(place: Path, expected: Error) -> None:
    (place / "other.settee").write_text("dear")
    with pytest.raises(expected):
        Database("other", directory=place)
    with pytest.raises(expected):
        Database.delete("other", place)
    assert (place / "other.settee").read_text() == "dear"


def test_directory_in_the_way(place: Path, expected: Error) -> None:
    (place / "other.settee" / "db.sqlite3").mkdir(parents=True)
    with pytest.raises(expected):
        Database("other", directory=place)
    assert list((place / "other.settee").iterdir()) == [place / "other.settee" / "db.sqlite3"]


def test_dangling_symlink(place: Path, expected: Error) -> None:
    (place / "other.settee").symlink_to(place / "elsewhere")
    with pytest.raises(expected):
        Database("other", directory=place)
    assert not (place / "elsewhere").exists()


def test_symlink_deleted(place: Path, expected: Error) -> None:
    (place / "link.settee").symlink_to(place / "app.settee")
    with Database("link", directory=place) as db:
        assert len(db.collection("shop.items")) == 40
    with pytest.raises(expected):
        Database.delete("link", place)
    assert sorted(each.name for each in place.iterdir()) == ["app.settee", "link.settee"]


@pytest.mark.feature("DB-15")
def test_newer_schema(place: Path, expected: Error) -> None:
    shutil.copytree(place / "app.settee", place / "other.settee")
    connection = apsw.Connection(str(place / "other.settee" / "db.sqlite3"))
    connection.pragma("user_version", 99)
    connection.close()
    left_alone(place, expected)


@pytest.mark.slow
def test_read_only_place(place: Path, expected: Error) -> None:
    """Starts a process with a read-only mount of its own; tests/disk/ has every operation."""
    other = place / "other"
    namespace.run("readonly", "make", mount="", place=other)
    found = namespace.run_read_only("directory", other)
    assert found["outcomes"]["save"] == expected.__name__


@pytest.mark.feature("DB-20")
def test_full_disk(items: Collection, expected: Error) -> None:
    """No file may grow; tests/disk/ does it with a full file system, for every operation."""
    resource = pytest.importorskip("resource")
    no_limit = (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, no_limit[1]))
    try:
        with pytest.raises(expected):
            items["new"] = {"text": "x" * 200_000}
        with pytest.raises(expected):
            items.save_many((f"new-{n}", {"text": "x" * 1000}) for n in range(500))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, no_limit)
    items["new"] = {"text": "x" * 200_000}
    items.purge("new")


def test_corrupt_header(place: Path, expected: Error) -> None:
    shutil.copytree(place / "app.settee", place / "other.settee")
    with (place / "other.settee" / "db.sqlite3").open("r+b") as file:
        file.write(b"garbage!" * 2)
    left_alone(place, expected)


def test_corrupt_page(place: Path, expected: Error) -> None:
    shutil.copytree(place / "app.settee", place / "other.settee")
    path = place / "other.settee" / "db.sqlite3"
    connection = apsw.Connection(str(path))
    (page,) = connection.execute(
        "SELECT rootpage FROM sqlite_schema WHERE name = 'docs_2'"
    ).fetchone() or (0,)
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * 8192)
        file.write(b"\xff" * 4096)
    with Database(path.parent) as db:
        items = db.collection("shop.items")
        with pytest.raises(expected):
            list(items.documents())
        with pytest.raises(expected):
            items["new"] = {"n": 1}
        assert db.check() != []
        assert len(list(db.default_collection.documents())) == 1  # The others can still be read.


def test_log_without_file(place: Path, expected: Error) -> None:
    (place / "other.settee").mkdir()
    (place / "other.settee" / "db.sqlite3-wal").write_bytes(b"a log")
    with pytest.raises(expected):
        Database("other", directory=place)
    assert [each.name for each in (place / "other.settee").iterdir()] == ["db.sqlite3-wal"]


@pytest.mark.feature("BLOB-03")
def test_corrupt_blob(place: Path, expected: Error) -> None:
    shutil.copytree(place / "app.settee", place / "other.settee")
    (blob,) = [path for path in (place / "other.settee" / "blobs").iterdir() if path.is_file()]
    for content in (blob.read_bytes()[:-1], b"x" + blob.read_bytes()[1:], b""):
        blob.write_bytes(content)
        with Database("other", directory=place) as db:
            image = db.default_collection["picture"]["image"]
            with pytest.raises(expected):
                image.read()
            assert db.check() != []
            assert len(db.collection("shop.items")) == 40


def test_the_page_and_the_tests_have_the_same_rows() -> None:
    tests: list[Any] = [
        row_of_test(name)
        for module in (test_documents, globals())
        for name in (module if isinstance(module, dict) else vars(module))
        if name.startswith("test_")
        and not name.startswith("test_the_")
        and name != "test_documents"
    ]
    assert sorted(tests) == sorted(rows())
