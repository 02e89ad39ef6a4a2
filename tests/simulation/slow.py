"""A runtime whose disk takes its time: what is read and written is answered later, in order."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from settee.clock import InlineWorkers, Worker
from settee.peer.runtime import Runtime
from tests.simulation.loop import VirtualClock, VirtualLoop

__all__ = ["SlowRuntime"]


class _LateWorker:
    """Runs jobs one after another, each after a while."""

    def __init__(self, runtime: SlowRuntime) -> None:
        self._runtime = runtime
        self._jobs: deque[Callable[[], None]] = deque()
        self._closed = False
        self._running = False

    def submit(self, job: Callable[[], None]) -> None:
        self._jobs.append(job)
        if self._closed:
            self.close()
        elif self._runtime.is_slow:
            self._runtime.loop.call_later(self._runtime.delay_s(), self._next)
        else:
            self.close_gap()

    def close_gap(self) -> None:
        while self._jobs and not self._running:
            self._next()

    def _next(self) -> None:
        if self._jobs and not self._running:
            self._running = True
            try:
                self._jobs.popleft()()
            finally:
                self._running = False

    def close(self) -> None:
        self._closed = True
        self.close_gap()

    def is_current(self) -> bool:
        return self._running


class _LateWorkers(InlineWorkers):
    runtime: SlowRuntime

    def serial(self, name: str) -> Worker:
        return _LateWorker(self.runtime)


class SlowRuntime(Runtime):
    """A `Runtime` on a virtual loop whose workers are late, and whose commits are told late."""

    def __init__(self, clock: VirtualClock, loop: VirtualLoop, chance: random.Random) -> None:
        self.is_slow = True
        self._chance = chance
        self._mean_s = chance.choice((0.02, 0.1, 0.4))
        self._told: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._last_s = 0.0
        workers = _LateWorkers()
        workers.runtime = self
        super().__init__(clock, workers, loop=loop)

    def delay_s(self) -> float:
        return self._chance.expovariate(1 / self._mean_s)

    def call(self, function: Callable[..., object], *args: object) -> None:
        if self._closed:
            return
        self._told.append((function, args))
        now_s = self.loop.time()
        delay_s = self.delay_s() / 4 if self.is_slow else 0.0
        self._last_s = max(self._last_s, now_s + delay_s)
        self.loop.call_at(self._last_s, self._tell)

    def _tell(self) -> None:
        function, args = self._told.popleft()
        function(*args)
