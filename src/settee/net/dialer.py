"""Dialling a listener: from a name to an open link, or to an error that says what is wrong.

Every address of the name is tried, the next one beside a slow one. With TLS the certificate is
judged before the request is written, so that credentials go to the right listener only. Redirects
are followed by the rules of wire protocol 1.6: never out of TLS, never with credentials to another
host.

Source: wire protocol 1.1 to 1.6, 8.5, and 9.4 for what is worth another try.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from settee.errors import (
    AuthenticationError,
    CertificateError,
    ConfigError,
    ConnectionFailedError,
    NotAPeerError,
    RefusedError,
    SyncError,
)
from settee.limits import (
    CONNECT_S,
    HANDSHAKE_TLS_S,
    HANDSHAKE_TOTAL_S,
    HEARTBEAT_S,
    HTTP_BODY_BYTES_MAX,
    LINGER_S,
    REDIRECTS_MAX,
)
from settee.logs import printable, room_log
from settee.net.connecting import Route, connect, scoped
from settee.net.http1 import (
    Redirect,
    ResponseHead,
    ResponseReader,
    check_switch,
    decode_body,
    reason_given,
    redirect_target,
    request_bytes,
)
from settee.net.link import Link, PeerInfo, SocketLink
from settee.net.proxy import Proxies, open_tunnel
from settee.net.tls import Trust, client_certificate_refused, client_context, dial_failure
from settee.net.wire import ReadBuffer, Wire

__all__ = ["Cookies", "DialPlan", "dial", "fetch_certificate"]

_log: Final = room_log("net")

_REDIRECTS: Final = frozenset({301, 302, 307, 308})
_TRANSIENT: Final = frozenset({408, 429, 502, 503, 504})
"""Statuses worth another try, by wire protocol 1.6."""


class Cookies(Protocol):
    """Who keeps the cookies of the hosts that are dialled. Called on the loop; must not block."""

    def header(self, *, secure: bool, host: str, path: str, but: frozenset[str]) -> str:
        """Return the value of the ``Cookie`` header for a request; none with a name in `but`."""

    def take(self, *, secure: bool, host: str, path: str, set_cookie: Sequence[str]) -> None:
        """Take the values of an answer's ``Set-Cookie`` headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialPlan:
    """Whom to dial, whom to trust, and what to show."""

    host: str
    """Name or address; a link-local one with its scope, ``fe80::1%eth0``."""
    port: int
    path: str
    """Percent-encoded, such as ``/db/_blipsync``."""
    secure: bool
    """Whether to use TLS."""
    subprotocols: tuple[str, ...]
    """In the order of preference."""
    trust: Trust = field(default_factory=Trust)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Further headers, ``Authorization`` and ``Cookie`` among them."""
    user_agent: str = ""
    client_identity: tuple[bytes, bytes] | None = field(default=None, repr=False)
    """Certificate chain and unencrypted key as PEM, for listeners that ask for one."""
    connect_s: float = CONNECT_S
    """For one address to answer."""
    handshake_s: float = HANDSHAKE_TOTAL_S
    """From the first packet to the open link, redirects included."""
    heartbeat_s: float | None = HEARTBEAT_S
    local_address: str | None = None
    """The own address, or the name of the network interface, to dial from."""
    proxies: Proxies = field(default_factory=Proxies)
    """Which proxy to go through, if any."""
    cookies: Cookies | None = field(default=None, repr=False)
    """Gives and takes the cookies of each host; None: there are none."""

    def __post_init__(self) -> None:
        if not self.host:
            raise ConfigError("host", "must not be empty")
        if not 0 < self.port < 65536:
            raise ConfigError("port", f"{self.port} is not between 1 and 65535")
        if not self.subprotocols:
            raise ConfigError("subprotocols", "at least one must be offered")

    @property
    def where(self) -> str:
        """Host and port, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{printable(host)}:{self.port}"


async def dial(plan: DialPlan, *, reads: ReadBuffer | None = None) -> Link:
    """Open a link; attach to it soon.

    `reads` is shared by all that runs on this loop. Raises ConnectionFailedError (`transient` if
    another try may help), CertificateError, AuthenticationError (401), RefusedError (the peer's
    status and reason), NotAPeerError (something else answers there), ConfigError (a header, the
    path, or an identity that can't be used).
    """
    reads = reads or ReadBuffer()
    try:
        async with asyncio.timeout(plan.handshake_s):
            for _ in range(REDIRECTS_MAX + 1):
                answer = await _dial_once(plan, reads)
                if not isinstance(answer, Redirect):
                    return answer
                _log.info("redirected from %s to %s:%d", plan.where, answer.host, answer.port)
                plan = _follow(plan, answer)
    except TimeoutError:
        raise ConnectionFailedError(
            f"{plan.where} accepted the connection, but did not open a link within "
            f"{plan.handshake_s:g} s; is it a settee or Couchbase Lite listener, and "
            f"{'with' if plan.secure else 'without'} TLS?",
            domain="Network",
            code=3,
        ) from None
    raise RefusedError(
        f"{plan.where}: more than {REDIRECTS_MAX} redirects", domain="Network", code=12
    )


async def fetch_certificate(plan: DialPlan) -> bytes | None:
    """Return the certificate that a listener shows, trusted or not; nothing is sent to it.

    None if it shows none. Raises what `dial` raises before the request.
    """
    open_trust = Trust(self_signed_only=True)  # Not evaluated: there is no greeting to do it.
    silent = replace(plan, trust=open_trust)
    wire = Wire(ReadBuffer(), _Silence())
    try:
        async with asyncio.timeout(plan.handshake_s):
            sock = await _connected(silent)
            await _start(wire, silent, sock, None)
            return wire.certificate_der
    except TimeoutError as exc:
        raise dial_failure(exc, where=plan.where, showed_certificate=False) from None
    finally:
        wire.abort()


class _Silence:
    """The user of a connection on which nothing is said."""

    def connected(self) -> None:
        """TLS is up."""

    def received(self, data: bytes) -> None:
        """Throw it away."""

    def drained(self) -> None:
        """Nothing waits to be written."""

    def ended(self, error: Exception | None) -> None:
        """It is over."""


class _Greeting(_Silence):
    """The user of a connection until it is a link: judges the certificate, reads the answer."""

    def __init__(self, judge: Callable[[], None]) -> None:
        self._judge = judge
        self._reader = ResponseReader()
        self._heard = False
        self._head: ResponseHead | None = None
        self._body = bytearray()
        loop = asyncio.get_running_loop()
        self.verdict: SyncError | None = None
        """Why the certificate is not trusted."""
        self.answer: asyncio.Future[tuple[ResponseHead, bytes] | Exception | None]
        """The answer with its body, or with the first frames after a 101; what is wrong with it,
        how the connection broke, or None for an end before a whole answer."""
        self.answer = loop.create_future()

    @property
    def heard(self) -> bool:
        """Whether anything came at all."""
        return self._heard

    def connected(self) -> None:
        """Judge now: nothing was sent yet."""
        try:
            self._judge()
        except SyncError as error:
            self.verdict = error

    def received(self, data: bytes) -> None:
        """Read the answer."""
        if self.verdict is not None:
            return
        self._heard = True
        if self.answer.done():
            # Frames right after a 101, before the link took over.
            self._body += data
            return
        if self._head is None:
            try:
                self._head = self._reader.feed(data)
            except NotAPeerError as error:
                self.answer.set_result(error)
                return
            if self._head is None:
                return
            data = self._reader.rest
        self._body += data
        self._finish(ended=False)

    def ended(self, error: Exception | None) -> None:
        """The other side ended, or the connection broke."""
        if not self.answer.done() and self._head is not None:
            self._finish(ended=True)
        if not self.answer.done():
            self.answer.set_result(error)

    def take_frames(self) -> bytes:
        """Return what came after the 101."""
        frames = bytes(self._body)
        self._body.clear()
        return frames

    def _finish(self, *, ended: bool) -> None:
        assert self._head is not None
        if self._head.status == 101:
            self.answer.set_result((self._head, b""))
            return
        body = decode_body(self._head.headers, bytes(self._body), ended)
        if body is None and len(self._body) > 2 * HTTP_BODY_BYTES_MAX:
            body = b""
        if body is not None:
            self.answer.set_result((self._head, body))


async def _dial_once(plan: DialPlan, reads: ReadBuffer) -> Link | Redirect:
    """Dial one listener; return a link, or where it sends us."""
    key = base64.b64encode(os.urandom(16)).decode()
    request = request_bytes(
        host=_without_scope(plan.host),
        port=plan.port,
        path=plan.path,
        key=key,
        subprotocols=plan.subprotocols,
        user_agent=plan.user_agent,
        headers=_with_cookies(plan),
    )

    def judge() -> None:
        if plan.secure:
            plan.trust.evaluate(wire.certificate_der)

    greeting = _Greeting(judge)
    wire = Wire(reads, greeting)
    sock = await _connected(plan)
    address = _address_of(sock)
    try:
        await _start(wire, plan, sock, plan.client_identity)
        if greeting.verdict is not None:
            raise greeting.verdict
        wire.write(request)
        answer = await greeting.answer
        if not isinstance(answer, tuple):
            raise _no_answer(plan, answer, heard=greeting.heard)
        head, body = answer
        _take_cookies(plan, head)
        if head.status != 101:
            return _judge_refusal(plan, head, body)
        subprotocol = check_switch(head, key, plan.subprotocols)
        peer = PeerInfo(
            address=address[0],
            port=address[1],
            tls_version=wire.tls_version,
            certificate_der=wire.certificate_der,
            user_agent=printable(head.headers.get("server", "")),
            subprotocol=subprotocol,
            headers=head.headers,
        )
        link = SocketLink(wire, server=False, peer=peer, heartbeat_s=plan.heartbeat_s)
        frames = greeting.take_frames()
        if frames:
            link.received(frames)
        if wire.gone:
            link.ended(None)
        return link
    except (CertificateError, NotAPeerError) as error:
        raise _of_whom(plan, error, wire.certificate_der) from None
    finally:
        if wire.user is greeting:
            wire.abort()


async def _start(
    wire: Wire, plan: DialPlan, sock: socket.socket, identity: tuple[bytes, bytes] | None
) -> None:
    """Give the connected socket to `wire`, with TLS if the plan says so.

    Raises CertificateError, NotAPeerError or ConnectionFailedError if TLS can't be set up.
    """
    loop = asyncio.get_running_loop()
    try:
        if not plan.secure:
            await loop.create_connection(lambda: wire, sock=sock)
            return
        context = client_context(plan.trust, identity)
        await loop.create_connection(
            lambda: wire,
            sock=sock,
            ssl=context,
            server_hostname=_without_scope(plan.host).rstrip("."),
            ssl_handshake_timeout=min(HANDSHAKE_TLS_S, plan.handshake_s),
            ssl_shutdown_timeout=LINGER_S,
        )
    except OSError as error:
        sock.close()
        if not plan.secure:
            raise ConnectionFailedError(
                f"the connection to {plan.where} was lost at once", domain="Network", code=18
            ) from None
        der = None
        if isinstance(error, ssl.SSLCertVerificationError):
            # The certificate is not to be had from a handshake that failed: look at it again.
            with contextlib.suppress(SyncError):
                der = await fetch_certificate(replace(plan, client_identity=None))
        raise dial_failure(
            error, where=plan.where, showed_certificate=identity is not None, der=der
        ) from None
    except BaseException as error:
        sock.close()
        if isinstance(error, ValueError) and not isinstance(error, ConfigError):
            raise ConfigError("host", f"{plan.where} can't be dialled with TLS: {error}") from None
        raise


def _of_whom(
    plan: DialPlan, error: CertificateError | NotAPeerError, certificate_der: bytes | None
) -> SyncError:
    """Return an error that says where it happened, and knows the certificate that was shown.

    Who only judges an answer or a certificate doesn't know whose it is.
    """
    if plan.where not in str(error):
        error = type(error)(f"{plan.where}: {error}", domain=error.domain, code=error.code)
    if isinstance(error, CertificateError):
        error.certificate_der = certificate_der
    return error


def _no_answer(plan: DialPlan, error: Exception | None, *, heard: bool) -> SyncError:
    """Return what it means that no whole HTTP answer came."""
    if isinstance(error, SyncError):
        return error
    showed = plan.client_identity is not None
    if isinstance(error, ssl.SSLError):
        return dial_failure(error, where=plan.where, showed_certificate=showed)
    if plan.secure and showed and not heard:
        # With TLS 1.3 the listener judges our certificate after we think that all is well.
        return client_certificate_refused(plan.where, "the connection was ended instead")
    hint = "" if plan.secure else "; if it is a listener with TLS, its URL begins with wss://"
    how = "in the middle of its answer" if heard else "without an answer"
    return ConnectionFailedError(
        f"{plan.where} ended the connection {how}{hint}", domain="Network", code=18
    )


def _judge_refusal(plan: DialPlan, head: ResponseHead, body: bytes) -> Redirect:
    """Return where to go instead, or raise what the answer means."""
    status = head.status
    if status in _REDIRECTS:
        return redirect_target(
            secure=plan.secure,
            host=_without_scope(plan.host),
            port=plan.port,
            location=head.headers.get("location", ""),
        )
    reason = reason_given(head, body)
    said = f": {reason}" if reason else ""
    where = plan.where
    if status == 401:
        raise AuthenticationError(
            f"{where} does not accept these credentials{said}", domain="WebSocket", code=401
        )
    if status < 300:
        raise NotAPeerError(
            f"{where} is a web server, not a replication peer: it answered {status} instead of "
            "opening a link",
            domain="WebSocket",
            code=1002,
        )
    upgrade = head.headers.get("upgrade", "").upper()
    if not plan.secure and status == 426 and upgrade.startswith("TLS/"):
        raise NotAPeerError(
            f"{where} is a listener with TLS; its URL begins with wss://",
            domain="WebSocket",
            code=426,
        )
    wait = head.headers.get("retry-after", "")
    if wait.isascii() and wait.isdigit():
        said += f" (try again in {wait[:9]} s)"
    raise RefusedError(
        f"{where} refused the connection with status {status}{said}",
        domain="WebSocket",
        code=status,
        transient=status in _TRANSIENT,
    )


def _follow(plan: DialPlan, redirect: Redirect) -> DialPlan:
    changes: dict[str, Any] = {
        "host": redirect.host,
        "port": redirect.port,
        "path": redirect.path,
        "secure": redirect.secure,
    }
    if redirect.same_host:
        changes["host"] = plan.host
    else:
        # Who is trusted stays; what only the first host may see does not go along.
        changes["headers"] = ()
        changes["client_identity"] = None
    return replace(plan, **changes)


async def _connected(plan: DialPlan) -> socket.socket:
    """Return a socket that is connected to the listener, through a proxy if there is one."""
    proxy = plan.proxies.for_target(secure=plan.secure, host=plan.host, port=plan.port)
    if proxy is None:
        return await connect(
            Route(plan.host, plan.port, plan.connect_s, plan.local_address, plan.where)
        )
    route = Route(
        proxy.host, proxy.port, plan.connect_s, plan.local_address, f"the proxy {proxy.where}"
    )
    sock = await connect(route)
    try:
        await open_tunnel(sock, proxy, host=_without_scope(plan.host), port=plan.port)
    except BaseException:
        sock.close()
        raise
    return sock


def _address_of(sock: socket.socket) -> tuple[str, int]:
    address = sock.getpeername()
    return scoped(address), address[1]


def _with_cookies(plan: DialPlan) -> tuple[tuple[str, str], ...]:
    """Return the plan's headers, and the cookies of the host in the one that may carry them."""
    if plan.cookies is None:
        return plan.headers
    given = [value for name, value in plan.headers if name.lower() == "cookie"]
    names = frozenset(
        pair.partition("=")[0].strip() for value in given for pair in value.split(";")
    )
    kept = plan.cookies.header(
        secure=plan.secure, host=_without_scope(plan.host), path=plan.path, but=names
    )
    if not kept:
        return plan.headers
    others = tuple(header for header in plan.headers if header[0].lower() != "cookie")
    return (*others, ("Cookie", "; ".join([*given, kept])))


def _take_cookies(plan: DialPlan, head: ResponseHead) -> None:
    lines = head.headers.get("set-cookie", "")
    if plan.cookies is not None and lines:
        plan.cookies.take(
            secure=plan.secure,
            host=_without_scope(plan.host),
            path=plan.path,
            set_cookie=lines.split("\n"),
        )


def _without_scope(host: str) -> str:
    """Return an address without its scope, which means something on this machine only."""
    bare = host.strip("[]")
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(bare)).split("%")[0]
    return bare
