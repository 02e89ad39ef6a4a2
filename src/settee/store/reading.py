"""The pool of reading connections.

Room: store.
Touches: connections that read.
Never touches: sockets, the writer, documents.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from settee.limits import READERS_IDLE_MAX
from settee.store.connection import Reader
from settee.store.transaction import current_transaction

__all__ = ["ReadLease", "ReaderPool"]


class ReaderPool:
    """Connections that read, each lent to one thread at a time and kept open for the next."""

    def __init__(self, open_reader: Callable[[], Reader]) -> None:
        self._open_reader = open_reader
        self._idle: list[Reader] = []  # Its `pop` and `append` are atomic.
        self._closed = False

    def take(self) -> Reader:
        """Return a connection for the caller alone."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._open_reader()

    def give_back(self, reader: Reader) -> None:
        """Take a connection back."""
        if self._closed or len(self._idle) >= READERS_IDLE_MAX:
            reader.close()
            return
        self._idle.append(reader)
        if self._closed:  # Closed meanwhile, maybe after it had been emptied.
            self._close_idle()

    def close(self) -> None:
        """Close the idle ones now, and those lent out when they come back. Idempotent."""
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()


class ReadLease:
    """Lends a `Reader` for a ``with`` block."""

    __slots__ = ("_pool", "_reader", "_single", "_store")

    def __init__(self, store: object, pool: ReaderPool, single: bool = False) -> None:
        self._store = store
        self._pool = pool
        self._single = single
        self._reader: Reader | None = None

    def __enter__(self) -> Reader:
        transaction = current_transaction(self._store)
        if transaction is not None:
            return transaction.writer
        reader = self._reader = self._pool.take()
        if not self._single:
            reader.run("BEGIN")
        return reader

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        reader, self._reader = self._reader, None
        if reader is None:
            return
        try:
            if not self._single and reader.in_transaction:
                reader.run("ROLLBACK")
        except BaseException:
            reader.close()
            if exc_type is None:
                raise
            return  # The block's own error says more.
        self._pool.give_back(reader)
