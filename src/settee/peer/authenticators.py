"""Who may connect, and as whom: one half for the active peer, one for the listener.

Passwords are never logged and never part of a `repr`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final, Protocol, final, runtime_checkable

from settee.errors import ConfigError
from settee.identity import HashedUsers

__all__ = [
    "Authenticator",
    "BasicAuthenticator",
    "ListenerPasswordAuthenticator",
]


@runtime_checkable
class Authenticator(Protocol):
    """What an active peer shows to be let in."""

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the request headers that carry the credentials."""


@final
class BasicAuthenticator:
    """User name and password of an active peer (HTTP Basic; sent only once TLS is verified).

    Args:
        user: The user name; it can't contain a colon.
        password: The password.

    Raises:
        ConfigError: A colon in the user name, or a control character in either.
    """

    def __init__(self, user: str, password: str) -> None:
        for field, value in (("user", user), ("password", password)):
            if any(ord(c) < 32 or ord(c) == 127 for c in value):
                raise ConfigError(field, "must not contain control characters")
        if ":" in user:
            raise ConfigError("user", "must not contain a colon")
        self.user: Final = user
        self._password: Final = password

    def __repr__(self) -> str:
        return f"BasicAuthenticator({self.user!r}, …)"

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the `Authorization` header (wire protocol 1.5)."""
        pair = f"{self.user}:{self._password}".encode()
        return (("Authorization", "Basic " + base64.b64encode(pair).decode("ascii")),)


@final
class ListenerPasswordAuthenticator:
    """Lets active peers in by user name and password.

    Args:
        check: A callable ``check(user, password) -> bool``, or a `HashedUsers` table. It runs on a
            worker, never on the event loop, so it may take its time.
    """

    def __init__(self, check: Callable[[str, str], bool] | HashedUsers) -> None:
        self._check: Final = check.check if isinstance(check, HashedUsers) else check

    def __repr__(self) -> str:
        return "ListenerPasswordAuthenticator(…)"

    def allows(self, user: str, password: str) -> bool:
        """Tell whether these credentials are good."""
        return bool(self._check(user, password))
