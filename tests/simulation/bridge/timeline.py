"""Virtual time without an event loop: what is due runs, in order, and the clock jumps to it.

A `Timeline` has what settee's peers use of asyncio's loop, at a tenth of the price.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable


class Timer:
    """Something due."""

    __slots__ = ("arguments", "call", "cancelled")

    def __init__(self, call: Callable[..., object], arguments: tuple[object, ...]) -> None:
        self.call = call
        self.arguments = arguments
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Timeline:
    """Seconds that jump from one thing due to the next."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._due: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()

    def time(self) -> float:
        return self._now_s

    def call_at(self, when_s: float, call: Callable[..., object], *arguments: object) -> Timer:
        timer = Timer(call, arguments)
        heapq.heappush(self._due, (max(when_s, self._now_s), next(self._count), timer))
        return timer

    def call_later(self, delay_s: float, call: Callable[..., object], *arguments: object) -> Timer:
        return self.call_at(self._now_s + delay_s, call, *arguments)

    def call_soon(self, call: Callable[..., object], *arguments: object) -> Timer:
        return self.call_at(self._now_s, call, *arguments)

    def run_until(self, done: Callable[[], bool], limit_s: float) -> bool:
        """Run what is due until `done`; false if it isn't after `limit_s` or nothing is due."""
        end_s = self._now_s + limit_s
        while not done():
            if not self._step(end_s):
                return False
        return True

    def run_for(self, seconds: float) -> None:
        """Run what is due within `seconds`, and let them pass."""
        end_s = self._now_s + seconds
        while self._step(end_s):
            pass
        self._now_s = end_s

    def _step(self, end_s: float) -> bool:
        while self._due and self._due[0][2].cancelled:
            heapq.heappop(self._due)
        if not self._due or self._due[0][0] > end_s:
            return False
        self._now_s, _, timer = heapq.heappop(self._due)
        timer.call(*timer.arguments)
        return True
