"""The original app's single document: the items written into it, and edits of it read back.

Room: pure inventory model.
Touches: documents as dicts of JSON values, names of revisions.
Never touches: the wall clock, settee, files.

The original keeps one document, ``doc::list``: an array of ``key`` (the name), ``value`` (the
number) and ``image``, in which an item is known by its place. `mirror` writes the items into such a
document and, beside the array and in a key that the original leaves alone, what the array was made
of: the *edition*. So an edit of the array can be told from the document alone, whoever meets it:
`edits` compares the array with its edition.

The original writes absolute numbers, of which it saw others: 12 where the edition said 10 is a
count of +2. It is booked under an actor named after the edition, as one count whose time tells how
new the edit was. So it is one and the same count at all devices that mirror, however many of them
meet the edit, and a later edit of the same edition takes the place of the earlier one: a register
per edition, a small document beside the items, tells what the latest consists of.

An original of Couchbase Lite 3 does not say when it edited: then the edit counts as made just after
the edition, in order of the revisions' generations. One of Couchbase Lite 4 does.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Container, Mapping
from typing import Any, Final, NamedTuple

from settee_inventory.model import fields as registers
from settee_inventory.model import item as items
from settee_inventory.model import quantity as counters
from settee_inventory.model.canonical import digest_of, text_of
from settee_inventory.model.item import NAME, PICTURE, REMOVED, State
from settee_inventory.model.stamp import NEVER, Stamp, after, is_time, milliseconds, time_of_ns

__all__ = [
    "LIST_ID",
    "Edit",
    "Edits",
    "Register",
    "SAMPLE",
    "applied",
    "choose",
    "edits",
    "founded",
    "is_mirror",
    "is_same_list",
    "later",
    "mirror",
    "read_register",
    "register_of",
    "superseded",
    "write_register",
]

LIST_ID: Final = "doc::list"
"""The document's ID, in the default collection."""

SAMPLE: Final = "sample"
"""The edition of a list that names none: it began as the sample's, with the sample's numbers."""

_KEY: Final = "edition"
_PREFIX: Final = "edition-"
_EDITION: Final = re.compile(r"[0-9a-f]{24}|" + SAMPLE)
_TREE: Final = re.compile(r"([1-9][0-9]{0,9})-([0-9a-f]+)")
_VERSIONED: Final = re.compile(r"[1-9][0-9]{0,9}-ff([0-9a-f]{16})([0-9a-f]{32})")
_VECTOR: Final = re.compile(r"([0-9a-f]{1,16})@([A-Za-z0-9+/]{22})(?=[;,]|$)")
_DAY_MS: Final = 86_400_000
_YEAR_MS: Final = 365 * _DAY_MS
_OF_A_TREE: Final = base64.b64decode("Revision+Tree+Encoding==").hex()
"""The author that settee writes for a revision which was born in a revision tree."""


class Edit(NamedTuple):
    """What was edited of one item; None: that was not."""

    by: int
    """By how much its number differs from the edition's."""
    name: str | None
    image: Mapping[str, Any] | None
    """The new picture's blob."""
    added: bool
    removed: bool


class Edits(NamedTuple):
    """What a list document holds beyond its edition."""

    stamp: Stamp
    """When it counts as made, by the edition's actor."""
    edition_at: str
    """The latest time that the edition knew."""
    items: Mapping[str, Edit]
    """By the item's ID."""


class Register(NamedTuple):
    """What the latest edit of an edition counted: a document of its own, merged by `later`.

    The items of an edit travel one by one; this tells which belong to it.
    """

    at: str
    counts: Mapping[str, int]


class _Line(NamedTuple):
    """One place of the edition's array."""

    id: str
    name: str
    value: int
    image: str


# --- writing --------------------------------------------------------------------------------------


def mirror(
    states: Mapping[str, State], blank: Mapping[str, Any], author: str, over: str
) -> dict[str, Any]:
    """Return the list document of the items that are there, in order of their names.

    `blank`: the blob that stands for a missing picture, without which the original destroys a line.
    `author`: 32 hex digits, the database's UUID, that revisions of this device carry. `over`: the
    revision that the document replaces, "" for none. Both make the edition's name its own: a device
    that knows less may write numbers that stood there once before, and what was edited then is not
    what will be edited now.
    """
    present = [(id, state) for id, state in states.items() if not items.is_removed(state)]
    lines = sorted((_shown_name(state).casefold(), id, state) for id, state in present)
    array, base = [], []
    for _, id, state in lines:
        picture = registers.value_of(state.fields, PICTURE)
        held = picture.get("image") if isinstance(picture, dict) else None
        name, value = _shown_name(state), counters.total(state.quantity)
        image = dict(held if items.is_blob(held) else blank)
        array.append({"key": name, "value": value, "image": image})
        base.append([id, name, value, image["digest"]])
    at = max((items.latest(state) for state in states.values()), default=NEVER)
    name = digest_of([at, base, author, over], 24)
    edition = {"id": name, "at": at, "by": author, "lines": base}
    return {"type": "list", "items": array, _KEY: edition}


def _shown_name(state: State) -> str:
    name = registers.value_of(state.fields, NAME)
    return name if isinstance(name, str) else ""


def is_mirror(actor: str) -> bool:
    """Tell whether an actor stands for edits of the original's list."""
    return actor.startswith(_PREFIX)


def is_same_list(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two list documents say the same, whichever device wrote them."""

    def said(body: Mapping[str, Any]) -> Any:
        edition = body.get(_KEY)
        known = (edition.get("at"), edition.get("lines")) if isinstance(edition, dict) else None
        return [known, body.get("items")]

    return text_of(said(one)) == text_of(said(other))


# --- reading --------------------------------------------------------------------------------------


def edits(
    body: Mapping[str, Any],
    revision: str,
    sample: Mapping[str, tuple[str, int]],
    devices: Container[str] = (),
) -> Edits | None:
    """Return what a list document holds beyond its edition; None if that is nothing.

    `revision`: the name of the document's revision, which tells how new the edit is and whether a
    stranger made it: neither the edition's author nor one of `devices`, named by the first 16 hex
    digits of their databases' UUIDs. A stranger's revision is an edit even if nothing differs, so
    that an edit which was taken back replaces what had been booked of it. `sample`: for a list
    without an edition, the names and numbers it began with, by item ID.
    """
    array = body.get("items")
    if not isinstance(array, list):
        return None
    edition = body.get(_KEY)
    lines, name, at, by = _edition(edition, sample)
    found = _compared(array, lines, name)
    if not found:
        author = _author(revision)
        if name == SAMPLE or author == by or author[:16] in devices:
            return None
    return Edits(Stamp(_time(at, revision), _PREFIX + name), at, found)


def _edition(
    edition: Any, sample: Mapping[str, tuple[str, int]]
) -> tuple[list[_Line], str, str, str]:
    """Return the lines, ID, time and author of an edition; the sample's where it is none."""
    if (
        isinstance(edition, dict)
        and isinstance(edition.get("lines"), list)
        and isinstance(edition.get("id"), str)
        and _EDITION.fullmatch(edition["id"])
        and is_time(edition.get("at"))
    ):
        lines = [
            _Line(*line)
            for line in edition["lines"]
            if isinstance(line, list)
            and [type(each) for each in line] == [str, str, int, str]
            and counters.is_count(line[2])
        ]
        if len(lines) == len(edition["lines"]):
            return lines, edition["id"], edition["at"], str(edition.get("by"))
    return [_Line(id, *line, "") for id, line in sample.items()], SAMPLE, NEVER, ""


def _compared(array: list[Any], lines: list[_Line], name: str) -> dict[str, Edit]:
    found = {}
    matched = set()
    for place, entry in enumerate(array):
        if not isinstance(entry, dict) or not isinstance(entry.get("key"), str):
            continue
        line = _line_of(place, entry["key"], array, lines, name)
        if line is None:
            id = f"item::{digest_of([name, entry['key']], 16)}"
            line = _Line(id, "", 0, "")
        elif line.id in matched:
            continue
        matched.add(line.id)
        edit = _edit(entry, line)
        if edit is not None:
            found[line.id] = edit
    sound = all(isinstance(each, dict) and isinstance(each.get("key"), str) for each in array)
    if len(array) != len(lines) and name != SAMPLE and sound:
        for line in lines:
            if line.id not in matched:
                found[line.id] = Edit(0, None, None, False, True)
    return found


def _line_of(place: int, key: str, array: list[Any], lines: list[_Line], name: str) -> _Line | None:
    """Return the line that an entry was: by its place, or where places have moved by its name."""
    if len(array) == len(lines) and name != SAMPLE:
        return lines[place]
    return next((line for line in lines if line.name == key), None)


def _edit(entry: Mapping[str, Any], line: _Line) -> Edit | None:
    value, key, image = entry.get("value"), entry["key"], entry.get("image")
    by = value - line.value if counters.is_count(value) else 0
    renamed = key if key.strip() and key != line.name else None
    repainted = image if items.is_blob(image) and image["digest"] != line.image else None
    added = not line.name and not line.image
    if added and renamed is None:
        return None
    if not added and not line.image:  # Of the sample's list only the numbers are known.
        renamed = repainted = None
    if not counters.is_count(by) or (by == 0 and renamed is None and repainted is None):
        return None
    return Edit(by, renamed, repainted, added, False)


def _version(revision: str) -> tuple[int, str] | None:
    """Return the time and the author (32 hex digits) of a revision; None if it tells none.

    settee spells a version as a tree name, ``3-ff<time><author>``, or as a vector,
    ``<time>@<author in base64>; …``, whose first is the revision's own.
    """
    if spelled := _VERSIONED.fullmatch(revision):
        return int(spelled[1], 16), spelled[2]
    if vector := _VECTOR.match(revision):
        return int(vector[1], 16), base64.b64decode(vector[2] + "==").hex()
    return None


def _author(revision: str) -> str:
    """Return who made a revision: 32 hex digits, "" if that is not known."""
    version = _version(revision)
    return version[1] if version else ""


def _time(at: str, revision: str) -> str:
    """Return when an edit of an edition made at `at` counts as made: after the edition.

    Where the original's clock is behind the edition's, edits still keep their order: up to a day a
    millisecond of its clock is a step of the counter, further back, up to a year, a second is. That
    moves an edit by two seconds at most.
    """
    version = _version(revision)
    if version is None:
        tree = _TREE.fullmatch(revision)
        return after(at, int(tree[1]) if tree else 1)
    ns, author = version
    if author == _OF_A_TREE:
        return after(at, ns >> 40)
    ahead_ms = ns // 1_000_000 - milliseconds(at)
    steps = min(max(ahead_ms + _DAY_MS, 0), 2 * _DAY_MS)
    steps += min(max(ahead_ms + _DAY_MS + _YEAR_MS, 0), _YEAR_MS) // 1000
    return max(after(at, 1 + steps), time_of_ns(ns))


# --- booking --------------------------------------------------------------------------------------


def founded(
    body: Mapping[str, Any], sample: Mapping[str, tuple[str, int]], stamp: Stamp
) -> dict[str, State]:
    """Return the items that a list without an edition began with, by their IDs.

    For a device that has no items yet and joins the original. `stamp`: of seeded items.
    """
    array = body.get("items")
    if not isinstance(array, list) or body.get(_KEY) is not None:
        return {}
    pictures = {
        entry["key"]: {"image": entry["image"]}
        for entry in array
        if isinstance(entry, dict)
        and isinstance(entry.get("key"), str)
        and items.is_blob(entry.get("image"))
    }
    return {
        id: items.new({NAME: name, PICTURE: pictures[name]}, value, stamp)
        for id, (name, value) in sample.items()
        if name in pictures
    }


def applied(state: State | None, edit: Edit, edited: Edits) -> State:
    """Return an item with an edit of the list booked; booking it again changes nothing.

    The number is counted. A field is written over what the edition knew of it: a version that is
    newer than the edition stays, as the other side of a conflict.
    """
    stamp = edited.stamp
    if state is None:
        state = State(counters.ZERO, registers.EMPTY, {})
    counted = counters.ZERO._replace(logs={stamp.by: {stamp.at: edit.by}})
    state = state._replace(quantity=counters.joined(state.quantity, counted))
    written: dict[str, Any] = {}
    if edit.name is not None:
        written[NAME] = edit.name
    if edit.image is not None:
        written[PICTURE] = {"image": dict(edit.image)}
    if edit.removed:
        written[REMOVED] = True
    if not written or state.fields.seen.get(stamp.by, "") >= stamp.at:
        return state
    versions = dict(state.fields.versions)
    for name, value in written.items():
        newer = [v for v in versions.get(name, ()) if v.at > edited.edition_at]
        mine = registers.Version(stamp.at, stamp.by, value)
        versions[name] = tuple(sorted([*newer, mine], key=lambda v: v.stamp, reverse=True))
    seen = {**state.fields.seen, stamp.by: stamp.at}
    return state._replace(fields=registers.Fields(versions, seen))


def register_of(edited: Edits) -> Register:
    """Return what is to be remembered of an edit, under its actor's name."""
    counts = {id: edit.by for id, edit in edited.items.items() if edit.by}
    return Register(edited.stamp.at, counts)


def later(one: Register, other: Register) -> Register:
    """Return the later of two registers of one edition."""
    return max(one, other, key=lambda each: (each.at, text_of(each.counts)))


def write_register(register: Register) -> dict[str, Any]:
    """Return the body of a register's document; its ID is the actor's name."""
    return {"type": "edition", "at": register.at, "counts": dict(sorted(register.counts.items()))}


def read_register(body: Mapping[str, Any]) -> Register:
    """Read what `write_register` wrote; what is damaged is left out."""
    at, counts = body.get("at"), body.get("counts")
    held = counts.items() if isinstance(counts, dict) else ()
    sound = {id: by for id, by in held if counters.is_count(by)}
    return Register(at if is_time(at) else NEVER, sound)


def superseded(states: Mapping[str, State], registers: Mapping[str, Register]) -> dict[str, State]:
    """Return items that hold counts of an edit which a later edit of its edition has replaced.

    Of one edition only the latest edit counts, and its register tells all of it: an item that it
    does not name was edited back, so the earlier count becomes 0.
    """
    changed: dict[str, State] = {}
    for id, state in states.items():
        for actor, log in state.quantity.logs.items():
            register = registers.get(actor)
            if register is not None and max(log) < register.at:
                held = changed.get(id, state)
                count = {register.at: register.counts.get(id, 0)}
                known = counters.ZERO._replace(logs={actor: count})
                changed[id] = held._replace(quantity=counters.joined(held.quantity, known))
    return changed


# --- two list documents ---------------------------------------------------------------------------


def choose(
    local: Mapping[str, Any],
    local_revision: str,
    remote: Mapping[str, Any],
    remote_revision: str,
    sample: Mapping[str, tuple[str, int]],
) -> bool:
    """Tell whether the local one of two list documents in conflict stands.

    One that was edited stands over one that only mirrors, since that can be made again; of two of
    the same kind the later. Both are to be booked before (`edits`), so nothing is lost either way.
    """
    return _rank(local, local_revision, sample) >= _rank(remote, remote_revision, sample)


def _rank(
    body: Mapping[str, Any], revision: str, sample: Mapping[str, tuple[str, int]]
) -> tuple[bool, str, str]:
    found = edits(body, revision, sample)
    if found is not None and found.items:
        return True, found.stamp.at, text_of(body)
    edition = body.get(_KEY)
    at = edition.get("at") if isinstance(edition, dict) else None
    return False, at if is_time(at) else "", text_of(body)
