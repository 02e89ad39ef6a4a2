"""What one seed draws: the peers, how they are linked, what is done and what goes wrong, when.

A plan is plain data, made before anything runs. Every event carries its own source of chance, so
that leaving events out (`tests.simulation.shrink`) does not change what the others do.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

__all__ = ["DISK", "FAULTS", "OPERATIONS", "Event", "LinkPlan", "Plan", "draw"]

OPERATIONS: Final = {
    "put": 12,
    "update": 30,
    "delete": 7,
    "resurrect": 6,
    "purge": 3,
    "blob_add": 6,
    "blob_swap": 4,
    "blob_remove": 3,
    "batch": 5,
    "conflict": 8,
    "query": 3,
    "listen": 2,
    "sync": 4,
    "away": 2,
    "compact": 2,
}
"""What an application does, and how often of a hundred times or so."""

RARE: Final = ("reset", "clone", "restore", "wipe", "add", "remove")
"""What happens to a whole database, a few times in half of the seeds."""

FAULTS: Final = {
    "latency": 0.3,
    "cut": 0.4,
    "one_way": 0.25,
    "black_hole": 0.25,
    "duplicate": 0.25,
    "slow_peer": 0.2,
    "skew": 0.25,
    "jump": 0.25,
    "slow_disk": 0.25,
    "callback": 0.2,
    "crash": 0.3,
    "power": 0.25,
    "broken_disk": 0.2,
    "full_disk": 0.2,
}
"""What goes wrong, and in how many of the seeds."""

DISK: Final = ("power", "broken_disk", "full_disk")
"""Faults of disks. They are drawn by themselves: lives that were red before there were any are
still drawn as they were."""

LASTING: Final = frozenset({"latency", "slow_peer", "skew", "slow_disk", "callback"})
"""Faults that are there from the beginning to the healing; the others are events."""

TOPOLOGIES: Final = ("pair", "star", "chain", "ring", "mesh", "mutual")
NAMES: Final = ("_default", "shop.items", "shop.pictures")
DOCUMENTS: Final = tuple(f"item::{n}" for n in range(8))
PURGED: Final = tuple(f"local::{n}" for n in range(3))
"""Documents that are purged now and then, so that no peer need have them."""
PRIVATE: Final = tuple(f"private::{n}" for n in range(3))
"""Documents that filters hold back."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that is done at a moment, to somebody."""

    at_s: float
    kind: str
    who: int
    """Which peer or connection, of those that are there by then."""
    seed: int
    fault: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPlan:
    """How one peer replicates with another."""

    active: int
    passive: int
    type: str = "push_and_pull"
    continuous: bool = True
    level: int = 4
    deltas: bool = True
    filter: str = "none"
    """``none``, ``push``, ``pull`` or ``ids``."""
    merges: bool = False
    """Whether it has a conflict resolver."""
    collections: tuple[str, ...] = NAMES[:1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a seed decides."""

    seed: int
    topology: str
    peers: int
    collections: tuple[str, ...]
    links: tuple[LinkPlan, ...]
    merges: bool
    listener_deltas: bool
    listener_resolves: bool
    listener_authorizes: bool
    durability: str
    faults: frozenset[str]
    events: tuple[Event, ...] = field(repr=False)
    until_s: float

    def without(self, keep: tuple[Event, ...], faults: frozenset[str] | None = None) -> Plan:
        """Return the plan with some of its events and lasting faults only."""
        return replace(self, events=keep, faults=self.faults if faults is None else faults)

    @property
    def options(self) -> str:
        """What was drawn, as one word for the line that tells of a failure."""
        first = self.links[0]
        return ",".join(
            [
                f"{self.topology}{self.peers}",
                f"level{first.level}" if len({x.level for x in self.links}) == 1 else "mixed",
                self.durability,
                "merge" if self.merges else "rule",
                f"{len(self.events)}events",
                *sorted(self.faults),
            ]
        )


def pairs(topology: str, count: int) -> list[tuple[int, int]]:
    """Return who dials whom."""
    if topology == "pair":
        return [(1, 0)]
    if topology == "mutual":
        return [(0, 1), (1, 0)]
    if topology == "star":
        return [(n, 0) for n in range(1, count)]
    if topology == "chain":
        return [(n, n + 1) for n in range(count - 1)]
    if topology == "ring":
        return [(n, (n + 1) % count) for n in range(count)]
    return [(a, b) for a in range(count) for b in range(a)]


def draw(seed: int) -> Plan:
    """Return the plan of a seed."""
    chance = random.Random(f"plan {seed}")
    topology = chance.choice(TOPOLOGIES)
    count = 2 if topology in ("pair", "mutual") else chance.choice((3, 3, 4, 4, 5, 6, 7))
    if topology == "mesh":
        count = min(count, 5)
    names = tuple(sorted(chance.sample(NAMES, chance.choice((1, 1, 2, 3)))))
    merges = chance.random() < 0.35
    level = chance.choice((2, 3, 3, 4, 4, 4))
    mixed = chance.random() < 0.15
    one_way = chance.random() < 0.2 and not merges
    links = tuple(
        LinkPlan(
            active=active,
            passive=passive,
            type=chance.choice(("push", "pull", "push_and_pull")) if one_way else "push_and_pull",
            continuous=chance.random() < 0.75,
            level=chance.choice((2, 3, 4)) if mixed else level,
            deltas=chance.random() < 0.6,
            filter=chance.choice(("none", "none", "none", "push", "pull", "ids")),
            merges=merges,
            collections=names
            if chance.random() < 0.8
            else tuple(sorted(chance.sample(names, chance.randint(1, len(names))))),
        )
        for active, passive in pairs(topology, count)
    )
    others = {name: share for name, share in FAULTS.items() if name not in DISK}
    faults = frozenset(name for name, share in others.items() if chance.random() < share)
    gap_s = chance.choice((0.1, 0.5, 2.0, 2.0, 6.0))
    total = int(100 * 6 ** (chance.random() ** 2))
    events, until_s = _events(chance, faults, total, gap_s)
    disk = random.Random(f"disk {seed}")
    broken = frozenset(name for name in DISK if disk.random() < FAULTS[name])
    events = _in_order([*events, *_faults(disk, broken, until_s)])
    return Plan(
        seed=seed,
        topology=topology,
        peers=count,
        collections=names,
        links=links,
        merges=merges,
        listener_deltas=chance.random() < 0.5,
        listener_resolves=chance.random() < 0.5,
        listener_authorizes=chance.random() < 0.2,
        durability="full",
        faults=faults | broken,
        events=events,
        until_s=until_s,
    )


def _events(
    chance: random.Random, faults: frozenset[str], total: int, gap_s: float
) -> tuple[tuple[Event, ...], float]:
    events: list[Event] = []
    kinds, weights = list(OPERATIONS), list(OPERATIONS.values())
    at_s = 0.0
    for kind in chance.choices(kinds, weights, k=total):
        at_s += chance.expovariate(1 / gap_s)
        events.append(Event(at_s, kind, chance.randrange(1000), chance.getrandbits(32)))
    for kind in RARE:
        if chance.random() < 0.35:
            for _ in range(chance.choice((1, 1, 2))):
                moment_s = at_s * chance.random()
                events.append(Event(moment_s, kind, chance.randrange(1000), chance.getrandbits(32)))
                if kind == "restore":
                    before_s = moment_s * chance.random()
                    taken = Event(before_s, "snapshot", chance.randrange(1000), 0)
                    events.append(taken)
    events += _faults(chance, faults - LASTING, at_s)
    return _in_order(events), at_s + 5


def _faults(chance: random.Random, kinds: frozenset[str], at_s: float) -> Iterator[Event]:
    """Draw when things go wrong for a moment, until `at_s`."""
    for kind in sorted(kinds):
        for _ in range(chance.randint(1, 6)):
            moment_s = at_s * chance.random()
            yield Event(moment_s, kind, chance.randrange(1000), chance.getrandbits(32), True)


def _in_order(events: Iterable[Event]) -> tuple[Event, ...]:
    return tuple(sorted(events, key=lambda e: (e.at_s, e.kind, e.seed)))
