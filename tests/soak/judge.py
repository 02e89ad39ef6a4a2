"""What a soak measured, and what it may be."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.load.__main__ import Figure, p99

WARM_UP: Final = 0.2
"""The share of a run that counts for nothing: caches fill, links are made."""
FLAT_MINUTES_MIN: Final = 20
"""In a shorter run the caches fill all the time, and the size of a process says nothing."""
SLOPE_MINUTES_MIN: Final = 180
"""In a shorter run what a process needs for a moment is more than what it would leak."""

SETTLED_S: Final = 60.0
"""After its start a process opens readers and starts workers as they are first needed."""

RSS_MIB_MAX: Final = 200
RSS_GROWTH_MIB_MAX: Final = 3
RSS_SLOPE_MIB_PER_H_MAX: Final = 1
FDS_SPREAD_MAX: Final = 6
THREADS_SPREAD_MAX: Final = 6
"""Files are synced by up to four workers, passwords checked by up to two, each started when that
many are needed at once. A link that leaked one would pass this after a few cuts."""
WAL_MIB_MAX: Final = 64
LOOP_LAG_MS_MAX: Final = 200
ARRIVAL_S_MAX: Final = 5


@dataclass
class Life:
    """What one process showed from its start to its end, once it had settled."""

    peer: str
    began_s: float | None = None
    """When it was looked at first, after the warming up."""
    rss: list[tuple[float, float]] = field(default_factory=list)
    fds: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    wal: list[float] = field(default_factory=list)


class Judge:
    """Gathers states; `figures` says what came of them."""

    def __init__(self, minutes: float) -> None:
        self._minutes: Final = minutes
        self.lives: Final[list[Life]] = []
        self.loop_lags: Final[list[float]] = []
        self.arrivals: Final[list[float]] = []
        self.operations: Final[dict[int, int]] = {}

    def life(self, peer: str) -> Life:
        """A process begins."""
        self.lives.append(Life(peer))
        return self.lives[-1]

    def take(self, life: Life, at_s: float, state: dict[str, Any], *, calm: bool) -> None:
        """Take note of what a process holds; `calm`: nothing was disturbed lately."""
        self.operations[id(life)] = state["operations"]
        if at_s < WARM_UP * self._minutes * 60:
            return
        if life.began_s is None:
            life.began_s = at_s
        life.rss.append((at_s, state["rss_mib"]))
        life.wal.append(state["wal_mib"])
        self.loop_lags += state["loop_lags"]
        self.arrivals += state["arrivals"]
        settled = at_s - life.began_s >= min(SETTLED_S, WARM_UP * self._minutes * 60)
        if calm and settled:
            life.fds.append(state["fds"])
            life.threads.append(state["threads"])

    def growth(self) -> float | None:
        """Return how much the process that was never restarted grew in the end, in MiB.

        From the third quarter of the run to the last, medians: in the first half its database is
        small, and the caches fill with it.
        """
        first = [(at_s / 60 / self._minutes, mib) for at_s, mib in self.lives[0].rss]
        third = [mib for share, mib in first if 0.5 <= share < 0.75]
        last = [mib for share, mib in first if share >= 0.75]
        if self._minutes < FLAT_MINUTES_MIN or not third or not last:
            return None
        return statistics.median(last) - statistics.median(third)

    def slope(self) -> float | None:
        """Return the growth of the process that was never restarted, in MiB an hour.

        The median of the slopes between the halves of the run: a peak does not make a slope.
        """
        first = self.lives[0].rss
        if self._minutes < SLOPE_MINUTES_MIN or len(first) < 10:
            return None
        half = len(first) // 2
        pairs = zip(first[:half], first[-half:], strict=True)
        return statistics.median((b - a) / (t - s) * 3600 for (s, a), (t, b) in pairs)

    def figures(self) -> list[Figure]:
        """Return all, with their bounds; none if the run ended before anything counted."""
        lives = [life for life in self.lives if life.rss]
        if not lives:
            return []
        memory = max(mib for life in lives for _, mib in life.rss)
        log = max(mib for life in lives for mib in life.wal)
        handles = max(_spread(life.fds) for life in lives)
        threads = max(_spread(life.threads) for life in lives)
        arrival, lag = p99(self.arrivals), p99(self.loop_lags)
        found = [
            Figure("memory of a peer", memory, RSS_MIB_MAX, "MiB"),
            Figure("handles, spread in calm", handles, FDS_SPREAD_MAX, ""),
            Figure("threads, spread in calm", threads, THREADS_SPREAD_MAX, ""),
            Figure("log of a database", log, WAL_MIB_MAX, "MiB"),
            Figure("lag of a loop, p99", lag * 1000, LOOP_LAG_MS_MAX, "ms", is_time=True),
            Figure("until a change arrives, p99", arrival, ARRIVAL_S_MAX, "s", is_time=True),
        ]
        growth, slope = self.growth(), self.slope()
        if growth is not None:
            found.append(Figure("growth at the end", growth, RSS_GROWTH_MIB_MAX, "MiB"))
        if slope is not None:
            found.append(
                Figure("growth of the first peer", slope, RSS_SLOPE_MIB_PER_H_MAX, "MiB/h")
            )
        return found


def _spread(values: list[int]) -> int:
    return max(values) - min(values) if values else 0


def taken_back(journal: Iterable[tuple[str, int]], held: dict[str, int]) -> list[str]:
    """Return which documents a peer was told are saved, and are not there or are older again.

    `journal` is what it wrote down after each save; a peer that was killed may have saved once more
    than it wrote down, so what is unknown to the journal is newer.
    """
    told: dict[str, list[int]] = {}
    for id, n in journal:
        told.setdefault(id, []).append(n)
    return [id for id, each in told.items() if id not in held or held[id] in each[:-1]]
