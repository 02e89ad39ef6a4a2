from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from settee.errors import PeerProtocolError, RefusedError, StoreError
from settee.limits import (
    CHECKPOINT_BODY_BYTES_MAX,
    CHECKPOINT_INTERVAL_S,
    CHECKPOINT_RANGES_MAX,
    REPLY_TIMEOUT_S,
    REVISION_ID_BYTES_MAX,
)
from settee.sync import effects as asks
from settee.sync.checkpoint import checkpoint_id, combine, read_body, write_body
from settee.sync.sequences import SequenceSet
from tests.prop import examples
from tests.sync.peers import (
    DEFAULT,
    ITEMS,
    Driven,
    MemoryStorage,
    ScriptedPeer,
    active,
    disk_fails_at,
    opened,
    sync,
)

OWN = b'{"time":1,"local":5,"remote":7}'


# --- the body ------------------------------------------------------------------------------------


def test_the_id_names_all_that_makes_a_replication_another_one() -> None:
    base: dict[str, Any] = {
        "database": "d",
        "remote": "r",
        "collection": DEFAULT,
    }
    others = [
        {},
        {"database": "e"},
        {"remote": "s"},
        {"collection": ITEMS},
        {"filters": [None, ["a"]]},
    ]
    ids = {checkpoint_id(**(base | other)) for other in others}
    assert len(ids) == len(others)
    assert checkpoint_id(**base) == checkpoint_id(**base)
    assert all(id_.startswith("cp-") and len(id_) == 31 for id_ in ids)


@pytest.mark.parametrize(
    ("body", "ranges", "remote"),
    [
        (None, [(0, 1)], ""),
        (b"", [(0, 1)], ""),
        (b'{"time":1700000000,"local":5,"remote":42}', [(0, 6)], "42"),
        (b'{"local":5,"localCompleted":[0,6,9,2]}', [(0, 6), (9, 11)], ""),
        (b'{"remote":"12:345"}', [(0, 1)], '"12:345"'),
        (b'{"remote":null}', [(0, 1)], ""),
        # Junk counts as nothing, so all is compared again.
        (b"{", [(0, 1)], ""),
        (b"[]", [(0, 1)], ""),
        (b'{"local":-3,"remote":1}', [(0, 1)], "1"),
        (b'{"local":true}', [(0, 1)], ""),
        (b'{"local":9223372036854775808}', [(0, 1)], ""),
        (b'{"localCompleted":[0,6,9]}', [(0, 1)], ""),
        (b'{"localCompleted":[0,-6]}', [(0, 1)], ""),
        (b'{"localCompleted":[0,"6"]}', [(0, 1)], ""),
        (b'{"remote":' + b"[" * 300 + b"]" * 300 + b"}", [(0, 1)], ""),
        (b'{"local":5,"remote":"' + b"x" * 5000 + b'"}', [(0, 6)], ""),
        (b'{"local":5}' + b" " * CHECKPOINT_BODY_BYTES_MAX, [(0, 1)], ""),
    ],
)
def test_a_body_is_read(body: bytes | None, ranges: list[tuple[int, int]], remote: str) -> None:
    completed, read_remote = read_body(body)
    assert completed.ranges() == ranges
    assert read_remote == remote


def test_a_body_is_written_as_couchbase_lite_writes_it() -> None:
    assert write_body(SequenceSet(), "", time_s=9) == b'{"time":9}'
    completed = SequenceSet([(0, 6)])
    assert write_body(completed, "42", time_s=9) == b'{"time":9,"local":5,"remote":42}'
    completed.add_range(9, 11)
    assert orjson.loads(write_body(completed, '"1:2"', time_s=9)) == {
        "time": 9,
        "local": 5,
        "localCompleted": [0, 6, 9, 2],
        "remote": "1:2",
    }


@pytest.mark.property(number=8)
@examples(50)
@given(
    st.lists(st.tuples(st.integers(0, 2**40), st.integers(1, 99)), max_size=8),
    st.sampled_from(["", "7", '"a:b"', '"\\u0000"']),
)
def test_what_is_written_is_read_again(pairs: list[tuple[int, int]], remote: str) -> None:
    completed = SequenceSet([(0, 1), *((s, s + n) for s, n in pairs)])
    assert read_body(write_body(completed, remote, time_s=0)) == (completed, remote)


def test_of_very_many_ranges_the_first_are_written() -> None:
    completed = SequenceSet([(2 * n, 2 * n + 1) for n in range(20_000)])
    body = write_body(completed, "7", time_s=2**32)
    assert len(body) < CHECKPOINT_BODY_BYTES_MAX / 2
    assert read_body(body)[0].ranges() == completed.ranges()[:CHECKPOINT_RANGES_MAX]


@pytest.mark.parametrize(
    ("peers", "local", "remote"),
    [
        (OWN, 5, "7"),
        (b'{"remote":7,"local":5,"time":999}', 5, "7"),
        (None, 0, ""),
        (b'{"local":3,"remote":7}', 3, "7"),
        (b'{"local":9,"remote":7}', 5, "7"),
        (b'{"local":5,"remote":4}', 5, "4"),
        (b'{"local":5,"remote":12}', 5, "7"),
        (b'{"local":5,"remote":"7"}', 5, ""),
        (b'{"local":5}', 5, ""),
        (b"junk", 0, ""),
    ],
)
def test_only_what_both_copies_say_counts(peers: bytes | None, local: int, remote: str) -> None:
    completed, since = combine(OWN, peers)
    assert completed.ranges() == [(0, local + 1)]
    assert since == remote


def test_without_an_own_copy_the_peers_counts_nothing() -> None:
    completed, since = combine(None, OWN)
    assert (completed.ranges(), since) == ([(0, 1)], "")


@pytest.mark.property(number=8)
@pytest.mark.regression("checkpoints that differ")
@examples(50)
@given(
    *[
        st.builds(
            lambda ends, remote: write_body(
                SequenceSet([(0, 1), *((e, e + 3) for e in ends)]), remote, time_s=0
            ),
            st.lists(st.integers(0, 60), max_size=5),
            st.sampled_from(["", "3", "12", '"3"']),
        )
    ]
    * 2
)
def test_the_rule_never_goes_beyond_either_copy(own: bytes, peers: bytes) -> None:
    completed, since = combine(own, peers)
    assert completed == read_body(own)[0].intersect(read_body(peers)[0])
    assert since in ("", read_body(own)[1], read_body(peers)[1])
    assert combine(peers, own) == (completed, since)


# --- saving --------------------------------------------------------------------------------------


def saving(storage: MemoryStorage | None = None, **more: Any) -> tuple[Driven, ScriptedPeer]:
    """A pull-only session that has something to save and has just asked for it."""
    driven = Driven(active(push=False, **more), storage or MemoryStorage("a"))
    peer = opened(driven)
    peer.reply(peer.take("subChanges"))
    peer.send("changes", [[7, "doc", "1-aa"]])
    peer.run()
    token = peer.send("rev", {}, id="doc", rev="1-aa", sequence="7")
    peer.send("changes", [], no_reply=True)
    peer.run()
    assert not peer.replies[token].error
    return driven, peer


def test_the_peers_copy_is_saved_first_and_ours_after_it() -> None:
    driven, peer = saving()
    request = peer.take("setCheckpoint")
    assert request.properties["client"] == "cp-_default"
    assert request.properties["rev"] == ""
    assert orjson.loads(request.body) == {"time": 0, "local": 1, "remote": 7}
    assert driven.storage.own == {}
    peer.reply(request, rev="1-cc")
    peer.run()
    assert driven.storage.own == {"cp-_default": request.body}
    assert driven.finished is not None
    assert driven.error is None


@pytest.mark.parametrize("code", [404, 409])
def test_a_checkpoint_that_somebody_else_wrote_is_written_over_with_our_own_body(code: int) -> None:
    driven, peer = saving()
    first = peer.take("setCheckpoint")
    peer.refuse(first, code)
    peer.run()
    peer.reply(peer.take("getCheckpoint"), {"remote": 999}, rev="9-cc")
    peer.run()
    again = peer.take("setCheckpoint")
    assert again.properties["rev"] == "9-cc"
    assert again.body == first.body
    peer.reply(again, rev="10-cc")
    peer.run()
    assert driven.storage.own == {"cp-_default": first.body}
    assert driven.error is None


def test_a_checkpoint_that_the_peer_lost_meanwhile_is_written_anew() -> None:
    driven, peer = saving()
    peer.refuse(peer.take("setCheckpoint"), 404)
    peer.run()
    peer.refuse(peer.take("getCheckpoint"), 404)
    peer.run()
    again = peer.take("setCheckpoint")
    assert again.properties["rev"] == ""
    peer.reply(again, rev="1-cc")
    peer.run()
    assert driven.finished is not None


def test_a_checkpoint_refused_for_ever_ends_the_session() -> None:
    driven, peer = saving()
    for n in range(20):
        if driven.finished:
            break
        peer.refuse(peer.take("setCheckpoint"), 409)
        peer.run()
        if not driven.finished:
            peer.reply(peer.take("getCheckpoint"), {}, rev=f"{n}-cc")
            peer.run()
    assert isinstance(driven.error, RefusedError)
    assert driven.error.transient, "another session may be writing it in turn"
    assert driven.storage.own == {}


@pytest.mark.parametrize(("code", "close_code"), [(503, 4001), (500, 4002), (403, 4002)])
def test_a_checkpoint_that_cannot_be_saved_ends_the_session(code: int, close_code: int) -> None:
    driven, peer = saving()
    peer.refuse(peer.take("setCheckpoint"), code)
    peer.run()
    assert isinstance(driven.error, RefusedError)
    assert driven.finished is not None
    assert driven.finished.close_code == close_code
    assert driven.storage.own == {}


def test_an_answer_that_never_comes_ends_the_session() -> None:
    driven, peer = saving(continuous=True)
    peer.take("setCheckpoint")
    driven.elapse(REPLY_TIMEOUT_S)
    peer.run()
    assert driven.error is not None
    assert driven.finished is not None
    assert driven.finished.close_code == 4001


@pytest.mark.parametrize("rev", ["1" * (REVISION_ID_BYTES_MAX + 1), "1" * 90_000])
def test_a_rev_that_could_not_be_sent_back_ends_the_session(rev: str) -> None:
    driven, peer = saving()
    peer.reply(peer.take("setCheckpoint"), rev=rev)
    peer.run()
    assert isinstance(driven.error, PeerProtocolError)


def test_when_our_own_copy_cannot_be_saved_the_session_ends() -> None:
    driven, peer = saving()
    request = peer.take("setCheckpoint")
    error = disk_fails_at(driven.storage, 1)
    peer.reply(request, rev="1-cc")
    peer.run()
    assert driven.error is error
    assert isinstance(error, StoreError)
    assert driven.storage.own == {}


def test_a_running_replication_saves_now_and_then() -> None:
    driven = Driven(active(push=False, continuous=True), MemoryStorage("a"))
    peer = opened(driven)
    peer.reply(peer.take("subChanges"))
    peer.send("changes", [[1, "a", "1-aa"], [2, "b", "1-bb"]])
    peer.run()
    peer.send("rev", {}, id="a", rev="1-aa", sequence="1")
    peer.run()
    assert not peer.requests
    deadline = driven.session.next_deadline()
    assert deadline == CHECKPOINT_INTERVAL_S
    driven.elapse(CHECKPOINT_INTERVAL_S / 2)
    peer.run()
    assert not peer.requests
    driven.elapse(CHECKPOINT_INTERVAL_S / 2)
    peer.run()
    request = peer.take("setCheckpoint")
    assert orjson.loads(request.body)["remote"] == 1
    # Only one at a time, whatever happens meanwhile.
    peer.send("rev", {}, id="b", rev="1-bb", sequence="2")
    peer.run()
    driven.elapse(CHECKPOINT_INTERVAL_S * 2)
    peer.run()
    assert not peer.requests
    peer.reply(request, rev="1-cc")
    driven.elapse(0)
    peer.run()
    driven.elapse(CHECKPOINT_INTERVAL_S)
    peer.run()
    second = peer.take("setCheckpoint")
    assert second.properties["rev"] == "1-cc"
    assert orjson.loads(second.body)["remote"] == 2


def test_the_same_said_in_another_order_needs_no_saving() -> None:
    storage = MemoryStorage("a")
    storage.own["cp-_default"] = OWN
    storage.last_seq[0] = 5
    driven = Driven(active(), storage)
    peer = opened(driven, "3-cc", b'{"remote":7,"local":5,"time":1}')
    request = peer.take("subChanges")
    assert request.properties["since"] == "7"
    peer.reply(request)
    peer.send("changes", [], no_reply=True)
    peer.run()
    assert driven.finished is not None
    assert not peer.take_all("setCheckpoint")


def test_copies_of_two_pasts_agree_on_nothing() -> None:
    completed = SequenceSet([(0, 9)])
    ours = write_body(completed, "9", time_s=1, began_us=1)
    assert combine(ours, write_body(completed, "9", time_s=1, began_us=1))[1] == "9"
    for theirs in (write_body(completed, "9", time_s=1, began_us=2), b'{"local":8,"remote":9}'):
        assert combine(ours, theirs) == (SequenceSet(), "")


def test_a_database_put_back_to_before_its_peer_was_erased_gets_everything() -> None:
    """Seed 227: the numbers of the peer's old and new past were taken for one."""
    left, right = MemoryStorage("a"), MemoryStorage("b", marks=False)
    right.fill(5)
    left.fill(5, prefix="mine")
    assert sync(left, right).a.error is None
    docs, own, last = dict(left.docs[0]), dict(left.own), left.last_seq[0]
    right.docs[0], right.peers, right.last_seq[0] = {}, {}, 0
    right.fill(5, prefix="new")
    assert sync(left, right, wall_offset_s=60.0).a.error is None
    left.docs[0], left.own, left.last_seq[0] = docs, own, last
    two = sync(left, right, wall_offset_s=120.0)
    assert two.a.error is None
    assert right.contents() == left.contents()
    assert len(left.contents()) == 15


def test_a_peer_put_back_after_its_database_was_gets_everything() -> None:
    """Seed 7271: our numbers of two pasts were taken for one."""
    left, right = MemoryStorage("a"), MemoryStorage("b", marks=False)
    left.fill(2)
    assert sync(left, right).a.error is None
    docs, own, last = dict(left.docs[0]), dict(left.own), left.last_seq[0]
    left.fill(5, prefix="first")
    assert sync(left, right, wall_offset_s=60.0).a.error is None
    theirs, peers, their_last = dict(right.docs[0]), dict(right.peers), right.last_seq[0]
    left.docs[0], left.own, left.last_seq[0] = docs, own, last
    left.fill(5, prefix="mine")
    assert sync(left, right, wall_offset_s=120.0).a.error is None
    right.docs[0], right.peers, right.last_seq[0] = theirs, peers, their_last
    assert sync(left, right, wall_offset_s=180.0).a.error is None
    assert right.contents() == left.contents()
    assert len(left.contents()) == 12


@pytest.mark.regression("checkpoints that differ")
@pytest.mark.parametrize("lost", ["ours", "theirs", "both"])
def test_after_a_copy_was_lost_all_is_compared_and_nothing_sent_again(lost: str) -> None:
    left, right = MemoryStorage("a"), MemoryStorage("b", marks=False)
    left.fill(300)
    right.fill(300, prefix="other")
    assert sync(left, right).a.error is None
    if lost != "theirs":
        left.own.clear()
    if lost != "ours":
        right.peers.clear()
    two = sync(left, right)
    assert two.a.error is None
    assert two.a.session.progress.pushed == two.a.session.progress.pulled == 0
    assert two.a.count(asks.SaveRevisions) == two.b.count(asks.SaveRevisions) == 0
    assert sync(left, right).a.count(asks.SaveOwnCheckpoint) == 0
