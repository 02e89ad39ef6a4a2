"""Who may come in to a listener, and as whom: asks its authenticators, all of them.

Whoever brings only a part of what is configured is refused. The client is told as little as
possible; whoever runs the listener gets the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from settee.errors import CertificateError, ConfigError
from settee.identity import CertificateInfo, TLSIdentity, describe
from settee.limits import LOGIN_DELAY_S_MAX
from settee.logs import printable, room_log
from settee.net.acceptor import Refuse, UpgradeRequest
from settee.net.link import PeerInfo
from settee.net.tls import ServerTLS
from settee.peer.authenticators import (
    ListenerAuthenticators,
    ListenerCertificateAuthenticator,
    ListenerPasswordAuthenticator,
)
from settee.peer.logins import LoginGuard
from settee.peer.runtime import Runtime

__all__ = ["Admitted", "Doorkeeper", "Keys"]

_log: Final = room_log("peer")


@dataclass(frozen=True, slots=True)
class Keys:
    """What lets active peers in. Immutable. Neither: everybody may come."""

    password: ListenerPasswordAuthenticator | None = None
    certificate: ListenerCertificateAuthenticator | None = None

    @classmethod
    def of(cls, given: ListenerAuthenticators | None) -> Keys:
        """Check the option ``authenticator=``: one, or one of each kind."""
        found: dict[str, object] = {}
        for each in () if given is None else given if isinstance(given, Sequence) else (given,):
            if isinstance(each, ListenerPasswordAuthenticator):
                kind = "password"
            elif isinstance(each, ListenerCertificateAuthenticator):
                kind = "certificate"
            else:
                raise ConfigError(
                    "authenticator",
                    "must be a ListenerPasswordAuthenticator or a "
                    "ListenerCertificateAuthenticator, or one of each",
                )
            if kind in found:
                raise ConfigError("authenticator", "names two of a kind")
            found[kind] = each
        return cls(**found)  # type: ignore[arg-type]

    @property
    def are_none(self) -> bool:
        """Whether everybody may come."""
        return self.password is None and self.certificate is None

    def server_tls(self, identity: TLSIdentity) -> ServerTLS:
        """Return what TLS shows, and asks clients for."""
        certificate = self.certificate
        return ServerTLS(
            certificate_pem=identity.chain_pem,
            private_key_pem=identity.private_key_pem,
            client_anchors_pem=None if certificate is None else certificate.anchors_pem,
            client_pins=() if certificate is None else certificate.pin_digests,
        )


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who came in."""

    user: str | None = None
    """By its password, or else what its certificate calls it; None for anybody."""
    identity: CertificateInfo | None = None
    """The certificate that it showed."""


class Doorkeeper:
    """Judges those who want to come in. Lives on the loop."""

    def __init__(self, keys: Keys, runtime: Runtime) -> None:
        self._keys: Final = keys
        self._runtime: Final = runtime
        self._guard: Final = LoginGuard()
        self._free: Final = list(runtime.logins)
        self._turn: Final = asyncio.Semaphore(len(runtime.logins))
        self._never: Final = asyncio.Event()

    async def judge(self, request: UpgradeRequest, peer: PeerInfo) -> Admitted | Refuse:
        """Return who it is, or why it may not come in."""
        identity = None
        if self._keys.certificate is not None:
            judged = await self._judge_certificate(self._keys.certificate, peer)
            if isinstance(judged, Refuse):
                return judged
            identity = judged
        if self._keys.password is not None:
            password = await self._judge_password(self._keys.password, request, peer)
            if isinstance(password, Refuse):
                return password
            return Admitted(password, identity)
        return Admitted(None if identity is None else identity.common_name, identity)

    async def _judge_certificate(
        self, authenticator: ListenerCertificateAuthenticator, peer: PeerInfo
    ) -> CertificateInfo | Refuse:
        if peer.certificate_der is None:
            # TLS has required one already; this holds if that ever changes.
            return Refuse(
                status=403,
                reason="a client certificate is needed",
                stage="auth",
                note="it showed no certificate",
            )
        try:
            identity = describe(peer.certificate_der)
        except CertificateError as exc:
            return Refuse(
                status=403,
                reason="this client certificate can't be read",
                stage="auth",
                note=str(exc),
            )
        shown = f"{identity.subject}, SHA-256 {identity.fingerprint[:16]}…"
        try:
            allowed = await self._check(lambda: authenticator.allows(identity))
        except Exception:
            return _broken("certificate")
        if not allowed:
            return Refuse(
                status=403,
                reason="this client certificate may not come in",
                stage="auth",
                note=f"the callback refused its certificate ({printable(shown, 200)})",
            )
        return identity

    async def _judge_password(
        self,
        authenticator: ListenerPasswordAuthenticator,
        request: UpgradeRequest,
        peer: PeerInfo,
    ) -> str | Refuse:
        credentials = request.credentials
        if credentials is None:
            return _unauthorized("it showed no user name and password")
        user, password = credentials
        where = printable(user, 60)

        def check() -> bool:
            return authenticator.allows(user, password)

        now = self._runtime.clock.monotonic
        try:
            allowed = await self._check(
                check, lambda: self._guard.wait_s(peer.address, user, now())
            )
        except Exception:
            return _broken("password")
        if allowed is None:
            return Refuse(
                status=429,
                reason="too many failed logins; try again later",
                headers=(("Retry-After", str(round(LOGIN_DELAY_S_MAX))),),
                stage="auth",
                note=f"too many failed logins (user {where})",
            )
        if not allowed:
            self._guard.failed(peer.address, user, now())
            return _unauthorized(f"wrong user name or password (user {where})")
        self._guard.succeeded(peer.address, user)
        return user

    async def _check(
        self, check: Callable[[], bool], wait_s: Callable[[], float | None] = lambda: 0.0
    ) -> bool | None:
        """Run a check of the application on a worker that has nothing else to do.

        `wait_s` tells how long it has to wait; None, which is returned then, that it can't be run.
        """
        waiting_s = wait_s()
        if waiting_s == 0:
            async with self._turn:
                waiting_s = wait_s()  # Those before it may have failed meanwhile.
                if waiting_s == 0:
                    return await self._run(check)
        if waiting_s is None:
            return None
        await self._runtime.sleep(waiting_s, self._never)
        async with self._turn:
            return await self._run(check)

    async def _run(self, check: Callable[[], bool]) -> bool:
        worker = self._free.pop(0)
        try:
            return await self._runtime.run_in(worker.submit, check)
        except Exception:
            _log.exception("the listener's check of who may come in raised an error")
            raise
        finally:
            self._free.append(worker)


def _broken(what: str) -> Refuse:
    return Refuse(
        status=500,
        reason=f"the listener could not check the {what}",
        stage="auth",
        note=f"the {what} check raised an error (see the log)",
    )


def _unauthorized(note: str) -> Refuse:
    return Refuse(
        status=401,
        reason="wrong user name or password",
        headers=(("WWW-Authenticate", 'Basic charset="UTF-8"'),),
        note=note,
    )
