from __future__ import annotations

import orjson
import pytest

from settee.blip.message import Reply
from settee.limits import (
    CHECKPOINT_BODY_BYTES_MAX,
    CHECKPOINT_ID_BYTES_MAX,
    CHECKPOINTS_PER_PEER_MAX,
    DOCUMENT_IDS_SUBSCRIBED_MAX,
)
from settee.sync import effects as asks
from tests.sync.peers import (
    DEFAULT,
    ITEMS,
    ORDERS,
    Driven,
    MemoryStorage,
    ScriptedPeer,
    disk_fails_at,
    error_of,
    passive,
)


def serving(
    *collections: object, storage: MemoryStorage | None = None, **more: object
) -> ScriptedPeer:
    storage = storage or MemoryStorage("b", collections=max(1, len(collections)), marks=False)
    return ScriptedPeer(Driven(passive(*collections, **more), storage))  # type: ignore[arg-type]


def collections(peer: ScriptedPeer, *paths: object, ids: list[object] | None = None) -> Reply:
    ids = [f"cp-{n}" for n in range(len(paths))] if ids is None else ids
    return peer.ask("getCollections", {"checkpoint_ids": ids, "collections": list(paths)})


# --- which collections ---------------------------------------------------------------------------


def test_collections_are_answered_in_the_peers_order_and_the_missing_ones_with_null() -> None:
    peer = serving(ITEMS, ORDERS)
    peer.driven.storage.peers["cp-0"] = ("4-cc", b'{"local":5,"time":1}')
    reply = collections(peer, "shop.orders", "shop.nothing", "shop.items")
    assert orjson.loads(reply.body) == [{"local": 5, "time": 1, "rev": "4-cc"}, None, {}]
    # The index in messages is the peer's.
    peer.driven.storage.save("order", {}, 1)
    assert not peer.ask("subChanges", collection="0").error
    assert orjson.loads(peer.take("changes").body)[0][1] == "order"
    assert error_of(peer.ask("subChanges", collection="1")) == ("HTTP", 403)
    assert error_of(peer.ask("proposeChanges", [["a", "1-aa"]], collection="1")) == ("HTTP", 403)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"junk",
        b"[]",
        b"{}",
        b'{"collections":["_default"]}',
        b'{"collections":"_default","checkpoint_ids":"cp"}',
        b'{"collections":["_default"],"checkpoint_ids":[]}',
        b'{"collections":[],"checkpoint_ids":[]}',
        b'{"collections":[""],"checkpoint_ids":["a"]}',
        b'{"collections":[7],"checkpoint_ids":["a"]}',
        b'{"collections":["a.b.c"],"checkpoint_ids":["a"]}',
        b'{"collections":["_default","_default._default"],"checkpoint_ids":["a","b"]}',
        b'{"collections":["_default"],"checkpoint_ids":[""]}',
        b'{"collections":["_default"],"checkpoint_ids":[null]}',
    ],
)
def test_malformed_collections_are_refused_and_may_be_asked_for_again(body: bytes) -> None:
    peer = serving()
    assert error_of(peer.ask("getCollections", body)) == ("BLIP", 400)
    assert not collections(peer, "_default").error


def test_no_more_collections_than_the_limit() -> None:
    names = [f"c{n}" for n in range(CHECKPOINTS_PER_PEER_MAX)]
    assert not collections(serving(), *names).error
    assert collections(serving(), *names, "one-more").error


def test_collections_are_asked_for_once_and_first() -> None:
    peer = serving()
    assert not collections(peer, "_default").error
    assert error_of(collections(peer, "_default")) == ("BLIP", 400)
    legacy = serving()
    assert error_of(legacy.ask("getCheckpoint", client="cp")) == ("HTTP", 404)
    assert error_of(collections(legacy, "_default")) == ("BLIP", 400)


@pytest.mark.parametrize("profile", ["getCheckpoint", "subChanges", "proposeChanges", "rev"])
def test_the_collection_property_is_for_those_who_named_collections(profile: str) -> None:
    peer = serving()
    assert error_of(peer.ask(profile, client="cp", collection="0")) == ("HTTP", 400)
    assert not collections(peer, "_default").error


@pytest.mark.parametrize("collection", ["1", "-1", "x", "", "²", "99999999999", "0x0", "1.0"])
def test_an_index_that_was_not_given_is_refused(collection: str) -> None:
    peer = serving()
    collections(peer, "_default")
    assert error_of(peer.ask("subChanges", collection=collection)) == ("HTTP", 400)
    assert error_of(peer.ask("subChanges")) == ("HTTP", 400)
    assert not peer.ask("subChanges", collection="0").error


def test_a_legacy_peer_gets_the_default_collection_wherever_it_stands() -> None:
    storage = MemoryStorage("b", collections=2)
    storage.save("doc", {}, 1)
    peer = serving(ITEMS, DEFAULT, storage=storage)
    assert not peer.ask("subChanges").error
    assert orjson.loads(peer.take("changes").body)[0][1] == "doc"
    assert error_of(peer.ask("rev", collection="0")) == ("HTTP", 400)


def test_a_legacy_peer_gets_nothing_where_there_is_no_default_collection() -> None:
    peer = serving(ITEMS)
    assert error_of(peer.ask("getCheckpoint", client="cp")) == ("BLIP", 400)
    assert not collections(peer, "shop.items").error


# --- checkpoints ---------------------------------------------------------------------------------


def test_a_checkpoint_is_kept_byte_for_byte_and_has_a_revision() -> None:
    peer = serving()
    body = b'{"local" : 5,"strange":[1.0]}'
    first = peer.ask("setCheckpoint", body, client="cp-x", rev="")
    assert first.properties["rev"] == "1-cc"
    reply = peer.ask("getCheckpoint", client="cp-x")
    assert (reply.properties["rev"], reply.body) == ("1-cc", body)
    assert peer.ask("setCheckpoint", body, client="cp-x", rev="1-cc").properties["rev"] == "2-cc"
    assert error_of(peer.ask("getCheckpoint", client="cp-y")) == ("HTTP", 404)


@pytest.mark.sec("SEC-25")
@pytest.mark.parametrize("rev", ["", "2-cc", "x"])
def test_a_checkpoint_with_another_revision_is_refused_and_nothing_stored(rev: str) -> None:
    peer = serving()
    peer.ask("setCheckpoint", b'{"local":1}', client="cp-x")
    before = dict(peer.driven.storage.peers)
    assert error_of(peer.ask("setCheckpoint", b'{"local":2}', client="cp-x", rev=rev)) == (
        "HTTP",
        409,
    )
    assert peer.driven.storage.peers == before


@pytest.mark.sec("SEC-25")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"7",
        b"{",
        b'{"a":NaN}',
        b'{"a":1,"a":2}',
        b'{"a":' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"a":"' + b"x" * CHECKPOINT_BODY_BYTES_MAX + b'"}',
        b'{"a":"' + b"x" * 2**20 + b'"}',
    ],
)
def test_a_checkpoint_that_is_no_small_object_is_refused(body: bytes) -> None:
    peer = serving()
    assert error_of(peer.ask("setCheckpoint", body, client="cp"))[1] == 400
    assert peer.driven.storage.peers == {}
    assert peer.driven.session.inbound_bytes == 0


@pytest.mark.sec("SEC-25")
@pytest.mark.parametrize("profile", ["getCheckpoint", "setCheckpoint"])
def test_the_id_of_a_checkpoint_is_bounded(profile: str) -> None:
    peer = serving()
    peer.ask("setCheckpoint", {}, client="x" * CHECKPOINT_ID_BYTES_MAX)
    assert error_of(peer.ask(profile, {}, client="")) == ("BLIP", 400)
    assert error_of(peer.ask(profile, {})) == ("BLIP", 400)
    assert error_of(peer.ask(profile, {}, client="ä" * CHECKPOINT_ID_BYTES_MAX)) == ("BLIP", 400)


def test_a_failing_disk_is_told_as_503_and_the_session_goes_on() -> None:
    peer = serving()
    disk_fails_at(peer.driven.storage, 1)
    assert error_of(collections(peer, "_default")) == ("HTTP", 503)
    for profile in ("getCheckpoint", "setCheckpoint"):
        disk_fails_at(peer.driven.storage, 1)
        reply = peer.ask(profile, {}, client="cp", collection="0")
        assert error_of(reply) == ("HTTP", 503)
    assert peer.driven.session.inbound_bytes == 0
    assert peer.driven.finished is None


# --- subscriptions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        ({"filter": "sync_gateway/bychannel", "channels": "a"}, ("LiteCore", 19)),
        ({"versioning": "version-vectors"}, ("LiteCore", 501)),
    ],
)
def test_what_is_not_supported_is_refused_and_may_be_asked_otherwise(
    properties: dict[str, str], error: tuple[str, int]
) -> None:
    peer = serving()
    assert error_of(peer.ask("subChanges", **properties)) == error
    assert not peer.ask("subChanges").error


@pytest.mark.sec("SEC-26")
def test_a_second_subscription_is_refused() -> None:
    peer = serving()
    assert not peer.ask("subChanges", continuous="true").error
    assert error_of(peer.ask("subChanges")) == ("LiteCore", 501)


@pytest.mark.parametrize(
    "body", [b"x", b'{"docIDs":"a"}', b'{"docIDs":[1]}', b'{"docIDs":{"a":1}}']
)
def test_malformed_document_ids_are_refused(body: bytes) -> None:
    peer = serving()
    assert peer.ask("subChanges", body).error
    assert not peer.ask("subChanges", b'{"docIDs":null}').error


@pytest.mark.sec("SEC-26")
def test_document_ids_are_bounded() -> None:
    peer = serving()
    ids = [str(n) for n in range(DOCUMENT_IDS_SUBSCRIBED_MAX + 1)]
    assert error_of(peer.ask("subChanges", {"docIDs": ids})) == ("HTTP", 400)
    assert not peer.ask("subChanges", {"docIDs": ids[1:]}).error


def test_only_the_documents_asked_for_are_announced() -> None:
    peer = serving()
    peer.driven.storage.fill(5)
    peer.ask("subChanges", {"docIDs": ["doc00003", "nobody"]})
    request = peer.take("changes")
    assert [row[1] for row in orjson.loads(request.body)] == ["doc00003"]
    peer.reply(request, [])
    peer.run()
    assert orjson.loads(peer.take("changes").body) == []


@pytest.mark.parametrize(
    ("since", "count"),
    [
        ("0", 5),
        ("3", 2),
        ("5", 0),
        ("6", 5),  # Beyond the end: this database was restored. All again.
        ("9223372036854775808", 5),
        ("9999999999999999999", 5),
        ("99999999999999999999", 5),
        ("-1", 5),
        ("garbage", 5),
        ('"3"', 5),
        ("", 5),
        ("²", 5),
    ],
)
def test_a_feed_begins_after_since_and_from_the_start_if_that_cannot_be(
    since: str, count: int
) -> None:
    peer = serving()
    peer.driven.storage.fill(5)
    assert not peer.ask("subChanges", since=since).error
    rows = [row for r in peer.take_all("changes") for row in orjson.loads(r.body)]
    assert len(rows) == count
    assert peer.driven.finished is None


def test_tombstones_of_the_past_are_left_out_if_the_peer_wants_so() -> None:
    peer = serving()
    storage = peer.driven.storage
    storage.save("a", {})
    storage.save("b", {})
    storage.save("a", None)
    peer.ask("subChanges", activeOnly="true", continuous="true")
    request = peer.take("changes")
    assert [row[1] for row in orjson.loads(request.body)] == ["b"]
    peer.reply(request, [])
    peer.run()
    peer.driven.save("b", None)
    peer.run()
    later = [row for r in peer.take_all("changes") for row in orjson.loads(r.body)]
    assert [(row[1], row[3]) for row in later] == [("b", 1)]


def test_a_listener_may_let_nobody_push_or_nobody_pull() -> None:
    peer = serving(pull=False)
    for profile in ("proposeChanges", "changes", "rev"):
        assert error_of(peer.ask(profile, [])) == ("HTTP", 403)
    assert not peer.ask("subChanges").error
    assert peer.ask("setCheckpoint", {}, client="cp").properties["rev"] == "1-cc"
    assert error_of(serving(push=False).ask("subChanges")) == ("HTTP", 403)


@pytest.mark.parametrize(
    "profile",
    ["getCollections", "getCheckpoint", "setCheckpoint", "subChanges", "getAttachment", "PING"],
)
def test_a_question_that_wants_no_reply_gets_none_and_does_no_harm(profile: str) -> None:
    peer = serving()
    body = {"checkpoint_ids": ["a"], "collections": ["_default"]}
    peer.send(profile, body, no_reply=True, client="cp")
    peer.run()
    assert peer.driven.finished is None
    assert peer.driven.count(asks.SavePeerCheckpoint) == 0
    assert not collections(peer, "_default").error


@pytest.mark.parametrize("profile", ["", "unsubChanges", "getRev", "putRev", "function", "PING"])
def test_an_unknown_request_is_answered_with_blip_404(profile: str) -> None:
    peer = serving()
    reply = peer.ask(profile)
    assert error_of(reply) == ("BLIP", 404)
    assert reply.body == b"no handler for message"
    assert not collections(peer, "_default").error, "it has not decided about collections"
