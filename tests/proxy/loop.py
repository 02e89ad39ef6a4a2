"""An event loop with real sockets, whose clock jumps when nothing moves on any of them.

Both peers and the wire between them live on one loop and have no threads, so when no socket has
anything to say, only a timer can go on: eighty seconds of a dead wire pass in milliseconds.
"""

from __future__ import annotations

import selectors
from typing import Any, Final

from tests.simulation.loop import Stuck, VirtualLoop

QUIET_S: Final = 0.004
"""How long real silence lasts before time jumps. What loopback was given arrives at once."""


class _Selector(selectors.DefaultSelector):  # type: ignore[valid-type, misc]
    """Waits for sockets a moment, then moves the loop's clock instead."""

    loop: JumpingLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0 if timeout is not None and timeout <= 0 else QUIET_S)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None:
            raise Stuck("no timer runs and no socket moves, but something is awaited")
        self.loop.advance(timeout)
        return []


class JumpingLoop(VirtualLoop):
    """A loop with sockets whose time passes only by jumps from timer to timer."""

    def __init__(self) -> None:
        super().__init__(_Selector())
