"""The listener's front door: accepts connections, asks who may come in, opens links.

Its own accept loop, since asyncio's server tells neither the address nor the reason of a handshake
that failed. One deadline runs from accept to open and is not moved by bytes that come. The caps are
checked before anything is read; the caller's `decide` is asked before anything is told about what
there is to find here. Whoever is turned away is shown to `on_refusal`, with a sentence.

Source: wire protocol 1.2 to 1.6, 8.2 and 8.5.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from settee.errors import PeerProtocolError
from settee.limits import (
    BROKEN_LINKS_MAX,
    CONNECTIONS_MAX,
    CONNECTIONS_PER_IP_MAX,
    CONNECTIONS_UNAUTHENTICATED_MAX,
    HANDSHAKE_TLS_S,
    HANDSHAKE_TOTAL_S,
    HEARTBEAT_S,
    LINGER_S,
)
from settee.logs import printable, room_log
from settee.net.connecting import scoped
from settee.net.http1 import (
    RequestHead,
    RequestReader,
    basic_credentials,
    check_upgrade,
    path_segments,
    refusal_bytes,
    switch_bytes,
    tokens,
)
from settee.net.link import Link, LinkEvents, PeerInfo, SocketLink
from settee.net.listening import listen
from settee.net.manners import Manners
from settee.net.tls import (
    Handshake,
    ServerTLS,
    refusal_sentence,
    say_refusal,
    server_context,
)
from settee.net.wire import ReadBuffer, Wire, certificate_pin, send_at_once

__all__ = ["Accept", "AcceptLimits", "Acceptor", "Refusal", "Refuse", "UpgradeRequest"]

_log: Final = room_log("net")

Stage = Literal["cap", "tls", "http", "origin", "path", "auth", "subprotocol"]

_STAGES: Final[dict[int, Stage]] = {
    400: "subprotocol",
    401: "auth",
    403: "auth",
    404: "path",
    503: "cap",
}
"""What a refusal by `decide` is about, unless it says."""

_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NO_ROOM_WAIT_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeRequest:
    """What a client asks for, checked for form and for nothing else."""

    path: str
    """Path and query as they came."""
    segments: tuple[str, ...] | None
    """The decoded parts of the path; None for a path that can name nothing: answer 404."""
    headers: dict[str, str] = field(repr=False)
    """With lower-case names. Holds credentials."""
    subprotocols: tuple[str, ...]
    """In the client's order of preference."""
    user_agent: str
    origin: str | None
    """Set by browsers only; checked already."""

    @property
    def authorization(self) -> str | None:
        """The header as it came."""
        return self.headers.get("authorization")

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User and password, or None if there is no proper ``Basic`` header."""
        return basic_credentials(self.authorization)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept:
    """The client may come in."""

    subprotocol: str
    """One of those that it offered."""
    events: LinkEvents | Callable[[Link], LinkEvents]
    """Who uses the link; or what makes that, called once the link is open and not otherwise."""
    headers: tuple[tuple[str, str], ...] = ()
    """Further headers of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The client may not come in."""

    status: int
    """HTTP status. A Couchbase client tries again after 408, 429, 502, 503 and 504 only."""
    reason: str
    """What its user will read. Must not tell what only those who are let in may know."""
    headers: tuple[tuple[str, str], ...] = ()
    json: bool = True
    """Whether the reason goes as JSON, which Couchbase Lite reads, or as plain text."""
    stage: Stage | None = None
    """What the refusal is about; by the status, unless given."""
    note: str = ""
    """For `on_refusal` instead of the reason: what the client is not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Somebody was turned away."""

    address: str
    stage: Stage
    reason: str
    """A sentence for whoever runs the listener, safe to show and to log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptLimits:
    """How many may come in, and how long coming in may take."""

    connections_max: int = CONNECTIONS_MAX
    """Open links. Who comes next is told 503 and will try again."""
    per_address_max: int = CONNECTIONS_PER_IP_MAX
    """Connections of one address, open or not. Who comes next is dropped unheard."""
    unauthenticated_max: int = CONNECTIONS_UNAUTHENTICATED_MAX
    """Connections that are not open links yet. Who comes next is dropped unheard."""
    tls_s: float = HANDSHAKE_TLS_S
    total_s: float = HANDSHAKE_TOTAL_S
    """From accept to the link being open."""


class _Greeting:
    """The user of a connection until it is a link: reads one request."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.head: asyncio.Future[RequestHead | PeerProtocolError | None] = loop.create_future()
        """The request, what is wrong with it, or None if the client went away before."""
        self.disturbed: asyncio.Future[str] = loop.create_future()
        """Done, with a sentence, if the client does anything but wait for its answer."""
        self._reader = RequestReader()

    def connected(self) -> None:
        """The client is there."""

    def received(self, data: bytes) -> None:
        """Read the request; anything after it is out of place."""
        if not self.head.done():
            try:
                head = self._reader.feed(data)
            except PeerProtocolError as error:
                self.head.set_result(error)
                return
            if head is not None:
                self.head.set_result(head)
        elif not self.disturbed.done():
            self.disturbed.set_result("bad HTTP request: bytes before the answer")

    def drained(self) -> None:
        """Nothing waits to be written."""

    def ended(self, error: Exception | None) -> None:
        """The client went away, or we sent it away."""
        if not self.head.done():
            self.head.set_result(None)
        if not self.disturbed.done():
            self.disturbed.set_result("")


class _TurnAway(Exception):
    """Ends a handshake, inside this module only; `answer` is what the client is sent."""

    def __init__(self, stage: Stage, reason: str, answer: bytes, *, linger: bool = False) -> None:
        super().__init__(reason)
        self.stage: Stage = stage
        self.reason = reason
        self.answer = answer
        self.linger = linger


def _turn_away(stage: Stage, status: int, reason: str, *, linger: bool = False) -> _TurnAway:
    return _TurnAway(stage, reason, refusal_bytes(status, reason), linger=linger)


class Acceptor:
    """Listens, and makes links of the connections that `decide` accepts.

    `host`: an address, a name or a network interface of this machine; None: all addresses.
    `port`: 0 lets the system choose. `decide` is asked about each well-formed request, on the loop;
    it should look at who asks before it lets on what there is. `on_refusal` must not block.
    `origins`: browser origins that may connect; a request with any other ``Origin`` is refused,
    native peers send none. `reads` is shared by all that runs on this loop.
    """

    def __init__(
        self,
        *,
        host: str | None,
        port: int,
        tls: ServerTLS | None,
        decide: Callable[[UpgradeRequest, PeerInfo], Awaitable[Accept | Refuse]],
        on_refusal: Callable[[Refusal], None],
        limits: AcceptLimits | None = None,
        origins: frozenset[str] = frozenset(),
        heartbeat_s: float | None = HEARTBEAT_S,
        reads: ReadBuffer | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._context = None if tls is None else server_context(tls)
        self._decide = decide
        self._on_refusal = on_refusal
        self._limits = limits or AcceptLimits()
        self._origins = origins
        self._heartbeat_s = heartbeat_s
        self._reads = reads or ReadBuffer()
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._greeting: set[asyncio.Task[None]] = set()
        self._open_count = 0
        self._per_address: Counter[str] = Counter()
        self._manners = Manners()

    # Its life ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bind and listen.

        Raises ConfigError if the host is not of this machine or the port is taken.
        """
        assert not self._sockets, "started already"
        self._sockets = await listen(self._host, self._port)
        for sock in self._sockets:
            self._accepting.append(asyncio.create_task(self._accept(sock)))

    async def stop(self) -> None:
        """Accept no more, and drop who is not in yet. Open links stay. Idempotent."""
        tasks = [*self._accepting, *self._greeting]
        self._accepting.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()

    @property
    def port(self) -> int:
        """The port that it listens on; 0 while it doesn't."""
        return self._sockets[0].getsockname()[1] if self._sockets else 0

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Addresses and port that it is bound to, such as ``("0.0.0.0", 4984)``."""
        names = [sock.getsockname() for sock in self._sockets]
        return [(scoped(name), name[1]) for name in names]

    @property
    def open_count(self) -> int:
        """Links that are open."""
        return self._open_count

    # Accepting ---------------------------------------------------------------------------------

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        without_room = False
        while True:
            try:
                sock, address = await loop.sock_accept(listening)
            except OSError as exc:
                if exc.errno not in _NO_ROOM:
                    # The client was gone before it was accepted.
                    await asyncio.sleep(0)
                    continue
                if not without_room:
                    without_room = True
                    _log.warning("can't accept connections just now: %s", exc.strerror)
                await asyncio.sleep(_NO_ROOM_WAIT_S)
                continue
            without_room = False
            self._admit(sock, scoped(address), address[1])
            # Accepting never waits while clients queue up: let the others have their turn.
            await asyncio.sleep(0)

    def _admit(self, sock: socket.socket, address: str, port: int) -> None:
        limits = self._limits
        if self._manners.shut_out(address, asyncio.get_running_loop().time()):
            problem = f"{BROKEN_LINKS_MAX} links of this address broke the protocol just now"
        elif self._per_address[address] >= limits.per_address_max:
            problem = f"more than {limits.per_address_max} connections from this address"
        elif len(self._greeting) >= limits.unauthenticated_max:
            problem = f"more than {limits.unauthenticated_max} connections that are not open yet"
        else:
            problem = ""
        if problem:
            sock.close()
            self._refused(address, "cap", problem)
            return
        self._per_address[address] += 1
        kept: list[socket.socket] = []
        task = asyncio.create_task(self._greet(sock, address, port, kept))
        self._greeting.add(task)

        def left(task: asyncio.Task[None]) -> None:
            self._greeting.discard(task)
            if not kept:
                sock.close()
                self._leave(address)
            if task.cancelled() or not task.exception():
                return
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"greeting {address} failed", "exception": task.exception()}
            )

        task.add_done_callback(left)

    async def _greet(
        self, sock: socket.socket, address: str, port: int, kept: list[socket.socket]
    ) -> None:
        """Bring one connection to an open link, which keeps the socket, or turn it away."""
        deadline = asyncio.get_running_loop().time() + self._limits.total_s
        wire = Wire(self._reads, _Greeting())
        try:
            async with asyncio.timeout_at(deadline):
                if await self._connect(wire, sock, address):
                    await self._open(wire, address, port)
        except TimeoutError:
            self._refused(
                address, "http", f"no whole request came within {self._limits.total_s:g} s"
            )
        except OSError:
            self._refused(address, "http", "the client went away at once")
        finally:
            if isinstance(wire.user, SocketLink):
                kept.append(sock)  # It gives its place back itself, when it is gone.
            else:
                wire.abort()

    def _leave(self, address: str) -> None:
        self._per_address[address] -= 1
        if self._per_address[address] <= 0:
            del self._per_address[address]

    async def _connect(self, wire: Wire, sock: socket.socket, address: str) -> bool:
        """Give the connection to `wire`, TLS and all; return whether that went well."""
        loop = asyncio.get_running_loop()
        send_at_once(sock)
        if self._context is None:
            await loop.connect_accepted_socket(lambda: wire, sock)
            return True
        with Handshake(sock) as handshake:
            try:
                await loop.connect_accepted_socket(
                    lambda: wire,
                    sock,
                    ssl=self._context,
                    ssl_handshake_timeout=self._limits.tls_s,
                    ssl_shutdown_timeout=LINGER_S,
                )
            except OSError as error:
                self._refused(address, "tls", refusal_sentence(error))
                if isinstance(error, ssl.SSLError):
                    await say_refusal(handshake, error)
                return False
        return True

    # The request -------------------------------------------------------------------------------

    async def _open(self, wire: Wire, address: str, port: int) -> None:
        """Read the request and answer it: with a link, or with why not."""
        greeting = wire.user
        assert isinstance(greeting, _Greeting)
        head = await greeting.head
        try:
            if head is None:
                self._refused(address, "http", "the client went away without a request")
                return
            if isinstance(head, PeerProtocolError):
                raise _turn_away("http", head.code, str(head), linger=True)
            await self._answer(wire, greeting, head, address, port)
        except _TurnAway as away:
            self._refused(address, away.stage, away.reason)
            await _send_away(wire, away)

    async def _answer(
        self, wire: Wire, greeting: _Greeting, head: RequestHead, address: str, port: int
    ) -> None:
        """Make the connection a link, or raise `_TurnAway`."""
        try:
            key = check_upgrade(head)
        except PeerProtocolError as error:
            raise _turn_away("http", error.code, str(error)) from None
        headers = head.headers
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins:
            raise _turn_away("origin", 403, "web pages may not connect to this listener")
        der = wire.certificate_der
        pins = () if self._tls is None else self._tls.client_pins
        if pins and der is not None and certificate_pin(der) not in pins:
            raise _turn_away("tls", 403, "this client certificate is not one of those let in")
        if self._open_count >= self._limits.connections_max:
            raise _turn_away(
                "cap", 503, f"{self._open_count} connections are open; try again later"
            )
        request = UpgradeRequest(
            path=head.target,
            segments=path_segments(head.target),
            headers=headers,
            subprotocols=tuple(tokens(headers.get("sec-websocket-protocol", ""))),
            user_agent=printable(headers.get("user-agent", "")),
            origin=origin,
        )
        peer = PeerInfo(
            address=address,
            port=port,
            tls_version=wire.tls_version,
            certificate_der=der,
            user_agent=request.user_agent,
            headers=headers,
        )
        decision = await self._ask(greeting, request, peer)
        if isinstance(decision, Refuse):
            answer = refusal_bytes(
                decision.status, decision.reason, decision.headers, as_json=decision.json
            )
            stage = decision.stage or _STAGES.get(decision.status, "http")
            raise _TurnAway(stage, decision.note or decision.reason, answer)
        assert decision.subprotocol in request.subprotocols, "choose one that was offered"
        wire.write(switch_bytes(key, decision.subprotocol, decision.headers))
        self._make_link(wire, decision, replace(peer, subprotocol=decision.subprotocol))

    async def _ask(
        self, greeting: _Greeting, request: UpgradeRequest, peer: PeerInfo
    ) -> Accept | Refuse:
        """Ask the caller, but not for a client that has gone away meanwhile."""
        asked: asyncio.Future[Accept | Refuse] = asyncio.ensure_future(self._decide(request, peer))
        try:
            either: set[asyncio.Future[Any]] = {asked, greeting.disturbed}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if greeting.disturbed.done():
                problem = greeting.disturbed.result()
                if problem:
                    raise _turn_away("http", 400, problem, linger=True)
                raise _turn_away("http", 400, "the client went away before it was answered")
            return asked.result()
        except (_TurnAway, asyncio.CancelledError):
            raise
        except Exception as exc:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"deciding about {peer.address} failed", "exception": exc}
            )
            raise _turn_away("http", 500, "internal error") from None
        finally:
            if not asked.done():
                asked.cancel()
                await asyncio.wait({asked})

    def _make_link(self, wire: Wire, accept: Accept, peer: PeerInfo) -> None:
        def gone() -> None:
            self._open_count -= 1
            self._leave(peer.address)
            if link.broken:
                self._manners.broke(peer.address, asyncio.get_running_loop().time())

        self._open_count += 1
        link = SocketLink(wire, server=True, peer=peer, heartbeat_s=self._heartbeat_s, on_gone=gone)
        events = accept.events
        try:
            # A class has the methods of its objects, but is what makes one.
            if isinstance(events, type) or not isinstance(events, LinkEvents):
                events = events(link)
            link.attach(events)
        except Exception:
            link.abort()
            raise

    def _refused(self, address: str, stage: Stage, reason: str) -> None:
        safe = printable(reason, 500)
        _log.info("refused %s (%s): %s", address, stage, safe)
        self._on_refusal(Refusal(address=address, stage=stage, reason=safe))


async def _send_away(wire: Wire, away: _TurnAway) -> None:
    """Answer, and end in such a way that the answer arrives."""
    wire.write(away.answer)
    if away.linger:
        wire.close_after_peer()
    else:
        wire.close()
    await wire.wait_ended()
