"""Where databases lie: names, paths, and what can be done to one that isn't open."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Final

from settee.errors import (
    ConfigError,
    DatabaseInUseError,
    NotADatabaseError,
    NotFoundError,
    ReadOnlyError,
    StoreError,
)
from settee.ids import check_database_name
from settee.store.leases import FileLock, owner_of

__all__ = ["SUFFIX", "OpenMark", "exists", "locate", "locate_either", "remove"]

SUFFIX: Final = ".settee"
"""A database is a directory of this suffix."""

_FILE: Final = "db.sqlite3"
_MARKS: Final = "open"
"""Folder with one lock file for each `Database` object, of whatever process."""
_SEPARATORS: Final = tuple(each for each in (os.sep, os.altsep) if each)


def locate(
    name_or_path: str | os.PathLike[str], directory: str | os.PathLike[str] | None = None
) -> Path:
    """Return the directory of a database, whether it is there or not.

    A plain name lies in `directory` (default: the current one) as ``NAME.settee``; a path is taken
    as it is, with the suffix added if it lacks it. Raises InvalidNameError for a name that can't
    be, ConfigError for a path together with a directory.
    """
    text = os.fspath(name_or_path)
    if not isinstance(text, str):
        raise ConfigError("name_or_path", "must be a str or a path of text, not bytes")
    is_path = not isinstance(name_or_path, str) or any(each in text for each in _SEPARATORS)
    if is_path and directory is not None:
        raise ConfigError("directory", f"can't be given together with a path, {text!r}")
    name = check_database_name((Path(text).name if is_path else text).removesuffix(SUFFIX))
    path = Path(text) if is_path or directory is None else Path(directory, text)
    return path.with_name(name + SUFFIX).absolute()


def locate_either(
    name_or_path: str | os.PathLike[str], directory: str | os.PathLike[str] | None
) -> Path:
    """Return the directory of a database: as `locate`, but a path may be given with a directory."""
    is_path = not isinstance(name_or_path, str) or any(each in name_or_path for each in _SEPARATORS)
    return locate(name_or_path, None if is_path else directory)


def exists(path: Path) -> bool:
    """Tell whether a database lies at `path`."""
    return (path / _FILE).is_file()


class OpenMark:
    """Tells other processes that a database is open, until `release` or the end of ours."""

    def __init__(self, path: Path, name: str) -> None:
        """Set the mark; remove those of processes that died. Does nothing where it can't write."""
        self._lock: FileLock | None = None
        folder = path / _MARKS
        try:
            folder.mkdir(exist_ok=True)
            _holders(folder)
            self._lock = FileLock.try_acquire(folder / f"{name}.lock")
            assert self._lock is not None, "the name is random"
            self._lock.write_owner()
        except (OSError, StoreError):
            self.release()

    def is_only(self) -> bool:
        """Tell whether nobody else, in this process or another, has the database open."""
        if self._lock is None:
            return False
        return not _holders(self._lock.path.parent, but=self._lock.path.name)

    def release(self) -> None:
        """Take the mark away. Idempotent."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release(remove=True)


def _holders(folder: Path, but: str = "") -> list[str]:
    """Return who has the database open, `but` one mark; take away the marks of the dead."""
    holders = []
    for mark in sorted(folder.glob("*.lock")):
        if mark.name == but:
            continue
        lock = FileLock.try_acquire(mark)
        if lock is None:
            holders.append(owner_of(mark))
        else:
            lock.release(remove=True)
    return holders


def remove(path: Path) -> None:
    """Remove a database that nobody has open, with its blobs.

    It vanishes at once, by a rename, before its files go one by one. Raises NotFoundError,
    DatabaseInUseError, NotADatabaseError for a directory that isn't one, ReadOnlyError, StoreError.
    """
    if not path.exists():
        raise NotFoundError(f"there is no database at {path}")
    if not exists(path):
        raise NotADatabaseError(f"{path} is not a settee database; nothing was deleted")
    if path.is_symlink():
        raise NotADatabaseError(
            f"{path} is a link to {path.resolve()}; nothing was deleted. Delete that, by its path"
        )
    holders = _holders(path / _MARKS)
    if holders:
        raise DatabaseInUseError(
            f"{path} is open in {holders[0]}; close it there first, then delete it"
        )
    doomed = path.with_name(f".{path.name}.deleted")
    try:
        shutil.rmtree(doomed, ignore_errors=True)
        path.rename(doomed)
        shutil.rmtree(doomed)
    except OSError as exc:
        if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ReadOnlyError(f"{path} can't be deleted: {exc.strerror}") from exc
        raise StoreError(f"{path} could not be deleted: {exc}") from exc
