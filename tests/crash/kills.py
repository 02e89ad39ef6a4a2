"""``kill -9`` at random moments, of a process that writes, and of either side of a sync."""

from __future__ import annotations

import random
import threading
from typing import Any, Final

from tests.crash import work
from tests.crash.images import folder

KINDS: Final = ("local", "local", "active", "passive")


def run(number: int, times: int) -> dict[str, Any]:
    """Kill so many processes, one after the other; return figures."""
    found: list[str] = []
    acknowledged = 0
    for turn in range(times):
        name = f"{number}.{turn}"
        chance = random.Random(f"kill {name}")
        kind = KINDS[turn % len(KINDS)]
        kill = _local if kind == "local" else _sync
        count, wrong = kill(kind, name, chance)
        acknowledged += count
        found.extend(f"kills run={number} turn={turn} ({kind}): {line}" for line in wrong)
    return {"kills": times, "acknowledged": acknowledged, "found": found}


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def _local(_: str, name: str, chance: random.Random) -> tuple[int, list[str]]:
    with folder() as root:
        place = root / "a.settee"
        child = work.Child(lambda say: work.live(place, name, say))
        child.until(chance.randrange(work.LOCAL_STEPS + 2))
        _pause(chance.random() * 0.006)
        child.kill()
        lines = child.lines
        errors = [str(line) for line in lines if isinstance(line, dict)]
        wrong = work.verified(lambda say: work.judge_local(place, name, lines, say))
        return len(lines), errors + wrong


def _sync(victim: str, name: str, chance: random.Random) -> tuple[int, list[str]]:
    with folder() as root:
        passive = work.Child(lambda say: work.passive(root / "b.settee", say))
        passive.until(1)
        url = passive.lines[0]["url"]
        active = work.Child(lambda say: work.active(root / "a.settee", url, say))
        killed, other = (active, passive) if victim == "active" else (passive, active)
        active.until(chance.randrange(18))
        _pause(chance.random() * 0.03)
        killed.kill()
        if chance.random() < 0.5:
            _pause(chance.random() * 0.05)  # The other one notices.
        other.kill()
        lines = [*passive.lines, *active.lines]
        errors = [str(line) for line in lines if isinstance(line, dict) and "error" in line]
        wrong = work.verified(lambda say: work.judge_sync(root, lines, say))
        return len(lines), errors + wrong
