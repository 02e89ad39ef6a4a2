from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from settee.blip.frame import read_header
from settee.doc.records import ConflictPolicy
from settee.doc.revision import name, version_text_of
from settee.doc.version import Version
from settee.errors import PeerProtocolError, StoreError, SyncError
from settee.limits import (
    CHANGES_ROWS_RECEIVED_MAX,
    DOCUMENT_BODY_BYTES_MAX,
    HISTORY_NAMES_MAX,
    INBOUND_BYTES_MAX,
    REQUESTS_UNANSWERED_READING_MAX,
    REVS_WANTED_MAX,
    SAVE_BATCH_REVISIONS_MAX,
    SAVES_IN_FLIGHT_MAX,
)
from settee.sync import effects as asks
from settee.sync import session as session_module
from settee.sync.dialect import VECTORS
from settee.sync.events import Activity
from settee.sync.options import CollectionOptions
from tests.sync.peers import (
    TIME_BEGIN,
    Driven,
    MemoryStorage,
    ScriptedPeer,
    Two,
    active,
    disk_fails_at,
    error_of,
    opened,
    passive,
    saved_checkpoint,
    sync,
)

STRANGER = "z" * 21 + "A"


def stranger(n: int, height: int = 1) -> str:
    return name(height, Version(TIME_BEGIN + (n << 16), STRANGER))


def pulling(storage: MemoryStorage | None = None, **more: Any) -> tuple[Driven, ScriptedPeer]:
    """An active session that has subscribed."""
    more.setdefault("push", False)
    driven = Driven(active(**more), storage or MemoryStorage("a"))
    peer = opened(driven)
    peer.reply(peer.take("subChanges"))
    peer.run()
    return driven, peer


def served(storage: MemoryStorage | None = None, **more: Any) -> tuple[Driven, ScriptedPeer]:
    """A passive session, spoken to in legacy mode."""
    driven = Driven(passive(**more), storage or MemoryStorage("b", marks=False))
    return driven, ScriptedPeer(driven)


def rev(peer: ScriptedPeer, doc_id: str, tid: str, sequence: object, **more: Any) -> int:
    body = more.pop("body", {})
    return peer.send("rev", body, id=doc_id, rev=tid, sequence=str(sequence), **more)


def answers(reply: Any) -> list[object]:
    assert not reply.error, reply
    value: list[object] = orjson.loads(reply.body)
    return value


# --- active: what is announced -------------------------------------------------------------------


def test_a_subscription_says_what_it_wants() -> None:
    storage = MemoryStorage("a")
    storage.own["cp-_default"] = b'{"remote":"12:3"}'
    driven = Driven(active(push=False, continuous=True), storage)
    peer = opened(driven, "1-cc", b'{"remote":"12:3"}')
    assert peer.take("subChanges").properties == {
        "Profile": "subChanges",
        "since": '"12:3"',
        "continuous": "true",
        "batch": "200",
        "versioning": "rev-trees",
        "sendReplacementRevs": "1",
        "revocations": "true",
    }


def test_rows_are_wanted_known_or_lost_access() -> None:
    storage = MemoryStorage("a")
    known = storage.save("known", {"n": 1})
    older = storage.save("newer", {"n": 1})
    storage.save("newer", {"n": 2})
    driven, peer = pulling(storage)
    reply = peer.ask(
        "changes",
        [
            [1, "unknown", stranger(1)],
            [2, "known", known],
            [3, "newer", older],
            [4, "known", stranger(4, 2)],
            [5, "gone", stranger(5), 2],
            [6, "deleted", stranger(6), 5],
            [7, "newer", stranger(7, 1)],
        ],
    )
    assert reply.properties == {"maxHistory": str(HISTORY_NAMES_MAX), "blobs": "true"}
    assert answers(reply) == [[], 0, 0, [known], 0, [], []]
    # What the peer is known to have is noted.
    assert storage.marks == {(0, "known"): known, (0, "newer"): older}
    assert driven.session.progress.pending == 4


def test_a_reply_without_wishes_is_an_empty_array() -> None:
    storage = MemoryStorage("a")
    known = storage.save("known", {})
    _, peer = pulling(storage)
    assert peer.ask("changes", [[1, "known", known], [2, "known", known]]).body == b"[]"


def test_a_row_without_a_revision_id_ends_the_session() -> None:
    driven, peer = pulling()
    peer.send("changes", [[1, "doc", "garbage"]])
    peer.run()
    assert isinstance(driven.error, PeerProtocolError)


@pytest.mark.parametrize("count", [CHANGES_ROWS_RECEIVED_MAX, CHANGES_ROWS_RECEIVED_MAX + 1])
def test_too_many_rows_are_refused(count: int) -> None:
    driven, peer = pulling()
    reply = peer.ask("changes", [[n, f"d{n}", "1-aa"] for n in range(count)])
    assert reply.error is (count > CHANGES_ROWS_RECEIVED_MAX)
    assert driven.finished is None


@pytest.mark.parametrize("body", [b"{", b"{}", b"[7]", b'[["a"]]', b'[[1,"_a","1-aa"]]'])
def test_malformed_rows_are_refused_and_the_session_goes_on(body: bytes) -> None:
    driven, peer = pulling()
    assert error_of(peer.ask("changes", body)) == ("BLIP", 400)
    assert driven.finished is None


@pytest.mark.parametrize("body", [b"[]", b"null", b""])
@pytest.mark.parametrize("no_reply", [True, False])
def test_the_word_that_all_was_sent_ends_one_shot(body: bytes, no_reply: bool) -> None:
    driven, peer = pulling()
    token = peer.send("changes", body, no_reply=no_reply)
    peer.run()
    assert (token in peer.replies) is not no_reply
    assert not peer.requests, "there is nothing to save"
    assert driven.finished is not None
    assert driven.error is None


def test_one_shot_ends_when_all_that_was_wanted_is_stored() -> None:
    driven, peer = pulling()
    peer.send("changes", [[1, "a", "1-aa"], [2, "b", "1-bb"]])
    peer.send("changes", [], no_reply=True)
    peer.run()
    assert not peer.requests
    first = rev(peer, "a", "1-aa", 1, body={"n": 1})
    peer.run()
    assert not peer.requests
    peer.send("norev", id="b", rev="1-bb", sequence="2", error="404", no_reply=True)
    peer.run()
    assert not peer.replies[first].error
    assert saved_checkpoint(peer)["remote"] == 2
    assert driven.finished is not None
    assert driven.storage.contents() == {"a": b'{"n":1}'}
    assert driven.failures == []


def test_a_norev_that_wants_a_reply_gets_one() -> None:
    _, peer = pulling()
    assert peer.ask("norev", id="b", rev="1-bb", sequence="2").body == b""


def test_the_checkpoint_passes_nothing_that_is_not_stored() -> None:
    driven, peer = pulling(continuous=True)
    peer.send("changes", [[n, f"d{n}", "1-aa"] for n in range(1, 6)])
    peer.run()
    for n in (2, 1, 5):
        rev(peer, f"d{n}", "1-aa", n)
    peer.run()
    driven.elapse(10)
    peer.run()
    assert saved_checkpoint(peer)["remote"] == 2


@pytest.mark.parametrize("sequence", ['"12:3"', "7", "1.5", '"ä"'])
def test_a_sequence_may_be_any_json(sequence: str) -> None:
    _, peer = pulling()
    peer.send("changes", [[orjson.loads(sequence), "a", "1-aa"]])
    peer.send("changes", [], no_reply=True)
    peer.run()
    rev(peer, "a", "1-aa", sequence)
    peer.run()
    assert saved_checkpoint(peer)["remote"] == orjson.loads(sequence)


# --- active: order -------------------------------------------------------------------------------


def remotes(peer: ScriptedPeer) -> list[object]:
    """Take the checkpoints that came; return how far each says that the peer's changes are done."""
    requests = peer.take_all("setCheckpoint")
    for request in requests:
        peer.reply(request, rev="1-cc")
    peer.run()
    return [orjson.loads(request.body).get("remote") for request in requests]


def test_changes_that_overtook_others_wait_for_them() -> None:
    driven, peer = pulling()
    chance = random.Random(3)
    long = [[n, f"{n}{chance.randbytes(100).hex()}", "1-aa"] for n in range(1, 301)]
    connection = peer.connection
    for token, body in enumerate((long, [[301, "late", "1-aa"]]), start=1000):
        connection.send_request(token, {"Profile": "changes"}, orjson.dumps(body), urgent=True)
    connection.send_request(None, {"Profile": "changes"}, b"[]", urgent=True, no_reply=True)
    frames = connection.frames_to_send(10**9)
    assert read_header(frames[-1])[0] == 1, "the first message ends last"
    for frame in frames[:-1]:
        driven.session.receive([frame], 0.0)
        driven.work()
        assert driven.count(asks.ReadHeld) == 0
        assert driven.finished is None, "not all of it has come"
    driven.session.receive(frames[-1:], 0.0)
    driven.work()
    rows = [row for row in driven.asked if isinstance(row, asks.ReadHeld)]
    assert [len(row.doc_ids) for row in rows] == [300, 1]
    rev(peer, "late", "1-aa", 301)
    peer.run()
    driven.elapse(10)
    peer.run()
    assert not any(remotes(peer)), "300 documents before it have not come"


def test_the_end_that_overtook_the_rows_is_not_the_end() -> None:
    driven, peer = pulling()
    chance = random.Random(3)
    rows = [[n, f"{n}{chance.randbytes(110).hex()}", "1-aa"] for n in range(1, 201)]
    connection = peer.connection
    connection.send_request(1, {"Profile": "changes"}, orjson.dumps(rows), urgent=True)
    connection.send_request(None, {"Profile": "changes"}, b"[]", urgent=True, no_reply=True)
    for frame in connection.frames_to_send(10**9):
        driven.session.receive([frame], 0.0)
        driven.work()
        assert not driven.session.connection.has_frames or driven.count(asks.ReadHeld)
    for n, doc_id, tid in rows:
        rev(peer, str(doc_id), str(tid), n)
    peer.run()
    assert saved_checkpoint(peer)["remote"] == 200
    assert len(driven.storage.contents()) == 200


# --- active: repetition --------------------------------------------------------------------------


def test_a_row_announced_twice_is_awaited_once_and_the_checkpoint_waits_for_it() -> None:
    driven, peer = pulling()
    row = [1, "a", "1-aa"]
    assert answers(peer.ask("changes", [row, row, [2, "b", "1-bb"]])) == [[], 0, []]
    assert answers(peer.ask("changes", [row])) == []
    peer.send("changes", [], no_reply=True)
    rev(peer, "b", "1-bb", 2)
    peer.run()
    assert not peer.requests
    driven.elapse(10)
    peer.run()
    assert not any(remotes(peer)), "nothing is done up to 1"
    rev(peer, "a", "1-aa", 1)
    peer.run()
    assert saved_checkpoint(peer)["remote"] == 2
    assert driven.finished is not None


@pytest.mark.sec("SEC-17")
def test_a_rev_that_comes_twice_has_no_effect_the_second_time() -> None:
    driven, peer = pulling(continuous=True)
    peer.send("changes", [[1, "a", "1-aa"]])
    peer.send("changes", [], no_reply=True)
    peer.run()
    first, second = (rev(peer, "a", "1-aa", 1) for _ in range(2))
    peer.run()
    peer.send("norev", id="a", rev="1-aa", sequence="1", no_reply=True)
    peer.run()
    assert not peer.replies[first].error
    assert not peer.replies[second].error
    assert driven.session.progress.pulled == 1
    assert driven.session.progress.pending == 0
    saved_checkpoint(peer)
    assert driven.session.activity is Activity.IDLE


@pytest.mark.sec("SEC-17")
def test_a_rev_never_asked_for_is_taken_and_moves_nothing() -> None:
    driven, peer = pulling(continuous=True)
    peer.send("changes", [], no_reply=True)
    peer.run()
    token = rev(peer, "a", "1-aa", 99)
    peer.run()
    assert not peer.replies[token].error
    assert driven.storage.contents() == {"a": b"{}"}
    assert not any(remotes(peer))
    assert driven.session.activity is Activity.IDLE


def test_what_is_too_far_ahead_is_left_for_later_and_not_counted_twice() -> None:
    storage = MemoryStorage("a")
    storage.time_max = 0
    driven, peer = pulling(storage, continuous=True)
    peer.send("changes", [[1, "a", stranger(1)], [2, "b", "1-bb"]])
    peer.send("changes", [], no_reply=True)
    peer.run()
    tokens = [rev(peer, "a", stranger(1), 1) for _ in range(2)]
    rev(peer, "b", "1-bb", 2)
    peer.run()
    assert [error_of(peer.replies[t]) for t in tokens] == [("HTTP", 503)] * 2
    assert driven.session.progress.pending == 0
    assert not any(remotes(peer))
    assert driven.session.activity is Activity.IDLE
    # Announced again when the clocks agree, it is asked for again.
    storage.time_max = 2**62
    assert answers(peer.ask("changes", [[1, "a", stranger(1)]])) == [[]]
    rev(peer, "a", stranger(1), 1)
    peer.run()
    assert saved_checkpoint(peer)["remote"] == 2
    assert driven.session.activity is Activity.IDLE


# --- revisions that can't be taken ---------------------------------------------------------------


@pytest.mark.sec("SEC-19")
@pytest.mark.parametrize(
    ("properties", "body"),
    [
        ({"id": ""}, b"{}"),
        ({"id": "_design/x"}, b"{}"),
        ({"id": "x" * 241}, b"{}"),
        ({"id": "a\nb"}, b"{}"),
        ({"rev": ""}, b"{}"),
        ({"rev": "1-AA"}, b"{}"),
        ({"rev": "0-aa"}, b"{}"),
        ({"rev": "1@x"}, b"{}"),
        ({"history": "garbage"}, b"{}"),
        ({"history": "5-aa,4-bb"}, b"{}"),
        ({"history": ",".join(f"{n}-aa" for n in range(9000, 1, -1))}, b"{}"),
        ({}, b""),
        ({}, b"7"),
        ({}, b"[]"),
        ({}, b"{"),
        ({}, b'{"a":NaN}'),
        ({}, b'{"a":1,"a":2}'),
        ({}, b'{"a":123456789012345678901234567890}'),
        ({}, b'{"a":' + b"[" * 101 + b"]" * 101 + b"}"),
        ({}, b'{"a":"\xff"}'),
        ({}, b'{"a":"' + b"x" * DOCUMENT_BODY_BYTES_MAX + b'"}'),
    ],
)
def test_a_malformed_revision_is_refused_and_done_with(
    properties: dict[str, str], body: bytes
) -> None:
    driven, peer = pulling()
    peer.send("changes", [[1, "a", "1-aa"], [2, "b", "1-bb"]])
    peer.send("changes", [], no_reply=True)
    peer.run()
    reply = peer.ask("rev", body, **({"id": "a", "rev": "1-aa", "sequence": "1"} | properties))
    assert error_of(reply) == ("HTTP", 400)
    rev(peer, "b", "1-bb", 2)
    peer.run()
    assert saved_checkpoint(peer)["remote"] == 2
    assert len(driven.failures) == 1
    assert driven.storage.contents() == {"b": b"{}"}
    assert driven.session.inbound_bytes == 0


def test_an_active_peer_wants_sequences() -> None:
    _, peer = pulling()
    assert error_of(peer.ask("rev", {}, id="a", rev="1-aa")) == ("HTTP", 400)


def test_a_delta_is_refused_with_422_and_the_whole_body_is_still_awaited() -> None:
    driven, peer = pulling()
    peer.send("changes", [[1, "a", "1-aa"]])
    peer.send("changes", [], no_reply=True)
    peer.run()
    reply = peer.ask("rev", {}, id="a", rev="1-aa", sequence="1", deltaSrc="1-00")
    assert error_of(reply) == ("HTTP", 422)
    assert driven.finished is None
    assert not peer.requests, "nothing is done yet, so no checkpoint"
    assert driven.failures == []
    rev(peer, "a", "1-aa", 1, body={"whole": True})
    peer.run()
    assert saved_checkpoint(peer)["remote"] == 1
    assert driven.storage.contents() == {"a": b'{"whole":true}'}


def test_reserved_keys_are_stripped_and_a_removed_document_is_not_stored() -> None:
    driven, peer = pulling()
    peer.send("changes", [[1, "a", "1-aa"], [2, "b", "1-bb"], [3, "c", "1-cc", 1]])
    peer.send("changes", [], no_reply=True)
    peer.run()
    rev(peer, "a", "1-aa", 1, body={"_id": "x", "n": 1})
    token = rev(peer, "b", "1-bb", 2, body={"_removed": True})
    rev(peer, "c", "1-cc", 3, body=b"", deleted="1")
    peer.run()
    assert not peer.replies[token].error
    assert driven.storage.contents() == {"a": b'{"n":1}', "c": None}
    assert saved_checkpoint(peer)["remote"] == 3


@pytest.mark.parametrize(
    ("text", "deleted"), [("1", True), ("true", True), ("0", False), ("False", False), ("", False)]
)
def test_deleted_is_read_liberally(text: str, deleted: bool) -> None:
    driven, peer = served()
    peer.ask("rev", {"a": 1}, id="a", rev="1-aa", deleted=text)
    assert driven.storage.docs[0]["a"].state.deleted is deleted


def test_a_newer_revision_in_the_place_of_the_announced_one_settles_it() -> None:
    driven, peer = pulling()
    peer.send("changes", [[1, "a", "1-aa"]])
    peer.send("changes", [], no_reply=True)
    peer.run()
    rev(peer, "a", "2-bb", 1, history="1-aa", replacedRev="1-aa", body={"n": 2})
    peer.run()
    assert saved_checkpoint(peer)["remote"] == 1
    assert driven.storage.docs[0]["a"].state.tid == "2-bb"


# --- passive: proposals --------------------------------------------------------------------------


def test_proposals_have_the_answers_of_couchbase_lite_for_its_peers() -> None:
    storage = MemoryStorage("b", marks=False)
    cur = storage.save("cur", {"n": 1})
    storage.save("dead", {})
    dead = storage.save("dead", None)
    _, peer = served(storage)
    rows = [
        ["new", "1-aa"],
        ["new", "2-aa", "1-aa"],
        ["cur", cur],
        ["cur", "2-aa", cur],
        ["dead", "1-aa"],
        ["cur", "1-aa"],
        ["cur", "2-aa", "1-aa"],
        ["cur", "3-aa", "1-aa"],
        ["bad", "garbage"],
        ["bad", "2-aa", "garbage"],
        ["cur", "2-aa", "1-" + "ab" * 200],
    ]
    conflict = {"status": 409, "rev": cur}
    reply = peer.ask("proposeChanges", rows, conflictIncludesRev="true")
    assert answers(reply) == [
        0,
        0,
        304,
        0,
        0,
        conflict,
        0,
        0,
        400,
        400,
        400,
    ]
    assert answers(peer.ask("proposeChanges", [["cur", "1-aa"]])) == [409]
    assert dead


def test_between_settee_peers_only_what_is_known_already_is_refused() -> None:
    storage = MemoryStorage("b", marks=False)
    old = storage.save("doc", {"n": 1})
    cur = storage.save("doc", {"n": 2})
    _, peer = served(storage, peer_is_settee=True)
    rows = [
        ["new", "2-aa", "1-aa"],
        ["doc", cur],
        ["doc", stranger(5)],
        ["doc", old],
        ["doc", old, "garbage"],
    ]
    reply = peer.ask("proposeChanges", rows, conflictIncludesRev="true")
    assert answers(reply) == [0, 304, 0, {"status": 409, "rev": cur}, 400]


def test_all_zeros_are_an_empty_array_and_an_empty_proposal_has_an_empty_answer() -> None:
    _, peer = served()
    assert peer.ask("proposeChanges", [["a", "1-aa"], ["b", "1-bb"]]).body == b"[]"
    assert peer.ask("proposeChanges", []).body == b""
    token = peer.send("proposeChanges", [], no_reply=True)
    peer.send("proposeChanges", [["a", "1-aa"]], no_reply=True)
    peer.run()
    assert token not in peer.replies


@pytest.mark.parametrize("count", [CHANGES_ROWS_RECEIVED_MAX, CHANGES_ROWS_RECEIVED_MAX + 1])
def test_too_many_proposals_are_refused(count: int) -> None:
    _, peer = served()
    reply = peer.ask("proposeChanges", [[f"d{n}", "1-aa"] for n in range(count)])
    assert reply.error is (count > CHANGES_ROWS_RECEIVED_MAX)


def test_changes_from_an_active_peer_are_answered_with_409_for_conflicts() -> None:
    storage = MemoryStorage("b", marks=False)
    cur = storage.save("doc", {"n": 1})
    driven, peer = served(storage)
    reply = peer.ask("changes", [[1, "doc", "1-aa"], [2, "doc", cur], [3, "new", "1-aa"]])
    assert answers(reply) == [409, 0, []]
    assert driven.session.progress.pending == 0
    assert driven.session.activity is Activity.IDLE


def test_a_conflicting_revision_is_refused_for_its_owner_to_resolve() -> None:
    storage = MemoryStorage("b", marks=False)
    storage.save("doc", {"n": 1})
    before = storage.contents()
    driven, peer = served(storage)
    assert error_of(peer.ask("rev", {}, id="doc", rev="1-aa")) == ("HTTP", 409)
    assert storage.contents() == before
    assert driven.finished is None
    _, peer = served(storage, peer_is_settee=True)
    assert not peer.ask("rev", {}, id="doc", rev="1-aa").error


def test_a_revision_pushed_again_is_success() -> None:
    driven, peer = served()
    for _ in range(2):
        assert not peer.ask("rev", {"n": 1}, id="doc", rev="1-aa", sequence="1").error
    assert driven.storage.last_seq == [1]
    # The same name with another body never replaces what is stored.
    assert not peer.ask("rev", {"n": 2}, id="doc", rev="1-aa", sequence="1").error
    assert driven.storage.contents() == {"doc": b'{"n":1}'}


# --- saving --------------------------------------------------------------------------------------


def test_a_revision_is_answered_after_it_is_stored_and_not_before() -> None:
    driven, peer = served()
    driven.delayed.add(asks.SaveRevisions)
    token = rev(peer, "a", "1-aa", 1)
    peer.run()
    assert token not in peer.replies
    assert driven.session.activity is Activity.BUSY
    driven.release()
    peer.run()
    assert not peer.replies[token].error
    assert driven.session.activity is Activity.IDLE


def test_what_arrives_meanwhile_shares_the_next_batch() -> None:
    driven, peer = served()
    driven.delayed.add(asks.SaveRevisions)
    for n in range(50):
        rev(peer, f"d{n}", "1-aa", n)
        peer.run()
    assert driven.count(asks.SaveRevisions) == SAVES_IN_FLIGHT_MAX
    driven.release()
    driven.delayed.clear()
    peer.run()
    driven.release()
    peer.run()
    assert driven.count(asks.SaveRevisions) == SAVES_IN_FLIGHT_MAX + 1
    assert len(driven.storage.contents()) == 50


def test_batches_are_bounded() -> None:
    driven, peer = served()
    for n in range(SAVE_BATCH_REVISIONS_MAX + 1):
        rev(peer, f"d{n}", "1-aa", n)
    peer.run()
    sizes = [len(e.revisions) for e in driven.asked if isinstance(e, asks.SaveRevisions)]
    assert sum(sizes) == SAVE_BATCH_REVISIONS_MAX + 1
    assert max(sizes) <= SAVE_BATCH_REVISIONS_MAX
    for n in range(3):
        rev(peer, f"large{n}", "1-aa", n, body={"text": "x" * 5_000_000})
    peer.run()
    sizes = [len(e.revisions) for e in driven.asked if isinstance(e, asks.SaveRevisions)]
    assert sizes[-3:] == [1, 1, 1]


@pytest.mark.parametrize("kind", ["active", "passive"])
def test_a_failing_store_acknowledges_nothing(kind: str) -> None:
    driven, peer = pulling() if kind == "active" else served()
    storage = driven.storage
    if kind == "active":
        peer.send("changes", [[1, "a", "1-aa"]])
        peer.run()
    error = disk_fails_at(storage, 1)
    token = rev(peer, "a", "1-aa", 1)
    peer.run()
    assert error_of(peer.replies[token]) == ("HTTP", 503)
    assert driven.error is error
    assert driven.finished is not None
    assert driven.finished.close_code == 4001, "it may come back"
    assert storage.contents() == {}
    assert storage.own == {}


def test_too_much_unsaved_stops_the_reading_until_it_is_saved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_module, "INBOUND_BYTES_MAX", INBOUND_BYTES_MAX // 100)
    driven, peer = served()
    driven.delayed.add(asks.SaveRevisions)
    body = {"text": "x" * 40_000}
    for n in range(9):
        rev(peer, f"d{n}", "1-aa", n, body=body)
        peer.run()
        assert driven.session.wants_reading_paused is (n == 8)
    while driven.waiting:
        driven.release()
        peer.run()
    assert not driven.session.wants_reading_paused
    assert driven.session.inbound_bytes == 0
    assert len(driven.storage.contents()) == 9


def test_too_many_unanswered_stop_the_reading_until_they_are_saved() -> None:
    driven, peer = served()
    driven.delayed.add(asks.SaveRevisions)
    count = REQUESTS_UNANSWERED_READING_MAX + 1
    for n in range(count - 1):
        rev(peer, f"d{n}", "1-aa", n)
    peer.run()
    assert not driven.session.wants_reading_paused
    rev(peer, "the last", "1-aa", count)
    peer.run()
    assert driven.session.wants_reading_paused
    while driven.waiting:
        driven.release()
        peer.run()
    assert not driven.session.wants_reading_paused
    assert len(driven.storage.contents()) == count


def test_offers_count_as_received_until_they_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "INBOUND_BYTES_MAX", INBOUND_BYTES_MAX // 100)
    for profile in ("changes", "proposeChanges"):
        driven, peer = served()
        driven.delayed.add(asks.ReadHeld)
        row: list[object] = ["d", "1-aa"] if profile == "proposeChanges" else [1, "d", "1-aa"]
        body = orjson.dumps([row]) + b" " * 40_000
        tokens = []
        for n in range(9):
            tokens.append(peer.send(profile, body))
            peer.run()
            assert driven.session.wants_reading_paused is (n == 8)
        while driven.waiting:
            driven.release()
            peer.run()
        assert driven.session.inbound_bytes == 0
        assert all(not peer.replies[token].error for token in tokens)


def test_answers_wait_while_too_much_is_awaited() -> None:
    driven, peer = pulling(continuous=True)
    rows = [[n, f"d{n}", "1-aa"] for n in range(1, REVS_WANTED_MAX + 2)]
    for i in range(0, REVS_WANTED_MAX, 1000):
        assert len(answers(peer.ask("changes", rows[i : i + 1000]))) == 1000
    token = peer.send("changes", rows[REVS_WANTED_MAX:])
    peer.run()
    assert token not in peer.replies
    rev(peer, "d1", "1-aa", 1)
    peer.run()
    assert token in peer.replies
    assert driven.session.progress.pending == REVS_WANTED_MAX


def test_a_conflict_is_resolved_and_the_result_is_pushed_in_the_same_one_shot() -> None:
    storage = MemoryStorage("a")
    mine = storage.save("doc", {"who": "me"})
    driven = Driven(active(), storage)
    peer = opened(driven)
    peer.reply(peer.take("subChanges"))
    peer.reply(peer.take("proposeChanges"), [{"status": 409, "rev": "1-aa"}])
    peer.send("changes", [[1, "doc", "1-aa"]])
    peer.send("changes", [], no_reply=True)
    peer.run()
    rev(peer, "doc", "1-aa", 1, body={"who": "they"})
    peer.run()
    proposals = [r for r in peer.take_all("proposeChanges") if not r.no_reply]
    [[doc_id, tid, parent, _]] = orjson.loads(proposals[0].body)
    assert (doc_id, parent) == ("doc", "1-aa")
    assert tid != mine
    assert storage.contents() == {"doc": b'{"who":"me"}'}


def test_a_store_that_fails_while_looking_ends_the_session() -> None:
    driven, peer = pulling()
    error = disk_fails_at(driven.storage, 1)
    peer.send("changes", [[1, "a", "1-aa"]])
    peer.run()
    assert driven.error is error
    assert isinstance(error, StoreError)
    assert not isinstance(error, SyncError)


@pytest.mark.regression("echo of pulled revisions")
def test_what_was_pulled_is_not_pushed_back() -> None:
    left, right = MemoryStorage("a"), MemoryStorage("b", marks=False)
    right.fill(250)
    right.save("doc00003", None)
    assert sync(left, right).a.error is None
    two = sync(left, right)
    assert two.b.count(asks.ReadHeld) == 0, "nothing was proposed"
    assert left.contents() == right.contents()


def test_a_revision_below_ours_that_stands_as_high_is_asked_for_without_itself_as_a_base() -> None:
    storage = MemoryStorage("a")
    storage.save("doc", {"n": 1})
    version = storage.docs[0]["doc"].state.vector.cv
    storage.save("doc", {"n": 2})
    _, peer = pulling(storage)
    rows = [[n, "doc", name(n, version)] for n in (1, 2, 3)]
    first, second, third = (answers(peer.ask("changes", [row])) for row in rows)
    assert first == []
    assert second == [[]]
    assert third == [[storage.docs[0]["doc"].state.tid]]


@pytest.mark.parametrize("settee", [False, True])
def test_when_each_side_has_put_the_other_s_below_its_own_they_agree_in_the_end(
    settee: bool,
) -> None:
    left, right = MemoryStorage("a"), MemoryStorage("b", marks=False)
    a = Driven(active(continuous=True, peer_is_settee=settee), left)
    b = Driven(passive(peer_is_settee=settee), right)
    two = Two(a, b)
    a.start()
    b.save("doc", None)  # A tombstone takes a new root; the active side lets deletions win.
    for _ in range(3):
        two.step()
    a.save("doc", {"n": 0})
    a.save("other", {})  # Pushed in one go: the row of the first must be announced all the same.
    two.run()
    assert left.contents() == right.contents() == {"doc": None, "other": b"{}"}
    assert a.session.activity is Activity.IDLE


@pytest.mark.feature("EXP-04", "REP-14")
@pytest.mark.parametrize("flags", [2, 3, 4, 6, 7])
def test_documents_whose_access_was_taken_away_are_purged_and_reported(flags: int) -> None:
    storage = MemoryStorage("a")
    storage.save("mine", {"n": 1})
    storage.save("kept", {"n": 2})
    driven, peer = pulling(storage)
    reply = peer.ask("changes", [[1, "mine", stranger(1), flags], [2, "never-had", "1-aa", flags]])
    assert answers(reply) == []
    peer.send("changes", [], no_reply=True)
    peer.run()
    assert storage.contents() == {"kept": b'{"n":2}'}
    told = [
        (document.doc_id, document.access_removed, document.error)
        for batch in driven.documents
        for document in batch.documents
    ]
    assert told == [("mine", True, None)]
    assert saved_checkpoint(peer)["remote"] == 2
    assert driven.error is None


@pytest.mark.feature("EXP-04", "REP-14")
def test_a_body_that_says_removed_purges_too() -> None:
    storage = MemoryStorage("a")
    storage.save("mine", {"n": 1})
    _, peer = pulling(storage)
    peer.ask("changes", [[1, "mine", stranger(1, 2)]])
    peer.send("changes", [], no_reply=True)
    rev(peer, "mine", stranger(1, 2), 1, body={"_removed": True})
    peer.run()
    assert storage.contents() == {}
    assert saved_checkpoint(peer)["remote"] == 1


@pytest.mark.feature("REP-14")
def test_without_auto_purge_what_was_pulled_stays() -> None:
    storage = MemoryStorage("a")
    storage.save("mine", {"n": 1})
    _, peer = pulling(storage, auto_purge=False)
    peer.ask("changes", [[1, "mine", stranger(1), 2]])
    peer.send("changes", [], no_reply=True)
    peer.run()
    assert storage.contents() == {"mine": b'{"n":1}'}
    assert saved_checkpoint(peer)["remote"] == 1


@pytest.mark.feature("REP-05")
def test_channels_and_document_ids_go_with_the_subscription() -> None:
    options = (CollectionOptions(document_ids=("a", "b"), channels=("north", "south")),)
    request = opened(Driven(active(push=False, options=options), MemoryStorage("a"))).take(
        "subChanges"
    )
    assert request.properties["revocations"] == "true"
    assert request.properties["filter"] == "sync_gateway/bychannel"
    assert request.properties["channels"] == "north,south"
    assert orjson.loads(request.body) == {"docIDs": ["a", "b"]}
    plain = opened(Driven(active(push=False, auto_purge=False), MemoryStorage("a"))).take(
        "subChanges"
    )
    assert plain.body == b""
    assert not {"filter", "channels", "revocations"} & plain.properties.keys()


def test_a_revision_that_cant_be_taken_says_all_the_same_who_resolves() -> None:
    driven, peer = served(level=VECTORS, peer_is_settee=True)
    peer.send("rev", b"{", id="doc", rev="1-aa", sequence="1", resolver="1")
    peer.run()
    other = name(1, Version(TIME_BEGIN, STRANGER))
    rev(peer, "doc", version_text_of(other), 2, tree=other)
    peer.run()
    saves = [effect for effect in driven.asked if isinstance(effect, asks.SaveRevisions)]
    assert [save.policy for save in saves] == [ConflictPolicy.REFUSE]
