"""A fleet with its links, its clock and its applications."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from settee.doc import conflict
from settee.net.link import PeerInfo
from settee.sync.events import ActivityChanged, DocumentsReplicated
from tests.simulation.bridge.active import ActiveReplicator
from tests.simulation.bridge.bridging import BridgePeer
from tests.simulation.bridge.engine import Engine, State, TreeEngine, VectorEngine
from tests.simulation.bridge.listening import Ear
from tests.simulation.bridge.passive import PassiveReplicator
from tests.simulation.bridge.timeline import Timeline
from tests.simulation.bridge.topology import Fleet
from tests.simulation.links import SimLink
from tests.simulation.loop import VirtualClock

SKEW_S = 40.0
EXCHANGE_S_MAX = 600.0
DOCUMENT = "d"

Peer = Engine | BridgePeer


class World:
    """Everything that one seed decides about."""

    def __init__(
        self,
        fleet: Fleet,
        seed: str,
        directory: Path,
        write: Callable[[str], None] | None = None,
        *,
        skew_s: float = SKEW_S,
    ) -> None:
        self._skew_s = skew_s
        self.fleet = fleet
        self.chance = random.Random(seed)
        self.timeline = Timeline()
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        """What no run may show, as it happens."""
        self.conflicts: list[str] = []
        """Resolver calls with different bodies."""
        self.settee_resolves = True
        """Whether a passive settee peer ends conflicts with 3.x peers; else it refuses them."""
        self.settee_level = 4
        """Of the protocol between settee peers."""
        self.resolver_delay_s = 0.0
        """Of the applications at simulated peers."""
        self.write = write or (lambda _: None)
        self._traced = write is not None
        self._seed = seed
        self._links = 0
        self.peers = [self._peer(kind, i, directory) for i, kind in enumerate(fleet.kinds)]

    def _peer(self, kind: str, index: int, directory: Path) -> Peer:
        name, chance = self.fleet.name(index), self.chance
        skew_s = chance.uniform(-self._skew_s, self._skew_s)
        if kind == "B":
            return BridgePeer(name, directory, self.timeline, self._seed, skew_s=skew_s)
        if kind == "T":
            return TreeEngine(
                name,
                self._simulated_conflict,
                depth=chance.choice([20, 50]),
                bodies_only=chance.random() < 0.75,
            )
        clock = VirtualClock(self.timeline, name, skew_s=skew_s)  # type: ignore[arg-type]
        return VectorEngine(name, self._simulated_conflict, wall_ns=clock.wall_ns)

    def forgetful(self) -> None:
        """Let all 3.x peers keep and tell as little as there are some that do."""
        for peer in self.peers:
            if isinstance(peer, TreeEngine):
                peer.depth, peer.bodies_only = 20, True

    # --- conflicts --------------------------------------------------------------------------------

    def _simulated_conflict(self, where: str, mine: State, theirs: State) -> None:
        same = mine == theirs or (mine.deleted and theirs.deleted)
        self._conflict(where, same, f"{_shown(mine)} and {_shown(theirs)}")

    def _conflict(self, where: str, same: bool, between: str) -> None:
        self.counts["conflicts" if not same else "conflicts between equals"] += 1
        self.write(f"  !! conflict at {where} between {between}")
        if not same:
            self.conflicts.append(f"{where}: {between}")

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Count the resolutions of the settee peers, too."""
        original = conflict.resolve

        def resolve(
            state: conflict.State, body_equal: bool, tid: str, history: Any, vector: Any,
            deleted: bool, mint: Any,
        ) -> conflict.Resolution:  # fmt: skip
            same = state.deleted == deleted and (body_equal or deleted)
            made = original(state, body_equal, tid, history, vector, deleted, mint)
            self.counts["minted"] += made.minted
            between = f"{state.tid} {state.vector} and {tid} [{','.join(history)}] {vector or ''}"
            self._conflict(f"a settee peer ({made.body} wins)", same, between)
            return made

        with mock.patch.object(conflict, "resolve", resolve):
            yield

    # --- meeting ----------------------------------------------------------------------------------

    def level(self, link: tuple[int, int]) -> int:
        """Return the protocol level that two peers speak."""
        kinds = self.fleet.kinds[link[0]] + self.fleet.kinds[link[1]]
        return self.settee_level if kinds == "BB" else 4 if "V" in kinds else 3

    def exchange(self, link: tuple[int, int], *, continuous: bool = False) -> Exchange:
        """Begin to replicate over a link."""
        self._links += 1
        active, passive = (self.peers[end] for end in link)
        self.write(f"-- {active.name} > {passive.name}{' continuous' if continuous else ''}")
        return Exchange(self, active, passive, self.level(link), self._links, continuous)

    def meet(self, link: tuple[int, int]) -> None:
        """Replicate over a link, from beginning to end, with nothing else going on."""
        exchange = self.exchange(link)
        if not self.timeline.run_until(lambda: exchange.is_over, EXCHANGE_S_MAX):
            self.problems.append(f"{exchange} never ends")
            exchange.cut()
        exchange.check()

    # --- editing ----------------------------------------------------------------------------------

    def edit(self, index: int, state: State) -> bool:
        """Save or delete the document at a peer; false if nothing came of it."""
        peer = self.peers[index]
        self.write(f"== {peer.name} saves {_shown(state)}")
        return peer.edit(DOCUMENT, state)

    def states(self) -> list[State | None]:
        return [peer.state(DOCUMENT) for peer in self.peers]

    def close(self) -> None:
        for peer in self.peers:
            if isinstance(peer, BridgePeer):
                peer.close()


class Exchange:
    """A connection between two peers, from the first message to the close."""

    def __init__(
        self, world: World, active: Peer, passive: Peer, level: int, number: int, continuous: bool
    ) -> None:
        self._world = world
        self._names = f"{active.name}>{passive.name}"
        self._cut = False
        self.at_s = world.timeline.time()
        chance = random.Random(f"{world._seed}/{number}")
        loop: Any = world.timeline
        self.link, other = (
            SimLink(loop, chance, PeerInfo(address="192.0.2.1", port=4984)) for _ in range(2)
        )
        self.link.other, other.other = other, self.link
        write = world.write if world._traced else None
        self.link.on_frame = Ear(f"{active.name} > {passive.name}", world.counts, write)
        other.on_frame = Ear(f"{passive.name} > {active.name}", world.counts, write)
        self.passive = self._end(passive, active, other, False, continuous, level)
        self.active = self._end(active, passive, self.link, True, continuous, level)
        self.passive.start()
        self.active.start()

    def __str__(self) -> str:
        return self._names

    def _end(
        self, peer: Peer, other: Peer, link: SimLink, active: bool, continuous: bool, level: int
    ) -> Any:
        if isinstance(peer, BridgePeer):
            return peer.connect(
                link,
                other.name,
                self._told,
                active=active,
                continuous=continuous,
                level=level,
                resolves=self._world.settee_resolves,
                to_settee=isinstance(other, BridgePeer),
            )
        if not active:
            return PassiveReplicator(peer, other.name, link, self._later)
        pull_first = self._world.chance.random() < 0.5
        return ActiveReplicator(
            peer, other.name, link, self._later, continuous=continuous, pull_first=pull_first
        )

    def _later(self, call: Callable[[], None]) -> None:
        self._world.timeline.call_later(self._world.resolver_delay_s, call)

    def _told(self, event: ActivityChanged | DocumentsReplicated) -> None:
        if isinstance(event, DocumentsReplicated):
            for document in event.documents:
                if document.error is not None:
                    self._world.counts["documents refused"] += 1
                    self._world.write(f"  !! {self._names}: {document.error}")

    # --- ending -----------------------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        return all(
            end.closed is not None if hasattr(end, "closed") else end.done.is_set()
            for end in (self.active, self.passive)
        )

    def stop(self) -> None:
        self.active.stop()

    def cut(self) -> None:
        """Break the link."""
        self._cut = True
        self.link.cut()

    def check(self) -> None:
        """Note what went wrong in it."""
        for end in (self.active, self.passive):
            if hasattr(end, "errors"):
                if end.closed is not None and end.closed.code != 1000 and not self._cut:
                    self._world.problems.append(f"{self}: closed with {end.closed}")
                self._world.problems += [f"{self}: {error}" for error in end.errors]
                self._world.problems += [f"{self}: {one}" for one in end.engine.violations]
                end.engine.violations.clear()
            elif end.error is not None and not self._cut:
                self._world.problems.append(f"{self}: {end.error!r}")


def _shown(state: State) -> str:
    return f"{'deletion ' if state.deleted else ''}{state.body.decode()}"
