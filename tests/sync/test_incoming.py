from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from settee.blip import Connection, Reply, ReplyPart, Request
from settee.doc.records import ChangeRow
from settee.limits import BLOB_CHUNK_BYTES, RECEIVE_PORTION_BYTES
from settee.sync.incoming import Message, RevsCame, RevsStored, messages
from settee.sync.pusher import RevSent, Wanted


def asked(*tokens: str) -> tuple[Connection, Connection]:
    """Two ends; the first has asked the other for a blob for each token."""
    a, b = Connection(), Connection()
    for token in tokens:
        a.send_request(token, {"Profile": "getAttachment"}, stream_reply=True)
    b.receive(a.frames_to_send(10**6))
    return a, b


def sent_rev(n: int) -> RevSent:
    wanted = Wanted(ChangeRow(n, f"doc{n}", "1-aa", 0, 2, ""), ())
    nobody: Any = None
    return RevSent(nobody, wanted, "1-aa", False, 2, (), False)


def parts(came: Iterable[Message]) -> list[tuple[object, int, bool]]:
    return [(p.token, len(p.data), p.last) for p in came if isinstance(p, ReplyPart)]


def test_parts_of_a_blob_that_came_in_a_row_are_as_long_as_a_chunk() -> None:
    a, b = asked("one")
    body = random.Random(1).randbytes(110_000)
    b.reply_stream(1, {"k": "v"}, body, last=True)
    came = list(messages(a, b.frames_to_send(10**6)))
    assert all(isinstance(part, ReplyPart) for part in came)
    sizes = [size for _, size, _ in parts(came)]
    assert len(sizes) == 2
    assert sizes[0] >= BLOB_CHUNK_BYTES
    assert b"".join(part.data for part in came if isinstance(part, ReplyPart)) == body
    assert [last for _, _, last in parts(came)] == [False, True]
    assert [part.properties for part in came if isinstance(part, ReplyPart)] == [{"k": "v"}, None]


def test_parts_of_two_blobs_stay_apart() -> None:
    a, b = asked("one", "two")
    b.reply_stream(1, {}, bytes(40_000), last=True)
    b.reply_stream(2, {}, bytes(30_000), last=True)
    came = messages(a, b.frames_to_send(10**6))
    assert parts(came) == [("one", 40_000, True), ("two", 30_000, True)]


def test_what_comes_between_keeps_its_place() -> None:
    a, b = asked("one")
    b.reply_stream(1, {}, bytes(30_000), last=True)
    began = b.frames_to_send(1)
    b.send_request("x", {"Profile": "rev"}, b"{}", urgent=True)
    frames = began + b.frames_to_send(10**6)
    came = list(messages(a, frames))
    assert [type(message) for message in came] == [ReplyPart, RevsCame, ReplyPart]
    assert sum(size for _, size, _ in parts(came)) == 30_000


def test_revisions_that_came_in_a_row_are_one_batch_and_others_stay_alone() -> None:
    a, b = Connection(), Connection()
    for profile in ("rev", "rev", "changes", "changes", "rev"):
        a.send_request(profile, {"Profile": profile}, b"{}")
    came = list(messages(b, a.frames_to_send(10**6)))
    assert [type(message) for message in came] == [RevsCame, Request, Request, RevsCame]
    rows = [
        [r.number for r in message.requests] for message in came if isinstance(message, RevsCame)
    ]
    assert rows == [[1, 2], [5]]


def test_a_batch_of_revisions_ends_with_the_portion_that_was_opened() -> None:
    a, b = Connection(), Connection()
    for _ in range(5):
        a.send_request("rev", {"Profile": "rev"}, bytes(RECEIVE_PORTION_BYTES // 4))
    came = messages(b, a.frames_to_send(10**6))
    sizes = [len(message.requests) for message in came if isinstance(message, RevsCame)]
    assert sizes == [4, 1]


def test_answers_to_revisions_are_one_batch_up_to_the_first_refusal() -> None:
    a, b = Connection(), Connection()
    sent = [sent_rev(n) for n in range(4)]
    for each in sent:
        a.send_request(each, {"Profile": "rev"}, b"{}")
    b.receive(a.frames_to_send(10**6))
    b.reply_empty([1, 2])
    b.reply_error(3, "HTTP", 409)
    b.reply_empty([4])
    came = list(messages(a, b.frames_to_send(10**6)))
    assert came[0] == RevsStored(sent[:2])
    assert isinstance(came[1], Reply)
    assert came[1].token is sent[2]
    assert came[2:] == [RevsStored(sent[3:])]
