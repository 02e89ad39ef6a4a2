from __future__ import annotations

import gc
from typing import Any

import orjson
import pytest

from settee.blip.message import Request
from settee.doc.conflict import State
from settee.doc.revision import generation, name, version_of
from settee.doc.version import Vector, Version
from settee.errors import PeerProtocolError
from settee.limits import CHANGES_ROWS_MAX
from settee.sync.arrivals import Coming
from settee.sync.events import Activity
from settee.sync.options import CollectionOptions
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


def test_what_replaced_a_wanted_revision_passes_the_filter_before_it_is_sent() -> None:
    storage = MemoryStorage("b", marks=False)
    storage.save("doc", {"n": "public"})
    driven = Driven(passive(options=(CollectionOptions(push_filter=True),)), storage)
    peer = ScriptedPeer(driven)
    assert not peer.ask("subChanges", continuous="true", sendReplacementRevs="1").error
    request = peer.take("changes")
    storage.may_push = lambda _: False
    driven.save("doc", {"n": "not for everybody"})
    peer.reply(request, [[]])
    peer.run()
    assert peer.take("norev").properties["error"] == "410"
    assert peer.take_all("rev") == []


def test_a_document_offered_out_of_turn_does_not_pass_over_those_before_it() -> None:
    """A one-shot pull: the peer's checkpoint goes by the order of what it is offered."""
    driven, peer = pulling(1)
    peer.reply(peer.take("changes"), [0])
    peer.run()
    old = driven.storage.docs[0]["doc00000"].state.tid
    driven.save("other", {"n": 1})
    newest = driven.save("doc00000", {"n": "new"})
    peer.send("proposeChanges", [["doc00000", old, ""]])
    peer.run()
    rows = [row for r in peer.take_all("changes") for row in orjson.loads(r.body)]
    assert [row[1] for row in rows] == ["other", "doc00000"]
    assert rows[-1][2] == newest


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


@pytest.mark.parametrize("read_between", [True, False])
def test_what_a_stranger_did_after_one_shot_is_not_passed_by_what_is_offered_again(
    read_between: bool,
) -> None:
    """The feed is read on by then, for what the peer pushes, and the stranger's rows left out."""
    storage = MemoryStorage("b", marks=False)
    old = storage.save("shared", {"n": 1})
    driven = Driven(passive(peer_is_settee=True), storage)
    peer = ScriptedPeer(driven)
    assert not peer.ask("subChanges").error
    peer.reply(peer.take("changes"), [0])
    peer.run()
    driven.save("stranger", {})
    if read_between:
        peer.run()
    driven.save("shared", {"n": 2})
    peer.run()
    assert peer.take_all("changes")[1:] == [], "it was told that this was all"
    peer.send("proposeChanges", [["shared", driven.session.dialect.name(old), ""]])
    peer.run()
    rows = [row for r in peer.take_all("changes") for row in orjson.loads(r.body)]
    assert [row[1] for row in rows] == ["stranger", "shared"]


def test_after_one_shot_another_engine_hears_nothing_more() -> None:
    driven, peer = pulling(0)
    peer.take_all("changes")
    peer.ask("rev", {}, id="mine", rev="1-aa", sequence="1")
    assert not peer.take_all("changes")
    assert driven.session.activity is Activity.IDLE


# --- listen before you speak ----------------------------------------------------------------------


def listening(**more: Any) -> tuple[Driven, ScriptedPeer]:
    """A passive session of level 3 with one document, whose peer has just subscribed."""
    storage = MemoryStorage("b", marks=False)
    storage.save("ours", {"n": 1})
    driven = Driven(passive(**more), storage)
    peer = ScriptedPeer(driven)
    peer.patient = False
    assert not peer.ask("subChanges").error
    return driven, peer


def announced(peer: ScriptedPeer) -> list[str]:
    peer.run()
    rows = [row for request in peer.take_all("changes") for row in orjson.loads(request.body)]
    return [row[1] for row in rows]


def test_a_peer_of_trees_is_listened_to_before_anything_is_announced() -> None:
    driven, peer = listening()
    assert announced(peer) == []
    driven.elapse(0.4)
    assert announced(peer) == []
    driven.elapse(0.2)
    assert announced(peer) == ["ours"]


def test_a_peer_that_has_nothing_to_push_says_so_and_is_answered_at_once() -> None:
    _, peer = listening()
    peer.send("proposeChanges", [], no_reply=True)
    assert announced(peer) == ["ours"]


def test_the_last_revision_of_a_peer_ends_the_listening() -> None:
    driven, peer = listening()
    assert not peer.ask("proposeChanges", [["a", "1-aa"], ["b", "1-bb"]]).error
    driven.elapse(1.0)
    assert announced(peer) == [], "it is still pushing"
    assert not peer.ask("rev", {}, id="a", rev="1-aa").error
    assert announced(peer) == []
    assert not peer.ask("rev", {}, id="b", rev="1-bb").error
    assert "ours" in announced(peer)


def test_a_peer_that_falls_silent_while_it_pushes_is_not_waited_for_longer() -> None:
    driven, peer = listening()
    assert not peer.ask("proposeChanges", [["a", "1-aa"]]).error
    driven.elapse(1.9)
    assert announced(peer) == []
    driven.elapse(0.2)
    assert announced(peer) == ["ours"]


def test_a_full_message_of_proposals_is_not_the_last() -> None:
    _, peer = listening()
    rows = [[f"d{n}", "1-aa"] for n in range(CHANGES_ROWS_MAX)]
    assert not peer.ask("proposeChanges", rows).error
    for doc_id, tid in rows:
        assert not peer.ask("rev", {}, id=doc_id, rev=tid).error
    assert announced(peer) == []


@pytest.mark.parametrize("more", [{"level": 4}, {"pull": False}])
def test_a_peer_that_speaks_versions_or_may_not_push_is_not_waited_for(
    more: dict[str, Any],
) -> None:
    _, peer = listening(**more)
    assert announced(peer) == ["ours"]


# --- conflicts ------------------------------------------------------------------------------------


def subscribed(**more: Any) -> tuple[Driven, ScriptedPeer, str]:
    """As `listening`, with what is ours offered and taken, and the end of the changes told."""
    driven, peer = listening(**more)
    peer.patient = True
    peer.run()
    (request, end) = peer.take_all("changes")
    assert orjson.loads(end.body) == []
    peer.reply(request, [])
    peer.run()
    return driven, peer, driven.storage.docs[0]["ours"].state.tid


def test_a_conflict_that_the_peer_of_trees_has_seen_is_resolved_here() -> None:
    """It went on with its own branch; refused once it would be refused for ever."""
    driven, peer, _ = subscribed()
    assert not peer.ask("rev", {"n": 2}, id="ours", rev="1-aa").error
    assert driven.storage.docs[0]["ours"].body == b'{"n":1}', "by the default rule"
    assert driven.failures == []


def under_way() -> tuple[Driven, ScriptedPeer, str, Request]:
    """A peer of trees that has our document; an edit of it was sent, and is not confirmed yet."""
    storage = MemoryStorage("b", marks=False)
    first = storage.save("ours", {"n": 1})
    driven = Driven(passive(), storage)
    peer = ScriptedPeer(driven)
    assert not peer.ask("subChanges", continuous="true", since="1").error
    driven.save("ours", {"n": 2})
    peer.run()
    for request in peer.take_all("changes"):
        if not request.no_reply:
            peer.reply(request, [[first]])
    peer.run()
    return driven, peer, first, peer.take("rev")


def test_an_edit_that_crossed_ours_is_left_to_its_peer_however_late_it_is_saved() -> None:
    """The peer finds the conflict in ours; told that its edit was taken it would not push more."""
    driven, peer, first, ours = under_way()
    token = peer.send("rev", {"n": 3}, id="ours", rev="2-aa", history=first, noconflicts="1")
    peer.reply(ours)  # Before anything could be saved.
    peer.run()
    peer.reply(peer.take("changes"), [0])  # Offered once more: it has ours by now.
    peer.run()
    assert peer.replies[token].properties["Error-Code"] == "409"
    assert driven.storage.docs[0]["ours"].body == b'{"n":2}'


def test_an_edit_that_was_proposed_before_ours_was_seen_is_left_to_its_peer_too() -> None:
    _, peer, first, ours = under_way()
    assert not orjson.loads(peer.ask("proposeChanges", [["ours", "3-bb", first]]).body)
    peer.reply(ours)
    peer.run()
    token = peer.send("rev", {"n": 3}, id="ours", rev="3-bb", history=f"2-aa,{first}")
    peer.run()
    peer.reply(peer.take("changes"), [0])
    peer.run()
    assert peer.replies[token].properties["Error-Code"] == "409"


def test_before_a_peer_of_versions_is_refused_it_is_offered_what_it_conflicts_with() -> None:
    driven, peer, _ = subscribed(level=4)
    theirs = f"{2**60 + 5:x}@{'c' * 21}A"
    token = peer.send("rev", {"n": 2}, id="ours", rev=theirs)
    order: list[str] = []
    for _ in range(50):
        peer.driven.work()
        for message in peer.connection.receive(driven.session.frames_to_send(65536)):
            if isinstance(message, Request):
                order.append("offered")
                peer.reply(message, [0])
            elif message.token == token:
                order.append("refused")
        back = peer.connection.frames_to_send(65536)
        if back:
            driven.session.receive(back, driven.now)
    assert order == ["offered", "refused"]


def test_a_document_that_the_peer_proposes_an_older_revision_of_is_offered_again() -> None:
    driven, peer, tid = subscribed()
    newer = driven.save("ours", {"n": 2})
    token = peer.send("proposeChanges", [["ours", tid]], conflictIncludesRev="true")
    peer.run()
    assert token not in peer.replies, "first it has to see ours, or it might leave"
    offer = peer.take("changes")
    assert orjson.loads(offer.body)[0][1:3] == ["ours", newer]
    peer.reply(offer, [[tid]])
    peer.run()
    assert orjson.loads(peer.replies[token].body) == [{"status": 409, "rev": newer}]
    assert peer.take("rev").properties["history"] == tid


def test_a_settee_revision_that_a_peer_of_trees_brings_is_never_left_to_its_resolver() -> None:
    """It is only the courier: refused, it might keep to its own choice and not pass it on."""
    driven, peer = listening()
    courier = name(1, Version(2**60, "c" * 21 + "A"))
    assert not peer.ask("proposeChanges", [["ours", courier, ""]]).body.strip(b"[]")
    assert not peer.ask("rev", {"n": 2}, id="ours", rev=courier, noconflicts="1").error
    assert driven.storage.docs[0]["ours"].body == b'{"n":1}', "by the default rule"


@pytest.mark.parametrize(("resolves", "error"), [(True, False), (False, True)])
def test_whose_resolver_ends_a_conflict_with_a_tree_edit_is_a_choice(
    resolves: bool, error: bool
) -> None:
    driven, peer = listening(resolves=resolves)
    answers = orjson.loads(peer.ask("proposeChanges", [["ours", "1-aa", ""]]).body)
    assert bool(answers) is error
    assert peer.ask("rev", {"n": 2}, id="ours", rev="1-aa", noconflicts="1").error is error
    assert driven.failures == []


# --- names ----------------------------------------------------------------------------------------


def test_a_revision_that_the_peer_has_under_a_higher_name_is_not_sent_but_learnt() -> None:
    driven, peer = listening()
    peer.patient = True
    tid = driven.storage.docs[0]["ours"].state.tid
    higher = name(7, version_of(tid))
    peer.run()
    request = peer.take_all("changes")[0]
    peer.reply(request, [[higher]])
    peer.run()
    assert peer.take("norev").properties["rev"] == tid
    assert peer.take_all("rev") == []
    assert driven.storage.docs[0]["ours"].state.tid == higher


def test_a_name_without_room_above_what_the_peer_has_is_lifted_and_offered_anew() -> None:
    driven, peer = listening()
    peer.patient = True
    storage = driven.storage
    doc = storage.docs[0]["ours"]
    first, other = doc.state.tid, Version(2**60 + 2**40, "c" * 21 + "A")
    mine = Version(2**60 + 2**41, "d" * 21 + "A")
    vector = Vector(mine, (), (other, version_of(first)))
    state = State(name(2, mine), False, vector, (), (first,))
    storage._put(0, "ours", state, b"{}", ())
    seq = storage.docs[0]["ours"].seq
    driven.changed()
    peer.run()
    request = [r for r in peer.take_all("changes") if not r.no_reply][-1]
    peer.reply(request, [[first]])
    peer.run()
    assert peer.take("norev").properties["id"] == "ours"
    assert generation(storage.docs[0]["ours"].state.tid) >= 3
    assert storage.docs[0]["ours"].seq > seq, "so that it is announced once more"


def test_what_waits_to_be_refused_holds_no_body() -> None:
    """A peer that never answers the offer would have all that it sends kept in memory."""
    driven, peer, _ = subscribed(level=4)
    theirs = f"{2**60 + 5:x}@{'c' * 21}A"
    token = peer.send("rev", {"text": "x" * 100_000}, id="ours", rev=theirs)
    peer.run()
    assert token not in peer.replies
    gc.collect()
    assert [each for each in gc.get_objects() if type(each) is Coming] == []
    assert driven.session.inbound_bytes == 0
