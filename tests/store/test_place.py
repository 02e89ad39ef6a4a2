from __future__ import annotations

import struct
from pathlib import Path

import pytest

from settee.errors import CorruptDatabaseError, NotADatabaseError, NotFoundError
from settee.store.connection import PAGE_BYTES
from settee.store.place import look_at
from tests.store.conftest import Opener


def test_nothing_is_there_before_and_a_database_after(open_store: Opener, directory: Path) -> None:
    assert look_at(directory) is False
    open_store()
    assert look_at(directory) is True


def test_an_empty_directory_or_one_with_our_folder_only_may_become_a_database(
    directory: Path,
) -> None:
    (directory / "blobs").mkdir(parents=True)
    assert look_at(directory) is False


def test_a_file_in_the_place_of_the_directory_is_refused(directory: Path) -> None:
    directory.write_text("a letter")
    with pytest.raises(NotADatabaseError, match="is a file"):
        look_at(directory)


def test_a_directory_with_other_files_is_refused(open_store: Opener, directory: Path) -> None:
    directory.mkdir()
    (directory / "letter.txt").write_text("Dear")
    with pytest.raises(NotADatabaseError, match="other files"):
        open_store()
    assert [path.name for path in directory.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("content", [b"x", b"SQLite format 2\x00" * 10, b"\x00" * 8192])
def test_a_file_that_is_no_database_is_refused_and_left_alone(
    open_store: Opener, directory: Path, content: bytes
) -> None:
    directory.mkdir()
    (directory / "db.sqlite3").write_bytes(content)
    with pytest.raises(NotADatabaseError):
        open_store()
    assert (directory / "db.sqlite3").read_bytes() == content


def test_a_log_without_its_database_is_damage_and_is_not_deleted(
    open_store: Opener, directory: Path
) -> None:
    directory.mkdir()
    (directory / "db.sqlite3-wal").write_bytes(b"somebody's data")
    with pytest.raises(CorruptDatabaseError, match="log"):
        open_store()
    assert (directory / "db.sqlite3-wal").read_bytes() == b"somebody's data"


JOURNAL = bytes.fromhex("d9d505f920a163d7") + struct.pack(">IIIII", 0, 7, 0, 512, PAGE_BYTES)
"""SQLite's own note that the file had no page when a transaction began, as its format has it."""


@pytest.mark.parametrize("journal", [b"", b"\x00" * 512, JOURNAL.ljust(512, b"\x00")])
def test_a_power_cut_that_left_only_the_journal_of_a_new_database_is_forgotten(
    open_store: Opener, directory: Path, journal: bytes
) -> None:
    directory.mkdir()
    (directory / "db.sqlite3-journal").write_bytes(journal)
    open_store().close()
    assert sorted(path.name for path in directory.iterdir()) == ["blobs", "db.sqlite3"]


@pytest.mark.parametrize("page", [b"\x00" * PAGE_BYTES, b"rubbish!" * (PAGE_BYTES // 8)])
def test_a_power_cut_that_left_a_new_database_with_half_a_page_is_forgotten(
    open_store: Opener, directory: Path, page: bytes
) -> None:
    directory.mkdir()
    (directory / "db.sqlite3").write_bytes(page)
    (directory / "db.sqlite3-journal").write_bytes(JOURNAL.ljust(512, b"\x00"))
    open_store().close()
    assert sorted(path.name for path in directory.iterdir()) == ["blobs", "db.sqlite3"]


def test_a_journal_makes_no_database_of_another_file(open_store: Opener, directory: Path) -> None:
    directory.mkdir()
    (directory / "db.sqlite3").write_bytes(b"Dear" * 5000)
    (directory / "db.sqlite3-journal").write_bytes(b"Yours" * 5000)
    with pytest.raises(NotADatabaseError):
        open_store()
    assert (directory / "db.sqlite3").read_bytes() == b"Dear" * 5000
    assert (directory / "db.sqlite3-journal").read_bytes() == b"Yours" * 5000


def test_a_missing_database_is_not_made_unless_asked(open_store: Opener, directory: Path) -> None:
    with pytest.raises(NotFoundError, match="no database"):
        open_store(create=False)
    assert not directory.exists()
