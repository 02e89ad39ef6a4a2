"""The allow-list: who may log in here and connect from elsewhere, and who may only look.

The table is the one of ``settee user add``, so either can be used on ``users.json``. A file beside
it names the users who may only look. A check costs some 50 ms: run it on a worker.
"""

from __future__ import annotations

import contextlib
import json
import threading
import unicodedata
from pathlib import Path
from typing import Final

from settee import HashedUsers, NotFoundError
from settee_inventory.links.remembered import write_whole

__all__ = ["EDIT", "LOOK", "Accounts"]

EDIT: Final = "edit"
LOOK: Final = "look"


class Accounts:
    """Users and roles of one device. Safe to use from any thread."""

    def __init__(self, directory: Path) -> None:
        self._file: Final = directory / "users.json"
        self._roles_file: Final = directory / "roles.json"
        self._lock = threading.Lock()
        self._users = HashedUsers()
        self._read_at = -1
        self._lookers: set[str] = set()
        with contextlib.suppress(OSError, ValueError, TypeError):
            self._lookers = set(json.loads(self._roles_file.read_text("utf-8"))["look"])

    def _current(self) -> HashedUsers:
        """Return the table as the file has it now: ``settee user add`` may have changed it."""
        with self._lock:
            try:
                changed_at = self._file.stat().st_mtime_ns
            except OSError:
                return self._users
            if changed_at != self._read_at:
                with contextlib.suppress(NotFoundError):
                    self._users = HashedUsers.load(self._file)
                    self._read_at = changed_at
            return self._users

    @property
    def empty(self) -> bool:
        """Whether nobody has an account yet. Raises StoreError for a damaged table."""
        return len(self._current()) == 0

    def check(self, user: str, password: str) -> bool:
        """Tell whether this is the user's password. Raises StoreError for a damaged table."""
        return self._current().check(user, password)

    def may_write(self, user: str | None) -> bool:
        """Tell whether a user may change things."""
        return user is not None and unicodedata.normalize("NFC", user) not in self._lookers

    def roles(self) -> list[tuple[str, str]]:
        """Return all users with their roles, by name."""
        return [(name, EDIT if self.may_write(name) else LOOK) for name in self._current()]

    def add(self, user: str, password: str, role: str = EDIT) -> None:
        """Add a user, or give one a new password. Raises ConfigError, StoreError."""
        users = self._current()
        users.add(user, password)
        users.save(self._file)
        self._read_at = self._file.stat().st_mtime_ns
        self.set_role(user, role)

    def set_role(self, user: str, role: str) -> None:
        """Let a user edit, or only look."""
        name = unicodedata.normalize("NFC", user)
        self._lookers = {*self._lookers, name} if role == LOOK else self._lookers - {name}
        write_whole(self._roles_file, {"look": sorted(self._lookers)})

    def remove(self, user: str) -> None:
        """Take a user out. Raises StoreError."""
        users = self._current()
        if users.remove(user):
            users.save(self._file)
            self._read_at = self._file.stat().st_mtime_ns
            self.set_role(user, EDIT)
