"""Records what real databases ask of the disk: SQLite through a VFS, blobs through `Files`.

``with recording(folder) as recorder`` logs everything below `folder` in this process; databases are
opened with ``files=recorder.files``. Each commit is marked in the log with what the database then
held, all tables, so that an image can be compared with every state that ever was.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any, Final
from unittest import mock

import apsw

from settee.store import Commit, Reader, Writer, connection
from settee.store.files import MachineFiles
from tests.crash.disk import FOLDER, Log

_VFS: Final = "settee-recorder"
_SYNCS_ITS_FOLDER: Final = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL


def state_of(reader: Reader) -> str:
    """Return a digest of all that a database holds."""
    digest = hashlib.sha256()
    tables = reader.rows(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_stat*' "
        "ORDER BY name"
    )
    for (table,) in tables:
        digest.update(repr((table, reader.rows(f'SELECT * FROM "{table}"'))).encode())
    return digest.hexdigest()


class Recorder:
    """The log of one folder, and the states of the databases in it."""

    def __init__(self, root: Path) -> None:
        self.root: Final = root
        self.log: Final = Log()
        self.files: Final = RecordingFiles(self)
        self.states: dict[str, list[str]] = {}
        """Database (path below the root) to the state after each of its commits."""
        self.copies: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}
        """Copy of a database -> the documents that it has to hold."""
        self.on_commit: Callable[[str, Reader], None] = lambda name, reader: None

    def inside(self, path: str | os.PathLike[str]) -> str | None:
        """Return a path below the root, None if it is elsewhere."""
        text = os.path.abspath(path)
        root = f"{self.root}{os.sep}"
        return text[len(root) :].replace(os.sep, "/") if text.startswith(root) else None

    def opened(self, directory: Path, reader: Reader) -> None:
        """Note that a database is open: from now on it has to be there."""
        self._note(reader, directory)

    def committed(self, writer: Writer) -> None:
        self._note(writer, writer.path.parent)

    def _note(self, reader: Reader, directory: Path) -> None:
        name = self.inside(directory)
        if name is None:
            return
        states = self.states.setdefault(name, [])
        states.append(state_of(reader))
        self.log.mark("commit", name, len(states) - 1)
        self.on_commit(name, reader)


class RecordingFiles(MachineFiles):
    """The machine's files; what is done to them is logged once it is done."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._open: dict[int, tuple[int, int]] = {}  # Descriptor -> (node, offset).

    def _at(self, path: Path) -> str:
        inside = self._recorder.inside(path)
        assert inside is not None, path
        return inside

    @property
    def _log(self) -> Log:
        return self._recorder.log

    def create(self, path: Path) -> FileIO:
        file = super().create(path)
        self._open[file.fileno()] = (self._log.make(self._at(path)), 0)
        return file

    def write(self, file: FileIO, data: memoryview) -> int:
        count = super().write(file, data)
        node, offset = self._open[file.fileno()]
        self._log.write(node, offset, bytes(data[:count]))
        self._open[file.fileno()] = (node, offset + count)
        return count

    def sync(self, path: Path, at_ns: int | None = None) -> None:
        super().sync(path, at_ns)
        node = self._log.node(self._at(path))
        assert node is not None
        self._log.sync(node)

    def rename(self, path: Path, target: Path) -> None:
        super().rename(path, target)
        self._log.rename(self._at(path), self._at(target))

    def link(self, path: Path, target: Path) -> None:
        super().link(path, target)
        self._log.link(self._at(path), self._at(target))

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self._log.remove(self._at(path))

    def make_folder(self, path: Path) -> None:
        super().make_folder(path)
        self._log.make(self._at(path), FOLDER)

    def remove_folder(self, path: Path) -> None:
        super().remove_folder(path)
        self._log.remove(self._at(path))

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        if path == self._recorder.root:
            self._log.sync_folder("")
        elif self._recorder.inside(path) is not None:
            self._log.sync_folder(self._at(path))


class RecordedFile(apsw.VFSFile):
    """A file of SQLite's; what is done to it is logged once it is done."""

    def __init__(self, log: Log, path: str, name: Any, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self.record(log, path, flags)

    def record(self, log: Log, path: str, flags: list[int]) -> None:
        """Log to `log` from now on; `path` is what the file is called there."""
        self._log = log
        node = self._log.node(path)
        self._node: int = self._log.make(path) if node is None else node
        self._folder = path.rpartition("/")[0]
        # SQLite's own VFS syncs the folder, unseen, at the first sync of a journal or log it made.
        self._unsynced = bool(flags[0] & apsw.SQLITE_OPEN_CREATE and flags[0] & _SYNCS_ITS_FOLDER)

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._log.write(self._node, offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._log.truncate(self._node, newsize)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._log.sync(self._node)
        if self._unsynced:
            self._unsynced = False
            self._log.sync_folder(self._folder)


class _VFS_(apsw.VFS):
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        super().__init__(_VFS, "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        text = name.filename() if isinstance(name, apsw.URIFilename) else name
        path = None if text is None else self._recorder.inside(text)
        if path is None:
            return apsw.VFSFile("unix", name, flags)
        return RecordedFile(self._recorder.log, path, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:
        super().xDelete(name, syncdir)
        path = self._recorder.inside(name)
        if path is not None:
            self._recorder.log.remove(path)
            if syncdir:
                self._recorder.log.sync_folder(path.rpartition("/")[0])


@contextlib.contextmanager
def recording(root: Path, *, log_pages: int = 2000) -> Iterator[Recorder]:
    """Record what happens below `root`. `log_pages`: after how many SQLite empties its log."""
    recorder = Recorder(root)
    vfs = _VFS_(recorder)
    real = Writer.commit

    def commit(writer: Writer) -> list[Commit]:
        told = real(writer)
        recorder.committed(writer)
        return told

    try:
        with (
            mock.patch.object(Writer, "commit", commit),
            mock.patch.object(connection, "_WAL_PAGES", log_pages),
        ):
            yield recorder
    finally:
        vfs.unregister()
