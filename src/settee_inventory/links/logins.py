"""Logins for single devices: with which user and password each is dialled, if not as oneself.

They have to be sent as they are, so they are stored as they are: in a file of mode 0600 of their
own, apart from what is shown, logged or bundled for a diagnosis.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from settee_inventory.links.link import Login
from settee_inventory.links.remembered import write_whole

__all__ = ["Logins"]

_FORMAT: Final = 1


class Logins:
    """The logins of one user, by key of the device. Changes are on disk when a method returns."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = _read(file)

    def get(self, key: str) -> Login | None:
        """Return the login for a device, None if it has none of its own."""
        return self._known.get(key)

    def keep(self, key: str, login: Login) -> None:
        """Use this login for a device from now on. Raises OSError if the disk refuses."""
        self._known[key] = login
        self._write()

    def forget(self, key: str) -> None:
        """Take out the login of a device, if it has one. Raises OSError if the disk refuses."""
        if self._known.pop(key, None) is not None:
            self._write()

    def _write(self) -> None:
        logins = {
            key: {"user": each.user, "password": each.password} for key, each in self._known.items()
        }
        write_whole(self._file, {"format": _FORMAT, "logins": logins})


def _read(file: Path) -> dict[str, Login]:
    """Return what the file holds; what is damaged counts as never given, and is asked for anew."""
    try:
        logins = json.loads(file.read_text("utf-8"))["logins"]
        return {
            str(key): Login(each["user"], each["password"])
            for key, each in logins.items()
            if isinstance(each["user"], str) and isinstance(each["password"], str)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
