"""A few workers for what the async skin must not do on its loop: scans, files, the user's code."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from settee.clock import Worker, Workers
from settee.errors import ClosedError

__all__ = ["Offload"]

T = TypeVar("T")

_WORKERS_MAX: Final = 4
"""More would only queue at the disk."""


class Offload:
    """Runs calls on up to four workers, made when they are needed."""

    def __init__(self, workers: Workers, name: str) -> None:
        self._workers = workers
        self._name = name
        self._lock = threading.Lock()
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._all: list[Worker] = []
        self._idle: list[Worker] = []
        self._closed = False

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Run `call` soon; return the future of its result. Raises ClosedError after `close`."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise ClosedError("the database is closed; open it again to go on")
            self._calls.append((future, call))
            if self._idle:
                worker = self._idle.pop()
            elif len(self._all) < _WORKERS_MAX:
                worker = self._workers.serial(f"{self._name}-{len(self._all)}")
                self._all.append(worker)
            else:
                return future  # A busy worker takes it when it is done.
        worker.submit(lambda: self._drain(worker))
        return future

    def close(self) -> None:
        """Finish what was submitted, then stop. Idempotent."""
        with self._lock:
            self._closed = True
            workers = list(self._all)
        for worker in workers:
            worker.close()

    def _drain(self, worker: Worker) -> None:
        while True:
            with self._lock:
                if not self._calls:
                    self._idle.append(worker)
                    return
                future, call = self._calls.popleft()
            run(future, call)


def run(future: Future[T], call: Callable[[], T]) -> None:
    """Run `call` and put its result, or what it raises, into `future`."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as exc:
        future.set_exception(exc)
    else:
        future.set_result(result)
