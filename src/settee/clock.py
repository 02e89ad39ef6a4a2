"""The seams to the machine: time, chance and threads, each behind a small interface.

Everything above the pure rooms is given a `Clock` and a `Workers`; nothing reads them from globals.
Production uses `SystemClock` and `ThreadWorkers`; the simulation uses virtual time, seeded chance
and workers that run inline and in order, so that many peers live on one loop and one seed gives one
trace. A test fails if `time`, `random`, `uuid4`, `os.urandom` or `threading.Thread` are used
elsewhere than here, in `net` and in `peer.runtime`.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Protocol

from settee.errors import ClosedError

__all__ = ["Clock", "InlineWorkers", "SystemClock", "ThreadWorkers", "Worker", "Workers"]


class Clock(Protocol):
    """Time and chance."""

    def monotonic(self) -> float:
        """Seconds that only rise; for timers and durations."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970; for version stamps and expiry. May jump."""

    def random_bytes(self, count: int) -> bytes:
        """Return `count` unpredictable bytes (in a simulation: from its seed)."""


class SystemClock:
    """The machine's own clock and entropy."""

    def monotonic(self) -> float:
        """Seconds that only rise."""
        return time.monotonic()

    def wall_ns(self) -> int:
        """Nanoseconds since 1970."""
        return time.time_ns()

    def random_bytes(self, count: int) -> bytes:
        """Return `count` bytes from the operating system."""
        return os.urandom(count)


class Worker(Protocol):
    """Runs jobs one after another, in the order given."""

    def submit(self, job: Callable[[], None]) -> None:
        """Run `job` soon. It must not raise. Raises ClosedError after `close`."""

    def close(self) -> None:
        """Finish what was submitted, then stop. Idempotent."""

    def is_current(self) -> bool:
        """Whether the caller runs on this worker."""


class Workers(Protocol):
    """Makes workers."""

    def serial(self, name: str) -> Worker:
        """Return a new worker that runs one job at a time."""

    def inline(self) -> bool:
        """Whether jobs run inside `submit` (a simulation)."""


class _ThreadWorker:
    """One daemon thread and a queue. The thread starts with the first job."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, job: Callable[[], None]) -> None:
        with self._lock:
            if self._closed:
                raise ClosedError(f"{self._name} takes no more work: it was closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._jobs.put(job)

    def close(self) -> None:
        with self._lock:
            thread, closed, self._closed = self._thread, self._closed, True
            if thread is not None and not closed:
                self._jobs.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def is_current(self) -> bool:
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except (
                Exception
            ):  # A bug of ours. It is shown as ever; who waits for a later job lives.
                exc_type, exc, trace = sys.exc_info()
                threading.excepthook(
                    threading.ExceptHookArgs((exc_type, exc, trace, threading.current_thread()))
                )


class ThreadWorkers:
    """Workers that are threads."""

    def serial(self, name: str) -> Worker:
        """Return a worker with a thread of its own."""
        return _ThreadWorker(name)

    def inline(self) -> bool:
        """Threads run beside their caller."""
        return False


class _InlineWorker:
    """Runs jobs in the caller, in order; a job submitted by a job runs after it."""

    def __init__(self) -> None:
        self._jobs: list[Callable[[], None]] = []
        self._running = False
        self._closed = False

    def submit(self, job: Callable[[], None]) -> None:
        if self._closed:
            raise ClosedError("the worker takes no more work: it was closed")
        self._jobs.append(job)
        if self._running:
            return
        self._running = True
        try:
            while self._jobs:
                self._jobs.pop(0)()
        finally:
            self._running = False

    def close(self) -> None:
        self._closed = True

    def is_current(self) -> bool:
        return self._running


class InlineWorkers:
    """Workers without threads, for deterministic simulation."""

    def serial(self, name: str) -> Worker:
        """Return a worker that runs its jobs inside `submit`."""
        return _InlineWorker()

    def inline(self) -> bool:
        """Jobs run inside `submit`."""
        return True
