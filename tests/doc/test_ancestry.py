from __future__ import annotations

import pytest

from settee.doc.ancestry import (
    Relation,
    State,
    ancestors_held,
    assert_sound,
    born_at,
    decoded,
    has_room,
    history_for,
    known,
    must_tell,
)
from settee.doc.conflict import saved
from settee.doc.revision import check_history, filler, generation, name, step, version_of
from settee.doc.version import RTE, TIME_MIN, Vector, Version, encode_tree, source_text

A, C = "wnucF2LvT2yMhMGFY0x7jQ", "UAw43SNtT+Kfr2eFge5bKw"
NOW = 0x18EA99BB8E3C0000


def long_document(edits: int) -> State:
    """One author's document after so many saves."""
    state = None
    for i in range(edits):
        state = saved(state, Version(NOW + i, A), False)
    assert state is not None
    return state


# --- known --------------------------------------------------------------------------------------


def test_a_name_is_same_old_or_unknown_by_what_it_says():
    state = long_document(3)
    assert known(state, state.tid) is Relation.SAME
    assert known(state, name(77, Version(NOW + 2, A))) is Relation.SAME
    assert known(state, step(2, Version(NOW + 1, A), "9-aa")) is Relation.OLD
    assert known(state, name(1, Version(NOW - 5, A))) is Relation.OLD
    assert known(state, name(1, Version(NOW + 3, A))) is Relation.UNKNOWN
    assert known(state, name(1, Version(NOW, C))) is Relation.UNKNOWN
    assert known(state, "1-aa") is Relation.UNKNOWN


def test_a_filler_is_never_known():
    state = State("9-aa", False, Vector(version_of("9-aa")), (), ())
    assert known(state, filler(2, "9-aa")) is Relation.UNKNOWN
    assert known(state, "2-bb") is Relation.OLD


def test_an_alias_and_its_ancestors_are_known_under_every_spelling():
    native = version_of("2-bb")
    state = State(name(5, native), False, Vector(native), ("2-bb",), ("1-aa",))
    assert_sound(state)
    for spelling in ("2-bb", name(9, native), "2-bb00"):
        assert known(state, spelling) is Relation.SAME
    for spelling in ("1-aa", name(4, version_of("1-aa"))):
        assert known(state, spelling) is Relation.OLD
    assert known(state, "2-cc") is Relation.UNKNOWN


def test_a_lifted_alias_was_not_born_where_it_stands():
    assert born_at(["4-dd"], 4)
    assert born_at([name(4, Version(NOW, A))], 4)
    assert not born_at([name(4, version_of("2-bb"))], 4)
    assert not born_at([filler(4, "5-ee")], 4)
    assert not born_at(["14-dd", "3-cc"], 4)


# --- history_for --------------------------------------------------------------------------------


def test_a_receiver_that_holds_an_ancestor_is_led_down_to_it():
    state = long_document(10)
    base = state.history[5]
    told = history_for(state, base, 50)
    assert told == list(state.history[:6])
    assert check_history(state.tid, told)


def test_a_base_too_far_down_comes_last_after_a_jump():
    state = long_document(45)
    base = state.history[40]
    told = history_for(state, base, 20)
    assert told == [*state.history[:19], base]
    assert check_history(state.tid, told)


def test_without_a_base_the_known_names_are_told_as_far_as_they_fit():
    state = long_document(45)
    assert history_for(state, None, 20) == list(state.history[:20])
    assert history_for(long_document(1), None, 20) == []
    assert len(history_for(long_document(90), None, 50)) == 50


def test_a_base_that_lies_no_lower_is_left_out():
    state = long_document(3)
    assert history_for(state, state.tid, 50) == history_for(state, None, 50)
    assert history_for(state, name(9, Version(NOW, A)), 50) == history_for(state, None, 50)


def test_holes_in_what_is_known_are_filled():
    cv, other = Version(NOW + 5, A), Version(NOW + 1, C)
    state = State(name(9, cv), False, Vector(cv, (), (other,)), (), (name(4, other),))
    base = name(2, Version(NOW - 9, A))
    told = history_for(state, base, 50)
    assert told[0] == name(8, other)
    assert told[1:] == [*(filler(g, state.tid) for g in (7, 6, 5, 4, 3)), base]
    assert check_history(state.tid, told)


def test_what_must_be_told_goes_before_what_may_be_when_there_is_little_room():
    cv = Version(NOW + 50, A)
    authors = [Version(NOW + i, source_text(f"{i + 1:032x}")) for i in range(3)]
    ancestors = tuple(f"{g}-{g:02x}" for g in range(19, 9, -1))
    tree = version_of(ancestors[0])
    vector = Vector(cv, (), (*reversed(authors), tree))
    state = State(name(20, cv), False, vector, (), ancestors)
    assert_sound(state)
    told = history_for(state, "9-09", 6)
    assert {version_of(h) for h in told[:4]} == {*authors, tree}
    assert told[-1] == "9-09"
    assert [generation(h) for h in told[:5]] == [19, 18, 17, 16, 15]


def test_a_tree_holder_is_told_the_newer_tree_entry_and_a_version_holder_what_is_later():
    cv, tree = Version(NOW + 5, A), Version(5 << 40 | 1, RTE)
    vector = Vector(cv, (), (Version(NOW + 1, C), tree))
    state = State(name(9, cv), False, vector, (), ())
    assert must_tell(state, None) == [Version(NOW + 1, C), tree]
    assert must_tell(state, "3-cc") == [Version(NOW + 1, C), tree]
    assert must_tell(state, "7-cc") == [Version(NOW + 1, C)]
    assert must_tell(state, name(3, Version(NOW, A))) == [Version(NOW + 1, C), tree]
    assert must_tell(state, name(3, Version(NOW + 1, C))) == [tree]
    assert must_tell(state, name(3, cv)) == []
    assert has_room(state, "6-cc") is True
    assert has_room(state, "7-cc") is True
    assert has_room(state, name(7, Version(NOW, A))) is False


# --- ancestors_held -----------------------------------------------------------------------------


def test_the_answer_to_a_row_lists_ten_lower_names_newest_first():
    state = long_document(30)
    names = (state.tid, *state.history)
    assert ancestors_held(names, 31) == [state.tid, *state.history[:9]]
    assert ancestors_held(names, 30) == list(state.history[:10])
    assert ancestors_held(names, 1) == []
    assert ancestors_held(("5-bb", "2-bb", "1-aa"), 5) == ["2-bb", "1-aa"]


# --- invariants ---------------------------------------------------------------------------------

CV = Version(NOW, A)
SOUND = State(name(3, CV), False, Vector(CV, (), (version_of("2-bb"),)), (), ("2-bb", "1-aa"))


@pytest.mark.parametrize(
    "change",
    [
        {"tid": "3-cc"},
        {"tid": name(2, CV)},
        {"vector": Vector(CV, (), (Version(5 << 40, RTE),))},
        {"vector": Vector(CV, (), (Version(NOW - 1, A),))},
        {"vector": Vector(CV, (Version(NOW, A),))},
        {"vector": Vector(CV, (Version(NOW, C),), (Version(NOW - 1, C),))},
        {"vector": Vector(CV, (), (Version(TIME_MIN - 1, C),))},
        {"aka": ("2-bb",)},
        {"aka": (name(3, CV),)},
        {"history": ("1-aa", "2-bb")},
        {"history": ("2-bb", "2-bb")},
        {"history": (filler(2, "3-cc"),)},
        {"history": (name(2, CV),)},
        {"history": tuple(f"{g}-aa" for g in range(60, 9, -1))},
    ],
)
def test_a_broken_invariant_is_noticed(change):
    assert_sound(SOUND)
    with pytest.raises(AssertionError):
        assert_sound(SOUND._replace(**change))


def test_steps_lead_down_by_names_that_nobody_can_have_seen():
    state = long_document(5)
    base = state.history[-1]
    names = history_for(state, base, 50)
    steps = history_for(state, base, 50, steps=True)
    assert [generation(each) for each in steps] == [generation(each) for each in names]
    assert [version_of(each) for each in steps] == [version_of(each) for each in names]
    assert set(steps) & set(names) == {base}
    assert check_history(state.tid, steps)


def test_an_encoded_name_that_settee_made_is_read_as_its_version():
    state = long_document(3)
    for tid in (state.tid, *state.history):
        encoded = Vector(encode_tree(tid))
        assert decoded(state, encoded) == Vector(version_of(tid))
    stranger = Vector(encode_tree("3-ff" + "12" * 24))
    assert decoded(state, stranger) == stranger, "it holds too little to be read alone"
    native = Vector(encode_tree("3-" + "ab" * 20))
    assert decoded(state, native) == native
