"""Hybrid times: when an edit was made, in an order that all devices agree on.

Room: pure inventory model.
Touches: text, numbers.
Never touches: the wall clock, settee, files.

A time is 16 hex digits: 12 of milliseconds since 1970 and 4 of a counter, so that text order is
order in time. A new one is later than the clock and than every time that its maker has seen, so an
edit made knowing another is later than it, however wrong the clocks are. Two devices may make equal
times; then the name of the actor decides.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, TypeGuard

__all__ = [
    "NEVER",
    "Stamp",
    "after",
    "is_actor",
    "is_time",
    "milliseconds",
    "tick",
    "time_of_ns",
]

NEVER: Final = "0" * 16
"""The time of what was there from the beginning, such as a seeded item."""

_LAST: Final = 2**64 - 1
_MS_MAX: Final = 253_402_300_799_999
"""The end of the year 9999. A later time in a document is damage, and counts as no time."""
_TIME_MAX: Final = f"{_MS_MAX:012x}ffff"
_TIME: Final = re.compile(r"[0-9a-f]{16}")
_ACTOR: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class Stamp(NamedTuple):
    """When an edit was made, and by whom. Stamps are ordered as they are written."""

    at: str
    by: str


def is_time(value: object) -> TypeGuard[str]:
    """Tell whether a value out of a document is a time."""
    return isinstance(value, str) and _TIME.fullmatch(value) is not None and value <= _TIME_MAX


def is_actor(value: object) -> TypeGuard[str]:
    """Tell whether a value out of a document can be the name of an actor."""
    return isinstance(value, str) and _ACTOR.fullmatch(value) is not None


def tick(now_ms: int, seen: str) -> str:
    """Return the time of a new edit: not before `now_ms`, and after `seen`, the latest seen."""
    return f"{min(max(max(now_ms, 0) << 16, int(seen, 16) + 1), _LAST):016x}"


def after(time: str, steps: int) -> str:
    """Return the time that is `steps` counter steps after another."""
    return f"{min(int(time, 16) + max(steps, 0), _LAST):016x}"


def time_of_ns(ns: int) -> str:
    """Return the time for nanoseconds since 1970; a later one never has an earlier time."""
    ms, rest = divmod(max(ns, 0), 1_000_000)
    return f"{min(ms << 16 | rest >> 4, _LAST):016x}"


def milliseconds(time: str) -> int:
    """Return the milliseconds since 1970 of a time; 0 for `NEVER`."""
    return int(time[:12], 16)
