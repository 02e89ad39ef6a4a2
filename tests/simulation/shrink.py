"""Makes a red life shorter: which of its events does it still take for the same invariant to break?

Events and lasting faults are left out in ever smaller portions for as long as the life stays red in
the same way. An event carries its own chance, so those that are left do what they did.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from tests.simulation.fleet import run
from tests.simulation.plan import LASTING, Event, Plan

__all__ = ["fewest", "shrink"]

SECONDS_MAX: Final = 60.0
T = TypeVar("T")


def fewest(items: Sequence[T], red: Callable[[list[T]], bool], until_s: float) -> list[T]:
    """Return as few of `items`, in order, as are still `red`; stop looking at `until_s`."""
    left = list(items)
    portion = (len(left) + 1) // 2
    while portion and time.monotonic() < until_s:
        at, shorter = 0, False
        while at < len(left) and time.monotonic() < until_s:
            tried = left[:at] + left[at + portion :]
            if red(tried):
                left, shorter = tried, True
            else:
                at += portion
        if portion == 1 and not shorter:
            break
        portion = min(max(1, portion // 2), len(left))
    return left


def shrink(plan: Plan, invariant: str, *, seconds: float = SECONDS_MAX) -> Plan:
    """Return the shortest plan found that breaks `invariant`; the same one if none is shorter."""
    until_s = time.monotonic() + seconds

    def is_red(events: list[Event], faults: frozenset[str]) -> bool:
        with tempfile.TemporaryDirectory() as made:
            violation = run(plan.without(tuple(events), faults), Path(made)).violation
        return violation is not None and violation.invariant == invariant

    events = fewest(plan.events, lambda left: is_red(left, plan.faults), until_s)
    used = {event.kind for event in events if event.fault}
    lasting = [name for name in sorted(plan.faults) if name in LASTING]
    kept = fewest(lasting, lambda left: is_red(events, frozenset({*used, *left})), until_s)
    faults = frozenset({*used, *kept})
    if not is_red(events, faults):
        faults = plan.faults
    return plan.without(tuple(events), faults)
