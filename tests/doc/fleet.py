"""Peers that edit one document and tell each other about it, for tests of the conflict rule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from settee.doc import conflict
from settee.doc.conflict import Relation, State, assert_sound
from settee.doc.revision import check_history
from settee.doc.version import HybridClock, Version, source_text

HISTORY_NAMES = 50
START_NS = 0x18EA99BB00000000
STEP_NS = 10**9


class Told(NamedTuple):
    """A revision on its way."""

    state: State
    history: list[str]
    body: int


class Peer:
    """One settee peer that holds one document."""

    def __init__(self, number: int) -> None:
        self.source = source_text(f"{number:032x}")
        self.clock = HybridClock()
        self.state: State | None = None
        self.body = 0
        self.minted = 0

    def mint(self, wall_ns: int) -> Version:
        return Version(self.clock.now(wall_ns), self.source)

    def _take(self, state: State, body: int) -> None:
        assert_sound(state)
        self.state, self.body = state, body

    def save(self, wall_ns: int, body: int, deleted: bool) -> None:
        saved = conflict.saved(self.state, self.mint(wall_ns), deleted)
        self._take(saved, 0 if deleted else body)

    def tell(self, receiver: Peer) -> Told:
        """What a row, its answer and the revision come to, for a receiver without vectors."""
        assert self.state is not None
        base = None
        if receiver.state is not None:
            for name in (receiver.state.tid, *receiver.state.history):
                if conflict.known(self.state, name) is not Relation.UNKNOWN:
                    base = name
                    break
        if base is not None and not conflict.has_room(self.state, base):
            learnt = conflict.learn(self.state, base)
            if learnt is not None:
                self._take(learnt, self.body)
        return Told(self.state, conflict.history_for(self.state, base, HISTORY_NAMES), self.body)

    def hear(self, told: Told, wall_ns: int, *, with_vector: bool) -> bool:
        """Take a revision; tell whether anything but a spelling changed."""
        theirs = told.state
        self.clock.observe_vector(theirs.vector, wall_ns)
        vector = theirs.vector if with_vector else None
        history = list(theirs.history) if with_vector else told.history
        assert check_history(theirs.tid, history, contiguous=not with_vector)
        relation = conflict.relate(self.state, theirs.tid, history, vector)
        if relation in (Relation.SAME, Relation.OLD):
            assert self.state is not None
            learnt = conflict.learn(self.state, theirs.tid, vector)
            if learnt is not None:
                self._take(learnt, self.body)
            return False
        before = self.state
        if relation is Relation.NEWER:
            after = conflict.adopt(before, theirs.tid, history, vector, theirs.deleted)
            self._take(after, told.body)
        else:
            assert before is not None
            resolution = conflict.resolve(
                before,
                self.body == told.body,
                theirs.tid,
                history,
                vector,
                theirs.deleted,
                lambda: self.mint(wall_ns),
            )
            self.minted += resolution.minted
            self._take(resolution.state, self.body if resolution.body == "mine" else told.body)
        assert self.state is not None
        if before is not None and before.deleted == self.state.deleted:
            was, now = (conflict.rank(s.vector, s.deleted) for s in (before, self.state))
            assert now >= was, "rank never falls"
        return True


def exchange(a: Peer, b: Peer, wall_ns: int, *, with_vector: bool) -> bool:
    """`a` tells `b`; tell whether `b` changed."""
    if a.state is None:
        return False
    return b.hear(a.tell(b), wall_ns, with_vector=with_vector)


def settle(peers: list[Peer], wall_ns: int, *, with_vector: bool, rounds_max: int = 12) -> None:
    """Let all tell all until nothing changes any more."""
    for turn in range(rounds_max):
        changed = False
        for i, a in enumerate(peers):
            for j, b in enumerate(peers):
                if i != j:
                    now_ns = wall_ns + turn * STEP_NS
                    changed |= exchange(a, b, now_ns, with_vector=with_vector)
        if not changed:
            return
    raise AssertionError(f"still changing after {rounds_max} rounds")


def run(peers: list[Peer], steps: Iterable[tuple[str, int, int]], *, with_vector: bool) -> None:
    """Edit, delete and exchange in the order given, a second apart, then settle."""
    wall_ns = START_NS
    for body, (what, i, j) in enumerate(steps, 1):
        wall_ns += STEP_NS
        actor, other = peers[i % len(peers)], peers[j % len(peers)]
        if what == "tell":
            if actor is not other:
                exchange(actor, other, wall_ns, with_vector=with_vector)
        elif what == "delete":
            if actor.state is not None:
                actor.save(wall_ns, body, True)
        else:
            actor.save(wall_ns, body, False)
    settle(peers, wall_ns + STEP_NS, with_vector=with_vector)
