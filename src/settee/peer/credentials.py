"""What an active peer shows, put together for one connection: headers, certificate, cookies."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from settee.errors import AuthenticationError, ConfigError, ConnectionFailedError, SyncError
from settee.net.cookies import Cookie, CookieJar, domains_above
from settee.peer.authenticators import (
    Authenticator,
    Authenticators,
    BasicAuthenticator,
    BearerAuthenticator,
    ClientCertificateAuthenticator,
    SessionAuthenticator,
)
from settee.peer.runtime import Runtime
from settee.store import Store, Writer
from settee.store import cookies as stored

if TYPE_CHECKING:
    from settee.net.dialer import Cookies

__all__ = ["CookieKeeper", "Credentials"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """All that an active peer shows to be let in. Immutable."""

    shown: tuple[Authenticator, ...] = ()

    @classmethod
    def of(cls, given: Authenticators | None) -> Credentials:
        """Check the option ``authenticator=``: one, or several of different kinds."""
        if given is None:
            return cls()
        shown = tuple(given) if isinstance(given, Sequence) else (given,)
        for each in shown:
            if isinstance(each, type) or not isinstance(each, Authenticator):
                raise ConfigError(
                    "authenticator",
                    "must be a BasicAuthenticator, SessionAuthenticator, BearerAuthenticator or "
                    f"ClientCertificateAuthenticator, or several of these, not {each!r:.60}",
                )
        kinds = [_kind(each) for each in shown]
        if len(set(kinds)) != len(kinds):
            raise ConfigError("authenticator", "names two of a kind; a peer can be shown only one")
        return cls(shown)

    @property
    def are_secret(self) -> bool:
        """Whether who receives them could use them elsewhere: all but a certificate."""
        return any(not isinstance(each, ClientCertificateAuthenticator) for each in self.shown)

    @property
    def user(self) -> str:
        """Whose they are, to keep what is kept for them apart; empty if they don't say."""
        return next((each.user for each in self.shown if isinstance(each, BasicAuthenticator)), "")

    @property
    def client_identity(self) -> tuple[bytes, bytes] | None:
        """Certificate chain and key as PEM, or None."""
        for each in self.shown:
            if isinstance(each, ClientCertificateAuthenticator):
                return each.identity.chain_pem, each.identity.private_key_pem
        return None

    async def headers(self, runtime: Runtime) -> tuple[tuple[str, str], ...]:
        """Return the headers for one connection; on the loop.

        Raises AuthenticationError or ConnectionFailedError if a token could not be had.
        """
        result: list[tuple[str, str]] = []
        for each in self.shown:
            if isinstance(each, BearerAuthenticator):
                result += each.carrying(await _token(each, runtime))
            else:
                result += each.headers()
        return tuple(result)


def _kind(authenticator: Authenticator) -> str:
    if isinstance(authenticator, BasicAuthenticator | BearerAuthenticator):
        return "authorization"
    if isinstance(authenticator, SessionAuthenticator):
        return "session"
    return type(authenticator).__name__


async def _token(authenticator: BearerAuthenticator, runtime: Runtime) -> str:
    """Ask for a token on the worker that runs the application's part, and check it."""

    def ask() -> str:
        token = authenticator.token()
        if inspect.isawaitable(token):
            token = asyncio.run(_awaited(token))
        authenticator.carrying(token)
        return token

    try:
        return await runtime.run_in(runtime.hooks.submit, ask)
    except SyncError:
        raise
    except OSError as exc:
        raise ConnectionFailedError(
            f"the bearer token could not be had just now: {exc}", domain="Network", code=3
        ) from exc
    except ConfigError as exc:
        raise AuthenticationError(
            f"what was given as a bearer token can't be sent: {exc}", domain="WebSocket", code=401
        ) from None
    except Exception as exc:
        raise AuthenticationError(
            f"the bearer token could not be had: {exc!r}", domain="WebSocket", code=401
        ) from exc


async def _awaited(token: Awaitable[str]) -> str:
    return await token


class CookieKeeper:
    """The cookies of one replicator: lasting ones in the database, others as long as it lives.

    Methods run on the loop.
    """

    def __init__(self, runtime: Runtime, store: Store, *, owner: str, parent_domains: bool) -> None:
        self._runtime: Final = runtime
        self._store: Final = store
        self._owner: Final = owner
        self._jar: Final = CookieJar(parent_domains=parent_domains)
        self._read: Final[set[str]] = set()

    def header(self, *, secure: bool, host: str, path: str, but: frozenset[str]) -> str:
        """Return the cookies for a request."""
        self._read_kept(host)
        return self._jar.header(secure=secure, host=host, path=path, wall_s=self._wall_s(), but=but)

    def take(self, *, secure: bool, host: str, path: str, set_cookie: Sequence[str]) -> None:
        """Take the cookies of an answer; `keep` stores them."""
        self._read_kept(host)
        self._jar.take(
            secure=secure, host=host, path=path, wall_s=self._wall_s(), set_cookie=set_cookie
        )

    async def keep(self) -> None:
        """Store what has changed."""
        if not self._jar.changed:
            return
        changed = {
            domain: [_row(cookie) for cookie in self._jar.lasting(domain)]
            for domain in self._jar.changed
        }
        self._jar.changed.clear()

        def job(writer: Writer) -> None:
            for domain, rows in changed.items():
                stored.keep(writer, domain, self._owner, rows)

        if not self._store.read_only:
            await asyncio.wrap_future(self._store.submit(job))

    def _wall_s(self) -> float:
        return self._runtime.clock.wall_ns() / 1e9

    def _read_kept(self, host: str) -> None:
        fresh = [domain for domain in domains_above(host) if domain not in self._read]
        if not fresh:
            return
        self._read.update(fresh)
        with self._store.reader() as reader:
            for domain in fresh:
                rows = stored.kept(reader, domain, self._owner)
                self._jar.load(_cookie(domain, row) for row in rows)


def _row(cookie: Cookie) -> stored.CookieRow:
    assert cookie.expires_s is not None, "only lasting cookies are kept"
    return (
        cookie.name,
        cookie.value,
        cookie.host_only,
        cookie.path,
        cookie.secure,
        cookie.expires_s,
    )


def _cookie(domain: str, row: stored.CookieRow) -> Cookie:
    name, value, host_only, path, secure, expires_s = row
    return Cookie(name, value, domain, host_only, path, secure, expires_s)


if TYPE_CHECKING:

    def _is_what_the_dialler_wants(keeper: CookieKeeper) -> Cookies:
        return keeper
