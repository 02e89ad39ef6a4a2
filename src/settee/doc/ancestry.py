"""What is kept of a document beside its body, and what can be told from it without deciding.

Room: pure document.
Touches: names, versions, vectors.
Never touches: sockets, files, the wall clock, randomness, bodies.

`State` is a document's current revision by its names. Here is what a name means to a document, what
a name and its history claim, and what a receiver must be told so that the vector travels through
peers that know only trees. `conflict` decides with it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from settee.doc.revision import filler, generation, is_filler, is_native, name, step, version_of
from settee.doc.version import (
    RTE,
    TIME_MAX,
    TIME_MIN,
    Vector,
    Version,
    build,
    contains,
    encode_tree,
    entries,
    order_key,
    rte_time,
)
from settee.limits import HISTORY_NAMES_MAX

__all__ = [
    "ALIASES_MAX",
    "Relation",
    "State",
    "ancestors_held",
    "assert_sound",
    "born_at",
    "by_height",
    "claims",
    "decoded",
    "has_room",
    "history_for",
    "is_same",
    "known",
    "least_generation",
    "must_tell",
]

ANCESTORS_HELD_MAX: Final = 10
"""Names in one answer to `changes` (wire protocol 3.5)."""

ALIASES_MAX: Final = 4
"""Native names kept of one version; more than one are not met by chance."""

_FAR_ABOVE: Final = 2**40


class State(NamedTuple):
    """What is kept of a document beside its body."""

    tid: str
    """The tree name in use."""
    deleted: bool
    vector: Vector
    aka: tuple[str, ...]
    """Native names of the current version besides `tid`."""
    history: tuple[str, ...]
    """Known ancestors, generations descending, none a filler or a name of the current version."""


class Relation(enum.Enum):
    """How a revision that is heard of stands to the current one."""

    NEWER = "newer"
    SAME = "same"
    OLD = "old"
    CONFLICT = "conflict"
    MUTUAL = "mutual"
    """Each side has put the other below itself."""
    UNKNOWN = "unknown"
    """Only its name is known, and that tells nothing."""


# --- what a name is to a document ---------------------------------------------------------------


def known(state: State, tid: str) -> Relation:
    """Tell what a tree name is to a document: SAME, OLD (an ancestor) or UNKNOWN."""
    if is_same(state, tid):
        return Relation.SAME
    version = version_of(tid)
    vector = state.vector
    if is_filler(tid):
        return Relation.UNKNOWN
    if version.source != RTE:
        return Relation.OLD if contains(vector, version) else Relation.UNKNOWN
    # Tree times are not compared: siblings must not look like ancestors.
    history = state.history
    if tid in history or version in map(version_of, history):
        return Relation.OLD
    height = generation(tid)
    if rte_time(vector) >> 40 > height and not born_at(history, height):
        return Relation.OLD  # Our knowledge of the tree has a hole there: trust the vector.
    return Relation.UNKNOWN


def is_same(state: State, tid: str) -> bool:
    """Tell whether a tree name means the current revision."""
    return tid == state.tid or tid in state.aka or version_of(tid) == state.vector.cv


def born_at(names: Iterable[str], height: int) -> bool:
    """Tell whether a name stands at the generation `height` that its revision was born with."""
    prefix = f"{height}-"
    for tid in names:
        if tid.startswith(prefix) and not is_filler(tid):
            time, source = version_of(tid)
            if source != RTE or time >> 40 == height:
                return True
    return False


def claims(tid: str, history: Sequence[str]) -> Vector:
    """Return the vector that a tree name and its history claim; fillers say nothing."""
    cv = version_of(tid)
    if not history:
        return Vector(cv)
    times: dict[str, int] = {}
    for ancestor in history:
        if not is_filler(ancestor):
            time, source = version_of(ancestor)
            if time > times.get(source, 0):
                times[source] = time
    return build(cv, (), times)


def least_generation(vector: Vector) -> int:
    """Return the least height that a name of this vector's cv may have."""
    if vector.cv.source == RTE:
        return vector.cv.time >> 40
    return (rte_time(vector) >> 40) + 1


def by_height(tid: str) -> tuple[int, str]:
    """Return what the names in a history are sorted by: the highest generation comes first."""
    return -generation(tid), tid


def decoded(state: State, vector: Vector) -> Vector:
    """Return a peer's vector with its tree entry read, where that encodes a derived name.

    A Couchbase Lite database that was upgraded from trees encodes whatever tree name it had. If the
    name was one that a settee peer made for a version, the entry stands for that version; the name
    itself, or an ancestor with it, has to be known to `state`, as an encoding holds too little.
    """
    time = rte_time(vector)
    if time >> 32 & 0xFF not in (0xFE, 0xFF):
        return vector
    for tid in (state.tid, *state.history):
        version = version_of(tid)
        if version.source != RTE and encode_tree(tid).time == time:
            break
    else:
        return vector
    times = entries(vector)
    del times[RTE]
    times[version.source] = max(version.time, times.get(version.source, 0))
    cv = version if vector.cv.source == RTE else vector.cv
    return build(cv, tuple(v for v in vector.mv if v.source != RTE), times)


# --- what a receiver is told --------------------------------------------------------------------


def must_tell(state: State, base: str | None) -> list[Version]:
    """Return the versions in the vector that a holder of `base` may lack, newest first.

    None stands for a receiver of which nothing is known.
    """
    vector = state.vector
    if not vector.pv and not vector.mv:
        return []
    times = entries(vector)
    del times[vector.cv.source]
    tree = Version(times.pop(RTE, 0), RTE)
    versions = [Version(time, source) for source, time in times.items()]
    tree_needed = tree.time > 0
    if base is not None:
        held = version_of(base)
        if held == vector.cv:
            return []
        at = _height_of(state, held)
        heights = {version_of(tid): generation(tid) for tid in state.history}
        if held.source != RTE:
            versions = [v for v in versions if v.time > held.time]
            tree_needed = tree_needed and heights.get(tree, _FAR_ABOVE) > at
        else:
            if at:
                versions = [v for v in versions if heights.get(v, _FAR_ABOVE) > at]
            tree_needed = tree.time > held.time
    versions.sort(key=order_key, reverse=True)
    return [*versions, tree] if tree_needed else versions


def _height_of(state: State, version: Version) -> int:
    """Return the generation of the highest known ancestor that is `version`, 0 if none is."""
    return next((generation(tid) for tid in state.history if version_of(tid) == version), 0)


def has_room(state: State, base: str) -> bool:
    """Tell whether all that a holder of `base` must be told fits between it and our name.

    If not, `learn` the base first: it lifts our name, and the row must be offered anew.
    """
    return generation(state.tid) - generation(base) - 1 >= len(must_tell(state, base))


def history_for(
    state: State, base: str | None, history_max: int, *, steps: bool = False
) -> list[str]:
    """Return the ancestors to send with the current revision, newest first.

    `base`: a revision that the receiver has and that is OLD here (or SAME, spelled lower); the list
    leads down to it without a hole. Let `learn` lift our name above it first. None: nothing is
    known of the receiver; then the list may well be empty. `history_max`: names that the receiver
    takes; if the base lies further down it comes last all the same. `steps`: call the versions
    between by names that nobody can have seen before (`revision.step`).
    """
    tid = state.tid
    height = generation(tid)
    if base is not None and generation(base) >= height:
        base = None  # It can't lie below: the list would be refused, without it the name may do.
    if base is None:
        floor, slots, above = 0, history_max, state.history
    else:
        floor, slots = generation(base), history_max - 1
        at = _height_of(state, version_of(base))
        above = tuple(h for h in state.history if at and generation(h) > at)
    own: dict[Version, str] = {}
    for ancestor in state.history:
        own.setdefault(version_of(ancestor), ancestor)
    names = []
    for version in _told(state, base, own, above, min(slots, height - 1 - floor)):
        height -= 1
        spelled = own.get(version, "")
        if steps:
            names.append(step(height, version, tid))
        else:
            names.append(spelled if spelled.startswith(f"{height}-") else name(height, version))
    if base is not None:
        while height - 1 > floor and len(names) < slots:
            height -= 1
            names.append(filler(height, tid))
        names.append(base)
    return names


def _told(
    state: State,
    base: str | None,
    own: dict[Version, str],
    above: tuple[str, ...],
    slots: int,
) -> list[Version]:
    """Return the versions that a history names, highest first, at most `slots`.

    What must be told goes before what may be told (the names in `above`).
    """
    must = must_tell(state, base)
    items = [(generation(own[v]) if v in own else _place(v), v.time, v) for v in must]
    wanted = set(must)
    for tid in above:
        version = version_of(tid)
        if version not in wanted:
            wanted.add(version)
            items.append((generation(tid), 0, version))
    items.sort(reverse=True)
    if len(items) > slots:
        first = set(must[: max(0, slots)])
        optional = [item for item in items if item[2] not in first]
        spare = set(optional[: max(0, slots - len(first))])
        items = [item for item in items if item[2] in first or item in spare]
    return [version for _, _, version in items]


def _place(version: Version) -> int:
    """Return where a version belongs that no known ancestor's name stands for: on top."""
    return version.time >> 40 if version.source == RTE else _FAR_ABOVE


def ancestors_held(names: Iterable[str], below_generation: int) -> list[str]:
    """Return the names to list in an answer to `changes`: at most ten, newest first.

    `names`: of the current revision, its aliases, its history. `below_generation`: that of the
    revision asked for; a receiver takes only lower ones for its ancestors (wire protocol 3.5).
    """
    held = []
    for tid in names:
        if generation(tid) < below_generation:
            held.append(tid)
            if len(held) == ANCESTORS_HELD_MAX:
                break
    return held


# --- invariants ---------------------------------------------------------------------------------


def assert_sound(state: State) -> None:
    """Raise AssertionError if a state breaks an invariant that all others rely on."""
    tid, _, vector, aka, history = state
    cv, mv, pv = vector
    tree = rte_time(vector) >> 40
    assert version_of(tid) == cv or tid in aka, "the tree name is one of the current version"
    assert generation(tid) >= tree, "the height is at least that of the tree entry"
    assert cv.source == RTE or generation(tid) > tree, "a version lies above the tree entry"
    assert all(TIME_MIN <= v.time <= TIME_MAX for v in (cv, *mv, *pv)), "times are in bounds"
    others = [v.source for v in (*mv, *pv)]
    assert len(set(others)) == len(others), "an author is named once"
    assert all(v.source != cv.source for v in pv), "the author of the cv is not in pv"
    assert all(v.time < cv.time for v in mv if v.source == cv.source), "an author's times rise"
    assert tid not in aka, "aliases are other names"
    assert len(aka) <= ALIASES_MAX, "aliases are few"
    assert all(is_native(a) and version_of(a) == cv for a in aka), "aliases name the cv"
    assert len(history) <= HISTORY_NAMES_MAX, "a history is bounded"
    assert list(history) == sorted(set(history), key=by_height), "highest first, each once"
    assert all(version_of(h) != cv and not is_filler(h) for h in history), "no names of the cv"
