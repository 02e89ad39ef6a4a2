"""Making a copy of a database that is a database of its own.

Room: store.
Touches: the directories of both, the copy's tables.
Never touches: sockets, documents' meaning.

SQLite's backup takes one consistent state, whoever writes meanwhile. The copy gets both UUIDs anew:
the private one, so that no peer takes it for the original and skips what it believes to have sent;
the public one, because two authors must never share a name, or two versions could be equal that are
not. Checkpoints of either side and marks are about the original and are dropped: the copy's first
sync compares everything, and moves only what differs. So are cookies, which are credentials;
certificates that were trusted stay trusted. The clock goes on from where it was.

Blobs are linked where the file system can (they are never written in place), else copied. All is
made beside the destination and moved there in one step: a copy is whole or not there.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw

from settee.clock import Clock
from settee.errors import (
    DatabaseInUseError,
    ExistsError,
    NotADatabaseError,
    NotFoundError,
    ReadOnlyError,
    StoreError,
)
from settee.ids import digest_bytes
from settee.limits import BLOB_CHUNK_BYTES, BUSY_TIMEOUT_S
from settee.logs import room_log
from settee.store import schema
from settee.store.connection import Reader, open_connection, translated, translated_os
from settee.store.files import FILES, Files
from settee.store.leases import FileLock, owner_of
from settee.store.place import BLOBS_FOLDER, DATABASE_FILE, LOG_FILE, is_writable, look_at

__all__ = ["copy_database"]

_log = room_log("store")

_ATTEMPTS_MAX: Final = 3
"""A blob may be removed between the copy of the file and its own, with what named it."""
_WAIT_S: Final = 0.02


def copy_database(
    source: Path,
    destination: Path,
    *,
    clock: Clock,
    exist_ok: bool = False,
    files: Files = FILES,
) -> bool:
    """Copy the database at `source` to `destination`, with new UUIDs; tell whether it was done.

    False: there was one at `destination` already, and `exist_ok`. If another process is making it
    right now, waits for that. Raises NotFoundError, NotADatabaseError, NewerSchemaError,
    CorruptDatabaseError, ExistsError, DatabaseInUseError, DiskFullError, ReadOnlyError.
    """
    if not look_at(source):
        raise NotFoundError(f"there is no database at {source} to copy")
    parent = destination.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with _only_one(destination, clock):
            if _is_taken(destination, exist_ok):
                return False
            part = parent / f".{destination.name}.copying"
            files.remove_folder(part)  # Of a process that died.
            try:
                _make(source, part, clock, files)
                files.rename(part, destination)
                files.sync_folder(parent)
            except BaseException:
                files.remove_folder(part)
                raise
    except OSError as exc:
        raise translated_os(exc, destination) from exc
    return True


@contextlib.contextmanager
def _only_one(destination: Path, clock: Clock) -> Iterator[None]:
    """Hold the lock on making this copy; wait a while for who has it."""
    path = destination.with_name(f".{destination.name}.copying.lock")
    give_up_s = clock.monotonic() + BUSY_TIMEOUT_S
    pause = threading.Event()
    while (lock := FileLock.try_acquire(path)) is None:
        if clock.monotonic() >= give_up_s:
            raise DatabaseInUseError(
                f"{owner_of(path)} is making {destination} right now; try again when it has "
                "finished"
            )
        pause.wait(_WAIT_S)
    try:
        lock.write_owner()
        yield
    finally:
        lock.release(remove=True)


def _is_taken(destination: Path, exist_ok: bool) -> bool:
    if not destination.exists():
        return False
    if exist_ok and (destination / DATABASE_FILE).is_file():
        return True
    if destination.is_dir() and not any(destination.iterdir()):
        destination.rmdir()
        return False
    raise ExistsError(f"there is something at {destination} already; nothing was copied")


def _make(source: Path, part: Path, clock: Clock, files: Files) -> None:
    files.make_folder(part)
    blobs = part / BLOBS_FOLDER
    files.make_folder(blobs)
    for attempt in range(_ATTEMPTS_MAX):
        for name in (DATABASE_FILE, LOG_FILE, DATABASE_FILE + "-shm"):
            (part / name).unlink(missing_ok=True)
        _copy_file(source, part)
        digests = _become_another(part / DATABASE_FILE, clock)
        missing = _bring_blobs(source / BLOBS_FOLDER, blobs, digests, files)
        if not missing:
            break
        if attempt == _ATTEMPTS_MAX - 1:
            _log.warning("%s lacks %d of its blobs; so does its copy", source, len(missing))
    files.sync_folder(blobs)
    files.sync_folder(part)


def _copy_file(source: Path, part: Path) -> None:
    """Copy one state of the SQLite file, with what is in its log."""
    path = source / DATABASE_FILE
    has_log = (source / LOG_FILE).exists()
    writable = is_writable(source)
    origin = open_connection(path, writable=False, immutable=not writable and not has_log)
    try:
        reader = Reader(origin, path)
        try:
            is_ours = schema.check_is_ours(reader)
        except StoreError as exc:
            if type(exc) is StoreError and has_log and not writable:
                raise ReadOnlyError(
                    f"{path} holds changes not yet copied out of its log, and its place can't be "
                    "written: open and close it once where it can"
                ) from exc
            raise
        if not is_ours:
            raise NotADatabaseError(f"{path} is empty; nothing was copied")
        if schema.stored_version(reader) >= len(schema.STEPS):
            schema.check_version(reader)
        target = part / DATABASE_FILE
        copy = open_connection(target, writable=True, create=True)
        try:
            with copy.backup("main", origin, "main") as backup:
                backup.step(-1)
        except apsw.Error as exc:
            raise translated(exc, target) from exc
        finally:
            copy.close()
    finally:
        origin.close()


def _become_another(path: Path, clock: Clock) -> list[str]:
    """Make a copied file a database of its own; return the blobs that it names."""
    reader = Reader(open_connection(path, writable=True), path)
    try:
        schema.upgrade(reader, clock.random_bytes)
        reader.run("PRAGMA secure_delete = ON")  # A copy that is shipped must hold no credentials.
        reader.run("BEGIN IMMEDIATE")
        for name in ("private_uuid", "public_uuid"):
            reader.run("UPDATE meta SET value = ? WHERE name = ?", (clock.random_bytes(16), name))
        for table in ("checkpoints", "peer_checkpoints", "marks", "remotes"):
            reader.run(f"DELETE FROM {table}")
        reader.run("DELETE FROM meta WHERE name GLOB 'cookies:*'")
        reader.run("COMMIT")
        digests = [row[0] for row in reader.rows("SELECT DISTINCT digest FROM blob_refs")]
        reader.run("PRAGMA wal_checkpoint(TRUNCATE)")
        return digests
    finally:
        reader.close()


def _bring_blobs(origin: Path, blobs: Path, digests: list[str], files: Files) -> list[str]:
    """Link or copy the blobs that are not there yet; return those that `origin` lacks."""
    missing = []
    for digest in digests:
        raw = digest_bytes(digest)
        if raw is None:
            missing.append(digest)
            continue
        target = blobs / raw.hex()
        if target.exists():
            continue
        try:
            _bring(origin / raw.hex(), target, files)
        except FileNotFoundError:
            missing.append(digest)
    return missing


def _bring(path: Path, target: Path, files: Files) -> None:
    # Another user's file could be linked, but not kept from being collected by its time.
    if hasattr(os, "geteuid") and path.stat().st_uid == os.geteuid():
        with contextlib.suppress(OSError):
            files.link(path, target)
            return
    part = target.with_suffix(".part")
    try:
        with files.open(path) as source, files.create(part) as sink:
            buffer = memoryview(bytearray(BLOB_CHUNK_BYTES))
            while count := files.read(source, buffer):
                written = 0
                while written < count:
                    written += files.write(sink, buffer[written:count])
        files.sync(part)
        files.rename(part, target)
    except BaseException as exc:
        files.unlink(part)
        if isinstance(exc, OSError) and not isinstance(exc, FileNotFoundError):
            raise translated_os(exc, target) from exc
        raise
