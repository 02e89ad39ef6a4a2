"""Conflicts as the application decides them."""

from __future__ import annotations

import itertools
from typing import Literal

import pytest

from settee.doc.conflict import Relation, State, assert_sound, relate, saved, settle
from settee.doc.version import Version

A, B = "A" * 21 + "Q", "B" * 21 + "Q"
TIME = 0x18EA99BB8E3C0000
TIMES = itertools.count(TIME + 2**40, 2**16)


def two_edits() -> tuple[State, State]:
    root = saved(None, Version(TIME, A), False)
    mine = saved(root, Version(TIME + 2**16, A), False)
    theirs = saved(root, Version(TIME + 2**17, B), False)
    return mine, theirs


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("choice", ["mine", "theirs", "merged"])
def test_the_result_stands_above_both_sides_and_nothing_is_minted_but_for_a_merge(
    choice: Literal["mine", "theirs", "merged"], told: bool
) -> None:
    mine, theirs = two_edits()
    vector = theirs.vector if told else None
    assert relate(mine, theirs.tid, theirs.history, vector) is Relation.CONFLICT
    minted: list[Version] = []

    def mint() -> Version:
        minted.append(Version(next(TIMES), A))
        return minted[-1]

    result = settle(mine, choice, theirs.tid, theirs.history, vector, theirs.deleted, False, mint)
    assert_sound(result)
    for side in (mine, theirs):
        assert relate(side, result.tid, result.history, result.vector) in (
            Relation.NEWER,
            Relation.SAME,
        )
    expected = {"mine": mine.vector.cv, "theirs": theirs.vector.cv}
    assert len(minted) == (choice == "merged")
    assert result.vector.cv == expected.get(choice, minted[-1] if minted else None)
    assert not result.deleted


def test_a_merge_may_be_a_deletion() -> None:
    mine, theirs = two_edits()
    result = settle(
        mine,
        "merged",
        theirs.tid,
        theirs.history,
        theirs.vector,
        False,
        True,
        lambda: Version(next(TIMES), A),
    )
    assert result.deleted


def test_two_peers_that_decide_differently_meet_again_and_a_new_version_ends_it() -> None:
    mine, theirs = two_edits()

    def mint() -> Version:
        return Version(next(TIMES), A)

    here = settle(mine, "mine", theirs.tid, theirs.history, theirs.vector, False, False, mint)
    there = settle(theirs, "mine", mine.tid, mine.history, mine.vector, False, False, mint)
    assert relate(here, there.tid, there.history, there.vector) is Relation.MUTUAL
    end = settle(here, "theirs", there.tid, there.history, there.vector, False, False, mint)
    assert_sound(end)
    assert relate(there, end.tid, end.history, end.vector) is Relation.NEWER
