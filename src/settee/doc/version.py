"""Versions and version vectors: who wrote a revision, when, and what it knew.

Room: pure document.
Touches: text and numbers.
Never touches: sockets, files, the wall clock, randomness. `HybridClock` is told the time.

A version is ``hex-time@source``. The time is a hybrid clock: nanoseconds since 1970 whose low 16
bits count. The source is 16 bytes that name an author, written as 22 characters of base64. A
vector is the current version (cv), the versions that it merged (mv) and the newest earlier version
of each other author (pv). Text, comparison, edit and merge are those of wire protocol 5B; a tree
name as a version is 5C. Everything malformed raises InvalidDocumentError.
"""

from __future__ import annotations

import base64
import enum
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from settee.errors import InvalidDocumentError
from settee.limits import CLOCK_AHEAD_S_MAX, REVISION_NAME_BYTES_MAX, VECTOR_SOURCES_MAX

__all__ = [
    "RTE",
    "TIME_MAX",
    "TIME_MIN",
    "HybridClock",
    "Order",
    "Vector",
    "Version",
    "build",
    "compare",
    "contains",
    "edit",
    "encode_tree",
    "entries",
    "format_vector",
    "format_version",
    "join_history",
    "merge",
    "order_key",
    "parse_vector",
    "parse_version",
    "rte_time",
    "source_hex",
    "source_text",
    "split_history",
    "time_of",
]

RTE: Final = "Revision+Tree+Encoding"
"""The author of every revision that was born with a tree name (wire protocol 5C)."""

TIME_MIN: Final = 2**40
TIME_MAX: Final = 2**63 - 1
"""The times that Couchbase Lite accepts in a vector."""

VECTOR_TEXT_BYTES_MAX: Final = REVISION_NAME_BYTES_MAX
"""No vector is longer: Couchbase Lite never shortens one, but 1,500 authors are not a table."""

_VERSION: Final = re.compile(r"([1-9a-f][0-9a-f]{0,15})@([A-Za-z0-9+/]{21}[AQgw])\Z")
_NOBODY: Final = "A" * 22
_NS_PER_S: Final = 10**9
_COUNTER_BITS: Final = 0xFFFF


class Version(NamedTuple):
    """One version: what one author wrote at one time."""

    time: int
    """Hybrid clock: nanoseconds since 1970 with a counter in the low 16 bits."""
    source: str
    """The author: 16 bytes as 22 characters of base64."""


class Vector(NamedTuple):
    """A revision by its current version and what it contains."""

    cv: Version
    mv: tuple[Version, ...] = ()
    pv: tuple[Version, ...] = ()


class Order(enum.Enum):
    """How one vector stands to another."""

    SAME = "same"
    NEWER = "newer"
    OLDER = "older"
    CONFLICT = "conflict"
    """Neither contains the other's current version."""
    MUTUAL = "mutual"
    """Each contains the other's current version; Couchbase Lite calls this a conflict, too."""


# --- sources ------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def source_text(hex_text: str) -> str:
    """Write a source given as 32 hex digits in the form of the wire, 22 characters of base64."""
    return base64.b64encode(bytes.fromhex(hex_text))[:22].decode("ascii")


@lru_cache(maxsize=4096)
def source_hex(source: str) -> str:
    """Write a source given as 22 characters of base64 in 32 hex digits."""
    return base64.b64decode(source + "==").hex()


def order_key(version: Version) -> tuple[int, str]:
    """Return what versions are ordered by: time, then the bytes of the source.

    The bytes, not the base64 text: so that two derived tree names of one generation order like the
    versions in them.
    """
    return version.time, source_hex(version.source)


# --- text ---------------------------------------------------------------------------------------


def parse_version(text: str) -> Version:
    """Read ``hex-time@source``. Raises InvalidDocumentError for anything else, ``*`` included."""
    match = _VERSION.match(text)
    if match is None or match[2] == _NOBODY:
        raise InvalidDocumentError(
            f"{text[:80]!r} is not a version: expected hex-time@source with a time above 0 and "
            "a source of 22 base64 characters"
        )
    return Version(int(match[1], 16), match[2])


def format_version(version: Version) -> str:
    """Write a version as ``hex-time@source``."""
    return f"{version.time:x}@{version.source}"


def parse_vector(text: str) -> Vector:
    """Read ``cv``, ``cv; pv, …``, ``cv, mv, mv; pv, …`` or ``cv, mv, mv;`` (wire protocol 5B.2).

    Spaces are accepted after ``,`` and ``;`` only. Raises InvalidDocumentError if a part is
    malformed, or if an author occurs twice (that of the cv may, with a smaller time, among the mv).
    """
    if "," not in text and ";" not in text:
        return Vector(parse_version(text))
    if len(text) > VECTOR_TEXT_BYTES_MAX:
        raise InvalidDocumentError(f"a version vector of {len(text)} characters is too long")
    current, _, previous = text.partition(";")
    first, *merged = current.split(",")
    cv = parse_version(first)
    mv = tuple(parse_version(item.lstrip(" ")) for item in merged)
    previous = previous.lstrip(" ")
    pv = tuple(parse_version(item.lstrip(" ")) for item in previous.split(",")) if previous else ()
    seen = {version.source for version in mv}
    twice = len(seen) < len(mv) or any(v.source == cv.source and v.time >= cv.time for v in mv)
    seen.add(cv.source)
    if twice or len(seen.union(v.source for v in pv)) < len(seen) + len(pv):
        raise InvalidDocumentError(f"the vector {text[:200]!r} names an author twice")
    return Vector(cv, mv, pv)


def format_vector(vector: Vector) -> str:
    """Write a vector in the form of the wire."""
    cv, mv, pv = vector
    text = f"{cv.time:x}@{cv.source}"
    if mv:
        text += "".join([f", {time:x}@{source}" for time, source in mv]) + ("; " if pv else ";")
    elif pv:
        text += "; "
    return text + ", ".join([f"{time:x}@{source}" for time, source in pv]) if pv else text


def split_history(vector: Vector, legacy: Iterable[str] = ()) -> tuple[str, str]:
    """Split a vector into the properties ``rev`` and ``history`` of a `rev` message (5B.4).

    `legacy`: tree names to go behind it, newest first. An empty history means: leave it out.
    """
    cv, mv, pv = vector
    history = ", ".join([format_version(v) for v in mv])
    tail = ", ".join([*(format_version(v) for v in pv), *legacy])
    if mv:
        history += f"; {tail}" if tail else ";"
    else:
        history = tail
    return format_version(cv), history


def join_history(rev: str, history: str) -> tuple[Vector | None, tuple[str, ...]]:
    """Rebuild what `split_history` took apart: the vector, and the tree names behind it.

    A `rev` that is a tree name itself gives ``(None, (rev, *ancestors))``. Tree names are returned
    as they came, not checked. Empty items are tolerated between tree names, as Sync Gateway writes
    them. Raises InvalidDocumentError as `parse_vector` does.
    """
    if "@" not in rev:
        return None, (rev, *_names(history))
    parts = re.split(r"([,;])", history)
    cut = next((i for i in range(0, len(parts), 2) if _is_legacy(parts[i])), len(parts))
    ahead = "".join(parts[:cut]).rstrip(", ")
    if cut == len(parts):
        ahead = history
    if not ahead:
        text = rev
    elif ";" in ahead:
        text = f"{rev}, {ahead}"
    else:
        text = f"{rev}; {ahead}"
    return parse_vector(text), tuple(_names("".join(parts[cut:])))


def _is_legacy(item: str) -> bool:
    return "-" in item and "@" not in item


def _names(text: str) -> list[str]:
    return [name for item in re.split(r"[,;]", text) if (name := item.strip(" "))]


# --- what a vector contains ---------------------------------------------------------------------


def entries(vector: Vector) -> dict[str, int]:
    """Return the newest time per author."""
    times = {source: time for time, source in vector.pv}
    for time, source in vector.mv:
        if time > times.get(source, 0):
            times[source] = time
    time, source = vector.cv
    if time > times.get(source, 0):
        times[source] = time
    return times


def time_of(vector: Vector, source: str) -> int:
    """Return the time of the first version in `vector` by `source`, 0 if there is none."""
    cv, mv, pv = vector
    if cv.source == source:
        return cv.time
    for part in (mv, pv):
        for version in part:
            if version.source == source:
                return version.time
    return 0


def rte_time(vector: Vector) -> int:
    """Return the time of the vector's tree entry, 0 if it has none; ``>> 40`` is a generation."""
    return time_of(vector, RTE)


def contains(vector: Vector, version: Version) -> bool:
    """Tell whether a revision with this vector has `version` among its ancestors (or is it)."""
    return time_of(vector, version.source) >= version.time


def compare(a: Vector, b: Vector) -> Order:
    """Tell how `a` stands to `b`; only current versions matter (wire protocol 5B.3)."""
    if a.cv == b.cv:
        return Order.SAME
    a_has_b = contains(a, b.cv)
    b_has_a = contains(b, a.cv)
    if a_has_b:
        return Order.MUTUAL if b_has_a else Order.NEWER
    return Order.OLDER if b_has_a else Order.CONFLICT


# --- new vectors --------------------------------------------------------------------------------


def build(cv: Version, mv: tuple[Version, ...], times: dict[str, int]) -> Vector:
    """Return the vector with this cv and mv whose pv is the rest of `times`, newest first.

    Beyond `VECTOR_SOURCES_MAX` authors the oldest are left out, the tree entry never.
    """
    named = {cv.source, *(version.source for version in mv)}
    if len(named) >= len(times) and all(source in named for source in times):
        return Vector(cv, mv)
    pv = [Version(time, source) for source, time in times.items() if source not in named]
    if len(pv) > 1:
        pv.sort(key=order_key, reverse=True)
        room = max(0, VECTOR_SOURCES_MAX - len(named))
        if len(pv) > room:
            tree = [version for version in pv if version.source == RTE]
            others = [version for version in pv if version.source != RTE][: room - len(tree)]
            pv = sorted(others + tree, key=order_key, reverse=True)
    return Vector(cv, mv, tuple(pv))


def edit(vector: Vector | None, version: Version) -> Vector:
    """Return the vector of an edit `version` over a revision (None: of a new document).

    `version` must be newer than what `vector` has of the same author.
    """
    if vector is None:
        return Vector(version)
    assert time_of(vector, version.source) < version.time, "an author's times must rise"
    return build(version, (), entries(vector))


def merge(a: Vector, b: Vector, version: Version) -> Vector:
    """Return the vector of a merge of two revisions in conflict, made as `version` (5B.3)."""
    times = entries(a)
    for source, time in entries(b).items():
        if time > times.get(source, 0):
            times[source] = time
    assert times.get(version.source, 0) < version.time, "an author's times must rise"
    return build(version, tuple(sorted((a.cv, b.cv), key=order_key, reverse=True)), times)


def encode_tree(tid: str) -> Version:
    """Return the version that stands for a native tree name (wire protocol 5C).

    The time is the generation << 40 with the first five bytes of the digest, the source is `RTE`.
    Raises InvalidDocumentError if `tid` can't be a tree name.
    """
    generation, _, digest = tid.partition("-")
    try:
        first = int(digest[:10], 16) << max(0, 40 - 4 * len(digest))
        return Version(int(generation) << 40 | first, RTE)
    except ValueError:
        raise InvalidDocumentError(f"{tid[:80]!r} is not a revision's tree name") from None


# --- the clock ----------------------------------------------------------------------------------


class HybridClock:
    """Times for our own versions: never behind the wall clock nor behind what was seen.

    `last` is the greatest time used or seen; the owner keeps it over restarts. Wall times are
    nanoseconds since 1970 and come from the caller.
    """

    __slots__ = ("last",)

    def __init__(self, last: int = 0) -> None:
        self.last: int = last

    def now(self, wall_ns: int) -> int:
        """Return a new time, greater than every earlier one."""
        self.last = time = max(wall_ns & ~_COUNTER_BITS, self.last + 1)
        return time

    def take(self, count: int, wall_ns: int) -> range:
        """Return `count` new times, each greater than the one before."""
        first = max(wall_ns & ~_COUNTER_BITS, self.last + 1)
        self.last = first + count - 1 if count else self.last
        return range(first, first + count)

    def observe(self, time: int, wall_ns: int) -> None:
        """Take note of another author's time.

        Raises InvalidDocumentError, and moves nothing, if it is under `TIME_MIN`, over `TIME_MAX`,
        or more than `CLOCK_AHEAD_S_MAX` seconds ahead of the wall clock: one wrong clock must not
        drag all others along.
        """
        if time > self.last:
            if not TIME_MIN <= time <= TIME_MAX:
                raise InvalidDocumentError(f"the version time {time:x} is out of bounds")
            if time > wall_ns + CLOCK_AHEAD_S_MAX * _NS_PER_S:
                ahead_s = (time - wall_ns) // _NS_PER_S
                raise InvalidDocumentError(
                    f"the version time {time:x} lies {ahead_s} s in the future; at most "
                    f"{CLOCK_AHEAD_S_MAX} s are accepted: set the clocks of both devices"
                )
            self.last = time
        elif time < TIME_MIN:
            raise InvalidDocumentError(f"the version time {time:x} is out of bounds")

    def observe_vector(self, vector: Vector, wall_ns: int) -> None:
        """Take note of every version of a vector; tree entries are no times and move nothing.

        Raises InvalidDocumentError as `observe` does, before anything has moved.
        """
        newest = 0
        for part in ((vector.cv,), vector.mv, vector.pv):
            for time, source in part:
                if not TIME_MIN <= time <= TIME_MAX:
                    raise InvalidDocumentError(f"the version time {time:x} is out of bounds")
                if time > newest and source != RTE:
                    newest = time
        if newest:
            self.observe(newest, wall_ns)
