from __future__ import annotations

from typing import Any

import pytest

from settee.doc.conflict import Relation, State
from settee.doc.records import Held, RevisionIn, RevisionOut
from settee.doc.revision import name
from settee.doc.version import RTE, Version, encode_tree, format_version, parse_vector
from settee.errors import PeerProtocolError
from settee.sync.dialect import Ground, Verdict
from settee.sync.messages import AnnouncedRow, ProposedRow
from settee.sync.vectors import VectorDialect
from tests.doc.vectors import vectors

FREE = Ground(Verdict.SEND, None)
PLAIN = VectorDialect(is_extended=False)
SETTEE = VectorDialect(is_extended=True)
A, B, C = (letter * 21 + "A" for letter in "abc")


def v(n: int, source: str = A) -> str:
    return f"{2**60 + n:x}@{source}"


def tid(n: int, source: str = A, height: int = 1) -> str:
    return name(height, Version(2**60 + n, source))


def held(vector: str, height: int = 3, *, mark: str = "", deleted: bool = False) -> Held:
    return Held(name(height, parse_vector(vector).cv), deleted, vector, "", "", mark)


def row(rev: str, tree: str = "") -> AnnouncedRow:
    return AnnouncedRow("1", "a", rev, 0, 0, tree)


def out(vector: str, history: str = "", height: int = 3) -> RevisionOut:
    return RevisionOut("a", 9, name(height, parse_vector(vector).cv), history, False, vector, b"{}")


@pytest.mark.parametrize("case", vectors("versions")["rev_message"])
def test_a_vector_is_split_into_rev_and_history(case: dict[str, Any]) -> None:
    legacy = case.get("legacy_ancestors", [])
    made = out(case["vector"], ",".join(legacy))._replace(tid=tid(9))
    said = PLAIN.said(made, (), FREE, 50, retold=bool(legacy))
    assert said["rev"] == case["rev"]
    assert said.get("history") == case.get("history")


@pytest.mark.parametrize(
    "vector",
    [v(5), f"{v(5)}; {v(4, B)}, {v(3, C)}", f"{v(5)}, {v(4, B)}, {v(3, C)};"],
)
def test_what_is_said_is_heard(vector: str) -> None:
    heard = PLAIN.heard(PLAIN.said(out(vector), (), FREE, 50, retold=False))
    assert heard == ("", "", vector)


def test_between_settee_peers_the_tree_names_travel_too() -> None:
    made = out(f"{v(5)}; {v(4, B)}", f"{tid(4, B, 2)},{tid(3, C)}")
    said = SETTEE.said(made, (tid(4, B, 2),), FREE, 50, retold=False)
    assert said == {"rev": v(5), "history": v(4, B), "tree": f"{made.tid},{tid(4, B, 2)}"}
    assert SETTEE.heard(said) == (made.tid, tid(4, B, 2), made.vector)
    assert SETTEE.row_end(made.tid) == [made.tid]
    assert PLAIN.row_end(made.tid) == []


def test_a_tree_that_names_another_version_is_refused() -> None:
    assert SETTEE.heard({"rev": v(5), "tree": tid(6)}) is None
    assert SETTEE.heard({"rev": v(5), "tree": "nonsense"}) is None


@pytest.mark.parametrize("rev", ["", "5@", "x@" + A, f"5@{A}!", "1-x"])
def test_a_malformed_rev_is_no_revision(rev: str) -> None:
    assert PLAIN.heard({"rev": rev}) is None
    assert PLAIN.tid_of(rev) is None
    with pytest.raises(PeerProtocolError):
        PLAIN.answer(row(rev), None, refuses=False)
    assert PLAIN.status(ProposedRow("a", rev, "", 0), None, refuses=False) == (400, "")


# --- databases that were upgraded from trees ------------------------------------------------------


def test_a_legacy_revision_is_read_as_a_tree_name() -> None:
    assert PLAIN.heard({"rev": "2-bb", "history": "1-aa"}) == ("2-bb", "1-aa", "")
    assert PLAIN.tid_of("2-bb") == "2-bb"


def test_legacy_ancestors_become_part_of_the_vector() -> None:
    heard = PLAIN.heard({"rev": v(5), "history": f"{v(4, B)}, 2-bb, 1-aa"})
    assert heard is not None
    encoded = format_version(encode_tree("2-bb"))
    assert heard == ("", "2-bb,1-aa", f"{v(5)}; {v(4, B)}, {encoded}")


def test_the_trees_entry_in_a_vector_is_kept_among_legacy_ancestors() -> None:
    entry = encode_tree("2-dd")
    heard = PLAIN.heard({"rev": v(5), "history": f"{format_version(entry)}, 3-cc, 2-bb"})
    encoded = format_version(encode_tree("3-cc"))
    assert heard == ("", f"3-cc,2-bb,{name(2, entry)}", f"{v(5)}; {encoded}")


def test_a_derived_name_among_legacy_ancestors_is_the_version_in_it() -> None:
    heard = PLAIN.heard({"rev": v(5), "history": tid(4, B, 3)})
    assert heard is not None
    assert heard.vector == f"{v(5)}; {v(4, B)}"


def test_a_peer_that_calls_a_document_by_tree_names_is_told_them() -> None:
    made = out(v(5), f"2-bb,{tid(3, C)},1-aa")
    assert PLAIN.said(made, ("2-bb",), FREE, 50, retold=True) == {
        "rev": v(5),
        "history": "2-bb, 1-aa",
    }


def test_a_version_born_as_a_tree_name_is_told_by_it_to_who_did_not_understand() -> None:
    native = "3-4da0f36081519bf4f5385d94d56382280a839854"
    made = out(f"34da0f36081@{RTE}; {v(4, B)}", f"2-bbbb,{tid(4, B)}")
    made = made._replace(tid=native)
    said = PLAIN.said(made, (), FREE, 50, retold=True)
    assert said == {"rev": native, "history": "2-bbbb"}


def test_of_a_version_whose_tree_name_was_lifted_as_much_is_told_as_it_holds() -> None:
    made = out(f"34da0f36081@{RTE}", "4-aaaa,2-bbbb", height=9)
    said = PLAIN.said(made, (), FREE, 50, retold=True)
    assert said == {"rev": "3-4da0f36081", "history": "2-bbbb"}
    assert encode_tree(said["rev"]) == parse_vector(made.vector).cv


# --- what a row means -----------------------------------------------------------------------------


def test_a_row_of_an_unknown_document_is_wanted() -> None:
    assert PLAIN.answer(row(v(5)), None, refuses=False) == ([], "")


def test_a_row_of_the_same_or_an_older_version_is_not_wanted() -> None:
    mine = held(f"{v(5)}; {v(4, B)}")
    assert PLAIN.answer(row(v(5)), mine, refuses=False) == (0, mine.tid)
    assert PLAIN.answer(row(v(4, B)), mine, refuses=False) == (0, tid(4, B))
    assert PLAIN.answer(row(f"{v(4, B)}; {v(3, C)}"), mine, refuses=False) == (0, tid(4, B))


def test_a_row_of_another_version_is_wanted_and_ours_is_told() -> None:
    mine = held(v(5), mark=tid(4))
    assert PLAIN.answer(row(v(6, B)), mine, refuses=False) == ([v(5), v(4)], "")


def test_a_vector_that_contains_ours_though_ours_contains_it_is_wanted() -> None:
    mine = held(f"{v(5)}; {v(6, B)}")
    wanted, _ = PLAIN.answer(row(f"{v(6, B)}; {v(5)}"), mine, refuses=False)
    assert wanted == [v(5)]


def test_an_ancestor_from_a_peer_that_was_believed_to_have_ours_is_wanted() -> None:
    mine = held(f"{v(5)}; {v(4, B)}", mark=tid(5))
    assert PLAIN.answer(row(v(4, B)), mine, refuses=False) == ([v(5)], "")


def test_a_settee_row_goes_by_its_tree_name() -> None:
    mine = held(v(5), 3)
    assert SETTEE.answer(row(v(5), tid(5, height=7)), mine, refuses=False) == (0, tid(5, height=7))
    wanted, _ = SETTEE.answer(row(v(6, B), tid(6, B, 4)), mine, refuses=False)
    assert wanted == [mine.tid]


# --- what a proposal is told ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rev", "parent", "status"),
    [
        (v(5), "", 304),
        (v(6), v(5), 0),
        (v(6, B), v(5), 0),
        (v(6, B), v(3), 409),
        (v(6, B), "", 409),
        (f"{v(6, B)}; {v(5)}", v(3), 0),
        (v(4, B), v(2, B), 409),
    ],
)
def test_a_proposal_fits_if_it_descends_from_the_current_version(
    rev: str, parent: str, status: int
) -> None:
    mine = held(f"{v(5)}; {v(4, B)}")
    told = PLAIN.status(ProposedRow("a", rev, parent, 0), mine, refuses=True)
    assert told == (status, mine.vector if status == 409 else "")


def test_a_later_version_of_the_same_author_fits() -> None:
    assert PLAIN.status(ProposedRow("a", v(6), "", 0), held(v(5)), refuses=True) == (0, "")


def test_a_tombstone_takes_a_document_without_a_parent() -> None:
    mine = held(v(5), deleted=True)
    assert PLAIN.status(ProposedRow("a", v(6, B), "", 0), mine, refuses=True) == (0, "")


def test_a_document_that_is_not_here_is_taken_with_a_parent_too() -> None:
    assert PLAIN.status(ProposedRow("a", v(6), v(5), 0), None, refuses=True) == (0, "")


def test_a_legacy_parent_is_the_version_that_it_encodes() -> None:
    mine = held(format_version(encode_tree("2-bb")), 2)
    assert PLAIN.status(ProposedRow("a", v(6), "2-bb", 0), mine, refuses=True) == (0, "")


# --- what a refusal names -------------------------------------------------------------------------


def test_the_current_revision_of_a_refusal_is_compared() -> None:
    vector = parse_vector(f"{v(5)}; {v(4, B)}, {format_version(Version(2 << 40, RTE))}")
    state = State(name(3, vector.cv), False, vector, (), ())
    assert PLAIN.relation(state, v(5)) is Relation.SAME
    assert PLAIN.relation(state, f"{v(4, B)}; {v(3, C)}") is Relation.OLD
    assert PLAIN.relation(state, v(6, C)) is Relation.UNKNOWN
    assert PLAIN.relation(state, f"{v(4, B)}; {v(5)}") is Relation.UNKNOWN
    assert PLAIN.relation(state, "1-aa") is Relation.OLD
    assert PLAIN.relation(state, "nonsense") is Relation.UNKNOWN


def test_a_stored_revision_is_as_given_if_its_version_is() -> None:
    given = RevisionIn("a", "", "", False, b"{}", v(5), ())
    assert PLAIN.is_as_given(tid(5, height=9), given)
    assert not PLAIN.is_as_given(tid(6), given)
