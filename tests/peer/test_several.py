"""Several databases on one port, and what a listener tells of documents."""

from __future__ import annotations

import contextlib
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from settee import (
    ConfigError,
    Database,
    DocumentsReplicated,
    ListenerConnection,
    RefusedError,
    Replicator,
    SyncError,
    URLEndpointListener,
)
from settee.peer.passive import announced_as
from tests.peer.scene import IDENTITY

PIN = {"pinned_server_certificate": IDENTITY.fingerprint, "max_attempts": 1}


@pytest.fixture
def dbs(tmp_path: Path) -> Iterator[list[Database]]:
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(Database(name, directory=tmp_path, durability="memory"))
            for name in ("Kitchen", "office", "van")
        ]


def listening(dbs: Any, **options: Any) -> URLEndpointListener:
    given = {"host": "127.0.0.1", "tls_identity": IDENTITY, "allow_anonymous": True, **options}
    return URLEndpointListener(dbs, **given)


def paths(listener: URLEndpointListener) -> list[str]:
    return [urllib.parse.urlsplit(url).path for url in listener.urls]


@pytest.mark.feature("LIS-16")
def test_each_database_is_served_under_its_own_path(dbs: list[Database]) -> None:
    kitchen, office, van = dbs
    kitchen.default_collection["apples"] = {"n": 1}
    office.default_collection["pens"] = {"n": 2}
    office.default_collection["ink"] = {"n": 3}
    with listening([kitchen, office], path={"office": "desk/paper"}) as listener:
        assert paths(listener) == ["/kitchen", "/desk/paper"]
        assert len({urllib.parse.urlsplit(url).port for url in listener.urls}) == 1
        assert van.replicate(listener.urls[0], **PIN).pulled == 1
        assert "pens" not in van.default_collection
        assert van.replicate(listener.urls[1], **PIN).pulled == 2
        assert office.default_collection["apples"]["n"] == 1, "it came by way of the van"
        with pytest.raises(RefusedError) as caught:
            van.replicate(listener.urls[0].replace("/kitchen", "/office"), **PIN)
        assert caught.value.code == 404
        assert "/kitchen, /desk/paper" in listener.refusals[-1].reason
        with Replicator(van, listener.urls[1], continuous=True, **PIN) as replicator:
            assert replicator.wait_for("idle", timeout=10)
            assert [c.database for c in listener.connections] == ["office"]
            arrived = threading.Event()
            van.default_collection.on_change(lambda change: arrived.set())
            office.default_collection["paper"] = {"n": 4}
            assert arrived.wait(10)


@pytest.mark.feature("LIS-16")
def test_closing_one_of_them_stops_the_listener_and_frees_the_other(dbs: list[Database]) -> None:
    kitchen, office, van = dbs
    listener = listening([kitchen, office])
    listener.start()
    url = listener.urls[0]
    replicator = Replicator(van, url, continuous=True, **PIN)
    replicator.start()
    assert replicator.wait_for("idle", timeout=10)
    office.close()
    assert listener.urls == []
    with pytest.raises(SyncError):
        van.replicate(url, **PIN)
    replicator.stop()
    with listening(kitchen) as alone:
        assert paths(alone) == ["/kitchen"]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"path": "both"}, "path"),
        ({"path": {"office": "kitchen"}}, "path"),
        ({"path": {"nobody": "x"}}, "path"),
        ({"path": {"office": "Über"}}, "path"),
        ({"collections": ["shop.items"]}, "collections"),
    ],
)
def test_options_that_can_not_hold_for_several_are_named(
    dbs: list[Database], options: dict[str, Any], field: str
) -> None:
    dbs[0].collection("shop.items", create=True)
    with pytest.raises(ConfigError) as caught:
        listening(dbs[:2], **options)
    assert caught.value.field == field


def test_none_and_the_same_one_twice_are_refused(dbs: list[Database]) -> None:
    for wrong in ([], [dbs[0], dbs[0]]):
        with pytest.raises(ConfigError, match="db"):
            listening(wrong)


def test_each_database_of_several_is_announced_by_name_and_path() -> None:
    assert announced_as("Our pi", "kitchen", alone=True) == "Our pi"
    assert announced_as("Our pi", "kitchen", alone=False) == "Our pi kitchen"
    assert announced_as("private", "kitchen", alone=False) == "private"
    assert announced_as(True, "kitchen", alone=True) is True
    assert str(announced_as(True, "kitchen", alone=False)).endswith(" kitchen")


@pytest.mark.feature("LIS-18")
def test_a_listener_tells_which_documents_came_and_went_and_by_whom(dbs: list[Database]) -> None:
    kitchen, _, van = dbs
    kitchen.default_collection["apples"] = {"n": 1}
    van.default_collection["pears"] = {"n": 2}
    told: list[tuple[ListenerConnection, DocumentsReplicated]] = []
    enough = threading.Event()

    def hear(connection: ListenerConnection, event: DocumentsReplicated) -> None:
        told.append((connection, event))
        if len({e.pushed for _, e in told}) == 2:
            enough.set()

    listener = listening(kitchen)
    end = listener.on_documents(hear)
    with listener:
        van.replicate(listener.urls[0], **PIN)
        assert enough.wait(10)
        ids = {(event.pushed, d.doc_id) for _, event in told for d in event.documents}
        assert ids == {(False, "pears"), (True, "apples")}
        assert {connection.number for connection, _ in told} == {1}
        end()
        end()
        van.default_collection["more"] = {"n": 3}
        van.replicate(listener.urls[0], **PIN)
    assert len({e.pushed for _, e in told}) == 2
    assert not any(d.doc_id == "more" for _, event in told for d in event.documents)


@pytest.mark.feature("LIS-02", "LIS-14")
def test_only_the_collections_that_it_was_told_are_served(dbs: list[Database]) -> None:
    kitchen, _, van = dbs
    for db in (kitchen, van):
        for name in ("shop.items", "shop.secrets"):
            db.collection(name, create=True)["x"] = {"in": db.name}
    with listening(kitchen, collections=["shop.items"]) as listener:
        assert listener.tls_identity == IDENTITY
        assert listener.config.collections == ("shop.items",)
        assert van.replicate(listener.urls[0], collections=["shop.items"], **PIN).errors == ()
        with pytest.raises(SyncError, match=r"shop\.secrets"):
            van.replicate(listener.urls[0], collections=["shop.secrets"], **PIN)
