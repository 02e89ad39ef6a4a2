"""One runtime for all peers of a database, and one process that may sync it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from settee.errors import ClosedError, SetteeError
from settee.limits import DATA_VERSION_POLL_S
from settee.logs import room_log
from settee.peer.runtime import Runtime

if TYPE_CHECKING:
    from settee.db.database import Database

__all__ = ["Attachment", "attach", "runtime_of"]

_log = room_log("peer")

_attaching = threading.Lock()
"""Several threads of a program may begin to replicate at once."""


class Attachment:
    """What the peers of one database share: the runtime and the lease."""

    def __init__(self, db: Database, runtime: Runtime | None) -> None:
        # First: raises DatabaseInUseError, which names the other process.
        self._release = db._store.lease_sync()
        if runtime is None:
            runtime = Runtime(db._clock, db._workers)
        self.runtime: Runtime = runtime
        self._db = db
        try:
            db._on_close(self.close)
        except ClosedError:  # Meanwhile.
            self.close()
            raise
        if not runtime.is_virtual:
            runtime.call(self._look)

    def _look(self) -> None:
        """Look for commits of other processes, again and again."""
        self.runtime.reader.submit(self._poll)
        self.runtime.loop.call_later(DATA_VERSION_POLL_S, self._look)

    def _poll(self) -> None:
        try:
            self._db._store.poll_external()
        except SetteeError as exc:  # Closed meanwhile, or the disk: the next look may do better.
            _log.debug("looking for other processes' commits failed: %s", exc)

    def close(self) -> None:
        """End the runtime and let another process sync."""
        self.runtime.close()
        self._release()


def attach(db: Database, runtime: Runtime | None = None) -> Attachment:
    """Return the database's attachment, made now if there is none."""
    if db._closed:
        raise ClosedError("the database is closed: open it again to replicate")
    with _attaching:
        existing = db._peers
        if existing is not None:
            assert isinstance(existing, Attachment)
            return existing
        made = Attachment(db, runtime)
        db._peers = made
    return made


def runtime_of(db: Database) -> Runtime:
    """Return the runtime that this database's peers run on."""
    return attach(db).runtime
