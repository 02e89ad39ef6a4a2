"""What a peer that was let in can make us hold: each way to grow has an end.

The peer is a raw connection that says what a test makes up, towards a passive session with a real
storage in memory. Each test names the line that it guards, and fails without it.
"""

from __future__ import annotations

import hashlib
import logging
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from settee.blip.connection import Connection
from settee.blip.frame import ACK_MSG, ACK_RPY, MORE_COMING, MSG, NO_REPLY, ack_frame
from settee.blip.message import encode_message
from settee.errors import PeerProtocolError
from settee.limits import (
    ACKS_IDLE_MAX,
    BLOBS_SERVED_AT_ONCE_MAX,
    CHECKPOINTS_PER_PEER_MAX,
    DOCUMENT_ID_BYTES_MAX,
    LOGGED_PER_SESSION_MAX,
    RECEIVE_PORTION_BYTES,
    SEQUENCE_BYTES_MAX,
)
from settee.net.link import CloseInfo, PeerInfo
from settee.peer import runtime as runtime_module
from settee.peer.crowd import Crowd
from settee.sync import effects as asks
from settee.sync import session as session_module
from tests.blip.peers import Script
from tests.simulation.links import link_pair
from tests.simulation.world import World, world
from tests.sync.peers import (
    Driven,
    MemoryStorage,
    ScriptedPeer,
    active,
    blob_of,
    error_of,
    opened,
    passive,
)

LONG = "x" * 90_000
"""Properties may be 100 KiB long."""


class Hostile:
    """Sends requests, one frame each or left unfinished, and reads nothing."""

    def __init__(self, driven: Driven) -> None:
        self.driven = driven
        self.script = Script()
        self.number = 0

    def frame(self, profile: str, body: bytes = b"", *, flags: int = 0, **properties: str) -> bytes:
        self.number += 1
        payload = encode_message({"Profile": profile, **properties}, body)
        return self.script.frame(self.number, MSG | 8 | flags, payload)

    def send(self, profile: str, body: bytes = b"", *, flags: int = 0, **properties: str) -> None:
        frame = self.frame(profile, body, flags=flags, **properties)
        self.driven.session.receive([frame], self.driven.now)

    def leave_unfinished(self) -> None:
        """Begin a message that never ends: what is announced after it has to wait."""
        self.send("rev", b"{", flags=MORE_COMING)


def listener(**more: Any) -> tuple[Driven, Hostile]:
    driven = Driven(passive(**more), MemoryStorage("b", marks=False))
    return driven, Hostile(driven)


@pytest.fixture
def growth() -> Iterator[Any]:
    """``growth()`` is the bytes allocated since the test began, and not freed."""
    tracemalloc.start()
    begin = tracemalloc.get_traced_memory()[0]
    yield lambda: tracemalloc.get_traced_memory()[0] - begin
    tracemalloc.stop()


@pytest.mark.sec("SEC-27", "SEC-15")
@pytest.mark.parametrize(("limit", "asked", "ends"), [(20_000, 30, False), (20_000, 100, True)])
def test_who_asks_and_does_not_read_the_answers_is_sent_away(
    monkeypatch: pytest.MonkeyPatch, limit: int, asked: int, ends: bool
) -> None:
    """Guards `Session._pump`: the bound of answers that wait."""
    monkeypatch.setattr(session_module, "REPLIES_WAITING_BYTES_MAX", limit)
    driven, peer = listener()
    for _ in range(asked):
        peer.send("getCheckpoint", client="cp")
        driven.work()
    assert (driven.finished is not None) is ends
    if ends:
        assert "does not read" in str(driven.error)
        assert driven.session.frames_to_send(65536) != []


@pytest.mark.sec("SEC-27")
def test_who_reads_may_ask_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards `Outbox.replies_bytes`, which has to fall when answers leave."""
    monkeypatch.setattr(session_module, "REPLIES_WAITING_BYTES_MAX", 20_000)
    driven, peer = listener()
    kinds = [
        ("getCheckpoint", b"", {"client": "cp"}),
        ("changes", b'[[1,"d","1-aa"]]', {}),
        ("rev", b"{}", {"id": "d", "rev": "1-aa", "sequence": "1"}),
        ("unheardOf", b"", {}),
    ]
    for n in range(400):
        profile, body, properties = kinds[n % 4]
        peer.send(profile, body, **properties)
        driven.work()
        driven.session.frames_to_send(65536)
    assert driven.finished is None
    assert driven.session.connection.replies_waiting_bytes == 0


class OneWay:
    """A link that takes nothing when it is told to."""

    peer = PeerInfo(address="192.0.2.1", port=1)

    def __init__(self) -> None:
        self.writable = True
        self.paused = False
        self.events: Any = None

    def attach(self, events: Any) -> None:
        self.events = events

    def send(self, frames: Any) -> None:
        assert self.writable

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def close(self, code: int = 1000, reason: str = "") -> None:
        pass


@pytest.mark.sec("SEC-27")
def test_a_link_that_takes_no_answers_is_not_asked_for_more_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards the pause in `SessionDriver._after`."""
    monkeypatch.setattr(session_module, "REPLIES_WAITING_READING_BYTES_MAX", 10_000)
    with world(tmp_path, 1) as w:
        b = w.peer("b")
        link = OneWay()
        link.attach(b.passive.accept(link))  # type: ignore[arg-type]
        peer = Hostile(None)  # type: ignore[arg-type]
        link.writable = False
        count = 0
        while not link.paused:
            link.events.on_frames([peer.frame("getCheckpoint", client="cp")])
            w.elapse(0.01)
            count += 1
            assert count < 100
        assert count > 20, "some are borne"
        link.writable = True
        link.events.on_writable()
        assert not link.paused
        link.events.on_frames([peer.frame("getCheckpoint", client="cp")])
        w.elapse(0.01)
        assert not link.paused
        link.events.on_closed(CloseInfo(code=1000))


@pytest.mark.sec("SEC-15")
@pytest.mark.parametrize("over", [0, 1, 99 * ACKS_IDLE_MAX])
def test_acks_for_nothing_are_borne_up_to_a_number(over: int) -> None:
    """Guards the count in `Inbox.receive`."""
    connection = Connection()
    flood = [ack_frame(1, ACK_RPY, 5)] * (ACKS_IDLE_MAX + over)
    if over:
        with pytest.raises(PeerProtocolError, match="ACKs for nothing"):
            connection.receive(flood)
    else:
        connection.receive(flood)


@pytest.mark.sec("SEC-15")
def test_an_ack_too_many_for_each_frame_is_in_order() -> None:
    connection = Connection()
    for _ in range(3 * ACKS_IDLE_MAX):
        connection.send_request(None, {}, b"x", no_reply=True)
        connection.frames_to_send(65536)
        connection.receive([ack_frame(1, ACK_MSG, 5)])


@pytest.mark.sec("SEC-13")
def test_what_one_read_brings_is_opened_portion_by_portion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards `_portions` in `sync.incoming`: else 256 KiB could inflate to 256 MiB at once."""
    sizes: list[int] = []
    receive = Connection.receive

    def seen(self: Connection, frames: Any) -> Any:
        sizes.append(sum(map(len, frames)))
        return receive(self, frames)

    monkeypatch.setattr(Connection, "receive", seen)
    driven, peer = listener()
    noise = [hashlib.shake_128(b"%d" % n).hexdigest(1000).encode() for n in range(60)]
    frames = [
        peer.frame("rev", b'{"a":"' + body + b'"}', id=f"d{n}", rev="1-aa", sequence=str(n))
        for n, body in enumerate(noise)
    ]
    driven.session.receive(frames, driven.now)
    assert len(sizes) > 1
    assert max(sizes) < RECEIVE_PORTION_BYTES + max(map(len, frames))


@pytest.mark.sec("SEC-14")
def test_announcements_behind_an_unfinished_message_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Guards `take_in` of what rows cost in memory, in `Puller.announced`."""
    monkeypatch.setattr(session_module, "_INBOUND_BYTES_REFUSED", 1_000_000)
    driven, peer = listener()
    peer.leave_unfinished()
    body = orjson.dumps([[n, "d", "1-aa"] for n in range(100)])
    for _ in range(100):
        peer.send("changes", body)
    assert 100 * len(body) < 1_000_000, "the bytes that came are few"
    assert 1_000_000 < driven.session.inbound_bytes < 1_040_000
    assert driven.finished is None


@pytest.mark.sec("SEC-14")
def test_empty_announcements_without_end_are_counted_too() -> None:
    """Guards the upkeep that `Puller.announced` counts for a message without rows."""
    driven, peer = listener()
    peer.leave_unfinished()
    before = driven.session.inbound_bytes
    for _ in range(100):
        peer.send("changes", b"[]", flags=NO_REPLY)
    assert driven.session.inbound_bytes - before >= 100 * 300


@pytest.mark.sec("SEC-14")
@pytest.mark.parametrize("profile", ["changes", "proposeChanges", "getCheckpoint"])
def test_long_properties_of_what_waits_are_not_kept(growth: Any, profile: str) -> None:
    """Guards that of a request no more is kept than what its answer needs."""
    driven, peer = listener()
    driven.delayed = {asks.ReadHeld, asks.ReadPeerCheckpoints}
    peer.leave_unfinished()
    bodies = {"changes": b'[[1,"d","1-aa"]]', "proposeChanges": b'[["d","1-aa"]]'}
    for n in range(30):
        # Each has text of its own: equal texts would not be equal objects.
        peer.send(profile, bodies.get(profile, b""), client="cp", unheardOf=f"{n}{LONG}")
        driven.work()
    assert growth() < 30 * len(LONG) // 2


@pytest.mark.sec("SEC-14")
def test_a_revision_counts_with_all_that_is_kept_of_it() -> None:
    """Guards `held_bytes` in `Arrivals.read`: body, history and vector."""
    driven, peer = listener()
    driven.delayed = {asks.SaveRevisions}
    peer.send("rev", b"{}", id="d", rev="1-aa", sequence="1", history=LONG)
    driven.work()
    assert driven.session.inbound_bytes > len(LONG)


@pytest.mark.sec("SEC-19")
def test_an_id_that_is_none_is_cut_where_it_is_reported() -> None:
    """Guards the cut in `Puller._not_taken`: reports are kept, logged and given to programs."""
    driven, peer = listener()
    peer.send("rev", b"{}", id=LONG, rev="1-aa", sequence="1")
    driven._look()
    ((doc_id, _),) = driven.failures
    assert doc_id == LONG[:DOCUMENT_ID_BYTES_MAX]


@pytest.mark.sec("SEC-14")
@pytest.mark.parametrize("over", [0, 1, 99 * SEQUENCE_BYTES_MAX])
def test_the_sequence_of_a_revision_is_as_short_as_that_of_a_row(over: int) -> None:
    """Guards the length of `sequence` in `Arrivals.read`."""
    driven = Driven(passive(), MemoryStorage("b", marks=False))
    peer = ScriptedPeer(driven)
    sequence = "9" * min(SEQUENCE_BYTES_MAX + over, 100_000)
    reply = peer.ask("rev", {"n": 1}, id="d", rev="1-aa", sequence=sequence)
    assert reply.error is bool(over)


@pytest.mark.sec("SEC-22")
def test_requests_for_blobs_that_wait_keep_nothing_but_their_digest(growth: Any) -> None:
    """Guards what `BlobExchange.get_attachment` puts in line."""
    driven, peer, digest = _sending_a_blob()
    driven.delayed = {asks.OpenBlob}
    for n in range(150):
        peer.connection.send_request(
            n, {"Profile": "getAttachment", "digest": digest, "x": f"{n}{LONG}"}, compress=True
        )
        driven.session.receive(peer.connection.frames_to_send(10**6), driven.now)
        driven.work()
    assert growth() < 80 * len(LONG) // 2


@pytest.mark.sec("SEC-22")
def test_blobs_that_a_peer_asks_for_and_does_not_read_keep_their_places() -> None:
    """Guards the places in `BlobExchange._serve_on`: what is read and not sent is in memory."""
    data = b"x" * 60_000
    driven, peer, digest = _sending_a_blob(data)
    count = 3 * BLOBS_SERVED_AT_ONCE_MAX
    tokens = [peer.send("getAttachment", digest=digest, stream=True) for _ in range(count)]
    driven.session.receive(peer.connection.frames_to_send(10**6), driven.now)
    for _ in range(count):
        driven.work()
    assert driven.count(asks.OpenBlob) == BLOBS_SERVED_AT_ONCE_MAX
    held = BLOBS_SERVED_AT_ONCE_MAX * len(data)
    assert held < driven.session.held_bytes < held + 10_000, "with all others it counts"
    peer.run()
    assert [peer.blobs[token] for token in tokens] == [data] * count, "once it does, all come"
    assert driven.session.held_bytes == 0


@pytest.mark.sec("SEC-24")
def test_proofs_are_made_one_after_the_other() -> None:
    """Guards `BlobExchange.pump`: a proof takes a pass over a file, which others wait for."""
    driven, peer, digest = _sending_a_blob()
    driven.delayed = {asks.ProveBlob}
    tokens = [peer.send("proveAttachment", b"n" * 20, digest=digest) for _ in range(5)]
    peer.run()
    assert driven.count(asks.ProveBlob) == 1
    while driven.waiting:
        driven.release()
        peer.run()
    assert driven.count(asks.ProveBlob) == 5
    assert all(not peer.replies[token].error for token in tokens)


def _sending_a_blob(data: bytes = b"foo" * 50) -> tuple[Driven, ScriptedPeer, str]:
    """An active session whose `rev` with a blob is out and unanswered."""
    storage = MemoryStorage("a")
    storage.save("doc", {"photo": storage.attach(data)})
    driven = Driven(active(pull=False), storage)
    peer = opened(driven)
    peer.reply(peer.take("proposeChanges"), [], blobs="true")
    peer.run()
    peer.take("rev")
    return driven, peer, str(blob_of(data)["digest"])


@pytest.mark.sec("SEC-25")
def test_a_session_writes_as_many_checkpoints_as_it_may_have_collections() -> None:
    """Guards the count in `PassiveRequests._set_checkpoint`."""
    driven = Driven(passive(), MemoryStorage("b", marks=False))
    peer = ScriptedPeer(driven)
    revs = {}
    for n in range(CHECKPOINTS_PER_PEER_MAX):
        reply = peer.ask("setCheckpoint", {"n": n}, client=f"cp-{n}")
        revs[n] = reply.properties["rev"]
    for n in range(100):
        assert error_of(peer.ask("setCheckpoint", {}, client=f"more-{n}")) == ("HTTP", 403)
    again = peer.ask("setCheckpoint", {"n": 8}, client="cp-7", rev=revs[7])
    assert not again.error, "those that it has it may go on writing"
    assert len(driven.storage.peers) == CHECKPOINTS_PER_PEER_MAX


@pytest.mark.sec("SEC-21")
def test_large_bodies_to_apply_deltas_to_are_read_a_few_at_a_time() -> None:
    """Guards `Arrivals._bases_read`: what storage left out has its turn later."""
    storage = MemoryStorage("b", marks=False)
    names = [storage.save(f"d{n}", {"text": "x" * 1000}) for n in range(40)]
    read_bases = storage._ReadBases
    storage._ReadBases = lambda c, wanted: read_bases(c, wanted)[:3]  # type: ignore[method-assign]
    driven = Driven(passive(deltas=True), storage)
    peer = ScriptedPeer(driven)
    peer.ask("proposeChanges", [["d0", "2-aa", names[0]]])
    tokens = [
        peer.send("rev", {"n": 1}, id=f"d{n}", rev="2-aa", history=tid, deltaSrc=tid)
        for n, tid in enumerate(names)
    ]
    peer.run()
    assert all(not peer.replies[token].error for token in tokens)
    assert driven.session.inbound_bytes == 0
    assert driven.count(asks.ReadBases) == 14


# --- in the log -----------------------------------------------------------------------------------


@pytest.mark.sec("SEC-38")
@pytest.mark.parametrize("sent", [LOGGED_PER_SESSION_MAX, LOGGED_PER_SESSION_MAX + 1, 1000])
def test_bad_messages_without_end_fill_no_log(sent: int, caplog: pytest.LogCaptureFixture) -> None:
    """Guards the count in `Session._requested`."""
    driven, peer = listener()
    with caplog.at_level(logging.WARNING, logger="settee.sync"):
        for _ in range(sent):
            peer.send("changes\n", b"{", flags=NO_REPLY)
    assert len(caplog.records) == LOGGED_PER_SESSION_MAX
    assert all("\n" not in record.getMessage() for record in caplog.records)
    assert driven.session.ignored_count == sent


@pytest.mark.sec("SEC-38")
def test_refused_documents_without_end_fill_no_log_and_are_told_at_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Guards the count in `PassivePeer._happened`."""
    with world(tmp_path, 1) as w:
        b = w.peer("b")
        mine, theirs = link_pair(w.loop, "x", user_agent="x", server="y")
        mine.attach(_Raw())
        theirs.attach(b.passive.accept(theirs))
        peer = Hostile(None)  # type: ignore[arg-type]
        with caplog.at_level(logging.WARNING, logger="settee.peer"):
            mine.send([peer.frame("rev", b"[", id=f"d{n}", rev="1-aa") for n in range(300)])
            w.elapse(1)
            mine.cut()
            w.elapse(1)
        told = [record.getMessage() for record in caplog.records]
        assert sum("was refused" in line for line in told) == LOGGED_PER_SESSION_MAX
        assert [line for line in told if line.startswith("300 documents of a peer were refused")]


# --- all together ---------------------------------------------------------------------------------


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_module, "Crowd", lambda: Crowd(1_000_000))


class _Raw:
    """The user of a link that only remembers its end."""

    def __init__(self) -> None:
        self.infos: list[CloseInfo] = []

    def on_frames(self, frames: list[bytes]) -> None:
        pass

    def on_writable(self) -> None:
        pass

    def on_closed(self, info: CloseInfo) -> None:
        self.infos.append(info)


def _holding(w: World, peer: Any, name: str, bytes_: int) -> _Raw:
    """Connect, and leave a message of so many bytes unfinished."""
    mine, theirs = link_pair(w.loop, name, user_agent="x", server="y")
    raw = _Raw()
    mine.attach(raw)
    theirs.attach(peer.passive.accept(theirs))
    script = Script()
    pieces = [b"x" * 50_000] * (bytes_ // 50_000)
    first = encode_message({"Profile": "rev"}, b"")
    mine.send([script.frame(1, MSG | MORE_COMING, piece) for piece in (first, *pieces)])
    w.elapse(0.5)
    return raw


@pytest.mark.sec("SEC-14", "SEC-13")
@pytest.mark.usefixtures("crowded")
def test_when_all_together_hold_too_much_the_one_that_holds_most_goes(tmp_path: Path) -> None:
    """Guards `SessionDriver._after`, which asks `Crowd`."""
    with world(tmp_path, 1) as w:
        b = w.peer("b")
        small = _holding(w, b, "small", 200_000)
        large = _holding(w, b, "large", 700_000)
        assert (small.infos, large.infos) == ([], [])
        another = _holding(w, b, "another", 150_000)
        w.elapse(1)
        assert [info.code for info in large.infos] == [4001], "it may come back"
        assert (small.infos, another.infos) == ([], [])
        assert b.runtime.crowd.total_bytes < 400_000
        a = w.peer("a")
        a.db.default_collection["x"] = {"n": 1}
        w.sync(a.dial(b))
        assert b.contents() == a.contents(), "others never noticed"
