from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settee.blip.message import Request
from settee.errors import DiskFullError, InvalidDocumentError, PeerProtocolError, SetteeError
from settee.sync import effects as asks
from settee.sync.events import Activity
from settee.sync.options import SessionConfig
from tests.sync.peers import (
    DEFAULT,
    ITEMS,
    ORDERS,
    Driven,
    MemoryStorage,
    ScriptedPeer,
    Two,
    active,
    disk_fails_at,
    error_of,
    opened,
    passive,
    sync,
)

MODES = pytest.mark.parametrize("names", [(DEFAULT,), (ITEMS,), (ITEMS, DEFAULT, ORDERS)])


def pair(collections: int = 1) -> tuple[MemoryStorage, MemoryStorage]:
    return (
        MemoryStorage("a", collections=collections),
        MemoryStorage("b", collections=collections, marks=False),
    )


# --- two of them ---------------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("settee", [False, True])
@pytest.mark.parametrize(("push", "pull"), [(True, True), (True, False), (False, True)])
def test_documents_tombstones_and_updates_go_where_they_should(
    names: tuple[Any, ...], continuous: bool, settee: bool, push: bool, pull: bool
) -> None:
    left, right = pair(len(names))
    for c in range(len(names)):
        for storage, prefix in ((left, "l"), (right, "r")):
            storage.fill(30, c, prefix)
            storage.save(f"{prefix}00003", None, c)
            storage.save(f"{prefix}00005", {"n": "updated"}, c)
    mine, theirs = [left.contents(c) for c in range(len(names))], right.contents()
    config = {"push": push, "pull": pull, "peer_is_settee": settee, "continuous": continuous}
    a = Driven(active(*names, **config), left)
    b = Driven(passive(*reversed(names), peer_is_settee=settee), right)
    b.storage.docs.reverse()
    b.storage.last_seq.reverse()
    two = Two(a, b)
    a.start()
    two.run()
    right.docs.reverse()
    if continuous:
        assert a.session.activity is Activity.IDLE
        a.session.stop(a.now)
        two.run()
    assert a.finished is not None
    assert (a.finished.close_code, a.error) == (1000, None)
    assert b.finished is None, "a passive peer waits for the link to end"
    assert a.failures == b.failures == []
    for c in range(len(names)):
        both = mine[c] | theirs
        assert left.contents(c) == dict(sorted((both if pull else mine[c]).items()))
        assert right.contents(c) == dict(sorted((both if push else theirs).items()))


@pytest.mark.regression("count equal to the batch size")
@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 401, 1000, 1001])
@pytest.mark.parametrize(("push", "pull"), [(True, False), (False, True)])
def test_any_number_of_documents_arrives_and_the_second_time_nothing_is_sent(
    count: int, push: bool, pull: bool
) -> None:
    left, right = pair()
    source = left if push else right
    source.fill(count)
    first = sync(left, right, push=push, pull=pull)
    assert first.a.error is None
    assert left.contents() == right.contents()
    assert len(left.contents()) == count
    assert first.a.session.progress.pending == 0
    again = sync(left, right, push=push, pull=pull)
    assert again.a.error is None
    assert again.frames <= 6
    assert again.a.count(asks.ReadRevisions) == again.b.count(asks.ReadRevisions) == 0


@MODES
def test_the_third_session_does_not_even_write_a_checkpoint(names: tuple[Any, ...]) -> None:
    left, right = pair(len(names))
    for c in range(len(names)):
        left.fill(250, c, "left")
        right.fill(250, c, "right")
    assert sync(left, right, *names).a.error is None
    second = sync(left, right, *names)
    assert second.a.count(asks.SaveRevisions) == second.b.count(asks.SaveRevisions) == 0
    third = sync(left, right, *names)
    assert third.a.count(asks.SaveOwnCheckpoint) == third.b.count(asks.SavePeerCheckpoint) == 0
    assert third.frames <= 2 + 6 * len(names)


@pytest.mark.parametrize("settee", [False, True])
def test_both_sides_edit_the_same_documents_and_end_alike(settee: bool) -> None:
    chance = random.Random(7)
    left, right = pair()
    for n in range(20):
        left.save(f"doc{n}", {"n": n})
    assert sync(left, right, peer_is_settee=settee).a.error is None
    for _ in range(6):
        for storage, who in ((left, "left"), (right, "right")):
            for n in chance.sample(range(20), 8):
                body = {"who": who, "r": chance.random()} if chance.random() < 0.8 else None
                storage.save(f"doc{n}", body)
        for _ in range(3):
            two = sync(left, right, peer_is_settee=settee)
            assert two.a.error is None
            assert two.a.failures == two.b.failures == []
        assert left.contents() == right.contents()
    assert sync(left, right, peer_is_settee=settee).frames <= 6


def test_live_changes_cross_at_once_in_both_directions() -> None:
    left, right = pair()
    a, b = Driven(active(continuous=True), left), Driven(passive(), right)
    two = Two(a, b)
    a.start()
    two.run()
    for n in range(5):
        a.save(f"a{n}", {"n": n})
        b.save(f"b{n}", {"n": n})
        two.run()
        assert left.contents() == right.contents()
        assert a.session.activity is Activity.IDLE
    assert orjson.loads(left.own["cp-_default"])["remote"] == right.last_seq[0]


@pytest.mark.regression("checkpoint ahead of stored data after abort")
@pytest.mark.parametrize("cut", range(0, 60, 3))
def test_a_link_that_breaks_anywhere_loses_nothing(cut: int) -> None:
    left, right = pair()
    left.fill(12, prefix="l")
    right.fill(12, prefix="r")
    left.save("image", {"image": left.attach(b"x" * 100_000)})
    for _ in range(3):  # At the same place three times: it must get on all the same.
        two = Two(Driven(active(continuous=True), left), Driven(passive(), right))
        two.stops_at = cut
        two.a.start()
        two.run()
        own, body = left.own.get("cp-_default"), right.peers.get("cp-_default", ("", b""))[1]
        if own is not None:
            assert orjson.loads(body) == orjson.loads(own) or b'"remote"' in body
            value = orjson.loads(own)
            missing = [d.seq for i, d in right.docs[0].items() if i not in left.docs[0]]
            assert value.get("remote", 0) < min(missing, default=10**9)
            unsent = [d.seq for i, d in left.docs[0].items() if i not in right.docs[0]]
            assert value.get("local", 0) < min(unsent, default=10**9)
        two.a.session.abandon()
        two.b.session.abandon()
    assert sync(left, right).a.error is None
    assert left.contents() == right.contents()
    assert right.blobs == left.blobs


# --- what a peer may not ask ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "profile", ["getCollections", "getCheckpoint", "setCheckpoint", "subChanges", "nonsense", ""]
)
def test_an_active_session_answers_no_passive_requests(profile: str) -> None:
    driven = Driven(active(continuous=True), MemoryStorage("a"))
    peer = opened(driven)
    reply = peer.ask(profile, {}, client="cp")
    assert error_of(reply) == ("BLIP", 404)
    assert driven.finished is None


def test_a_push_only_session_refuses_to_be_pushed_to() -> None:
    driven = Driven(active(pull=False, continuous=True), MemoryStorage("a"))
    peer = opened(driven)
    for profile in ("changes", "proposeChanges", "rev", "norev"):
        assert error_of(peer.ask(profile, [])) == ("HTTP", 403)


def test_before_the_opening_is_done_nothing_is_taken() -> None:
    driven = Driven(active(), MemoryStorage("a"))
    peer = ScriptedPeer(driven)
    driven.start()
    peer.run()
    assert error_of(peer.ask("changes", [[1, "a", "1-aa"]])) == ("HTTP", 400)
    assert driven.finished is None


def test_broken_framing_ends_the_session_with_1002() -> None:
    for config in (active(), passive()):
        driven = Driven(config, MemoryStorage("a"))
        if config.active:
            driven.start()
        driven.session.receive([b"\x01\x00junk!!!!"], 0.0)
        driven.work()
        assert isinstance(driven.error, PeerProtocolError)
        assert driven.finished is not None
        assert driven.finished.close_code == 1002
        driven.session.receive([b"more"], 0.0)
        assert driven.session.frames_to_send(1000) == []


def test_nothing_in_one_reading_counts_after_the_end() -> None:
    driven = Driven(active(push=False), MemoryStorage("a"))
    peer = opened(driven)
    peer.reply(peer.take("subChanges"))
    peer.send("changes", [[1, "a", "1-aa"]])
    peer.run()
    connection = peer.connection
    peer.send("changes", [[2, "b", "garbage"]])
    frames = connection.frames_to_send(10**6)
    driven.session.receive(frames, 0.0)
    peer.send("rev", {}, id="a", rev="1-aa", sequence="1")
    peer.send("rev", {}, id="c", rev="1-aa", sequence="3")
    driven.work()
    driven.session.receive(connection.frames_to_send(10**6), 0.0)
    driven.work()
    assert driven.error is not None
    assert driven.storage.contents() == {}


# --- ends ----------------------------------------------------------------------------------------


def test_stopping_before_anything_was_said_ends_at_once() -> None:
    driven = Driven(active(continuous=True), MemoryStorage("a"))
    driven.session.stop(0.0)
    driven.work()
    assert driven.finished is not None
    assert driven.finished.close_code == 1000


@pytest.mark.parametrize("frames", range(0, 70, 7))
@pytest.mark.parametrize("continuous", [True, False])
def test_stopping_at_any_moment_ends_in_good_order(frames: int, continuous: bool) -> None:
    left, right = pair()
    left.fill(20, prefix="l")
    right.fill(20, prefix="r")
    left.save("image", {"image": left.attach(b"x" * 100_000)})
    a, b = Driven(active(continuous=continuous), left), Driven(passive(), right)
    two = Two(a, b)
    a.start()
    two.run(lambda: two.frames >= frames)
    a.session.stop(a.now)
    a.session.stop(a.now)
    two.run()
    if a.finished is None:  # It waits for an answer about its checkpoint.
        deadline = a.session.next_deadline()
        assert deadline is not None
        assert deadline <= 5
        a.elapse(5)
    assert a.finished is not None
    assert (a.finished.close_code, a.error) == (1000, None)
    assert sync(left, right).a.error is None
    assert left.contents() == right.contents()


def test_stopping_saves_what_was_done() -> None:
    driven = Driven(active(push=False, continuous=True), MemoryStorage("a"))
    peer = opened(driven)
    peer.reply(peer.take("subChanges"))
    peer.send("changes", [[1, "a", "1-aa"], [2, "b", "1-bb"]])
    peer.run()
    peer.send("rev", {}, id="a", rev="1-aa", sequence="1")
    peer.run()
    driven.session.stop(0.0)
    peer.run()
    assert driven.finished is None
    request = peer.take("setCheckpoint")
    assert orjson.loads(request.body)["remote"] == 1
    peer.reply(request, rev="1-cc")
    peer.run()
    assert driven.finished is not None
    assert driven.storage.own["cp-_default"] == request.body


def test_stopping_does_not_wait_for_a_checkpoint_for_ever() -> None:
    driven = Driven(active(push=False, continuous=True), MemoryStorage("a"))
    peer = opened(driven)
    peer.reply(peer.take("subChanges"))
    peer.send("changes", [[1, "a", "1-aa"]])
    peer.run()
    peer.send("rev", {}, id="a", rev="1-aa", sequence="1")
    peer.run()
    driven.session.stop(0.0)
    peer.run()
    driven.elapse(4.9)
    assert driven.finished is None
    driven.elapse(0.1)
    assert driven.finished is not None
    assert driven.error is None
    assert driven.storage.own == {}


def test_a_passive_session_stops_at_once() -> None:
    driven = Driven(passive(), MemoryStorage("b"))
    driven.session.stop(0.0)
    driven.work()
    assert driven.finished is not None
    assert driven.finished.close_code == 1000


def test_an_abandoned_session_says_nothing_more_and_takes_late_answers() -> None:
    left, right = pair()
    left.fill(20)
    a, b = Driven(active(continuous=True), left), Driven(passive(), right)
    two = Two(a, b)
    a.start()
    two.run(lambda: two.frames >= 6)
    a.delayed = b.delayed = {asks.ReadRevisions, asks.SaveRevisions, asks.ReadChanges}
    a.save("more", {})
    a.work()
    b.work()
    for driven in (a, b):
        driven.session.abandon()
        driven.release()
        driven.changed()
        driven.elapse(100)
        assert driven.session.effects() == []
        assert driven.session.next_deadline() is None
        assert driven.finished is None
        assert driven.session.activity is Activity.STOPPED


# --- storage that fails --------------------------------------------------------------------------


def busy_pair() -> tuple[MemoryStorage, MemoryStorage]:
    left, right = pair()
    left.fill(3, prefix="l")
    right.fill(3, prefix="r")
    left.save("left", {"image": left.attach(b"x" * 1000)})
    right.save("right", {"image": right.attach(b"y" * 1000)})
    left.save("both", {"who": "left"})
    right.save("both", {"who": "right"})
    return left, right


def effects_of_a_sync() -> tuple[int, int]:
    two = sync(*busy_pair())
    return len(two.a.asked), len(two.b.asked)


@pytest.mark.parametrize("side", ["left", "right"])
def test_whichever_effect_fails_nothing_is_lost_and_nothing_is_claimed(side: str) -> None:
    counts = dict(zip(("left", "right"), effects_of_a_sync(), strict=True))
    for nth in range(1, counts[side] + 1):
        left, right = busy_pair()
        a, b = Driven(active(), left), Driven(passive(), right)
        two = Two(a, b)
        error = disk_fails_at(left if side == "left" else right, nth)
        a.start()
        two.run()
        broken = a if side == "left" else b
        where = f"{side} effect {nth}: {broken.asked[nth - 1]}"
        failing = type(broken.asked[nth - 1])
        told = [e for d in (a, b) for _, e in d.failures]
        other = b if broken is a else a  # It is told that, but not what: that may name a file.
        assert [str(e) for _, e in other.failures if "the disk failed" in str(e)] == [], where
        assert broken.error is error or a.error or told, where
        assert not a.finished or a.finished.close_code != 1002, where
        if broken.error is error:  # Its text names a file: no business of the peer's.
            assert broken.finished is not None
            assert broken.finished.close_reason == "the database here can't store it now", where
        if failing is asks.SaveRevisions:
            assert broken.error is error, where
        # No checkpoint is ahead of what is stored.
        for body in (left.own.get("cp-_default"), right.peers.get("cp-_default", ("", b""))[1]):
            value = orjson.loads(body or b"{}")
            gone = [d.seq for i, d in right.docs[0].items() if i not in left.docs[0]]
            unsent = [d.seq for i, d in left.docs[0].items() if i not in right.docs[0]]
            assert value.get("remote", 0) < min(gone, default=10**9), where
            if failing is not asks.OpenBlob and failing is not asks.ReadBlob:
                assert value.get("local", 0) < min(unsent, default=10**9), where
        left.fail = right.fail = lambda _: None
        for _ in range(2):
            assert sync(left, right).a.error is None, where
        assert left.contents() == right.contents(), where


@pytest.mark.parametrize(
    ("error", "close_code"),
    [(DiskFullError("full"), 4001), (InvalidDocumentError("bad"), 4002), (SetteeError("?"), 4002)],
)
def test_trouble_that_may_pass_lets_the_peer_come_back(error: SetteeError, close_code: int) -> None:
    driven = Driven(passive(), MemoryStorage("b"))
    driven.storage.fail = lambda e: error if isinstance(e, asks.SaveRevisions) else None
    peer = ScriptedPeer(driven)
    peer.ask("rev", {}, id="a", rev="1-aa")
    assert driven.error is error
    assert driven.finished is not None
    assert driven.finished.close_code == close_code


def test_a_damaged_row_ends_the_session_and_not_the_program() -> None:
    driven = Driven(passive(), MemoryStorage("b"))
    driven.storage.save("doc", {})

    class Damaged(MemoryStorage):
        def _ReadHeld(self, c: int, doc_ids: list[str]) -> list[Any]:
            return [held and held._replace(vector="rust") for held in super()._ReadHeld(c, doc_ids)]

    driven.storage.__class__ = Damaged
    peer = ScriptedPeer(driven)
    peer.send("proposeChanges", [["doc", "2-aa", "1-aa"]])
    peer.run()
    assert isinstance(driven.error, InvalidDocumentError)


# --- a peer out of its mind ----------------------------------------------------------------------

JUNK_WORDS = st.sampled_from(
    ["", "0", "1", "x", "1-aa", "2-bb", "doc", "true", "-1", "9" * 19, "9" * 30, '"s"', "²", "1-zz"]
)
JUNK_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 600) | JUNK_WORDS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["status", "rev", "docIDs", "a"]), inner, max_size=3)
    ),
    max_leaves=8,
)
ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["doc", "d2"]), st.sampled_from(["1-aa", "2-bb"])),
    max_size=4,
)
BODIES = st.one_of(
    st.sampled_from([b"", b"{}", b"[]", b"null", b"{", b'{"a":1}', b"\xff"]),
    JUNK_VALUES.map(orjson.dumps),
    ROWS.map(orjson.dumps),
    ROWS.map(lambda rows: orjson.dumps([row[1:] for row in rows])),
)
PROFILES = [
    *("rev", "changes", "proposeChanges", "norev", "subChanges", "nonsense"),
    *("getCollections", "getCheckpoint", "setCheckpoint", "getAttachment", "proveAttachment"),
]
NAMES = [
    *("id", "rev", "sequence", "history", "deleted", "deltaSrc", "collection", "client"),
    *("digest", "since", "filter", "vector", "continuous", "maxHistory", "replacedRev"),
    "sendReplacementRevs",
]
PROPERTIES = st.dictionaries(st.sampled_from(NAMES), JUNK_WORDS, max_size=6)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from(PROFILES), PROPERTIES, BODIES, st.booleans()),
        st.tuples(st.just("reply"), st.integers(0, 9), PROPERTIES, BODIES, st.booleans()),
        st.tuples(st.just("save"), st.sampled_from(["doc", "d2"]), st.booleans()),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 1.0, 6.0])),
    ),
    max_size=14,
)


def play(driven: Driven, peer: ScriptedPeer, act: tuple[Any, ...]) -> None:
    kind = act[0]
    if kind == "ask":
        _, profile, properties, body, no_reply = act
        peer.send(profile, body, no_reply=no_reply, **properties)
    elif kind == "reply":
        waiting = [r for r in peer.requests if not r.no_reply]
        if not waiting:
            return
        request = waiting[act[1] % len(waiting)]
        peer.requests.remove(request)
        if act[4]:
            peer.refuse(request, act[1] * 100 + 4, "HTTP")
        else:
            peer.reply(request, act[3], **act[2])
    elif kind == "save":
        driven.save(act[1], {"n": 1} if act[2] else None)
    else:
        driven.elapse(act[1])


@pytest.mark.sec("SEC-14")
@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from([active(continuous=True), active(), passive(), passive(peer_is_settee=True)]),
    ACTS,
)
def test_no_peer_can_raise_an_exception_out_of_a_session(
    config: SessionConfig, acts: list[tuple[Any, ...]]
) -> None:
    storage = MemoryStorage("a")
    storage.save("doc", {"image": storage.attach(b"hello")})
    storage.save("doc", {"image": storage.attach(b"hello")})
    driven = Driven(config, storage)
    peer = opened(driven) if config.active else ScriptedPeer(driven)
    for act in acts:
        play(driven, peer, act)
        if driven.finished is not None:
            driven.session.frames_to_send(10**6)
            break
        peer.run()
        assert driven.session.inbound_bytes >= 0
        if driven.session.activity is Activity.IDLE:
            assert driven.session.progress.pending == 0
            assert driven.session.inbound_bytes == 0


@pytest.mark.regression("newer revision lost behind a conflict")
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_edits_at_any_moment_arrive_at_both(data: st.DataObject) -> None:
    left, right = pair()
    settee = data.draw(st.booleans())
    a = Driven(active(continuous=True, peer_is_settee=settee), left)
    b = Driven(passive(peer_is_settee=settee), right)
    two = Two(a, b)
    a.start()
    for _ in range(data.draw(st.integers(1, 12))):
        side = a if data.draw(st.booleans()) else b
        doc_id = data.draw(st.sampled_from("wxyz"))
        body = {"n": data.draw(st.integers(0, 99))} if data.draw(st.integers(0, 4)) else None
        side.save(doc_id, body)
        for _ in range(data.draw(st.integers(0, 3))):
            two.step()
    two.run()
    assert left.contents() == right.contents()
    assert a.session.activity is Activity.IDLE
    assert b.session.activity is Activity.IDLE
    assert a.session.progress.pending == b.session.progress.pending == 0
    assert orjson.loads(left.own["cp-_default"]).get("local", 0) == left.last_seq[0]


@pytest.mark.parametrize("knows", ["active", "passive"])
def test_a_peer_that_is_not_known_for_settee_is_served_as_any_other(knows: str) -> None:
    """A proxy may take away the header by which settee peers know each other."""
    left, right = pair()
    for storage, prefix in ((left, "l"), (right, "r")):
        storage.fill(5, 0, prefix)
        storage.save("both", {"from": prefix})
        storage.save(f"{prefix}00002", {"n": "updated"})
    for _ in range(3):
        a = Driven(active(level=4, peer_is_settee=knows == "active", deltas=True), left)
        b = Driven(passive(level=4, peer_is_settee=knows == "passive", deltas=True), right)
        two = Two(a, b)
        a.start()
        two.run()
        assert a.error is None
    assert left.contents() == right.contents()


class Looked(dict[str, str]):
    """Properties that count how often they are asked for their collection."""

    count = 0

    def get(self, key: str, default: Any = None) -> Any:
        Looked.count += key == "collection"
        return super().get(key, default)


def test_revisions_of_ever_other_collections_are_sorted_in_one_go() -> None:
    session = Driven(passive(), MemoryStorage("b", marks=False)).session
    requests = [
        Request(n, Looked(Profile="rev", collection=str(n)), b"", False, True, 9)
        for n in range(1, 301)
    ]
    session._revs_came(requests)
    assert session.ignored_count == len(requests)
    assert Looked.count <= 3 * len(requests)
