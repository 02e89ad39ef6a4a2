from __future__ import annotations

import errno
from pathlib import Path

import apsw
import pytest

from settee import errors
from settee.store import connection
from settee.store.connection import Reader, open_connection, translated, translated_os


@pytest.fixture
def reader(tmp_path: Path):
    path = tmp_path / "file"
    found = Reader(open_connection(path, writable=True, create=True), path)
    yield found
    found.close()


@pytest.mark.parametrize("version", ["3.51.2", "3.7.17", "3.50.4"])
def test_a_sqlite_with_the_wal_race_is_refused(version: str) -> None:
    with pytest.raises(errors.ConfigError, match=version.replace(".", r"\.")):
        connection.check_sqlite_version(version)


@pytest.mark.parametrize("version", ["3.51.3", "3.52.0", "4.0.0", ""])
def test_a_mended_sqlite_is_taken(version: str) -> None:
    connection.check_sqlite_version(version)


@pytest.mark.feature("DB-03")
@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1), ("memory", 0)])
def test_durability_is_sqlites_synchronous(
    tmp_path: Path, durability: str, synchronous: int
) -> None:
    path = tmp_path / "file"
    reader = Reader(open_connection(path, durability=durability, writable=True, create=True), path)
    try:
        assert reader.row("PRAGMA synchronous") == (synchronous,)
        assert reader.row("PRAGMA mmap_size") in [(0,), None]
        assert reader.row("PRAGMA busy_timeout") == (10_000,)
    finally:
        reader.close()


def test_a_missing_file_is_not_made_unless_asked(tmp_path: Path) -> None:
    with pytest.raises(errors.StoreError, match="can't be opened"):
        open_connection(tmp_path / "nothing", writable=False)
    assert not (tmp_path / "nothing").exists()


def test_rows_row_and_run(reader: Reader) -> None:
    reader.run("CREATE TABLE t(a, b)")
    reader.run("INSERT INTO t VALUES (?, ?), (?, ?)", (1, "x", 2, "y"))
    assert reader.rows("SELECT * FROM t ORDER BY a") == [(1, "x"), (2, "y")]
    assert reader.row("SELECT b FROM t WHERE a = ?", (2,)) == ("y",)
    assert reader.row("SELECT b FROM t WHERE a = 3") is None
    assert not reader.in_transaction
    reader.run("BEGIN")
    assert reader.in_transaction


def test_a_closed_connection_says_so_and_closes_again(reader: Reader) -> None:
    reader.close()
    reader.close()
    with pytest.raises(errors.ClosedError):
        reader.rows("SELECT 1")


def test_text_that_is_not_utf8_is_damage(reader: Reader) -> None:
    with pytest.raises(errors.CorruptDatabaseError):
        reader.rows("SELECT CAST(x'ff80' AS TEXT)")


def _sqlite_error(kind: type[apsw.Error], extended: int = 0) -> apsw.Error:
    error = kind("as SQLite words it")
    error.extendedresult = extended
    return error


@pytest.mark.parametrize(
    ("kind", "extended", "expected"),
    [
        (apsw.FullError, apsw.SQLITE_FULL, errors.DiskFullError),
        (apsw.IOError, apsw.SQLITE_IOERR_WRITE, errors.DiskFullError),
        (apsw.IOError, apsw.SQLITE_IOERR_SHMSIZE, errors.DiskFullError),
        (apsw.IOError, apsw.SQLITE_IOERR_SHORT_READ, errors.CorruptDatabaseError),
        (apsw.IOError, apsw.SQLITE_IOERR_READ, errors.StoreError),
        (apsw.CorruptError, apsw.SQLITE_CORRUPT, errors.CorruptDatabaseError),
        (apsw.NotADBError, apsw.SQLITE_NOTADB, errors.NotADatabaseError),
        (apsw.ReadOnlyError, apsw.SQLITE_READONLY, errors.ReadOnlyError),
        (apsw.PermissionsError, apsw.SQLITE_PERM, errors.ReadOnlyError),
        (apsw.BusyError, apsw.SQLITE_BUSY, errors.DatabaseInUseError),
        (apsw.CantOpenError, apsw.SQLITE_CANTOPEN, errors.StoreError),
        (apsw.ConstraintError, apsw.SQLITE_CONSTRAINT, errors.CorruptDatabaseError),
        (apsw.SQLError, apsw.SQLITE_ERROR, errors.CorruptDatabaseError),
        (apsw.TooBigError, apsw.SQLITE_TOOBIG, errors.InvalidDocumentError),
        (apsw.NoMemError, apsw.SQLITE_NOMEM, MemoryError),
        (apsw.ConnectionClosedError, 0, errors.ClosedError),
        (apsw.BindingsError, 0, AssertionError),
        (apsw.MisuseError, apsw.SQLITE_MISUSE, AssertionError),
    ],
)
def test_each_sqlite_error_has_one_of_ours(
    kind: type[apsw.Error], extended: int, expected: type[Exception]
) -> None:
    found = translated(_sqlite_error(kind, extended), Path("some/db.sqlite3"))
    assert type(found) is expected
    assert "db.sqlite3" in str(found)


def test_a_missing_documents_table_means_a_deleted_collection() -> None:
    error = apsw.SQLError("no such table: docs_7")
    assert isinstance(translated(error, Path("x")), errors.NotFoundError)


def test_a_transaction_at_the_wrong_time_is_our_bug(reader: Reader) -> None:
    with pytest.raises(AssertionError, match="wrong time"):
        reader.run("COMMIT")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, errors.DiskFullError),
        (errno.EFBIG, errors.DiskFullError),
        (errno.EROFS, errors.ReadOnlyError),
        (errno.EACCES, errors.ReadOnlyError),
        (errno.EIO, errors.StoreError),
    ],
)
def test_each_file_error_has_one_of_ours(number: int, expected: type[Exception]) -> None:
    assert type(translated_os(OSError(number, "words"), Path("x"))) is expected
