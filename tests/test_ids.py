from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settee.errors import InvalidNameError
from settee.ids import (
    CollectionName,
    are_plain_document_ids,
    check_database_name,
    check_document_id,
    digest_bytes,
    digest_text,
    is_document_id,
)


@pytest.mark.parametrize("text", ["a", "doc::list", "x" * 240, "ü" * 120, "a b", "\U0010ffff" * 60])
def test_document_ids_of_up_to_240_bytes_are_good(text: str) -> None:
    assert is_document_id(text)
    assert check_document_id(text) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("_design/x", "underscore"),
        ("x" * 241, "240"),
        ("ü" * 121, "240"),
        ("a\nb", "control"),
        ("a\0", "control"),
        ("a\x7f", "control"),
        ("\ud800", "valid text"),
    ],
)
def test_other_document_ids_are_refused_with_the_reason(text: str, says: str) -> None:
    assert not is_document_id(text)
    with pytest.raises(InvalidNameError, match=says):
        check_document_id(text)


def test_an_id_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidNameError, match="int"):
        check_document_id(3)  # type: ignore[arg-type]


@given(st.text())
def test_checking_any_text_as_an_id_never_fails_otherwise(text: str) -> None:
    if is_document_id(text):
        assert 1 <= len(text.encode()) <= 240
    else:
        with pytest.raises(InvalidNameError):
            check_document_id(text)


@pytest.mark.parametrize(
    ("text", "scope", "name", "path"),
    [
        ("items", "_default", "items", "items"),
        ("shop.items", "shop", "items", "shop.items"),
        ("_default", "_default", "_default", "_default"),
        ("_default._default", "_default", "_default", "_default"),
        ("_default.items", "_default", "items", "items"),
        ("a" * 251, "_default", "a" * 251, "a" * 251),
    ],
)
def test_collection_names_are_read_and_written(text: str, scope: str, name: str, path: str) -> None:
    parsed = CollectionName.parse(text)
    assert parsed == (scope, name)
    assert str(parsed) == parsed.path == path
    assert parsed.is_default is (name == "_default")


@pytest.mark.parametrize(
    "text",
    ["", ".", "a.", ".a", "a.b.c", "_x", "%x", "a b", "a" * 252, "shop._default", "ü", "a\n"],
)
def test_other_collection_names_are_refused(text: str) -> None:
    with pytest.raises(InvalidNameError):
        CollectionName.parse(text)


@pytest.mark.parametrize("text", ["inventory", "a.b", "A_1-x", "x" * 128])
def test_database_names_are_good(text: str) -> None:
    assert check_database_name(text) == text


@pytest.mark.sec("SEC-39")
@pytest.mark.parametrize("text", ["", ".hidden", "a/b", "..", "a\0b", "x" * 129, "ü", "a\n"])
def test_database_names_that_could_leave_their_place_are_refused(text: str) -> None:
    with pytest.raises(InvalidNameError):
        check_database_name(text)


@given(st.binary(min_size=20, max_size=20))
def test_digests_travel_there_and_back(raw: bytes) -> None:
    assert digest_bytes(digest_text(raw)) == raw


@pytest.mark.parametrize(
    "text",
    [
        None,
        3,
        "",
        "sha1-",
        "sha1-../../../etc/passwd",
        "sha1-" + "A" * 28,
        "sha1-" + "A" * 27,
        "sha1-" + "A" * 26 + "==",
        "md5--" + "A" * 27 + "=",
        "sha1-" + "!" * 27 + "=",
        "sha1-" + "A" * 26 + "B=",
        "sha1-" + "A" * 27 + "=\n",
    ],
)
def test_what_is_no_digest_is_none(text: object) -> None:
    assert digest_bytes(text) is None


@given(st.lists(st.text(max_size=5) | st.sampled_from(["_a", "a_", "", "x" * 240, "x" * 241])))
def test_ids_that_are_plain_together_are_good_one_by_one(texts: list[str]) -> None:
    if are_plain_document_ids(texts):
        assert all(is_document_id(text) for text in texts)


@pytest.mark.parametrize("odd", ["", "_a", "a\n", "\x7f", "ü", "x" * 241, 5, None, b"a"])
def test_one_odd_id_among_many_is_seen(odd: object) -> None:
    assert are_plain_document_ids(["a", "b_c", "x" * 240])
    assert not are_plain_document_ids(["a", odd, "b"])
