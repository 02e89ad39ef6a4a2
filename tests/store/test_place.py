from __future__ import annotations

from pathlib import Path

import pytest

from settee.errors import CorruptDatabaseError, NotADatabaseError, NotFoundError
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


def test_a_missing_database_is_not_made_unless_asked(open_store: Opener, directory: Path) -> None:
    with pytest.raises(NotFoundError, match="no database"):
        open_store(create=False)
    assert not directory.exists()
