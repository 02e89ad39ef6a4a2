"""TLS for both roles: contexts made by hand, whom to trust, and what went wrong in words.

Between devices there is no certification authority to ask, so a dialler judges the certificate
itself: it connects without verification, and compares before the first byte of the request is
written. Only roots (its own or the system's) are left to OpenSSL, host name included.

A listener that refuses a client in the TLS handshake has to say so: asyncio and uvloop drop the
alert, and a Couchbase client that just sees a reset tries again for ever. `Handshake` keeps what
OpenSSL wanted to say, and `say_refusal` sends it.

Source: wire protocol 8.5 (which certificates, which error numbers of the domain ``"Network"``).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from settee.errors import (
    CertificateError,
    ConfigError,
    ConnectionFailedError,
    NotAPeerError,
    SyncError,
)
from settee.identity.inspect import describe
from settee.net.http1 import refusal_bytes
from settee.net.wire import certificate_pin

__all__ = [
    "Handshake",
    "ServerTLS",
    "Trust",
    "client_context",
    "dial_failure",
    "refusal_sentence",
    "say_refusal",
    "server_context",
]

_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"
"""Of TLS 1.2: forward secrecy and authenticated encryption only. TLS 1.3 has nothing else."""

_NETWORK: Final = "Network"
_HANDSHAKE_FAILED: Final = 6
_EXPIRED: Final = 7
_UNTRUSTED: Final = 8
_CLIENT_CERTIFICATE_REQUIRED: Final = 9
_CLIENT_CERTIFICATE_REJECTED: Final = 10
_UNKNOWN_ROOT: Final = 11
_REVOKED: Final = 14
_WRONG_NAME: Final = 15

_VERIFY_CODES: Final = {
    9: _EXPIRED,
    10: _EXPIRED,
    18: _UNTRUSTED,
    19: _UNKNOWN_ROOT,
    20: _UNKNOWN_ROOT,
    21: _UNKNOWN_ROOT,
    23: _REVOKED,
    62: _WRONG_NAME,
    64: _WRONG_NAME,
}
"""OpenSSL's verdicts (X509_V_ERR_…) as Couchbase Lite's numbers."""


# --- whom a dialler trusts -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Which listeners a dialler trusts. The first that is given decides, in this order.

    Nothing given: the system's roots.
    """

    pins: tuple[bytes, ...] = ()
    """SHA-256 (32 bytes) of the certificates that the listener's own must be one of. Only its own
    counts: a pinned certificate that comes along in somebody's chain proves nothing."""
    self_signed_only: bool = False
    """Any certificate that is signed with its own key; one signed by an authority is refused."""
    roots_pem: bytes | None = None
    """Authorities to trust instead of the system's. The host name is checked too."""

    def __post_init__(self) -> None:
        if any(len(pin) != 32 for pin in self.pins):
            raise ConfigError("pinned_server_certificate", "a pin is a SHA-256, 32 bytes")

    @property
    def asks_authorities(self) -> bool:
        """Whether OpenSSL verifies chain and host name, and `evaluate` has nothing to judge."""
        return not self.pins and not self.self_signed_only

    def evaluate(self, der: bytes | None, *, now: datetime | None = None) -> None:
        """Judge the certificate that a listener showed, `der`, at the time `now`.

        Raises CertificateError: it says which check failed, and the fingerprint that came.
        """
        if self.asks_authorities:
            return
        if der is None:
            raise CertificateError(
                "the listener showed no certificate", domain=_NETWORK, code=_HANDSHAKE_FAILED
            )
        shown = f"SHA-256 {certificate_pin(der).hex()}"
        if self.pins and certificate_pin(der) not in self.pins:
            raise CertificateError(
                f"the listener's certificate ({shown}) is not the pinned one "
                f"({', '.join(pin.hex() for pin in self.pins)}). If the listener was given a new "
                "identity, pin that; if not, somebody else answers at this address",
                domain=_NETWORK,
                code=_UNTRUSTED,
            )
        info = describe(der)
        moment = datetime.now(UTC) if now is None else now
        if not info.not_before <= moment <= info.not_after:
            when = (
                f"expired on {info.not_after:%Y-%m-%d}"
                if moment > info.not_after
                else f"is valid from {info.not_before:%Y-%m-%d} on only; is this clock right?"
            )
            raise CertificateError(
                f"the listener's certificate ({shown}) {when}", domain=_NETWORK, code=_EXPIRED
            )
        if not self.pins and not info.self_signed:
            raise CertificateError(
                f"the listener's certificate ({shown}) is not self-signed, and only self-signed "
                "ones are accepted here",
                domain=_NETWORK,
                code=_UNTRUSTED,
            )


def client_context(trust: Trust, client_identity: tuple[bytes, bytes] | None) -> ssl.SSLContext:
    """Return the context to dial with; `client_identity` is certificate chain and key as PEM.

    Raises ConfigError if the roots or the identity can't be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _restrict(context)
    if trust.asks_authorities:
        # A common name is anything that its owner likes to be called; hosts are named elsewhere.
        context.hostname_checks_common_name = False
        if trust.roots_pem is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            _load_anchors(context, trust.roots_pem, "trusted_roots")
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client_identity is not None:
        _load_identity(context, *client_identity, "authenticator")
    return context


# --- what a listener shows and asks for ----------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTLS:
    """A listener's identity, and which clients it lets in by certificate."""

    certificate_pem: bytes
    """Its certificate, and the chain if there is one."""
    private_key_pem: bytes
    """The key, not encrypted. Never shown."""
    client_anchors_pem: bytes | None = None
    """Authorities, or the very certificates, that clients' certificates must go back to; None: no
    certificate is asked for. (Python's `ssl` refuses unknown ones before anybody could look.)"""
    client_pins: tuple[bytes, ...] = ()
    """SHA-256 of the only certificates let in. Without them a certificate of `client_anchors_pem`
    that may sign others would let those in too."""
    client_certificate_required: bool = True
    """With `client_anchors_pem`: whether a client without a certificate is refused."""

    def __repr__(self) -> str:
        return f"ServerTLS(asks_clients={self.client_anchors_pem is not None})"


def server_context(tls: ServerTLS) -> ssl.SSLContext:
    """Return the context to accept with.

    Raises ConfigError if the identity or the anchors can't be read.
    """
    context = _KeepingContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    # No resumption: a client that was let in once is judged again, and nothing is kept for it.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    if tls.client_anchors_pem is not None:
        required = tls.client_certificate_required
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        if tls.client_pins:
            context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        _load_anchors(context, tls.client_anchors_pem, "authenticator")
    _load_identity(context, tls.certificate_pem, tls.private_key_pem, "tls_identity")
    return context


def _restrict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def _load_anchors(context: ssl.SSLContext, pem: bytes, field: str) -> None:
    try:
        context.load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError) as exc:
        raise ConfigError(field, f"the certificates are no readable PEM: {exc}") from None


def _load_identity(context: ssl.SSLContext, chain: bytes, key: bytes, field: str) -> None:
    with _as_file(chain.rstrip() + b"\n" + key) as path:
        try:
            # Without a password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(path, password=b"-")
        except (ssl.SSLError, ValueError, OSError) as exc:
            why = getattr(exc, "reason", None) or type(exc).__name__
            raise ConfigError(
                field, f"certificate and private key can't be used together: {why}"
            ) from None


@contextlib.contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """Give OpenSSL, which reads keys from files only, a path to `data`.

    In memory where the system can; else a file that only this user may read, gone right after.
    """
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        handle = os.memfd_create("settee", os.MFD_CLOEXEC)
        try:
            os.write(handle, data)
            yield f"/proc/self/fd/{handle}"
        finally:
            os.close(handle)
        return
    handle, path = tempfile.mkstemp(prefix="settee-")
    try:
        try:
            os.write(handle, data)
        finally:
            os.close(handle)
        yield path
    finally:
        os.unlink(path)


# --- saying no in a handshake --------------------------------------------------------------------

_current: ContextVar[Handshake | None] = ContextVar("settee_handshake", default=None)


class _KeepingObject(ssl.SSLObject):
    """Keeps what OpenSSL wants to say about a failed handshake, before the loop drops it."""

    handshake: Handshake | None = None
    outgoing: ssl.MemoryBIO | None = None

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            if self.handshake is not None and self.outgoing is not None:
                self.handshake.alert = self.outgoing.read()
            raise
        self.handshake = self.outgoing = None


class _KeepingContext(ssl.SSLContext):
    """Makes `_KeepingObject`s for the handshake that runs in this task."""

    sslobject_class = _KeepingObject

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **kwargs: Any
    ) -> ssl.SSLObject:
        """Make the object that does one connection's TLS."""
        made = super().wrap_bio(incoming, outgoing, *args, **kwargs)
        if isinstance(made, _KeepingObject):
            made.handshake, made.outgoing = _current.get(), outgoing
        return made


class Handshake:
    """One TLS handshake of a listener, so that a refusal can still be told to the client.

    Used as a context manager around `connect_accepted_socket`: it keeps a second handle on the
    socket, which stays open when the loop has dropped its own.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.alert = b""
        """What OpenSSL wanted to say when it failed."""
        try:
            self.twin: socket.socket | None = sock.dup()
            self.twin.setblocking(False)
        except OSError:  # No handle free: the client will not be told why.
            self.twin = None

    def __enter__(self) -> Handshake:
        self._token = _current.set(self)
        return self

    def __exit__(self, *exc: object) -> None:
        _current.reset(self._token)
        if self.twin is not None:
            self.twin.close()


async def say_refusal(handshake: Handshake, error: ssl.SSLError, within_s: float = 1.0) -> None:
    """Send the alert of a failed handshake, then wait until the client has read it.

    A client that spoke plain HTTP gets an HTTP answer that says what to dial.
    """
    twin = handshake.twin
    if twin is None:
        return
    alert = handshake.alert
    if error.reason == "HTTP_REQUEST":
        alert = refusal_bytes(
            426,
            "this listener uses TLS; the URL should begin with wss://",
            [("Upgrade", "TLS/1.2, HTTP/1.1")],
        )
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(within_s):
            if alert:
                await loop.sock_sendall(twin, alert)
            twin.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(twin, 4096):
                pass


def refusal_sentence(error: Exception) -> str:
    """Return why a client's TLS handshake failed, for whoever runs the listener."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate was refused: {error.verify_message}"
    if not isinstance(error, ssl.SSLError):
        if isinstance(error, ConnectionAbortedError):
            return "the client did not finish the TLS handshake in time"
        return (
            "the client went away during the TLS handshake; it may not trust this listener's "
            "certificate"
        )
    reason = error.reason or ""
    if reason in ("HTTP_REQUEST", "HTTPS_PROXY_REQUEST"):
        return "plain HTTP on a port with TLS; the client's URL should begin with wss://"
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "the client showed no certificate, and one is required"
    if reason in ("UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW", "WRONG_VERSION_NUMBER"):
        return "the client does not speak TLS 1.2 or 1.3"
    if reason == "NO_SHARED_CIPHER":
        return "the client offers no cipher that is safe enough"
    if "ALERT" in reason:
        told = reason.split("ALERT_", 1)[-1].replace("_", " ").lower()
        return f"the client does not accept this listener's certificate or TLS settings: {told}"
    return f"broken TLS handshake: {reason.replace('_', ' ').lower() or error}"


# --- why a dialler failed ------------------------------------------------------------------------


def dial_failure(
    error: Exception, *, where: str, showed_certificate: bool, der: bytes | None = None
) -> SyncError:
    """Return what a failure in or right after the TLS handshake with `where` means.

    `der` is the certificate that came, if known; `showed_certificate` whether we have one to show.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _not_verified(error, where, der)
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        if reason in ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG"):
            return NotAPeerError(
                f"{where} answers without TLS; if it is a listener without TLS, its URL begins "
                "with ws://",
                domain=_NETWORK,
                code=_HANDSHAKE_FAILED,
            )
        if "ALERT" in reason:
            return _alerted(reason, where, showed_certificate)
        if reason != "UNEXPECTED_EOF_WHILE_READING":
            return CertificateError(
                f"the TLS handshake with {where} failed: {reason.replace('_', ' ').lower()}",
                domain=_NETWORK,
                code=_HANDSHAKE_FAILED,
            )
    if isinstance(error, ConnectionAbortedError | TimeoutError):
        return ConnectionFailedError(
            f"{where} did not finish the TLS handshake in time; it may be a listener without TLS "
            "(its URL begins with ws://) or no listener at all",
            domain=_NETWORK,
            code=3,
        )
    return ConnectionFailedError(
        f"{where} ended the connection during the TLS handshake; it may be a listener without TLS "
        "(its URL begins with ws://), or have no room",
        domain=_NETWORK,
        code=18,
    )


def _not_verified(
    error: ssl.SSLCertVerificationError, where: str, der: bytes | None
) -> CertificateError:
    code = _VERIFY_CODES.get(error.verify_code, _UNTRUSTED)
    shown = f" (SHA-256 {certificate_pin(der).hex()})" if der else ""
    hint = ""
    if code in (_UNTRUSTED, _UNKNOWN_ROOT):
        hint = "; if that is the listener you mean, pin it or accept self-signed certificates"
    elif code == _WRONG_NAME:
        hint = "; dial it by a name that is in its certificate, or pin the certificate"
    return CertificateError(
        f"the certificate of {where}{shown} is not trusted: {error.verify_message}{hint}",
        domain=_NETWORK,
        code=code,
    )


def _alerted(reason: str, where: str, showed_certificate: bool) -> CertificateError:
    told = reason.split("ALERT_", 1)[-1].replace("_", " ").lower()
    if "CERTIFICATE" in reason or "UNKNOWN_CA" in reason or "ACCESS_DENIED" in reason:
        if showed_certificate:
            return client_certificate_refused(where, told)
        return CertificateError(
            f"{where} lets in clients with a certificate only, and none was given ({told})",
            domain=_NETWORK,
            code=_CLIENT_CERTIFICATE_REQUIRED,
        )
    return CertificateError(
        f"{where} refused the TLS handshake: {told}",
        domain=_NETWORK,
        code=_HANDSHAKE_FAILED,
    )


def client_certificate_refused(where: str, told: str) -> CertificateError:
    """Return the error for a client certificate that the listener did not take."""
    return CertificateError(
        f"{where} refused the client certificate ({told})",
        domain=_NETWORK,
        code=_CLIENT_CERTIFICATE_REJECTED,
    )
