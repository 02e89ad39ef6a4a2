from __future__ import annotations

import pytest

from settee.doc.records import Held, RevisionIn, RevisionOut
from settee.doc.revision import generation, name
from settee.doc.version import Version
from settee.errors import PeerProtocolError
from settee.sync.dialect import Ground, Verdict
from settee.sync.messages import AnnouncedRow, ProposedRow
from settee.sync.trees import TreeDialect

TREES = TreeDialect()
FREE = Ground(Verdict.SEND, None)
ME = "a" * 21 + "A"


def tid(n: int, height: int | None = None) -> str:
    return name(height or n, Version(2**60 + n, ME))


def held(n: int = 3, *, mark: str = "", deleted: bool = False) -> Held:
    history = ",".join(tid(i) for i in range(n - 1, 0, -1))
    return Held(tid(n), deleted, f"{2**60 + n:x}@{ME}", "", history, mark)


def row(rev: str) -> AnnouncedRow:
    return AnnouncedRow("1", "a", rev, 0, 0)


def test_a_name_is_said_as_it_is() -> None:
    assert TREES.name("2-bb") == "2-bb"
    assert TREES.tid_of("2-bb") == "2-bb"
    assert TREES.tid_of(f"5@{ME}") is None
    assert TREES.row_end("2-bb") == []
    assert TREES.reply_properties() == {"maxHistory": "50"}


def test_a_rev_is_read_by_its_tree_name_and_history() -> None:
    heard = TREES.heard({"rev": "2-bb", "history": "1-aa, 1-cc"})
    assert heard == ("2-bb", "1-aa,1-cc", "")
    assert TREES.heard({"rev": f"5@{ME}"}) is None
    assert TREES.heard({}) is None


def test_a_rev_says_its_ancestors_down_to_what_the_peer_has() -> None:
    out = RevisionOut("a", 9, tid(3), f"{tid(2)},{tid(1)}", False, f"5@{ME}", b"{}")
    on = Ground(Verdict.SEND, tid(2))
    said = TREES.said(out, (tid(2),), on, 50, retold=False)
    assert said == {"rev": tid(3), "history": tid(2)}
    first = RevisionOut("a", 9, tid(1), "", False, f"5@{ME}", b"{}")
    assert TREES.said(first, (), FREE, 50, retold=False) == {"rev": tid(1)}


def test_a_rev_that_met_a_dead_branch_says_steps_in_place_of_ancestors() -> None:
    names = f"{tid(3)},{tid(2)},{tid(1)}"
    out = RevisionOut("a", 9, tid(4), names, False, f"{2**60 + 4:x}@{ME}", b"{}")
    on = Ground(Verdict.SEND, tid(1))
    told = TREES.said(out, (tid(1),), on, 50, retold=True)["history"].split(",")
    assert told[-1] == tid(1)
    assert [generation(each) for each in told] == [3, 2, 1]
    assert not {tid(3), tid(2)} & set(told)


# --- on top of what it goes -----------------------------------------------------------------------


def revision(vector: str = f"{2**60 + 4:x}@{ME}", height: int = 4) -> RevisionOut:
    names = ",".join(tid(i) for i in (3, 2, 1))
    return RevisionOut("a", 9, tid(4, height), names, False, vector, b"{}")


def test_a_revision_goes_on_top_of_the_newest_ancestor_that_the_peer_lists() -> None:
    assert TREES.ground(revision(), ()) == FREE
    assert TREES.ground(revision(), (tid(3), tid(2))) == Ground(Verdict.SEND, tid(3))


def test_a_leaf_that_is_unknown_here_is_nothing_to_build_on() -> None:
    """Else the peer would put ours above an edit of its own that nobody has seen."""
    stranger = "3-" + "ab" * 20
    assert TREES.ground(revision(), (stranger, tid(2))) == Ground(Verdict.SEND, tid(2))
    assert TREES.ground(revision(), (stranger,)) == FREE


def test_the_same_revision_under_another_name_is_not_sent_but_as_a_lift() -> None:
    assert TREES.ground(revision(height=8), (tid(4),)) == Ground(Verdict.SEND, tid(4))
    assert TREES.ground(revision(), (tid(4, 8),)) == Ground(Verdict.HELD, tid(4, 8))
    assert TREES.ground(revision(), ("9-" + "ab" * 20, tid(4))) == Ground(Verdict.HELD, tid(4))


def test_without_room_for_what_the_peer_must_be_told_the_name_is_lifted_first() -> None:
    other = "b" * 21 + "A"
    vector = f"{2**60 + 4:x}@{ME}; {2**60 + 3:x}@{other}"
    assert TREES.ground(revision(vector), (tid(3),)) == Ground(Verdict.SEND, tid(3))
    older = name(3, Version(2**60 + 1, ME))
    assert TREES.ground(revision(vector), (older,)) == Ground(Verdict.LIFT, older)


def test_a_lifted_name_is_not_as_given() -> None:
    given = RevisionIn("a", tid(3), "", False, b"{}", "", ())
    assert TREES.is_as_given(tid(3), given)
    assert not TREES.is_as_given(tid(3, 7), given)


def test_a_row_is_wanted_unless_it_is_known() -> None:
    assert TREES.answer(row(tid(3)), None, refuses=False) == ([], "")
    assert TREES.answer(row(tid(3)), held(3), refuses=False) == (0, tid(3))
    assert TREES.answer(row(tid(2)), held(3), refuses=False) == (0, tid(2))
    other = "4-" + "ab" * 20
    answer, has = TREES.answer(row(other), held(3), refuses=False)
    assert answer == [tid(3), tid(2), tid(1)]
    assert has == ""
    with pytest.raises(PeerProtocolError):
        TREES.answer(row("4-x"), held(3), refuses=False)


def test_a_sibling_is_refused_where_conflicts_are() -> None:
    assert TREES.answer(row("3-" + "ab" * 20), held(3), refuses=True) == (409, "")


@pytest.mark.parametrize("refuses", [True, False])
def test_an_unknown_proposal_is_wanted_whatever_its_parent_is(refuses: bool) -> None:
    """Its history may lead to ours all the same."""
    other = "4-" + "ab" * 20
    assert TREES.status(ProposedRow("a", other, tid(3), 0), held(3), refuses=refuses)[0] == 0
    assert TREES.status(ProposedRow("a", other, tid(2), 0), held(3), refuses=refuses)[0] == 0
    assert TREES.status(ProposedRow("a", "nonsense", "", 0), None, refuses=refuses)[0] == 400


def test_a_proposal_of_what_is_known_is_not_wanted() -> None:
    assert TREES.status(ProposedRow("a", tid(3), "", 0), held(3), refuses=True) == (304, "")
    assert TREES.status(ProposedRow("a", tid(2), "", 0), held(3), refuses=True) == (409, tid(3))
    both_ways = ProposedRow("a", tid(2), tid(3), 0)
    assert TREES.status(both_ways, held(3), refuses=True) == (0, "")
