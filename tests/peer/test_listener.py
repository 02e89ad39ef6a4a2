"""What a listener refuses to be: open to all, unencrypted, or undialable, without being told so."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from settee import (
    BasicAuthenticator,
    ClosedError,
    ConfigError,
    Database,
    DatabaseInUseError,
    HashedUsers,
    ListenerPasswordAuthenticator,
    TLSIdentity,
    URLEndpointListener,
)

ANYBODY = ListenerPasswordAuthenticator(lambda user, password: True)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database("inventory", directory=tmp_path) as db:
        yield db


@pytest.mark.feature("LIS-07")
def test_a_listener_needs_an_authenticator_or_to_be_told_that_all_may_come(db: Database) -> None:
    with pytest.raises(ConfigError, match="allow_anonymous=True"):
        URLEndpointListener(db)
    URLEndpointListener(db, allow_anonymous=True)


def test_without_tls_off_loopback_there_is_a_warning_and_passwords_are_refused(
    db: Database,
) -> None:
    with pytest.raises(ConfigError, match="allow_plaintext_passwords"):
        URLEndpointListener(db, tls=False, authenticator=ANYBODY)
    with pytest.warns(UserWarning, match="no TLS"):
        URLEndpointListener(db, tls=False, authenticator=ANYBODY, allow_plaintext_passwords=True)
    with pytest.warns(UserWarning, match="no TLS"):
        URLEndpointListener(db, tls=False, host="0.0.0.0", allow_anonymous=True)
    URLEndpointListener(db, tls=False, host="127.0.0.1", authenticator=ANYBODY)
    URLEndpointListener(db, tls=False, host="::1", allow_anonymous=True)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"port": 70000}, "port"),
        ({"authenticator": "bob"}, "authenticator"),
        ({"tls": False, "tls_identity": TLSIdentity.anonymous()}, "tls_identity"),
        ({"collections": []}, "collections"),
        ({"collections": ["shop.nothing"]}, "collections"),
        ({"path": "Über"}, "path"),
    ],
)
def test_options_that_can_not_work_are_named(
    db: Database, options: dict[str, object], field: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        URLEndpointListener(db, **{"allow_anonymous": True, **options})
    assert caught.value.field == field


@pytest.mark.feature("LIS-03")
def test_a_port_that_is_taken_is_told(db: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listener = URLEndpointListener(db, host="127.0.0.1", port=port, allow_anonymous=True)
        with pytest.raises(ConfigError, match=str(port)):
            listener.start()
        listener.stop()


@pytest.mark.feature("AUTH-05")
def test_a_table_of_hashed_passwords_lets_its_users_in(db: Database, tmp_path: Path) -> None:
    users = HashedUsers()
    users.add("bob", "password")
    identity = TLSIdentity.anonymous()
    with (
        Database("van", directory=tmp_path) as van,
        URLEndpointListener(
            db,
            host="127.0.0.1",
            tls_identity=identity,
            authenticator=ListenerPasswordAuthenticator(users),
        ) as listener,
    ):
        refused: list[str] = []
        listener.on_refused(lambda refusal: refused.append(refusal.stage))
        van.default_collection["x"] = {"n": 1}
        result = van.replicate(
            listener.urls[0],
            authenticator=BasicAuthenticator("bob", "password"),
            pinned_server_certificate=identity.certificate_pem,
        )
        assert result.pushed == 1
        assert db.default_collection["x"]["n"] == 1
        assert refused == []


def test_a_check_that_raises_lets_nobody_in_and_stays_ours(
    db: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def check(user: str, password: str) -> bool:
        raise ZeroDivisionError

    identity = TLSIdentity.anonymous()
    with (
        Database("van", directory=tmp_path) as van,
        URLEndpointListener(
            db,
            host="127.0.0.1",
            tls_identity=identity,
            authenticator=ListenerPasswordAuthenticator(check),
        ) as listener,
    ):
        with pytest.raises(Exception, match="could not check the password"):
            van.replicate(
                listener.urls[0],
                authenticator=BasicAuthenticator("bob", "password"),
                pinned_server_certificate=identity.fingerprint,
                max_attempts=1,
            )
        assert listener.refusals[0].stage == "auth"
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.feature("LIS-10")
def test_closing_the_database_stops_its_listener(tmp_path: Path) -> None:
    with Database("inventory", directory=tmp_path) as db:
        listener = URLEndpointListener(db, host="127.0.0.1", allow_anonymous=True)
        listener.start()
        port = listener.port
    assert listener.urls == []
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 1)
    with pytest.raises(ClosedError):
        listener.start()


def test_only_one_opener_of_a_database_syncs_at_a_time(tmp_path: Path) -> None:
    with Database("inventory", directory=tmp_path) as first:
        URLEndpointListener(first, allow_anonymous=True)
        with (
            Database("inventory", directory=tmp_path) as second,
            pytest.raises(DatabaseInUseError),
        ):
            URLEndpointListener(second, allow_anonymous=True)
    with Database("inventory", directory=tmp_path) as third:
        URLEndpointListener(third, allow_anonymous=True)


@pytest.mark.feature("LIS-01", "LIS-12")
def test_its_urls_name_every_address_that_peers_can_dial(db: Database) -> None:
    with URLEndpointListener(db, allow_anonymous=True, path="shop") as listener:
        assert listener.urls
        for url in listener.urls:
            assert url.startswith("wss://")
            assert url.endswith(f":{listener.port}/shop")
            assert "0.0.0.0" not in url
        assert repr(listener).startswith("<URLEndpointListener wss://")
        assert listener.status.running
    assert repr(listener) == "<URLEndpointListener stopped>"
