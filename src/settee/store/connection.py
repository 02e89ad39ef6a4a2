"""The one place where a SQLite connection is opened, and where its errors become ours.

Room: store.
Touches: apsw, the database file.
Never touches: sockets, threads, the schema's meaning.

An encrypting build would be put in here: `open_connection` is the only caller of
``apsw.Connection``. Everything above runs SQL through a `Reader` (or `settee.store.writer.Writer`,
which is one), so that every apsw error passes `translated` exactly once.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import apsw

from settee.errors import (
    ClosedError,
    ConfigError,
    CorruptDatabaseError,
    DatabaseInUseError,
    DiskFullError,
    InvalidDocumentError,
    NotADatabaseError,
    NotFoundError,
    ReadOnlyError,
    SetteeError,
    StoreError,
)
from settee.limits import BUSY_TIMEOUT_S

__all__ = [
    "DURABILITIES",
    "PAGE_BYTES",
    "Reader",
    "Row",
    "check_sqlite_version",
    "open_connection",
    "translated",
    "translated_os",
]

Row: TypeAlias = tuple[Any, ...]

DURABILITIES: Final = {"full": "FULL", "normal": "NORMAL", "memory": "OFF"}
"""What ``durability`` may be, and SQLite's `synchronous` for it.

`full`: a write that returned survives power loss. `normal`: it survives the death of the process;
a power cut may drop the latest commits, always as a whole suffix. `memory`: nothing is promised.
"""

PAGE_BYTES: Final = 8192
"""A bulk insert costs a tenth less than with 4096, and the file is a third smaller."""

_SQLITE_VERSION_MIN: Final = (3, 51, 3)
"""Older ones can corrupt a WAL database: a commit racing two checkpoints (fixed in 3.51.3)."""

_WAL_PAGES: Final = 2000
"""The log is copied into the file each time it has grown by 16 MiB."""

_WAL_BYTES_KEPT: Final = 32 * 2**20
"""After a large transaction the log is cut down to this size again."""

_WRITER_CACHE_KIB: Final = 16 * 1024
"""Measured with a million documents: 32 MiB save no CPU, random IDs or not (what is not in this
cache is in the system's), and cost every process that writes 16 MiB more."""

_READER_CACHE_KIB: Final = 4 * 1024

_NO_SPACE_CODES: Final = frozenset(
    {apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_TRUNCATE, apsw.SQLITE_IOERR_SHMSIZE}
)
_DAMAGED_CODES: Final = frozenset(
    {apsw.SQLITE_IOERR_SHORT_READ, apsw.SQLITE_IOERR_CORRUPTFS, apsw.SQLITE_IOERR_DATA}
)

_ERRORS: Final = (apsw.Error, UnicodeDecodeError)
_DAMAGE: Final = (
    apsw.SQLError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.FormatError,
    UnicodeDecodeError,
)


def check_sqlite_version(version: str = "") -> None:
    """Refuse a SQLite library that can damage a database.

    `version`: text such as ``"3.51.3"``; empty for that of the library in use. Raises ConfigError.
    """
    found = version or apsw.sqlite_lib_version()
    parts = tuple(int(part) for part in found.split(".")[:3])
    if parts < _SQLITE_VERSION_MIN:
        needed = ".".join(map(str, _SQLITE_VERSION_MIN))
        raise ConfigError(
            "apsw",
            f"it carries SQLite {found}, which can corrupt databases in WAL mode; "
            f"install an apsw with SQLite {needed} or newer",
        )


def open_connection(
    path: Path,
    *,
    durability: str = "full",
    writable: bool,
    create: bool = False,
    immutable: bool = False,
) -> apsw.Connection:
    """Open one connection with all settings that are not stored in the file.

    `immutable` reads a database on a medium that nobody can write, without its log. Raises what
    `translated` makes of SQLite's error.
    """
    flags = apsw.SQLITE_OPEN_READWRITE if writable else apsw.SQLITE_OPEN_READONLY
    if create:
        flags |= apsw.SQLITE_OPEN_CREATE
    name = str(path)
    if immutable:
        flags |= apsw.SQLITE_OPEN_URI
        name = f"{path.absolute().as_uri()}?immutable=1"
    try:
        connection = apsw.Connection(name, flags=flags)
    except apsw.Error as exc:
        raise translated(exc, path) from exc
    try:
        connection.set_busy_timeout(int(BUSY_TIMEOUT_S * 1000))
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
        connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
        if not writable:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        cache_kib = _WRITER_CACHE_KIB if writable else _READER_CACHE_KIB
        for pragma in (
            f"cache_size = -{cache_kib}",
            "mmap_size = 0",
            "temp_store = MEMORY",
            "cell_size_check = ON",
            f"synchronous = {DURABILITIES[durability]}",
            f"wal_autocheckpoint = {_WAL_PAGES}",
            f"journal_size_limit = {_WAL_BYTES_KEPT}",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except apsw.Error as exc:
        connection.close()
        raise translated(exc, path) from exc
    return connection


Kinds = frozenset[tuple[type, ...]]
"""The types of a row's columns, one tuple for each combination that may be."""


def _are_of_kinds(rows: list[Row], kinds: Kinds) -> bool:
    if len(kinds) == 1:  # As most are. By columns it takes half the time.
        (kind,) = kinds
        return [set(map(type, column)) for column in zip(*rows, strict=True)] == [{t} for t in kind]
    return kinds.issuperset([tuple(map(type, row)) for row in rows])


class Reader:
    """A connection to run statements on; not for two threads at a time.

    `store.reader()` gives one out inside a short read transaction: all its statements see the same
    state. Fetching is always complete, so that no statement stays open behind a caller's back.
    """

    __slots__ = ("_execute", "connection", "path")

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self.connection: apsw.Connection = connection
        self.path: Path = path
        self._execute = connection.execute

    def rows(self, sql: str, bindings: Sequence[Any] = ()) -> list[Row]:
        """Run a statement and return all its rows. Raises what `translated` gives."""
        try:
            return self._execute(sql, bindings).fetchall()
        except _ERRORS as exc:
            raise translated(exc, self.path) from exc

    def sound_rows(self, sql: str, bindings: Sequence[Any], kinds: Kinds) -> list[Row]:
        """Run a statement and return all its rows, which have to be of one of these `kinds`.

        A damaged file gives numbers where there was text. Raises CorruptDatabaseError for them.
        """
        rows = self.rows(sql, bindings)
        if rows and not _are_of_kinds(rows, kinds):
            raise CorruptDatabaseError(
                f"{self.path} is damaged: a column holds values of another kind; restore it from "
                "a copy"
            )
        return rows

    def row(self, sql: str, bindings: Sequence[Any] = ()) -> Row | None:
        """Run a statement and return its first row, None if there is none."""
        found = self.rows(sql, bindings)
        return found[0] if found else None

    def run(self, sql: str, bindings: Sequence[Any] = ()) -> None:
        """Run a statement that gives no rows."""
        try:
            self._execute(sql, bindings).fetchall()
        except _ERRORS as exc:
            raise translated(exc, self.path) from exc

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open; SQLite itself ends one after some errors."""
        return self.connection.in_transaction

    def close(self) -> None:
        """Close the connection. Idempotent."""
        try:
            self.connection.close()
        except apsw.Error as exc:
            raise translated(exc, self.path) from exc


def translated(
    exc: apsw.Error | UnicodeDecodeError, path: Path
) -> SetteeError | MemoryError | AssertionError:
    """Return the error of ours that says what SQLite's `exc` means for the database at `path`.

    Errors that only a bug of settee can cause become AssertionError. Our statements are fixed, so
    one that fails for what lies in the file tells of damage.
    """
    code = getattr(exc, "extendedresult", 0)
    if isinstance(exc, apsw.FullError) or code in _NO_SPACE_CODES:
        return DiskFullError(
            f"no space left to write {path}; nothing was stored. Free some space and try again"
        )
    if isinstance(exc, apsw.NotADBError):
        return NotADatabaseError(f"{path} is not a settee database, or its first page is destroyed")
    if isinstance(exc, apsw.CorruptError) or code in _DAMAGED_CODES:
        return CorruptDatabaseError(f"{path} is damaged ({exc}); restore it from a copy")
    if isinstance(exc, apsw.ReadOnlyError | apsw.PermissionsError | apsw.AuthError):
        return ReadOnlyError(f"{path} lies in a place that can't be written ({exc})")
    if isinstance(exc, apsw.BusyError | apsw.LockedError | apsw.ProtocolError):
        return DatabaseInUseError(
            f"another process has kept {path} locked for {BUSY_TIMEOUT_S:.0f} s; "
            "nothing was stored. Try again when it has finished"
        )
    if isinstance(exc, apsw.CantOpenError):
        return StoreError(f"{path} can't be opened: check that it exists and may be read ({exc})")
    if isinstance(exc, apsw.ConnectionClosedError | apsw.CursorClosedError):
        return ClosedError(f"the database {path} is closed; open it again to go on")
    if isinstance(exc, apsw.TooBigError):
        return InvalidDocumentError(f"a value is too large for {path} ({exc})")
    if isinstance(exc, apsw.NoMemError):
        return MemoryError(f"no memory left for a statement on {path}")
    if isinstance(exc, apsw.IOError | apsw.InterruptError | apsw.AbortError):
        return StoreError(f"reading or writing {path} failed ({exc}); nothing was stored")
    if isinstance(exc, apsw.SQLError):
        if "no such table: docs_" in str(exc):
            return NotFoundError(f"the collection was deleted from {path}")
        if "transaction" in str(exc) or "savepoint" in str(exc):
            return AssertionError(f"a statement on {path} came at the wrong time: {exc}")
    if isinstance(exc, _DAMAGE):
        return CorruptDatabaseError(f"{path} contradicts itself ({exc}); restore it from a copy")
    return AssertionError(f"a statement on {path} is wrong: {type(exc).__name__}: {exc}")


def translated_os(exc: OSError, path: Path) -> StoreError:
    """Return the error of ours for a failed file operation at `path`."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskFullError(
            f"no space left to write {path}; nothing was stored. Free some space and try again"
        )
    if exc.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return ReadOnlyError(f"{path} lies in a place that can't be written ({exc.strerror})")
    return StoreError(f"reading or writing {path} failed: {exc.strerror or exc}")
