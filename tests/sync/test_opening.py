from __future__ import annotations

import orjson
import pytest

from settee.limits import REPLY_TIMEOUT_S
from tests.sync.peers import (
    DEFAULT,
    ITEMS,
    ORDERS,
    Driven,
    MemoryStorage,
    ScriptedPeer,
    active,
    error_of,
    opened,
)


def test_the_default_collection_alone_is_replicated_in_legacy_mode() -> None:
    driven = Driven(active(), MemoryStorage("a"))
    peer = ScriptedPeer(driven)
    driven.start()
    peer.run()
    assert peer.take("getCheckpoint").properties == {
        "Profile": "getCheckpoint",
        "client": "cp-_default",
    }
    assert not peer.requests, "nothing is begun before the answer"


def test_other_collections_are_named_and_all_messages_carry_the_index() -> None:
    driven = Driven(active(ITEMS, ORDERS, uuid="u"), MemoryStorage("a", collections=2))
    driven.storage.save("order", {}, 1)
    peer = ScriptedPeer(driven)
    driven.start()
    peer.run()
    request = peer.take("getCollections")
    assert request.properties == {"Profile": "getCollections", "uuid": "u"}
    assert orjson.loads(request.body) == {
        "checkpoint_ids": ["cp-shop.items", "cp-shop.orders"],
        "collections": ["shop.items", "shop.orders"],
    }
    peer.reply(request, [{}, {"local": 1, "rev": "7-cc"}])
    peer.run()
    assert {r.properties["collection"] for r in peer.requests} == {"0", "1"}
    assert [r.properties["collection"] for r in peer.take_all("subChanges")] == ["0", "1"]
    assert error_of(peer.ask("changes", [])) == ("HTTP", 400)
    assert error_of(peer.ask("changes", [], collection="2")) == ("HTTP", 400)
    assert not peer.ask("changes", [], collection="1").error


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 1002),
        (b"{", 1002),
        (b"{}", 1002),
        (b"[]", 1002),
        (b"[{},{}]", 1002),
        (b"[7]", 1002),
        (b"[[]]", 1002),
        (b'[{"rev":"a\\u0000b"}]', 1002),
        (b'[{"rev":"' + b"x" * 100_000 + b'"}]', 1002),
        (b'[{"a":' + b"[" * 300 + b"]" * 300 + b"}]", 1002),
        (b"[null]", 1000),
    ],
)
def test_an_answer_about_collections_of_no_use_ends_the_session(body: bytes, code: int) -> None:
    driven = Driven(active(ITEMS), MemoryStorage("a"))
    peer = ScriptedPeer(driven)
    driven.start()
    peer.run()
    peer.reply(peer.take("getCollections"), body)
    peer.run()
    assert driven.finished is not None
    assert driven.finished.close_code == code
    assert driven.error is not None


@pytest.mark.parametrize("rev", [7, None, {"a": 1}, ""])
def test_a_checkpoint_with_a_strange_revision_is_still_one(rev: object) -> None:
    storage = MemoryStorage("a")
    storage.own["cp-shop.items"] = b'{"remote":5}'
    driven = Driven(active(ITEMS, push=False), storage)
    peer = ScriptedPeer(driven)
    driven.start()
    peer.run()
    peer.reply(peer.take("getCollections"), [{"rev": rev, "remote": 5}])
    peer.run()
    assert peer.take("subChanges").properties["since"] == "5"


@pytest.mark.parametrize("profile", ["getCollections", "getCheckpoint", "subChanges"])
@pytest.mark.parametrize(
    ("domain", "code", "close_code"),
    [
        ("HTTP", 400, 4002),
        ("HTTP", 403, 4002),
        ("HTTP", 503, 4001),
        ("BLIP", 404, 4002),
        ("LiteCore", 501, 4002),
    ],
)
def test_a_refused_opening_ends_the_session(
    profile: str, domain: str, code: int, close_code: int
) -> None:
    driven = Driven(active(ITEMS if profile == "getCollections" else DEFAULT), MemoryStorage("a"))
    if profile == "subChanges":
        peer = opened(driven)
    else:
        peer = ScriptedPeer(driven)
        driven.start()
        peer.run()
    peer.refuse(peer.take(profile), code, domain)
    peer.run()
    assert driven.finished is not None
    assert driven.finished.close_code == close_code


@pytest.mark.parametrize("profile", ["getCollections", "getCheckpoint", "subChanges"])
def test_an_opening_that_nobody_answers_ends_in_time(profile: str) -> None:
    driven = Driven(active(ITEMS if profile == "getCollections" else DEFAULT), MemoryStorage("a"))
    if profile == "subChanges":
        peer = opened(driven)
    else:
        peer = ScriptedPeer(driven)
        driven.start()
        peer.run()
    peer.take(profile)
    assert driven.session.next_deadline() == REPLY_TIMEOUT_S
    driven.elapse(REPLY_TIMEOUT_S - 0.001)
    assert driven.finished is None
    driven.elapse(0.001)
    assert driven.finished is not None
    assert driven.finished.close_code == 4001
    assert driven.session.next_deadline() is None
    driven.elapse(1000)
