"""What a peer may send and what it may not: the attacks SEC-13 to SEC-16 and the rules of 2.10."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settee.blip import Connection, Reply, ReplyPart, Request, inbox
from settee.blip.frame import (
    ACK_MSG,
    ACK_RPY,
    COMPRESSED,
    ERR,
    MORE_COMING,
    MSG,
    NO_REPLY,
    RPY,
    URGENT,
    ack_frame,
    split,
    uvarint,
)
from settee.blip.message import encode_message
from settee.errors import PeerProtocolError
from settee.limits import MESSAGES_INCOMPLETE_MAX, REQUESTS_UNANSWERED_MAX
from tests.blip.peers import Script

ALL = 10**9
EMPTY = b"\x00"
ACK = URGENT | NO_REPLY


def refused(connection: Connection, *frames: bytes) -> PeerProtocolError:
    """The error; and after it the connection neither reads, sends nor acknowledges anything."""
    with pytest.raises(PeerProtocolError) as raised:
        connection.receive(frames)
    assert raised.value.domain == "WebSocket"
    assert not connection.has_frames
    assert connection.frames_to_send(ALL) == []
    with pytest.raises(PeerProtocolError, match="did so before"):
        connection.receive([])
    return raised.value


def asked(connection: Connection, count: int = 1, *, stream_reply: bool = False) -> None:
    """`count` requests of ours with the tokens 1, 2, … are out, wholly sent."""
    for token in range(1, count + 1):
        connection.send_request(token, {}, stream_reply=stream_reply)
    connection.frames_to_send(ALL)


def test_a_request_in_one_frame_arrives_as_it_was_sent() -> None:
    script, connection = Script(), Connection()
    payload = encode_message({"Profile": "rev", "id": "ä"}, b"{}")
    frame = script.frame(1, COMPRESSED | URGENT, payload)
    assert connection.receive([frame]) == [
        Request(1, {"Profile": "rev", "id": "ä"}, b"{}", True, False, len(frame))
    ]
    assert connection.incoming_unanswered == 1


def test_frames_may_be_memoryviews_and_bytearrays() -> None:
    script, connection = Script(), Connection()
    frames = memoryview(b"".join([script.frame(1, MSG, EMPTY), script.frame(2, MSG, EMPTY)]))
    assert [r.number for r in connection.receive([frames[:7], frames[7:]])] == [1, 2]  # type: ignore[union-attr]
    assert len(connection.receive([bytearray(script.frame(3, MSG, EMPTY))])) == 1


def test_a_message_may_be_cut_anywhere_even_inside_its_length() -> None:
    properties = {"Profile": "x", "filler": "y" * 300}
    payload = encode_message(properties, b"body")
    script, connection = Script(), Connection()
    frames = [script.frame(1, MORE_COMING, payload[at : at + 1]) for at in range(len(payload))]
    assert connection.receive(frames) == []
    assert connection.incoming_unanswered == 0
    last = script.frame(1, MSG, b"")
    assert connection.receive([last]) == [
        Request(1, properties, b"body", False, False, sum(map(len, [*frames, last])))
    ]


def test_a_no_reply_request_waits_for_no_answer() -> None:
    connection = Connection()
    [request] = connection.receive([Script().frame(1, NO_REPLY, EMPTY)])
    assert isinstance(request, Request)
    assert request.no_reply
    assert connection.incoming_unanswered == 0
    with pytest.raises(AssertionError, match="does not wait"):
        connection.reply(1)


@pytest.mark.sec("SEC-14")
@pytest.mark.parametrize("numbers", [[0], [2], [2**64 - 1], [1, 1], [1, 3], [1, 2, 1]])
def test_request_numbers_that_skip_or_come_again_break_the_protocol(numbers: list[int]) -> None:
    script = Script()
    frames = [script.frame(number, MSG, EMPTY) for number in numbers]
    connection = Connection()
    connection.receive(frames[:-1])
    assert refused(connection, frames[-1]).code == 1002


def test_a_gap_breaks_the_protocol_also_beside_an_unfinished_message() -> None:
    script, connection = Script(), Connection()
    connection.receive([script.frame(1, MORE_COMING, EMPTY)])
    refused(connection, script.frame(3, MORE_COMING, EMPTY))


@pytest.mark.parametrize("kind", [RPY, ERR])
@pytest.mark.parametrize("more", [0, MORE_COMING])
@pytest.mark.parametrize("number", [0, 1, 2**64 - 1])
def test_an_answer_to_nothing_breaks_the_protocol(kind: int, more: int, number: int) -> None:
    refused(Connection(), Script().frame(number, kind | more, EMPTY))


@pytest.mark.parametrize("kind", [RPY, ERR])
def test_a_second_answer_breaks_the_protocol(kind: int) -> None:
    script, connection = Script(), Connection()
    asked(connection)
    assert connection.receive([script.frame(1, kind, EMPTY)]) == [Reply(1, kind == ERR, {}, b"")]
    refused(connection, script.frame(1, kind, EMPTY))


def test_an_answer_before_the_last_frame_of_our_request_breaks_the_protocol() -> None:
    connection = Connection()
    connection.send_request(1, {}, bytes(50_000))
    connection.frames_to_send(1)
    refused(connection, Script().frame(1, RPY, EMPTY))


def test_an_answer_to_our_no_reply_request_breaks_the_protocol() -> None:
    connection = Connection()
    connection.send_request(1, {}, no_reply=True)
    connection.frames_to_send(ALL)
    refused(connection, Script().frame(1, RPY, EMPTY))


@pytest.mark.parametrize("kinds", [(RPY, ERR), (ERR, RPY)])
@pytest.mark.parametrize("stream_reply", [False, True])
def test_rpy_and_err_frames_of_one_answer_break_the_protocol(
    kinds: tuple[int, int], stream_reply: bool
) -> None:
    script, connection = Script(), Connection()
    asked(connection, stream_reply=stream_reply)
    connection.receive([script.frame(1, kinds[0] | MORE_COMING, EMPTY)])
    refused(connection, script.frame(1, kinds[1], EMPTY))


@pytest.mark.sec("SEC-14")
@pytest.mark.parametrize("kind", [3, 6, 7])
def test_unknown_frame_types_are_ignored_and_not_checked(kind: int) -> None:
    script, connection = Script(), Connection()
    first, second = script.frame(1, MSG, EMPTY), script.frame(2, MSG, EMPTY)
    junk = [bytes([9, kind]), bytes([1, kind | COMPRESSED]) + b"whatever", bytes([1, kind, 0xFF])]
    assert len(connection.receive([first, *junk, second])) == 2


def test_flags_may_differ_between_frames_and_the_first_ones_count() -> None:
    script, connection = Script(), Connection()
    frames = [
        script.frame(1, MORE_COMING | COMPRESSED | URGENT, EMPTY + bytes(100)),
        script.frame(1, MORE_COMING | NO_REPLY, bytes(100)),
        script.frame(1, MSG | COMPRESSED, bytes(100)),
    ]
    [request] = connection.receive(frames)
    assert isinstance(request, Request)
    assert (request.urgent, request.no_reply, request.body) == (True, False, bytes(300))


@pytest.mark.parametrize("frame", ["", "00", "0100", "010000", "0100000000", "8080"])
def test_frames_that_are_too_short_break_the_protocol(frame: str) -> None:
    refused(Connection(), bytes.fromhex(frame))


@pytest.mark.sec("SEC-16")
def test_a_wrong_checksum_has_no_effect_but_the_end() -> None:
    script, connection = Script(), Connection()
    payload = EMPTY + bytes(16_000)
    good = [script.frame(1, MORE_COMING, payload) for _ in range(3)]
    assert connection.receive(good) == []
    refused(connection, script.broken(1, MORE_COMING, payload))  # The one that made an ACK due.


def test_a_bad_frame_takes_what_came_in_the_same_call_with_it() -> None:
    script, connection = Script(), Connection()
    refused(connection, script.frame(1, MSG, EMPTY), script.broken(2, MSG, EMPTY))


@pytest.mark.parametrize("more", [0, MORE_COMING])
def test_malformed_properties_break_the_protocol_however_they_are_cut(more: int) -> None:
    script, connection = Script(), Connection()
    frames = [script.frame(1, more, b"\x03k\x00v")]
    if more:
        frames.append(script.frame(1, MSG, b""))
    refused(connection, *frames)


@pytest.mark.sec("SEC-14")
def test_64_requests_may_be_unfinished_and_not_one_more() -> None:
    script, connection = Script(), Connection()
    for number in range(1, MESSAGES_INCOMPLETE_MAX + 1):
        connection.receive([script.frame(number, MORE_COMING, EMPTY)])
    # Others may come whole; and when one is finished another may begin.
    connection.receive([script.frame(65, MSG, EMPTY), script.frame(7, MSG, b"")])
    connection.receive([script.frame(66, MORE_COMING, EMPTY)])
    assert connection.incoming_unanswered == 2
    refused(connection, script.frame(67, MORE_COMING, EMPTY))


@pytest.mark.sec("SEC-14")
def test_so_many_requests_may_wait_for_an_answer_and_not_one_more() -> None:
    script, connection = Script(), Connection()
    frames = [script.frame(n, MSG, EMPTY) for n in range(1, REQUESTS_UNANSWERED_MAX + 1)]
    connection.receive(frames)
    connection.receive([script.frame(REQUESTS_UNANSWERED_MAX + 1, NO_REPLY, EMPTY)])
    connection.reply_empty([9])
    connection.receive([script.frame(REQUESTS_UNANSWERED_MAX + 2, MSG, EMPTY)])
    refused(connection, script.frame(REQUESTS_UNANSWERED_MAX + 3, MSG, EMPTY))


@pytest.mark.sec("SEC-14")
def test_a_message_that_never_ends_meets_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("settee.blip.message.MESSAGE_BODY_BYTES_MAX", 200_000)
    script, connection = Script(), Connection()
    frames = [script.frame(1, MORE_COMING | COMPRESSED, bytes(50_000)) for _ in range(5)]
    connection.receive(frames[:4])
    assert refused(connection, frames[4]).code == 1009


@pytest.mark.sec("SEC-14")
@pytest.mark.parametrize("size", [0, 1, 2])
def test_endless_tiny_frames_cost_no_more_memory_than_their_bytes(size: int) -> None:
    script, connection = Script(), Connection()
    frames = [script.frame(1, MORE_COMING, bytes(size)) for _ in range(2000)]
    connection.receive(frames)
    tracemalloc.start()
    connection.receive([script.frame(1, MORE_COMING, bytes(size)) for _ in range(2000)])
    held_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held_bytes < 20_000


# --- ACKs --------------------------------------------------------------------------------------


def acks(connection: Connection) -> list[tuple[int, int, int]]:
    parts = [split(frame) for frame in connection.frames_to_send(ALL)]
    return [(number, flags, uvarint(payload, 0)[0]) for number, flags, payload, _ in parts]


@pytest.mark.parametrize(("kind", "ack"), [(MSG, ACK_MSG), (RPY, ACK_RPY), (ERR, ACK_RPY)])
def test_a_long_message_is_acknowledged_every_50000_bytes(kind: int, ack: int) -> None:
    script, connection = Script(), Connection()
    asked(connection)
    payload = EMPTY + bytes(12_495)  # With its checksum 12,500.
    for count in range(1, 9):
        connection.receive([script.frame(1, kind | MORE_COMING, payload)])
        due = [(1, ack | ACK, count * 12_500)] if count % 4 == 0 else []
        assert acks(connection) == due
    connection.receive([script.frame(1, kind, bytes(60_000))])
    assert acks(connection) == []  # It is finished: nobody waits for an ACK.


def test_of_several_acks_due_in_one_call_the_last_goes_out() -> None:
    script, connection = Script(), Connection()
    frames = [script.frame(1, MORE_COMING, EMPTY + bytes(49_995)) for _ in range(5)]
    connection.receive(frames)
    assert acks(connection) == [(1, ACK_MSG | ACK, 250_000)]


@pytest.mark.sec("SEC-15")
@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(ack_frame(1, ACK_RPY | ACK, 50_000), id="for nothing"),
        pytest.param(ack_frame(0, ACK_MSG | ACK, 50_000), id="number 0"),
        pytest.param(ack_frame(2**64 - 1, ACK_MSG, 2**64 - 1), id="huge"),
        pytest.param(ack_frame(1, ACK_MSG | ACK, 9) + b"trailing", id="trailing bytes"),
    ],
)
def test_acks_that_mean_nothing_are_ignored(frame: bytes) -> None:
    connection = Connection()
    asked(connection)
    assert connection.receive([frame] * 3) == []
    assert not connection.has_frames


def test_an_ack_without_a_count_breaks_the_protocol() -> None:
    refused(Connection(), bytes([1, ACK_MSG | ACK]))
    refused(Connection(), bytes([1, ACK_MSG | ACK, 0x80]))


def test_when_too_much_is_unfinished_only_the_oldest_message_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox, "INBOUND_BYTES_MAX", 220_000)
    monkeypatch.setattr(inbox, "MESSAGES_INCOMPLETE_BYTES_MAX", 400_000)
    script, connection = Script(), Connection()
    payload = EMPTY + bytes(51_000)

    def more(number: int, flags: int = MORE_COMING) -> list[tuple[int, int, int]]:
        connection.receive([script.frame(number, flags, payload)])
        return acks(connection)

    sizes = 51_005
    assert [more(n) for n in (1, 2, 3, 4)] == [[(n, ACK_MSG | ACK, sizes)] for n in (1, 2, 3, 4)]
    assert more(2) == []  # 255,000 bytes are unfinished now: 2 waits,
    assert more(3) == []
    assert more(1) == [(1, ACK_MSG | ACK, 2 * sizes)]  # and 1 is let through.
    assert more(1, MSG) == [(2, ACK_MSG | ACK, 2 * sizes)]  # It is done: the next oldest goes on,
    assert more(2, MSG) == [(3, ACK_MSG | ACK, 2 * sizes)]  # and now there is room for all.
    assert more(4) == [(4, ACK_MSG | ACK, 2 * sizes)]


def test_a_peer_that_ignores_the_window_meets_the_limit_of_all_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox, "MESSAGES_INCOMPLETE_BYTES_MAX", 400_000)
    script, connection = Script(), Connection()
    frames = [script.frame(n, MORE_COMING, EMPTY + bytes(99_999)) for n in range(1, 6)]
    connection.receive(frames[:4])
    assert refused(connection, frames[4]).code == 1009


# --- streamed replies -------------------------------------------------------------------------


def test_a_streamed_reply_comes_in_parts_with_its_properties_in_the_first() -> None:
    script, connection = Script(), Connection()
    asked(connection, stream_reply=True)
    head = encode_message({"key": "value"}, b"")
    frames = [
        script.frame(1, RPY | MORE_COMING, head[:3]),
        script.frame(1, RPY | MORE_COMING, head[3:] + b"one"),
        script.frame(1, RPY | MORE_COMING | COMPRESSED, b"two"),
        script.frame(1, RPY | MORE_COMING, b""),
        script.frame(1, RPY, b"three"),
    ]
    assert connection.receive(frames) == [
        ReplyPart(1, b"one", False, {"key": "value"}),
        ReplyPart(1, b"two", False, None),
        ReplyPart(1, b"three", True, None),
    ]
    assert connection.outgoing_unanswered == 0
    refused(connection, script.frame(1, RPY, EMPTY))


def test_a_streamed_reply_in_one_frame_is_one_part() -> None:
    script, connection = Script(), Connection()
    asked(connection, stream_reply=True)
    assert connection.receive([script.frame(1, RPY, EMPTY + b"all")]) == [
        ReplyPart(1, b"all", True, {})
    ]


@pytest.mark.parametrize("cut", [False, True])
def test_an_error_to_a_streamed_request_comes_as_one_reply(cut: bool) -> None:
    script, connection = Script(), Connection()
    asked(connection, stream_reply=True)
    payload = encode_message({"Error-Code": "404"}, b"gone")
    if cut:
        connection.receive([script.frame(1, ERR | MORE_COMING, payload[:9])])
        payload = payload[9:]
    assert connection.receive([script.frame(1, ERR, payload)]) == [
        Reply(1, True, {"Error-Code": "404"}, b"gone")
    ]
    asked(connection, stream_reply=True)  # The token is free again.


def test_a_streamed_reply_that_ends_inside_its_properties_breaks_the_protocol() -> None:
    script, connection = Script(), Connection()
    asked(connection, stream_reply=True)
    connection.receive([script.frame(1, RPY | MORE_COMING, b"\x04k\x00")])
    refused(connection, script.frame(1, RPY, b"v"))


def test_streamed_bytes_are_acknowledged_as_they_are_consumed() -> None:
    script, connection = Script(), Connection()
    asked(connection, stream_reply=True)
    for _ in range(8):
        connection.receive([script.frame(1, RPY | MORE_COMING, EMPTY + bytes(12_495))])
    assert acks(connection) == []
    first_bytes = 12_495  # One byte of the first frame is the properties' length.
    connection.consumed(1, first_bytes + 2 * 12_496)
    assert acks(connection) == []
    connection.consumed(1, 12_495)
    assert acks(connection) == []  # One byte of the fourth frame is still on its way to the disk.
    connection.consumed(1, 1)
    assert acks(connection) == [(1, ACK_RPY | ACK, 50_000)]
    connection.consumed(1, 4 * 12_496)
    assert acks(connection) == [(1, ACK_RPY | ACK, 100_000)]
    with pytest.raises(AssertionError, match="more than was delivered"):
        connection.consumed(1, 1)


def test_consuming_after_the_last_part_has_no_effect() -> None:
    script, connection = Script(), Connection()
    asked(connection, stream_reply=True)
    connection.receive([script.frame(1, RPY | MORE_COMING, EMPTY + bytes(60_000))])
    connection.receive([script.frame(1, RPY, bytes(60_000))])
    connection.consumed(1, 120_000)
    assert not connection.has_frames


def test_streams_and_whole_replies_come_side_by_side() -> None:
    script, connection = Script(), Connection()
    asked(connection, 2, stream_reply=True)
    connection.send_request("plain", {})
    connection.frames_to_send(ALL)
    frames = [
        script.frame(2, RPY | MORE_COMING, EMPTY + b"2a"),
        script.frame(1, RPY | MORE_COMING, EMPTY + b"1a"),
        script.frame(3, RPY | MORE_COMING, EMPTY + b"3a"),
        script.frame(1, MSG, EMPTY),
        script.frame(3, RPY, b"3b"),
        script.frame(2, RPY, b"2b"),
        script.frame(1, RPY, b"1b"),
    ]
    assert connection.receive(frames) == [
        ReplyPart(2, b"2a", False, {}),
        ReplyPart(1, b"1a", False, {}),
        Request(1, {}, b"", False, False, 7),
        Reply("plain", False, {}, b"3a3b"),
        ReplyPart(2, b"2b", True, None),
        ReplyPart(1, b"1b", True, None),
    ]


# --- junk ---------------------------------------------------------------------------------------

flag_bytes = st.integers(0, 0x7F)


def run(make: Callable[[Script], list[bytes]]) -> None:
    connection = Connection()
    asked(connection, 2)
    connection.send_request("s", {}, stream_reply=True)
    connection.frames_to_send(ALL)
    try:
        for frame in make(Script()):
            connection.receive([frame])
    except PeerProtocolError:
        assert not connection.has_frames


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=5))
def test_junk_is_taken_or_refused_and_nothing_else(frames: list[bytes]) -> None:
    run(lambda _: frames)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), flag_bytes, st.binary(max_size=12)), max_size=12))
def test_wellformed_frames_in_any_order_are_taken_or_refused(
    frames: list[tuple[int, int, bytes]],
) -> None:
    run(lambda script: [script.frame(*frame) for frame in frames])
