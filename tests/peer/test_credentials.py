"""Sessions, tokens, cookies: what goes along with the request, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from settee import (
    AuthenticationError,
    BasicAuthenticator,
    BearerAuthenticator,
    ClientCertificateAuthenticator,
    ConfigError,
    ConnectionFailedError,
    Database,
    ListenerPasswordAuthenticator,
    Replicator,
    SessionAuthenticator,
    TLSIdentity,
)
from settee.peer.credentials import Credentials
from tests.peer.scene import IDENTITY, serving

BOB = BasicAuthenticator("bob", "password")
PIN = {"pinned_server_certificate": IDENTITY.fingerprint, "max_attempts": 1}
PASSWORDS = ListenerPasswordAuthenticator(lambda user, password: password == "password")


@pytest.fixture
def kitchen(tmp_path: Path) -> Iterator[Database]:
    with Database("kitchen", directory=tmp_path, durability="memory") as db:
        db.default_collection["apples"] = {"n": 1}
        yield db


@pytest.fixture
def van(tmp_path: Path) -> Iterator[Database]:
    with Database("van", directory=tmp_path, durability="memory") as db:
        yield db


@pytest.mark.feature("AUTH-02")
def test_a_session_goes_as_the_cookie_of_its_name(kitchen: Database, van: Database) -> None:
    with serving(kitchen) as (url, requests):
        result = van.replicate(url, authenticator=SessionAuthenticator("abc-123"), **PIN)
        assert result.pulled == 1
        van.replicate(
            url, authenticator=SessionAuthenticator("x", cookie_name="Our-Session"), **PIN
        )
        assert requests.cookies() == ["SyncGatewaySession=abc-123", "Our-Session=x"]
        assert "authorization" not in requests[0]


@pytest.mark.feature("AUTH-04")
def test_a_bearer_token_is_asked_for_anew_before_each_connection(
    kitchen: Database, van: Database
) -> None:
    made = iter(["first", "second"])

    async def later() -> str:
        return "third.token"

    with serving(kitchen) as (url, requests):
        asking = BearerAuthenticator(lambda: next(made))
        for authenticator in (asking, asking, BearerAuthenticator(later), BearerAuthenticator("4")):
            van.replicate(url, authenticator=authenticator, **PIN)
        assert [headers["authorization"] for headers in requests] == [
            "Bearer first",
            "Bearer second",
            "Bearer third.token",
            "Bearer 4",
        ]


@pytest.mark.feature("AUTH-04")
@pytest.mark.parametrize(
    ("raised", "kind", "transient"),
    [
        (OSError("no network"), ConnectionFailedError, True),
        (ConnectionFailedError("not now"), ConnectionFailedError, True),
        (ZeroDivisionError("canary"), AuthenticationError, False),
        ("not a\ntoken: canary", AuthenticationError, False),
        (None, AuthenticationError, False),
    ],
)
def test_a_token_that_is_not_to_be_had_ends_the_attempt_and_nothing_is_sent(
    kitchen: Database, van: Database, raised: Any, kind: type[Exception], transient: bool
) -> None:
    def token() -> Any:
        if isinstance(raised, Exception):
            raise raised
        return raised

    with serving(kitchen) as (url, requests):
        with pytest.raises(kind) as caught:
            van.replicate(url, authenticator=BearerAuthenticator(token), **PIN)
        assert caught.value.transient is transient  # type: ignore[attr-defined]
        assert requests == []
        assert not isinstance(raised, str) or "canary" not in str(caught.value)


@pytest.mark.feature("AUTH-01", "REP-15")
def test_the_session_cookie_that_answers_a_password_is_kept_in_the_database_and_reused(
    kitchen: Database, tmp_path: Path
) -> None:
    with serving(kitchen, authenticator=PASSWORDS) as (url, requests):
        requests.answer = (
            ("Set-Cookie", "SyncGatewaySession=s1; Path=/kitchen; Max-Age=86400; HttpOnly"),
            ("Set-Cookie", "seen=yes"),
            ("Set-Cookie", "foreign=1; Domain=example.com"),
        )
        with Database("van", directory=tmp_path, durability="memory") as van:
            replicator = Replicator(van, url, authenticator=BOB, **PIN)
            for _ in range(2):
                replicator.start()
                replicator.wait_for("stopped")
        with Database("van", directory=tmp_path, durability="memory") as van:
            van.replicate(url, authenticator=BOB, **PIN)
            van.replicate(url, authenticator=BasicAuthenticator("eve", "password"), **PIN)
        assert requests.cookies() == [
            "",
            "SyncGatewaySession=s1; seen=yes",
            "SyncGatewaySession=s1",  # What has no end in time ended with the program.
            "",  # Another user's.
        ]
        assert all("authorization" in headers for headers in requests)


@pytest.mark.feature("REP-15")
def test_a_cookie_of_a_refusal_is_kept_too_and_the_configured_session_comes_before_it(
    kitchen: Database, van: Database
) -> None:
    with serving(kitchen, authenticator=PASSWORDS) as (url, requests):
        requests.answer = (
            ("Set-Cookie", "SyncGatewaySession=server; Path=/; Max-Age=60"),
            ("Set-Cookie", "route=7; Path=/; Max-Age=60"),
        )
        session = SessionAuthenticator("mine")
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                van.replicate(url, authenticator=session, **PIN)
        assert requests.cookies() == [
            "SyncGatewaySession=mine",
            "SyncGatewaySession=mine; route=7",
        ]


@pytest.mark.feature("REP-15")
def test_cookies_for_the_domain_above_are_kept_only_when_asked(
    kitchen: Database, van: Database
) -> None:
    with serving(kitchen, tls=False) as (url, requests):
        requests.answer = (("Set-Cookie", "a=1; Domain=example.com; Path=/"),)
        named = van._store  # The jar is asked about the name that was dialled.
        assert named is not None
        van.replicate(url, accept_parent_domain_cookies=True)
        van.replicate(url, accept_parent_domain_cookies=True)
        assert requests.cookies() == ["", ""], "127.0.0.1 has no domain above it"
    from settee.peer.attach import runtime_of
    from settee.peer.credentials import CookieKeeper

    for parents, value in ((False, ""), (True, "a=1")):
        keeper = CookieKeeper(runtime_of(van), van._store, owner="", parent_domains=parents)
        keeper.take(
            secure=True, host="sync.example.com", path="/db", set_cookie=["a=1; Domain=example.com"]
        )
        assert (
            keeper.header(secure=True, host="other.example.com", path="/", but=frozenset()) == value
        )


@pytest.mark.feature("REP-38")
def test_the_user_agent_is_ours_then_the_programs(kitchen: Database, van: Database) -> None:
    with serving(kitchen) as (url, requests):
        van.replicate(url, user_agent="MyApp/1.0", **PIN)
        van.replicate(url, **PIN)
        assert requests[0]["user-agent"] == requests[1]["user-agent"] + " MyApp/1.0"
        assert requests[1]["user-agent"].startswith("settee/")
    for wrong in ("", " ", "a\r\nb", "ü", "x" * 101):
        with pytest.raises(ConfigError, match="user_agent"):
            Replicator(van, url, user_agent=wrong)


def test_several_credentials_are_of_different_kinds() -> None:
    certificate = ClientCertificateAuthenticator(TLSIdentity.anonymous())
    both = Credentials.of([certificate, BOB])
    assert both.are_secret
    assert both.user == "bob"
    assert both.client_identity is not None
    assert not Credentials.of(certificate).are_secret
    assert Credentials.of(None) == Credentials.of([])
    for wrong in ([BOB, BOB], [BOB, BearerAuthenticator("x")], ["bob"], "bob", BasicAuthenticator):
        with pytest.raises(ConfigError, match="authenticator"):
            Credentials.of(wrong)  # type: ignore[arg-type]


@pytest.mark.feature("REP-10")
def test_further_headers_go_with_the_request(kitchen: Database, van: Database) -> None:
    with serving(kitchen) as (url, requests):
        van.replicate(url, headers={"X-Device": "van 7"}, **PIN)
        assert requests[0]["x-device"] == "van 7"
