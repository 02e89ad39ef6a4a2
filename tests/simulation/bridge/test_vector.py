"""The model of a 4.x document keeps to the engine's rules."""

from __future__ import annotations

import pytest

from settee.doc.version import Vector, Version, format_vector, parse_vector, source_text
from tests.simulation.bridge.vector import (
    ConflictRefusedError,
    Stored,
    VectorDocument,
    bad_time,
)

A, B, C, D = (source_text(f"{n:032x}") for n in range(1, 5))
PHONE = "phone"
FIRST = 2**60


def vector(text: str) -> Vector:
    """Read a vector whose times are small and whose authors have one letter."""
    for letter, source in zip("ABCD", (A, B, C, D), strict=True):
        for n in range(1, 10):
            text = text.replace(f"{n}@{letter}", f"{FIRST + n:x}@{source}")
    return parse_vector(text)


def name(text: str) -> str:
    return format_vector(vector(text))


def stored(text: str, body: bytes = b"{}", *, deleted: bool = False) -> Stored:
    return Stored(vector(text), body, deleted)


def document(text: str, body: bytes = b"{}", *, deleted: bool = False) -> VectorDocument:
    return VectorDocument(stored(text, body, deleted=deleted))


def held(document: VectorDocument) -> tuple[Vector, bytes]:
    assert document.current is not None
    return document.current.vector, document.current.body


def test_an_edit_keeps_every_other_author_below_itself() -> None:
    edited = document("2@B; 1@A")
    edited.save(b"", False, Version(FIRST + 3, A))
    assert held(edited)[0] == vector("3@A; 2@B")


def test_a_proposal_is_judged_by_current_versions_and_a_409_tells_the_whole_vector() -> None:
    mine = document("2@B; 1@A")
    assert mine.answer_proposal(name("2@B"), "") == (304, "")
    assert mine.answer_proposal(name("3@C"), name("2@B; 1@A")) == (0, "")
    assert mine.answer_proposal(name("3@C"), name("1@A")) == (409, name("2@B; 1@A"))
    assert mine.answer_proposal(name("3@C"), "") == (409, name("2@B; 1@A"))
    assert document("2@B", deleted=True).answer_proposal(name("3@C"), "") == (0, "")
    assert VectorDocument().answer_proposal(name("3@C"), name("1@A")) == (409, "")


def test_a_row_is_wanted_unless_ours_contains_it() -> None:
    mine = document("2@B; 1@A")
    assert mine.find(name("1@A"), PHONE) is None
    assert mine.remotes[PHONE] == vector("1@A")
    assert mine.find(name("3@C"), PHONE) == [name("2@B"), name("1@A")]
    assert VectorDocument().find(name("3@C"), PHONE) == []


def test_what_is_newer_is_taken_and_a_pushed_conflict_is_refused() -> None:
    mine = document("2@B; 1@A")
    assert not mine.take_pushed(stored("1@A"))
    with pytest.raises(ConflictRefusedError):
        mine.take_pushed(stored("3@C; 1@A"))
    assert mine.take_pushed(stored("3@C; 2@B"))
    assert held(mine)[0] == vector("3@C; 2@B")


@pytest.mark.parametrize(
    ("mine", "theirs", "mine_deleted", "theirs_deleted", "expected"),
    [
        ("2@B; 1@A", "3@C; 1@A", False, False, "3@C; 2@B, 1@A"),
        ("4@B; 1@A", "3@C; 1@A", False, False, "4@B; 3@C, 1@A"),
        ("4@B; 1@A", "3@C; 1@A", False, True, "3@C; 4@B, 1@A"),
        ("2@B; 1@A", "3@C; 1@A", True, False, "2@B; 3@C, 1@A"),
        ("3@B; 1@A", "3@C; 1@A", False, False, "3@C; 3@B, 1@A"),
        ("9@B, 3@C, 2@D;", "4@C; 1@A", False, False, "9@B; 4@C, 2@D, 1@A"),
    ],
)
def test_the_winner_of_a_conflict_keeps_its_version_and_contains_the_loser(
    mine: str, theirs: str, mine_deleted: bool, theirs_deleted: bool, expected: str
) -> None:
    one = document(mine, b"mine", deleted=mine_deleted)
    assert one.take_pulled(stored(theirs, b"theirs", deleted=theirs_deleted), PHONE)
    assert held(one)[0] == vector(mine), "until it is resolved, ours is current"
    one.resolve(PHONE)
    winner = b"mine" if expected[:3] == mine[:3] else b"theirs"
    assert held(one) == (vector(expected), winner)


def test_one_merge_made_at_two_places_is_no_conflict() -> None:
    mine = document("8@B, 3@C, 2@D;", b"{1}")
    assert not mine.take_pulled(stored("9@A, 3@C, 2@D;", b"{1}"), PHONE)
    assert held(mine)[0] == vector("8@B, 3@C, 2@D;")
    assert mine.take_pulled(stored("9@A, 3@C, 2@D;", b"{2}"), PHONE)


def test_a_tombstone_gives_way_to_a_document_that_its_remote_began_anew() -> None:
    gone = document("2@B", deleted=True)
    gone.remotes[PHONE] = vector("2@B")
    assert gone.take_pulled(stored("1@C"), PHONE)
    assert held(gone)[0] == vector("1@C")
    related = document("2@B; 1@A", deleted=True)
    related.remotes[PHONE] = vector("2@B; 1@A")
    related.take_pulled(stored("1@C; 1@A"), PHONE)
    assert PHONE in related.conflicts


def test_a_tail_of_tree_names_on_one_side_only_is_a_conflict() -> None:
    newer = stored("3@C; 2@B")
    newer.has_tail = True
    with pytest.raises(ConflictRefusedError):
        document("2@B; 1@A").take_pushed(newer)
    assert VectorDocument().take_pushed(newer)


def test_times_before_2_to_the_40_and_in_the_future_are_not_taken() -> None:
    assert not bad_time(vector("2@B; 1@A"), FIRST + 2)
    assert bad_time(vector("2@B; 1@A"), FIRST + 1)
    assert bad_time(Vector(Version(2**40 - 1, A)), FIRST)
