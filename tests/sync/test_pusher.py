from __future__ import annotations

import random

import orjson
import pytest

from settee.doc.records import ChangesPage
from settee.errors import SetteeError
from settee.limits import (
    CHANGES_BYTES_MAX,
    CHANGES_ROWS_MAX,
    CHANGES_UNANSWERED_MAX,
    REVS_UNANSWERED_BYTES_MAX,
    REVS_UNANSWERED_MAX,
)
from settee.sync import effects as asks
from settee.sync import pusher
from settee.sync.events import Activity
from tests.sync.peers import (
    ITEMS,
    ORDERS,
    Driven,
    MemoryStorage,
    ScriptedPeer,
    Two,
    active,
    opened,
    passive,
    pushing,
    rows_of,
    saved_checkpoint,
    sync,
)

PAGE = pusher._PAGE_ROWS
"""Rows of the feed that are read at once."""


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
    "count", [0, 1, CHANGES_ROWS_MAX - 1, CHANGES_ROWS_MAX, CHANGES_ROWS_MAX + 1, PAGE, PAGE + 1]
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


@pytest.mark.parametrize("text", ["²", "-1", "0", "", "x", "9" * 99, "999999"])
def test_a_strange_length_of_history_does_no_harm(text: str) -> None:
    storage = MemoryStorage("a")
    first = storage.save("doc", {})
    storage.save("doc", {})
    _, peer = pushing(storage)
    peer.reply(peer.take("proposeChanges"), [], maxHistory=text)
    peer.run()
    assert peer.take("rev").properties["history"] == first


@pytest.mark.regression("sequence never marked done")
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


@pytest.mark.parametrize("size", [10, 3000])
def test_the_windows_are_never_exceeded_and_nothing_is_left(size: int) -> None:
    storage = MemoryStorage("a", collections=2)
    for n in range(REVS_UNANSWERED_MAX + 500):
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


def test_a_failing_feed_ends_the_session() -> None:
    storage = MemoryStorage("a")
    error = SetteeError("no feed")
    storage.fail = lambda effect: error if isinstance(effect, asks.ReadChanges) else None
    driven, _ = pushing(storage)
    assert driven.error is error


@pytest.mark.parametrize("knows", ["true", ""], ids=["knows blobs", "knows attachments"])
def test_blobs_are_listed_as_attachments_for_a_peer_that_does_not_know_them(knows: str) -> None:
    storage = MemoryStorage("a")
    photo = storage.attach(b"a photo")
    storage.save("doc", {"first": True})
    storage.save("doc", {"album": [{"photo": photo}]})
    storage.save("plain", {"digest": "of a book"})
    _, peer = pushing(storage)
    peer.reply(peer.take("proposeChanges"), [], **({"blobs": knows} if knows else {}))
    peer.run()
    bodies = {r.properties["id"]: orjson.loads(r.body) for r in peer.take_all("rev")}
    entry = {key: value for key, value in photo.items() if key != "@type"}
    listed = {"blob_/album/0/photo": {**entry, "stub": True, "revpos": 2}}
    assert bodies["doc"].pop("_attachments", None) == (None if knows else listed)
    assert bodies["doc"] == {"album": [{"photo": photo}]}
    assert bodies["plain"] == {"digest": "of a book"}
