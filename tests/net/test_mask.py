"""The mask: its own inverse, the same by every routine."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settee.net import mask


def test_masks_as_the_example_of_the_standard_does() -> None:
    # RFC 6455, 5.7: a masked text message "Hello".
    key = bytes.fromhex("37fa213d")
    assert mask.xor(b"Hello", key) == bytes.fromhex("7f9f4d5158")
    assert mask.xor_with_integers(b"Hello", key) == bytes.fromhex("7f9f4d5158")


@given(st.binary(max_size=200), st.binary(min_size=4, max_size=4))
@settings(max_examples=60)
def test_both_routines_agree_and_undo_themselves(data: bytes, key: bytes) -> None:
    masked = mask.xor_with_integers(data, key)
    assert masked == bytes(byte ^ key[at % 4] for at, byte in enumerate(data))
    assert mask.xor(data, key) == masked
    assert mask.xor(masked, key) == data


def test_names_the_routine_that_it_uses() -> None:
    pytest.importorskip("websockets.speedups")
    assert mask.implementation == "websockets"
