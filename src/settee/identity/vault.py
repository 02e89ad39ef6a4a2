"""Where keys and passwords lie on disk: small secret files, each in one piece.

A file is written under another name, flushed, and then appears under its own name at once, or not
at all if somebody else was faster; nobody ever reads half of one. Files are 0600 in a directory
made 0700. A file that others can read, that another user owns, or that is a symbolic link is not
read but refused: a key that was open to others has to be replaced, not used.

On Windows the permissions of the user's profile directory protect the files; there are no mode
bits to check there.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import sys
from pathlib import Path
from typing import Final

from settee.clock import SystemClock
from settee.errors import ConfigError, NotFoundError, StoreError
from settee.limits import LABEL_CHARACTERS_MAX, SECRET_FILE_BYTES_MAX

__all__ = ["check_label", "default_directory", "label_path", "publish", "read", "remove", "replace"]

_POSIX: Final = os.name == "posix"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_SAFE: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
_NAME_CHARACTERS_MAX: Final = 120
# Windows takes these for devices, whatever follows the first dot.
_DEVICES: Final = frozenset(
    ["con", "prn", "aux", "nul"] + [f"{port}{n}" for port in ("com", "lpt") for n in range(10)]
)


def default_directory() -> Path:
    """Return where identities are kept unless a directory is given; it may not exist yet.

    ``$XDG_DATA_HOME/settee/identities`` (``~/.local/share`` if unset or relative) on Linux,
    ``~/Library/Application Support/settee/identities`` on macOS,
    ``%LOCALAPPDATA%\\settee\\identities`` on Windows.
    """
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", "")
        base = Path(local) if local else _home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = _home() / "Library" / "Application Support"
    else:
        xdg = os.environ.get("XDG_DATA_HOME", "")
        base = Path(xdg) if os.path.isabs(xdg) else _home() / ".local" / "share"
    return base / "settee" / "identities"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as exc:
        raise ConfigError(
            "directory", "this user has no home directory; say where identities are kept"
        ) from exc


def check_label(label: str) -> str:
    """Return `label` if it can name an identity, else raise ConfigError.

    1 to 64 characters (a certificate's common name holds no more), all printable, no space at
    either end.
    """
    if not isinstance(label, str):
        raise ConfigError("label", f"must be a str, not {type(label).__name__}")
    if not 1 <= len(label) <= LABEL_CHARACTERS_MAX:
        raise ConfigError(
            "label", f"has {len(label)} characters; 1 to {LABEL_CHARACTERS_MAX} are possible"
        )
    if not label.isprintable() or label != label.strip():
        raise ConfigError(
            "label", f"{label!r} has unprintable characters, or a space at an end; use plain text"
        )
    return label


def label_path(directory: Path, label: str) -> Path:
    """Return the file of a label: one name per label on every file system.

    Everything but lower-case letters, digits and ``-_.`` is written as ``%`` and hex, capitals too,
    since some file systems do not tell them apart. So a label can't leave its directory either.
    """
    name = "".join(c if c in _SAFE else _escaped(c) for c in check_label(label))
    if name[0] == "." or name.split(".")[0] in _DEVICES:
        name = _escaped(name[0]) + name[1:]
    if len(name) > _NAME_CHARACTERS_MAX:
        # Longer than any label, so no label is ever written like this one's digest.
        name = "sha256-" + hashlib.sha256(label.encode()).hexdigest()
    return directory / f"{name}.pem"


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02x}" for byte in character.encode())


def read(path: Path, what: str) -> bytes:
    """Read a secret file; `what` names it in messages, such as ``"the identity 'kitchen'"``.

    Raises NotFoundError if it is not there; StoreError if it is a link or no plain file, belongs
    to another user, can be read or written by others, is too large, or can't be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        fd = os.open(path, flags)
    except FileNotFoundError as exc:
        raise NotFoundError(f"{what} does not exist: no file {str(path)!r}") from exc
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.EMLINK):
            raise _link_refused(path, what) from exc
        raise StoreError(f"{what} can't be read from {str(path)!r}: {exc.strerror}") from exc
    try:
        if path.is_symlink():  # Where the system has no O_NOFOLLOW.
            raise _link_refused(path, what)
        _check_owner_and_mode(os.fstat(fd), path, what)
        data = b""
        while len(data) <= SECRET_FILE_BYTES_MAX and (piece := os.read(fd, 2**20)):
            data += piece
    except OSError as exc:
        raise StoreError(f"{what} can't be read from {str(path)!r}: {exc.strerror}") from exc
    finally:
        os.close(fd)
    if len(data) > SECRET_FILE_BYTES_MAX:
        raise StoreError(
            f"{what} can't be right: {str(path)!r} has more than {SECRET_FILE_BYTES_MAX} bytes"
        )
    return data


def _link_refused(path: Path, what: str) -> StoreError:
    return StoreError(
        f"{what} is not read: {str(path)!r} is a symbolic link; put the file itself there"
    )


def _check_owner_and_mode(status: os.stat_result, path: Path, what: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"{what} is not read: {str(path)!r} is no plain file")
    if not _POSIX:
        return
    if status.st_uid not in (0, os.geteuid()):
        raise StoreError(
            f"{what} is not read: {str(path)!r} belongs to user {status.st_uid}, not to the one "
            f"who runs this ({os.geteuid()}); change its owner if it is yours"
        )
    if status.st_mode & _OTHERS:
        raise StoreError(
            f"{what} is not read: other users have access to {str(path)!r} "
            f"(mode {stat.S_IMODE(status.st_mode):04o}); if nobody can have read it, set its mode "
            "to 0600, else delete it and make a new one"
        )


def publish(path: Path, data: bytes, what: str) -> bool:
    """Write a new secret file; return False, changing nothing, if there is one already.

    Whole or not at all, also in a crash and when two processes do it at once: one of them gets
    True. (On a file system without hard links a reader may meet the file unfinished in the moment
    of its making, and is told that it is damaged.) Raises StoreError if the disk refuses.
    """
    try:
        _make_directory(path.parent)
        fresh = _write_fresh(path, data)
        try:
            return _appear(fresh, path, data)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(fresh)
            _flush_directory(path.parent)
    except OSError as exc:
        raise StoreError(f"{what} can't be written to {str(path)!r}: {exc.strerror}") from exc


def replace(path: Path, data: bytes, what: str) -> None:
    """Write a secret file over the one that may be there: old or new, never half of either.

    Raises StoreError if the disk refuses; then the old one is still there.
    """
    try:
        _make_directory(path.parent)
        fresh = _write_fresh(path, data)
        try:
            os.replace(fresh, path)
        except OSError:
            os.unlink(fresh)
            raise
        _flush_directory(path.parent)
    except OSError as exc:
        raise StoreError(f"{what} can't be written to {str(path)!r}: {exc.strerror}") from exc


def remove(path: Path, what: str) -> bool:
    """Delete a secret file, and what a crash may have left of its making; tell if it was there."""
    try:
        for left in path.parent.glob(f".{path.name}.*.new"):
            left.unlink(missing_ok=True)
        path.unlink()
        _flush_directory(path.parent)
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise StoreError(f"{what} can't be deleted from {str(path)!r}: {exc.strerror}") from exc
    return True


def _make_directory(directory: Path) -> None:
    if directory.is_dir():
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)


def _write_fresh(path: Path, data: bytes) -> Path:
    """Write to a file beside `path` that nobody else has, on the disk when this returns."""
    fresh = path.parent / f".{path.name}.{SystemClock().random_bytes(8).hex()}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    fd = os.open(fresh, flags, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            if _POSIX:
                os.fchmod(fd, 0o600)  # A umask may have taken our own bits.
            file.write(data)
            file.flush()
            os.fsync(fd)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        raise
    return fresh


def _appear(fresh: Path, path: Path, data: bytes) -> bool:
    """Give the file its name, unless something has that name."""
    try:
        if _POSIX:
            os.link(fresh, path, follow_symlinks=False)
        else:
            os.rename(fresh, path)  # Windows refuses to replace.
    except FileExistsError:
        return False
    except OSError:
        if not _POSIX:
            raise
        # No hard links here (FAT, some network and phone file systems).
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            return False
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
    return True


def _flush_directory(directory: Path) -> None:
    if not _POSIX:
        return
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
