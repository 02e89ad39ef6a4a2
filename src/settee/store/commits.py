"""Group commit: many jobs, one transaction, no timer.

Room: store.
Touches: the writer worker, futures.
Never touches: sockets, SQL, documents' meaning.

The worker takes whatever jobs have gathered since its last commit, runs each so that it fails
alone, commits once, completes their futures, then tells the commit listeners. A lone job is durable
at once; a flood shares its fsyncs.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeAlias, TypeVar

from settee.clock import Worker
from settee.errors import ClosedError, SetteeError, StoreError, TransactionError
from settee.limits import GROUP_COMMIT_JOBS_MAX
from settee.logs import room_log
from settee.store.transaction import Turnstile, waits_on_itself
from settee.store.writer import Commit, Writer

__all__ = ["CommitFuture", "GroupCommit", "Job"]

log: logging.Logger = room_log("store")

T = TypeVar("T")
Job: TypeAlias = Callable[[Writer], T]
_Outcome: TypeAlias = "tuple[CommitFuture[Any], Any, BaseException | None]"


class CommitFuture(Future[T]):
    """The result of a job, once it is committed.

    Waiting for it where it could never come raises TransactionError: inside one's own transaction,
    and on the writer worker.
    """

    def __init__(self, store: object, worker: Worker) -> None:
        super().__init__()
        self._store = store
        self._worker = worker

    def result(self, timeout: float | None = None) -> T:
        """Return what the job returned, or raise what it raised; waits for the commit."""
        self._check_can_come()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the job raised, None if nothing; waits for the commit."""
        self._check_can_come()
        return super().exception(timeout)

    def _check_can_come(self) -> None:
        if self.done():
            return
        if waits_on_itself(self._store):
            raise TransactionError(
                "waiting for a write inside one's own transaction would never end: "
                "use the transaction's writer, or wait after it"
            )
        if self._worker.is_current():
            raise TransactionError(
                "waiting for a write inside a write, or in a commit listener, would never end"
            )


class GroupCommit:
    """Runs jobs on the writer worker and tells the listeners what was committed."""

    def __init__(
        self,
        *,
        store: object,
        writer: Writer,
        worker: Worker,
        turnstile: Turnstile,
        inline: bool,
        notify: Callable[[Commit], None],
        notify_foreign: Callable[[], None],
    ) -> None:
        self._store = store
        self._writer = writer
        self._worker = worker
        self._turnstile = turnstile
        self._inline = inline
        self._notify = notify
        self._notify_foreign = notify_foreign
        self._mutex = threading.Lock()
        self._jobs: deque[tuple[Job[Any], CommitFuture[Any]]] = deque()
        self._scheduled = False
        self._told: deque[Commit] = deque()
        self._data_version = self._read_data_version()
        self._polling = False
        self._closed = False

    def submit(self, job: Job[T]) -> CommitFuture[T]:
        """Queue a job; the future is done after the commit. Raises ClosedError."""
        future: CommitFuture[T] = CommitFuture(self._store, self._worker)
        with self._mutex:
            if self._closed:
                raise ClosedError("the database is closed; open it again to go on")
            self._jobs.append((job, future))
        self._schedule()
        return future

    def finished(self, commits: list[Commit]) -> None:
        """Take over after a transaction: tell its commits, then run the jobs that waited.

        Called while the transaction still owns the writer, so that what was committed first is told
        first.
        """
        self._told.extend(commits)
        if self._told:
            self._hand_to_worker(self._tell)

    def after_transaction(self) -> None:
        """Without threads: run the jobs that could not while the transaction was open."""
        if self._inline and self._jobs:
            self._schedule()

    def close(self) -> None:
        """Take no more jobs. Those queued are still run by the worker. Idempotent."""
        with self._mutex:
            self._closed = True

    def poll(self) -> None:
        """Look for another process's commit, on the worker; cheap."""
        with self._mutex:
            if self._polling:
                return
            self._polling = True
        self._hand_to_worker(self._poll)

    def _schedule(self) -> None:
        with self._mutex:
            if self._scheduled:
                return
            self._scheduled = True
        self._hand_to_worker(self._drain)

    def _hand_to_worker(self, work: Callable[[], None]) -> None:
        if self._inline:  # Runs at once: not under the mutex.
            if not self._closed:
                self._worker.submit(work)
            return
        with self._mutex:  # The worker is closed after `close`, so never between these two lines.
            if not self._closed:
                self._worker.submit(work)

    # --- on the worker ----------------------------------------------------------------------------

    def _take_turn(self) -> bool:
        if self._inline:
            return self._turnstile.try_acquire()
        self._turnstile.acquire()
        return True

    def _drain(self) -> None:
        while True:
            with self._mutex:
                if not self._jobs:
                    self._scheduled = False
                    return
            if not self._take_turn():  # Inline, in a transaction: its end schedules us again.
                with self._mutex:
                    self._scheduled = False
                return
            outcomes: list[_Outcome] = []
            try:
                outcomes = self._commit_group(outcomes)
            except BaseException as exc:
                log.exception("a group of writes failed")
                outcomes = _all_failed(outcomes, exc)
            finally:
                self._turnstile.release()
            for future, result, error in outcomes:
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)
            self._tell()

    def _commit_group(self, outcomes: list[_Outcome]) -> list[_Outcome]:
        """Run the jobs that have gathered and commit; return what to complete the futures with."""
        writer = self._writer
        succeeded = 0
        try:
            writer.begin()
        except BaseException as exc:
            return self._fail_waiting(exc)
        for _ in range(GROUP_COMMIT_JOBS_MAX):
            if not self._jobs:
                break
            job, future = self._jobs.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                # The first needs no savepoint: undoing it is undoing all.
                result = writer.attempt(job) if succeeded else job(writer)
                outcomes.append((future, result, None))
                succeeded += 1
            except BaseException as exc:
                outcomes.append((future, None, exc))
                if not succeeded:  # The jobs behind it are the next group.
                    break
                if not writer.in_transaction:  # SQLite undid the others' work too.
                    writer.rollback()
                    return _all_failed(outcomes, exc)
        if not succeeded:
            writer.rollback()
            return outcomes
        try:
            self._told.extend(writer.commit())
        except BaseException as exc:
            return _all_failed(outcomes, exc)
        return outcomes

    def _fail_waiting(self, error: BaseException) -> list[_Outcome]:
        """Fail the jobs queued by now: no transaction could be begun."""
        outcomes: list[_Outcome] = []
        for _ in range(len(self._jobs)):
            _job, future = self._jobs.popleft()
            if future.set_running_or_notify_cancel():
                outcomes.append((future, None, _again(error)))
        return outcomes

    def _poll(self) -> None:
        self._polling = False
        if not self._take_turn():
            return
        foreign = False
        try:
            found = self._read_data_version()
            foreign = found != self._data_version
            if foreign:
                self._told.extend(self._writer.look_for_external())
                self._data_version = found
        except SetteeError as exc:
            log.warning("could not look for another process's commit: %s", exc)
        finally:
            self._turnstile.release()
        if foreign:
            self._notify_foreign()
        self._tell()

    def _read_data_version(self) -> int:
        row = self._writer.row("PRAGMA data_version")
        assert row is not None
        return int(row[0])

    def _tell(self) -> None:
        while self._told:
            self._notify(self._told.popleft())


_MESSAGE_LOST: Final = "the transaction that this write shared with others failed: "


def _all_failed(outcomes: list[_Outcome], error: BaseException) -> list[_Outcome]:
    """Return the outcomes of a group whose transaction is lost: nothing of it was stored."""
    return [
        (future, None, _again(error) if own is None else own) for future, _result, own in outcomes
    ]


def _again(error: BaseException) -> BaseException:
    """Return an error like `error` for another waiter: one object must not be raised in two."""
    if isinstance(error, StoreError | TransactionError):
        copy = type(error)(*error.args)
    else:
        copy = StoreError(f"{_MESSAGE_LOST}{error}")
    copy.__cause__ = error
    return copy
