"""One text for each JSON value."""

from __future__ import annotations

from settee_inventory.model.canonical import digest_of, same, text_of


def test_the_order_of_keys_does_not_matter() -> None:
    assert text_of({"b": 1, "a": [True, None]}) == text_of({"a": [True, None], "b": 1})
    assert same({"b": 1, "a": 2}, {"a": 2, "b": 1})


def test_numbers_truths_and_texts_differ() -> None:
    assert not same(1, True)
    assert not same(1, "1")
    assert not same({"a": 1}, {"a": True})
    assert not same(None, "")


def test_digests_name_values() -> None:
    assert digest_of([1, {"b": 1, "a": 2}], 16) == digest_of([1, {"a": 2, "b": 1}], 16)
    assert digest_of([1], 16) != digest_of([2], 16)
    assert len(digest_of("\ud800", 24)) == 24
