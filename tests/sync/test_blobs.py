from __future__ import annotations

import pytest

from settee.doc.blob import Prover
from settee.doc.records import RevisionIn
from settee.errors import PeerProtocolError, StoreError
from settee.limits import (
    BLOB_BYTES_MAX,
    BLOBS_FETCHED_AT_ONCE_MAX,
    BLOBS_SERVED_AT_ONCE_MAX,
    INBOUND_BYTES_MAX,
    LARGE_BLOBS_FETCHED_AT_ONCE_MAX,
    NONCE_BYTES_MIN,
)
from settee.sync import blobs as blobs_module
from settee.sync import effects as asks
from settee.sync import session as session_module
from settee.sync.events import Activity
from settee.sync.options import CollectionOptions
from tests.sync.peers import (
    DEFAULT,
    Driven,
    MemoryStorage,
    ScriptedPeer,
    Two,
    active,
    blob_of,
    digest_of,
    error_of,
    opened,
    passive,
    sync,
)

SIZES = [0, 1, 65_536, 300_000]


def taking() -> tuple[Driven, ScriptedPeer]:
    """A passive session to which revisions are pushed."""
    driven = Driven(passive(), MemoryStorage("b", marks=False))
    return driven, ScriptedPeer(driven)


def pulling() -> tuple[Driven, ScriptedPeer]:
    """An active session that awaits a revision of ``doc`` at sequence 1."""
    driven = Driven(active(push=False), MemoryStorage("a"))
    peer = opened(driven)
    peer.reply(peer.take("subChanges"))
    peer.send("changes", [[1, "doc", "1-aa"]])
    peer.send("changes", [], no_reply=True)
    peer.run()
    return driven, peer


def sending(*datas: bytes) -> tuple[Driven, ScriptedPeer]:
    """An active session whose `rev` with these blobs is out."""
    storage = MemoryStorage("a")
    storage.save("doc", {str(n): storage.attach(data) for n, data in enumerate(datas)})
    driven = Driven(active(pull=False), storage)
    peer = opened(driven)
    peer.reply(peer.take("proposeChanges"), [], blobs="true")
    peer.run()
    return driven, peer


def push_doc(peer: ScriptedPeer, *blobs: dict[str, object], doc_id: str = "doc") -> int:
    body = {str(n): blob for n, blob in enumerate(blobs)}
    token = peer.send("rev", body, id=doc_id, rev="1-aa", sequence="1")
    peer.run()
    return token


# --- both ways, for real -------------------------------------------------------------------------


@pytest.mark.regression("blob that is missing, another, or empty")
@pytest.mark.parametrize("push", [True, False])
def test_blobs_of_all_sizes_arrive_in_pieces(push: bool) -> None:
    left, right = MemoryStorage("a"), MemoryStorage("b", marks=False)
    source, target = (left, right) if push else (right, left)
    for size in SIZES:
        data = bytes(i * 7 % 251 for i in range(size))
        image = source.attach(data)
        source.save(f"doc{size}", {"list": [image], "text": image | {"content_type": "text/plain"}})
    two = sync(left, right)
    assert two.a.error is None
    assert target.contents() == source.contents()
    assert target.blobs == source.blobs
    assert target.staged == target.writing == {}
    writes = [e for d in (two.a, two.b) for e in d.asked if isinstance(e, asks.WriteBlob)]
    assert max(len(e.data) for e in writes) < 100_000, "never whole in memory"
    assert all(d.session.inbound_bytes == 0 for d in (two.a, two.b))
    assert two.a.session.blobs.is_idle
    assert two.b.session.blobs.is_idle


def test_a_blob_that_is_there_is_not_fetched_again() -> None:
    left, right = MemoryStorage("a"), MemoryStorage("b", marks=False)
    image = left.attach(b"x" * 5000)
    left.save("one", {"image": image})
    assert sync(left, right).b.count(asks.WriteBlob) > 0
    left.save("two", {"image": image})
    two = sync(left, right)
    assert two.b.count(asks.WriteBlob) == 0
    assert right.contents() == left.contents()


def test_documents_that_share_a_blob_fetch_it_once() -> None:
    driven, peer = taking()
    image = blob_of(b"shared")
    tokens = [push_doc(peer, image, doc_id=f"d{n}") for n in range(3)]
    [request] = peer.take_all("getAttachment")
    assert request.properties == {
        "Profile": "getAttachment",
        "digest": image["digest"],
        "docID": "d0",
    }
    assert not peer.replies
    peer.stream(request, [b"sha", b"red"])
    peer.run()
    assert all(not peer.replies[token].error for token in tokens)
    assert driven.storage.blobs == {image["digest"]: b"shared"}


def test_only_so_many_are_fetched_at_once_and_the_rest_in_turn() -> None:
    driven, peer = taking()
    datas = [bytes([n]) * 10 for n in range(BLOBS_FETCHED_AT_ONCE_MAX + 3)]
    token = push_doc(peer, *map(blob_of, datas))
    by_digest = {digest_of(data): data for data in datas}
    fetched = 0
    while requests := peer.take_all("getAttachment"):
        assert len(requests) <= BLOBS_FETCHED_AT_ONCE_MAX
        assert token not in peer.replies, "not before all are here"
        for request in requests:
            peer.stream(request, [by_digest[request.properties["digest"]]])
        peer.run()
        fetched += len(requests)
    assert fetched == len(datas)
    assert not peer.replies[token].error
    assert driven.storage.blobs == by_digest


@pytest.mark.parametrize(
    ("lengths", "asked"),
    [
        ([5_000_000] * 20, LARGE_BLOBS_FETCHED_AT_ONCE_MAX),
        ([None] * 20, LARGE_BLOBS_FETCHED_AT_ONCE_MAX),
        ([300_000] * 40, 27),  # 8 MiB, nearly.
        ([9_000_000] + [1000] * 20, LARGE_BLOBS_FETCHED_AT_ONCE_MAX),
        ([1000] * 20 + [9_000_000] + [1000] * 20, 20),
    ],
)
def test_of_large_blobs_fewer_are_fetched_at_once(lengths: list[int | None], asked: int) -> None:
    """What came of them would be lost with the connection."""
    driven, peer = taking()
    blobs = [blob_of(b"%d" % n) | {"length": length} for n, length in enumerate(lengths)]
    push_doc(peer, *blobs)
    requests = peer.take_all("getAttachment")
    assert len(requests) == asked
    for request in requests:
        peer.refuse(request, 404)
    peer.run()
    while more := peer.take_all("getAttachment"):
        for request in more:
            peer.refuse(request, 404)
        peer.run()
    assert driven.count(asks.WriteBlob) == 0
    assert driven.session.blobs.is_idle


def test_what_compresses_is_asked_for_compressed() -> None:
    _, peer = taking()
    push_doc(
        peer,
        blob_of(b"1", content_type="text/plain"),
        blob_of(b"2", content_type="image/png"),
        blob_of(b"3"),
        blob_of(b"4", content_type="text/plain", encoding="gzip"),
    )
    asked = {
        r.properties["digest"]: r.properties.get("compress") for r in peer.take_all("getAttachment")
    }
    assert [asked[digest_of(d)] for d in (b"1", b"2", b"3", b"4")] == ["true", None, None, None]


# --- fetching what is not as it should be --------------------------------------------------------


@pytest.mark.regression("blob that is missing, another, or empty")
@pytest.mark.sec("SEC-23")
@pytest.mark.parametrize(
    ("claimed", "sent"),
    [
        (blob_of(b"hello"), [b"olleh"]),
        (blob_of(b"hello"), [b"hell"]),
        (blob_of(b"hello"), [b""]),
        (blob_of(b"hello") | {"length": 4}, [b"hello"]),
        (blob_of(b"hello") | {"length": 6}, [b"hello"]),
        (blob_of(b"hello"), [b"hello", b"hello", b"hello"]),
        (blob_of(b"hello"), [b"hello" * 100_000]),
        (blob_of(b""), [b"x"]),
    ],
)
def test_a_blob_that_is_another_fails_its_revision_and_leaves_nothing(
    claimed: dict[str, object], sent: list[bytes]
) -> None:
    driven, peer = taking()
    token = push_doc(peer, claimed)
    peer.stream(peer.take("getAttachment"), sent)
    peer.run()
    assert error_of(peer.replies[token]) == ("HTTP", 400), "422 would mean a delta"
    assert driven.storage.contents() == {}
    assert driven.storage.staged == driven.storage.writing == {}
    assert driven.session.activity is Activity.IDLE
    assert driven.session.inbound_bytes == 0
    assert len(driven.failures) == 1
    # The connection is as good as before, and the blob may be fetched again.
    token = push_doc(peer, blob_of(b"hello"))
    peer.stream(peer.take("getAttachment"), [b"hello"])
    peer.run()
    assert not peer.replies[token].error


@pytest.mark.parametrize("digest", ["sha1-../../x", "sha1-", "sha1-" + "A" * 27, "md5-AAAA", ""])
def test_a_digest_that_is_none_is_no_blob(digest: str) -> None:
    _, peer = taking()
    token = push_doc(peer, {"@type": "blob", "digest": digest, "length": 1})
    assert not peer.take_all("getAttachment")
    assert not peer.replies[token].error


@pytest.mark.parametrize("length", [None, -1, "5", 5.5])
def test_without_a_usable_length_the_digest_decides(length: object) -> None:
    _, peer = taking()
    token = push_doc(peer, blob_of(b"hello") | {"length": length})
    peer.stream(peer.take("getAttachment"), [b"hello"])
    peer.run()
    assert not peer.replies[token].error


@pytest.mark.regression("blob that is missing, another, or empty")
@pytest.mark.parametrize(
    ("code", "status"), [(404, 404), (403, 400), (500, 400), (503, 503), (429, 503)]
)
def test_a_blob_that_the_peer_has_not_fails_the_revision(code: int, status: int) -> None:
    driven, peer = pulling()
    token = push_doc(peer, blob_of(b"hello"))
    peer.refuse(peer.take("getAttachment"), code)
    peer.run()
    assert error_of(peer.replies[token]) == ("HTTP", status)
    assert driven.finished is None or driven.error is None
    # For good it is done with; for now it is not.
    checkpoints = peer.take_all("setCheckpoint")
    assert len(checkpoints) == (status != 503)


def test_a_disk_that_fails_meanwhile_loses_no_document() -> None:
    driven, peer = pulling()
    token = push_doc(peer, blob_of(b"hello"))
    error = StoreError("full")
    driven.storage.fail = lambda effect: error if isinstance(effect, asks.WriteBlob) else None
    peer.stream(peer.take("getAttachment"), [b"he", b"llo"])
    peer.run()
    assert error_of(peer.replies[token]) == ("HTTP", 503)
    assert peer.replies[token].body == b"the database here can't store it now"
    assert not peer.take_all("setCheckpoint"), "the checkpoint does not pass it"


def test_one_missing_blob_fails_the_revision_once_all_are_accounted_for() -> None:
    driven, peer = taking()
    token = push_doc(peer, blob_of(b"one"), blob_of(b"two"))
    first, second = peer.take_all("getAttachment")
    peer.refuse(first, 404)
    peer.run()
    assert token not in peer.replies
    peer.stream(second, [b"one" if second.properties["digest"] == digest_of(b"one") else b"two"])
    peer.run()
    assert error_of(peer.replies[token]) == ("HTTP", 404)
    assert driven.session.activity is Activity.IDLE


@pytest.mark.sec("SEC-23")
def test_a_blob_without_end_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs_module, "BLOB_BYTES_MAX", 100_000)
    assert BLOB_BYTES_MAX == 2**30
    driven, peer = taking()
    push_doc(peer, blob_of(b"hello"))
    peer.stream(peer.take("getAttachment"), [b"x" * 60_000, b"x" * 60_000])
    peer.run()
    assert isinstance(driven.error, PeerProtocolError)


def test_a_flood_of_blob_data_stops_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "INBOUND_BYTES_MAX", 20_000)
    assert INBOUND_BYTES_MAX > 2**20
    driven, peer = taking()
    data = b"x" * 60_000
    push_doc(peer, blob_of(data))
    driven.delayed.add(asks.WriteBlob)
    peer.stream(peer.take("getAttachment"), [data])
    peer.run()
    assert driven.session.wants_reading_paused
    while driven.waiting:
        driven.release()
        peer.run()
    assert not driven.session.wants_reading_paused
    assert driven.storage.blobs == {digest_of(data): data}


def test_what_waits_for_blobs_does_not_stop_the_reading_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_module, "INBOUND_BYTES_MAX", 32_000)
    driven, peer = taking()
    for n in range(9):
        body = {"text": "x" * 4_000, "image": blob_of(b"hello")}
        peer.send("rev", body, id=f"d{n}", rev="1-aa", sequence="1")
    peer.run()
    assert driven.session.inbound_bytes > 32_000
    assert not driven.session.wants_reading_paused, "else the blob would never come"
    peer.stream(peer.take("getAttachment"), [b"hello"])
    peer.run()
    assert len(driven.storage.contents()) == 9


def test_more_than_twice_as_much_is_refused_for_now(monkeypatch: pytest.MonkeyPatch) -> None:
    assert session_module._INBOUND_BYTES_REFUSED == 2 * INBOUND_BYTES_MAX
    monkeypatch.setattr(session_module, "_INBOUND_BYTES_REFUSED", 64_000)
    driven, peer = taking()
    for n in range(20):
        body = {"text": "x" * 4_000, "image": blob_of(b"hello")}
        peer.send("rev", body, id=f"d{n}", rev="1-aa", sequence="1")
        peer.run()
    assert driven.session.inbound_bytes <= 64_000 + 5_000
    assert [error_of(reply) for reply in peer.replies.values()] == [("HTTP", 503)] * 6
    peer.stream(peer.take("getAttachment"), [b"hello"])
    peer.run()
    assert len(driven.storage.contents()) == 14
    assert driven.session.inbound_bytes == 0


def test_a_blob_is_looked_up_anew_after_its_revision_was_refused() -> None:
    driven, peer = taking()
    driven.storage.save("doc", {"n": 1})
    image = blob_of(b"hello")
    token = push_doc(peer, image)
    peer.stream(peer.take("getAttachment"), [b"hello"])
    peer.run()
    assert error_of(peer.replies[token]) == ("HTTP", 409)
    driven.storage.blobs.clear()  # Nothing referred to it: it was collected.
    token = push_doc(peer, image, doc_id="other")
    peer.stream(peer.take("getAttachment"), [b"hello"])
    peer.run()
    assert not peer.replies[token].error


# --- keeping what a revision on its way names ----------------------------------------------------


def kept(driven: Driven) -> set[str]:
    assert driven.storage.staged.keys() <= driven.storage.kept
    return driven.storage.kept


@pytest.mark.parametrize("known", [True, False])
def test_a_blob_is_kept_from_its_look_up_until_its_revision_is_saved(known: bool) -> None:
    driven, peer = taking()
    if known:
        driven.storage.attach(b"hello")
    driven.delayed.add(asks.SaveRevisions)
    token = push_doc(peer, blob_of(b"hello"))
    if not known:
        peer.stream(peer.take("getAttachment"), [b"hello"])
        peer.run()
    assert kept(driven) == {digest_of(b"hello")}
    driven.release()
    peer.run()
    assert not peer.replies[token].error
    assert kept(driven) == set()
    assert driven.count(asks.ReleaseBlobs) == 1


def test_a_revision_given_up_for_a_missing_blob_lets_go_of_all_that_it_names() -> None:
    """Seed 659 of the simulation: the blob was kept, with nothing to name it, for days."""
    driven, peer = taking()
    one, two = blob_of(b"one"), blob_of(b"two")
    token = push_doc(peer, one, two)
    requests = {r.properties["digest"]: r for r in peer.take_all("getAttachment")}
    peer.stream(requests[digest_of(b"one")], [b"one"])
    peer.run()
    assert driven.storage.staged == {digest_of(b"one"): b"one"}
    peer.refuse(requests[digest_of(b"two")], 404)
    peer.run()
    assert error_of(peer.replies[token]) == ("HTTP", 404)
    assert driven.storage.staged == {}
    assert kept(driven) == set()
    token = push_doc(peer, one)  # Whole enough this time, and fetched once more.
    peer.stream(peer.take("getAttachment"), [b"one"])
    peer.run()
    assert not peer.replies[token].error


@pytest.mark.parametrize("first_is_saved", [True, False])
def test_what_two_revisions_name_is_kept_until_the_last_of_them_is_done(
    first_is_saved: bool,
) -> None:
    driven, peer = taking()
    if not first_is_saved:
        driven.storage.save("first", {"mine": 1})
    shared, late = blob_of(b"shared"), blob_of(b"late")
    first = push_doc(peer, shared, doc_id="first")
    second = push_doc(peer, shared, late, doc_id="second")
    requests = {r.properties["digest"]: r for r in peer.take_all("getAttachment")}
    assert len(requests) == 2
    peer.stream(requests[digest_of(b"shared")], [b"shared"])
    peer.run()
    assert peer.replies[first].error is not first_is_saved
    assert kept(driven) == {digest_of(b"shared"), digest_of(b"late")}
    peer.stream(requests[digest_of(b"late")], [b"late"])
    peer.run()
    assert not peer.replies[second].error
    assert kept(driven) == set()


def test_a_blob_named_anew_in_the_moment_of_its_release_is_not_released() -> None:
    driven, peer = taking()
    shared, lost = blob_of(b"shared"), blob_of(b"lost")
    first = push_doc(peer, shared, lost, doc_id="first")
    requests = {r.properties["digest"]: r for r in peer.take_all("getAttachment")}
    peer.stream(requests[digest_of(b"shared")], [b"shared"])
    peer.run()
    peer.refuse(requests[digest_of(b"lost")], 404)
    second = push_doc(peer, shared, doc_id="second")  # Both come at once.
    assert error_of(peer.replies[first]) == ("HTTP", 404)
    assert not peer.replies[second].error
    assert not peer.take_all("getAttachment"), "it is here still"
    assert kept(driven) == set()
    assert driven.count(asks.ReleaseBlobs) == 2


@pytest.mark.parametrize("decided", [True, False])
def test_a_conflict_keeps_its_blobs_until_the_application_has_decided(decided: bool) -> None:
    options = (CollectionOptions(resolver=True),)
    driven = Driven(active(push=False, options=options), MemoryStorage("a"))
    driven.storage.save("doc", {"mine": 1})
    peer = opened(driven)
    peer.reply(peer.take("subChanges"))
    peer.send("changes", [[1, "doc", "1-aa"]])
    peer.run()
    token = push_doc(peer, blob_of(b"hello"))
    driven.delayed.add(asks.ResolveConflicts)
    peer.stream(peer.take("getAttachment"), [b"hello"])
    peer.run()
    assert token not in peer.replies
    assert kept(driven) == {digest_of(b"hello")}
    if not decided:
        [(ticket, _)] = driven.waiting
        driven.waiting = [(ticket, [StoreError("the resolver failed")])]
    driven.release()
    peer.run()
    assert peer.replies[token].error is not decided
    assert kept(driven) == set()


@pytest.mark.parametrize("accepted", [True, False])
def test_a_blob_is_kept_while_the_filter_is_asked_again(accepted: bool) -> None:
    storage = MemoryStorage("b", marks=False)
    asked: list[set[str]] = []

    def may(_: RevisionIn) -> bool | str:
        asked.append(set(storage.kept))
        if len(asked) == 1:
            storage.save("doc", {"theirs": True})  # In the very moment of being asked.
            return ""
        return accepted and storage.docs[0]["doc"].state.tid

    storage.may_pull = may
    options = (CollectionOptions(pull_filter=True),)
    driven = Driven(passive(options=options, resolves=True), storage)
    peer = ScriptedPeer(driven)
    token = push_doc(peer, blob_of(b"hello"))
    peer.stream(peer.take("getAttachment"), [b"hello"])
    peer.run()
    assert asked == [set(), {digest_of(b"hello")}]
    assert peer.replies[token].error is not accepted
    assert not peer.take_all("getAttachment")
    assert kept(driven) == set()


# --- serving -------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", ["true", ""])
def test_a_blob_of_a_revision_under_way_is_served(compress: str) -> None:
    data = bytes(range(256)) * 1000
    driven, peer = sending(data)
    token = peer.send("getAttachment", digest=digest_of(data), compress=compress, stream=True)
    peer.run()
    assert peer.blobs[token] == data
    peer.reply(peer.take("rev"))
    peer.run()
    assert driven.session.progress.bytes_pushed > len(data)
    assert peer.take_all("setCheckpoint")


def test_a_blob_is_read_only_as_fast_as_the_peer_takes_it() -> None:
    data = b"x" * 5_000_000
    driven, peer = sending(data)
    peer.connection.send_request(
        "t", {"Profile": "getAttachment", "digest": digest_of(data)}, stream_reply=True
    )
    session = driven.session
    session.receive(peer.connection.frames_to_send(10**9), 0.0)
    out = 0
    for _ in range(1000):
        driven.work()
        frames = session.frames_to_send(65536)
        out += sum(map(len, frames))
        if not frames and not driven.work():
            break
    assert out < 300_000, "no acknowledgement came"
    assert sum(e.size for e in driven.asked if isinstance(e, asks.ReadBlob)) < 500_000


@pytest.mark.sec("SEC-22")
def test_a_blob_of_no_revision_under_way_is_refused_whether_it_is_there_or_not() -> None:
    driven, peer = sending(b"mine")
    secret = driven.storage.attach(b"secret")["digest"]
    replies = [
        peer.ask(profile, b"n" * 20, digest=digest)
        for profile in ("getAttachment", "proveAttachment")
        for digest in (secret, digest_of(b"nowhere"))
    ]
    assert {error_of(reply) for reply in replies} == {("HTTP", 404)}
    assert len({len(reply.body) for reply in replies}) == 1
    assert driven.count(asks.OpenBlob) == driven.count(asks.ProveBlob) == 0
    # And one whose revision was answered, too.
    peer.reply(peer.take("rev"))
    peer.run()
    assert error_of(peer.ask("getAttachment", digest=digest_of(b"mine"))) == ("HTTP", 404)


@pytest.mark.sec("SEC-23")
@pytest.mark.parametrize("digest", ["", "x", "sha1-../../etc/passwd", "sha1-" + "A" * 28])
@pytest.mark.parametrize("profile", ["getAttachment", "proveAttachment"])
def test_a_malformed_digest_is_refused(profile: str, digest: str) -> None:
    driven, peer = sending(b"mine")
    assert error_of(peer.ask(profile, b"n" * 20, digest=digest)) == ("HTTP", 400)
    assert driven.finished is None


@pytest.mark.sec("SEC-22")
def test_a_blob_named_by_two_revisions_is_allowed_until_both_are_answered() -> None:
    storage = MemoryStorage("a")
    image = storage.attach(b"shared")
    storage.save("one", {"image": image})
    storage.save("two", {"image": image})
    driven = Driven(active(pull=False), storage)
    peer = opened(driven)
    peer.reply(peer.take("proposeChanges"), [])
    peer.run()
    first, second = peer.take_all("rev")
    peer.reply(first)
    peer.run()
    token = peer.send("getAttachment", digest=str(image["digest"]), stream=True)
    peer.run()
    assert peer.blobs[token] == b"shared"
    peer.reply(second)
    peer.run()
    assert error_of(peer.ask("getAttachment", digest=image["digest"])) == ("HTTP", 404)


def test_many_requests_at_once_take_turns() -> None:
    data = b"x" * 100
    driven, peer = sending(data)
    driven.delayed.add(asks.OpenBlob)
    count = BLOBS_SERVED_AT_ONCE_MAX + 10
    tokens = [peer.send("getAttachment", digest=digest_of(data), stream=True) for _ in range(count)]
    peer.run()
    assert driven.count(asks.OpenBlob) == BLOBS_SERVED_AT_ONCE_MAX
    while driven.waiting:
        driven.release()
        peer.run()
    assert [peer.blobs[token] for token in tokens] == [data] * count


def test_a_blob_that_is_missing_here_is_told() -> None:
    driven, peer = sending(b"hello")
    driven.storage.blobs.clear()
    for profile in ("getAttachment", "proveAttachment"):
        reply = peer.ask(profile, b"n" * 20, digest=digest_of(b"hello"))
        assert error_of(reply) == ("HTTP", 404)
    assert driven.finished is None


def test_a_blob_that_vanishes_before_its_first_byte_is_told() -> None:
    driven, peer = sending(b"hello")
    driven.storage.fail = lambda effect: (
        StoreError("gone") if isinstance(effect, asks.OpenBlob) else None
    )
    token = peer.send("getAttachment", digest=digest_of(b"hello"), stream=True)
    peer.run()
    assert error_of(peer.replies[token]) == ("HTTP", 503)
    assert driven.finished is None
    driven.storage.fail = lambda _: None
    peer.refuse(peer.take("rev"), 503)
    peer.run()
    assert driven.session.blobs.is_idle


@pytest.mark.parametrize("how", ["fails", "ends early"])
def test_a_blob_that_breaks_off_ends_the_connection_but_not_for_ever(how: str) -> None:
    data = b"x" * 300_000
    driven, peer = sending(data)
    reads = [0]

    def fail(effect: asks.Effect) -> StoreError | None:
        if isinstance(effect, asks.ReadBlob):
            reads[0] += 1
            if reads[0] == 3:
                if how == "fails":
                    return StoreError("damaged")
                driven.storage.blobs[effect.digest] = data[: effect.offset]
        return None

    driven.storage.fail = fail
    token = peer.send("getAttachment", digest=digest_of(data), stream=True)
    peer.run()
    assert isinstance(driven.error, StoreError)
    assert driven.finished is not None
    assert driven.finished.close_code == 4001
    assert len(peer.blobs[token]) < len(data)
    assert token not in peer.replies


def test_a_question_without_a_wish_for_an_answer_is_ignored() -> None:
    driven, peer = sending(b"hello")
    for profile in ("getAttachment", "proveAttachment"):
        peer.send(profile, b"n" * 20, no_reply=True, digest=digest_of(b"hello"))
    peer.run()
    assert driven.count(asks.OpenBlob) == driven.count(asks.ProveBlob) == 0
    assert driven.finished is None


def test_possession_is_proven() -> None:
    _, peer = sending(b"hello")
    reply = peer.ask("proveAttachment", bytes(range(20)), digest=digest_of(b"hello"))
    assert reply.body == b"sha1-amTs4+FpzXf3dGz9c2EYJ2WckF4="


@pytest.mark.sec("SEC-24")
@pytest.mark.parametrize("nonce", [b"", b"x", b"x" * (NONCE_BYTES_MIN - 1), b"x" * 256])
def test_a_nonce_of_another_size_proves_nothing(nonce: bytes) -> None:
    driven, peer = sending(b"hello")
    reply = peer.ask("proveAttachment", nonce, digest=digest_of(b"hello"))
    assert error_of(reply) == ("BLIP", 400)
    assert driven.count(asks.ProveBlob) == 0


@pytest.mark.sec("SEC-24")
@pytest.mark.parametrize("size", [NONCE_BYTES_MIN, 255])
def test_a_nonce_of_16_to_255_bytes_is_answered(size: int) -> None:
    _, peer = sending(b"hello")
    nonce = b"n" * size
    reply = peer.ask("proveAttachment", nonce, digest=digest_of(b"hello"))
    assert reply.body == Prover(nonce).update(b"hello").finish().encode()


def test_a_blob_of_a_document_that_is_replaced_while_served_arrives_whole() -> None:
    left, right = MemoryStorage("a"), MemoryStorage("b", marks=False)
    data = b"y" * 200_000
    left.save("doc", {"image": left.attach(data)})
    a = Driven(active(DEFAULT, continuous=True), left)
    b = Driven(passive(), right)
    two = Two(a, b)
    a.start()
    two.run(lambda: bool(right.writing))
    a.save("doc", {"image": left.attach(b"z" * 200_000)})
    two.run()
    assert right.contents() == left.contents()
    assert right.blobs == left.blobs
