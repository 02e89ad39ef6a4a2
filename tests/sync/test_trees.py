from __future__ import annotations

import pytest

from settee.doc.records import Held, RevisionIn, RevisionOut
from settee.doc.revision import name
from settee.doc.version import Version
from settee.errors import PeerProtocolError
from settee.sync.messages import AnnouncedRow, ProposedRow
from settee.sync.trees import TreeDialect

TREES = TreeDialect()
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
    said = TREES.said(out, (tid(2),), 50, legacy=False)
    assert said == {"rev": tid(3), "history": tid(2)}
    first = RevisionOut("a", 9, tid(1), "", False, f"5@{ME}", b"{}")
    assert TREES.said(first, (), 50, legacy=False) == {"rev": tid(1)}


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


def test_a_proposal_is_judged_by_its_parent_where_conflicts_are_refused() -> None:
    other = "4-" + "ab" * 20
    assert TREES.status(ProposedRow("a", other, tid(3), 0), held(3), refuses=True) == (0, tid(3))
    assert TREES.status(ProposedRow("a", other, tid(2), 0), held(3), refuses=True)[0] == 409
    assert TREES.status(ProposedRow("a", other, tid(2), 0), held(3), refuses=False)[0] == 0
    assert TREES.status(ProposedRow("a", "nonsense", "", 0), None, refuses=False)[0] == 400
