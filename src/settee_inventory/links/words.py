"""Six words for a certificate, to be read aloud and compared.

The first 66 bits of its SHA-256, 11 for each word, from a list of 2,048 that differ in their first
four letters. Somebody who wants another certificate with the same six words has to make 2**66.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Final

__all__ = ["WORDS", "is_fingerprint", "six_words"]

WORDS: Final = 6
_BITS: Final = 11
_DIGITS: Final = 64


@functools.cache
def _list() -> tuple[str, ...]:
    text = (resources.files("settee_inventory") / "links" / "words.txt").read_text("ascii")
    return tuple(text.split())


def is_fingerprint(text: str) -> bool:
    """Tell whether `text` is a SHA-256 in 64 lower-case hex digits."""
    return len(text) == _DIGITS and all(digit in "0123456789abcdef" for digit in text)


def six_words(fingerprint: str) -> list[str]:
    """Return the words of `fingerprint`, the SHA-256 of a certificate in 64 hex digits.

    Raises ValueError for anything else.
    """
    if not is_fingerprint(fingerprint):
        raise ValueError(f"no SHA-256 in hex: {fingerprint[:80]!r}")
    number = int(fingerprint, 16)
    shifts = (4 * _DIGITS - _BITS * (place + 1) for place in range(WORDS))
    return [_list()[(number >> shift) % 2**_BITS] for shift in shifts]
