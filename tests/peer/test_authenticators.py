from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from settee import (
    BasicAuthenticator,
    BearerAuthenticator,
    ConfigError,
    HashedUsers,
    ListenerPasswordAuthenticator,
    SessionAuthenticator,
)
from settee.net.http1 import basic_credentials
from settee.peer.authenticators import Authenticator


def test_user_and_password_travel_as_http_basic_in_utf_8() -> None:
    ((name, value),) = BasicAuthenticator("bob", "pass:wörd").headers()
    assert name == "Authorization"
    assert base64.b64decode(value.removeprefix("Basic ")).decode() == "bob:pass:wörd"
    assert basic_credentials(value) == ("bob", "pass:wörd")


def test_a_password_is_in_no_repr() -> None:
    assert "secret" not in repr(BasicAuthenticator("bob", "secret"))


@pytest.mark.parametrize(("user", "password"), [("a:b", "x"), ("bob", "a\nb"), ("b\0", "x")])
def test_credentials_that_can_not_travel_are_refused(user: str, password: str) -> None:
    with pytest.raises(ConfigError):
        BasicAuthenticator(user, password)


def test_a_listener_checks_by_callback_or_table() -> None:
    by_callback = ListenerPasswordAuthenticator(lambda user, password: user == password)
    assert by_callback.allows("x", "x")
    assert not by_callback.allows("x", "y")
    users = HashedUsers()
    users.add("bob", "password")
    by_table = ListenerPasswordAuthenticator(users)
    assert by_table.allows("bob", "password")
    assert not by_table.allows("bob", "Password")
    assert isinstance(BasicAuthenticator("bob", "x"), Authenticator)


@pytest.mark.feature("AUTH-02", "AUTH-04")
def test_sessions_and_tokens_are_in_no_repr_and_travel_as_headers() -> None:
    session, token = SessionAuthenticator("canary"), BearerAuthenticator("canary.token==")
    assert "canary" not in repr(session) + repr(token) + repr(BearerAuthenticator(lambda: "canary"))
    assert session.headers() == (("Cookie", "SyncGatewaySession=canary"),)
    assert token.headers() == (("Authorization", "Bearer canary.token=="),)
    assert BearerAuthenticator(lambda: "t").headers() == (("Authorization", "Bearer t"),)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SessionAuthenticator(""),
        lambda: SessionAuthenticator("a;b"),
        lambda: SessionAuthenticator("a\r\nX: y"),
        lambda: SessionAuthenticator("a", cookie_name="a b"),
        lambda: BearerAuthenticator(""),
        lambda: BearerAuthenticator("a b"),
        lambda: BearerAuthenticator("a\n"),
        lambda: BearerAuthenticator(17),  # type: ignore[arg-type]
        lambda: BearerAuthenticator(lambda: 17).headers(),  # type: ignore[arg-type, return-value]
    ],
)
def test_sessions_and_tokens_that_can_not_travel_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError):
        make()
