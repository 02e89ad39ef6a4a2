"""Where a database lies on disk, and what else may lie there.

Room: store.
Touches: the names in a database's directory, the first bytes of its file.
Never touches: sockets, SQLite, anything that it does not understand.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from settee.errors import CorruptDatabaseError, NotADatabaseError
from settee.store.connection import translated_os

__all__ = ["BLOBS_FOLDER", "DATABASE_FILE", "LOG_FILE", "is_writable", "look_at"]

DATABASE_FILE: Final = "db.sqlite3"
LOG_FILE: Final = DATABASE_FILE + "-wal"
BLOBS_FOLDER: Final = "blobs"
_JOURNAL: Final = DATABASE_FILE + "-journal"
"""There only while SQLite makes the file, before it keeps a log."""
_HEADER: Final = b"SQLite format 3\x00"
_JOURNAL_HEADER: Final = bytes.fromhex("d9d505f920a163d7")


def is_writable(directory: Path) -> bool:
    """Tell whether the database in `directory` can be written by this user."""
    return os.access(directory, os.W_OK) and os.access(directory / DATABASE_FILE, os.W_OK)


def look_at(directory: Path) -> bool:
    """Tell whether a database lies at `directory`; raise NotADatabaseError for something else."""
    path = directory / DATABASE_FILE
    try:
        with path.open("rb") as file:
            header = file.read(len(_HEADER))
    except FileNotFoundError:
        return _check_nothing_else(directory)
    except NotADirectoryError as exc:
        raise NotADatabaseError(f"{directory} is a file, not a settee database") from exc
    except OSError as exc:
        if path.is_dir():
            raise NotADatabaseError(
                f"{path} is a directory; settee leaves it alone. Choose another place"
            ) from exc
        raise translated_os(exc, path) from exc
    if header and header != _HEADER and not _was_being_made(directory):
        raise NotADatabaseError(f"{path} is not a settee database, or its first page is destroyed")
    return True


def _was_being_made(directory: Path) -> bool:
    """Tell whether a power cut came while SQLite made the file: its journal says how to go back."""
    try:
        with (directory / _JOURNAL).open("rb") as file:
            return file.read(len(_JOURNAL_HEADER)) == _JOURNAL_HEADER
    except OSError:
        return False


def _check_nothing_else(directory: Path) -> bool:
    try:
        names = set(os.listdir(directory)) - {BLOBS_FOLDER, _JOURNAL}
    except FileNotFoundError:
        return False
    except NotADirectoryError as exc:
        raise NotADatabaseError(f"{directory} is a file, not a settee database") from exc
    except OSError as exc:
        raise translated_os(exc, directory) from exc
    if LOG_FILE in names:
        raise CorruptDatabaseError(
            f"{directory} has the log of a database but not {DATABASE_FILE} itself; "
            "restore it from a copy"
        )
    if names:
        raise NotADatabaseError(f"{directory} holds other files; choose an empty place")
    return False
