"""An event loop whose clock jumps to the next timer: hours of peers' lives in milliseconds."""

from __future__ import annotations

import asyncio
import random
import selectors
from typing import Any


class Stuck(AssertionError):
    """Nothing is scheduled any more, and something is still awaited."""


class _JumpSelector(selectors.DefaultSelector):  # type: ignore[valid-type, misc]
    """Never waits: tells the loop to move its clock instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Stuck("nothing is scheduled, but something is awaited")
        if timeout > 0:
            self.loop.advance(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with virtual time. Only timers move it; there is no I/O but the selector's, if any."""

    def __init__(self, selector: Any = None) -> None:
        self._virtual_s = 0.0
        selector = selector or _JumpSelector()
        selector.loop = self
        super().__init__(selector)
        # Exactly the next timer: no rounding up to the clock's resolution.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._virtual_s

    def advance(self, seconds: float) -> None:
        self._virtual_s += seconds


class VirtualClock:
    """A `Clock` on a virtual loop, with chance from a seed and a wall clock of its own."""

    def __init__(self, loop: VirtualLoop, seed: str, *, skew_s: float = 0.0) -> None:
        self._loop = loop
        self._random = random.Random(seed)
        self.skew_s = skew_s

    def monotonic(self) -> float:
        return self._loop.time()

    def wall_ns(self) -> int:
        return 1_800_000_000_000_000_000 + int((self._loop.time() + self.skew_s) * 1e9)

    def random_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)
