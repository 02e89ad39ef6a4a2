from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settee.blip.frame import (
    ACK_MSG,
    ACK_RPY,
    ERR,
    MORE_COMING,
    MSG,
    NO_REPLY,
    RPY,
    URGENT,
    ack_frame,
    put_header,
    put_uvarint,
    read_header,
    split,
    uvarint,
)
from settee.errors import PeerProtocolError
from settee.limits import FRAME_BYTES_RECEIVED_MAX

VECTORS = Path(__file__).parents[1] / "vectors" / "blip_frames.json"
ACKS = next(c for c in json.loads(VECTORS.read_text())["cases"] if c["name"] == "acks")

WRITTEN = [
    (0, "00"),
    (127, "7f"),
    (128, "8001"),
    (300, "ac02"),
    (16383, "ff7f"),
    (16384, "808001"),
    (50012, "dc8603"),
    (128000, "80e807"),
    (2**64 - 1, "ffffffffffffffffff01"),
]


@pytest.mark.parametrize(("value", "written"), WRITTEN)
def test_a_varint_is_written_and_read_as_the_protocol_says(value: int, written: str) -> None:
    assert put_uvarint(value).hex() == written
    assert uvarint(b"\xff" + bytes.fromhex(written) + b"\x07", 1) == (value, 1 + len(written) // 2)


@pytest.mark.parametrize(
    "written",
    ["", "80", "ffff", "ff" * 9, "ff" * 9 + "02", "ff" * 10, "80" * 10 + "01", "80" * 9 + "7f"],
)
def test_a_varint_that_is_cut_off_or_beyond_64_bits_breaks_the_protocol(written: str) -> None:
    with pytest.raises(PeerProtocolError, match="cut off or beyond 64 bits"):
        uvarint(bytes.fromhex(written), 0)


def test_a_varint_padded_to_ten_bytes_is_still_read() -> None:
    assert uvarint(bytes.fromhex("81" + "80" * 8 + "00"), 0) == (1, 10)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 127), st.binary(max_size=8))
def test_any_header_survives_the_way_there_and_back(number: int, flags: int, rest: bytes) -> None:
    header = put_header(number, flags)
    assert header == put_uvarint(number) + bytes([flags])
    assert read_header(header + rest + b"sum!") == (number, flags, len(header))


@pytest.mark.parametrize("number", [1, 127, 128, 16383, 16384, 2**21 - 1, 2**21, 2**63])
def test_headers_of_every_length_agree_with_the_plain_varint(number: int) -> None:
    frame = put_uvarint(number) + b"\x41" + b"sum!"
    assert read_header(frame) == (number, 0x41, len(frame) - 4)
    assert put_header(number, 0x41) + b"sum!" == frame


def test_unknown_high_flags_are_read_over() -> None:
    # 0x81 0x03 is 0x181: type RPY, bits 7 and 8 unknown.
    assert read_header(bytes.fromhex("05810300") + b"sum!") == (5, 0x181, 3)


@pytest.mark.parametrize("vector", ACKS["frames"], ids=lambda v: v["frame_hex"])
def test_ack_frames_are_those_of_the_vectors(vector: dict[str, int | str]) -> None:
    number, flags, count = int(vector["number"]), int(vector["flags"]), int(vector["ack"])
    frame = bytes.fromhex(str(vector["frame_hex"]))
    assert ack_frame(number, flags, count) == frame
    assert split(frame) == (number, flags, put_uvarint(count), None)
    assert flags in (ACK_MSG | URGENT | NO_REPLY, ACK_RPY | URGENT | NO_REPLY)


def test_split_takes_a_frame_apart_without_judging_it() -> None:
    frame = bytes.fromhex("02010045467a4e")
    assert split(frame) == (2, RPY, b"\x00", 0x45467A4E)
    assert split(b"\x09\x43xyz") == (9, MORE_COMING | 3, b"xyz", None)


@pytest.mark.parametrize(
    "frame",
    ["", "01", "80", "8001", "808080", "80808001", "0180", "ffffffffffffffffffff0100"],
)
def test_a_frame_that_ends_inside_its_header_breaks_the_protocol(frame: str) -> None:
    with pytest.raises(PeerProtocolError) as raised:
        read_header(bytes.fromhex(frame))
    assert (raised.value.domain, raised.value.code) == ("WebSocket", 1002)


@pytest.mark.parametrize("kind", [MSG, RPY, ERR])
@pytest.mark.parametrize("size", [0, 3])
def test_a_frame_shorter_than_its_checksum_breaks_the_protocol(kind: int, size: int) -> None:
    with pytest.raises(PeerProtocolError, match="too short for its checksum"):
        read_header(bytes([1, kind]) + bytes(size))
    assert read_header(bytes([1, kind]) + bytes(4)) == (1, kind, 2)


def test_a_frame_may_have_a_mebibyte_and_not_a_byte_more() -> None:
    frame = bytes(FRAME_BYTES_RECEIVED_MAX)
    assert read_header(frame) == (0, 0, 2)
    with pytest.raises(PeerProtocolError) as raised:
        read_header(frame + b"\x00")
    assert raised.value.code == 1009


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=16))
def test_junk_is_split_or_refused_and_nothing_else(junk: bytes) -> None:
    try:
        number, _flags, payload, checksum = split(junk)
    except PeerProtocolError:
        return
    assert 0 <= number < 2**64
    assert len(payload) + (4 if checksum is not None else 0) <= len(junk) - 2
