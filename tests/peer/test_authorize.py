"""A listener that asks about each document who may read and who may write it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from settee import (
    AccessRequest,
    BasicAuthenticator,
    Blob,
    Database,
    ListenerPasswordAuthenticator,
    RefusedError,
    TLSIdentity,
    URLEndpointListener,
)

IDENTITY = TLSIdentity.anonymous()


def authorize(request: AccessRequest) -> bool:
    """Everybody reads what is public or their own, and writes their own."""
    owner = request.document.get("owner")
    if request.write:
        return owner == request.user
    return owner == request.user or bool(request.document.get("public"))


@pytest.fixture
def kitchen(tmp_path: Path) -> Iterator[Database]:
    with Database("kitchen", directory=tmp_path) as db:
        yield db


@pytest.fixture
def url(kitchen: Database) -> Iterator[str]:
    with URLEndpointListener(
        kitchen,
        host="127.0.0.1",
        tls_identity=IDENTITY,
        authenticator=ListenerPasswordAuthenticator(lambda user, password: password == "x"),
        authorize=authorize,
    ) as listener:
        yield listener.urls[0]


@pytest.mark.feature("LIS-17")
def test_users_get_and_give_only_what_they_may(kitchen: Database, tmp_path: Path, url: str) -> None:
    secret = Blob.from_bytes(b"a secret picture" * 100, "image/png")
    kitchen.default_collection["of-bob"] = {"owner": "bob", "n": 1}
    kitchen.default_collection["of-eve"] = {"owner": "eve", "n": 2, "image": secret}
    kitchen.default_collection["for-all"] = {"owner": "eve", "public": True, "n": 3}
    with Database("van", directory=tmp_path) as van:
        van.default_collection["new-of-bob"] = {"owner": "bob", "n": 4}
        van.default_collection["forged"] = {"owner": "eve", "n": 5}
        result = van.replicate(
            url,
            authenticator=BasicAuthenticator("bob", "x"),
            pinned_server_certificate=IDENTITY.fingerprint,
        )
        assert set(van.default_collection) == {"of-bob", "for-all", "new-of-bob", "forged"}
        assert "new-of-bob" in kitchen.default_collection
        assert "forged" not in kitchen.default_collection
        (error,) = result.errors
        assert error.doc_id == "forged"
        assert isinstance(error.error, RefusedError)
        assert error.error.code == 403
    with Database("eves", directory=tmp_path) as eves:
        eves.replicate(
            url,
            authenticator=BasicAuthenticator("eve", "x"),
            pinned_server_certificate=IDENTITY.fingerprint,
        )
        assert set(eves.default_collection) == {"of-eve", "for-all"}
        assert eves.default_collection["of-eve"]["image"].read() == secret.read()


def push_as(user: str, db: Database, url: str) -> list[str]:
    """Push; return the IDs of what was refused."""
    result = db.replicate(
        url,
        replicator_type="push",
        authenticator=BasicAuthenticator(user, "x"),
        pinned_server_certificate=IDENTITY.fingerprint,
    )
    assert all(isinstance(e.error, RefusedError) and e.error.code == 403 for e in result.errors)
    return sorted(error.doc_id for error in result.errors)


@pytest.mark.feature("LIS-17")
def test_what_is_there_may_be_replaced_or_deleted_by_those_only_who_may_write_it(
    kitchen: Database, tmp_path: Path, url: str
) -> None:
    kitchen.default_collection["a"] = {"owner": "eve", "n": 1}
    kitchen.default_collection["b"] = {"owner": "eve", "public": True, "n": 2}
    with Database("van", directory=tmp_path) as van:
        van.default_collection["a"] = {"owner": "bob", "n": 4}
        van.replicate(
            url,
            replicator_type="pull",
            authenticator=BasicAuthenticator("bob", "x"),
            pinned_server_certificate=IDENTITY.fingerprint,
        )
        van.default_collection["b"] = {"owner": "bob", "n": 5}
        assert push_as("bob", van, url) == ["a", "b"]
        del van.default_collection["b"]
        assert push_as("bob", van, url) == ["b"]
    assert kitchen.default_collection["a"].to_dict() == {"owner": "eve", "n": 1}
    assert kitchen.default_collection["b"]["n"] == 2


@pytest.mark.feature("LIS-17")
def test_who_may_write_a_document_may_delete_it(
    kitchen: Database, tmp_path: Path, url: str
) -> None:
    with Database("van", directory=tmp_path) as van:
        van.default_collection["a"] = {"owner": "bob", "n": 4}
        assert push_as("bob", van, url) == []
        del van.default_collection["a"]
        assert push_as("bob", van, url) == []
    assert "a" not in kitchen.default_collection


def test_a_document_made_while_its_writer_was_being_judged_is_not_written_over(
    kitchen: Database, tmp_path: Path
) -> None:
    """What was allowed was to make it, not to replace somebody else's."""
    asked: list[str] = []

    def judge(request: AccessRequest) -> bool:
        if request.write:
            asked.append(str(request.document.get("owner")))
            if len(asked) == 1:
                kitchen.default_collection["it"] = {"owner": "eve", "n": 1}
        return request.document.get("owner") == request.user

    with (
        URLEndpointListener(
            kitchen,
            host="127.0.0.1",
            tls_identity=IDENTITY,
            authenticator=ListenerPasswordAuthenticator(lambda user, password: password == "x"),
            authorize=judge,
        ) as listener,
        Database("van", directory=tmp_path) as van,
    ):
        van.default_collection["it"] = {"owner": "bob", "n": 2}
        result = van.replicate(
            listener.urls[0],
            authenticator=BasicAuthenticator("bob", "x"),
            pinned_server_certificate=IDENTITY.fingerprint,
        )
    assert [error.doc_id for error in result.errors] == ["it"]
    assert kitchen.default_collection["it"]["owner"] == "eve"
    assert asked[:2] == ["bob", "eve"]
