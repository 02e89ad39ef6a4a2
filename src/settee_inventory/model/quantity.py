"""A number that many devices count up and down, and sometimes set.

Room: pure inventory model.
Touches: numbers, times.
Never touches: the wall clock, settee, files.

The rule is short: the quantity is what you get when all counts and sets are done one after another
in order of their stamps. So the latest set wins, counts stamped before it are dropped, counts after
it are added to it, and nobody has to have seen anybody else's edits for that.

It is kept as the latest set and, for each actor, the counts after it with their times: the actor's
*log*. Only the actor appends to its log, so of two versions of a log the one that ends later is the
newer and holds all that the other has. That makes `joined` commutative, associative and idempotent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeGuard

from settee_inventory.model.stamp import NEVER, Stamp, is_actor, is_time

__all__ = [
    "COUNT_MAX",
    "LOG_COUNTS_MAX",
    "ZERO",
    "Log",
    "Quantity",
    "count",
    "is_count",
    "joined",
    "latest",
    "read",
    "set_to",
    "total",
    "write",
]

Log = dict[str, int]
"""Counts by their times."""

COUNT_MAX: Final = 2**53 - 1
"""A greater number than every JSON reader takes is damage, and is left out."""

LOG_COUNTS_MAX: Final = 512
"""An actor with more counts since the last set folds the older half into one.

The folded one has the latest time of them, so the sum stays what it was. Only a set that arrives
more than 256 counts of one device late, and was made amid them, would have dropped some of those.
"""


class Quantity(NamedTuple):
    """The state of one quantity. Never changed in place."""

    base: int
    """What it was set to."""
    at: Stamp
    """When, and by whom."""
    logs: Mapping[str, Log]
    """What each actor counted since."""


ZERO: Final = Quantity(0, Stamp(NEVER, ""), {})
"""Never set, never counted."""


def total(quantity: Quantity) -> int:
    """Return the number. It can be negative: two that took the last one each make it -1."""
    return quantity.base + sum(sum(log.values()) for log in quantity.logs.values())


def count(quantity: Quantity, by: int, stamp: Stamp) -> Quantity:
    """Return the quantity counted up or down; `stamp` must be later than the actor's last."""
    log = {**quantity.logs.get(stamp.by, {}), stamp.at: by}
    if len(log) > LOG_COUNTS_MAX:
        log = _folded(log)
    return quantity._replace(logs=_pruned({**quantity.logs, stamp.by: log}, quantity.at))


def _folded(log: Log) -> Log:
    times = sorted(log)
    old, new = times[: LOG_COUNTS_MAX // 2], times[LOG_COUNTS_MAX // 2 :]
    return {old[-1]: sum(log[time] for time in old)} | {time: log[time] for time in new}


def set_to(quantity: Quantity, value: int, stamp: Stamp) -> Quantity:
    """Return the quantity set to a value; counts and sets before `stamp` are dropped."""
    return joined(quantity, Quantity(value, stamp, {}))


def joined(one: Quantity, other: Quantity) -> Quantity:
    """Return what both know together."""
    if one.at == other.at:
        base, at = max(one.base, other.base), one.at
    else:
        base, at = (one.base, one.at) if one.at > other.at else (other.base, other.at)
    if not one.logs or not other.logs:
        logs = one.logs or other.logs
    else:
        logs = {
            actor: _newer(one.logs.get(actor), other.logs.get(actor))
            for actor in (*one.logs, *(each for each in other.logs if each not in one.logs))
        }
    return Quantity(base, at, _pruned(logs, at))


def _newer(one: Log | None, other: Log | None) -> Log:
    if not one or not other:
        return one or other or {}
    last, others = max(one), max(other)
    if last != others:
        return one if last > others else other
    if one == other:
        return one
    # The same version, of which one side has dropped what a set made void, or damage.
    return {
        time: max(log[time] for log in (one, other) if time in log) for time in one.keys() | other
    }


def _pruned(logs: Mapping[str, Log], at: Stamp) -> dict[str, Log]:
    """Return the logs without what was counted before a set."""
    kept = {}
    for actor, log in logs.items():
        if any((time, actor) <= at for time in log):
            log = {time: by for time, by in log.items() if (time, actor) > at}
        if log:
            kept[actor] = log
    return kept


def latest(quantity: Quantity) -> str:
    """Return the latest time in it."""
    return max([quantity.at.at, *(max(log) for log in quantity.logs.values())])


# --- documents ------------------------------------------------------------------------------------


def write(quantity: Quantity) -> dict[str, Any]:
    """Return it as JSON: ``{"set": {"value", "at", "by"}, "counts": {actor: {time: by}}}``."""
    return {
        "set": {"value": quantity.base, "at": quantity.at.at, "by": quantity.at.by},
        "counts": {
            actor: {time: log[time] for time in sorted(log)}
            for actor, log in sorted(quantity.logs.items())
        },
    }


def read(value: object) -> Quantity:
    """Read what `write` wrote; what is damaged is left out."""
    if not isinstance(value, dict):
        return ZERO
    base, at = 0, ZERO.at
    given = value.get("set")
    if (
        isinstance(given, dict)
        and is_count(given.get("value"))
        and is_time(given.get("at"))
        and (is_actor(given.get("by")) or given.get("by") == "")
    ):
        base, at = given["value"], Stamp(given["at"], given["by"])
    logs: dict[str, Log] = {}
    counts = value.get("counts")
    if isinstance(counts, dict):
        for actor, log in counts.items():
            if is_actor(actor) and isinstance(log, dict):
                logs[actor] = {t: by for t, by in log.items() if is_time(t) and is_count(by)}
    return Quantity(base, at, _pruned(logs, at))


def is_count(value: object) -> TypeGuard[int]:
    """Tell whether a value out of a document is a number to count with."""
    return type(value) is int and -COUNT_MAX <= value <= COUNT_MAX
