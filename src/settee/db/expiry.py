"""Documents that expire: knowing when the next one will, and purging those whose time has come.

An expiry has no sequence, so that one set by another process shows in no feed: after each foreign
commit the next expiry is looked up again. What has expired and is not purged yet is gone for
readers (`settee.db.collection`), and is purged before anything is saved over it
(`settee.db.saving`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from settee.clock import Clock
from settee.errors import ClosedError
from settee.store import Writer, documents
from settee.store.transaction import current_transaction

if TYPE_CHECKING:
    from settee.store import Store

__all__ = ["Expiry"]


class Expiry:
    """The expiring documents of one database."""

    def __init__(self, store: Store, clock: Clock, wake: Callable[[], None]) -> None:
        """`wake` is called when there is something to wait for, on any thread."""
        self._store = store
        self._clock = clock
        self._wake = wake
        self.next_ms: int | None = None
        """When the next document expires, milliseconds since 1970; None: none will."""
        store.on_foreign_commit = self.look

    def look(self) -> None:
        """Look for the next expiry, and wait for it."""
        try:
            with self._store.reader() as reader:
                self.next_ms = documents.next_expiry(reader)
        except ClosedError:
            return
        if self.next_ms is not None:
            self._wake()

    def purge_when_due(self) -> float | None:
        """Purge what has expired; return the seconds until more will, None if nothing will."""
        if self.next_ms is None or self._store.read_only:
            return None
        if self.next_ms <= self._now_ms() and current_transaction(self._store) is None:
            self._store.submit(self._purge).result()
            with self._store.reader() as reader:
                self.next_ms = documents.next_expiry(reader)
            if self.next_ms is None:
                return None
        return max(0, self.next_ms - self._now_ms()) / 1000

    def _purge(self, writer: Writer) -> None:
        now_ms = self._now_ms()
        for row in self._store.collections():
            while due := documents.due(writer, row.key, now_ms):
                documents.purge(writer, row.key, due)

    def _now_ms(self) -> int:
        return self._clock.wall_ns() // 1_000_000
