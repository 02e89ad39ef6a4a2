from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settee.doc.delta import CorruptDelta, apply, apply_body, difference, make
from settee.errors import InvalidDocumentError
from settee.limits import DELTA_TEXT_STEPS_MAX, DOCUMENT_BODY_BYTES_MAX
from tests.doc.vectors import vectors
from tests.prop import examples

VECTORS = vectors("delta")
LONG = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor"


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_the_published_deltas_lead_from_before_to_after(case):
    before = copy.deepcopy(case["before"])
    assert apply(before, case["delta"]) == case["after"]
    assert before == case["before"]


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_our_own_deltas_lead_from_before_to_after(case):
    delta = difference(case["before"], case["after"])
    assert identical(apply(case["before"], delta), case["after"])
    assert len(json.dumps(delta)) <= len(json.dumps(case["delta"]))


@pytest.mark.parametrize("case", VECTORS["legacy_forms"], ids=lambda case: case["note"])
def test_old_forms_are_understood(case):
    assert apply(case["before"], case["delta"]) == case["after"]


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: json.dumps(case["delta"]))
def test_the_published_invalid_deltas_are_refused(case):
    with pytest.raises(CorruptDelta):
        apply(case["before"], case["delta"])


@pytest.mark.sec("SEC-21")
@pytest.mark.parametrize(
    ("before", "delta"),
    [
        ([1, 2], {"2": 3}),
        ([1, 2], {"-1": 3}),
        ([1, 2], {"01": 3}),
        ([1, 2], {"1 ": 3}),
        ([1, 2], {"x": 3}),
        ([1, 2], {"99999999999999999999": 3}),
        ([1, 2], {"3-": []}),
        ([1, 2], {"1-": [], "0-": []}),
        ([1, 2], {"1-": {}}),
        ([1, 2], {"0": []}),
        ([1, 2], {"0": [1, 0, 0]}),
        ([{}], {"0": {"a": []}}),
        (None, {"a": 1}),
        (7, {"a": 1}),
        ("abc", ["3=", 0, 9]),
        ("abc", ["3=", 1, 2]),
        ("abc", ["3=", False, 2]),
        ("abc", ["3=", 0, 2.0]),
        ("abc", [3, 0, 2]),
        ("abc", ["3", 0, 2]),
        ("abc", ["=", 0, 2]),
        ("abc", ["2=", 0, 2]),
        ("abc", ["4=", 0, 2]),
        ("abc", ["9999999999=", 0, 2]),
        ("abc", ["3=5+abcd|", 0, 2]),
        ("abc", ["3=2+ab", 0, 2]),
        ("abc", ["3=2+abc|", 0, 2]),
        ("abc", ["3=x", 0, 2]),
        ("", ["", 0, 3]),
        ("é", ["1=1-", 0, 2]),
        ("é", ["2-1+é|", 0, 2]),
    ],
)
def test_a_delta_that_does_not_fit_is_refused(before, delta):
    with pytest.raises(CorruptDelta):
        apply({"a": before}, {"a": delta})


@pytest.mark.parametrize(
    "delta", [{"a": []}, {"a": ["1=", 0, 2]}, {"a": {"b": 1}}, {"a": [1, 0, 0]}]
)
def test_nothing_can_be_changed_where_nothing_is(delta):
    with pytest.raises(CorruptDelta):
        apply({}, delta)


def test_an_empty_patch_changes_nothing_even_on_a_scalar():
    assert apply({"a": 1, "b": [1]}, {"a": {}, "b": {}, "c": {}}) == {"a": 1, "b": [1]}


@pytest.mark.sec("SEC-21")
@pytest.mark.parametrize("over", [0, 1, 99 * DELTA_TEXT_STEPS_MAX])
def test_a_text_change_has_a_bounded_number_of_steps(over):
    """Guards the count in `_patched_text`: steps over nothing would go on for minutes."""
    delta = {"a": ["0=" * (DELTA_TEXT_STEPS_MAX - 1 + over) + "3=", 0, 2]}
    if over:
        with pytest.raises(CorruptDelta, match="too many steps"):
            apply({"a": "abc"}, delta)
    else:
        assert apply({"a": "abc"}, delta) == {"a": "abc"}


def test_a_text_change_may_delete_everything():
    assert apply({"a": "abc"}, {"a": ["3-", 0, 2]}) == {"a": ""}
    assert apply({"a": ""}, {"a": ["", 0, 2]}) == {"a": ""}


def test_a_literal_is_not_read_as_a_delta():
    assert apply({}, {"a": [[]], "b": [{"c": []}], "d": [7]}) == {"a": [], "b": {"c": []}, "d": 7}


# --- bodies -------------------------------------------------------------------------------------


def test_a_received_delta_is_checked_like_a_body():
    assert apply_body(b'{"a":1}', b'{"b":[{"c":2}]}') == b'{"a":1,"b":{"c":2}}'
    for delta in (b'{"a":1,"a":2}', b"[]", b'{"a":NaN}', b"{", b'{"a":18446744073709551616}'):
        with pytest.raises(InvalidDocumentError):
            apply_body(b'{"a":1}', delta)


def test_the_result_is_bounded_like_a_body():
    half = "x" * (DOCUMENT_BODY_BYTES_MAX // 2)
    with pytest.raises(InvalidDocumentError, match="too large"):
        apply_body(f'{{"a":"{half}"}}'.encode(), f'{{"b":"{half}"}}'.encode())
    deep = b'{"a":' + b"[" * 60 + b"0" + b"]" * 60 + b"}"
    inner = b'{"0":' * 59 + b'{"0":[' + b"[" * 39 + b"]" * 39 + b"]}" + b"}" * 59
    assert apply_body(deep, b'{"a":' + inner.replace(b"[" * 39 + b"]" * 39, b"[]") + b"}")
    with pytest.raises(InvalidDocumentError, match="deeper"):
        apply_body(
            deep, b'{"a":' + inner.replace(b"[" * 39 + b"]" * 39, b"[" * 40 + b"]" * 40) + b"}"
        )


# --- making -------------------------------------------------------------------------------------


def test_a_delta_that_is_no_shorter_is_not_made():
    assert make({"a": 1}, {"b": 2}) is None
    assert make({"a": 1, "c": LONG}, {"a": 2, "c": LONG}) == {"a": 2}
    assert make({"a": LONG}, {"a": LONG}) == {}


def test_equality_is_by_value_and_a_boolean_is_no_number():
    assert difference({"a": 1, "b": [True, 0]}, {"b": [True, 0], "a": 1.0}) == {}
    assert difference({"a": [1]}, {"a": [True]}) == {"a": [[True]]}
    assert difference({"a": [LONG, 1]}, {"a": [LONG, True]}) == {"a": {"1": True}}
    assert difference({"a": {"b": False}}, {"a": {"b": 0}}) == {"a": {"b": 0}}


def test_an_item_put_in_front_of_an_array_sends_what_is_shorter():
    old = {"a": list(range(100, 200))}
    new = {"a": [1, *old["a"]]}
    delta = difference(old, new)
    assert delta == {"a": [new["a"]]}
    assert make(old, new) is None


def test_a_short_text_is_sent_whole_and_a_long_one_by_its_change():
    assert difference({"a": LONG[:59]}, {"a": LONG[:58] + "x"}) == {"a": LONG[:58] + "x"}
    assert difference({"a": LONG}, {"a": LONG + "!"}) == {"a": ["78=1+!|", 0, 2]}
    assert difference({"a": "x" * 70}, {"a": "y" * 70}) == {"a": "y" * 70}


def test_a_repeated_part_is_not_copied_twice():
    old, new = {"a": "ab" * 40}, {"a": "ab" * 41}
    assert apply(old, difference(old, new)) == new
    assert apply(new, difference(new, old)) == old


words = st.sampled_from(["", "é", "1=2-3+4|", "lorem ipsum ", "😀", "x" * 20, "ü" * 30])
texts = st.lists(words, max_size=8).map("".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.just(1.0) | texts,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4)
    ),
    max_leaves=15,
)
bodies = st.dictionaries(st.sampled_from(["a", "b", "c", "d", "0", "1-"]), values, max_size=5)


def identical(a: object, b: object) -> bool:
    """Equal, numbers by value, and no boolean for a number."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(identical(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(identical, a, b))
    return a == b and isinstance(a, bool) == isinstance(b, bool)


@pytest.mark.property(number=5)
@examples(60)
@given(bodies, bodies)
def test_every_difference_applied_gives_the_new_body(old, new):
    before = copy.deepcopy(old)
    assert identical(apply(old, difference(old, new)), new)
    assert identical(old, before)
    assert difference(old, copy.deepcopy(old)) == {}


@pytest.mark.property(number=5)
@examples(50)
@given(bodies, bodies)
def test_any_json_as_a_delta_is_applied_or_refused_in_one_way(old, delta):
    try:
        result = apply(old, delta)
    except CorruptDelta:
        return
    assert isinstance(result, dict)
