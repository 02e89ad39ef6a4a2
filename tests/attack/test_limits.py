"""Every limit that a peer can meet: at it all is well, one over it is refused, far over it too.

`AT`, `OVER` and `FAR` are how much is tried: the limit, one more, a hundred times as much.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from settee.blip import codec
from settee.blip.codec import Decoder, Encoder
from settee.blip.frame import COMPRESSED, MORE_COMING, MSG, put_uvarint, uvarint
from settee.blip.inbox import Inbox
from settee.blip.message import decode_message
from settee.blip.outbox import Outbox, Outgoing
from settee.doc.body import load
from settee.doc.revision import check_history, is_tree_name
from settee.errors import InvalidDocumentError, PeerProtocolError
from settee.ids import digest_bytes, is_document_id
from settee.limits import (
    CHANGES_ROWS_RECEIVED_MAX,
    CHECKPOINT_BODY_BYTES_MAX,
    CHECKPOINT_ID_BYTES_MAX,
    CONNECTIONS_MAX,
    CONNECTIONS_PER_IP_MAX,
    CONNECTIONS_UNAUTHENTICATED_MAX,
    DOCUMENT_ID_BYTES_MAX,
    HISTORY_NAMES_RECEIVED_MAX,
    HTTP_HEAD_BYTES_MAX,
    HTTP_HEADERS_MAX,
    HTTP_LINE_BYTES_MAX,
    INBOUND_BYTES_MAX,
    JSON_DEPTH_MAX,
    LOGIN_FAILURES_MAX,
    MESSAGES_INCOMPLETE_MAX,
    PROPERTIES_BYTES_MAX,
    REVISION_NAME_BYTES_MAX,
    UNACKED_BYTES_MAX,
    WEBSOCKET_MESSAGE_BYTES_MAX,
    WEBSOCKET_PARTS_MAX,
)
from settee.net.acceptor import AcceptLimits
from settee.net.frames import Parser
from settee.net.http1 import RequestReader
from settee.peer.logins import LoginGuard
from settee.store import blob_files
from settee.store.blob_files import BlobWriter
from settee.sync.messages import parse_announced, parse_proposed
from tests.attack.raw import ask
from tests.net.scene import door, runner
from tests.sync.peers import Driven, MemoryStorage, ScriptedPeer, error_of, passive

tries = pytest.mark.parametrize("tried", ["at", "over", "far"])


def amount(limit: int, tried: str) -> int:
    return {"at": limit, "over": limit + 1, "far": 100 * limit}[tried]


@contextlib.contextmanager
def refused_unless_at(
    tried: str, error: type[Exception], match: str | None = None
) -> Iterator[None]:
    """What happens inside is fine at the limit, and refused beyond it."""
    if tried == "at":
        yield
        return
    with pytest.raises(error, match=match):
        yield


# --- HTTP -----------------------------------------------------------------------------------------


def head(first_line_bytes: int = 40, headers: int = 1, filler: int = 0) -> bytes:
    path = "/" + "x" * (first_line_bytes - len("GET / HTTP/1.1"))
    lines = [f"GET {path} HTTP/1.1", "Host: kitchen"]
    lines += [f"h{n}: 1" for n in range(headers - 1)]
    raw = "\r\n".join(lines) + "\r\n\r\n"
    while filler:
        # Lines of header values that are each below their own limit.
        size = min(filler, 8000)
        raw = raw[:-2] + "f: " + "x" * (size - len("f: \r\n")) + "\r\n\r\n"
        filler -= size
    return raw.encode()


@pytest.mark.sec("SEC-05")
@tries
def test_the_first_line_may_be_so_long(tried: str) -> None:
    with refused_unless_at(tried, PeerProtocolError, "more than|line of"):
        assert RequestReader().feed(head(amount(HTTP_LINE_BYTES_MAX, tried)))


@pytest.mark.sec("SEC-05")
@tries
def test_a_head_may_have_so_many_headers(tried: str) -> None:
    with refused_unless_at(tried, PeerProtocolError, "headers|head of more"):
        assert RequestReader().feed(head(headers=amount(HTTP_HEADERS_MAX, tried)))


@pytest.mark.sec("SEC-05")
@tries
def test_a_head_may_have_so_many_bytes(tried: str) -> None:
    # Counted without the empty line at its end.
    filler = amount(HTTP_HEAD_BYTES_MAX, tried) - len(head()) + 4
    with refused_unless_at(tried, PeerProtocolError, "head of more"):
        assert RequestReader().feed(head(filler=filler))


# --- connections ----------------------------------------------------------------------------------


class Crowd(contextlib.ExitStack):
    """Sockets that are closed in the end."""

    async def connect(self, port: int, source: str) -> socket.socket:
        """Connect from an address of loopback."""
        sock = socket.create_connection(("127.0.0.1", port), 5, source_address=(source, 0))
        self.enter_context(sock)
        sock.setblocking(False)
        await asyncio.sleep(0)  # The listener's turn, so that its queue never runs over.
        return sock

    async def ask(self, port: int, source: str) -> bytes:
        """Ask for a link; return the status of the answer."""
        sock = await self.connect(port, source)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, ask())
        return (await loop.sock_recv(sock, 1000))[9:12]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for is no event.
        await asyncio.sleep(0.001)


@pytest.mark.sec("SEC-02")
@pytest.mark.parametrize("over", [0, 1, 99])
def test_one_address_may_have_so_many_connections(over: int) -> None:
    async def play() -> None:
        async with door() as listener:
            with Crowd() as crowd:
                for _ in range(CONNECTIONS_PER_IP_MAX + over):
                    await crowd.connect(listener.port, "127.0.0.2")
                await until(lambda: len(listener.refusals) >= over)
                assert await crowd.ask(listener.port, "127.0.0.3") == b"101", "others come in"
                assert len(listener.refusals) == over

    runner("asyncio")(play())


@pytest.mark.sec("SEC-02")
@pytest.mark.parametrize("over", [0, 1, 99])
def test_so_many_connections_may_be_not_open_yet(over: int) -> None:
    async def play() -> None:
        async with door(limits=AcceptLimits(per_address_max=10_000)) as listener:
            with Crowd() as crowd:
                for _ in range(CONNECTIONS_UNAUTHENTICATED_MAX + over):
                    await crowd.connect(listener.port, "127.0.0.2")
                await until(lambda: len(listener.refusals) >= over)
                await asyncio.sleep(0.01)
                assert len(listener.refusals) == over

    runner("asyncio")(play())


@pytest.mark.sec("SEC-02")
def test_so_many_links_may_be_open_and_who_comes_next_is_told_to_come_back() -> None:
    async def play() -> None:
        async with door() as listener:
            with Crowd() as crowd:
                for n in range(CONNECTIONS_MAX):
                    source = f"127.0.1.{n // CONNECTIONS_PER_IP_MAX + 1}"
                    assert await crowd.ask(listener.port, source) == b"101"
                for _ in range(3):
                    assert await crowd.ask(listener.port, "127.0.2.1") == b"503"
                assert listener.acceptor.open_count == CONNECTIONS_MAX
            await until(lambda: listener.acceptor.open_count == 0)
            with Crowd() as crowd:
                assert await crowd.ask(listener.port, "127.0.2.1") == b"101"

    runner("asyncio")(play())


@pytest.mark.sec("SEC-07")
@tries
def test_so_many_failed_logins_cost_no_wait(tried: str) -> None:
    guard = LoginGuard()
    failures = amount(LOGIN_FAILURES_MAX, tried) - 1
    for _ in range(failures):
        guard.failed("192.0.2.1", "bob", 0.0)
    waits = guard.wait_s("192.0.2.1", "bob", 1.0)
    assert (waits == 0.0) is (tried == "at")
    assert guard.wait_s("192.0.2.2", "bob", 1.0) == 0.0, "others are not held up"


# --- WebSocket ------------------------------------------------------------------------------------


@pytest.mark.sec("SEC-12")
@tries
def test_a_websocket_message_may_be_so_long(tried: str) -> None:
    size = amount(WEBSOCKET_MESSAGE_BYTES_MAX, tried)
    begin = bytes((0x82, 0xFF)) + size.to_bytes(8, "big") + b"\0\0\0\0"
    parser = Parser(True)
    with refused_unless_at(tried, PeerProtocolError, "bytes or more"):
        assert parser.feed(begin) == []
        assert parser.held_bytes < 100, "nothing is taken for what is only promised"
        (message,) = parser.feed(b"x" * size)
        assert len(message[1]) == size


@pytest.mark.sec("SEC-12")
@tries
def test_a_websocket_message_may_have_so_many_parts(tried: str) -> None:
    count = amount(WEBSOCKET_PARTS_MAX, tried)
    parts = [b"\x02\x80\0\0\0\0"] + [b"\x00\x80\0\0\0\0"] * (count - 2) + [b"\x80\x80\0\0\0\0"]
    with refused_unless_at(tried, PeerProtocolError, "parts"):
        assert Parser(True).feed(b"".join(parts)) == [(2, b"")]


# --- messages -------------------------------------------------------------------------------------


@pytest.mark.sec("SEC-14")
@tries
def test_properties_may_be_so_long(tried: str) -> None:
    size = amount(PROPERTIES_BYTES_MAX, tried)
    words = b"k\0" + b"v" * (size - 3) + b"\0"
    with refused_unless_at(tried, PeerProtocolError, "properties of"):
        properties, _ = decode_message(put_uvarint(size) + words)
        assert len(properties["k"]) == size - 3


@pytest.mark.sec("SEC-14")
@pytest.mark.parametrize(("count", "good"), [(10, True), (11, False), (1000, False)])
def test_a_number_may_have_ten_bytes(count: int, good: bool) -> None:
    with contextlib.nullcontext() if good else pytest.raises(PeerProtocolError):
        assert uvarint(b"\x80" * (count - 1) + b"\x01", 0) == (2**63, 10)


@pytest.mark.sec("SEC-14")
@tries
def test_so_many_requests_may_be_unfinished(tried: str) -> None:
    count = amount(MESSAGES_INCOMPLETE_MAX, tried)
    inbox, encoder = Inbox(Outbox(0)), Encoder(0)
    with refused_unless_at(tried, PeerProtocolError, "unfinished requests"):
        for n in range(1, count + 1):
            inbox.receive([encoder.frame(n, MSG | MORE_COMING, b"\0x")])


@pytest.mark.sec("SEC-13")
@tries
def test_a_frame_may_inflate_to_so_much(tried: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "INFLATED_BYTES_MAX", 100_000)
    frame = Encoder(6).frame(1, MSG | COMPRESSED, b"x" * amount(100_000, tried))
    with refused_unless_at(tried, PeerProtocolError, "inflates to more"):
        assert len(Decoder().payload(frame, 2, COMPRESSED)) == 100_000


@pytest.mark.sec("SEC-15")
def test_a_message_without_acks_stops_within_a_frame_of_its_window() -> None:
    outbox = Outbox(0)
    outbox.put(Outgoing(MSG, 0, b"x" * 100 * UNACKED_BYTES_MAX))
    sent = sum(map(len, outbox.frames(10**9)))
    assert UNACKED_BYTES_MAX <= sent <= UNACKED_BYTES_MAX + 16384


# --- replication ----------------------------------------------------------------------------------


@pytest.mark.sec("SEC-14")
@tries
@pytest.mark.parametrize("parse", [parse_announced, parse_proposed])
def test_an_offer_may_have_so_many_rows(tried: str, parse: Any) -> None:
    row: list[object] = [1, "d", "1-aa"] if parse is parse_announced else ["d", "1-aa"]
    body = orjson.dumps([row] * amount(CHANGES_ROWS_RECEIVED_MAX, tried))
    with refused_unless_at(tried, PeerProtocolError, "rows"):
        assert len(parse(body)) == CHANGES_ROWS_RECEIVED_MAX


@pytest.mark.sec("SEC-18")
@tries
def test_a_history_may_name_so_many_ancestors(tried: str) -> None:
    """Guards the count in `check_history`."""
    count = amount(HISTORY_NAMES_RECEIVED_MAX, tried)
    names = [f"{n}-aa" for n in range(count, 0, -1)]
    assert check_history(f"{count + 1}-bb", names) is (tried == "at")


@pytest.mark.sec("SEC-20")
@tries
def test_json_may_be_nested_so_deep(tried: str) -> None:
    depth = amount(JSON_DEPTH_MAX, tried)
    with refused_unless_at(tried, InvalidDocumentError):
        assert load(b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}")  # One is outside.


@pytest.mark.sec("SEC-19")
@tries
def test_a_document_id_may_be_so_long(tried: str) -> None:
    size = amount(DOCUMENT_ID_BYTES_MAX, tried)
    assert is_document_id("x" * size) is (tried == "at")
    assert is_document_id("\U0010ffff" * (size // 4) + "x" * (size % 4)) is (tried == "at")


@pytest.mark.sec("SEC-18")
@tries
def test_a_revision_s_name_may_be_so_long(tried: str) -> None:
    rows = [[1, "d", "1-" + "a" * (amount(REVISION_NAME_BYTES_MAX, tried) - 2)]]
    with refused_unless_at(tried, PeerProtocolError):
        (row,) = parse_announced(orjson.dumps(rows))
        assert not is_tree_name(row.rev), "so long a one is no name of a revision all the same"


@pytest.mark.sec("SEC-25")
@tries
def test_a_checkpoint_id_may_be_so_long(tried: str) -> None:
    peer = ScriptedPeer(Driven(passive(), MemoryStorage("b", marks=False)))
    client = "c" * amount(CHECKPOINT_ID_BYTES_MAX, tried)
    code = error_of(peer.ask("getCheckpoint", client=client))
    assert code == (("HTTP", 404) if tried == "at" else ("BLIP", 400))


@pytest.mark.sec("SEC-25")
@tries
def test_a_checkpoint_may_be_so_long(tried: str) -> None:
    peer = ScriptedPeer(Driven(passive(), MemoryStorage("b", marks=False)))
    room = amount(CHECKPOINT_BODY_BYTES_MAX, tried) - len(b'{"a":""}')
    reply = peer.ask("setCheckpoint", b'{"a":"' + b"x" * room + b'"}', client="cp")
    assert reply.error is (tried != "at")


@pytest.mark.sec("SEC-23")
@tries
def test_a_blob_may_be_so_long(tried: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_files, "BLOB_BYTES_MAX", 1000)
    path = tmp_path / "blob"
    with refused_unless_at(tried, InvalidDocumentError), BlobWriter(path) as writer:
        for _ in range(amount(1000, tried)):
            writer.write(b"x")
        assert writer.finish().length == 1000
    assert path.exists() is (tried == "at"), "what was refused is gone"


@pytest.mark.sec("SEC-23")
@pytest.mark.parametrize(
    ("raw", "good"), [(20, True), (19, False), (21, False), (0, False), (2000, False)]
)
def test_a_digest_is_sha1_and_20_bytes_or_nothing(raw: int, good: bool) -> None:
    """Guards the length in `digest_bytes`."""
    text = "sha1-" + base64.b64encode(b"\x01" * raw).decode()
    assert (digest_bytes(text) is not None) is good
    assert digest_bytes("sha1-" + "../" * 9 + "x") is None


@pytest.mark.sec("SEC-14")
@tries
def test_so_much_may_be_received_and_not_stored(tried: str) -> None:
    """At the limit reading goes on; beyond it stops, and beyond twice that the rest is refused."""
    driven = Driven(passive(), MemoryStorage("b", marks=False))
    session = driven.session
    session.inbound_bytes = INBOUND_BYTES_MAX if tried == "at" else INBOUND_BYTES_MAX + 1
    session._asked[0] = (lambda _: None, lambda _: None)
    assert session.wants_reading_paused is (tried != "at")
    if tried == "far":
        session.inbound_bytes = 2 * INBOUND_BYTES_MAX + 1
        with pytest.raises(PeerProtocolError, match="too much") as caught:
            session.take_in(1)
        assert caught.value.transient
