from __future__ import annotations

import base64

import pytest

from settee import BasicAuthenticator, ConfigError, HashedUsers, ListenerPasswordAuthenticator
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
