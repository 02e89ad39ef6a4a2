"""The model of a 3.1 document keeps to the engine's rules."""

from __future__ import annotations

import pytest

from settee.doc.revision import generation, is_filler
from tests.simulation.bridge.tree import (
    TOMBSTONE,
    BadRevisionIdError,
    ConflictRefusedError,
    TreeDocument,
)

PHONE = "phone"


def edited(*names: str, depth: int = 50) -> TreeDocument:
    document = TreeDocument(depth)
    for tid in names:
        assert document.save(tid.encode(), False, tid)
    return document


def current(document: TreeDocument) -> str:
    revision = document.current
    assert revision is not None
    return revision.tid


def test_a_proposal_is_taken_on_the_current_revision_and_over_a_tombstone_only() -> None:
    document = edited("1-aa", "2-aa")
    assert document.answer_proposal("2-aa", "1-aa") == (304, "2-aa")
    assert document.answer_proposal("3-bb", "2-aa") == (0, "2-aa")
    assert document.answer_proposal("2-bb", "1-aa") == (409, "2-aa")
    assert document.answer_proposal("1-bb", "") == (409, "2-aa")
    document.save(TOMBSTONE, True, "3-cc")
    assert document.answer_proposal("1-bb", "") == (0, "3-cc")
    assert TreeDocument(50).answer_proposal("2-bb", "1-aa") == (409, "")


def test_a_pushed_branch_is_refused_and_a_descendant_is_not() -> None:
    document = edited("1-aa", "2-aa")
    with pytest.raises(ConflictRefusedError):
        document.take_pushed("3-bb", ["2-bb", "1-aa"], b"", False)
    with pytest.raises(ConflictRefusedError):
        document.take_pushed("1-bb", [], b"", False)
    assert document.take_pushed("4-aa", ["3-aa", "2-aa"], b"", False)
    assert not document.take_pushed("4-aa", ["3-aa", "2-aa"], b"", False)


def test_a_history_with_a_hole_is_refused_unless_it_is_as_long_as_a_pruned_one() -> None:
    with pytest.raises(BadRevisionIdError):
        edited("1-aa").take_pushed("5-bb", ["3-bb", "1-aa"], b"", False)
    names = [f"{height}-bb" for height in range(99, 51, -1)]
    document = edited("1-aa", depth=50)
    with pytest.raises(BadRevisionIdError):
        document.take_pushed("100-bb", [*names[:-1], "1-aa"], b"", False)
    assert document.take_pushed("100-bb", [*names, "1-aa"], b"", False)
    assert current(document) == "100-bb"


def test_a_row_is_wanted_unless_it_is_an_ancestor_and_lists_what_lies_below_it() -> None:
    document = edited("1-aa", "2-aa", "3-aa")
    assert document.find("2-aa", PHONE, bodies_only=True) is None
    assert document.remotes == {PHONE: "2-aa"}
    assert document.find("9-bb", PHONE, bodies_only=True) == ["3-aa", "2-aa"]
    assert document.find("9-bb", PHONE, bodies_only=False) == ["3-aa", "2-aa", "1-aa"]
    assert document.find("3-bb", PHONE, bodies_only=True) == ["2-aa"]
    assert TreeDocument(50).find("9-bb", PHONE, bodies_only=True) == []


@pytest.mark.parametrize(
    ("mine", "theirs", "mine_deleted", "theirs_deleted", "winner"),
    [
        ("2-aa", "2-bb", False, False, "theirs"),
        ("2-cc", "2-bb", False, False, "mine"),
        ("3-aa", "2-bb", False, False, "mine"),
        ("3-aa", "2-bb", False, True, "theirs"),
        ("2-aa", "3-bb", True, False, "mine"),
    ],
)
def test_the_default_resolver_prefers_deletions_then_generations_then_digests(
    mine: str, theirs: str, mine_deleted: bool, theirs_deleted: bool, winner: str
) -> None:
    document = edited("1-aa")
    for height in range(2, generation(mine)):
        document.save(b"", False, f"{height}-aa")
    document.save(b"mine", mine_deleted, mine)
    history = [f"{height}-bb" for height in range(generation(theirs) - 1, 1, -1)]
    assert document.take_pulled(theirs, [*history, "1-aa"], b"theirs", theirs_deleted, PHONE)
    assert current(document) == mine
    branch = document.conflicting(theirs)
    assert branch is not None
    document.resolve(branch)
    revision = document.current
    assert revision is not None
    assert revision.body == winner.encode()
    assert not document.in_conflict
    if winner == "theirs":
        assert revision.tid == theirs
    else:
        assert revision.parent is branch, "a local winner is a child of the remote's revision"


def test_a_remote_that_changed_its_branch_is_followed_where_nothing_was_edited() -> None:
    document = TreeDocument(50)
    document.take_pulled("2-aa", ["1-aa"], b"", False, PHONE)
    document.take_pulled("2-bb", ["1-aa"], b"", False, PHONE)
    assert current(document) == "2-bb"
    assert document.conflicting("2-bb") is None
    document.save(b"", False, "3-bb")
    document.take_pulled("2-cc", ["1-aa"], b"", False, PHONE)
    assert current(document) == "3-bb"
    assert document.conflicting("2-cc") is not None


def test_a_remote_that_changes_its_branch_takes_its_unresolved_one_away() -> None:
    document = edited("1-aa", "2-aa")
    document.take_pulled("2-bb", ["1-aa"], b"", False, PHONE)
    document.take_pulled("2-cc", ["1-aa"], b"", False, PHONE)
    assert sorted(leaf.tid for leaf in document.leaves) == ["2-aa", "2-cc"]


def test_a_tree_is_pruned_to_its_depth_and_keeps_what_a_remote_has() -> None:
    document = TreeDocument(20)
    document.take_pulled("1-aa", [], b"", False, PHONE)
    for height in range(2, 61):
        document.save(b"", False, f"{height}-aa")
    assert sorted(map(generation, document.revisions)) == [1, *range(41, 61)]


def test_a_history_ends_in_what_the_receiver_has_with_its_holes_filled() -> None:
    document = TreeDocument(20)
    document.take_pulled("1-aa", [], b"", False, PHONE)
    for height in range(2, 61):
        document.save(b"", False, f"{height}-aa")
    revision = document.current
    assert revision is not None
    assert document.history(revision, ["57-aa"], 20) == ["59-aa", "58-aa", "57-aa"]
    names = document.history(revision, ["1-aa"], 30)
    assert len(names) == 30
    assert names[-1] == "1-aa"
    assert [generation(tid) for tid in names[:-1]] == list(range(59, 30, -1))
    assert all(map(is_filler, names[19:-1]))
