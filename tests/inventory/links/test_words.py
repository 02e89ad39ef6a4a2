"""Six words for a certificate."""

from __future__ import annotations

import pytest

from settee_inventory.links.words import WORDS, is_fingerprint, six_words


def test_a_certificate_has_always_the_same_six_words() -> None:
    assert six_words("00" * 32) == ["abandon"] * WORDS
    assert six_words("ff" * 32) == ["zoo"] * WORDS
    # 11 bits a word, from the front: 1, 2, 3, 4, 5, 6.
    number = 0
    for each in range(1, WORDS + 1):
        number = number << 11 | each
    assert six_words(f"{number << (256 - 66):064x}") == [
        "ability",
        "able",
        "about",
        "above",
        "absent",
        "absorb",
    ]


def test_two_certificates_that_differ_in_the_first_bits_differ_in_the_words() -> None:
    assert six_words("80" + "00" * 31)[0] != six_words("00" * 32)[0]


@pytest.mark.parametrize("text", ["", "ab", "g" * 64, "AB" * 32, "00" * 33])
def test_what_is_no_fingerprint_has_no_words(text: str) -> None:
    assert not is_fingerprint(text)
    with pytest.raises(ValueError, match="no SHA-256"):
        six_words(text)
