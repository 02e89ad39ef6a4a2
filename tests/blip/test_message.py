from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settee.blip import message
from settee.blip.frame import MSG, put_uvarint
from settee.blip.message import Incoming, decode_message, encode_message, head_is_whole
from settee.errors import PeerProtocolError, UsageError
from settee.limits import PROPERTIES_BYTES_MAX

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "blip_frames.json").read_text())

words = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(words, words, max_size=8), st.binary(max_size=200))
def test_any_message_survives_the_way_there_and_back(
    properties: dict[str, str], body: bytes
) -> None:
    payload = encode_message(properties, body)
    assert decode_message(payload) == (properties, body)
    assert head_is_whole(payload[: len(payload) - len(body)])


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40))
def test_junk_is_decoded_or_refused_and_nothing_else(junk: bytes) -> None:
    try:
        properties, body = decode_message(junk)
    except PeerProtocolError:
        return
    assert len(body) < len(junk)
    assert all("\x00" not in word for pair in properties.items() for word in pair)


def test_the_empty_message_is_one_zero_byte() -> None:
    assert encode_message({}, b"") == b"\x00"
    assert decode_message(b"\x00") == ({}, b"")


def test_properties_are_written_as_in_the_vectors() -> None:
    vector = VECTORS["cases"][0]["frames"][0]
    properties = {"Profile": "getCheckpoint", "client": "cp-AAAA"}
    assert encode_message(properties, b"").hex() == vector["payload_hex"]


def test_empty_values_and_keys_are_legal() -> None:
    assert decode_message(encode_message({"rev": "", "": "x"}, b"b")) == (
        {"rev": "", "": "x"},
        b"b",
    )


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x80", id="length cut off"),
        pytest.param(b"\x05k\x00v\x00", id="longer than the message"),
        pytest.param(b"\x03k\x00v", id="not terminated"),
        pytest.param(b"\x02k\x00", id="key without value"),
        pytest.param(b"\x06k\x00v\x00x\x00", id="odd count"),
        pytest.param(b"\x01\x00", id="one empty word"),
        pytest.param(b"\x04k\x00\xff\x00", id="not UTF-8"),
        pytest.param(b"\x06k\x00\xed\xa0\x80\x00", id="a surrogate"),
        pytest.param(b"\x05k\x00\xc0\x80\x00", id="an overlong zero"),
        pytest.param(b"\xff" * 9 + b"\x01k\x00v\x00", id="length of 2^64"),
    ],
)
def test_malformed_properties_break_the_protocol(payload: bytes) -> None:
    with pytest.raises(PeerProtocolError) as raised:
        decode_message(payload)
    assert (raised.value.domain, raised.value.code) == ("WebSocket", 1002)


def test_of_equal_keys_the_first_counts() -> None:
    props = b"a\x001\x00b\x002\x00a\x003\x00b\x004\x00c\x005\x00"
    payload = bytes([len(props)]) + props + b"body"
    assert decode_message(payload) == ({"a": "1", "b": "2", "c": "5"}, b"body")


def test_properties_may_have_100_kib_and_not_a_byte_more() -> None:
    full = {"key": "v" * (PROPERTIES_BYTES_MAX - 5)}
    payload = encode_message(full, b"body")
    assert decode_message(payload) == (full, b"body")
    assert head_is_whole(payload)
    over = {"key": "v" * (PROPERTIES_BYTES_MAX - 4)}
    with pytest.raises(UsageError, match="shorten them"):
        encode_message(over, b"")
    written = b"key\x00" + b"v" * (PROPERTIES_BYTES_MAX - 4) + b"\x00"
    with pytest.raises(PeerProtocolError):
        decode_message(put_uvarint(len(written)) + written)
    with pytest.raises(PeerProtocolError):
        head_is_whole(put_uvarint(len(written)))


@pytest.mark.parametrize("properties", [{"k": "a\x00b"}, {"k\x00": "v"}, {"k": "\ud800"}])
def test_properties_that_no_peer_could_read_are_refused_here(properties: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        encode_message(properties, b"")


def test_a_head_is_whole_from_its_last_byte_on() -> None:
    payload = encode_message({"key": "v" * 200}, b"body")
    head_bytes = len(payload) - 4
    whole = [head_is_whole(payload[:count]) for count in range(len(payload) + 1)]
    assert whole == [count >= head_bytes for count in range(len(payload) + 1)]


def test_an_incoming_message_may_grow_to_the_limit_and_not_a_byte_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(message, "MESSAGE_BODY_BYTES_MAX", 1000)
    incoming = Incoming(1, MSG)
    incoming.add(bytes(600), 610, 604)
    incoming.add(bytes(400), 410, 404)
    assert (len(incoming.buffer), incoming.wire_bytes, incoming.taken_bytes) == (1000, 1020, 1008)
    with pytest.raises(PeerProtocolError) as raised:
        incoming.add(b"x", 7, 5)
    assert raised.value.code == 1009
