from __future__ import annotations

from typing import Any

import orjson
import pytest

from settee.errors import PeerProtocolError
from settee.sync.events import Activity
from settee.sync.pusher_passive import PassivePusher
from tests.sync.peers import (
    Driven,
    MemoryStorage,
    ScriptedPeer,
    Two,
    active,
    error_of,
    passive,
    sync,
)


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
    left.fill(1500)
    a.changed()
    two.run()
    assert right.contents() == left.contents()
    assert 1 <= sum(echoed) <= 0.05 * 1500
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
    driven.save("other", {})
    peer.send("rev", {}, id="mine2", rev="1-bb", sequence="2")
    peer.send("rev", {}, id="mine3", rev="1-cc", sequence="3")
    peer.run()
    assert not peer.replies[first].error
    rows = [row[1] for r in peer.take_all("changes") for row in orjson.loads(r.body)]
    assert rows == ["mine1", "other", "mine3"], "of each run the last"


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


@pytest.mark.parametrize("count", [1, 300, 1500])
def test_what_a_settee_peer_pushed_in_one_shot_is_not_announced_to_it_next_time(count: int) -> None:
    left, right = MemoryStorage("a"), MemoryStorage("b", marks=False)
    right.fill(5, prefix="theirs")
    assert sync(left, right, peer_is_settee=True).a.error is None
    left.fill(count)
    assert sync(left, right, peer_is_settee=True).a.error is None
    assert orjson.loads(left.own["cp-_default"])["remote"] == right.last_seq[0]
    assert sync(left, right, peer_is_settee=True).frames <= 6


@pytest.mark.parametrize("moment", range(0, 400, 25))
def test_a_stranger_s_change_among_those_pushed_in_one_shot_is_never_passed_over(
    moment: int,
) -> None:
    left, right = MemoryStorage("a"), MemoryStorage("b", marks=False)
    left.fill(300)
    a = Driven(active(peer_is_settee=True), left)
    b = Driven(passive(peer_is_settee=True), right)
    two = Two(a, b)
    a.start()
    two.run(lambda: two.frames >= moment)
    b.save("stranger", {})
    two.run()
    assert a.error is None
    stranger = right.docs[0]["stranger"].seq
    if "stranger" not in left.docs[0]:
        assert orjson.loads(left.own["cp-_default"]).get("remote", 0) < stranger
    assert sync(left, right, peer_is_settee=True).a.error is None
    assert left.contents() == right.contents()


def test_after_one_shot_another_engine_hears_nothing_more() -> None:
    driven, peer = pulling(0)
    peer.take_all("changes")
    peer.ask("rev", {}, id="mine", rev="1-aa", sequence="1")
    assert not peer.take_all("changes")
    assert driven.session.activity is Activity.IDLE
