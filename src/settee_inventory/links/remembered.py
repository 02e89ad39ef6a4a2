"""The devices that this one knows: by which certificate, where it met them, whether it dials them.
And those that it does not let in.

Kept in a JSON file with mode 0600, whole or not at all. No password is in it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["Acquaintance", "Remembered", "write_whole"]

_FORMAT: Final = 1


@dataclass(slots=True)
class Acquaintance:
    """A device that was met once."""

    key: str
    """What names it here: its announced ID, else the place where it was dialled."""
    name: str
    url: str = ""
    """Where it was last dialled by hand; empty if it was found."""
    fingerprint: str = ""
    """SHA-256 of the certificate that is trusted; empty if none is."""
    blocked: bool = False
    """The words differed: it is never dialled."""
    off: bool = False
    """It was disconnected by hand, and stays so."""
    off_at_ms: int = 0
    seen_at_ms: int = 0
    """When it was last in sync."""
    original: bool = False
    """Whether it is the original app, which has its single list and nothing else."""


class Remembered:
    """The acquaintances of one user, by key. Every change is on disk when the method returns."""

    def __init__(self, file: Path) -> None:
        self._file = file
        known, kept_out = _read(file)
        self._known = {each.key: each for each in known}
        self._kept_out = kept_out

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __iter__(self) -> Any:
        return iter(list(self._known.values()))

    def get(self, key: str) -> Acquaintance | None:
        """Return who has this key, or None."""
        return self._known.get(key)

    def keep(self, who: Acquaintance) -> None:
        """Add or change one."""
        self._known[who.key] = who
        self._write()

    def forget(self, key: str) -> None:
        """Take one out, if it is there."""
        if self._known.pop(key, None) is not None:
            self._write()

    @property
    def kept_out(self) -> frozenset[str]:
        """The IDs of devices that are not to connect."""
        return self._kept_out

    def keep_out(self, device_id: str) -> None:
        """Let a device connect no more, until `let_in`."""
        self._kept_out |= {device_id}
        self._write()

    def let_in(self, device_id: str) -> None:
        """Take back `keep_out`."""
        self._kept_out -= {device_id}
        self._write()

    def _write(self) -> None:
        devices = [dataclasses.asdict(each) for each in self._known.values()]
        kept_out = sorted(self._kept_out)
        write_whole(self._file, {"format": _FORMAT, "devices": devices, "kept_out": kept_out})


def write_whole(file: Path, value: object) -> None:
    """Write `value` as JSON with mode 0600, over what is there; whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(value, stream, ensure_ascii=False, indent=2)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read(file: Path) -> tuple[list[Acquaintance], frozenset[str]]:
    """Return what the file holds; what is damaged counts as forgotten, and is met anew."""
    try:
        value = json.loads(file.read_text("utf-8"))
        fields = {field.name for field in dataclasses.fields(Acquaintance)}
        known = [
            Acquaintance(**{key: each[key] for key in each if key in fields})
            for each in value["devices"]
        ]
        return known, frozenset(str(each) for each in value.get("kept_out", ()))
    except (OSError, ValueError, KeyError, TypeError):
        return [], frozenset()
