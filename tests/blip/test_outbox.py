from __future__ import annotations

import random

import pytest

from settee.blip.frame import (
    ACK_MSG,
    ACK_RPY,
    COMPRESSED,
    ERR,
    MORE_COMING,
    MSG,
    NO_REPLY,
    RPY,
    TYPE_MASK,
    URGENT,
    ack_frame,
    put_uvarint,
    split,
)
from settee.blip.message import StreamSent, StreamWanted
from settee.blip.outbox import STREAM_BUFFER_BYTES_MAX, Outbox, Outgoing
from settee.limits import FRAME_BYTES_MAX, UNACKED_BYTES_MAX, WRITE_BYTES_MAX

ALL = 10**9


def order(frames: list[bytes]) -> list[tuple[int, bool]]:
    """Number and whether it is urgent, of each frame."""
    parts = [split(frame) for frame in frames]
    return [(number, bool(flags & URGENT)) for number, flags, _, _ in parts]


def request(size: int, flags: int = MSG, token: object = None) -> Outgoing:
    return Outgoing(flags, 0, bytes(size), token)


def reply(number: int, size: int, flags: int = RPY) -> Outgoing:
    return Outgoing(flags, number, bytes(size))


def outbox(*messages: Outgoing) -> Outbox:
    box = Outbox(6)
    for message in messages:
        box.put(message)
    return box


def test_requests_are_numbered_when_their_first_frame_is_made() -> None:
    box = outbox(request(10), request(10, URGENT), request(10))
    assert box.requests_begun_count == 0
    # The urgent one overtakes, and the numbers on the wire rise all the same.
    assert order(box.frames(ALL)) == [(1, True), (2, False), (3, False)]
    assert box.requests_begun_count == 3


def test_a_request_is_awaited_only_after_its_last_frame() -> None:
    box = outbox(request(20_000, token="long"), request(10, token="short"))
    box.frames(1)
    assert box.awaited == {}
    box.frames(ALL)
    assert box.awaited == {1: "long", 2: "short"}


def test_a_no_reply_request_is_never_awaited() -> None:
    box = outbox(request(10, NO_REPLY), request(20_000, NO_REPLY))
    box.frames(ALL)
    assert box.awaited == {}
    assert box.awaited_streams == {}


def test_long_messages_take_turns_frame_by_frame() -> None:
    box = outbox(reply(1, 40_000), reply(2, 40_000), reply(3, 10))
    numbers = [number for number, _ in order(box.frames(ALL))]
    assert numbers == [1, 2, 3, 1, 2, 1, 2]


def test_an_urgent_message_goes_before_waiting_ones_and_alternates_with_them() -> None:
    box = outbox(*[reply(n, 10) for n in range(1, 5)])
    assert order(box.frames(1)) == [(1, False)]
    box.put(reply(8, 10, RPY | URGENT))
    box.put(reply(9, 10, RPY | URGENT))
    box.put(reply(10, 10, RPY | URGENT))
    assert [n for n, _ in order(box.frames(ALL))] == [8, 2, 9, 3, 10, 4]


def test_a_flood_of_urgent_messages_does_not_stop_the_others() -> None:
    box = outbox(*[reply(n, 10, RPY | URGENT) for n in range(1, 50)], reply(99, 10))
    assert [n for n, _ in order(box.frames(ALL))][:3] == [1, 99, 2]


def test_normal_frames_are_short_while_an_urgent_message_waits() -> None:
    box = outbox(reply(1, 30_000), reply(2, 30_000, RPY | URGENT))
    sizes: dict[bool, list[int]] = {True: [], False: []}
    for frame in box.frames(ALL):
        sizes[bool(split(frame)[1] & URGENT)].append(len(frame))
    assert max(sizes[True]) > 16_000
    assert sizes[False][0] <= 4096
    assert max(sizes[False][1:]) > 16_000  # Nothing urgent waits any more.


@pytest.mark.parametrize("flags", [RPY, RPY | COMPRESSED])
def test_no_frame_is_longer_than_allowed(flags: int) -> None:
    box = outbox(Outgoing(flags, 2**40, random.Random(3).randbytes(100_000)))
    frames = box.frames(ALL)
    assert max(map(len, frames)) <= FRAME_BYTES_MAX
    assert min(map(len, frames[:-1])) > FRAME_BYTES_MAX * 3 // 4


def test_frames_are_gathered_up_to_the_bytes_asked_for() -> None:
    box = outbox(*[reply(n, 1000) for n in range(1, 100)], reply(100, 50_000))
    gathered = []
    while box.has_frames:
        frames = box.frames(10_000)
        assert frames
        assert sum(map(len, frames)) <= 10_000 or len(frames) == 1
        gathered += frames
    assert len(gathered) == 99 + 4
    assert box.frames(10_000) == []


def test_gathered_frames_never_have_more_bytes_than_asked_for() -> None:
    for bytes_max in range(1006, 3 * 1006 + 40):
        box = outbox(*[reply(n, 1000) for n in range(1, 4)])
        box.put_empty_replies([4, 5, 6])
        assert sum(map(len, box.frames(bytes_max))) <= bytes_max


def test_one_frame_comes_even_if_it_is_more_than_asked_for() -> None:
    box = outbox(reply(1, 1000), reply(2, 1000))
    assert order(box.frames(0)) == [(1, False)]
    box.put_empty_replies([3])
    assert order(box.frames(0)) == [(2, False)]
    assert order(box.frames(0)) == [(3, False)]


def test_empty_replies_are_seven_bytes_each() -> None:
    box = outbox()
    box.put_empty_replies([1, 2, 127])
    frames = box.frames(ALL)
    assert [split(frame)[:3] for frame in frames] == [(n, RPY, b"\x00") for n in (1, 2, 127)]
    assert {len(frame) for frame in frames} == {7}


def test_acks_go_first_and_only_the_newest_of_a_message() -> None:
    box = outbox(reply(1, 10, RPY | URGENT))
    box.put_ack(5, True, 50_000)
    box.put_ack(6, False, 60_000)
    box.put_ack(5, True, 100_000)
    assert box.has_frames
    ack = URGENT | NO_REPLY
    assert box.frames(ALL)[:2] == [
        ack_frame(5, ACK_MSG | ack, 100_000),
        ack_frame(6, ACK_RPY | ack, 60_000),
    ]
    assert not box.has_frames


def sent_bytes(frames: list[bytes], number: int) -> int:
    """What the peer counts of a message: payload as transmitted, and the checksum."""
    return sum(len(p) + 4 for n, f, p, _ in map(split, frames) if n == number and f & TYPE_MASK < 4)


@pytest.mark.parametrize("kind", [MSG, RPY])
def test_a_message_is_parked_when_its_window_is_full_and_others_go_on(kind: int) -> None:
    number = 0 if kind == MSG else 1
    box = outbox(Outgoing(kind, number, bytes(500_000)), Outgoing(RPY, 2, bytes(40_000)))
    frames = box.frames(ALL)
    assert not box.has_frames
    sent = sent_bytes(frames, 1)
    assert UNACKED_BYTES_MAX <= sent < UNACKED_BYTES_MAX + FRAME_BYTES_MAX
    assert not split(frames[-1])[1] & MORE_COMING or split(frames[-1])[0] == 1
    assert sent_bytes(frames, 2) > 40_000  # All of it.
    box.acknowledged(1, kind == MSG, sent - UNACKED_BYTES_MAX)  # Not enough by one byte.
    assert not box.has_frames
    box.acknowledged(1, kind == MSG, sent - UNACKED_BYTES_MAX + 1)
    assert len(box.frames(ALL)) == 1


def test_the_window_counts_what_is_transmitted() -> None:
    box = outbox(Outgoing(RPY | COMPRESSED, 1, bytes(2_000_000)))  # Zeros: a few KB deflated.
    frames = box.frames(ALL)
    assert not split(frames[-1])[1] & MORE_COMING
    assert sent_bytes(frames, 1) < UNACKED_BYTES_MAX


@pytest.mark.sec("SEC-15")
def test_an_ack_is_believed_only_as_far_as_it_can_be_true() -> None:
    box = outbox(Outgoing(RPY, 1, bytes(1_000_000)))
    first = sent_bytes(box.frames(ALL), 1)
    box.acknowledged(1, True, first)  # Of a request, which this is not.
    box.acknowledged(2, False, first)
    box.acknowledged(1, False, 0)
    assert not box.has_frames
    box.acknowledged(1, False, 2**64 - 1)  # Counts as all that was sent, and no more.
    second = sent_bytes(box.frames(ALL), 1)
    assert UNACKED_BYTES_MAX <= second < UNACKED_BYTES_MAX + FRAME_BYTES_MAX
    box.acknowledged(1, False, 50_000)  # A count that fell.
    assert not box.has_frames
    box.acknowledged(1, False, first + second)
    assert box.has_frames


def test_an_ack_that_fell_does_not_make_the_window_smaller() -> None:
    box = outbox(Outgoing(RPY, 1, bytes(1_000_000)))
    first = sent_bytes(box.frames(ALL), 1)
    box.acknowledged(1, False, first)
    begun = sent_bytes(box.frames(1), 1)
    box.acknowledged(1, False, 1)
    assert begun + sent_bytes(box.frames(ALL), 1) >= UNACKED_BYTES_MAX


def test_a_finished_message_ignores_acks() -> None:
    box = outbox(reply(1, 40_000))
    box.frames(ALL)
    box.acknowledged(1, False, 40_000)
    assert not box.has_frames
    assert box._sending == {}


def test_a_stream_asks_for_more_once_per_write_and_holds_no_more_than_its_buffer() -> None:
    box = outbox()
    stream = box.open_stream(RPY, 1, b"\x00", False)
    assert asked_of(box) == [StreamWanted(stream, STREAM_BUFFER_BYTES_MAX - 1)]
    assert not box.has_frames  # Its head alone is not worth a frame.
    box.write(stream, bytes(STREAM_BUFFER_BYTES_MAX - 1), False)
    assert box.events == []
    frames = box.frames(ALL)
    assert len(frames) == 8
    assert all(split(frame)[1] & MORE_COMING for frame in frames)
    assert len(box.events) == 1
    assert not box.has_frames


def test_a_stream_ends_with_its_last_write_even_if_that_is_empty() -> None:
    box = outbox()
    stream = box.open_stream(RPY, 1, b"\x00", False)
    box.write(stream, b"", True)
    assert [split(frame)[:3] for frame in box.frames(ALL)] == [(1, RPY, b"\x00")]
    stream = box.open_stream(RPY, 2, b"\x00", False)
    box.write(stream, bytes(16367), False)
    assert [split(frame)[1] for frame in box.frames(ALL)] == [RPY | MORE_COMING]
    box.write(stream, b"", True)
    # The end comes after all bytes are out: a frame without payload.
    assert [split(frame)[1:3] for frame in box.frames(ALL)] == [(RPY, b"")]
    assert box._streams == {}
    assert box._sending == {}


def test_a_compressed_stream_ends_without_the_flag_if_nothing_is_left() -> None:
    box = outbox()
    stream = box.open_stream(RPY | COMPRESSED, 1, b"\x00", False)
    box.write(stream, bytes(14336 * 2 - 1), False)
    flags = [split(frame)[1] for frame in box.frames(ALL)]
    assert flags == [RPY | COMPRESSED | MORE_COMING]  # Half a frame waits for more.
    box.write(stream, b"", True)
    assert [split(frame)[1] for frame in box.frames(ALL)] == [RPY | COMPRESSED]


def test_a_stream_whose_window_is_full_does_not_ask_beyond_its_buffer() -> None:
    box = outbox()
    stream = box.open_stream(RPY, 1, b"\x00", False)
    written = 0
    for _ in range(100):
        if not box.events:
            break
        (asked,) = asked_of(box)
        bytes_wanted = asked.bytes_wanted
        written += bytes_wanted
        box.write(stream, bytes(bytes_wanted), False)
        box.frames(ALL)
    assert written <= UNACKED_BYTES_MAX + FRAME_BYTES_MAX + STREAM_BUFFER_BYTES_MAX
    assert not box.has_frames


def test_a_stream_that_fails_before_it_began_becomes_an_error() -> None:
    box = outbox()
    stream = box.open_stream(RPY | URGENT | COMPRESSED, 7, b"\x00", False)
    box.write(stream, bytes(1000), False)
    assert box.fail_stream(stream, b"\x00why")
    assert [split(frame)[:3] for frame in box.frames(ALL)] == [(7, ERR | URGENT, b"\x00why")]


def test_a_stream_that_is_queued_and_fails_becomes_one_error() -> None:
    box = outbox()
    stream = box.open_stream(RPY, 7, b"\x00", False)
    box.write(stream, bytes(30_000), False)
    assert box.has_frames
    assert box.fail_stream(stream, b"\x00why")
    assert [split(frame)[:3] for frame in box.frames(ALL)] == [(7, ERR, b"\x00why")]


def test_a_stream_of_which_a_part_is_out_can_not_become_an_error() -> None:
    box = outbox()
    stream = box.open_stream(RPY, 7, b"\x00", False)
    box.write(stream, bytes(20_000), False)
    box.frames(ALL)
    assert not box.fail_stream(stream, b"\x00why")


def test_streams_and_other_messages_share_the_link_whatever_their_number() -> None:
    box = outbox(*[reply(n, 1000) for n in range(100, 300)])
    for n in range(10):
        box.open_stream(RPY, n + 1, bytes(100_000), True)
    began = box.frames(300_000)
    of_streams = sum(len(frame) for frame in began if split(frame)[0] < 100)
    assert 0.4 < of_streams / sum(map(len, began)) < 0.6
    # Where one kind has nothing to send, the other has it all.
    assert len(order(box.frames(ALL))) + len(began) == 200 + 10 * 7


def test_a_message_waits_for_one_turn_of_streams_however_many_there_are() -> None:
    box = outbox()
    for n in range(50):
        box.open_stream(RPY, n + 1, bytes(100_000), True)
    box.frames(200_000)
    box.put(reply(99, 10))
    before = []
    while (number := order(box.frames(1))[0][0]) != 99:
        before.append(number)
    assert len(before) <= WRITE_BYTES_MAX // FRAME_BYTES_MAX + 1


def test_small_streams_go_out_one_after_the_other() -> None:
    box = outbox()
    for n in range(3):
        box.open_stream(RPY, n + 1, bytes(100_000), True)
    assert [n for n, _ in order(box.frames(ALL))] == [1] * 7 + [2] * 7 + [3] * 7


def test_a_long_stream_lets_others_have_their_turn() -> None:
    box = outbox()
    long = box.open_stream(RPY, 1, bytes(100_000), False)
    box.open_stream(RPY, 2, bytes(50_000), True)
    numbers: list[int] = []
    while 2 not in numbers:
        numbers += [n for n, _ in order(box.frames(1))]
        box.acknowledged(1, False, 10**6)  # Its window is never full,
        if any(event == StreamWanted(long, event.bytes_wanted) for event in asked_of(box)):
            box.write(long, bytes(60_000), False)  # and neither its buffer empty.
    assert numbers == [1] * 9 + [2]


def asked_of(box: Outbox) -> list[StreamWanted]:
    events, box.events = box.events, []
    return [event for event in events if isinstance(event, StreamWanted)]


def test_a_stream_may_begin_with_all_that_there_is() -> None:
    box = outbox()
    stream = box.open_stream(RPY, 1, b"\x00all", True)
    assert box.events == []
    assert [split(frame)[:3] for frame in box.frames(ALL)] == [(1, RPY, b"\x00all")]
    assert box.events == [StreamSent(stream)]


def test_when_the_last_of_a_stream_is_on_its_way_its_owner_is_told_once() -> None:
    box = outbox()
    stream = box.open_stream(RPY, 1, bytes(40_000), True)
    assert len(box.frames(20_000)) == 1
    assert box.events == []
    box.frames(ALL)
    assert box.events == [StreamSent(stream)]
    failed = box.open_stream(RPY, 2, bytes(300), False)
    assert box.streams_bytes == 300
    box.fail_stream(failed, b"\x00why")
    assert box.streams_bytes == 4
    box.events.clear()
    box.frames(ALL)
    assert box.events == [StreamSent(failed)]
    assert box.streams_bytes == 0


def test_writing_to_a_stream_that_has_ended_is_a_bug() -> None:
    box = outbox()
    stream = box.open_stream(RPY, 7, b"\x00", False)
    box.write(stream, b"x", True)
    with pytest.raises(AssertionError, match="has been written"):
        box.write(stream, b"y", False)
    box.frames(ALL)
    with pytest.raises(AssertionError, match="has ended"):
        box.write(stream, b"y", False)


def test_after_the_stop_nothing_goes_out() -> None:
    box = outbox(reply(1, 10))
    box.put_ack(1, True, 50_000)
    box.stopped = True
    assert not box.has_frames
    assert box.frames(ALL) == []


def test_big_request_numbers_are_written_as_varints() -> None:
    box = outbox()
    box.requests_begun_count = 2**21 - 2
    box.put(request(1))
    box.put(request(1))
    frames = box.frames(ALL)
    assert frames[0].startswith(put_uvarint(2**21 - 1) + b"\x00")
    assert frames[1].startswith(put_uvarint(2**21) + b"\x00")
