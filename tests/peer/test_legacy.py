"""Databases that were upgraded from trees: what comes from them against what is here.

A database of versions that once had trees calls a revision by a version with the tree names before
it behind, or by a tree name alone if it was not edited since. How two such revisions stand to each
other Couchbase Lite decides by a table (wire protocol 5C). Here it is, and each cell goes through
settee: both revisions as a level-4 peer sends them, one after the other into a real store.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from settee.clock import InlineWorkers
from settee.doc.records import ConflictPolicy, Outcome, RevisionIn
from settee.doc.version import encode_tree, format_version
from settee.store import Store, revisions
from settee.sync.vectors import VectorDialect
from tests.simulation.loop import VirtualClock, VirtualLoop

PEER: Final = VectorDialect(is_extended=False)
AUTHOR, OTHER = "a" * 21 + "A", "b" * 21 + "A"

RELATIONS: Final = {
    Outcome.STORED: "newer",
    Outcome.SAME: "same",
    Outcome.OLD: "older",
    Outcome.REFUSED: "conflict",
}


class Told(NamedTuple):
    """A revision as a level-4 peer tells of it: a vector, tree names, or both."""

    vector: str
    names: tuple[str, ...]

    def properties(self) -> dict[str, str]:
        if not self.vector:
            return {"rev": self.names[0], "history": ", ".join(self.names[1:])}
        rev, _, rest = self.vector.partition("; ")
        return {"rev": rev, "history": ", ".join(filter(None, (rest, *self.names)))}


def version(n: int, author: str = AUTHOR) -> str:
    return f"{2**60 + n:x}@{author}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    loop = VirtualLoop()
    store = Store.open(
        tmp_path / "ours.settee",
        create=True,
        durability="memory",
        clock=VirtualClock(loop, "legacy"),
        workers=InlineWorkers(),
    )
    yield store
    store.close()
    loop.close()


def take(store: Store, told: Told, body: bytes) -> Outcome:
    heard = PEER.heard(told.properties())
    assert heard is not None, told
    revision = RevisionIn("a", heard.tid, heard.history, False, body, heard.vector, ())
    (applied,) = store.write(
        lambda writer: revisions.apply(
            writer, 1, [revision], remote=None, policy=ConflictPolicy.REFUSE
        )
    )
    return applied.outcome


def relation(store: Store, a: Told, b: Told) -> str:
    """Tell what `a` is that comes where `b` is."""
    if b != NOTHING:
        assert take(store, b, b'{"n":1}') is Outcome.STORED
    return RELATIONS[take(store, a, b'{"n":2}')]


NOTHING: Final = Told("", ())

VERSIONS: Final = {
    "none": ("", ""),
    "b only": ("", version(5)),
    "a only": (version(5), ""),
    "same": (version(5), version(5)),
    "a older": (version(4), version(5)),
    "a newer": (version(5), version(4)),
}
"""The vectors of a and b."""

NAMES: Final = {
    "none": ((), ()),
    "b only": ((), ("2-bb", "1-aa")),
    "a only": (("2-bb", "1-aa"), ()),
    "same": (("2-bb", "1-aa"), ("2-bb", "1-aa")),
    "a older": (("1-aa",), ("2-bb", "1-aa")),
    "a newer": (("2-bb", "1-aa"), ("1-aa",)),
    "forked": (("3-cc", "2-bb", "1-aa"), ("2-dd", "1-aa")),
    "strange": (("2-bb", "1-aa"), ("1-ff",)),
}
"""The tree names of a and b. The last two are conflicts, whatever the vectors are."""

CONFLICTS: Final = ("conflict",) * 4

_ = ""
TABLE: Final = {
    # names:    none    b only      a only      same     a older     a newer     forked, strange
    "none": (_, _, "newer", "same", "older", "newer", "conflict", "conflict"),
    "b only": (_, _, "conflict", "older", "older", "conflict", "conflict", "conflict"),
    "a only": (
        *("newer", "conflict", "newer", "newer", "conflict", "newer", "conflict", "conflict"),
    ),
    "same": ("same", *CONFLICTS[:2], "same", *CONFLICTS),
    "a older": ("older", *CONFLICTS[:2], "older", *CONFLICTS),
    "a newer": ("newer", *CONFLICTS[:2], "newer", *CONFLICTS),
}
"""What a is to b, by vectors and by names. No answer: a would be no revision at all."""

CASES: Final = [
    (vectors, names, answer)
    for vectors, row in TABLE.items()
    for names, answer in zip(NAMES, row, strict=True)
    if answer
]

DECIDED_BY_VERSIONS: Final = {"same": "same", "a older": "older", "a newer": "newer"}
"""Where settee departs from the table: with versions on both sides, these decide. One author's
later version contains the earlier one, and two versions of one time are one revision, whatever
either side remembers of the tree before: it may have come through a peer that tells nothing of
trees."""

OPPOSITE: Final = {"older": "newer", "newer": "older"}


@pytest.mark.parametrize(("vectors", "names", "answer"), CASES)
def test_revisions_with_tree_names_stand_to_each_other_as_in_couchbase_lite(
    vectors: str, names: str, answer: str, store: Store
) -> None:
    a, b = map(Told, VERSIONS[vectors], NAMES[names])
    assert relation(store, a, b) == DECIDED_BY_VERSIONS.get(vectors, answer)


@pytest.mark.parametrize(
    ("vectors", "names", "answer"),
    [case for case in CASES if (VERSIONS[case[0]][1], NAMES[case[1]][1]) != NOTHING],
)
def test_the_other_way_round_they_stand_the_other_way_round(
    vectors: str, names: str, answer: str, store: Store
) -> None:
    a, b = map(Told, VERSIONS[vectors], NAMES[names])
    expected = DECIDED_BY_VERSIONS.get(vectors, answer)
    assert relation(store, b, a) == OPPOSITE.get(expected, expected)


def test_a_tree_name_and_the_version_that_encodes_it_are_one_revision(store: Store) -> None:
    encoded = Told(format_version(encode_tree("2-bb")), ())
    assert relation(store, encoded, Told("", ("2-bb", "1-aa"))) == "same"
    assert take(store, Told("", ("2-bb", "1-aa")), b"{}") is Outcome.SAME


@pytest.mark.parametrize("names", NAMES)
def test_versions_in_conflict_are_so_whatever_the_names(names: str, store: Store) -> None:
    a, b = map(Told, (version(5), version(6, OTHER)), NAMES[names])
    assert relation(store, a, b) == "conflict"


@pytest.mark.parametrize("merged", ["2-dd", "4-ee"])
def test_a_peer_that_merged_with_a_tree_contains_it_whatever_its_own_tree_was(
    merged: str, store: Store
) -> None:
    """After a conflict it keeps the names of its own branch, and has the other as a version."""
    entry = format_version(encode_tree(merged))
    a = Told(f"{version(7)}; {entry}", ("3-cc", "2-bb", "1-aa"))
    assert relation(store, a, Told("", ("2-dd", "1-aa"))) == "newer"


def test_a_peer_that_merged_with_an_earlier_tree_does_not_contain_a_later_one(store: Store) -> None:
    entry = format_version(encode_tree("2-dd"))
    a = Told(f"{version(7)}; {entry}", ("5-cc", "4-bb", "3-bb", "2-bb", "1-aa"))
    assert relation(store, a, Told("", ("3-ff", "2-dd", "1-aa"))) == "conflict"


def test_a_tree_of_which_the_peer_remembers_too_little_is_taken_for_an_ancestor(
    store: Store,
) -> None:
    a = Told(version(7), ("9-cc", "8-bb"))
    assert relation(store, a, Told("", ("2-dd", "1-aa"))) == "newer"
