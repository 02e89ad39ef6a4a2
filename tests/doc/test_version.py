from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settee.doc.version import (
    RTE,
    TIME_MAX,
    TIME_MIN,
    HybridClock,
    Order,
    Vector,
    Version,
    build,
    compare,
    contains,
    edit,
    encode_tree,
    entries,
    format_vector,
    format_version,
    join_history,
    merge,
    order_key,
    parse_vector,
    rte_time,
    source_hex,
    source_text,
    split_history,
    time_of,
)
from settee.errors import InvalidDocumentError
from settee.limits import CLOCK_AHEAD_S_MAX, VECTOR_SOURCES_MAX
from tests.doc.vectors import vectors

VECTORS = vectors("versions")
A, B, C, D = (
    "AliceAliceAliceAliceAA",
    "BobBobBobBobBobBobBobA",
    "CarolCarolCarolCarolCA",
    "DaveDaveDaveDaveDaveDA",
)
NOW_NS = 0x18EA99BB8E3C0000
SECOND_NS = 10**9


def test_no_kind_of_case_is_left_out():
    kinds = {"parse", "invalid", "compare", "merge", "legacy", "source_ids", "rev_message"}
    assert VECTORS.keys() == {"note", *kinds}
    assert all(VECTORS[kind] for kind in kinds)


@pytest.mark.parametrize("case", VECTORS["parse"], ids=lambda case: case["text"][:40])
def test_a_vector_is_read_and_written_in_canonical_form(case):
    vector = parse_vector(case["text"])
    versions = [vector.cv, *vector.mv, *vector.pv]
    assert [(f"{v.time:x}", v.source) for v in versions] == [
        (v["time_hex"], v["source"]) for v in case["versions"]
    ]
    assert 1 + len(vector.mv) == case["current_and_merge_count"]
    assert format_vector(vector) == case["canonical"]


@pytest.mark.parametrize("text", VECTORS["invalid"])
def test_a_malformed_vector_is_refused(text):
    with pytest.raises(InvalidDocumentError):
        parse_vector(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        f"*@{A}",
        "1@*",
        f"01@{A}",
        f"1@{A}\n",
        f"1@{A},",
        f"1@{A};,",
        f"1@{A}, , 2@{B}",
        f"1@{A}; 2@{B},",
        f"3@{A}, 3@{A}, 1@{B};",
        f"3@{A}, 4@{A}, 1@{B};",
        f"3@{A}, 2@{B}, 1@{B};",
        f"3@{A}, 2@{B}; 1@{B}",
        f"3@{A}; 2@{B}, 1@{B}",
        f"3@{A};\t2@{B}",
        "; ".join([f"1@{A}", ", ".join([f"2@{B}"] * 3000)]),
        "1-aa",
    ],
)
def test_vectors_that_an_attacker_might_send_are_refused(text):
    with pytest.raises(InvalidDocumentError):
        parse_vector(text)


@pytest.mark.parametrize("case", VECTORS["compare"], ids=lambda case: case["result"])
def test_two_vectors_compare_by_their_current_versions(case):
    a, b = parse_vector(case["a"]), parse_vector(case["b"])
    mirrored = {"older": "newer", "newer": "older"}
    assert compare(a, b).value == case["result"]
    assert compare(b, a).value == mirrored.get(case["result"], case["result"])


def test_vectors_that_contain_each_other_are_mutual():
    a, b = parse_vector(f"5@{A}; 7@{B}"), parse_vector(f"6@{B}; 9@{A}")
    assert compare(a, b) is compare(b, a) is Order.MUTUAL


@pytest.mark.parametrize("case", VECTORS["merge"], ids=["with pv", "without pv"])
def test_a_merge_names_both_sides_and_keeps_the_newest_of_the_rest(case):
    version = Version(int(case["now_hex"], 16), case["me"])
    a, b = parse_vector(case["a"]), parse_vector(case["b"])
    assert format_vector(merge(a, b, version)) == case["result"]
    assert format_vector(merge(b, a, version)) == case["result"]


@pytest.mark.parametrize("case", VECTORS["legacy"], ids=lambda case: case["revid"])
def test_a_tree_name_has_a_version(case):
    assert format_version(encode_tree(case["revid"])) == case["version"]


@pytest.mark.parametrize("case", VECTORS["source_ids"], ids=lambda case: case["source"])
def test_a_source_is_base64_of_its_bytes(case):
    assert source_text(case["uuid_hex"]) == case["source"]
    assert source_hex(case["source"]) == case["uuid_hex"]


@pytest.mark.parametrize("case", VECTORS["rev_message"], ids=lambda case: case["vector"][:40])
def test_a_rev_message_carries_the_vector_in_two_properties(case):
    vector, legacy = parse_vector(case["vector"]), case.get("legacy_ancestors", [])
    rev, history = split_history(vector, legacy)
    assert (rev, history or None) == (case["rev"], case["history"])
    assert join_history(rev, history) == (vector, tuple(legacy))


@pytest.mark.parametrize(
    ("rev", "history", "expected"),
    [
        ("2-bb", "1-aa", (None, ("2-bb", "1-aa"))),
        ("1-aa", "", (None, ("1-aa",))),
        (f"4@{B}", f"3@{A}, 2-bb, 1-aa", (f"4@{B}; 3@{A}", ("2-bb", "1-aa"))),
        (f"4@{B}", f"3@{B}, 2@{A}; 2-bb", (f"4@{B}, 3@{B}, 2@{A};", ("2-bb",))),
        (f"4@{B}", f"3@{B}, 2@{A};,2-bb", (f"4@{B}, 3@{B}, 2@{A};", ("2-bb",))),
        (f"4@{B}", f"3@{B},2@{A};1@{C},2-bb,1-aa", (f"4@{B},3@{B},2@{A};1@{C}", ("2-bb", "1-aa"))),
        (f"4@{B}", ",2-bb,,1-aa", (f"4@{B}", ("2-bb", "1-aa"))),
    ],
)
def test_an_upgraded_peers_history_ends_in_tree_names(rev, history, expected):
    vector, legacy = join_history(rev, history)
    assert (vector, legacy) == (expected[0] and parse_vector(expected[0]), expected[1])


@pytest.mark.parametrize("history", [f"3@{A};;", f"3@{A}, ", "x", f"5@{B}", "*"])
def test_a_malformed_history_of_versions_is_refused(history):
    with pytest.raises(InvalidDocumentError):
        join_history(f"4@{B}", history)


@pytest.mark.parametrize("tid", ["", "1", "1-", "x-aa", "1-xyz"])
def test_what_is_no_tree_name_has_no_version(tid):
    with pytest.raises(InvalidDocumentError):
        encode_tree(tid)


def test_an_edit_puts_the_old_versions_behind_it():
    first = edit(None, Version(5, A))
    assert first == Vector(Version(5, A))
    second = edit(first, Version(6, B))
    assert format_vector(second) == f"6@{B}; 5@{A}"
    assert format_vector(edit(second, Version(7, A))) == f"7@{A}; 6@{B}"


def test_an_edit_of_a_merge_keeps_each_author_once():
    merged = parse_vector(f"7@{B}, 6@{B}, 4@{A}; 2@{C}, 1@{D}")
    assert format_vector(edit(merged, Version(8, C))) == f"8@{C}; 7@{B}, 4@{A}, 1@{D}"
    assert format_vector(edit(merged, Version(8, B))) == f"8@{B}; 4@{A}, 2@{C}, 1@{D}"


def test_an_author_cannot_go_back_in_time():
    with pytest.raises(AssertionError):
        edit(parse_vector(f"5@{A}"), Version(5, A))
    with pytest.raises(AssertionError):
        merge(parse_vector(f"5@{A}"), parse_vector(f"6@{B}"), Version(6, B))


def test_the_first_version_by_an_author_tells_its_time():
    vector = parse_vector(f"7@{B}, 6@{B}, 4@{A}; 2@{C}, 1@{RTE}")
    assert [time_of(vector, s) for s in (A, B, C, D)] == [4, 7, 2, 0]
    assert rte_time(vector) == 1
    assert contains(vector, Version(7, B))
    assert not contains(vector, Version(8, B))
    assert entries(vector) == {A: 4, B: 7, C: 2, RTE: 1}


def test_the_oldest_authors_are_dropped_beyond_the_bound_but_never_the_tree_entry():
    times = {source_text(f"{i:032x}"): TIME_MIN + i for i in range(1, VECTOR_SOURCES_MAX + 10)}
    times[RTE] = TIME_MIN
    vector = build(Version(TIME_MIN + 999, A), (), times)
    assert len(vector.pv) == VECTOR_SOURCES_MAX - 1
    assert vector.pv[-1] == Version(TIME_MIN, RTE)
    assert vector.pv[0].time == TIME_MIN + VECTOR_SOURCES_MAX + 9
    assert parse_vector(format_vector(vector)) == vector
    del times[RTE]
    full = dict(list(times.items())[: VECTOR_SOURCES_MAX - 1])
    assert len(build(Version(TIME_MIN + 999, A), (), full).pv) == VECTOR_SOURCES_MAX - 1


def test_versions_order_by_the_bytes_of_their_source():
    plus, letter = source_text("f8" + "00" * 15), source_text("00" * 15 + "01")
    assert plus[0] == "+"
    assert plus < letter
    assert order_key(Version(1, plus)) > order_key(Version(1, letter))


# --- the clock ----------------------------------------------------------------------------------


def test_times_only_rise_even_if_the_wall_clock_goes_back():
    clock = HybridClock()
    first = clock.now(NOW_NS + 0x1234)
    assert first == NOW_NS
    assert clock.now(NOW_NS + 0x1235) == NOW_NS + 1
    assert clock.now(NOW_NS - SECOND_NS) == NOW_NS + 2
    assert clock.now(NOW_NS + SECOND_NS) == (NOW_NS + SECOND_NS) & ~0xFFFF


def test_a_time_seen_moves_the_clock():
    clock = HybridClock(NOW_NS)
    clock.observe(NOW_NS + 77, NOW_NS)
    assert clock.now(NOW_NS) == NOW_NS + 78
    clock.observe(NOW_NS - SECOND_NS, NOW_NS)
    assert clock.last == NOW_NS + 78


def test_a_time_too_far_ahead_is_refused_and_moves_nothing():
    clock = HybridClock(NOW_NS)
    limit = NOW_NS + CLOCK_AHEAD_S_MAX * SECOND_NS
    with pytest.raises(InvalidDocumentError, match="in the future"):
        clock.observe(limit + 1, NOW_NS)
    assert clock.last == NOW_NS
    clock.observe(limit, NOW_NS)
    assert clock.last == limit


@pytest.mark.parametrize("time", [0, TIME_MIN - 1, TIME_MAX + 1])
def test_a_time_out_of_bounds_is_refused(time):
    clock = HybridClock(NOW_NS)
    with pytest.raises(InvalidDocumentError):
        clock.observe(time, NOW_NS)
    with pytest.raises(InvalidDocumentError):
        clock.observe_vector(Vector(Version(NOW_NS, A), (), (Version(time, B),)), NOW_NS)
    assert clock.last == NOW_NS


def test_a_vector_moves_the_clock_to_its_newest_version_and_tree_entries_do_not():
    clock = HybridClock(TIME_MIN)
    tree = Version(TIME_MAX, RTE)
    clock.observe_vector(Vector(Version(NOW_NS, A), (), (tree, Version(NOW_NS + 5, B))), NOW_NS)
    assert clock.last == NOW_NS + 5
    clock.observe_vector(Vector(tree), NOW_NS)
    assert clock.last == NOW_NS + 5
    ahead = Version(NOW_NS + 121 * SECOND_NS, C)
    with pytest.raises(InvalidDocumentError):
        clock.observe_vector(Vector(Version(NOW_NS + 9, A), (), (ahead,)), NOW_NS)
    assert clock.last == NOW_NS + 5


# --- properties ---------------------------------------------------------------------------------

sources = st.binary(min_size=16, max_size=16).filter(any).map(lambda raw: source_text(raw.hex()))
times = st.integers(TIME_MIN, TIME_MAX)


@st.composite
def any_vectors(draw):
    authors = draw(st.lists(sources, min_size=1, max_size=6, unique=True))
    versions = [Version(draw(times), source) for source in authors]
    merged = draw(st.integers(0, len(versions) - 1))
    return Vector(versions[0], tuple(versions[1 : 1 + merged]), tuple(versions[1 + merged :]))


@pytest.mark.regression("mixed histories refused")
@settings(max_examples=60, deadline=None)
@given(any_vectors(), st.lists(st.sampled_from(["2-bb", "1-aa"]), unique=True))
def test_every_vector_survives_both_written_forms(vector, legacy):
    assert parse_vector(format_vector(vector)) == vector
    assert join_history(*split_history(vector, legacy)) == (vector, tuple(legacy))


@pytest.mark.parametrize("wall_ns", [0, 5 << 16, (7 << 16) + 9, 2**60])
@pytest.mark.parametrize("last", [0, 6 << 16, (7 << 16) + 3])
def test_times_taken_together_are_those_taken_one_by_one(wall_ns: int, last: int) -> None:
    one, many = HybridClock(last), HybridClock(last)
    assert list(many.take(5, wall_ns)) == [one.now(wall_ns) for _ in range(5)]
    assert many.last == one.last
    assert list(many.take(0, wall_ns)) == []
    assert many.last == one.last
