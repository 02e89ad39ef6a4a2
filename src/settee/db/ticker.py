"""The heartbeat of an open database: other processes' commits, and documents that expire.

Runs on a worker of its own, only while somebody listens or a document has an expiry. In a
simulation (inline workers) nothing runs by itself: the runtime calls `Database._poll`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from settee.clock import Worker, Workers

__all__ = ["Ticker"]

_REST_S_MAX: Final = 60.0
"""The wall clock may be set while we wait for an expiry."""


class Ticker:
    """Calls `tick` again and again, each time after the seconds that the last call returned.

    `tick` returns None when there is nothing to wait for; `wake` begins anew. It must not raise.
    """

    def __init__(self, workers: Workers, tick: Callable[[], float | None]) -> None:
        self._workers = workers
        self._tick = tick
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._worker: Worker | None = None
        self._running = False
        self._closed = False

    def wake(self) -> None:
        """Tick now, and as long as there is something to wait for."""
        with self._lock:
            if self._closed or self._workers.inline():
                return
            self._woken.set()
            if self._running:
                return
            self._running = True
            if self._worker is None:
                self._worker = self._workers.serial("settee-ticker")
            worker = self._worker
            worker.submit(self._run)

    def close(self) -> None:
        """Stop, after a tick that runs. Idempotent."""
        with self._lock:
            self._closed = True
            self._woken.set()
            worker = self._worker
        if worker is not None:
            worker.close()

    def _run(self) -> None:
        while True:
            self._woken.clear()
            rest_s = None if self._closed else self._tick()
            with self._lock:
                if self._closed or (rest_s is None and not self._woken.is_set()):
                    self._running = False
                    return
            if rest_s is not None:
                self._woken.wait(min(rest_s, _REST_S_MAX))
