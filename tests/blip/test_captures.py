"""Every frame that two Couchbase Lite peers exchanged, through our codec and our connections."""

from __future__ import annotations

import pytest

from settee.blip import Connection, Reply, Request
from settee.blip.codec import Decoder, Encoder
from settee.blip.frame import (
    ACK_MSG,
    ACK_RPY,
    COMPRESSED,
    ERR,
    MORE_COMING,
    MSG,
    NO_REPLY,
    TYPE_MASK,
    URGENT,
    ack_frame,
    read_header,
    split,
    uvarint,
)
from settee.blip.message import decode_message, encode_message
from tests.blip.peers import Opened
from tests.captures import Recorded, load, scenarios

ALL = 10**9
OTHER = {"c2s": "s2c", "s2c": "c2s"}


def frames_of(recorded: list[Recorded], direction: str) -> list[bytes]:
    return [
        item.data
        for item in recorded
        if item.kind == "binary" and item.direction == direction and isinstance(item.data, bytes)
    ]


def test_there_are_captures_of_every_kind() -> None:
    names = scenarios()
    assert len(names) == 58
    assert {name.split("/")[0] for name in names} == {"3.1", "4-revtree", "4-vv", "mixed"}
    kinds = {
        split(frame)[1] & TYPE_MASK
        for name in names
        for recorded in load(name).connections
        for direction in OTHER
        for frame in frames_of(recorded, direction)
    }
    assert {MSG, ERR, ACK_RPY} < kinds
    assert all(load(name).log for name in names)


def test_an_unknown_capture_is_not_found() -> None:
    with pytest.raises(FileNotFoundError):
        load("3.1/no-such-scenario")


@pytest.mark.parametrize("direction", OTHER)
@pytest.mark.parametrize("name", scenarios())
def test_every_recorded_frame_is_read_and_written_as_it_was(name: str, direction: str) -> None:
    for recorded in load(name).connections:
        decoder, encoder, check = Decoder(), Encoder(6), Decoder()
        for frame in frames_of(recorded, direction):
            number, flags, at = read_header(frame)
            if flags & TYPE_MASK in (ACK_MSG, ACK_RPY):
                assert ack_frame(number, flags, uvarint(frame, at)[0]) == frame
                continue
            payload = decoder.payload(frame, at, flags)  # Verifies the running checksum.
            made = encoder.frame(number, flags, payload)
            if flags & COMPRESSED:
                assert (split(made)[:2], split(made)[3]) == (split(frame)[:2], split(frame)[3])
                assert check.payload(made, at, flags) == payload
            else:
                assert made == frame
                assert check.payload(made, at, flags) == payload


class Player:
    """Plays one recorded side with a real connection, driven by what that side is known to send."""

    def __init__(self) -> None:
        self.connection = Connection()
        self.received: list[Request | Reply] = []
        self._opened = Opened()
        self._begun: dict[tuple[int, bool], tuple[int, bytes]] = {}

    def says(self, frame: bytes) -> None:
        """This side sent `frame`: when its message is complete, send the same message."""
        number, flags, payload = self._opened.open(frame)
        kind = flags & TYPE_MASK
        if kind > ERR:
            return
        key = number, kind == MSG
        first_flags, so_far = self._begun.pop(key, (flags, b""))
        if flags & MORE_COMING:
            self._begun[key] = first_flags, so_far + payload
            return
        properties, body = decode_message(so_far + payload)
        assert encode_message(properties, body) == so_far + payload
        compress = bool(first_flags & COMPRESSED)
        if kind == ERR:
            domain, code = properties["Error-Domain"], int(properties["Error-Code"])
            self.connection.reply_error(number, domain, code, body.decode())
        elif kind == MSG:
            self.connection.send_request(
                number,
                properties,
                body,
                urgent=bool(first_flags & URGENT),
                no_reply=bool(first_flags & NO_REPLY),
                compress=compress,
            )
        else:
            self.connection.reply(number, properties, body, compress=compress)
        self.connection.frames_to_send(ALL)

    def hears(self, frame: bytes) -> None:
        for event in self.connection.receive([frame]):
            assert isinstance(event, Request | Reply)
            self.received.append(event)


def messages(frames: list[bytes]) -> list[tuple[int, int, bytes]]:
    """Number, flags of the first frame, and whole payload, in order of their last frames."""
    opened, begun, whole = Opened(), dict[tuple[int, bool], tuple[int, bytes]](), []
    for frame in frames:
        number, flags, payload = opened.open(frame)
        if flags & TYPE_MASK > ERR:
            continue
        key = number, flags & TYPE_MASK == MSG
        first_flags, so_far = begun.pop(key, (flags, b""))
        if flags & MORE_COMING:
            begun[key] = first_flags, so_far + payload
        else:
            whole.append((number, first_flags, so_far + payload))
    return whole


@pytest.mark.parametrize("side", OTHER)
@pytest.mark.parametrize("name", scenarios())
def test_a_connection_takes_the_place_of_either_recorded_peer(name: str, side: str) -> None:
    for recorded in load(name).connections:
        player = Player()
        for item in recorded:
            if item.kind == "binary":
                assert isinstance(item.data, bytes)
                (player.says if item.direction == side else player.hears)(item.data)
        expected: list[tuple[object, ...]] = []
        for number, flags, payload in messages(frames_of(recorded, OTHER[side])):
            properties, body = decode_message(payload)
            if flags & TYPE_MASK == MSG:
                urgent, no_reply = bool(flags & URGENT), bool(flags & NO_REPLY)
                expected.append((number, properties, body, urgent, no_reply))
            else:
                expected.append((number, flags & TYPE_MASK == ERR, properties, body))
        assert [e[:5] if isinstance(e, Request) else e for e in player.received] == expected
