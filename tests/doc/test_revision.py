from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settee.doc import body
from settee.doc.revision import (
    GENERATION_NATIVE_RECEIVED_MAX,
    GENERATION_RECEIVED_MAX,
    check_history,
    digest,
    everyday_version,
    filler,
    first_name,
    generation,
    is_acceptable,
    is_derived,
    is_filler,
    is_native,
    is_tree_name,
    name,
    step,
    tree_name_of,
    version_of,
    version_text_of,
)
from settee.doc.version import RTE, TIME_MAX, TIME_MIN, Version, encode_tree, format_version
from settee.errors import InvalidDocumentError
from settee.limits import HISTORY_NAMES_RECEIVED_MAX
from tests.doc.vectors import vectors

VECTORS = vectors("revid")
PHONE = Version(0x18EA99BB8E3C0000, "wnucF2LvT2yMhMGFY0x7jQ")
PHONE_HEX = "c27b9c1762ef4f6c8c84c185634c7b8d"
RTE_HEX = "45ebe2b22a27f93ade7be1277287629e"
DERIVED = f"1-ff18ea99bb8e3c0000{PHONE_HEX}"
NATIVE = "2-4da0f36081519bf4f5385d94d56382280a839854"


def test_no_kind_of_case_is_left_out():
    kinds = {"generate", "captured", "valid_syntax", "invalid_syntax"}
    assert VECTORS.keys() == {"note", *kinds}
    assert all(VECTORS[kind] for kind in kinds)


@pytest.mark.parametrize("case", VECTORS["generate"] + VECTORS["captured"])
def test_a_name_is_what_couchbase_lite_makes_of_parent_deletion_and_body(case):
    canonical = body.canonical(case["body"])
    assert canonical.decode() == case.get("canonical_json", canonical.decode())
    assert tree_name_of(case["parent"], case["deleted"], canonical) == case["revid"]


def test_the_example_of_the_bridge_has_its_published_name():
    canonical = body.canonical({"name": "Apples", "quantity": 9})
    assert tree_name_of(DERIVED, False, canonical) == NATIVE


@pytest.mark.parametrize("text", VECTORS["valid_syntax"])
def test_a_well_formed_name_is_one(text):
    assert is_tree_name(text)
    assert f"{generation(text)}-{digest(text)}" == text


@pytest.mark.parametrize("text", [*VECTORS["invalid_syntax"], "1-aa\n", "١-aa", "01-aa", "+1-aa"])  # noqa: RUF001
def test_a_malformed_name_is_none(text):
    assert not is_tree_name(text)
    assert not is_acceptable(text)


@pytest.mark.parametrize(
    ("height", "digest_bytes", "well_formed"),
    [
        (1, 41, True),
        (1, 42, False),
        (127, 41, True),
        (128, 41, False),
        (128, 40, True),
        (4294967295, 37, True),
        (4294967295, 38, False),
        (4294967296, 1, False),
    ],
)
def test_a_name_has_at_most_42_bytes_in_binary_form(height, digest_bytes, well_formed):
    assert is_tree_name(f"{height}-{'ab' * digest_bytes}") is well_formed


# --- derived names ------------------------------------------------------------------------------


def test_a_derived_name_is_the_version_written_into_the_digest():
    assert name(1, PHONE) == DERIVED
    assert version_of(DERIVED) == PHONE
    assert version_text_of(DERIVED) == "18ea99bb8e3c0000@wnucF2LvT2yMhMGFY0x7jQ"
    assert is_derived(DERIVED)
    assert not is_native(DERIVED)


def test_a_step_carries_the_version_and_a_salt():
    text = step(7, PHONE, NATIVE)
    assert re.fullmatch(rf"7-fe18ea99bb8e3c0000{PHONE_HEX}[0-9a-f]{{4}}", text)
    assert version_of(text) == PHONE
    assert is_derived(text)
    assert text != step(7, PHONE, DERIVED)
    assert text == step(7, PHONE, NATIVE)


def test_a_filler_looks_like_couchbase_lites_and_says_nothing():
    text = filler(7, NATIVE)
    assert re.fullmatch(r"7-faded000[0-9a-f]{16}", text)
    assert is_filler(text)
    assert not is_derived(text)
    assert not is_native(text)
    assert text != filler(7, DERIVED)


def test_a_native_name_stands_for_its_encoding():
    assert version_of(NATIVE) == Version(0x24DA0F36081, RTE)
    assert is_native(NATIVE)
    assert not is_derived(NATIVE)
    assert version_text_of(NATIVE) == "24da0f36081@Revision+Tree+Encoding"


@pytest.mark.parametrize(
    "text",
    [
        f"3-ff{TIME_MIN - 1:016x}{PHONE_HEX}",
        f"3-ff{TIME_MAX + 1:016x}{PHONE_HEX}",
        f"3-ff18ea99bb8e3c0000{'0' * 32}",
        f"3-ff18ea99bb8e3c0000{PHONE_HEX}00",
        f"3-ff18ea99bb8e3c0000{PHONE_HEX[:-2]}",
        f"3-fe18ea99bb8e3c0000{PHONE_HEX}",
        f"3-fd18ea99bb8e3c0000{PHONE_HEX}",
    ],
)
def test_a_digest_that_only_looks_derived_is_a_native_one(text):
    assert not is_derived(text)
    assert is_native(text)
    assert version_of(text) == encode_tree(text)
    assert version_text_of(text) == format_version(encode_tree(text))


@pytest.mark.parametrize("time", [TIME_MIN, TIME_MAX])
def test_the_first_and_last_time_fit_into_a_name(time):
    text = name(3, Version(time, PHONE.source))
    assert version_of(text) == (time, PHONE.source)
    assert version_text_of(text) == f"{time:x}@{PHONE.source}"


@pytest.mark.parametrize("text", ["", "-", "ff", "1-", "1-zz"])
def test_what_is_no_name_has_no_version(text):
    with pytest.raises(InvalidDocumentError):
        version_of(text)
    with pytest.raises(InvalidDocumentError):
        version_text_of(text)


sources = st.binary(min_size=16, max_size=16).filter(any).map(bytes.hex)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 2**31), st.integers(TIME_MIN, TIME_MAX), sources)
def test_every_version_comes_back_out_of_its_names(height, time, source):
    version = version_of(f"1-ff{time:016x}{source}")
    for text in (name(height, version), step(height, version, NATIVE)):
        assert is_tree_name(text)
        assert generation(text) == height
        assert version_of(text) == version
        assert version_text_of(text) == format_version(version)


# --- histories ----------------------------------------------------------------------------------


def chain(newest: int, oldest: int) -> list[str]:
    return [f"{g}-{g:04x}" for g in range(newest, oldest - 1, -1)]


@pytest.mark.parametrize(
    ("tid", "history"),
    [
        ("1-aa", []),
        ("9-aa", []),
        ("4-dd", ["3-cc", "2-bb", "1-aa"]),
        ("4-dd", ["3-cc"]),
        ("5-ee", [filler(4, "5-ee"), "3-cc"]),
        (name(3, PHONE), ["2-4da0", DERIVED]),
        ("200-aa", [*chain(199, 182), "7-aa"]),
        ("200-aa", [*chain(199, 151), "7-aa"]),
        ("1001-aa", chain(1000, 1)),
    ],
)
def test_a_contiguous_history_is_accepted_and_so_is_a_jump_at_the_depth_of_a_tree(tid, history):
    assert check_history(tid, history)


@pytest.mark.parametrize(
    ("tid", "history"),
    [
        ("4-dd", ["2-bb"]),
        ("4-dd", ["4-cc"]),
        ("4-dd", ["5-cc"]),
        ("4-dd", ["3-cc", "3-bb"]),
        ("4-dd", ["3-cc", "4-dd"]),
        ("4-dd", ["3-cc", "2-bb", "2-bb"]),
        ("4-dd", ["3-cc", ""]),
        ("4-dd", ["3-CC"]),
        ("4-dd", [" 3-cc"]),
        ("0-dd", []),
        ("18446744073709551615-aa", []),
        ("200-aa", [*chain(199, 183), "7-aa"]),
        ("200-aa", [*chain(199, 182), "199-aa"]),
        ("1002-aa", chain(1001, 1)),
    ],
)
def test_a_history_that_cannot_be_is_refused(tid, history):
    assert not check_history(tid, history)
    assert len(chain(1000, 1)) == HISTORY_NAMES_RECEIVED_MAX


def test_a_settee_peers_stored_history_may_have_holes_and_siblings():
    assert check_history("9-aa", ["7-bb", "4-cc", "4-dd", "1-ee"], contiguous=False)
    assert not check_history("9-aa", ["7-bb", "4-cc"])
    assert not check_history("9-aa", ["9-bb"], contiguous=False)
    assert not check_history("9-aa", ["4-bb", "7-cc"], contiguous=False)
    assert not check_history("9-aa", ["7-bb", "7-bb"], contiguous=False)
    assert not check_history("9-aa", ["7-b"], contiguous=False)


def test_generations_that_would_end_a_document_are_refused():
    assert is_acceptable(f"{GENERATION_NATIVE_RECEIVED_MAX}-aa")
    assert not is_acceptable(f"{GENERATION_NATIVE_RECEIVED_MAX + 1}-aa")
    assert is_acceptable(name(GENERATION_RECEIVED_MAX, PHONE))
    assert not is_acceptable(name(GENERATION_RECEIVED_MAX + 1, PHONE))
    assert is_acceptable(filler(GENERATION_RECEIVED_MAX, NATIVE))
    assert is_acceptable(name(3, Version(GENERATION_NATIVE_RECEIVED_MAX << 40, RTE)))
    assert not is_acceptable(name(3, Version((GENERATION_NATIVE_RECEIVED_MAX + 1) << 40, RTE)))
    assert not check_history("4-dd", [name(3, Version(TIME_MAX, RTE))])


@pytest.mark.parametrize(
    ("vector", "first"),
    [
        (f"{2**60:x}@{'a' * 21}A", name(1, Version(2**60, "a" * 21 + "A"))),
        (f"{2**60:x}@{'a' * 21}A; {2**59:x}@{'b' * 21}A", ""),
        (f"{2**60:x}@{RTE}", ""),
        (f"1@{'a' * 21}A", ""),
        (f"{'f' * 17}@{'a' * 21}A", ""),
        (f"x@{'a' * 21}A", ""),
        ("", ""),
    ],
)
def test_only_a_single_version_of_a_clock_names_a_first_revision(vector, first):
    assert first_name(vector) == first


def test_ancestors_of_a_revision_without_a_name_are_checked_by_themselves():
    assert check_history("", ["2-bb", "1-aa"], contiguous=False)
    assert not check_history("", ["1-aa", "2-bb"], contiguous=False)
    assert not check_history("", ["2-x"], contiguous=False)


@pytest.mark.parametrize("height", [1, 999_999])
def test_an_everyday_name_says_its_version_at_once(height):
    text = name(height, PHONE)
    assert everyday_version(text) == version_text_of(text) == format_version(PHONE)
    assert is_acceptable(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        NATIVE,
        DERIVED + "0",
        DERIVED.upper(),
        f"0{DERIVED}",
        f"{DERIVED}\n",
        f"1000000-{DERIVED[2:]}",
        f"1-ff{TIME_MAX + 1:016x}{PHONE_HEX}",
        f"1-ff{TIME_MIN - 1:016x}{PHONE_HEX}",
        f"1-ff{PHONE.time:016x}{RTE_HEX}",
        f"1-ff{PHONE.time:016x}{'0' * 32}",
        step(1, PHONE, DERIVED),
    ],
)
def test_any_other_name_is_to_be_looked_at_closely(text):
    assert everyday_version(text) == ""


@given(st.text(alphabet="0123456789abcdef-fg", max_size=60))
def test_an_everyday_name_is_always_an_acceptable_one(text):
    version = everyday_version(text)
    assert not version or (is_acceptable(text) and version_text_of(text) == version)
