"""Fields that are written whole: each keeps its latest value, and what was written beside it.

Room: pure inventory model.
Touches: JSON values, times.
Never touches: the wall clock, settee, files.

A field holds the *versions* of it that nobody has written over. An edit writes over all versions
that its maker saw; two edits made apart leave two versions, of which the later is shown and the
other is kept until somebody decides. Who has seen what is told by `seen`: for each actor the time
of its last edit that is part of this state. A version that one side has and the other has seen but
holds no more was written over there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from settee_inventory.model.canonical import same, text_of
from settee_inventory.model.stamp import NEVER, Stamp, is_actor, is_time

__all__ = [
    "EMPTY",
    "Fields",
    "Version",
    "joined",
    "latest",
    "put",
    "read",
    "rivals",
    "shown",
    "unseen",
    "value_of",
    "write",
]


class Version(NamedTuple):
    """One value of a field: what was written, when, by whom."""

    at: str
    by: str
    value: Any

    @property
    def stamp(self) -> Stamp:
        """When and by whom."""
        return Stamp(self.at, self.by)


class Fields(NamedTuple):
    """The fields of one item. Never changed in place."""

    versions: Mapping[str, tuple[Version, ...]]
    """For each field its versions, latest first."""
    seen: Mapping[str, str]
    """For each actor the time of its last edit that is in here, or was written over."""


EMPTY = Fields({}, {})


def shown(fields: Fields, name: str) -> Version | None:
    """Return the version of a field that counts, None if it was never written."""
    versions = fields.versions.get(name)
    return versions[0] if versions else None


def value_of(fields: Fields, name: str) -> Any:
    """Return the value of a field, None if it was never written."""
    versions = fields.versions.get(name)
    return versions[0].value if versions else None


def rivals(fields: Fields, name: str) -> tuple[Version, ...]:
    """Return the versions that could not merge with the one shown: those of another value."""
    versions = fields.versions.get(name, ())
    return tuple(each for each in versions[1:] if not same(each.value, versions[0].value))


def unseen(fields: Fields, name: str, seen: Collection[Any], by: str) -> tuple[Version, ...]:
    """Return the versions of a field that others wrote and whose values are not among `seen`.

    To be kept beside what `by` writes, whose maker had only those values before him.
    """
    return tuple(
        each
        for each in fields.versions.get(name, ())
        if each.by != by and not any(same(each.value, value) for value in seen)
    )


def put(
    fields: Fields, name: str, value: Any, stamp: Stamp, beside: Sequence[Version] = ()
) -> Fields:
    """Return the fields with one written; `stamp` must be later than all that is in them.

    It is written over all versions but those of `beside`, which its maker has not seen.
    """
    versions = {**fields.versions, name: (Version(stamp.at, stamp.by, value), *beside)}
    return Fields(versions, {**fields.seen, stamp.by: stamp.at})


def joined(one: Fields, other: Fields) -> Fields:
    """Return what both know together."""
    if one is other:
        return one
    versions = {}
    for name in (*one.versions, *(each for each in other.versions if each not in one.versions)):
        mine, theirs = one.versions.get(name, ()), other.versions.get(name, ())
        kept = mine if mine == theirs else _joined(mine, one.seen, theirs, other.seen)
        if kept:
            versions[name] = kept
    seen = dict(one.seen)
    for actor, time in other.seen.items():
        if time > seen.get(actor, ""):
            seen[actor] = time
    return Fields(versions, seen)


def _joined(
    mine: tuple[Version, ...],
    seen_by_me: Mapping[str, str],
    theirs: tuple[Version, ...],
    seen_by_them: Mapping[str, str],
) -> tuple[Version, ...]:
    both = {version[:2] for version in mine} & {version[:2] for version in theirs}
    kept = [
        *(v for v in mine if v[:2] in both or v.at > seen_by_them.get(v.by, "")),
        *(v for v in theirs if v[:2] in both or v.at > seen_by_me.get(v.by, "")),
    ]
    return _ordered(kept)


def _ordered(versions: list[Version]) -> tuple[Version, ...]:
    """Return versions latest first, each stamp once."""
    found: dict[tuple[str, str], Version] = {}
    for version in versions:
        held = found.get(version[:2])
        if held is None or text_of(version.value) > text_of(held.value):
            found[version[:2]] = version
    return tuple(found[stamp] for stamp in sorted(found, reverse=True))


def latest(fields: Fields) -> str:
    """Return the latest time in them."""
    return max(fields.seen.values(), default=NEVER)


# --- documents ------------------------------------------------------------------------------------


def write(fields: Fields) -> dict[str, Any]:
    """Return them as JSON: ``{"fields": {name: [{"value", "at", "by"}]}, "seen": {actor: time}}``.

    With these and the times of the values the sides of a merge can tell what each has seen.
    """
    return {
        "fields": {
            name: [{"value": each.value, "at": each.at, "by": each.by} for each in versions]
            for name, versions in sorted(fields.versions.items())
        },
        "seen": dict(sorted(fields.seen.items())),
    }


def read(value: object) -> Fields:
    """Read what `write` wrote; what is damaged is left out."""
    if not isinstance(value, dict):
        return EMPTY
    given = value.get("seen")
    seen = {}
    if isinstance(given, dict):
        seen = {actor: at for actor, at in given.items() if is_actor(actor) and is_time(at)}
    versions: dict[str, tuple[Version, ...]] = {}
    listed = value.get("fields")
    for name, several in listed.items() if isinstance(listed, dict) else ():
        kept = [
            Version(each["at"], each["by"], each.get("value"))
            for each in (several if isinstance(several, list) else ())
            if isinstance(each, dict) and is_time(each.get("at")) and is_actor(each.get("by"))
        ]
        if kept:
            versions[name] = (kept[0],) if len(kept) == 1 else _ordered(kept)
        for version in kept:
            if version.at > seen.get(version.by, ""):
                seen[version.by] = version.at
    return Fields(versions, seen)
