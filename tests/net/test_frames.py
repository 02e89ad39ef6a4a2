"""Frames: what comes in whole, in bits, or broken; and the same verdict as another parser's."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

from settee.errors import PeerProtocolError
from settee.limits import WEBSOCKET_MESSAGE_BYTES_MAX, WEBSOCKET_PARTS_MAX
from settee.net.frames import (
    NO_CODE,
    OP_BINARY,
    OP_CLOSE,
    OP_PING,
    OP_PONG,
    Parser,
    close_payload,
    pack,
    pack_control,
    parse_close,
)
from tests.prop import examples

KEY = b"\x01\x02\x03\x04"


def frame(first: int, payload: bytes = b"", *, masked: bool = True, length: int | None = None):
    """One frame by hand, as wrong as wished."""
    size = len(payload) if length is None else length
    bit = 0x80 if masked else 0
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 65536:
        head = bytes((first, bit | 126)) + struct.pack(">H", size)
    else:
        head = bytes((first, bit | 127)) + struct.pack(">Q", size)
    if not masked:
        return head + payload
    return head + KEY + bytes(b ^ KEY[i % 4] for i, b in enumerate(payload))


MESSAGES = [b"", b"a", b"x" * 125, b"y" * 126, b"z" * 65535, b"w" * 65536]


@pytest.mark.parametrize("server", [True, False])
def test_what_is_packed_comes_out_again(server: bool) -> None:
    keys = bytes(range(4 * len(MESSAGES))) if server else None
    wire = pack(MESSAGES, keys)
    assert Parser(server).feed(wire) == [(OP_BINARY, message) for message in MESSAGES]


@pytest.mark.parametrize("size", [0, 125, 126, 2047, 2048, 65535, 65536])
def test_packs_with_the_shortest_length_field(size: int) -> None:
    head = 2 if size < 126 else 4 if size < 65536 else 10
    assert len(pack([b"q" * size])) == head + size
    assert len(pack([b"q" * size], KEY)) == head + 4 + size


def test_single_bytes_give_the_same_messages_as_one_read() -> None:
    parts = frame(0x02, b"one ") + frame(0x89, b"now") + frame(0x00, b"two ") + frame(0x80, b"!")
    wire = frame(0x82, b"first") + parts + frame(0x88, b"\x03\xe8bye")
    expected = [
        (OP_BINARY, b"first"),
        (OP_PING, b"now"),
        (OP_BINARY, b"one two !"),
        (OP_CLOSE, b"\x03\xe8bye"),
    ]
    assert Parser(True).feed(wire) == expected
    dripping = Parser(True)
    assert [m for byte in wire for m in dripping.feed(bytes((byte,)))] == expected


def test_takes_a_view_of_a_shared_buffer_and_keeps_no_hold_on_it() -> None:
    shared = bytearray(frame(0x82, b"abc") + frame(0x82, b"def")[:5])
    parser = Parser(True)
    got = parser.feed(memoryview(shared))
    shared[:] = bytes(len(shared))
    got += parser.feed(frame(0x82, b"def")[5:])
    assert got == [(OP_BINARY, b"abc"), (OP_BINARY, b"def")]


# The 14 frame attacks, and their kin: name, bytes, close code.
ATTACKS = [
    ("unmasked from a client", frame(0x82, b"hi", masked=False), 1002),
    ("RSV1, compression not agreed", frame(0xC2, b"hi"), 1002),
    ("RSV2", frame(0xA2, b"hi"), 1002),
    ("RSV3", frame(0x92, b"hi"), 1002),
    ("reserved data opcode", frame(0x83, b"hi"), 1002),
    ("reserved control opcode", frame(0x8B, b"hi"), 1002),
    ("fragmented ping", frame(0x09, b"hi"), 1002),
    ("ping of 126 bytes", frame(0x89, b"p" * 126), 1002),
    ("a continuation of nothing", frame(0x80, b"hi"), 1002),
    ("a message inside a message", frame(0x02, b"a") + frame(0x82, b"b"), 1002),
    ("length 2^63", frame(0x82, length=2**63), 1009),
    ("length 2^64 - 1", frame(0x82, length=2**64 - 1), 1009),
    ("length 2^32 + 5, five as 32 bits", frame(0x82, b"12345", length=2**32 + 5), 1009),
    ("one byte over the limit", frame(0x82, length=WEBSOCKET_MESSAGE_BYTES_MAX + 1), 1009),
    ("a hundred times the limit", frame(0x82, length=100 * WEBSOCKET_MESSAGE_BYTES_MAX), 1009),
    ("empty parts without end", frame(0x02) + frame(0x00) * 10_000, 1009),
    ("text", frame(0x81, b"hi"), 1003),
    ("text that is no UTF-8", frame(0x81, b"\xff\xfe"), 1003),
    ("fragmented text", frame(0x01, b"hi"), 1003),
    ("close with half a code", frame(0x88, b"\x03"), 1002),
    ("close with code 1005", frame(0x88, b"\x03\xed"), 1002),
    ("close with code 999", frame(0x88, b"\x03\xe7"), 1002),
    ("close with code 5000", frame(0x88, b"\x13\x88"), 1002),
    ("close with a reason that is no UTF-8", frame(0x88, b"\x03\xe8\xff"), 1007),
]


@pytest.mark.sec("SEC-11", "SEC-12")
@pytest.mark.parametrize(("name", "wire", "code"), ATTACKS, ids=[a[0] for a in ATTACKS])
@pytest.mark.parametrize("dripping", [False, True])
def test_refuses(name: str, wire: bytes, code: int, dripping: bool) -> None:
    parser = Parser(True)
    messages = parser.feed(frame(0x82, b"before"))
    pieces = [bytes((byte,)) for byte in wire] if dripping else [wire]
    with pytest.raises(PeerProtocolError) as caught:
        messages += [message for piece in pieces for message in parser.feed(piece)]
    assert (caught.value.domain, caught.value.code) == ("WebSocket", code)
    assert messages == [(OP_BINARY, b"before")]
    assert parser.held_bytes == 0
    assert parser.feed(frame(0x82, b"after")) == []


def test_a_server_that_masks_is_refused_by_a_client() -> None:
    with pytest.raises(PeerProtocolError, match="masked by a server"):
        Parser(False).feed(frame(0x82, b"hi"))


def test_tells_what_was_whole_before_the_broken_frame() -> None:
    parser = Parser(True)
    with pytest.raises(PeerProtocolError):
        parser.feed(frame(0x82, b"good") + frame(0xC2, b"bad"))
    assert parser.before_error == [(OP_BINARY, b"good")]


def test_takes_a_message_of_just_the_limit_in_one_frame_and_in_parts() -> None:
    parser = Parser(True, message_bytes_max=1000)
    assert parser.feed(frame(0x82, b"m" * 1000)) == [(OP_BINARY, b"m" * 1000)]
    assert parser.feed(frame(0x02, b"m" * 600) + frame(0x80, b"n" * 400)) == [
        (OP_BINARY, b"m" * 600 + b"n" * 400)
    ]
    parser.feed(frame(0x02, b"m" * 600))
    with pytest.raises(PeerProtocolError) as caught:
        parser.feed(frame(0x80, length=401))
    assert caught.value.code == 1009


@pytest.mark.sec("SEC-12")
def test_takes_as_many_parts_as_the_limit_says() -> None:
    parser = Parser(True)
    wire = frame(0x02, b"p") + frame(0x00, b"p") * (WEBSOCKET_PARTS_MAX - 2) + frame(0x80, b"p")
    assert parser.feed(wire) == [(OP_BINARY, b"p" * WEBSOCKET_PARTS_MAX)]
    over = frame(0x02, b"p") + frame(0x00, b"p") * WEBSOCKET_PARTS_MAX
    with pytest.raises(PeerProtocolError) as caught:
        parser.feed(over)
    assert caught.value.code == 1009


@pytest.mark.sec("SEC-12")
def test_a_promised_length_takes_no_memory() -> None:
    parser = Parser(True)
    assert parser.feed(frame(0x82, b"tiny", length=WEBSOCKET_MESSAGE_BYTES_MAX)) == []
    assert parser.held_bytes < 32


def test_throws_away_what_follows_a_close() -> None:
    parser = Parser(True)
    wire = frame(0x88, b"\x0f\xa1later") + frame(0x82, b"data") + b"\xff" * 10
    assert parser.feed(wire) == [(OP_CLOSE, b"\x0f\xa1later")]
    assert parser.feed(frame(0x82, b"data")) == []


def test_reads_the_close_payload() -> None:
    assert parse_close(b"") == (NO_CODE, "")
    assert parse_close(close_payload(4001, "später")) == (4001, "später")


def test_cuts_a_long_close_reason_between_characters() -> None:
    payload = close_payload(4002, "ü" * 100)
    assert len(payload) <= 125
    assert parse_close(payload) == (4002, "ü" * 61)


def test_control_frames_come_out_again() -> None:
    assert Parser(True).feed(pack_control(OP_PING, b"p", KEY)) == [(OP_PING, b"p")]
    assert Parser(False).feed(pack_control(OP_PONG, b"q")) == [(OP_PONG, b"q")]


# --- another parser's verdict --------------------------------------------------------------------


def theirs(server: bool, pieces: list[bytes]) -> tuple[list[tuple[int, bytes]], bool]:
    """What `websockets` makes of it: messages, and whether it refused."""
    side = Side.SERVER if server else Side.CLIENT
    protocol = Protocol(side, state=OPEN, max_size=WEBSOCKET_MESSAGE_BYTES_MAX)
    for piece in pieces:
        protocol.receive_data(piece)
    messages: list[tuple[int, bytes]] = []
    parts: list[bytes] = []
    for event in protocol.events_received():
        assert isinstance(event, Frame)
        if event.opcode in (Opcode.BINARY, Opcode.CONT):
            parts.append(bytes(event.data))
            if event.fin:
                messages.append((OP_BINARY, b"".join(parts)))
                parts = []
        else:
            messages.append((int(event.opcode), bytes(event.data)))
    # It refuses a CLOSE inside a fragmented message; RFC 6455, 5.4, allows control frames there.
    closed_inside = protocol.close_rcvd is not None and protocol.parser_exc is not None
    if closed_inside:
        assert protocol.close_rcvd is not None
        code, reason = protocol.close_rcvd.code, protocol.close_rcvd.reason
        messages.append((OP_CLOSE, b"" if code == NO_CODE else close_payload(code, reason)))
    return messages, protocol.parser_exc is not None and not closed_inside


def ours(server: bool, pieces: list[bytes]) -> tuple[list[tuple[int, bytes]], bool]:
    parser = Parser(server, parts_max=10**9)
    messages: list[tuple[int, bytes]] = []
    for piece in pieces:
        try:
            messages += parser.feed(piece)
        except PeerProtocolError:
            return messages + parser.before_error, True
    return messages, False


def split(wire: bytes, chance: random.Random) -> list[bytes]:
    cuts = sorted(chance.randrange(len(wire) + 1) for _ in range(chance.randrange(6)))
    return [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]


FIRST = st.one_of(
    st.sampled_from([0x82, 0x02, 0x00, 0x80, 0x89, 0x8A, 0x88]),
    st.integers(0, 255).filter(lambda first: first & 0x0F != 1),
)
PIECE = st.tuples(FIRST, st.binary(max_size=140), st.integers(0, 9))


@pytest.mark.property(number=7)
@pytest.mark.sec("SEC-12")
@given(st.lists(PIECE, max_size=8), st.booleans(), st.integers(0, 2**32))
@examples(150)
def test_gives_the_same_verdict_as_another_parser(
    pieces: list[tuple[int, bytes, int]], server: bool, seed: int
) -> None:
    wire = b"".join(frame(first, body, masked=server is (odd != 0)) for first, body, odd in pieces)
    cut = split(wire, random.Random(seed))
    assert ours(server, cut) == theirs(server, cut)


@pytest.mark.property(number=7)
@given(st.binary(max_size=300), st.booleans())
@examples(100)
def test_junk_is_parsed_or_refused_whole_and_byte_by_byte(junk: bytes, server: bool) -> None:
    whole = ours(server, [junk])
    assert whole == ours(server, [bytes((byte,)) for byte in junk])
