from __future__ import annotations

from typing import Any

import orjson
import pytest

from settee.doc.records import RevisionIn
from settee.limits import INBOUND_BYTES_MAX
from settee.sync import arrivals as arrivals_module
from settee.sync import effects as asks
from settee.sync.events import Activity
from settee.sync.options import CollectionOptions
from tests.sync.peers import (
    Driven,
    MemoryStorage,
    ScriptedPeer,
    active,
    blob_of,
    error_of,
    opened,
    passive,
    saved_checkpoint,
    sync,
)

BASE = {"keep": 1, "drop": 2, "text": "x" * 300}


def taking(**more: Any) -> tuple[Driven, ScriptedPeer, str]:
    """A passive session that takes deltas and holds ``doc``; returns its revision's name, too."""
    storage = MemoryStorage("b", marks=False)
    tid = storage.save("doc", BASE)
    driven = Driven(passive(deltas=True, **more), storage)
    peer = ScriptedPeer(driven)
    reply = peer.ask("proposeChanges", [["doc", "2-aa", tid]])
    assert reply.properties["deltas"] == "true"
    return driven, peer, tid


def pulling(options: CollectionOptions | None = None, **more: Any) -> tuple[Driven, ScriptedPeer]:
    """An active session that awaits ``a`` and ``b`` at sequences 1 and 2."""
    driven = Driven(
        active(push=False, options=(options or CollectionOptions(),), **more), MemoryStorage("a")
    )
    peer = opened(driven)
    peer.reply(peer.take("subChanges"))
    peer.send("changes", [[1, "a", "1-aa"], [2, "b", "1-bb"]])
    peer.send("changes", [], no_reply=True)
    peer.run()
    return driven, peer


def delta(peer: ScriptedPeer, base: str, body: object, tid: str = "2-aa") -> Any:
    return peer.ask("rev", body, id="doc", rev=tid, history=base, deltaSrc=base, sequence="1")


# --- deltas --------------------------------------------------------------------------------------


def test_a_delta_is_applied_to_the_revision_that_it_names() -> None:
    driven, peer, tid = taking()
    assert not delta(peer, tid, {"drop": [], "new": [[1]]}).error
    body = driven.storage.docs[0]["doc"].body
    assert orjson.loads(body) == {"keep": 1, "text": "x" * 300, "new": [1]}
    assert driven.session.inbound_bytes == 0


@pytest.mark.sec("SEC-21")
@pytest.mark.parametrize(
    "body",
    [
        {"text": ["299=", 0, 2]},
        {"keep": {"x": 1}},
        {"nothing": []},
        {"keep": [1, 2, 3, 4]},
        [],
        7,
        b"{",
        b"",
        b'{"keep":1,"keep":2}',
        b'{"keep":1e999}',
    ],
)
def test_a_corrupt_delta_is_answered_with_422_and_changes_nothing(body: object) -> None:
    driven, peer, tid = taking()
    before = driven.storage.contents()
    assert error_of(delta(peer, tid, body)) == ("HTTP", 422)
    assert driven.storage.contents() == before
    assert driven.failures == []
    assert driven.session.inbound_bytes == 0
    assert driven.session.activity is Activity.IDLE
    whole = peer.ask("rev", {"whole": 1}, id="doc", rev="2-aa", history=tid, sequence="1")
    assert not whole.error


@pytest.mark.parametrize("base", ["1-00", "garbage", "9-ff"])
def test_a_base_that_is_not_at_hand_is_answered_with_422(base: str) -> None:
    driven, peer, _ = taking()
    assert error_of(delta(peer, base, {})) == ("HTTP", 422)
    assert driven.failures == []
    assert driven.session.inbound_bytes == 0


def test_a_delta_that_was_not_asked_for_is_answered_with_422() -> None:
    storage = MemoryStorage("b", marks=False)
    tid = storage.save("doc", BASE)
    peer = ScriptedPeer(Driven(passive(), storage))
    assert "deltas" not in peer.ask("proposeChanges", [["doc", "2-aa", tid]]).properties
    assert error_of(delta(peer, tid, {})) == ("HTTP", 422)


def test_after_422_the_whole_body_is_awaited_and_the_checkpoint_waits_for_it() -> None:
    driven, peer = pulling(deltas=True)
    for doc_id, tid, sequence in (("a", "1-aa", "1"), ("b", "1-bb", "2")):
        reply = peer.ask("rev", {}, id=doc_id, rev=tid, sequence=sequence, deltaSrc="1-00")
        assert error_of(reply) == ("HTTP", 422)
    assert driven.finished is None
    assert not peer.requests
    for doc_id, tid, sequence in (("a", "1-aa", "1"), ("b", "1-bb", "2")):
        assert not peer.ask("rev", {"n": 1}, id=doc_id, rev=tid, sequence=sequence).error
    assert saved_checkpoint(peer)["remote"] == 2
    assert driven.failures == []


def test_a_result_that_no_document_may_be_leaves_no_bytes_counted() -> None:
    driven, peer, tid = taking()
    deep: object = 1
    for _ in range(99):
        deep = {"d": deep}
    # Not too deep as a delta, but within the document that it makes.
    reply = delta(peer, tid, {"new": [[deep]]})
    assert error_of(reply) == ("HTTP", 422)
    assert driven.session.inbound_bytes == 0
    assert driven.session.activity is Activity.IDLE


def test_many_deltas_of_large_documents_are_not_all_made_whole_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arrivals_module, "INBOUND_BYTES_MAX", INBOUND_BYTES_MAX // 100)
    storage = MemoryStorage("b", marks=False)
    names = [storage.save(f"d{n}", {"text": "x" * 10_000}) for n in range(120)]
    driven = Driven(passive(deltas=True), storage)
    peer = ScriptedPeer(driven)
    peer.ask("proposeChanges", [["d0", "2-aa", names[0]]])
    driven.delayed = {asks.SaveRevisions}
    tokens = [
        peer.send("rev", {"n": 1}, id=f"d{n}", rev="2-aa", history=tid, deltaSrc=tid)
        for n, tid in enumerate(names)
    ]
    peer.run()
    most = driven.session.inbound_bytes
    while driven.waiting:
        driven.release()
        peer.run()
        most = max(most, driven.session.inbound_bytes)
    assert most < INBOUND_BYTES_MAX // 100 + 60 * 11_000
    assert driven.session.inbound_bytes == 0
    assert all(not peer.replies[token].error for token in tokens)


@pytest.mark.parametrize("settee", [False, True])
def test_deltas_arrive_in_both_directions(settee: bool) -> None:
    left, right = MemoryStorage("a"), MemoryStorage("b", marks=False)
    options = {"peer_is_settee": settee, "deltas": True, "serve": {"deltas": True}}
    for storage, doc_id in ((left, "up"), (right, "down")):
        storage.save(doc_id, BASE)
    assert sync(left, right, **options).a.error is None
    for storage, doc_id in ((left, "up"), (right, "down")):
        storage.save(doc_id, BASE | {"keep": "changed"})
    two = sync(left, right, **options)
    assert two.a.error is None
    assert left.contents() == right.contents()
    assert two.a.count(asks.ReadBases) == two.b.count(asks.ReadBases) == 1
    assert two.a.session.progress.bytes_pushed < 100


# --- the application's filter --------------------------------------------------------------------


@pytest.mark.sec("SEC-17")
def test_what_the_filter_rejects_is_refused_reported_and_done_with() -> None:
    driven, peer = pulling(CollectionOptions(pull_filter=True))
    driven.storage.may_pull = lambda item: item.doc_id != "a"
    rejected = peer.send("rev", {"image": blob_of(b"x")}, id="a", rev="1-aa", sequence="1")
    peer.run()
    assert not peer.take_all("getAttachment"), "no blob is fetched for it"
    assert error_of(peer.replies[rejected]) == ("HTTP", 403)
    assert not peer.ask("rev", {}, id="b", rev="1-bb", sequence="2").error
    assert saved_checkpoint(peer)["remote"] == 2
    assert driven.storage.contents() == {"b": b"{}"}
    assert [doc_id for doc_id, _ in driven.failures] == ["a"]
    assert driven.session.inbound_bytes == 0


def test_the_filter_sees_what_a_delta_makes() -> None:
    driven, peer = pulling(CollectionOptions(pull_filter=True), deltas=True)
    tid = driven.storage.save("a", BASE)
    seen: list[bytes] = []

    def may_pull(item: Any) -> bool:
        seen.append(item.body)
        return True

    driven.storage.may_pull = may_pull
    peer.send("rev", {"drop": []}, id="a", rev="2-aa", sequence="1", deltaSrc=tid, history=tid)
    peer.run()
    assert [orjson.loads(body) for body in seen] == [{"keep": 1, "text": "x" * 300}]


def test_without_a_filter_nobody_is_asked() -> None:
    driven, peer = pulling()
    peer.ask("rev", {}, id="a", rev="1-aa", sequence="1")
    assert driven.count(asks.FilterPull) == 0


def test_a_revision_allowed_over_something_else_than_is_there_is_asked_about_again() -> None:
    storage = MemoryStorage("b", marks=False)
    asked: list[str] = []

    def may(item: RevisionIn) -> bool | str:
        asked.append(item.doc_id)
        if len(asked) == 1:
            storage.save("doc", {"theirs": True})  # In the very moment of being asked.
            return ""
        return False

    storage.may_pull = may
    options = (CollectionOptions(pull_filter=True),)
    driven = Driven(passive(options=options, resolves=True), storage)
    peer = ScriptedPeer(driven)
    assert error_of(peer.ask("rev", {"mine": 1}, id="doc", rev="1-aa")) == ("HTTP", 403)
    assert asked == ["doc", "doc"]
    assert storage.contents() == {"doc": b'{"theirs":true}'}
