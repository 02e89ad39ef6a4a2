from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settee.doc import conflict
from settee.doc.conflict import State
from settee.doc.records import Held, RevisionOut
from settee.doc.revision import check_history, generation, name
from settee.doc.version import TIME_MIN, Vector, Version, format_vector, time_of
from settee.sync.history import (
    has_one_author,
    history_text,
    is_plainly_unknown,
    names_above,
    state_of,
    stored_state,
)

ME = "a" * 21 + "A"


def tid(n: int) -> str:
    return name(n, Version(2**60 + (n << 16), ME))


def revision(n: int, names: int | None = None) -> RevisionOut:
    history = [tid(i) for i in range(n - 1, 0, -1)][:names]
    vector = format_vector(Vector(Version(2**60 + (n << 16), ME)))
    return RevisionOut("doc", n, tid(n), ",".join(history), False, vector, b"{}")


def test_a_first_revision_has_no_history() -> None:
    assert history_text(revision(1), None, 50) == ""
    assert history_text(revision(1), tid(1), 50) == ""


def test_the_history_stops_at_what_the_peer_has() -> None:
    assert history_text(revision(5), tid(3), 50) == f"{tid(4)},{tid(3)}"
    assert names_above(revision(5), (tid(3),)) == (tid(4), tid(3))


def test_without_a_base_all_is_told_up_to_the_limit() -> None:
    assert history_text(revision(5), None, 2) == f"{tid(4)},{tid(3)}"
    assert names_above(revision(5), ()) == (tid(4), tid(3), tid(2), tid(1))


@pytest.mark.parametrize("history_max", [20, 43, 44, 50])
def test_a_base_far_below_comes_last_all_the_same(history_max: int) -> None:
    text = history_text(revision(45), tid(2), history_max)
    names = text.split(",")
    assert len(names) <= history_max
    assert names[-1] == tid(2), "else the receiver sees a conflict"
    assert check_history(tid(45), names)


@pytest.mark.parametrize("known", [20, 50])
def test_a_base_that_was_pruned_here_comes_last_too(known: int) -> None:
    names = history_text(revision(99, known), tid(2), 50).split(",")
    assert names[-1] == tid(2)
    assert check_history(tid(99), names)


def test_a_history_with_a_hole_is_filled_for_those_who_insist() -> None:
    made = revision(5)._replace(history=f"{tid(2)},{tid(1)}")
    names = history_text(made, tid(1), 50).split(",")
    assert [generation(n) for n in names] == [4, 3, 2, 1]
    assert check_history(made.tid, names)


def test_a_base_not_below_is_no_base() -> None:
    assert check_history(tid(3), history_text(revision(3), tid(7), 50).split(","))


def test_what_is_held_becomes_a_state_and_back() -> None:
    made = revision(3)
    held = Held(made.tid, True, made.vector, "2-aa", made.history, "")
    state = state_of(held)
    assert state == State(
        made.tid, True, Vector(Version(2**60 + (3 << 16), ME)), ("2-aa",), (tid(2), tid(1))
    )
    assert stored_state(made) == state._replace(deleted=False, aka=())


AUTHORS = ["wnucF2LvT2yMhMGFY0x7jQ", "UAw43SNtT+Kfr2eFge5bKw"]
VERSIONS = st.builds(Version, st.integers(TIME_MIN, TIME_MIN + 3), st.sampled_from(AUTHORS))


@given(st.lists(VERSIONS, min_size=1, max_size=4), VERSIONS, st.integers(1, 5), st.booleans())
def test_what_is_plainly_unknown_is_unknown_to_the_long_way_too(
    saves: list[Version], version: Version, height: int, aliased: bool
) -> None:
    state = None
    for save in saves:
        if state is None or time_of(state.vector, save.source) < save.time:
            state = conflict.saved(state, save, False)
    assert state is not None
    aka = "2-bb" if aliased else ""
    held = Held(state.tid, False, format_vector(state.vector), aka, ",".join(state.history), "")
    tid = name(height, version)
    unknown = conflict.known(state_of(held), tid) is conflict.Relation.UNKNOWN
    if is_plainly_unknown(held, tid):
        assert unknown
    elif unknown:
        assert aka or not has_one_author(held.vector)


@pytest.mark.parametrize(("mine", "vector"), [(tid(1), "garbage"), (tid(1), ""), ("garbage", "")])
def test_nothing_is_plainly_unknown_to_a_damaged_row(mine: str, vector: str) -> None:
    held = Held(mine, False, vector, "", "", "")
    assert not is_plainly_unknown(held, tid(2))
