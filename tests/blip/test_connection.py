from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settee.blip import Connection, Reply, ReplyPart, Request
from settee.blip.frame import ACK_RPY, RPY, TYPE_MASK, URGENT, split, uvarint
from settee.blip.outbox import STREAM_BUFFER_BYTES_MAX
from settee.errors import PeerProtocolError, UsageError
from settee.limits import COMPRESS_BODY_BYTES_MIN, FRAME_BYTES_MAX, UNACKED_BYTES_MAX
from tests.blip.peers import Pair
from tests.prop import examples

ALL = 10**9


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def source(body: bytes) -> Callable[[int], tuple[bytes, bool]]:
    """Gives a body in pieces of what is wanted, as a blob's reader would."""
    at = 0

    def read(bytes_wanted: int) -> tuple[bytes, bool]:
        nonlocal at
        data = body[at : at + bytes_wanted]
        at += len(data)
        return data, at == len(body)

    return read


def test_a_request_and_its_answer() -> None:
    pair = Pair()
    pair.a.send_request("token", {"Profile": "getCheckpoint"}, b"question")
    assert pair.a.outgoing_unanswered == 1
    pair.pump()
    [request] = pair.at_b
    assert request == Request(1, {"Profile": "getCheckpoint"}, b"question", False, False, 37)
    assert pair.b.incoming_unanswered == 1
    pair.b.reply(1, {"rev": "1-cc"}, b"answer")
    assert pair.b.incoming_unanswered == 0
    pair.pump()
    assert pair.at_a == [Reply("token", False, {"rev": "1-cc"}, b"answer")]
    assert pair.a.outgoing_unanswered == 0


def test_nothing_goes_out_before_it_is_taken() -> None:
    connection = Connection()
    assert not connection.has_frames
    connection.send_request(None, {})
    assert connection.has_frames
    assert len(connection.frames_to_send(ALL)) == 1
    assert not connection.has_frames


def test_an_error_answer_carries_domain_code_and_text() -> None:
    pair = Pair()
    pair.a.send_request(7, {})
    pair.pump()
    pair.b.reply_error(1, "HTTP", 404, "nö such thing")
    pair.pump()
    properties = {"Error-Domain": "HTTP", "Error-Code": "404"}
    assert pair.at_a == [Reply(7, True, properties, "nö such thing".encode())]


def test_errors_are_written_as_couchbase_lite_writes_them() -> None:
    pair = Pair()
    pair.a.send_request(1, {})
    pair.a.send_request(2, {})
    pair.pump()
    pair.b.reply_error(1, "HTTP", 404)
    pair.b.reply_empty([2])
    pair.pump()
    expected = "0102214572726f722d446f6d61696e0048545450004572726f722d436f64650034303400964c4b0b"
    assert [frame.hex() for frame in pair.from_b] == [expected, "02010045467a4e"]


def test_empty_answers_are_given_in_bulk_and_urgent_ones_first() -> None:
    pair = Pair()
    for token in range(200):
        pair.a.send_request(token, {"Profile": "rev"}, urgent=token == 150)
    pair.pump()
    numbers = [request.number for request in pair.at_b if isinstance(request, Request)]
    assert numbers == list(range(1, 201))
    pair.b.reply_empty(reversed(numbers))
    pair.pump()
    assert pair.at_a[0] == Reply(150, False, {}, b"")  # It was urgent, and so is its answer.
    assert [r.token for r in pair.at_a if isinstance(r, Reply)] == [
        150,
        *[token for token in range(199, -1, -1) if token != 150],
    ]
    assert pair.a.outgoing_unanswered == pair.b.incoming_unanswered == 0


def test_an_answer_is_as_urgent_as_its_request() -> None:
    pair = Pair()
    pair.a.send_request(1, {}, urgent=True)
    pair.a.send_request(2, {})
    pair.a.send_request(3, {}, urgent=True)
    pair.pump()
    for request in pair.at_b:
        assert isinstance(request, Request)
        if request.number == 1:
            pair.b.reply_error(1, "HTTP", 500)
        else:
            pair.b.reply(request.number)
    pair.pump()
    flags = {number: flags for number, flags, _, _ in map(split, pair.from_b)}
    urgent = {r.number: r.urgent for r in pair.at_b if isinstance(r, Request)}
    assert {number: bool(flags[number] & URGENT) for number in flags} == urgent
    assert sorted(urgent.values()) == [False, True, True]


@pytest.mark.parametrize("times", [0, 1])
def test_answering_what_does_not_wait_is_a_bug(times: int) -> None:
    pair = Pair()
    if times:
        pair.a.send_request(1, {})
        pair.pump()
        pair.b.reply(1)
    for answer in (
        lambda: pair.b.reply(1),
        lambda: pair.b.reply_empty([1]),
        lambda: pair.b.reply_error(1, "HTTP", 500),
        lambda: pair.b.reply_stream(1),
    ):
        with pytest.raises(AssertionError, match="does not wait for an answer"):
            answer()


def test_a_request_that_can_not_be_encoded_leaves_no_gap() -> None:
    pair = Pair()
    with pytest.raises(UsageError):
        pair.a.send_request(1, {"id": "\x00"})
    pair.a.send_request(2, {"id": "fine"})
    pair.pump()
    assert [r.number for r in pair.at_b if isinstance(r, Request)] == [1]
    assert pair.a.outgoing_unanswered == 1


def test_an_answer_that_can_not_be_encoded_may_be_replaced_by_an_error() -> None:
    pair = Pair()
    pair.a.send_request(1, {})
    pair.pump()
    with pytest.raises(UsageError):
        pair.b.reply(1, {"bad": "\ud800"})
    pair.b.reply_error(1, "HTTP", 500, "text with a \ud800 in it")
    pair.pump()
    assert pair.at_a[0] == Reply(
        1, True, {"Error-Domain": "HTTP", "Error-Code": "500"}, b"text with a ? in it"
    )


def test_only_what_is_worth_it_is_compressed() -> None:
    pair = Pair()
    small, enough = bytes(COMPRESS_BODY_BYTES_MIN - 2), bytes(COMPRESS_BODY_BYTES_MIN - 1)
    pair.a.send_request(1, {}, small, compress=True)
    pair.a.send_request(2, {}, enough, compress=True)
    pair.a.send_request(3, {}, enough)
    pair.pump()
    assert [split(frame)[1] for frame in pair.from_a] == [0, 8, 0]
    assert [r.body for r in pair.at_b if isinstance(r, Request)] == [small, enough, enough]
    for number, body in ((1, small), (2, enough)):
        pair.b.reply(number, {}, body, compress=True)
    pair.b.reply(3, {}, enough)
    pair.pump()
    assert [split(frame)[1] for frame in pair.from_b] == [RPY, RPY | 8, RPY]


def test_level_0_compresses_nothing() -> None:
    pair = Pair(level=0)
    pair.a.send_request(1, {}, bytes(1000), compress=True)
    pair.pump()
    assert split(pair.from_a[0])[1] == 0
    assert pair.at_b[0] == Request(1, {}, bytes(1000), False, False, 1007)


# --- long messages ------------------------------------------------------------------------------


def test_megabytes_pass_both_ways_at_once_and_small_messages_pass_them() -> None:
    pair = Pair()
    forth, back = noise(5_000_000, 1), noise(5_000_000, 2)
    pair.a.send_request("big", {"Profile": "x"}, forth)
    pair.b.send_request("big", {"Profile": "x"}, back, compress=True)
    pair.step()
    pair.a.send_request("small", {"Profile": "y"}, b"quick")
    pair.pump()
    requests = [request for request in pair.at_b if isinstance(request, Request)]
    assert [request.properties["Profile"] for request in requests] == ["y", "x"]
    assert requests[1].body == forth
    [request] = pair.at_a
    assert isinstance(request, Request)
    assert request.body == back
    assert request.wire_bytes == sum(
        len(f) for f in pair.from_b if split(f)[1] & TYPE_MASK == 0 and split(f)[0] == 1
    )
    pair.a.reply(1, {}, forth, compress=True)
    pair.b.reply(1, {}, back)
    pair.pump()
    bodies = {e.body for e in (pair.at_a[-1], pair.at_b[-1]) if isinstance(e, Reply)}
    assert bodies == {forth, back}


def test_the_window_is_never_exceeded() -> None:
    pair = Pair()
    pair.a.send_request(1, {}, noise(1_000_000))
    out = acked = 0
    while not pair.at_b:
        frames = pair.a.frames_to_send(1)
        out += sum(len(payload) + 4 for _, _, payload, _ in map(split, frames))
        assert out - acked < UNACKED_BYTES_MAX + FRAME_BYTES_MAX
        pair.at_b += pair.b.receive(frames)
        if not pair.a.has_frames and not pair.at_b:
            # Parked with its window full, and only now the ACKs arrive.
            assert out - acked >= UNACKED_BYTES_MAX
            acks = pair.b.frames_to_send(ALL)
            pair.a.receive(acks)
            acked = max(uvarint(split(ack)[2], 0)[0] for ack in acks)
    assert len(pair.at_b) == 1
    assert acked > 800_000


@pytest.mark.sec("SEC-15")
def test_without_acks_a_message_stops_at_its_window_and_others_do_not() -> None:
    connection = Connection()
    connection.send_request(1, {}, noise(1_000_000))
    assert sum(map(len, connection.frames_to_send(ALL))) < UNACKED_BYTES_MAX + FRAME_BYTES_MAX
    assert not connection.has_frames
    connection.send_request(2, {}, b"goes on")
    assert len(connection.frames_to_send(ALL)) == 1


# --- streams --------------------------------------------------------------------------------------


def fetch(pair: Pair, body: bytes, *, compress: bool = False) -> int:
    """`a` asks, `b` begins a streamed answer."""
    pair.a.send_request("blob", {"Profile": "getAttachment"}, stream_reply=True)
    pair.pump()
    stream = pair.b.reply_stream(1, {"k": "v"}, compress=compress)
    pair.feed["b", stream] = source(body)
    return stream


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("size", [0, 1, 16367, 16368, 65536, 5_000_000])
def test_a_stream_arrives_whole(size: int, compress: bool) -> None:
    pair = Pair()
    body = noise(size)
    fetch(pair, body, compress=compress)
    received = hashlib.sha1(usedforsecurity=False)
    parts: list[ReplyPart] = []
    while pair.step() or pair.b.has_frames:
        for part in pair.at_a:
            assert isinstance(part, ReplyPart)
            received.update(part.data)
            pair.a.consumed("blob", len(part.data))
            parts.append(part)
        pair.at_a.clear()
    assert received.digest() == hashlib.sha1(body, usedforsecurity=False).digest()
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[0].properties == {"k": "v"}
    assert all(part.properties is None for part in parts[1:])
    assert pair.a.outgoing_unanswered == 0
    assert pair.b.events() == []


def test_a_slow_consumer_slows_the_sender() -> None:
    pair = Pair()
    fetch(pair, noise(2_000_000))
    pair.pump()
    held = sum(len(part.data) for part in pair.at_a if isinstance(part, ReplyPart))
    assert UNACKED_BYTES_MAX - 1000 < held < UNACKED_BYTES_MAX + FRAME_BYTES_MAX
    assert not any(split(frame)[1] & TYPE_MASK == ACK_RPY for frame in pair.from_a)
    turns = 0
    while not (isinstance(part := pair.at_a[-1], ReplyPart) and part.last):
        pair.a.consumed("blob", held)
        before = len(pair.at_a)
        pair.pump()
        held = sum(len(p.data) for p in pair.at_a[before:] if isinstance(p, ReplyPart))
        assert held < UNACKED_BYTES_MAX + FRAME_BYTES_MAX
        turns += 1
    assert turns > 10


def test_the_sender_of_a_stream_holds_no_more_than_its_buffer() -> None:
    pair = Pair()
    asked = []
    body = source(noise(2_000_000))

    def counted(bytes_wanted: int) -> tuple[bytes, bool]:
        asked.append(bytes_wanted)
        return body(bytes_wanted)

    stream = fetch(pair, b"")
    pair.feed["b", stream] = counted
    pair.pump()
    # Nothing is consumed at the other end, so the reading stops too.
    assert max(asked) <= STREAM_BUFFER_BYTES_MAX
    assert sum(asked) <= UNACKED_BYTES_MAX + FRAME_BYTES_MAX + STREAM_BUFFER_BYTES_MAX


def test_a_stream_does_not_hold_up_other_messages() -> None:
    pair = Pair()
    fetch(pair, noise(1_000_000))
    pair.pump()  # It stands still: nothing is consumed.
    pair.a.send_request("other", {})
    pair.pump()
    pair.b.reply(2, {}, b"here")
    pair.pump()
    assert pair.at_a[-1] == Reply("other", False, {}, b"here")


def test_an_error_instead_of_a_stream_comes_as_a_reply() -> None:
    pair = Pair()
    pair.a.send_request("blob", {}, stream_reply=True)
    pair.pump()
    pair.b.reply_error(1, "HTTP", 404, "no such blob")
    pair.pump()
    [reply] = pair.at_a
    assert isinstance(reply, Reply)
    assert reply.error
    assert (reply.token, reply.body) == ("blob", b"no such blob")


def test_a_stream_that_fails_at_once_is_an_error_and_the_connection_lives_on() -> None:
    pair = Pair()
    stream = fetch(pair, b"")
    assert pair.b.stream_abort(stream, "HTTP", 500, "the disk failed")
    pair.b.events()
    pair.pump()
    [reply] = pair.at_a
    assert isinstance(reply, Reply)
    assert (reply.error, reply.body) == (True, b"the disk failed")


def test_a_stream_that_fails_halfway_ends_the_connection() -> None:
    pair = Pair()
    stream = fetch(pair, noise(1_000_000))
    pair.pump()
    pair.b.send_request("lost", {})
    assert not pair.b.stream_abort(stream)
    assert not pair.b.has_frames
    assert pair.b.frames_to_send(ALL) == []
    assert not any(isinstance(part, ReplyPart) and part.last for part in pair.at_a)


def test_two_streamed_requests_with_one_token_are_a_bug() -> None:
    connection = Connection()
    connection.send_request("blob", {}, stream_reply=True)
    with pytest.raises(AssertionError, match="in use"):
        connection.send_request("blob", {}, stream_reply=True)
    with pytest.raises(AssertionError, match="no reply"):
        connection.send_request("blob 2", {}, no_reply=True, stream_reply=True)


# --- anything -------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=9)
messages = st.tuples(
    st.dictionaries(texts, texts, max_size=3),
    st.one_of(st.binary(max_size=200), st.integers(0, 150_000).map(noise)),
    st.fixed_dictionaries(
        {"urgent": st.booleans(), "no_reply": st.booleans(), "compress": st.booleans()}
    ),
)


@pytest.mark.property(number=6)
@examples(40)
@given(
    st.lists(messages, max_size=6), st.lists(messages, max_size=6), st.sampled_from([1, 5000, ALL])
)
def test_whatever_is_sent_arrives_and_is_answered(
    forth: list[tuple[dict[str, str], bytes, dict[str, bool]]],
    back: list[tuple[dict[str, str], bytes, dict[str, bool]]],
    bytes_max: int,
) -> None:
    pair = Pair()
    for connection, sent in ((pair.a, forth), (pair.b, back)):
        for token, (properties, body, options) in enumerate(sent):
            connection.send_request(token, {**properties, "n": str(token)}, body, **options)
    pair.pump(bytes_max)
    for connection, came, sent in ((pair.b, pair.at_b, forth), (pair.a, pair.at_a, back)):
        for request in came:
            assert isinstance(request, Request)
            properties, body, options = sent[int(request.properties["n"])]
            assert request.properties == {**properties, "n": request.properties["n"]}
            assert request.body == body
            assert (request.urgent, request.no_reply) == (options["urgent"], options["no_reply"])
            if not request.no_reply:
                connection.reply(request.number, request.properties, body, compress=True)
        assert len(came) == len(sent)
        came.clear()
    pair.pump(bytes_max)
    for connection, came, sent in ((pair.a, pair.at_a, forth), (pair.b, pair.at_b, back)):
        wanted = {n for n, (_, _, options) in enumerate(sent) if not options["no_reply"]}
        replies = {reply.token: reply.body for reply in came if isinstance(reply, Reply)}
        assert replies == {n: sent[n][1] for n in wanted}
        assert connection.outgoing_unanswered == connection.incoming_unanswered == 0
    for frames in (pair.from_a, pair.from_b):
        assert all(len(frame) <= FRAME_BYTES_MAX for frame in frames)
        begun = [number for number, flags, _, _ in map(split, frames) if flags & TYPE_MASK == 0]
        assert list(dict.fromkeys(begun)) == sorted(set(begun))  # Numbers rise, without gaps.


@pytest.mark.property(number=6)
@pytest.mark.sec("SEC-16")
@examples(100)
@given(st.data())
def test_a_flipped_bit_is_noticed_before_it_has_an_effect(data: st.DataObject) -> None:
    sent = [({"Profile": "rev", "id": f"doc-{n}"}, noise(90, n)) for n in range(5)]
    sent.append(({"Profile": "rev", "id": "long"}, noise(20_000)))
    pair = Pair()
    for properties, body in sent:
        pair.a.send_request(None, properties, body, compress=len(body) == 90)
    frames = pair.a.frames_to_send(ALL)
    index = data.draw(st.integers(0, len(frames) - 1), "frame")
    at = data.draw(st.integers(0, len(frames[index]) - 1).filter(lambda at: at != 1), "byte")
    flipped = bytearray(frames[index])  # Byte 1 is the flags, which no checksum covers.
    flipped[at] ^= 1 << data.draw(st.integers(0, 7), "bit")
    frames[index] = bytes(flipped)
    with contextlib.suppress(PeerProtocolError):
        for frame in frames:
            pair.at_b += pair.b.receive([frame])
    came = [(r.properties, r.body) for r in pair.at_b if isinstance(r, Request)]
    assert came == sent[: len(came)]
    # Only the padding at the end of a deflated frame may be anything.
    assert len(came) == min(index, 5) or (len(came) == 6 and index < 5)
