"""What a user is told when there can be no connection: a clear sentence, soon."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from settee import (
    AuthenticationError,
    BasicAuthenticator,
    CertificateError,
    ConfigError,
    ConnectionFailedError,
    Database,
    ListenerPasswordAuthenticator,
    NotAPeerError,
    RefusedError,
    SyncError,
    TLSIdentity,
    URLEndpointListener,
)

IDENTITY = TLSIdentity.anonymous()
BOB = BasicAuthenticator("bob", "password")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database("van", directory=tmp_path) as db:
        yield db


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[URLEndpointListener]:
    with (
        Database("inventory", directory=tmp_path) as served,
        URLEndpointListener(
            served,
            host="127.0.0.1",
            tls_identity=IDENTITY,
            authenticator=ListenerPasswordAuthenticator(
                lambda user, password: (user, password) == ("bob", "password")
            ),
        ) as listener,
    ):
        yield listener


def refusal(db: Database, url: str, **options: object) -> tuple[SyncError, float]:
    """Replicate, which must fail; returns why and after how many seconds."""
    began_s = time.monotonic()
    with pytest.raises(SyncError) as caught:
        db.replicate(url, max_attempts=1, **options)
    return caught.value, time.monotonic() - began_s


def answering(answer: Callable[[socket.socket], None]) -> tuple[int, Callable[[], None]]:
    """Run something on a port of its own that is no peer; returns the port and how to end it."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                try:
                    answer(connection)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()

    def end() -> None:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)

    return server.getsockname()[1], end


@pytest.mark.feature("DB-20", "AUTH-01", "REP-19")
def test_a_wrong_password_is_told_as_such(db: Database, listener: URLEndpointListener) -> None:
    wrong = BasicAuthenticator("bob", "wrong")
    error, seconds = refusal(
        db, listener.urls[0], authenticator=wrong, pinned_server_certificate=IDENTITY.fingerprint
    )
    assert isinstance(error, AuthenticationError)
    assert "wrong user name or password" in str(error)
    assert not error.transient
    assert seconds < 5
    assert [(r.stage, r.address) for r in listener.refusals] == [("auth", "127.0.0.1")]
    assert "user bob" in listener.refusals[0].reason
    assert "wrong" not in listener.refusals[0].reason.replace("wrong user name or password", "")


def test_no_password_where_one_is_needed_is_told_as_such(
    db: Database, listener: URLEndpointListener
) -> None:
    error, _ = refusal(db, listener.urls[0], pinned_server_certificate=IDENTITY.fingerprint)
    assert isinstance(error, AuthenticationError)


def test_another_certificate_than_the_pinned_one_is_refused_before_any_password(
    db: Database, listener: URLEndpointListener
) -> None:
    other = TLSIdentity.anonymous()
    error, seconds = refusal(
        db,
        listener.urls[0],
        authenticator=BOB,
        pinned_server_certificate=other.fingerprint,
    )
    assert isinstance(error, CertificateError)
    assert "not the pinned one" in str(error)
    assert not error.transient
    assert seconds < 5
    assert {r.stage for r in listener.refusals} <= {"tls", "http"}


def test_a_self_signed_certificate_is_refused_by_default(
    db: Database, listener: URLEndpointListener
) -> None:
    error, seconds = refusal(db, listener.urls[0], authenticator=BOB)
    assert isinstance(error, CertificateError)
    assert "self-signed" in str(error)
    assert seconds < 5


def test_a_wrong_database_name_is_told_as_such(db: Database, listener: URLEndpointListener) -> None:
    url = listener.urls[0].replace("inventory", "inventori")
    error, seconds = refusal(
        db, url, authenticator=BOB, pinned_server_certificate=IDENTITY.fingerprint
    )
    assert isinstance(error, RefusedError)
    assert error.code == 404
    assert "no such database" in str(error)
    assert not error.transient
    assert seconds < 5


def test_who_is_not_let_in_does_not_learn_which_databases_there_are(
    db: Database, listener: URLEndpointListener
) -> None:
    wrong = BasicAuthenticator("bob", "wrong")
    url = listener.urls[0]
    texts = [
        str(refusal(db, u, authenticator=wrong, pinned_server_certificate=IDENTITY.fingerprint)[0])
        for u in (url, url.replace("inventory", "nothing"))
    ]
    assert texts[0] == texts[1]


def test_plain_text_to_a_listener_with_tls_is_told_as_such(
    db: Database, listener: URLEndpointListener
) -> None:
    error, seconds = refusal(db, listener.urls[0].replace("wss:", "ws:"), authenticator=BOB)
    assert isinstance(error, NotAPeerError)
    assert "wss://" in str(error)
    assert not error.transient
    assert seconds < 5
    assert listener.refusals[0].stage == "tls"


def test_tls_to_a_listener_without_is_told_as_such(db: Database, tmp_path: Path) -> None:
    with (
        Database("open", directory=tmp_path) as served,
        URLEndpointListener(served, host="127.0.0.1", tls=False, allow_anonymous=True) as listener,
    ):
        url = listener.urls[0].replace("ws:", "wss:")
        error, seconds = refusal(db, url, accept_only_self_signed=True)
        assert isinstance(error, SyncError)
        assert "ws://" in str(error)
        assert not error.transient
        assert seconds < 5
        result = db.replicate(listener.urls[0])
        assert (result.pushed, result.pulled, result.errors) == (0, 0, ())


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("an SSH server", lambda c: (c.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), c.recv(4096))),
        (
            "a web server",
            lambda c: (
                c.recv(4096),
                c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
            ),
        ),
        ("something that hangs up", lambda c: c.recv(4096)),
    ],
)
def test_something_else_at_the_port_is_told_as_such(
    db: Database, name: str, answer: Callable[[socket.socket], None]
) -> None:
    port, end = answering(answer)
    try:
        error, seconds = refusal(db, f"ws://127.0.0.1:{port}/inventory")
        assert isinstance(error, NotAPeerError | ConnectionFailedError), name
        assert re.search(r"127\.0\.0\.1:\d+", str(error))
        assert seconds < 5
        error, seconds = refusal(
            db, f"wss://127.0.0.1:{port}/inventory", accept_only_self_signed=True
        )
        assert seconds < 5
    finally:
        end()


def test_nobody_at_the_port_is_told_as_such_and_may_pass(db: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error, seconds = refusal(db, f"wss://127.0.0.1:{port}/inventory")
    assert isinstance(error, ConnectionFailedError)
    assert error.transient
    assert "nothing listens there" in str(error)
    assert seconds < 5


@pytest.mark.feature("END-01")
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/db",
        "wss://bob:password@127.0.0.1/db",
        "wss://127.0.0.1",
        "wss:///db",
        "wss://127.0.0.1:99999/db",
        "wss://127.0.0.1/db?x=1",
        "",
    ],
)
def test_a_url_that_can_not_be_dialled_is_refused_at_once(db: Database, url: str) -> None:
    with pytest.raises(ConfigError, match="target"):
        db.replicate(url)
