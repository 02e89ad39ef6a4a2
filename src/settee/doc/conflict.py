"""Which of two revisions stands: the decisions, the same at every settee peer.

Room: pure document.
Touches: names, versions, vectors.
Never touches: sockets, files, the wall clock, randomness, bodies. New versions come from `mint`.

The version vector is the truth; the tree name is a height with the version written into its digest.
A version is carried, or read out of a name, or computed from one, never made up by the hearer: so
all peers arrive at the same version whichever way a revision came. The generation is only a height:
equal versions are equal revisions at whatever generation they are spelled, and a spelling may be
*lifted* so that a receiver's own revision fits under it. A `history` is made for its receiver and
carries the vector through peers that know only trees.

Every function takes and returns `State`; none changes anything. docs/architecture.md has the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, NamedTuple

from settee.doc.ancestry import (
    ALIASES_MAX,
    Relation,
    State,
    ancestors_held,
    assert_sound,
    born_at,
    by_height,
    claims,
    decoded,
    has_room,
    history_for,
    is_same,
    known,
    least_generation,
    must_tell,
)
from settee.doc.revision import (
    GENERATION_RECEIVED_MAX,
    everyday_version,
    generation,
    is_filler,
    is_native,
    is_tree_name,
    name,
    version_of,
)
from settee.doc.version import (
    RTE,
    Order,
    Vector,
    Version,
    build,
    compare,
    contains,
    edit,
    entries,
    order_key,
    parse_vector,
    rte_time,
    source_hex,
)
from settee.limits import HISTORY_NAMES_MAX

__all__ = [
    "Relation",
    "Resolution",
    "State",
    "adopt",
    "ancestors_held",
    "assert_sound",
    "claims",
    "decoded",
    "has_room",
    "history_for",
    "known",
    "learn",
    "name_of",
    "plain_edit",
    "rank",
    "relate",
    "resolve",
    "saved",
    "settle",
]

_VERSION_DIGITS: Final = 48
"""Time and author of a version at the end of its everyday name."""

PRUNED_NAMES_MIN: Final = 19
"""A history this long may have been cut off by a tree of depth 20, the least depth there is."""

_LOW_BITS: Final = 2**40 - 1


class Resolution(NamedTuple):
    """The end of a conflict."""

    state: State
    body: Literal["mine", "theirs"]
    minted: bool
    """Whether a new version was made. Else the state has the winner's."""


_BY_ORDER: Final = {
    Order.SAME: Relation.SAME,
    Order.NEWER: Relation.NEWER,
    Order.OLDER: Relation.OLD,
    Order.CONFLICT: Relation.CONFLICT,
    Order.MUTUAL: Relation.MUTUAL,
}


def relate(
    state: State | None, tid: str, history: Sequence[str], vector: Vector | None
) -> Relation:
    """Tell how a revision stands to the current one (None: there is no such document).

    `history`: its ancestors, newest first; names must have passed `revision.check_history`.
    `vector`: its vector if the peer told it; then vectors decide, else the names do. Without a
    `tid` the names are those that a 4.x peer remembers of its tree: where only tree times would put
    ours below, they can tell that it is not. Never UNKNOWN.
    """
    if state is None:
        return Relation.NEWER
    if vector is not None:
        relation = _BY_ORDER[compare(vector, state.vector)]
        if relation is Relation.NEWER and not tid and _is_beside(state, history):
            return Relation.CONFLICT
        return relation
    relation = known(state, tid)
    has_mine = any(is_same(state, ancestor) for ancestor in history)
    if relation is not Relation.UNKNOWN:
        return Relation.MUTUAL if has_mine and relation is Relation.OLD else relation
    if has_mine:
        return Relation.NEWER
    cv = state.vector.cv
    claimed = claims(tid, history)
    if cv.source != RTE:
        if contains(claimed, cv):
            return Relation.NEWER
    elif rte_time(claimed) >> 40 > cv.time >> 40 and not born_at(history, cv.time >> 40):
        return Relation.NEWER  # The same hole on the peer's side.
    if len(history) >= PRUNED_NAMES_MIN and generation(history[-1]) > generation(state.tid):
        return Relation.NEWER  # Its tree was pruned before it reached us.
    return Relation.CONFLICT


def _is_beside(state: State, history: Sequence[str]) -> bool:
    """Tell whether a peer's tree passed the place of ours without our revision.

    In a vector all trees are one author, so siblings look like ancestors. `history`: the tree names
    that a peer told behind a vector; a derived one of a tree's version is an entry of the vector.
    """
    cv = state.vector.cv
    if not history or cv.source != RTE or not any(map(is_native, (state.tid, *state.aka))):
        return False
    for tid in history:
        if is_same(state, tid):
            return False
        version = version_of(tid)
        if version.source == RTE and version.time > cv.time and not is_native(tid):
            return False  # What the peer merged with: perhaps a descendant of ours.
    return born_at(history, cv.time >> 40)


# --- new states ---------------------------------------------------------------------------------


def saved(state: State | None, version: Version, deleted: bool) -> State:
    """Return the state after a local save or deletion made as `version`.

    `version` must be newer than all that the document has of its author.
    """
    if state is None:
        return State(name(1, version), deleted, Vector(version), (), ())
    vector = edit(state.vector, version)
    tid = name(generation(state.tid) + 1, version)
    return State(tid, deleted, vector, (), _sorted((state.tid, *state.aka, *state.history), vector))


def adopt(
    state: State | None, tid: str, history: Sequence[str], vector: Vector | None, deleted: bool
) -> State:
    """Return the state after a NEWER revision became the current one.

    `tid`: its tree name, "" if the peer knows none. `vector`: None to take what the names claim.
    """
    if state is None and not history and (vector is None or not (vector.mv or vector.pv)):
        cv = version_of(tid) if vector is None else vector.cv
        if tid and version_of(tid) == cv and (cv.source != RTE or is_native(tid)):
            return State(tid, deleted, Vector(cv), (), ())
    x = claims(tid, history) if vector is None else vector
    times = entries(x)
    before: dict[str, int] = {}
    if state is not None:
        before = entries(state.vector)
        for source, time in before.items():
            if time > times.get(source, 0):
                times[source] = time
    cv = x.cv
    native = tid if tid and is_native(tid) and version_of(tid) == cv else ""
    spelled = tid if tid and version_of(tid) == cv else ""
    if cv.source == RTE and before.get(RTE, 0) >= cv.time:
        # A sibling with a higher generation is below us already: tree times must rise.
        cv = Version(((before[RTE] >> 40) + 1) << 40 | cv.time & _LOW_BITS, RTE)
        history = [tid, *history] if tid else history
        native = spelled = ""
    times[cv.source] = max(times.get(cv.source, 0), cv.time)
    assert times[cv.source] == cv.time, "what is newer cannot be older by its own author"
    mv = x.mv if all(times[s] == t or s == cv.source for t, s in x.mv) else ()
    return _placed(state, build(cv, mv, times), before, tid, spelled, native, history, deleted)


def plain_edit(mine: tuple[str, str, str, str], tid: str, history: str, vector: str) -> str | None:
    """Return the history of a revision that is plainly an edit of the current one.

    None: look closely. What `relate` and `adopt` say of it is read off the texts; nearly all edits
    are such: made by a clock, over exactly what is here, by its author or a second one.
    `mine`: tree name, history, aliases and vector of the current one. `tid`, `history`, `vector`:
    of the revision, which has them as its names and its vector. All are texts as they are stored.
    """
    my_tid, my_history, my_aka, my_vector = mine
    version = everyday_version(tid)
    if not version or history != my_tid or my_aka or RTE in vector:
        return None
    current, semicolon, rest = my_vector.partition(";")
    time, _, author = version.partition("@")
    my_time, _, my_author = current.partition("@")
    if author == my_author:
        if vector != version + semicolon + rest or int(time, 16) <= int(my_time, 16):
            return None
    elif semicolon or "," in current or vector != f"{version}; {current}":
        return None
    height = generation(my_tid)
    if generation(tid) <= height:
        return None
    if not my_history:
        return my_tid
    newest, count = my_history.partition(",")[0], my_history.count(",") + 1
    if not is_tree_name(newest) or my_history.count("-") != count or count > HISTORY_NAMES_MAX:
        return None  # It is damaged, as far as can be seen at a glance.
    if generation(newest) >= height or tid[-_VERSION_DIGITS:] in my_history:
        return None  # By one of its names the revision is below what contains it.
    return f"{my_tid},{my_history if count < HISTORY_NAMES_MAX else my_history.rpartition(',')[0]}"


def _placed(
    state: State | None,
    vector: Vector,
    before: dict[str, int],
    tid: str,
    spelled: str,
    native: str,
    history: Sequence[str],
    deleted: bool,
) -> State:
    """Return the state with `vector`, high enough above the old one and all that came between."""
    cv = vector.cv
    old = () if state is None else (state.tid, *state.aka, *state.history)
    unnamed, tree = _unnamed(vector, before, (*old, *history))
    low = max(generation(old[0]) + 1 if old else 1, least_generation(vector)) + len(unnamed)
    if cv.source == RTE and not native:
        low = max(low, (cv.time >> 40) + 1)
    height = generation(tid) if tid else 0
    if not (spelled and height >= low):
        height = max(low, height)
        spelled = name(height, cv)
    aka = (native,) if native and native != spelled else ()
    names = (*old, *history, *_seated(height, unnamed, tree))
    return State(spelled, deleted, vector, aka, _sorted(names, vector))


def _unnamed(
    vector: Vector, before: dict[str, int], names: Iterable[str]
) -> tuple[list[Version], list[Version]]:
    """Return the versions that are new in `vector` and that no name stands for.

    First those born as versions, newest first; then the tree entry, if it is one of them.
    """
    if not vector.pv and not vector.mv:
        return [], []
    cv = vector.cv
    fresh = [
        Version(time, source)
        for source, time in entries(vector).items()
        if before.get(source) != time and (time, source) != cv
    ]
    if fresh:
        named = {version_of(tid) for tid in names}
        fresh = [version for version in fresh if version not in named]
    born = sorted((v for v in fresh if v.source != RTE), key=order_key, reverse=True)
    return born, [v for v in fresh if v.source == RTE]


def _seated(height: int, unnamed: list[Version], tree: list[Version]) -> list[str]:
    """Return names for versions just below generation `height`; the tree entry at its own."""
    names = [name(height - 1 - i, v) for i, v in enumerate(unnamed) if height - 1 - i > 0]
    return names + [name(v.time >> 40, v) for v in tree]


def _sorted(names: Iterable[str], vector: Vector) -> tuple[str, ...]:
    """Return a history: no fillers, no names of the cv, highest first, at most fifty."""
    cv = vector.cv
    kept = {tid for tid in names if version_of(tid) != cv and not is_filler(tid)}
    if len(kept) > 1:
        return tuple(sorted(kept, key=by_height)[:HISTORY_NAMES_MAX])
    return tuple(kept)


def name_of(vector: str) -> str:
    """Return a tree name for a revision of which only the vector is known, in wire form.

    It is the least that it can have; by the version in it any other name is known to be the same.
    """
    parsed = parse_vector(vector)
    return name(least_generation(parsed), parsed.cv)


def learn(state: State, tid: str, vector: Vector | None = None) -> State | None:
    """Return the state after hearing that a peer's current revision is `tid`; None if unchanged.

    Only names change: ours is lifted to the peer's height (SAME) or high enough that the peer's
    fits below it with all that its holder must be told (OLD). This is no new revision and takes no
    new sequence. `vector`: the peer's, if told; for SAME what only it contains is taken over.
    """
    relation = known(state, tid)
    height = generation(tid)
    if relation is Relation.UNKNOWN or height > GENERATION_RECEIVED_MAX:
        return None
    learnt = state
    if relation is Relation.OLD:
        learnt = _lifted(state, height + 1 + len(must_tell(state, tid)))
    else:
        if is_native(tid) and tid != state.tid and tid not in state.aka:
            if height == generation(state.tid) and not is_native(state.tid):
                learnt = state._replace(tid=tid)
            elif len(state.aka) < ALIASES_MAX:
                learnt = state._replace(aka=(*state.aka, tid))
        learnt = _lifted(learnt, height)
        if vector is not None and vector.cv == state.vector.cv:
            learnt = _widened(learnt, vector)
    return None if learnt == state else learnt


def _widened(state: State, other: Vector) -> State:
    """Return the state with what another vector of the same version contains besides."""
    vector = _join(state.vector, other)
    assert vector is not None, "vectors of one version agree about its author"
    if vector == state.vector:
        return state
    return _lifted(state._replace(vector=vector), least_generation(vector))


def _lifted(state: State, height: int) -> State:
    """Return the state spelled at `height` or higher; a native name becomes an alias."""
    if height <= generation(state.tid):
        return state
    aka = state.aka
    if is_native(state.tid) and state.tid not in aka:
        aka = (*aka[: ALIASES_MAX - 1], state.tid)
    return state._replace(tid=name(height, state.vector.cv), aka=aka)


# --- conflicts ----------------------------------------------------------------------------------


def rank(vector: Vector, deleted: bool) -> tuple[bool, int, bool, int, str]:
    """Return what decides between two revisions in conflict: the greater one wins.

    Deletions win; then the greatest time in the vector that is not a tree's: an edit made on a tree
    counts as just after the newest version that it was made on; then the current version itself.
    """
    newest = max((time for source, time in entries(vector).items() if source != RTE), default=0)
    time, source = vector.cv
    return deleted, newest, source == RTE, time, source_hex(source)


def _join(winner: Vector, loser: Vector) -> Vector | None:
    """Return the winner's vector with all that the loser contains.

    None if it can't be: the loser knows a later version of the winner's author.
    """
    cv = winner.cv
    times = entries(winner)
    for source, time in entries(loser).items():
        if time > times.get(source, 0):
            if source == cv.source:
                return None
            times[source] = time
    mv = winner.mv if all(times[s] == t or s == cv.source for t, s in winner.mv) else ()
    return build(cv, mv, times)


def resolve(
    state: State,
    body_equal: bool,
    tid: str,
    history: Sequence[str],
    vector: Vector | None,
    deleted: bool,
    mint: Callable[[], Version],
) -> Resolution:
    """End a CONFLICT or MUTUAL by the default rule, the same at every settee peer.

    The revision of greater `rank` wins with its own version, and contains the other one from now
    on: nothing new is made, so whoever resolves the same pair elsewhere arrives at the same
    revision. A new version over both is made (by `mint`, which must return a time later than all
    that was seen) only if no existing one can stand for both.

    `body_equal`: both bodies are the same JSON. `tid`, `history`, `vector`, `deleted`: theirs, as
    for `adopt`.
    """
    mine = state.vector
    theirs = claims(tid, history) if vector is None else vector
    equal = state.deleted == deleted and (body_equal or deleted)
    wins = rank(mine, state.deleted) > rank(theirs, deleted)
    joined: Vector | None
    if equal and mine.mv and set(mine.mv) == set(theirs.mv):
        wins = order_key(mine.cv) > order_key(theirs.cv)  # One merge, made twice.
        joined = _join(mine, theirs) if wins else _join(theirs, mine)
    elif _is_mutual(state, tid, history, vector):
        joined = None
    else:
        joined = _join(mine, theirs) if wins else _join(theirs, mine)
        if joined is None and equal:  # Either body will do: see whether the other name can stand.
            joined = _join(theirs, mine) if wins else _join(mine, theirs)
            wins = wins if joined is None else not wins
    if joined is None:
        return _minted(state, theirs, tid, history, deleted, wins, mint())
    if wins:
        return Resolution(_kept(state, joined, theirs, tid, history), "mine", False)
    return Resolution(adopt(state, tid, history, joined, deleted), "theirs", False)


def settle(
    state: State,
    choice: Literal["mine", "theirs", "merged"],
    tid: str,
    history: Sequence[str],
    vector: Vector | None,
    deleted: bool,
    merged_deleted: bool,
    mint: Callable[[], Version],
) -> State:
    """End a CONFLICT or MUTUAL as the application decided.

    A side that is kept as it is keeps its version, if that can stand for both; a merge is a new
    version over both, a deletion if `merged_deleted`. The rest as for `resolve`.
    """
    mine = state.vector
    theirs = claims(tid, history) if vector is None else vector
    wins = choice != "theirs"
    joined = None
    if choice != "merged" and not _is_mutual(state, tid, history, vector):
        joined = _join(mine, theirs) if wins else _join(theirs, mine)
    if joined is None:
        minted = _minted(state, theirs, tid, history, deleted, wins, mint()).state
        return minted._replace(deleted=merged_deleted) if choice == "merged" else minted
    if wins:
        return _kept(state, joined, theirs, tid, history)
    return adopt(state, tid, history, joined, deleted)


def _is_mutual(state: State, tid: str, history: Sequence[str], vector: Vector | None) -> bool:
    if vector is not None:
        return compare(vector, state.vector) is Order.MUTUAL
    return relate(state, tid, history, None) is Relation.MUTUAL


def _kept(state: State, joined: Vector, theirs: Vector, tid: str, history: Sequence[str]) -> State:
    """Return the state in which mine stays current and contains theirs."""
    names = (*state.history, *((tid,) if tid else ()), *history)
    unnamed, tree = _unnamed(joined, entries(state.vector), (state.tid, *state.aka, *names))
    height = generation(tid) if tid else least_generation(theirs)
    low = max(height + 1, least_generation(joined)) + len(unnamed)
    kept = _lifted(state._replace(vector=joined), low)
    names = (*names, *_seated(generation(kept.tid), unnamed, tree))
    return kept._replace(history=_sorted(names, joined))


def _minted(
    state: State,
    theirs: Vector,
    tid: str,
    history: Sequence[str],
    deleted: bool,
    wins: bool,
    version: Version,
) -> Resolution:
    """Return a new version over both sides."""
    mine = state.vector
    before = entries(mine)
    times = dict(before)
    for source, time in entries(theirs).items():
        if time > times.get(source, 0):
            times[source] = time
    assert version.time > times.get(version.source, 0), "an author's times must rise"
    merged = tuple(sorted((mine.cv, theirs.cv), key=order_key, reverse=True))
    sources = {version.source, mine.cv.source, theirs.cv.source}
    if len(sources) < 3 or any(times[source] != time for time, source in merged):
        merged = ()
    times[version.source] = version.time
    vector = build(version, merged, times)
    names = (state.tid, *state.aka, *state.history, *((tid,) if tid else ()), *history)
    unnamed, tree = _unnamed(vector, before, names)
    height = generation(tid) if tid else least_generation(theirs)
    height = max(generation(state.tid), height, least_generation(vector) - 1)
    height += 1 + len(unnamed)
    names = (*names, *_seated(height, unnamed, tree))
    if not wins:
        state = state._replace(deleted=deleted)
    state = State(name(height, version), state.deleted, vector, (), _sorted(names, vector))
    return Resolution(state, "mine" if wins else "theirs", True)
