"""Who holds the writer connection, and transactions that a caller holds open.

Room: store.
Touches: locks, the writer.
Never touches: sockets, documents' meaning.

A transaction belongs to the thread that entered it, and there to the asyncio task if there is one
(a context variable tells them apart). While it is open the group-commit worker waits, and so does
everybody who waits for a write; therefore waiting for a write inside one's own transaction raises
instead of hanging.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final

from settee.clock import Clock
from settee.errors import TransactionError
from settee.limits import TRANSACTION_S_MAX, TRANSACTION_WARN_S
from settee.logs import room_log
from settee.store.writer import Commit, Writer

__all__ = ["Transaction", "Turnstile", "current_transaction", "waits_on_itself"]

log: logging.Logger = room_log("store")

_ACTIVE: Final[ContextVar[tuple[Transaction, ...]]] = ContextVar("settee_transactions", default=())


class Turnstile:
    """Lets one owner at a time through, in the order of asking."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Event] = deque()

    def try_acquire(self) -> bool:
        """Take it if it is free and nobody waits."""
        with self._mutex:
            if self._held or self._waiting:
                return False
            self._held = True
            return True

    def acquire(self) -> None:
        """Take it, waiting for those before."""
        with self._mutex:
            if not self._held and not self._waiting:
                self._held = True
                return
            turn = threading.Event()
            self._waiting.append(turn)
        if not turn.wait(TRANSACTION_WARN_S):
            log.warning("waiting for a transaction that has been open for over a second")
            turn.wait()

    def release(self) -> None:
        """Hand it to who has waited longest."""
        with self._mutex:
            assert self._held, "released twice"
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._held = False


class Transaction:
    """Everything written in it is committed together, or not at all.

    ``with store.transaction() as writer:`` for blocking code. Code that must not block the thread
    it runs in calls the parts: `acquire` and `commit` or `rollback` (on any thread), `adopt` and
    `leave` (in the thread and task that is to own it).
    """

    def __init__(
        self,
        *,
        store: object,
        writer: Writer,
        turnstile: Turnstile,
        clock: Clock,
        wait: bool,
        check: Callable[[], None],
        finished: Callable[[list[Commit]], None],
        ended: Callable[[], None],
    ) -> None:
        self.store: Final = store
        self._writer = writer
        self._turnstile = turnstile
        self._clock = clock
        self._wait = wait
        self._check = check
        self._finished = finished
        self._ended = ended
        self._began_s = 0.0
        self._thread = 0
        self._token: Token[tuple[Transaction, ...]] | None = None
        self._open = False

    def acquire(self) -> None:
        """Wait for one's turn and begin.

        Raises TransactionError if waiting could never end, ClosedError, DatabaseInUseError.
        """
        assert not self._open, "a transaction is entered once"
        if self._wait:
            self._turnstile.acquire()
        elif not self._turnstile.try_acquire():
            raise TransactionError(
                "another transaction is open, and without threads it can't end while this one waits"
            )
        try:
            self._check()
            self._writer.begin(limit_s=TRANSACTION_S_MAX)
        except BaseException:
            self._turnstile.release()
            raise
        self._began_s = self._clock.monotonic()
        self._open = True

    def adopt(self) -> Writer:
        """Make the calling thread and task the owner; return the writer."""
        assert self._open
        assert self._token is None
        self._thread = threading.get_ident()
        self._token = _ACTIVE.set((*_ACTIVE.get(), self))
        return self._writer

    def leave(self) -> None:
        """Give up ownership, where it was adopted."""
        if self._token is not None:
            _ACTIVE.reset(self._token)
            self._token = None

    def commit(self) -> None:
        """Commit and let the next one through. After an error all was rolled back."""
        commits: list[Commit] = []
        try:
            commits = self._writer.commit()
        finally:
            self._end(commits)

    def rollback(self) -> None:
        """Undo all and let the next one through."""
        try:
            self._writer.rollback()
        finally:
            self._end([])

    def __enter__(self) -> Writer:
        self.acquire()
        return self.adopt()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()
        if exc_type is None:
            self.commit()
        else:
            self.rollback()

    @property
    def is_open(self) -> bool:
        """Whether it has begun and not ended."""
        return self._open

    @property
    def is_mine(self) -> bool:
        """Whether it is open and the calling thread adopted it."""
        return self._open and self._thread == threading.get_ident()

    @property
    def writer(self) -> Writer:
        """The writer, for its owner."""
        return self._writer

    def _end(self, commits: list[Commit]) -> None:
        self._open = False
        took_s = self._clock.monotonic() - self._began_s
        if took_s > TRANSACTION_WARN_S:
            log.warning("a transaction was open for %.1f s; nobody else could write", took_s)
        self._finished(commits)
        self._turnstile.release()
        self._ended()


def waits_on_itself(store: object) -> bool:
    """Tell whether the caller runs on behalf of the owner of an open transaction on `store`.

    Also on another thread, if it was given a copy of the owner's context (``asyncio.to_thread``):
    there it may not use the transaction, but waiting for its end would never end either.
    """
    return any(item.store is store and item.is_open for item in _ACTIVE.get())


def current_transaction(store: object) -> Transaction | None:
    """Return the open transaction on `store` that the calling thread and task own, if any."""
    for transaction in _ACTIVE.get():
        if transaction.store is store and transaction.is_mine:
            return transaction
    return None
