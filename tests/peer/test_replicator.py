"""The replicator's public face, over real sockets."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from settee import (
    Activity,
    BasicAuthenticator,
    CertificateError,
    ConfigError,
    Database,
    DocumentsReplicated,
    Replicator,
    TLSIdentity,
    URLEndpointListener,
)

IDENTITY = TLSIdentity.anonymous()


@pytest.fixture
def kitchen(tmp_path: Path) -> Iterator[Database]:
    with Database("kitchen", directory=tmp_path) as db:
        yield db


@pytest.fixture
def van(tmp_path: Path) -> Iterator[Database]:
    with Database("van", directory=tmp_path) as db:
        yield db


@pytest.fixture
def url(kitchen: Database) -> Iterator[str]:
    with URLEndpointListener(
        kitchen, host="127.0.0.1", tls_identity=IDENTITY, allow_anonymous=True
    ) as listener:
        yield listener.urls[0]


@pytest.mark.feature("REP-01", "REP-24")
@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"replicator_type": "both"}, "replicator_type"),
        ({"heartbeat": 0}, "heartbeat"),
        ({"max_attempts": -1}, "max_attempts"),
        ({"max_attempt_wait": 0}, "max_attempt_wait"),
        ({"authenticator": ("bob", "x")}, "authenticator"),
        ({"collections": []}, "collections"),
        ({"collections": ["_default", "_default"]}, "collections"),
        ({"collections": ["shop.nothing"]}, "collections"),
        ({"headers": {"Authorization": "x"}}, "headers"),
        ({"headers": {"X-A": "a\r\nb"}}, "headers"),
        ({"pinned_server_certificate": "abc"}, "pinned_server_certificate"),
    ],
)
def test_options_that_can_not_work_are_named(
    van: Database, options: dict[str, object], field: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Replicator(van, "wss://127.0.0.1:1/db", **options)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_a_pin_without_tls_warns_that_it_protects_nothing(van: Database) -> None:
    with pytest.warns(UserWarning, match="ws://"):
        Replicator(van, "ws://127.0.0.1:1/db", pinned_server_certificate=IDENTITY.fingerprint)


def test_a_password_for_any_self_signed_certificate_warns(van: Database) -> None:
    with pytest.warns(UserWarning, match="pin the certificate"):
        Replicator(
            van,
            "wss://127.0.0.1:1/db",
            accept_only_self_signed=True,
            authenticator=BasicAuthenticator("bob", "password"),
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Replicator(van, "wss://127.0.0.1:1/db", accept_only_self_signed=True)


@pytest.mark.feature("REP-31", "REP-32")
def test_statuses_tell_the_whole_story_of_a_one_shot(
    kitchen: Database, van: Database, url: str
) -> None:
    kitchen.default_collection.save_many((f"k{n}", {"n": n}) for n in range(100))
    replicator = Replicator(van, url, pinned_server_certificate=IDENTITY.fingerprint)
    assert replicator.status.activity is Activity.STOPPED
    assert replicator.server_certificate is None
    replicator.start()
    statuses = list(replicator.statuses())
    assert statuses[-1].activity is Activity.STOPPED
    assert statuses[-1].error is None
    assert statuses[-1].progress.pulled == 100
    assert replicator.server_certificate is not None
    assert replicator.server_certificate.fingerprint == IDENTITY.fingerprint
    assert replicator.errors == ()
    replicator.stop()


@pytest.mark.feature("REP-33")
def test_documents_are_reported_with_their_direction(
    kitchen: Database, van: Database, url: str
) -> None:
    kitchen.default_collection["there"] = {"n": 1}
    van.default_collection["here"] = {"n": 2}
    replicator = Replicator(van, url, accept_only_self_signed=True)
    batches: list[DocumentsReplicated] = []
    replicator.on_documents(batches.append)
    heard: list[Activity] = []
    replicator.on_status(lambda status: heard.append(status.activity))
    replicator.start()
    assert replicator.wait_for("stopped", timeout=10)
    replicator.stop()
    van.close()  # Callbacks have all run once the database is closed.
    told = {
        (batch.pushed, document.doc_id, document.deleted, document.error)
        for batch in batches
        for document in batch.documents
    }
    assert told == {(True, "here", False, None), (False, "there", False, None)}
    assert heard[0] is Activity.CONNECTING
    assert heard[-1] is Activity.STOPPED


def test_waiting_for_idle_raises_what_stopped_it(van: Database, url: str) -> None:
    replicator = Replicator(van, url + "x", continuous=True, accept_only_self_signed=True)
    with replicator, pytest.raises(Exception, match="no such database"):
        replicator.wait_for("idle", timeout=10)
    assert replicator.wait_for(Activity.STOPPED, timeout=10)


def test_waiting_in_vain_is_false(van: Database, url: str) -> None:
    replicator = Replicator(van, url, continuous=True, accept_only_self_signed=True)
    with replicator:
        assert replicator.wait_for("idle", timeout=10)
        assert not replicator.wait_for("offline", timeout=0.01)


def test_closing_the_database_stops_its_replicators(
    kitchen: Database, van: Database, url: str
) -> None:
    replicator = Replicator(van, url, continuous=True, accept_only_self_signed=True)
    replicator.start()
    assert replicator.wait_for("idle", timeout=10)
    van.close()
    assert replicator.status.activity is Activity.STOPPED
    assert replicator.status.error is None


@pytest.mark.feature("REP-28")
def test_replicate_is_one_shot(van: Database) -> None:
    with pytest.raises(ConfigError, match="one shot"):
        van.replicate("wss://127.0.0.1:1/db", continuous=True)


def test_an_edit_arrives_at_the_other_peers_listener_by_itself(
    kitchen: Database, van: Database, url: str
) -> None:
    with (
        Replicator(van, url, continuous=True, accept_only_self_signed=True) as replicator,
        kitchen.default_collection.changes() as changes,
    ):
        assert replicator.wait_for("idle", timeout=10)
        van.default_collection["apples"] = {"quantity": 9}
        change = next(iter(changes))
        assert change.document_ids == ("apples",)
        assert kitchen.default_collection["apples"]["quantity"] == 9


def test_a_self_signed_certificate_is_trusted_at_the_first_meeting_only(
    kitchen: Database, van: Database
) -> None:
    options = {
        "accept_only_self_signed": True,
        "authenticator": BasicAuthenticator("bob", "password"),
    }

    def listener(port: int) -> URLEndpointListener:
        return URLEndpointListener(
            kitchen, host="127.0.0.1", port=port, allow_anonymous=True
        )  # Each with a certificate of its own.

    with listener(0) as first:
        url, port = first.urls[0], first.port
        with pytest.warns(UserWarning, match="pin"):
            van.replicate(url, **options)
        with pytest.warns(UserWarning, match="pin"):
            van.replicate(url, **options)
    with listener(port):
        with (
            pytest.warns(UserWarning, match="pin"),
            pytest.raises(CertificateError, match="first meeting"),
        ):
            van.replicate(url, **options)
        with pytest.warns(UserWarning, match="pin"):
            van.replicate(url, trust_on_first_use=False, **options)


def test_a_change_by_another_process_reaches_the_peer_within_a_second(
    kitchen: Database, van: Database, url: str, tmp_path: Path
) -> None:
    with (
        Replicator(van, url, continuous=True, accept_only_self_signed=True) as replicator,
        kitchen.default_collection.changes() as changes,
        Database("van", directory=tmp_path) as other,  # As another process would open it.
    ):
        assert replicator.wait_for("idle", timeout=10)
        began_s = time.monotonic()
        other.default_collection["put-elsewhere"] = {"n": 1}
        assert next(iter(changes)).document_ids == ("put-elsewhere",)
        assert time.monotonic() - began_s < 5  # A second, on a machine with nothing else to do.
