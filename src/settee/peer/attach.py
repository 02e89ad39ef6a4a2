"""One runtime for all peers of a database, and one process that may sync it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from settee.errors import ClosedError
from settee.peer.runtime import Runtime
from settee.store.leases import SyncLease

if TYPE_CHECKING:
    from settee.db.database import Database

__all__ = ["Attachment", "attach", "runtime_of"]


class Attachment:
    """What the peers of one database share: the runtime and the lease."""

    def __init__(self, db: Database, runtime: Runtime) -> None:
        self.runtime = runtime
        # Raises DatabaseInUseError, which names the other process.
        self._lease = SyncLease.acquire(db._store.directory)
        self._unregister = db._on_close(self.close)

    def close(self) -> None:
        """End the runtime and let another process sync."""
        self.runtime.close()
        self._lease.release()


def attach(db: Database, runtime: Runtime | None = None) -> Attachment:
    """Return the database's attachment, made now if there is none."""
    if db._closed:
        raise ClosedError("the database is closed: open it again to replicate")
    existing = db._peers
    if existing is not None:
        assert isinstance(existing, Attachment)
        return existing
    made = Attachment(db, runtime or Runtime(db._clock, db._workers))
    db._peers = made
    return made


def runtime_of(db: Database) -> Runtime:
    """Return the runtime that this database's peers run on."""
    return attach(db).runtime
