"""What the replay knows of names."""

from __future__ import annotations

from settee.doc.records import Held
from settee.doc.revision import name
from settee.doc.version import RTE, Version
from tests.replay.names import TREE_NAMES, VERSIONS, Named

A, B, C = (letter * 21 + "A" for letter in "abc")
ONE, TWO, THREE = (f"{n}-{n:040x}" for n in (1, 2, 3))


def test_a_row_may_hold_the_whole_vector() -> None:
    assert VERSIONS.name_in(f"5@{A}; 4@{B}") == f"5@{A}"
    assert VERSIONS.name_in(f"5@{A}, 4@{B}, 3@{C};") == f"5@{A}"
    assert TREE_NAMES.name_in(TWO) == TWO
    assert VERSIONS.name_in("") == TREE_NAMES.name_in("") == ""


def test_the_ancestors_of_a_vector_are_the_newest_of_each_other_author() -> None:
    first = VERSIONS.edited(f"3@{A}", None)
    second = VERSIONS.edited(f"4@{B}", first)
    third = VERSIONS.edited(f"5@{A}", second)
    assert (first.ancestors, second.ancestors) == ((), (f"3@{A}",))
    assert third == Named(f"5@{A}", (f"4@{B}",))
    assert VERSIONS.text(third) == f"5@{A}; 4@{B}"
    assert VERSIONS.text(first) == f"3@{A}"
    assert VERSIONS.given(third) == ("", "", f"5@{A}; 4@{B}")
    assert VERSIONS.ancestors_in(f"4@{B}, 3@{C}") == (f"4@{B}", f"3@{C}")


def test_the_ancestors_in_a_tree_are_all_that_went_before() -> None:
    third = TREE_NAMES.edited(THREE, TREE_NAMES.edited(TWO, TREE_NAMES.edited(ONE, None)))
    assert third == Named(THREE, (TWO, ONE))
    assert TREE_NAMES.given(third) == (THREE, f"{TWO},{ONE}", "")
    assert TREE_NAMES.text(third) == THREE
    assert TREE_NAMES.taken(Named(THREE, (TWO,)), Named(TWO, (ONE,))) == third
    assert VERSIONS.taken(Named(f"5@{A}", ()), Named(f"4@{A}", (f"3@{B}",))).ancestors == ()


def test_a_vector_contains_what_is_not_newer_than_its_entry() -> None:
    revision = Named(f"5@{A}", (f"4@{B}",))
    assert VERSIONS.contains(revision, f"3@{A}")
    assert VERSIONS.contains(revision, f"4@{B}")
    assert not VERSIONS.contains(revision, f"6@{A}")
    assert not VERSIONS.contains(revision, f"1@{C}")
    assert TREE_NAMES.contains(Named(TWO, (ONE,)), ONE)
    assert not TREE_NAMES.contains(Named(TWO, (ONE,)), THREE)


def test_the_later_version_stands_and_the_higher_generation() -> None:
    assert VERSIONS.stands([f"f@{B}", f"10@{A}"]) == f"10@{A}"
    other = "2-" + "f" * 40
    assert TREE_NAMES.stands([ONE, TWO, other]) == other
    assert TREE_NAMES.stands([other, THREE]) == THREE


def test_what_settee_holds_is_told_in_either_familys_names() -> None:
    cv, tree = Version(2**60, A), Version(2 << 40, RTE)
    held = Held(name(3, cv), False, f"{2**60:x}@{A}; {2 << 40:x}@{RTE}", "", f"{TWO},{ONE}", "")
    assert VERSIONS.of(held) == Named(f"{cv.time:x}@{A}", (f"{tree.time:x}@{RTE}",))
    assert TREE_NAMES.of(held) == Named(name(3, cv), (TWO, ONE))
    assert VERSIONS.holds(held, f"{2**59:x}@{A}")
    assert not VERSIONS.holds(held, f"{2**59:x}@{B}")
    assert TREE_NAMES.holds(held, ONE)
    assert not TREE_NAMES.holds(held, THREE)
