"""What the tests of this room share: loops, certificates, users of links, and odd servers."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import selectors
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from settee.net.acceptor import Accept, AcceptLimits, Acceptor, Refusal, Refuse, UpgradeRequest
from settee.net.dialer import DialPlan, dial
from settee.net.link import CloseInfo, Link, PeerInfo
from settee.net.tls import ServerTLS, Trust
from settee.net.wire import certificate_pin

BLIP = "BLIP_3+CBMobile_3"
Run = Callable[[Coroutine[Any, Any, Any]], Any]


def runner(kind: str) -> Run:
    """A function that runs a coroutine on a new loop of a kind, within ten seconds."""

    def run(main: Coroutine[Any, Any, Any]) -> Any:
        factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
        if kind == "uvloop":
            import uvloop

            factory = uvloop.new_event_loop
        problems: list[dict[str, Any]] = []

        def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            # In debug mode asyncio's own servers, which play the odd ones, report this.
            if not context["message"].startswith("Error on transport creation"):
                problems.append(context)

        async def guarded() -> Any:
            asyncio.get_running_loop().set_exception_handler(note)
            async with asyncio.timeout(10):
                result = await main
            for _ in range(3):
                await asyncio.sleep(0)
            return result

        with asyncio.Runner(loop_factory=factory) as loop_runner:
            result = loop_runner.run(guarded())
        assert not problems, problems
        return result

    return run


# --- certificates --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Issued:
    """A certificate with its key."""

    pem: bytes
    key_pem: bytes
    der: bytes
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    name: x509.Name = field(repr=False)

    @property
    def pin(self) -> bytes:
        return certificate_pin(self.der)

    @property
    def pair(self) -> tuple[bytes, bytes]:
        return self.pem, self.key_pem


def issue(
    name: str = "kitchen",
    *,
    by: Issued | None = None,
    ca: bool = False,
    days: tuple[int, int] = (-1, 365),
    hosts: tuple[str, ...] = ("localhost",),
    forged: bool = False,
) -> Issued:
    """Make a certificate, self-signed unless `by` signs; `forged`: it only claims to be."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.name if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if hosts:
        names = [x509.DNSName(host) for host in hosts]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signer = by.key if by else key
    if forged:
        signer = ec.generate_private_key(ec.SECP256R1())
    certificate = builder.sign(signer, hashes.SHA256())
    return Issued(
        pem=certificate.public_bytes(serialization.Encoding.PEM),
        key_pem=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        der=certificate.public_bytes(serialization.Encoding.DER),
        key=key,
        name=subject,
    )


KITCHEN = issue("kitchen")
STRANGER = issue("stranger")


def server_tls(issued: Issued = KITCHEN, **changes: Any) -> ServerTLS:
    return ServerTLS(certificate_pem=issued.pem, private_key_pem=issued.key_pem, **changes)


# --- users of links ------------------------------------------------------------------------------


class Ears:
    """The user of a link that remembers everything."""

    def __init__(self, link: Link | None = None) -> None:
        self.link = link
        self.frames: list[bytes] = []
        self.batch_count = 0
        self.writable_count = 0
        self.infos: list[CloseInfo] = []
        self._changed = asyncio.Event()

    def on_frames(self, frames: list[bytes]) -> None:
        assert not self.infos, "nothing comes after the end"
        self.frames += frames
        self.batch_count += 1
        self._changed.set()

    def on_writable(self) -> None:
        self.writable_count += 1
        self._changed.set()

    def on_closed(self, info: CloseInfo) -> None:
        assert not self.infos, "the end is told once"
        self.infos.append(info)
        self._changed.set()

    async def until(self, seen: Callable[[Ears], bool]) -> None:
        while not seen(self):
            self._changed.clear()
            await self._changed.wait()

    async def closed(self) -> CloseInfo:
        await self.until(lambda ears: bool(ears.infos))
        return self.infos[0]


@dataclass
class Door:
    """An acceptor that lets everybody in, and what happened at it."""

    acceptor: Acceptor
    ears: list[Ears]
    refusals: list[Refusal]
    requests: list[tuple[UpgradeRequest, PeerInfo]]
    opened: asyncio.Event

    @property
    def port(self) -> int:
        return self.acceptor.port

    async def link_of(self, index: int = 0) -> Ears:
        while len(self.ears) <= index:
            self.opened.clear()
            await self.opened.wait()
        return self.ears[index]


Decide = Callable[[UpgradeRequest, PeerInfo], Awaitable[Accept | Refuse]]


@contextlib.asynccontextmanager
async def door(
    tls: ServerTLS | None = None,
    *,
    answer: Refuse | Decide | None = None,
    limits: AcceptLimits | None = None,
    host: str | None = "127.0.0.1",
    **options: Any,
) -> AsyncIterator[Door]:
    """Listen on loopback; everybody may come in unless `answer` says otherwise."""
    ears: list[Ears] = []
    refusals: list[Refusal] = []
    requests: list[tuple[UpgradeRequest, PeerInfo]] = []
    opened = asyncio.Event()

    def listen_to(link: Link) -> Ears:
        ears.append(Ears(link))
        opened.set()
        return ears[-1]

    async def decide(request: UpgradeRequest, peer: PeerInfo) -> Accept | Refuse:
        requests.append((request, peer))
        if isinstance(answer, Refuse):
            return answer
        if answer is not None:
            return await answer(request, peer)
        return Accept(subprotocol=request.subprotocols[0], events=listen_to)

    acceptor = Acceptor(
        host=host,
        port=0,
        tls=tls,
        decide=decide,
        on_refusal=refusals.append,
        limits=limits,
        **options,
    )
    await acceptor.start()
    try:
        yield Door(acceptor, ears, refusals, requests, opened)
    finally:
        await acceptor.stop()
        for one in ears:
            assert one.link is not None
            one.link.abort()
        for one in ears:
            await one.closed()


def plan(port: int, *, trust: Trust | None = None, **changes: Any) -> DialPlan:
    """How the tests dial: loopback, TLS if a trust is given."""
    settings: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "path": "/db/_blipsync",
        "secure": trust is not None,
        "trust": trust or Trust(),
        "subprotocols": (BLIP, "BLIP_3+CBMobile_2"),
        **changes,
    }
    return DialPlan(**settings)


PINNED = Trust(pins=(KITCHEN.pin,))


@contextlib.asynccontextmanager
async def dialled(dial_plan: DialPlan) -> AsyncIterator[Ears]:
    """Dial, and end the link afterwards whatever happens."""
    link = await dial(dial_plan)
    ears = Ears(link)
    link.attach(ears)
    try:
        yield ears
    finally:
        link.abort()
        await ears.closed()


# --- odd servers ---------------------------------------------------------------------------------

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Odd:
    """A server that is no peer, and what it was sent."""

    port: int
    received: bytearray


@contextlib.asynccontextmanager
async def odd_server(
    script: Script | bytes, *, ssl: Any = None, until: bytes = b"\r\n\r\n"
) -> AsyncIterator[Odd]:
    """A server that answers each request with fixed bytes, or plays a script."""
    odd = Odd(0, bytearray())
    handling: set[asyncio.Task[Any]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if not isinstance(script, bytes):
                await script(reader, writer)
                return
            request = bytearray()
            while until not in request and (piece := await reader.read(65536)):
                request += piece
            odd.received += request
            writer.write(script)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handling.add(asyncio.ensure_future(handle(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0, ssl=ssl)
    odd.port = server.sockets[0].getsockname()[1]
    try:
        yield odd
    finally:
        for _ in range(20):  # What is on its way still arrives.
            await asyncio.sleep(0)
        server.close()
        await server.wait_closed()
        if handling:
            _, late = await asyncio.wait(handling, timeout=1)
            for task in late:
                task.cancel()
                await asyncio.wait({task})


@contextlib.asynccontextmanager
async def relay(port: int) -> AsyncIterator[Odd]:
    """A wire tap: passes everything on to `port`, and keeps what the client sent."""

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray | None
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                if kept is not None:
                    kept += piece
                writer.write(piece)
                await writer.drain()
        writer.close()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, far_writer, tap.received), pump(far_reader, writer, None))
        with contextlib.suppress(OSError):
            await far_writer.wait_closed()

    async with odd_server(script) as tap:
        yield tap


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


# --- virtual time --------------------------------------------------------------------------------


class _Skipper(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Instead of waiting, lets the loop's clock jump."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: VirtualLoop | None = None

    def select(self, timeout: float | None = None) -> Any:
        assert self.loop is not None
        assert timeout is not None, "nothing will ever happen again"
        if timeout > 0:
            self.loop.now_s += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on which an hour takes no time, for tests without sockets."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        skipper = _Skipper()
        super().__init__(skipper)
        skipper.loop = self

    def time(self) -> float:
        return self.now_s


def run_virtually(main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as loop_runner:
        return loop_runner.run(main)
