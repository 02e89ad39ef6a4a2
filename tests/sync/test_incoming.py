from __future__ import annotations

import random
from collections.abc import Iterable

from settee.blip import Connection, Reply, ReplyPart, Request
from settee.limits import BLOB_CHUNK_BYTES
from settee.sync.incoming import messages

Came = Request | Reply | ReplyPart


def asked(*tokens: str) -> tuple[Connection, Connection]:
    """Two ends; the first has asked the other for a blob for each token."""
    a, b = Connection(), Connection()
    for token in tokens:
        a.send_request(token, {"Profile": "getAttachment"}, stream_reply=True)
    b.receive(a.frames_to_send(10**6))
    return a, b


def parts(came: Iterable[Came]) -> list[tuple[object, int, bool]]:
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
    assert [type(message) for message in came] == [ReplyPart, Request, ReplyPart]
    assert sum(size for _, size, _ in parts(came)) == 30_000
