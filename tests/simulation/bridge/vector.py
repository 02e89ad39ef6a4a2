"""One document as Couchbase Lite 4.x keeps it: a version vector.

The engine's own rules, as far as replication shows them: comparison, the merges that make no new
version, the tombstone that gives way, and the default answer to a conflict.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from settee.doc.version import (
    TIME_MIN,
    Order,
    Vector,
    Version,
    build,
    compare,
    edit,
    entries,
    format_vector,
    format_version,
    parse_vector,
)


class ConflictRefusedError(Exception):
    """A revision that is in conflict with the one that is there (409)."""


@dataclass(slots=True)
class Stored:
    """A revision."""

    vector: Vector
    body: bytes
    deleted: bool
    has_tail: bool = False
    """Whether tree names follow the vector, as in a database that was upgraded from 3.x."""


@dataclass(slots=True)
class VectorDocument:
    """A document of one peer."""

    current: Stored | None = None
    remotes: dict[str, Vector] = field(default_factory=dict)
    """By remote: the vector (or only the version) last known to be current there."""
    conflicts: dict[str, Stored] = field(default_factory=dict)
    """By remote: its revision that is in conflict with ours, not resolved yet."""

    # --- what an application does ---------------------------------------------------------------

    def save(self, body: bytes, deleted: bool, version: Version) -> None:
        before = None if self.current is None else self.current.vector
        self.current = Stored(edit(before, version), body, deleted)

    # --- what a remote offers -------------------------------------------------------------------

    def find(self, name: str, remote: str) -> list[str] | None:
        """Answer a row of `changes`: the versions held if it is wanted, None if not."""
        if self.current is None:
            return []
        theirs = parse_vector(name)
        if compare(theirs, self.current.vector) in (Order.SAME, Order.OLDER):
            self.remotes[remote] = theirs
            return None
        held = [format_version(self.current.vector.cv)]
        tracked = self.remotes.get(remote)
        if tracked is not None and tracked.cv != self.current.vector.cv:
            held.append(format_version(tracked.cv))
        return held

    def answer_proposal(self, name: str, parent: str) -> tuple[int, str]:
        """Answer a row of `proposeChanges`: the status, and the whole vector for a 409.

        Only current versions are compared.
        """
        current = self.current
        if current is None:
            return (409, "") if parent else (0, "")
        cv = current.vector.cv
        if parse_vector(name).cv == cv:
            return 304, ""
        if (parent and parse_vector(parent).cv == cv) or (not parent and current.deleted):
            return 0, ""
        return 409, format_vector(current.vector)

    # --- what comes -----------------------------------------------------------------------------

    def take_pushed(self, incoming: Stored) -> bool:
        """Take what an active peer sent; tell whether it is new. Conflicts are refused."""
        order = self._order(incoming)
        if order is Order.NEWER:
            self.current = incoming
        elif order is Order.CONFLICT:
            raise ConflictRefusedError
        return order is Order.NEWER

    def take_pulled(self, incoming: Stored, remote: str) -> bool:
        """Take what was pulled; tell whether it is new. A conflict waits for `resolve`."""
        order = self._order(incoming)
        if order is Order.CONFLICT and self._gives_way(incoming, remote):
            order = Order.NEWER
        self.remotes[remote] = incoming.vector
        self.conflicts.pop(remote, None)
        if order is Order.NEWER:
            self.current = incoming
        elif order is Order.CONFLICT:
            self.conflicts[remote] = incoming
        return order in (Order.NEWER, Order.CONFLICT)

    def _order(self, incoming: Stored) -> Order:
        mine = self.current
        if mine is None:
            return Order.NEWER
        if (
            incoming.vector.mv
            and set(incoming.vector.mv) == set(mine.vector.mv)
            and (incoming.body, incoming.deleted) == (mine.body, mine.deleted)
        ):
            return Order.SAME  # One merge, made at two places.
        if incoming.has_tail:
            return Order.CONFLICT  # Ours has none; that one can't be told from another tree.
        order = compare(incoming.vector, mine.vector)
        return Order.CONFLICT if order is Order.MUTUAL else order

    def _gives_way(self, incoming: Stored, remote: str) -> bool:
        """Whether ours is a tombstone that the remote has had and has forgotten since."""
        mine, tracked = self.current, self.remotes.get(remote)
        if mine is None or not mine.deleted or tracked is None:
            return False
        common = entries(mine.vector).items() & entries(incoming.vector).items()
        return tracked.cv == mine.vector.cv and not common

    # --- conflicts ------------------------------------------------------------------------------

    def resolve(self, remote: str) -> None:
        """Resolve by the default rule: a tombstone wins, then the later time, then the remote.

        The winner keeps its version, and contains the loser's from now on.
        """
        mine, theirs = self.current, self.conflicts.pop(remote)
        assert mine is not None
        wins = not theirs.deleted and (mine.deleted or mine.vector.cv.time > theirs.vector.cv.time)
        winner, loser = (mine, theirs) if wins else (theirs, mine)
        vector = _containing(winner.vector, loser.vector)
        self.current = Stored(vector, winner.body, winner.deleted)


def _containing(winner: Vector, loser: Vector) -> Vector:
    times = entries(winner)
    for source, time in entries(loser).items():
        times[source] = max(times.get(source, 0), time)
    cv = Version(times[winner.cv.source], winner.cv.source)
    mv = winner.mv
    if cv != winner.cv or any(times[v.source] != v.time for v in mv if v.source != cv.source):
        mv = ()
    return build(cv, mv, times)


def bad_time(vector: Vector, time_max: int) -> str:
    """Tell of a time that the engine would not take (LiteCore 4); "" if there is none."""
    for version in (vector.cv, *vector.mv, *vector.pv):
        if not TIME_MIN <= version.time <= time_max:
            return f"the time of {format_version(version)} is out of bounds"
    return ""
