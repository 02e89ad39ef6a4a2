from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from settee.doc.records import ChangesPage
from settee.doc.revision import name
from settee.doc.version import Version
from settee.errors import PeerProtocolError, SetteeError, SyncError
from settee.limits import (
    CHANGES_BYTES_MAX,
    CHANGES_ROWS_MAX,
    CHANGES_UNANSWERED_MAX,
    REVS_UNANSWERED_BYTES_MAX,
    REVS_UNANSWERED_MAX,
)
from settee.sync import effects as asks
from settee.sync.events import Activity
from settee.sync.pusher import PassivePusher
from tests.sync.peers import (
    ITEMS,
    ORDERS,
    Driven,
    MemoryStorage,
    ScriptedPeer,
    Two,
    active,
    error_of,
    opened,
    passive,
    sync,
)

STRANGER = Version(2**60 + 77, "z" * 21 + "A")


def pushing(storage: MemoryStorage | None = None, **more: Any) -> tuple[Driven, ScriptedPeer]:
    more.setdefault("pull", False)
    driven = Driven(active(**more), storage or MemoryStorage("a"))
    peer = opened(driven)
    for request in peer.take_all("subChanges"):
        peer.reply(request)
        peer.send("changes", [], no_reply=True)
        peer.run()
    return driven, peer


def saved_checkpoint(peer: ScriptedPeer) -> dict[str, Any]:
    """Take the final setCheckpoint and let the session end."""
    request = peer.take("setCheckpoint")
    peer.reply(request, rev="1-cc")
    peer.run()
    value: dict[str, Any] = orjson.loads(request.body)
    return value


def rows_of(peer: ScriptedPeer) -> list[list[Any]]:
    """Accept everything that is proposed; return the rows."""
    rows: list[list[Any]] = []
    for request in peer.take_all("proposeChanges"):
        if not request.no_reply:
            rows += orjson.loads(request.body)
            peer.reply(request, [])
    peer.run()
    return rows


def pulling(
    count: int = 0, storage: MemoryStorage | None = None, **properties: str
) -> tuple[Driven, ScriptedPeer]:
    """A passive session whose peer has subscribed."""
    storage = storage or MemoryStorage("b", marks=False)
    storage.fill(count)
    driven = Driven(passive(), storage)
    peer = ScriptedPeer(driven)
    assert not peer.ask("subChanges", **properties).error
    return driven, peer


# --- active: what is proposed, and what becomes of it --------------------------------------------


def test_each_document_is_proposed_sent_and_done() -> None:
    storage = MemoryStorage("a")
    tid = storage.save("doc", {"a": 1})
    driven, peer = pushing(storage)
    request = peer.take("proposeChanges")
    assert request.properties == {"Profile": "proposeChanges", "conflictIncludesRev": "true"}
    assert orjson.loads(request.body) == [["doc", tid, "", 7]]
    caught_up = peer.take("proposeChanges")
    assert (caught_up.body, caught_up.no_reply) == (b"[]", True)
    peer.reply(request, [], maxHistory="20")
    peer.run()
    rev = peer.take("rev")
    assert rev.body == b'{"a":1}'
    assert rev.properties == {
        "Profile": "rev",
        "id": "doc",
        "rev": tid,
        "sequence": "1",
        "noconflicts": "1",
    }
    peer.reply(rev)
    peer.run()
    assert storage.marks == {(0, "doc"): tid}
    assert saved_checkpoint(peer)["local"] == 1
    assert driven.finished is not None
    assert driven.session.progress.pushed == 1


def test_a_tombstone_is_pushed_like_any_other() -> None:
    storage = MemoryStorage("a")
    first = storage.save("doc", {"a": 1})
    second = storage.save("doc", None)
    _, peer = pushing(storage)
    rows_of(peer)
    rev = peer.take("rev")
    assert rev.properties["deleted"] == "1"
    assert rev.properties["history"] == first
    assert (rev.properties["rev"], rev.body) == (second, b"{}")


def offers(peer: ScriptedPeer) -> list[tuple[int, int, bool]]:
    """Return (rows, bytes, whether it is the word that all was offered) of all proposals."""
    result = []
    while requests := peer.take_all("proposeChanges"):
        for request in requests:
            rows = orjson.loads(request.body)
            result.append((len(rows), len(request.body), request.no_reply))
            if not request.no_reply:
                peer.reply(request, [304] * len(rows))
        peer.run()
    return result


@pytest.mark.parametrize(
    "count", [0, 1, CHANGES_ROWS_MAX - 1, CHANGES_ROWS_MAX, CHANGES_ROWS_MAX + 1, 1000, 1001]
)
@pytest.mark.parametrize("length", [1, 240])
def test_the_rows_come_in_order_in_bounded_messages_and_the_end_is_told(
    count: int, length: int
) -> None:
    storage = MemoryStorage("a")
    chance = random.Random(1)
    for n in range(count):  # As if to spite the compressor.
        filling = "".join(chance.choices('abcdefghijklmnop"\\', k=length - 5))
        storage.save(f"{n:05}{filling}"[:240], {})
    driven, peer = pushing(storage)
    said = offers(peer)
    assert sum(rows for rows, _, _ in said) == count
    assert [last for _, _, last in said] == [False] * (len(said) - 1) + [True]
    assert all(rows <= CHANGES_ROWS_MAX and size <= CHANGES_BYTES_MAX for rows, size, _ in said)
    assert len(said) <= 1 + -(-count // (CHANGES_BYTES_MAX // (90 + length * 2)))
    if count:
        assert saved_checkpoint(peer)["local"] == count
    assert driven.finished is not None


def test_an_offer_is_one_frame_so_none_overtakes_another() -> None:
    storage = MemoryStorage("b", marks=False)
    chance = random.Random(1)
    for n in range(801):
        storage.save(f"{n:05}{chance.randbytes(60).hex()}", {})
    driven = Driven(passive(), storage)
    peer = ScriptedPeer(driven)
    peer.send("subChanges")
    sequences: list[int] = []
    while not any(r.no_reply for r in peer.requests):
        peer.run()
        for request in peer.take_all("changes"):
            sequences += [row[0] for row in orjson.loads(request.body)]
            if request.no_reply:
                break
            peer.reply(request, [])
        else:
            continue
        break
    assert sequences == list(range(1, 802))


def test_no_more_proposals_are_out_than_the_limit() -> None:
    storage = MemoryStorage("a")
    storage.fill(CHANGES_ROWS_MAX * (CHANGES_UNANSWERED_MAX + 2))
    _, peer = pushing(storage)
    requests = peer.take_all("proposeChanges")
    assert len(requests) == CHANGES_UNANSWERED_MAX
    peer.reply(requests[0], [304] * len(orjson.loads(requests[0].body)))
    peer.run()
    assert len(peer.take_all("proposeChanges")) == 1


def test_304_is_success_and_nothing_is_sent() -> None:
    storage = MemoryStorage("a")
    tid = storage.save("doc", {})
    driven, peer = pushing(storage)
    peer.reply(peer.take("proposeChanges"), [304])
    peer.run()
    assert not peer.take_all("rev")
    assert storage.marks == {(0, "doc"): tid}
    assert saved_checkpoint(peer)["local"] == 1
    assert driven.session.progress.pushed == 0


@pytest.mark.parametrize("answer", [[], [0], [None], [0.0], [{"status": 0}], b"", b"null"])
def test_a_missing_answer_means_send_it(answer: object) -> None:
    storage = MemoryStorage("a")
    storage.save("doc", {})
    _, peer = pushing(storage)
    peer.reply(peer.take("proposeChanges"), answer)
    peer.run()
    peer.take("rev")


@pytest.mark.parametrize(
    "answer",
    [
        b"{",
        {},
        [0, 0],
        ["304"],
        [[]],
        [True],
        [1.5],
        [{}],
        [{"status": "409"}],
        [{"status": None, "rev": "1-aa"}],
    ],
)
def test_a_reply_that_makes_no_sense_ends_the_session_and_counts_nothing(answer: object) -> None:
    storage = MemoryStorage("a")
    storage.save("doc", {})
    driven, peer = pushing(storage)
    peer.reply(peer.take("proposeChanges"), answer)
    peer.run()
    assert isinstance(driven.error, PeerProtocolError)
    assert storage.own == {}
    assert storage.marks == {}


@pytest.mark.parametrize("status", [403, 404, 500, 7, -1])
def test_another_status_fails_the_document_for_good(status: int) -> None:
    storage = MemoryStorage("a")
    storage.fill(2)
    driven, peer = pushing(storage)
    peer.reply(peer.take("proposeChanges"), [status, 304])
    peer.run()
    assert saved_checkpoint(peer) == {"time": 0, "local": 2}
    [(doc_id, error)] = driven.failures
    assert doc_id == "doc00000"
    assert isinstance(error, SyncError)
    assert error.code == status
    assert driven.session.progress.failed == 1


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_a_status_that_passes_leaves_the_document_for_later(status: int) -> None:
    storage = MemoryStorage("a")
    storage.fill(2)
    driven, peer = pushing(storage)
    peer.reply(peer.take("proposeChanges"), [status, 304])
    peer.run()
    assert saved_checkpoint(peer) == {"time": 0, "localCompleted": [0, 1, 2, 1]}
    [(_, error)] = driven.failures
    assert isinstance(error, SyncError)
    assert error.transient


@pytest.mark.parametrize(
    ("code", "close_code"), [(503, 4001), (400, 4002), (403, 4002), (409, 4002)]
)
def test_proposals_refused_as_a_whole_end_the_session(code: int, close_code: int) -> None:
    storage = MemoryStorage("a")
    storage.fill(2)
    driven, peer = pushing(storage)
    peer.refuse(peer.take("proposeChanges"), code)
    peer.run()
    assert driven.finished is not None
    assert driven.finished.close_code == close_code
    assert storage.own == {}


# --- active: 409 ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        409,
        {"status": 409},
        {"status": 409, "rev": ""},
        {"status": 409, "rev": None},
        {"status": 409, "rev": "1-abcd"},
        {"status": 409, "rev": "garbage"},
        {"status": 409, "rev": "7"},
        {"status": 409, "rev": "1-" + "ab" * 50_000},
        {"status": 409, "rev": "18ea99b9b4e50000@UAw43SNtT+Kfr2eFge5bKw"},
    ],
)
@pytest.mark.parametrize("pull", [True, False])
def test_a_conflict_is_left_to_the_pull_or_fails_where_there_is_none(
    answer: object, pull: bool
) -> None:
    storage = MemoryStorage("a")
    storage.save("doc", {})
    driven, peer = pushing(storage, pull=pull)
    peer.reply(peer.take("proposeChanges"), [answer])
    peer.run()
    assert not peer.take_all("rev")
    assert saved_checkpoint(peer)["local"] == 1
    assert [doc_id for doc_id, _ in driven.failures] == ([] if pull else ["doc"])
    assert driven.error is None


def test_after_a_lost_answer_it_is_proposed_on_top_of_what_arrived() -> None:
    storage = MemoryStorage("a")
    first = storage.save("doc", {"n": 1})
    second = storage.save("doc", {"n": 2})
    _, peer = pushing(storage)
    peer.reply(peer.take("proposeChanges"), [{"status": 409, "rev": first}])
    peer.run()
    again = next(r for r in peer.take_all("proposeChanges") if not r.no_reply)
    assert orjson.loads(again.body) == [["doc", second, first, 7]]
    peer.reply(again, [])
    peer.run()
    rev = peer.take("rev")
    assert (rev.properties["rev"], rev.properties["history"]) == (second, first)


def test_a_peer_that_has_it_under_another_name_has_it() -> None:
    storage = MemoryStorage("a")
    storage.save("doc", {})
    version = storage.docs[0]["doc"].state.vector.cv
    _, peer = pushing(storage)
    peer.reply(peer.take("proposeChanges"), [{"status": 409, "rev": name(9, version)}])
    peer.run()
    assert storage.marks[0, "doc"] == name(9, version)
    assert saved_checkpoint(peer)["local"] == 1


def test_a_409_for_a_revision_that_is_no_longer_ours_is_forgotten() -> None:
    storage = MemoryStorage("a")
    storage.save("doc", {"n": 1})
    driven, peer = pushing(storage, continuous=True)
    request = peer.take("proposeChanges")
    second = driven.save("doc", {"n": 2})
    peer.reply(request, [{"status": 409, "rev": name(3, STRANGER)}])
    peer.run()
    assert driven.failures == []
    assert [row[1] for row in rows_of(peer)] == [second]


def test_a_409_to_a_rev_is_left_to_the_pull() -> None:
    for domain, code in (("HTTP", 409), ("LiteCore", 8)):
        storage = MemoryStorage("a")
        storage.save("doc", {})
        driven, peer = pushing(storage, pull=True)
        rows_of(peer)
        peer.refuse(peer.take("rev"), code, domain)
        peer.run()
        assert driven.failures == []
        assert saved_checkpoint(peer)["local"] == 1


def test_a_conflict_ends_with_both_sides_alike_after_one_shot() -> None:
    left, right = MemoryStorage("a"), MemoryStorage("b", marks=False)
    left.save("doc", {"who": "left"})
    right.save("doc", {"who": "right"})
    assert sync(left, right).a.error is None
    assert left.contents() == right.contents()


# --- active: errors of single revisions ----------------------------------------------------------


@pytest.mark.parametrize("code", [400, 404, 409, 500])
def test_a_refused_revision_fails_for_good(code: int) -> None:
    storage = MemoryStorage("a")
    storage.fill(2)
    driven, peer = pushing(storage)
    rows_of(peer)
    first, second = peer.take("rev"), peer.take("rev")
    peer.refuse(first, code)
    peer.reply(second)
    peer.run()
    assert [doc_id for doc_id, _ in driven.failures] == ["doc00000"]
    assert saved_checkpoint(peer) == {"time": 0, "local": 2}


def test_a_revision_refused_for_now_is_offered_again_next_time() -> None:
    storage = MemoryStorage("a")
    storage.fill(3)
    _, peer = pushing(storage)
    rows_of(peer)
    revs = peer.take_all("rev")
    peer.reply(revs[0])
    peer.refuse(revs[1], 503)
    peer.reply(revs[2])
    peer.run()
    body = saved_checkpoint(peer)
    assert body == {"time": 0, "local": 1, "localCompleted": [0, 2, 3, 1]}
    again = Driven(active(pull=False), storage)
    peer = opened(again, "1-cc", orjson.dumps(body))
    assert [row[0] for row in rows_of(peer)] == ["doc00001"]


def test_403_is_tried_once_more_when_the_rest_is_done() -> None:
    storage = MemoryStorage("a")
    storage.fill(2)
    driven, peer = pushing(storage)
    rows_of(peer)
    first, second = peer.take_all("rev")
    peer.refuse(first, 403)
    peer.run()
    assert rows_of(peer) == []
    peer.reply(second)
    peer.run()
    assert [row[0] for row in rows_of(peer)] == ["doc00000"]
    assert driven.failures == []
    peer.refuse(peer.take("rev"), 403)
    peer.run()
    assert [doc_id for doc_id, _ in driven.failures] == ["doc00000"]
    assert saved_checkpoint(peer)["local"] == 2
    assert driven.finished is not None


# --- active: documents that change while they are pushed -----------------------------------------


def test_of_fifty_fast_updates_one_revision_is_under_way_and_the_last_arrives() -> None:
    left, right = MemoryStorage("a"), MemoryStorage("b", marks=False)
    a, b = Driven(active(continuous=True), left), Driven(passive(), right)
    two = Two(a, b)
    a.start()
    two.run()
    for n in range(50):
        a.save("doc", {"n": n})
        two.step()
        assert a.session.revs_out <= 1
    two.run()
    assert right.contents() == left.contents()
    assert orjson.loads(left.own["cp-_default"])["local"] == left.last_seq[0] == 50
    assert b.session.progress.pulled < 50
    assert a.session.activity is Activity.IDLE
    assert sync(left, right).frames <= 12


def test_while_a_revision_is_under_way_only_the_newest_waits() -> None:
    storage = MemoryStorage("a")
    storage.save("doc", {"n": 0})
    driven, peer = pushing(storage, continuous=True)
    rows_of(peer)
    rev = peer.take("rev")
    for n in range(1, 10):
        last = driven.save("doc", {"n": n})
        peer.run()
    assert not peer.take_all("rev")
    assert all(r.no_reply for r in peer.take_all("proposeChanges"))
    peer.reply(rev)
    peer.run()
    assert [row[1] for row in rows_of(peer)] == [last]
    final = peer.take("rev")
    assert final.properties["rev"] == last
    peer.reply(final)
    peer.run()
    assert saved_checkpoint(peer)["local"] == 10


@pytest.mark.parametrize("continuous", [True, False])
def test_a_wanted_revision_that_was_replaced_is_passed_over_for_the_newer(continuous: bool) -> None:
    storage = MemoryStorage("a")
    storage.fill(3)
    driven, peer = pushing(storage, continuous=continuous)
    newer = driven.save("doc00001", {"n": "new"})
    assert len(rows_of(peer)) == 3
    assert [row[1] for row in rows_of(peer)] == [newer]
    for rev in peer.take_all("rev"):
        peer.reply(rev)
    peer.run()
    assert saved_checkpoint(peer)["local"] == 4


def test_a_wanted_document_that_was_purged_is_done() -> None:
    storage = MemoryStorage("a")
    storage.fill(3)
    driven, peer = pushing(storage)
    storage.purge("doc00001")
    rows_of(peer)
    revs = peer.take_all("rev")
    assert len(revs) == 2
    for rev in revs:
        peer.reply(rev)
    peer.run()
    assert saved_checkpoint(peer)["local"] == 3
    assert driven.finished is not None


def test_a_change_made_while_the_feed_is_read_is_not_missed() -> None:
    for kind in (active(continuous=True), active(continuous=True, pull=False)):
        driven = Driven(kind, MemoryStorage("a"))
        driven.delayed.add(asks.ReadChanges)
        peer = opened(driven)
        for request in peer.take_all("subChanges"):
            peer.reply(request)
        peer.send("changes", [], no_reply=True)
        peer.run()
        driven.save("doc", {})  # The page is read, and its answer on its way.
        driven.delayed.clear()
        driven.release()
        peer.run()
        assert [row[0] for row in rows_of(peer)] == ["doc"]


def test_a_row_that_came_while_the_page_was_read_is_proposed_once() -> None:
    storage = MemoryStorage("a")
    storage.fill(3)
    driven = Driven(active(pull=False, continuous=True), storage)
    driven.delayed.add(asks.ReadChanges)
    peer = opened(driven)
    [(ticket, page)] = driven.waiting
    # The end was looked up before the last row was written.
    driven.waiting = [(ticket, ChangesPage(page.rows, 2))]
    driven.delayed.clear()
    driven.changed()
    driven.release()
    peer.run()
    assert len(rows_of(peer)) == 3
    revs = peer.take_all("rev")
    for rev in revs:
        peer.reply(rev)
    peer.run()
    assert len(revs) == 3
    assert rows_of(peer) == []
    assert saved_checkpoint(peer)["local"] == 3


@pytest.mark.parametrize("other", [1, 60, 200])
def test_a_database_with_another_past_pushes_everything(other: int) -> None:
    storage = MemoryStorage("a")
    storage.own["cp-_default"] = b'{"localCompleted":[0,51,70,31]}'
    storage.fill(other)
    driven = Driven(active(pull=False), storage)
    peer = opened(driven, "1-cc", b'{"localCompleted":[0,51,70,31]}')
    rows = rows_of(peer)
    if other < 100:
        assert len(rows) == other
    else:  # Its sequences have caught up: nothing can tell. The checkpoint lies in the same file.
        assert len(rows) == other - 50 - 31
    assert driven.error is None


# --- windows -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 3000])
def test_the_windows_are_never_exceeded_and_nothing_is_left(size: int) -> None:
    storage = MemoryStorage("a", collections=2)
    for n in range(1500):
        storage.save(f"doc{n}", {"text": "x" * size}, n % 2)
    right = MemoryStorage("b", collections=2, marks=False)
    a = Driven(active(ITEMS, ORDERS, pull=False), storage)
    b = Driven(passive(ITEMS, ORDERS), right)
    b.delayed.add(asks.SaveRevisions)  # A slow disk.
    two = Two(a, b)
    a.start()
    while not a.finished:
        two.run()
        b.release()
    assert a.error is None
    assert right.contents(0) == storage.contents(0)
    assert right.contents(1) == storage.contents(1)
    assert a.revs_out_max <= REVS_UNANSWERED_MAX
    assert a.rev_bytes_out_max <= REVS_UNANSWERED_BYTES_MAX
    assert a.revs_out_max == REVS_UNANSWERED_MAX or a.rev_bytes_out_max > 0.9 * 2**21
    assert a.session.revs_out == a.session.rev_bytes_out == 0


def test_a_document_larger_than_the_window_goes_alone() -> None:
    left, right = MemoryStorage("a"), MemoryStorage("b", marks=False)
    left.save("small1", {})
    left.save("large", {"text": "x" * (REVS_UNANSWERED_BYTES_MAX + 5)})
    left.save("small2", {})
    two = sync(left, right)
    assert two.a.error is None
    assert left.contents() == right.contents()
    assert two.a.rev_bytes_out_max == len(left.docs[0]["large"].body)


# --- passive -------------------------------------------------------------------------------------


def test_changes_are_announced_and_the_wanted_ones_sent() -> None:
    driven, peer = pulling(3)
    driven.storage.save("doc00002", None)
    request = peer.take("changes")
    rows = orjson.loads(request.body)
    assert [(row[0], row[1]) for row in rows] == [(1, "doc00000"), (2, "doc00001"), (3, "doc00002")]
    caught_up = peer.take("changes")
    assert (caught_up.body, caught_up.no_reply) == (b"[]", True)
    peer.reply(request, [[], 0])
    peer.run()
    rev = peer.take("rev")
    assert rev.properties["sequence"] == "1"
    assert "noconflicts" not in rev.properties
    peer.reply(rev)
    peer.run()
    assert driven.session.activity is Activity.IDLE
    assert not peer.requests


@pytest.mark.parametrize("answer", [0, None, 304, 409, 500, "x", {}, True, -1])
def test_anything_but_a_list_means_no(answer: object) -> None:
    driven, peer = pulling(1)
    peer.reply(peer.take("changes"), [answer])
    peer.run()
    assert not peer.take_all("rev")
    assert driven.session.activity is Activity.IDLE
    assert driven.finished is None


@pytest.mark.parametrize(
    "bases", [["garbage"], [7, None, {}], ["1-zz", "", "x" * 9999], ["1-aa"] * 10_000]
)
def test_ancestors_that_are_none_are_left_out(bases: list[object]) -> None:
    storage = MemoryStorage("b", marks=False)
    first = storage.save("doc", {})
    storage.save("doc", {"n": 2})
    driven, peer = pulling(0, storage)
    peer.reply(peer.take("changes"), [[*bases, first]])
    peer.run()
    rev = peer.take("rev")
    assert rev.properties["history"].split(",")[-1] in (first, "1-aa")
    assert driven.finished is None


@pytest.mark.parametrize("answer", [b"x", {}, [0, 0, 0], [[], [], [], []]])
def test_a_reply_to_changes_that_makes_no_sense_ends_the_session(answer: object) -> None:
    driven, peer = pulling(2)
    peer.reply(peer.take("changes"), answer)
    peer.run()
    assert isinstance(driven.error, PeerProtocolError)
    assert not peer.take_all("rev")


def test_a_wanted_revision_that_was_replaced_is_told_as_norev() -> None:
    driven, peer = pulling(2, continuous="true")
    request = peer.take("changes")
    old = orjson.loads(request.body)[0][2]
    newer = driven.save("doc00000", {"n": "new"})
    peer.reply(request, [[], []])
    peer.run()
    norev = peer.take("norev")
    assert norev.no_reply
    assert norev.properties["sequence"] == "1"
    assert (norev.properties["rev"], norev.properties["error"]) == (old, "410")
    rows = [row for r in peer.take_all("changes") for row in orjson.loads(r.body)]
    assert [row[2] for row in rows] == [newer]


def test_a_wanted_revision_that_was_replaced_is_sent_newer_if_the_peer_can_take_it() -> None:
    driven, peer = pulling(2, sendReplacementRevs="1")
    request = peer.take("changes")
    old = orjson.loads(request.body)[0][2]
    newer = driven.save("doc00000", {"n": "new"})
    peer.reply(request, [[]])
    peer.run()
    rev = peer.take("rev")
    assert rev.properties["rev"] == newer
    assert rev.properties["replacedRev"] == old
    assert rev.properties["sequence"] == "1"
    assert rev.properties["history"] == old
    assert rev.body == b'{"n":"new"}'


def test_a_wanted_document_that_was_purged_is_told_as_norev() -> None:
    driven, peer = pulling(1)
    request = peer.take("changes")
    driven.storage.purge("doc00000")
    peer.reply(request, [[]])
    peer.run()
    assert peer.take("norev").properties["error"] == "404"
    assert driven.session.activity is Activity.IDLE


def test_a_refused_revision_leaves_the_passive_side_as_it_was() -> None:
    driven, peer = pulling(2)
    peer.reply(peer.take("changes"), [[], []])
    peer.run()
    for rev, code in zip(peer.take_all("rev"), (409, 503), strict=True):
        peer.refuse(rev, code)
    peer.run()
    assert driven.session.activity is Activity.IDLE
    assert driven.session.next_deadline() is None
    assert len(driven.failures) == 2


def test_what_a_peer_pushed_comes_back_to_it_as_one_row_not_as_all() -> None:
    left, right = MemoryStorage("a"), MemoryStorage("b", marks=False)
    a, b = Driven(active(continuous=True), left), Driven(passive(), right)
    two = Two(a, b)
    a.start()
    two.run()
    echoed: list[int] = []
    told = b.session.connection.send_request

    def send_request(token: object, properties: dict[str, str], body: bytes, **more: Any) -> None:
        if properties["Profile"] == "changes":
            echoed.append(len(orjson.loads(body)))
        told(token, properties, body, **more)

    class Ear:
        """Listens to what is said, and passes everything on."""

        def __getattr__(self, word: str) -> object:
            if word == "send_request":
                return send_request
            return getattr(connection, word)

    connection = b.session.connection
    b.session.connection = Ear()  # type: ignore[misc, assignment]
    left.fill(3000)
    a.changed()
    for _ in range(100_000):
        seen = right.last_seq[0]
        moved = two.step()
        if right.last_seq[0] != seen:
            b.changed()
        elif not moved:
            break
    assert right.contents() == left.contents()
    assert 1 <= sum(echoed) <= 0.05 * 3000
    assert all(count <= 1 for count in echoed)
    # And it moved the checkpoint: the next session has nothing to tell.
    assert orjson.loads(left.own["cp-_default"])["remote"] == right.last_seq[0]
    assert sync(left, right).frames <= 12
    pusher = b.session.pushers[0]
    assert isinstance(pusher, PassivePusher)
    assert pusher.given.ranges() == []


def test_changes_of_others_among_those_of_the_peer_are_told() -> None:
    driven, peer = pulling(0, continuous="true")
    peer.take_all("changes")
    first = peer.send("rev", {}, id="mine1", rev="1-aa", sequence="1")
    peer.run()
    driven.storage.save("other", {})
    peer.send("rev", {}, id="mine2", rev="1-bb", sequence="2")
    peer.send("rev", {}, id="mine3", rev="1-cc", sequence="3")
    peer.run()
    driven.changed()
    peer.run()
    assert not peer.replies[first].error
    rows = [row[1] for r in peer.take_all("changes") for row in orjson.loads(r.body)]
    assert rows == ["other", "mine3"]


def test_a_local_change_is_announced_at_once_to_those_who_stay() -> None:
    for continuous in ("true", ""):
        driven, peer = pulling(1, continuous=continuous)
        peer.reply(peer.take("changes"), [0])
        peer.run()
        peer.take_all("changes")
        driven.save("later", {})
        peer.run()
        rows = [row[1] for r in peer.take_all("changes") for row in orjson.loads(r.body)]
        assert rows == (["later"] if continuous else [])


def test_a_passive_peer_proposes_nothing_and_refuses_nothing_that_it_did_not_offer() -> None:
    peer = ScriptedPeer(Driven(passive(), MemoryStorage("b")))
    assert error_of(peer.ask("getAttachment", digest="x")) == ("HTTP", 400)
    assert not peer.requests


def test_a_failing_feed_ends_the_session() -> None:
    storage = MemoryStorage("a")
    error = SetteeError("no feed")
    storage.fail = lambda effect: error if isinstance(effect, asks.ReadChanges) else None
    driven, _ = pushing(storage)
    assert driven.error is error
