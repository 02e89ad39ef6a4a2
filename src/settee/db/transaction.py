"""Transactions as an application uses them: nested ones too, and what a rollback leaves behind.

A nested transaction is a savepoint of the one around it. Tasks that were made inside a transaction
share it; but while one of them is in a nested one, the others may not write: its rollback would
silently undo what they wrote.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Final

from settee.errors import TransactionError
from settee.store.transaction import Transaction as StoreTransaction
from settee.store.transaction import current_transaction
from settee.store.writer import Savepoint, Writer

if TYPE_CHECKING:
    from settee.db.database import Database

__all__ = ["RolledBack", "Transaction", "check_part"]

_PARTS: Final[ContextVar[tuple[Savepoint, ...]]] = ContextVar("settee_parts", default=())


def check_part(writer: Writer) -> None:
    """Raise TransactionError if another task is in a nested transaction."""
    part = writer.part
    if part is not None and all(each is not part for each in _PARTS.get()):
        raise TransactionError(
            "another task is in a nested transaction, whose rollback would undo this write too; "
            "wait for its end"
        )


class RolledBack(Exception):
    """Ends a transaction's block without a failure."""


class Transaction:
    """The context manager that `Database.transaction` returns."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._inner: StoreTransaction | None = None
        self._part: Savepoint | None = None
        self._token: Token[tuple[Savepoint, ...]] | None = None
        self._rolled_back = RolledBack()

    def rollback(self) -> None:
        """Undo all, and leave the ``with`` block at once."""
        raise self._rolled_back

    def __enter__(self) -> Transaction:
        if not self._begin_part():
            self._begin_whole().__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not self._end_part(exc):
            assert self._inner is not None
            try:
                self._inner.__exit__(exc_type, exc, traceback)
            except BaseException:
                self._undone()
                raise
            if exc is not None:
                self._undone()
        return exc is self._rolled_back

    # --- for both skins ---------------------------------------------------------------------------

    def _begin_whole(self) -> StoreTransaction:
        self._inner = self._database._store.transaction()
        return self._inner

    def _begin_part(self) -> bool:
        """Inside a transaction of one's own: begin a part of it; tell whether that was so."""
        outer = current_transaction(self._database._store)
        if outer is None:
            return False
        outer.writer.check_open()
        check_part(outer.writer)
        self._part = outer.writer.begin_part()
        self._token = _PARTS.set((*_PARTS.get(), self._part))
        return True

    def _end_part(self, exc: BaseException | None) -> bool:
        """End a part, if this is one; what it wrote commits with the transaction around it."""
        part, self._part = self._part, None
        if part is None:
            return False
        assert self._token is not None
        _PARTS.reset(self._token)
        outer = current_transaction(self._database._store)
        if outer is not None:  # Else it ended first, and this part with it.
            outer.writer.end_part(part, undo=exc is not None)
        if exc is not None:
            self._undone()
        return True

    def _undone(self) -> None:
        """Forget the collections that were made in what was undone."""
        self._database._forget_undone()
