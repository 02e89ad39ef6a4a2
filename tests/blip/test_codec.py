from __future__ import annotations

import json
import random
import tracemalloc
import zlib
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settee.blip import codec
from settee.blip.codec import Decoder, Encoder
from settee.blip.frame import COMPRESSED, ERR, MORE_COMING, RPY, TYPE_MASK, read_header, split
from settee.blip.outbox import Outbox
from settee.errors import PeerProtocolError
from settee.limits import FRAME_BYTES_LONG_MAX, FRAME_BYTES_MAX

VECTORS = Path(__file__).parents[1] / "vectors" / "blip_frames.json"
CASES = [c for c in json.loads(VECTORS.read_text())["cases"] if c["name"] != "acks"]
TAIL = b"\x00\x00\xff\xff"


def opened(decoder: Decoder, frame: bytes) -> bytes:
    _, flags, at = read_header(frame)
    return decoder.payload(frame, at, flags)


def refused(decoder: Decoder, frame: bytes) -> PeerProtocolError:
    with pytest.raises(PeerProtocolError) as raised:
        opened(decoder, frame)
    return raised.value


def with_checksum(head: bytes, deflated: bytes, payload: bytes) -> bytes:
    return head + deflated + zlib.crc32(payload).to_bytes(4, "big")


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
def test_the_frames_of_the_vectors_open_to_their_payloads(case: dict[str, Any]) -> None:
    decoder = Decoder()
    for vector in case["frames"]:
        frame = bytes.fromhex(vector["frame_hex"])
        assert read_header(frame)[:2] == (vector["number"], vector["flags"])
        assert opened(decoder, frame).hex() == vector["payload_hex"]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
def test_the_payloads_of_the_vectors_are_framed_byte_for_byte(case: dict[str, Any]) -> None:
    encoder = Encoder(6)
    for vector in case["frames"]:
        frame = bytes.fromhex(vector["frame_hex"])
        made = encoder.frame(
            vector["number"], vector["flags"], bytes.fromhex(vector["payload_hex"])
        )
        if vector["flags"] & COMPRESSED:
            # Deflated bytes may differ between zlibs; header and checksum may not.
            assert (split(made)[:2], split(made)[3]) == (split(frame)[:2], split(frame)[3])
        else:
            assert made == frame


@pytest.mark.parametrize("deflate", ["zlib", "zlib-ng"])
@settings(max_examples=40, deadline=None)
@given(
    payloads=st.lists(st.tuples(st.binary(max_size=300), st.booleans())), level=st.integers(0, 9)
)
def test_any_payloads_pass_compressed_and_plain_mixed(
    deflate: str, payloads: list[tuple[bytes, bool]], level: int
) -> None:
    with mock.patch.object(codec, "_compressobj", deflates(deflate)):
        encoder, decoder = Encoder(level), Decoder()
        pass_through(encoder, decoder, payloads)


def deflates(name: str) -> Any:
    return (zlib if name == "zlib" else pytest.importorskip("zlib_ng.zlib_ng")).compressobj


def pass_through(encoder: Encoder, decoder: Decoder, payloads: list[tuple[bytes, bool]]) -> None:
    for payload, compress in payloads:
        frame = encoder.frame(1, COMPRESSED if compress else 0, payload)
        assert opened(decoder, frame) == payload


def test_later_frames_lean_on_earlier_ones() -> None:
    encoder = Encoder(1)
    text = b'{"type":"item","name":"a sentence that comes again"}'
    first, second = encoder.frame(1, COMPRESSED, text), encoder.frame(2, COMPRESSED, text)
    assert len(second) < len(first) // 2


def test_an_empty_payload_and_level_0_clear_the_flag() -> None:
    assert split(Encoder(6).frame(1, COMPRESSED | RPY, b""))[1] == RPY
    assert split(Encoder(0).frame(1, COMPRESSED | RPY, b"x" * 999))[1:3] == (RPY, b"x" * 999)


def test_a_compressed_frame_without_payload_leaves_the_stream_alone() -> None:
    # Couchbase Lite sends one at the end of some blobs.
    encoder, decoder = Encoder(6), Decoder()
    first = b"some text that is repeated, some text that is repeated"
    assert opened(decoder, encoder.frame(1, COMPRESSED | MORE_COMING, first)) == first
    empty = bytes([1, COMPRESSED]) + zlib.crc32(first).to_bytes(4, "big")
    assert opened(decoder, empty) == b""
    assert opened(decoder, encoder.frame(2, COMPRESSED, first)) == first


def test_a_single_zero_byte_inflates_to_nothing() -> None:
    # Sync Gateway sends this for an empty compressed end of a message.
    assert opened(Decoder(), with_checksum(b"\x01\x08", b"\x00", b"")) == b""


@pytest.mark.parametrize("frame_bytes_max", [FRAME_BYTES_MAX, FRAME_BYTES_LONG_MAX])
@pytest.mark.parametrize("level", [1, 6, 9])
@pytest.mark.parametrize("deflate", ["zlib", "zlib-ng"])
def test_noise_never_makes_a_frame_longer_than_allowed(
    deflate: str, level: int, frame_bytes_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec, "_compressobj", deflates(deflate))
    encoder, noise = Encoder(level), random.Random(level)
    payload_bytes = Outbox(level, frame_bytes_max)._deflated_bytes
    for _ in range(20):
        frame = encoder.frame(2**20, COMPRESSED, noise.randbytes(payload_bytes))
        assert len(frame) <= frame_bytes_max
    # Other deflates may need nine bits for a byte.
    assert payload_bytes * 9 // 8 + 32 <= frame_bytes_max


def test_deflates_with_zlib_ng_where_it_is_there() -> None:
    pytest.importorskip("zlib_ng.zlib_ng")
    assert codec.deflate_implementation == "zlib-ng"


@given(st.lists(st.binary(max_size=3000)))
def test_checksums_as_the_standard_library_does(parts: list[bytes]) -> None:
    ours = theirs = 0
    for part in parts:
        ours, theirs = codec.crc32(memoryview(part), ours), zlib.crc32(part, theirs)
        assert ours == theirs


def test_the_checksum_runs_on_over_all_frames() -> None:
    encoder = Encoder(6)
    frames = [encoder.frame(n, n % 2 * COMPRESSED, b"payload %d" % n) for n in range(1, 6)]
    expected = b"".join(b"payload %d" % n for n in range(1, 6))
    assert split(frames[-1])[3] == zlib.crc32(expected)
    decoder = Decoder()
    opened(decoder, frames[0])
    assert "checksum is wrong" in str(refused(decoder, frames[2]))  # One frame is missing.


@pytest.mark.parametrize("bit", range(32))
def test_a_wrong_checksum_breaks_the_protocol(bit: int) -> None:
    frame = bytearray(Encoder().frame(1, ERR, b"payload"))
    frame[-1 - bit // 8] ^= 1 << bit % 8
    error = refused(Decoder(), bytes(frame))
    assert (error.domain, error.code) == ("WebSocket", 1002)


def test_what_does_not_inflate_breaks_the_protocol() -> None:
    assert "does not inflate" in str(refused(Decoder(), b"\x01\x08\x07\x07\x07sum!"))


def test_a_deflate_stream_that_ends_breaks_the_protocol() -> None:
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
    ended = deflater.compress(b"the end") + deflater.flush(zlib.Z_FINISH)
    frame = with_checksum(b"\x01\x08", ended, b"the end")
    assert "was ended" in str(refused(Decoder(), frame))
    trailing = with_checksum(b"\x01\x08", ended + b"trailing data", b"the end")
    assert "was ended" in str(refused(Decoder(), trailing))


def deflated(payload: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


@pytest.mark.sec("SEC-13")
def test_a_frame_may_inflate_to_the_limit_and_not_a_byte_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(codec, "INFLATED_BYTES_MAX", 100_000)
    full = bytes(100_000)
    assert opened(Decoder(), with_checksum(b"\x01\x08", deflated(full), full)) == full
    over = bytes(100_001)
    error = refused(Decoder(), with_checksum(b"\x01\x08", deflated(over), over))
    assert error.code == 1009


@pytest.mark.sec("SEC-13")
def test_a_bomb_is_not_inflated_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = deflated(bytes(64 * 2**20))
    assert len(bomb) < 100_000
    monkeypatch.setattr(codec, "INFLATED_BYTES_MAX", 2**20)
    frame = with_checksum(b"\x01\x08", bomb, b"")
    tracemalloc.start()
    error = refused(Decoder(), frame)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.code == 1009
    assert peak_bytes < 4 * 2**20


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=4))
def test_junk_opens_or_is_refused_and_nothing_else(frames: list[bytes]) -> None:
    decoder = Decoder()
    for junk in frames:
        try:
            _, flags, at = read_header(b"\x01\x08" + junk)
            if flags & TYPE_MASK <= ERR:
                decoder.payload(b"\x01\x08" + junk, at, flags)
        except PeerProtocolError:
            return
