"""Who may connect, and as whom: one half for the active peer, one for the listener.

Passwords and tokens are never logged and never part of a `repr`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, final, runtime_checkable

from settee.errors import ConfigError
from settee.identity import (
    CertificateInfo,
    CertificateSource,
    HashedUsers,
    TLSIdentity,
    certificates_pem,
)

__all__ = [
    "Authenticator",
    "Authenticators",
    "BasicAuthenticator",
    "BearerAuthenticator",
    "ClientCertificateAuthenticator",
    "ListenerAuthenticator",
    "ListenerAuthenticators",
    "ListenerCertificateAuthenticator",
    "ListenerPasswordAuthenticator",
    "SessionAuthenticator",
]

SESSION_COOKIE: Final = "SyncGatewaySession"
"""Sync Gateway's own name for the cookie that carries a session."""

_COOKIE_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_COOKIE_VALUE: Final = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+\Z")
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*\Z")


# --- the active peer ------------------------------------------------------------------------------


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
        self.user: Final[str] = user
        """The user name."""
        self._password: Final = password

    def __repr__(self) -> str:
        return f"BasicAuthenticator({self.user!r}, …)"

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the `Authorization` header (wire protocol 1.5)."""
        pair = f"{self.user}:{self._password}".encode()
        return (("Authorization", "Basic " + base64.b64encode(pair).decode("ascii")),)


@final
class SessionAuthenticator:
    """A session that Sync Gateway made for an active peer, sent as a cookie.

    Args:
        session_id: The session's id.
        cookie_name: The cookie that carries it.

    Raises:
        ConfigError: Either has characters that a cookie can't.
    """

    def __init__(self, session_id: str, cookie_name: str = SESSION_COOKIE) -> None:
        if not _COOKIE_VALUE.match(session_id):
            raise ConfigError("session_id", "must be visible ASCII without quotes, commas or ;")
        if not _COOKIE_NAME.match(cookie_name):
            raise ConfigError("cookie_name", "must be letters, digits and hyphens")
        self.cookie_name: Final[str] = cookie_name
        """The cookie that carries the session."""
        self._session_id: Final = session_id

    def __repr__(self) -> str:
        return f"SessionAuthenticator(…, cookie_name={self.cookie_name!r})"

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the `Cookie` header (wire protocol 1.5)."""
        return (("Cookie", f"{self.cookie_name}={self._session_id}"),)


@final
class BearerAuthenticator:
    """A bearer token (such as an OpenID Connect ID token) of an active peer.

    Args:
        token: The token, or a callable that returns it, asked before each connection so that it can
            be a fresh one. It runs on a worker, never on the event loop, and may be ``async``.
            An OSError or ConnectionFailedError that it raises counts as a network that may come
            back; any other error ends the replication.

    Raises:
        ConfigError: The token has characters that no token has.
    """

    def __init__(self, token: str | Callable[[], str | Awaitable[str]]) -> None:
        if isinstance(token, str):
            _check_token(token)
        elif not callable(token):
            raise ConfigError("token", f"must be a str or a callable, not {type(token).__name__}")
        self._token: Final = token

    def __repr__(self) -> str:
        return "BearerAuthenticator(…)"

    def token(self) -> str | Awaitable[str]:
        """Return the token, or what is to be awaited for it."""
        return self._token if isinstance(self._token, str) else self._token()

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the `Authorization` header of a token that is had at once (RFC 6750)."""
        token = self.token()
        if not isinstance(token, str):
            raise ConfigError("token", f"must be a str, not {type(token).__name__}")
        return self.carrying(token)

    @staticmethod
    def carrying(token: str) -> tuple[tuple[str, str], ...]:
        """Return the `Authorization` header for this token; raises ConfigError if it is none."""
        _check_token(token)
        return (("Authorization", f"Bearer {token}"),)


def _check_token(token: object) -> None:
    if not isinstance(token, str) or not _TOKEN.match(token):
        # What came may be a secret all the same: it is not shown.
        raise ConfigError("token", "is no bearer token: letters, digits and -._~+/ are possible")


@final
class ClientCertificateAuthenticator:
    """The certificate that an active peer shows during the TLS handshake.

    Args:
        identity: Certificate and private key, such as ``TLSIdentity.self_signed("van")``.
    """

    def __init__(self, identity: TLSIdentity) -> None:
        if not isinstance(identity, TLSIdentity):
            raise ConfigError("identity", f"must be a TLSIdentity, not {type(identity).__name__}")
        self.identity: Final[TLSIdentity] = identity
        """What is shown."""

    def __repr__(self) -> str:
        return f"ClientCertificateAuthenticator({self.identity!r})"

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return nothing: the certificate goes with the handshake."""
        return ()


Authenticators = Authenticator | Sequence[Authenticator]
"""One, or several that are all shown."""


# --- the listener ---------------------------------------------------------------------------------


@final
class ListenerPasswordAuthenticator:
    """Lets active peers in by user name and password.

    Args:
        check: A callable ``check(user, password) -> bool``, or a `HashedUsers` table. It runs on a
            worker, never on the event loop, so it may take its time; two at most run at once. After
            five failures of one user from one address within a minute, further tries have to wait.
    """

    def __init__(self, check: Callable[[str, str], bool] | HashedUsers) -> None:
        self._check: Final = check.check if isinstance(check, HashedUsers) else check

    def __repr__(self) -> str:
        return "ListenerPasswordAuthenticator(…)"

    def allows(self, user: str, password: str) -> bool:
        """Tell whether these credentials are good."""
        return bool(self._check(user, password))


@final
class ListenerCertificateAuthenticator:
    """Lets active peers in by the certificate that they show during the TLS handshake.

    Args:
        roots: Certificates of authorities: whoever has a certificate that goes back to one of them
            is admitted.
        pins: The certificates of those who are admitted, and of nobody else. Whole certificates: a
            fingerprint is not enough to verify a stranger's handshake with.
        accept: A callable ``accept(certificate) -> bool``, asked about each that `roots` or `pins`
            admit, with a `CertificateInfo`. It runs on a worker and may take its time.

    Certificates are PEM or DER, a `Path` to such a file, a `TLSIdentity`, a `CertificateInfo`, or
    a sequence of these. One of `roots` and `pins` has to be given: without either Python's TLS
    refuses every certificate before anybody could be asked.

    Raises:
        ConfigError: Neither or both are given, or one can't be read.
    """

    def __init__(
        self,
        *,
        roots: CertificateSource | Sequence[CertificateSource] | None = None,
        pins: CertificateSource | Sequence[CertificateSource] | None = None,
        accept: Callable[[CertificateInfo], bool] | None = None,
    ) -> None:
        if (roots is None) == (pins is None):
            raise ConfigError(
                "roots",
                "give roots= (authorities) or pins= (the very certificates), and not both; a "
                "callback alone can't admit anybody, only refuse whom these admit",
            )
        field, given = ("roots", roots) if roots is not None else ("pins", pins)
        assert given is not None
        self._anchors: Final = certificates_pem(given, field=field)
        self._pinned: Final = pins is not None
        self._accept: Final = accept

    def __repr__(self) -> str:
        kind = "pins" if self._pinned else "roots"
        return f"ListenerCertificateAuthenticator({kind}: {len(self._anchors)})"

    @property
    def anchors_pem(self) -> bytes:
        """What a certificate has to go back to, as one PEM text."""
        return b"".join(pem for pem, _ in self._anchors)

    @property
    def pin_digests(self) -> tuple[bytes, ...]:
        """SHA-256 of the certificates admitted; empty if authorities decide."""
        return tuple(digest for _, digest in self._anchors) if self._pinned else ()

    def allows(self, certificate: CertificateInfo) -> bool:
        """Tell whether a certificate that TLS has admitted may come in."""
        return self._accept is None or bool(self._accept(certificate))


ListenerAuthenticator = ListenerPasswordAuthenticator | ListenerCertificateAuthenticator

ListenerAuthenticators = ListenerAuthenticator | Sequence[ListenerAuthenticator]
"""One, or one of each kind, which then all have to be satisfied."""
