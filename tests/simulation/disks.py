"""The disks of simulated peers: full for a while, wrong for a moment, and what a power cut leaves.

SQLite comes here through a VFS and blobs through `Files`, so that every write, sync, read and
rename of a peer is seen, in an order that the seed decides. What one process has below its folder
is a `PeerDisk`. A process that dies leaves its files as they are (the kernel goes on) or what a
power cut may have kept of them (`tests.crash.disk`), and may die in the middle of any operation.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import apsw

from tests.crash import faults, recording
from tests.crash.disk import FOLDER, Disk, Entry, Image, Log
from tests.crash.recording import Recorder, RecordingFiles

__all__ = ["Disks", "PeerDisk"]

_NEEDS_SPACE: Final = frozenset({"write", "create", "make_folder", "link"})


class _Stream(list[Entry]):
    """The entries of a log, of which nothing is kept but what they come to."""

    def __init__(self) -> None:
        super().__init__()
        self.disk: Final = Disk()

    def append(self, entry: Entry) -> None:
        self.disk.take(entry)


class PeerDisk(faults.Fault):
    """What one process has below its folder, and what is to go wrong there."""

    def __init__(self, disks: Disks, path: Path) -> None:
        super().__init__(path, 0, "broken")
        self._disks: Final = disks
        self.path: Final = path
        self.lacks_space = False
        self.fails_in = 0
        """Which of the next operations fails, once; 0 for none."""
        self.ends_in = 0
        """At which of the next operations the process ends; 0 for none."""
        self.on_end: Callable[[], None] = lambda: None
        self.hits = 0
        """How many operations failed."""
        self._full = False
        recorder = Recorder(path)
        self._stream = _Stream()
        recorder.log.entries = self._stream
        self.log: Final[Log] = recorder.log
        self.files: Final = _Files(recorder, self)
        if path.exists():
            self._adopt(path, "")

    def _adopt(self, folder: Path, inside: str) -> None:
        """Take what lies there already for durable."""
        for path in sorted(folder.iterdir()):
            at = f"{inside}/{path.name}".lstrip("/")
            if path.is_dir():
                self.log.make(at, FOLDER)
                self._adopt(path, at)
            elif path.suffix not in (".lock", ".sqlite3-shm"):
                node = self.log.make(at)
                self.log.write(node, 0, path.read_bytes())
                self.log.sync(node)
        self.log.sync_folder(inside)

    def due(self, path: str | os.PathLike[str] | None, what: str) -> bool:
        """Tell whether an operation fails; called before each."""
        if self._disks.calm or path is None or not os.fspath(path).startswith(self.root):
            return False
        kind = what.rpartition(" ")[2]
        if self.ends_in:
            self.ends_in -= 1
            if not self.ends_in:
                self.forget()
                self.on_end()
                return False
        self._full = self.lacks_space and kind in _NEEDS_SPACE
        fails = self._full
        if self.fails_in:
            self.fails_in -= 1
            fails = fails or not self.fails_in
        self.hits += fails
        return fails

    @property
    def is_full(self) -> bool:
        """Whether the last failure was one of space."""
        return self._full

    def empty(self) -> None:
        """There is room again."""
        self.lacks_space = False

    def forget(self) -> None:
        """Let nothing go wrong any more."""
        self.lacks_space = False
        self.fails_in = self.ends_in = 0

    def leave(self, target: Path, chance: random.Random, *, power: bool) -> None:
        """Make the folder that the next process finds: all, or what a power cut may have left."""
        if not power:
            ignored = shutil.ignore_patterns("*.lock", "*-shm")
            shutil.copytree(self.path, target, ignore=ignored)
            return
        image: Image = self._stream.disk.image(chance)
        target.mkdir()
        for name in sorted(image):
            content = image[name]
            if content is None:
                (target / name).mkdir()
            else:
                (target / name).write_bytes(content)


class _Files(RecordingFiles, faults.FaultyFiles):
    """Files whose operations may fail, and are recorded if they don't."""

    def __init__(self, recorder: Recorder, disk: PeerDisk) -> None:
        RecordingFiles.__init__(self, recorder)
        self._fault, self._paths = disk, {}


class _File(recording.RecordedFile, faults.FaultyFile):
    def __init__(self, disk: PeerDisk, path: str, name: Any, flags: list[int]) -> None:
        apsw.VFSFile.__init__(self, "unix", name, flags)
        self.record(disk.log, os.path.relpath(path, disk.path), flags)
        self._fault, self._path = disk, path


class Disks(apsw.VFS):
    """The disks of all peers of a fleet, below one folder; a VFS while the fleet lives."""

    def __init__(self, root: Path) -> None:
        self._root: Final = f"{root}{os.sep}"
        self._disks: dict[str, PeerDisk] = {}
        self.calm = True
        """Whether nothing goes wrong just now, as nobody but the test looks at the disks."""
        super().__init__("settee-simulation", "unix", makedefault=True)

    def insert(self, path: Path) -> PeerDisk:
        """Return the disk of a process that is to begin on what lies in `path`."""
        disk = self._disks[path.name] = PeerDisk(self, path)
        return disk

    @contextlib.contextmanager
    def at_work(self, at_work: bool) -> Iterator[None]:
        """Let things go wrong inside, or not."""
        before, self.calm = self.calm, not at_work
        try:
            yield
        finally:
            self.calm = before

    def heal(self) -> None:
        for disk in self._disks.values():
            disk.forget()

    def _disk(self, path: str | None) -> PeerDisk | None:
        if path is None or not path.startswith(self._root):
            return None
        return self._disks.get(path[len(self._root) :].partition(os.sep)[0])

    def excepthook(self, *_: Any) -> None:
        """Say nothing: the failure is meant."""

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        disk = self._disk(path)
        if disk is None:
            return apsw.VFSFile("unix", name, flags)
        if disk.due(path, "sqlite open"):
            raise apsw.exception_for(apsw.SQLITE_CANTOPEN)
        return _File(disk, path, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:
        disk = self._disk(name)
        if disk is not None and disk.due(name, "sqlite delete"):
            raise apsw.exception_for(apsw.SQLITE_IOERR_DELETE)
        super().xDelete(name, syncdir)
        if disk is not None:
            path = os.path.relpath(name, disk.path)
            disk.log.remove(path)
            if syncdir:
                disk.log.sync_folder(os.path.dirname(path))
