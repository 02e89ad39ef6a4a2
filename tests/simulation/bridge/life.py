"""One seed from beginning to end: a fleet lives, is left alone, and is looked at."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from tests.simulation.bridge.bridging import BridgePeer
from tests.simulation.bridge.engine import State
from tests.simulation.bridge.topology import Fleet, random_fleet
from tests.simulation.bridge.tree import TOMBSTONE
from tests.simulation.bridge.world import DOCUMENT, Exchange, World

ROUNDS_MAX = 60
SILENT_ROUNDS = 3
DELETIONS = 0.12
_PAUSES_S = (0.001, 0.01, 0.5, 20.0, 3600.0)


@dataclass(frozen=True)
class Mode:
    """What a fleet goes through."""

    sequential: bool = False
    """Only a peer that has the newest revision edits: there are no true conflicts."""
    crossing: bool = False
    """Several links are at work at once, also while somebody edits; some of them break."""
    kinds: str = "TVB"
    bridges_max: int = 3
    tree_links: bool = False
    """Whether 3.x peers are linked to each other, too."""
    vector_links: bool | None = None
    """Whether 4.x peers are; None: in a sequential life only. Neither family converges alone."""
    refuses: bool = False
    """Whether passive settee peers refuse conflicts with 3.x peers, for those to resolve."""
    settee_level: int = 4
    """Of the protocol between settee peers."""
    steps: int | None = None
    fleet: Fleet | None = None

    def linked(self, a: str, b: str) -> bool:
        """Tell whether peers of two kinds may be linked."""
        if a == b == "T":
            return self.tree_links
        if a == b == "V":
            return self.sequential if self.vector_links is None else self.vector_links
        return {a, b} != {"T", "V"}


@dataclass
class Report:
    seed: int
    fleet: Fleet
    failures: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    rounds: int = 0

    @property
    def kinds_of_failure(self) -> list[str]:
        return sorted({failure.partition(":")[0] for failure in self.failures})


def run(seed: int, mode: Mode, write: Callable[[str], None] | None = None) -> Report:
    """Live through one seed."""
    with tempfile.TemporaryDirectory() as directory:
        return _Life(seed, mode, Path(directory), write).report


class _Life:
    def __init__(
        self, seed: int, mode: Mode, directory: Path, write: Callable[[str], None] | None
    ) -> None:
        self.mode = mode
        name = f"{seed}/{mode.sequential}/{mode.crossing}/{mode.kinds}"
        fleet = mode.fleet
        self.world = world = World(fleet or _fleet(mode, name), name, directory, write)
        world.settee_level = mode.settee_level
        world.settee_resolves = not mode.refuses
        self.chance = world.chance
        self.links = list(world.fleet.links)
        self.edits = 0
        self.newest: State | None = None
        self.open: dict[tuple[int, int], Exchange] = {}
        self.report = Report(seed, world.fleet, counts=world.counts)
        world.write(f"fleet {world.fleet}")
        try:
            with world.watched():
                (self._sequential if mode.sequential else self._concurrent)()
                self._end_all()
                rounds = settle(world)
            self.report.rounds = rounds or 0
            self.report.failures += failures_of(world, rounds)
            if mode.sequential:
                self.report.failures += _lost(world, self.newest)
            for failure in self.report.failures:
                world.write(f"RED {failure}")
        finally:
            world.close()

    # --- living -----------------------------------------------------------------------------------

    @property
    def _steps(self) -> int:
        return self.mode.steps or self.chance.randint(4, 30)

    def _edit(self, index: int, *, may_delete: bool = True) -> None:
        self._pass_time()
        self.edits += 1
        before = self.world.peers[index].state(DOCUMENT)
        delete = self.chance.random() < DELETIONS and may_delete
        body = orjson.dumps({"v": self.edits})
        if delete and before is not None and not before.deleted:
            # Alike wherever it happens; but a sequence of edits must tell one from another.
            now = State(True, body if self.mode.sequential else TOMBSTONE)
        else:
            now = State(False, body)
        if self.world.edit(index, now):
            self.newest = now

    def _pass_time(self) -> None:
        seconds = self.chance.choice(_PAUSES_S[:3] if self.open else _PAUSES_S)
        self.world.timeline.run_for(seconds)

    def _concurrent(self) -> None:
        down: Counter[tuple[int, int]] = Counter()
        peers = range(len(self.world.peers))
        for _ in range(self._steps):
            what = self.chance.random()
            if what < 0.35:
                self._edit(self.chance.choice(peers))
            elif what < 0.45:
                down[self.chance.choice(self.links)] = self.chance.randint(1, 15)
            else:
                link = self.chance.choice(self.links)
                if down[link] <= 0:
                    self._meet(link)
            down.subtract(list(down))

    def _sequential(self) -> None:
        down: set[tuple[int, int]] = set()
        peers = range(len(self.world.peers))
        self._edit(self.chance.choice(peers), may_delete=False)
        for _ in range(self._steps):
            if self.chance.random() < 0.3:
                down = {link for link in self.links if self.chance.random() < 0.4}
            if self.chance.random() < 0.5:
                index = self.chance.choice(peers)
                while self._has_newest(index):
                    self._edit(index)
                    if self.chance.random() < 0.6:
                        break
            for _ in range(self.chance.randint(1, 4)):
                link = self.chance.choice(self.links)
                if link not in down:
                    self._meet(link)

    def _has_newest(self, index: int) -> bool:
        return self.world.peers[index].state(DOCUMENT) == self.newest

    def _meet(self, link: tuple[int, int]) -> None:
        if not self.mode.crossing:
            self._pass_briefly()
            self.world.meet(link)
            return
        self.world.resolver_delay_s = self.chance.choice([0.0, 0.005, 0.05])
        exchange = self.open.get(link)
        if exchange is None:
            continuous = self.chance.random() < 0.4
            self.open[link] = self.world.exchange(link, continuous=continuous)
        elif self.chance.random() < 0.3:
            exchange.cut()
        elif self.chance.random() < 0.3:
            exchange.stop()
        self.world.timeline.run_for(self.chance.choice([0.0, 0.002, 0.01, 0.05]))
        for done in [link for link, one in self.open.items() if one.is_over]:
            self.open.pop(done).check()

    def _pass_briefly(self) -> None:
        self.world.timeline.run_for(self.chance.choice([0.001, 0.005, 0.05]))

    def _end_all(self) -> None:
        for exchange in self.open.values():
            self.world.timeline.run_for(5.0)
            if not exchange.is_over:
                exchange.stop()
            if not self.world.timeline.run_until(lambda e=exchange: e.is_over, 600.0):
                self.world.problems.append(f"{exchange} can't be stopped")
            exchange.check()
        self.open.clear()


# --- left alone, and looked at ------------------------------------------------------------------


def settle(world: World) -> int | None:
    """Let all meet until nothing passes any more; return the rounds it took, None for ever."""
    world.write("== left alone")
    links = list(world.fleet.links)
    silent = 0
    for rounds in range(ROUNDS_MAX):
        before = _traffic(world)
        world.chance.shuffle(links)
        for link in links:
            world.timeline.run_for(world.chance.choice([0.001, 0.005, 0.05]))
            world.meet(link)
        silent = silent + 1 if _traffic(world) == before else 0
        if silent == SILENT_ROUNDS:
            return rounds + 1 - SILENT_ROUNDS
    return None


def _traffic(world: World) -> int:
    """Count what was said about documents: rows offered, revisions sent or withdrawn."""
    return sum(world.counts[what] for what in ("changes", "proposeChanges", "rev", "norev"))


def failures_of(world: World, rounds: int | None) -> list[str]:
    """Tell what no fleet may show once it has been left alone, and what never."""
    failures = [f"problem: {problem}" for problem in world.problems]
    if rounds is None:
        failures.append(f"never silent: {_shown(world)}")
    seen = [_seen(state) for state in world.states()]
    if any(state != seen[0] for state in seen):
        failures.append(f"apart: {_shown(world)}")
    bridges = [peer for peer in world.peers if isinstance(peer, BridgePeer)]
    for bridge in bridges:
        try:
            bridge.documents()
        except AssertionError as exc:
            failures.append(f"unsound: {bridge.name}: {exc}")
    if len({bridge.cv(DOCUMENT) for bridge in bridges}) > 1:
        named = " | ".join(f"{one.name} {one.names_of(DOCUMENT)}" for one in bridges)
        failures.append(f"versions differ: {named}")
    world.write(f"finally {_shown(world)}")
    return failures


def _lost(world: World, newest: State | None) -> list[str]:
    """Tell of the newest edit that is gone, and of conflicts, where there was only one edit."""
    failures = [f"false conflict: {one}" for one in world.conflicts]
    if any(_seen(state) != _seen(newest) for state in world.states()):
        failures.append(f"lost: {newest} was the newest, but {_shown(world)}")
    return failures


def _shown(world: World) -> str:
    return ", ".join(
        f"{peer.name} {'nothing' if state is None else _seen(state) or 'deleted'}"
        for peer, state in zip(world.peers, world.states(), strict=True)
    )


def _fleet(mode: Mode, name: str) -> Fleet:
    return random_fleet(
        random.Random(f"fleet {name}"),
        mode.kinds,
        bridges_max=mode.bridges_max,
        linked=mode.linked,
    )


def _seen(state: State | None) -> str | None:
    """Return what an application sees: a tombstone is as good as nothing."""
    return None if state is None or state.deleted else state.body.decode()
