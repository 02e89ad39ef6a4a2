from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settee.doc.ancestry import by_height
from settee.doc.conflict import (
    Relation,
    State,
    adopt,
    assert_sound,
    claims,
    has_room,
    history_for,
    known,
    learn,
    name_of,
    plain_edit,
    rank,
    relate,
    resolve,
    saved,
)
from settee.doc.revision import (
    check_history,
    filler,
    generation,
    is_acceptable,
    name,
    step,
    version_of,
)
from settee.doc.version import (
    RTE,
    TIME_MIN,
    Order,
    Vector,
    Version,
    compare,
    contains,
    encode_tree,
    format_vector,
    format_version,
    parse_vector,
    source_text,
)
from settee.limits import HISTORY_NAMES_MAX, VECTOR_SOURCES_MAX
from tests.doc.fleet import Peer, run
from tests.prop import examples

A = "wnucF2LvT2yMhMGFY0x7jQ"
C = "UAw43SNtT+Kfr2eFge5bKw"
A_HEX = "c27b9c1762ef4f6c8c84c185634c7b8d"
C_HEX = "500c38dd236d4fe29faf678581ee5b2b"
RTE_HEX = "45ebe2b22a27f93ade7be1277287629e"

A1 = Version(0x18EA99BB8E3C0000, A)
A2 = Version(0x18EA99BBB0390001, A)
A1_NAME = f"1-ff18ea99bb8e3c0000{A_HEX}"
T2_NAME = "2-4da0f36081519bf4f5385d94d56382280a839854"
T2_OTHER = "2-9009216314519bf4f5385d94d56382280a839854"
T2 = Version(0x24DA0F36081, RTE)


def newer(state, tid, history, *, vector=None, deleted=False) -> State:
    assert relate(state, tid, history, vector) is Relation.NEWER
    after = adopt(state, tid, history, vector, deleted)
    assert_sound(after)
    return after


def never() -> Version:
    raise AssertionError("nothing is to be minted here")


def settled(state, tid, history, *, vector=None, deleted=False, equal=False, mint=never):
    expected = (Relation.CONFLICT, Relation.MUTUAL)
    assert relate(state, tid, history, vector) in expected
    resolution = resolve(state, equal, tid, history, vector, deleted, mint)
    assert_sound(resolution.state)
    return resolution


@pytest.fixture
def created() -> State:
    """A 4.x phone created the document."""
    return newer(None, A1_NAME, [])


@pytest.fixture
def edited(created) -> State:
    """Then a 3.x phone edited it."""
    return newer(created, T2_NAME, [A1_NAME])


# --- the worked examples of the bridge ------------------------------------------------------------


def test_a_4x_revision_and_the_3x_edit_on_it_get_their_published_names(created, edited):
    assert created == State(A1_NAME, False, Vector(A1), (), ())
    assert edited.tid == T2_NAME
    assert format_vector(edited.vector) == f"24da0f36081@{RTE}; 18ea99bb8e3c0000@{A}"
    assert edited.history == (A1_NAME,)


def test_the_4x_edit_on_a_3x_edit_is_a_child_for_the_3x_phone(edited):
    vector = Vector(A2, (), (T2,))
    assert compare(vector, edited.vector) is Order.NEWER
    third = newer(edited, "", [], vector=vector)
    assert third.tid == f"3-ff18ea99bbb0390001{A_HEX}"
    assert third.vector == vector
    assert third.history == (T2_NAME, A1_NAME)
    assert history_for(third, T2_NAME, 50) == [T2_NAME]


def test_a_second_bridge_that_saw_only_the_last_edit_finds_the_same_name():
    third = newer(None, "", [], vector=Vector(A2, (), (T2,)))
    assert third.tid == f"3-ff18ea99bbb0390001{A_HEX}"
    assert third.history == (f"2-ff0000024da0f36081{RTE_HEX}",)
    assert known(third, T2_NAME) is Relation.OLD
    assert history_for(third, T2_NAME, 50) == [T2_NAME]
    assert history_for(third, None, 50) == [f"2-ff0000024da0f36081{RTE_HEX}"]


def test_two_heights_of_one_version_are_the_same_revision():
    tall, short = name(8, A2), name(3, A2)
    first, second = newer(None, tall, []), newer(None, short, [])
    assert known(second, tall) is Relation.SAME
    assert learn(second, tall) == first
    assert learn(first, short) is None
    filled = history_for(first, short, 50)
    assert filled == [*(filler(g, tall) for g in (7, 6, 5, 4)), short]
    assert check_history(tall, filled)


def test_an_edit_on_a_lower_spelling_is_a_child_all_the_same():
    state = newer(None, name(8, A2), [])
    edit = "4-77" + "00" * 19
    after = newer(state, edit, [name(3, A2)])
    assert after.tid == f"9-ff0000047700000000{RTE_HEX}"
    assert after.aka == (edit,)
    assert known(after, edit) is Relation.SAME
    assert known(after, name(3, A2)) is Relation.OLD


def test_two_3x_edits_at_once_end_in_the_greater_name_without_a_new_version(edited):
    resolution = settled(edited, T2_OTHER, [A1_NAME])
    state = resolution.state
    assert (resolution.body, resolution.minted) == ("theirs", False)
    assert state.vector.cv == version_of(T2_OTHER)
    assert state.tid == f"3-ff0000029009216314{RTE_HEX}"
    assert state.aka == (T2_OTHER,)
    assert state.history == (T2_NAME, A1_NAME)
    assert known(state, T2_NAME) is Relation.OLD
    assert history_for(state, T2_NAME, 50) == [T2_NAME]
    # The other bridge keeps its own, and calls it the same.
    mirrored = settled(newer(None, T2_OTHER, [A1_NAME]), T2_NAME, [A1_NAME])
    assert (mirrored.body, mirrored.minted) == ("mine", False)
    assert mirrored.state == state


def test_a_3x_edit_loses_to_a_4x_edit_and_its_phone_gets_a_child_of_its_own(created, edited):
    other = newer(created, "", [], vector=Vector(A2))
    resolution = settled(edited, other.tid, other.history)
    state = resolution.state
    assert (resolution.body, resolution.minted) == ("theirs", False)
    assert state.tid == f"3-ff18ea99bbb0390001{A_HEX}"
    assert format_vector(state.vector) == f"18ea99bbb0390001@{A}; 24da0f36081@{RTE}"
    assert history_for(state, T2_NAME, 50) == [T2_NAME]
    mirrored = settled(other, T2_NAME, [A1_NAME])
    assert mirrored.body == "mine"
    assert mirrored.state.tid == state.tid
    assert mirrored.state.vector == state.vector


def test_a_3x_deletion_wins_over_a_4x_edit(created):
    tombstone = newer(created, T2_NAME, [A1_NAME], deleted=True)
    other = newer(created, "", [], vector=Vector(A2))
    resolution = settled(tombstone, other.tid, other.history)
    assert resolution.body == "mine"
    assert resolution.state.deleted
    assert format_vector(resolution.state.vector) == f"24da0f36081@{RTE}; 18ea99bbb0390001@{A}"


def test_a_3x_phone_carries_the_vector_between_bridges_that_never_meet():
    mine = Version(0x18EA99B9B4E50000, C)
    state = newer(None, "", [], vector=Vector(mine, (), (A2,)))
    if not has_room(state, A1_NAME):
        state = learn(state, A1_NAME)
    assert state.tid == f"3-ff18ea99b9b4e50000{C_HEX}"
    told = history_for(state, A1_NAME, 50)
    assert told == [f"2-ff18ea99bbb0390001{A_HEX}", A1_NAME]
    other = newer(None, "", [], vector=Vector(A2))
    after = newer(other, state.tid, told)
    assert after.vector == state.vector


# --- relate -------------------------------------------------------------------------------------


def test_a_document_that_is_not_there_takes_anything():
    assert relate(None, "5-aa", [], None) is Relation.NEWER
    assert relate(None, "5-aa", ["4-bb"], Vector(A1)) is Relation.NEWER


def test_siblings_of_the_tree_are_in_conflict_whichever_is_greater(edited):
    for sibling in ("2-00" + "ab" * 19, T2_OTHER):
        assert relate(edited, sibling, [A1_NAME], None) is Relation.CONFLICT
        assert relate(edited, sibling, [], None) is Relation.CONFLICT


def test_a_parent_known_only_through_a_vector_is_taken_for_an_ancestor():
    state = newer(None, "", [], vector=Vector(Version(3 << 40 | 0xAA, RTE), (), (A1,)))
    assert relate(state, "2-cc", [], None) is Relation.OLD
    assert relate(state, "3-cc", [], None) is Relation.CONFLICT
    # Once something is known to have been born there, a sibling is a sibling.
    state = newer(newer(None, "2-bb", []), "3-cc", ["2-bb"])
    assert relate(state, "2-dd", [], None) is Relation.CONFLICT


def test_a_longer_tree_branch_with_a_hole_where_mine_would_be_descends_from_it():
    state = newer(None, "2-bb", [])
    hole = [name(3, A2), name(2, A1), "1-aa"]
    assert relate(state, "4-dd", ["3-cc", "2-ee"], None) is Relation.CONFLICT
    assert relate(state, "4-dd", hole, None) is Relation.CONFLICT
    assert relate(state, "4-dd", [name(3, A2), filler(2, "4-dd"), "1-aa"], None) is Relation.NEWER


def test_a_branch_so_long_that_its_tree_was_pruned_descends_from_what_lies_below_it(created):
    tall = [f"{g}-{g:04x}" for g in range(40, 20, -1)]
    other = newer(None, name(1, Version(0x18EA99B9B4E50000, C)), [])
    assert relate(other, "41-aa", tall, None) is Relation.NEWER
    assert relate(other, "41-aa", tall[:18], None) is Relation.CONFLICT
    lifted = learn(other, name(30, other.vector.cv))
    assert relate(lifted, "41-aa", tall, None) is Relation.CONFLICT


def test_each_below_the_other_is_mutual(edited):
    state = newer(edited, "", [], vector=Vector(A2, (), (T2,)))
    assert relate(state, name(9, A1), [name(8, A2)], None) is Relation.MUTUAL
    assert relate(state, name(9, A1), [], None) is Relation.OLD
    theirs = Vector(T2, (), (Version(A2.time + 1, A),))
    assert relate(state, T2_NAME, [], theirs) is Relation.MUTUAL


def test_a_vector_decides_before_the_names(edited):
    assert relate(edited, T2_OTHER, [], edited.vector) is Relation.SAME
    assert relate(edited, T2_OTHER, [], Vector(A1)) is Relation.OLD
    assert relate(edited, T2_OTHER, [], Vector(A2)) is Relation.CONFLICT
    assert relate(edited, T2_OTHER, [], Vector(A2, (), (T2,))) is Relation.NEWER


# --- save, adopt, learn -------------------------------------------------------------------------


def test_a_save_is_a_child_that_contains_all(edited):
    mine = Version(A2.time, C)
    state = saved(edited, mine, False)
    assert_sound(state)
    assert state.tid == name(3, mine)
    assert state.history == (T2_NAME, A1_NAME)
    assert format_vector(state.vector) == f"{A2.time:x}@{C}; {A1.time:x}@{A}, {T2.time:x}@{RTE}"
    tombstone = saved(state, Version(A2.time + 1, C), True)
    assert (tombstone.deleted, generation(tombstone.tid)) == (True, 4)
    assert saved(None, mine, False) == State(name(1, mine), False, Vector(mine), (), ())


def test_a_history_keeps_the_newest_fifty_names():
    state = None
    for i in range(HISTORY_NAMES_MAX + 20):
        state = saved(state, Version(A1.time + i, (A, C)[i % 2]), False)
    assert_sound(state)
    assert len(state.history) == HISTORY_NAMES_MAX
    assert [generation(h) for h in state.history] == list(range(69, 19, -1))


def test_a_tree_edit_under_a_higher_sibling_gets_a_time_above_it():
    sibling = newer(None, "7-77", ["6-66", "5-55", "4-99"])
    state = newer(sibling, "", [], vector=Vector(A2, (), (version_of("7-77"),)))
    after = newer(state, "4-44", [name(3, A2)])
    assert after.vector.cv == Version(8 << 40 | 0x4400000000, RTE)
    assert after.aka == ()
    assert "4-44" in after.history
    assert known(after, "4-44") is Relation.OLD


def test_a_name_that_is_not_one_of_the_told_version_is_not_used():
    state = newer(None, "5-aa", ["4-bb"], vector=Vector(A1))
    assert state.tid == name(5, A1)
    assert state.aka == ()


def test_learning_the_same_version_lifts_and_prefers_a_native_name():
    state = newer(None, "", [], vector=Vector(T2))
    assert state.tid == f"3-ff0000024da0f36081{RTE_HEX}"
    learnt = learn(state, T2_NAME)
    assert learnt == state._replace(aka=(T2_NAME,))
    assert learn(learnt, T2_NAME) is None
    native = newer(None, T2_NAME, [])
    lifted = learn(native, name(6, T2))
    assert_sound(lifted)
    assert (lifted.tid, lifted.aka) == (name(6, T2), (T2_NAME,))
    at_its_height = State(name(2, T2), False, Vector(T2), (), ())
    assert learn(at_its_height, T2_NAME).tid == T2_NAME


def test_learning_what_is_unknown_or_far_too_high_changes_nothing(edited):
    assert learn(edited, T2_OTHER) is None
    assert learn(edited, name(2**31 + 1, T2)) is None
    assert learn(edited, A1_NAME) is None


def test_aliases_of_a_version_are_bounded():
    state = newer(None, T2_NAME, [])
    for i in range(20):
        alias = f"2-4da0f36081{i:04x}"
        assert version_of(alias) == T2
        state = learn(state, alias) or state
    state = learn(state, name(9, T2))
    assert_sound(state)


def test_learning_an_ancestor_makes_room_for_what_its_holder_must_be_told():
    state = newer(None, name(2, A2), [], vector=Vector(A2, (), (Version(A1.time + 5, C),)))
    base = name(2, A1)
    assert not has_room(state, base)
    lifted = learn(state, base)
    assert generation(lifted.tid) == 4
    assert has_room(lifted, base)
    assert history_for(lifted, base, 50) == [name(3, Version(A1.time + 5, C)), base]


def test_learning_the_same_version_takes_over_what_only_the_other_contains():
    state = newer(None, name(1, A2), [])
    learnt = learn(state, state.tid, Vector(A2, (), (Version(5 << 40, RTE),)))
    assert_sound(learnt)
    assert format_vector(learnt.vector) == f"{A2.time:x}@{A}; {5 << 40:x}@{RTE}"
    assert generation(learnt.tid) == 6
    assert learn(learnt, state.tid, Vector(A2)) is None


# --- resolve ------------------------------------------------------------------------------------


def test_a_mutual_conflict_mints_above_both_and_names_them(edited):
    state = newer(edited, "", [], vector=Vector(A2, (), (T2,)))
    mine = Version(A2.time + 100, C)
    theirs = Vector(T2, (), (Version(A2.time + 1, A),))
    resolution = settled(state, T2_NAME, [], vector=theirs, mint=lambda: mine)
    assert resolution.minted
    assert resolution.state.vector.cv == mine
    assert contains(resolution.state.vector, Version(A2.time + 1, A))
    assert contains(resolution.state.vector, T2)
    # No name is known for what only theirs contains: it gets a place of its own below.
    assert resolution.state.tid == name(generation(state.tid) + 2, mine)
    assert resolution.state.history[0] == name(generation(state.tid) + 1, theirs.pv[0])
    assert relate(resolution.state, T2_NAME, [], theirs) is Relation.OLD


def test_a_minted_version_lists_both_sides_only_while_they_are_the_newest_of_their_authors():
    two, three = Version(A1.time + 1, C), Version(A1.time + 9, source_text("33" * 16))
    state = State(name(2, A1), False, Vector(A1, (), (two,)), (), (name(1, two),))
    both = Vector(two, (), (A1,))
    resolution = settled(state, name(2, two), [], vector=both, mint=lambda: three)
    assert resolution.minted
    assert resolution.state.vector == Vector(three, (two, A1))
    later = Vector(two, (), (Version(A1.time + 5, A),))
    resolution = settled(state, name(2, two), [], vector=later, mint=lambda: three)
    assert resolution.state.vector == Vector(three, (), (Version(A1.time + 5, A), two))


def test_one_merge_made_at_two_places_is_resolved_by_the_greater_name():
    two = Version(A1.time + 1, C)
    first = Vector(Version(A2.time, source_text("11" * 16)), (two, A1))
    second = Vector(Version(A2.time + 7, source_text("22" * 16)), (A1, two))
    state = newer(None, name(3, first.cv), [], vector=first)
    resolution = settled(state, name(3, second.cv), [], vector=second, equal=True)
    assert (resolution.body, resolution.minted) == ("theirs", False)
    assert resolution.state.vector.cv == second.cv
    mirrored = newer(None, name(3, second.cv), [], vector=second)
    mirrored = settled(mirrored, name(3, first.cv), [], vector=first, equal=True).state
    assert mirrored.vector == resolution.state.vector


def test_equal_bodies_and_two_deletions_mint_nothing():
    # The tree sibling that wins by its newer base is lower than what the other side knows.
    tall = newer(newer(None, "2-bb", []), "3-cc", ["2-bb"])
    wins = [A1_NAME]
    minted = settled(tall, T2_NAME, wins, mint=lambda: Version(A2.time, C))
    assert (minted.minted, minted.body) == (True, "theirs")
    equal = settled(tall, T2_NAME, wins, equal=True)
    assert not equal.minted
    assert equal.state.vector.cv == tall.vector.cv
    gone = settled(tall._replace(deleted=True), T2_NAME, wins, deleted=True)
    assert not gone.minted
    assert gone.state.deleted


def test_a_deletion_outranks_an_edit_and_a_later_version_an_earlier_one():
    assert rank(Vector(A1), True) > rank(Vector(A2), False)
    assert rank(Vector(A2), False) > rank(Vector(A1), False)
    assert rank(Vector(T2, (), (A1,)), False) > rank(Vector(A1), False)
    assert rank(Vector(T2, (), (A1,)), False) < rank(Vector(A2), False)


# --- properties ---------------------------------------------------------------------------------

steps = st.lists(
    st.tuples(
        st.sampled_from(["edit", "edit", "tell", "tell", "tell", "delete"]),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    min_size=4,
    max_size=40,
)


@pytest.mark.property(number=12)
@examples(50)
@given(st.integers(2, 4), steps, st.booleans())
def test_whatever_the_order_of_exchange_all_peers_end_with_one_revision(count, steps, with_vector):
    peers = [Peer(number) for number in range(1, count + 1)]
    run(peers, steps, with_vector=with_vector)
    states = {(p.state and (p.state.vector.cv, p.state.deleted), p.body) for p in peers}
    assert len(states) == 1


def test_deletions_that_each_put_the_other_below_end_in_one_new_version():
    # Two tombstones, one of which has absorbed a later edit: whose name stands depends on the
    # order; met again, each contains the other.
    peers = [Peer(number) for number in range(1, 5)]
    one, two, three, other = range(4)
    run(
        peers,
        [
            ("edit", one, one),
            ("delete", one, one),
            ("edit", two, two),
            ("delete", two, two),
            ("edit", three, three),
            ("tell", one, other),
            ("tell", two, other),
            ("tell", three, one),
            ("tell", two, one),
        ],
        with_vector=True,
    )
    assert sum(peer.minted for peer in peers) >= 1
    assert len({peer.state.vector.cv for peer in peers}) == 1


@pytest.mark.property(number=12)
@examples(50)
@given(steps, steps, st.integers(2, 3))
def test_two_sides_of_a_conflict_resolve_it_alike_and_only_once(first, second, count):
    left = [Peer(number) for number in range(1, count + 1)]
    right = [Peer(number) for number in range(10, 10 + count)]
    run(left, first, with_vector=True)
    run(right, second, with_vector=True)
    a, b = left[0], right[0]
    if a.state is None or b.state is None:
        return
    sides = []
    for mine, theirs in ((a, b), (b, a)):
        arguments = (theirs.state.tid, list(theirs.state.history), theirs.state.vector)
        resolution = resolve(mine.state, False, *arguments, theirs.state.deleted, never)
        assert_sound(resolution.state)
        again = relate(resolution.state, *arguments)
        assert again in (Relation.SAME, Relation.OLD)
        body = mine.body if resolution.body == "mine" else theirs.body
        sides.append((resolution.state.vector, resolution.state.deleted, body))
    assert sides[0] == sides[1]


authors = [A, C, RTE, source_text("11" * 16), source_text("22" * 16)]
versions = st.builds(
    Version,
    st.one_of(st.integers(0x18EA99BB8E3C0000, 0x18EA99BB8E3C0004), st.just(TIME_MIN)),
    st.sampled_from([a for a in authors if a != RTE]),
) | st.builds(Version, st.integers(1, 9).map(lambda g: g << 40 | 0xAA), st.just(RTE))
heights = st.integers(1, 9)
names = st.builds(name, heights, versions) | st.builds(
    lambda g, d: f"{g}-{d}", heights, st.sampled_from(["aa", "bb", "faded00012"])
)


@st.composite
def told_revisions(draw):
    """A revision as a hostile peer may tell it: well-formed, and nothing more."""
    tid = draw(names)
    history = []
    for height in range(generation(tid) - 1, 0, -1):
        ancestor = draw(names)
        history.append(f"{height}{ancestor[ancestor.index('-') :]}")
    history = history[: draw(st.integers(0, 9))]
    assert check_history(tid, history)
    vector = None
    if draw(st.booleans()):
        told = draw(st.lists(versions, min_size=1, max_size=4, unique_by=lambda v: v.source))
        cut = draw(st.integers(1, len(told)))
        vector = Vector(told[0], tuple(told[1:cut]), tuple(told[cut:]))
        vector = parse_vector(format_vector(vector))
    return tid, history, vector, draw(st.booleans()), draw(st.booleans())


@pytest.mark.property(number=1)
@examples(60)
@given(st.lists(told_revisions(), max_size=8))
def test_no_sequence_of_well_formed_lies_breaks_a_document(revisions):
    state = None
    peer = Peer(1)
    now_ns = 0x18EA99BB8F000000
    for tid, history, vector, deleted, equal in revisions:
        relation = relate(state, tid, history, vector)
        if relation is Relation.NEWER:
            state = adopt(state, tid, history, vector, deleted)
        elif relation in (Relation.CONFLICT, Relation.MUTUAL):
            state = resolve(
                state, equal, tid, history, vector, deleted, lambda: peer.mint(now_ns)
            ).state
        else:
            state = learn(state, tid, vector) or state
        assert_sound(state)
        assert is_acceptable(state.tid)
        assert len(state.vector.pv) <= VECTOR_SOURCES_MAX
        for base in (None, tid, *history):
            if base is None or known(state, base) is not Relation.UNKNOWN:
                ready = state if base is None else learn(state, base) or state
                assert_sound(ready)
                for history_max in (1, 2, 20):
                    sent = history_for(ready, base, history_max)
                    assert len(sent) <= history_max
                    if history_max == 20:
                        assert check_history(ready.tid, sent)
                        assert base is None or base == ready.tid or base == sent[-1]


def test_claims_leave_fillers_out_and_take_the_newest_of_each_author():
    claimed = claims("5-ee", [name(4, A2), filler(3, "5-ee"), name(2, A1), "1-aa"])
    assert claimed == Vector(version_of("5-ee"), (), (A2,))
    claimed = claims(name(5, Version(A1.time, C)), [name(4, A2), "3-cc", "2-bb"])
    assert claimed.pv == (A2, version_of("3-cc"))


def test_a_revision_told_by_its_vector_is_called_by_the_least_name_that_it_can_have():
    assert name_of(format_vector(Vector(A1))) == name(1, A1)
    assert name_of(format_vector(Vector(A1, (), (T2,)))) == name(3, A1)


# --- the short way ------------------------------------------------------------------------------

AUTHORS = [A, "AAAAAAAAAAAAAAAAAAAAAQ", "BBBBBBBBBBBBBBBBBBBBBQ"]
STEPS = st.lists(st.tuples(st.sampled_from(AUTHORS), st.integers(1, 3)), min_size=1, max_size=6)


def grown(steps, state=None) -> State:
    """A document after saves by some authors, each so much later than the one before."""
    time = TIME_MIN if state is None else state.vector.cv.time
    for author, later in steps:
        time += later
        state = saved(state, Version(time, author), False)
    return state


def texts(state: State) -> tuple[str, str, str, str]:
    return state.tid, ",".join(state.history), ",".join(state.aka), format_vector(state.vector)


def adopted_as(mine: State, tid: str, history: str, vector: str) -> State | None:
    """What the long way makes of a revision; None if it is not newer."""
    told, names = parse_vector(vector), tuple(history.split(","))
    if relate(mine, tid, names, told) is not Relation.NEWER:
        return None
    return adopt(mine, tid, names, told, False)


@given(STEPS, st.sampled_from(AUTHORS), st.integers(1, 3), st.integers(0, 2))
def test_a_plain_edit_gets_the_history_that_the_long_way_gives_it(steps, author, later, lift):
    mine = grown(steps)
    version = Version(mine.vector.cv.time + later, author)
    child = saved(mine, version, False)
    tid = name(generation(child.tid) + lift, version)
    history = plain_edit(texts(mine), tid, mine.tid, format_vector(child.vector))
    if history is None:
        assert len(mine.vector.pv) >= 1
        assert author != mine.vector.cv.source
        return
    assert adopted_as(mine, tid, mine.tid, format_vector(child.vector)) == State(
        tid, False, child.vector, (), tuple(history.split(","))
    )


@given(STEPS, STEPS, STEPS)
def test_what_is_no_plain_edit_is_never_taken_for_one(common, mine, theirs):
    base = grown(common)
    ours, other = grown(mine, base), grown(theirs, base)
    tid, _, _, vector = texts(other)
    history = plain_edit(texts(ours), tid, ours.tid, vector)
    if history is not None:
        assert texts(adopted_as(ours, tid, ours.tid, vector)) == (tid, history, "", vector)


VERSIONS = st.builds(Version, st.integers(TIME_MIN, TIME_MIN + 3), st.sampled_from(AUTHORS))
NAMES = st.one_of(
    st.builds(name, st.integers(1, 3), VERSIONS),
    st.builds(lambda height, version: step(height, version, A1_NAME), st.integers(1, 3), VERSIONS),
    st.sampled_from([T2_NAME, "1-aa", "3-cc"]),
)


@given(VERSIONS, VERSIONS, st.lists(NAMES, max_size=4))
def test_a_history_that_names_what_is_in_no_vector_makes_no_plain_edit(cv, version, names):
    history = sorted({tid for tid in names if version_of(tid) != cv}, key=by_height)
    mine = State(name(4, cv), False, Vector(cv), (), tuple(history))
    if version.source == cv.source and version.time <= cv.time:
        return
    child = saved(mine, version, False)
    vector = format_vector(child.vector)
    history = plain_edit(texts(mine), child.tid, mine.tid, vector)
    named = any(version_of(tid) == version for tid in mine.history)
    assert (history is None) is named
    if history is not None:
        assert texts(adopted_as(mine, child.tid, mine.tid, vector)) == (
            child.tid,
            history,
            "",
            vector,
        )


@pytest.mark.parametrize("history", ["zzz", "0-aa", "1-aa,zzz", "1-AA", "2-aa,,1-aa", "1-aa,"])
def test_a_damaged_history_is_to_be_looked_at_closely(history):
    mine = grown([(A, 1)] * 3)
    child = saved(mine, Version(mine.vector.cv.time + 1, A), False)
    told = (child.tid, mine.tid, texts(child)[3])
    assert plain_edit((mine.tid, "1-aa", "", texts(mine)[3]), *told) == f"{mine.tid},1-aa"
    assert plain_edit((mine.tid, history, "", texts(mine)[3]), *told) is None


def test_a_plain_edit_keeps_the_newest_fifty_names():
    mine = grown([(A, 1)] * 60)
    assert len(mine.history) == HISTORY_NAMES_MAX
    child = saved(mine, Version(mine.vector.cv.time + 1, A), False)
    history = plain_edit(texts(mine), child.tid, mine.tid, format_vector(child.vector))
    assert history == ",".join(child.history)


@pytest.mark.parametrize(
    "changed",
    [
        {"history": ""},
        {"history": "1-aa"},
        {"tid": "3-aabb"},
        {"mine": (T2_NAME, "", "", format_version(encode_tree(T2_NAME)))},
    ],
)
def test_an_edit_of_another_kind_is_to_be_looked_at_closely(changed):
    mine = grown([(A, 1)])
    child = saved(mine, Version(mine.vector.cv.time + 1, A), False)
    plain = {"mine": texts(mine), "tid": child.tid, "history": mine.tid, "vector": texts(child)[3]}
    assert plain_edit(**plain) is not None
    assert plain_edit(**(plain | changed)) is None
