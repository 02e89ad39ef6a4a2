"""The file system as blobs and copies use it: one object, a method for each thing that can fail.

Room: store.
Touches: the files that it is told.
Never touches: sockets, SQLite (which writes its own files), what lies in a file.

`FILES` is the machine's own. Whoever opens a store may give another one: to keep blobs elsewhere,
or to see in which order they become durable. Each method raises OSError and translates nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from io import FileIO
from pathlib import Path
from typing import Final, Protocol

__all__ = ["FILES", "Files", "MachineFiles"]

_BINARY: Final = getattr(os, "O_BINARY", 0)


class Files(Protocol):
    """Files and names, each change by itself."""

    def create(self, path: Path) -> FileIO:
        """Make a file that is not there and open it for writing, unbuffered."""

    def open(self, path: Path) -> FileIO:
        """Open a file for reading, unbuffered."""

    def write(self, file: FileIO, data: memoryview) -> int:
        """Write at the file's end; return how many bytes, which may be fewer than given."""

    def read(self, file: FileIO, buffer: memoryview) -> int:
        """Read into `buffer`; return how many bytes, 0 at the end."""

    def stamp(self, path: Path, at_ns: int) -> None:
        """Set when a file was last used, nanoseconds since 1970."""

    def sync(self, path: Path, at_ns: int | None = None) -> None:
        """Make a file's content durable, after setting when it was last used."""

    def rename(self, path: Path, target: Path) -> None:
        """Give a file or folder another name; a file that has it is replaced, in one step."""

    def link(self, path: Path, target: Path) -> None:
        """Give a file a second name."""

    def unlink(self, path: Path) -> None:
        """Remove a file; one that isn't there is no error."""

    def make_folder(self, path: Path) -> None:
        """Make a folder that is not there, in one that is."""

    def remove_folder(self, path: Path) -> None:
        """Remove a folder and all in it, as far as that goes; raises nothing."""

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""


class MachineFiles:
    """The files of this machine.

    A path's own methods make further paths, which costs more than most of the calls themselves.
    """

    def create(self, path: Path) -> FileIO:
        """Make a file that is not there."""
        return open(path, "xb", buffering=0)

    def open(self, path: Path) -> FileIO:
        """Open a file for reading."""
        return open(path, "rb", buffering=0)

    def write(self, file: FileIO, data: memoryview) -> int:
        """Write at the file's end."""
        return file.write(data)

    def read(self, file: FileIO, buffer: memoryview) -> int:
        """Read into `buffer`."""
        return file.readinto(buffer) or 0

    def stamp(self, path: Path, at_ns: int) -> None:
        """Set when a file was last used."""
        os.utime(path, ns=(at_ns, at_ns))

    def sync(self, path: Path, at_ns: int | None = None) -> None:
        """Make a file's content durable."""
        fd = os.open(path, os.O_RDWR | _BINARY)
        try:
            if at_ns is not None and os.utime in os.supports_fd:
                os.utime(fd, ns=(at_ns, at_ns))
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, path: Path, target: Path) -> None:
        """Give a file or folder another name."""
        os.replace(path, target)

    def link(self, path: Path, target: Path) -> None:
        """Give a file a second name."""
        os.link(path, target)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def make_folder(self, path: Path) -> None:
        """Make a folder."""
        path.mkdir()

    def remove_folder(self, path: Path) -> None:
        """Remove a folder and all in it."""
        shutil.rmtree(path, ignore_errors=True)

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""
        if os.name == "nt":  # Windows offers no such thing; NTFS journals names.
            return
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


FILES: Final[Files] = MachineFiles()
"""What is used unless another is given."""
