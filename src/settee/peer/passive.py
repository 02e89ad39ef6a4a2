"""The passive peer: accepts connections and runs a session on each.

Lives on the runtime's loop; `URLEndpointListener` is its blocking skin and
`settee.aio.URLEndpointListener` the awaited one.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, final

from settee.errors import ConfigError
from settee.identity import CertificateInfo, TLSIdentity
from settee.ids import CollectionName
from settee.limits import HEARTBEAT_S, LOGGED_PER_SESSION_MAX
from settee.logs import printable, room_log
from settee.net.acceptor import Accept, Acceptor, Refusal, Refuse, UpgradeRequest
from settee.net.discovery import Advertiser, device_name
from settee.net.interfaces import interface_addresses
from settee.net.link import Link, PeerInfo
from settee.net.multicast import Network
from settee.net.tls import ServerTLS
from settee.peer.doorkeeper import Admitted, Doorkeeper, Keys
from settee.peer.driver import SessionDriver
from settee.peer.hooks import Authorize, Guard, protocol_options
from settee.peer.runtime import Runtime
from settee.peer.status import Watched
from settee.peer.versions import PRODUCT, choose_subprotocol, is_settee, level_of
from settee.sync.events import Activity, ActivityChanged, DocumentsReplicated, Progress
from settee.sync.options import CollectionOptions, SessionConfig
from settee.sync.session import Session

if TYPE_CHECKING:
    from settee.db.database import Database

__all__ = ["ListenerConnection", "ListenerOptions", "ListenerStatus", "PassivePeer", "Served"]

_log = room_log("peer")

_REFUSALS_KEPT_MAX: Final = 100
_STOP_S: Final = 5.0
"""How long stopping waits for links to close."""

_COME_BACK: Final = 4001
_STAY_AWAY: Final = 1001


@dataclass(frozen=True, slots=True)
class Served:
    """A database that a listener serves."""

    db: Database
    path: str
    """Under which, without slashes at the ends."""
    collections: tuple[CollectionName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerOptions:
    """How a listener listens. Immutable."""

    path: str
    """Under which the database is served, without slashes at the ends."""
    collections: tuple[CollectionName, ...]
    port: int = 0
    host: str | None = None
    identity: TLSIdentity | None = None
    """None: without TLS."""
    keys: Keys = field(default_factory=Keys)
    others: tuple[Served, ...] = ()
    """Further databases."""
    read_only: bool = False
    resolve_conflicts: bool = False
    authorize: Authorize | None = None
    delta_sync: bool = False
    advertise: bool | str = False
    discovery_interfaces: tuple[str, ...] | None = None
    heartbeat_s: float = HEARTBEAT_S


@final
class ListenerConnection:
    """One active peer that is connected. Live: its properties change."""

    def __init__(
        self,
        number: int,
        link: Link,
        driver: SessionDriver,
        who: Admitted,
        served: Served,
        since: datetime,
    ) -> None:
        self.number: Final[int] = number
        """Counts the connections of this listener, from 1."""
        self.user: Final[str | None] = who.user
        """Who it is, by its password or its certificate; None if it is anonymous."""
        self.identity: Final[CertificateInfo | None] = who.identity
        """The certificate that it showed; None if it was not asked for one."""
        self.database: Final[str] = served.db.name
        """Name of the database that it replicates with."""
        self.address: Final[str] = link.peer.address
        """Its IP address."""
        self.port: Final[int] = link.peer.port
        """Its TCP port."""
        self.user_agent: Final[str] = printable(link.peer.user_agent, 100)
        """What its program calls itself; not to be trusted."""
        self.subprotocol: Final[str] = link.peer.subprotocol
        """The protocol and its level, such as ``BLIP_3+CBMobile_3``."""
        self.tls_version: Final[str | None] = link.peer.tls_version
        """Such as ``TLSv1.3``; None without TLS."""
        self.since: Final[datetime] = since
        """When it connected (an aware datetime)."""
        self._driver: Final = driver
        self._db: Final = served.db

    def __repr__(self) -> str:
        who = self.user or "anonymous"
        return f"<ListenerConnection {self.number} {who} {self.address} {self.activity.value}>"

    @property
    def activity(self) -> Activity:
        """Busy or idle; stopped once it is gone."""
        return self._driver.session.activity

    @property
    def progress(self) -> Progress:
        """Totals; pushed is what the listener sent to this peer, pulled what it received."""
        return self._driver.session.progress


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerStatus:
    """The state of a listener at one moment."""

    running: bool
    connections: tuple[ListenerConnection, ...] = ()
    """Active peers that are connected."""
    connection_count: int = 0
    """How many they are."""
    active_connection_count: int = 0
    """How many of them are busy."""


class PassivePeer:
    """Serves one database to active peers. Methods run on the loop unless they say otherwise."""

    def __init__(self, db: Database, options: ListenerOptions, runtime: Runtime) -> None:
        self.connections: tuple[ListenerConnection, ...] = ()
        self.refusals: deque[Refusal] = deque(maxlen=_REFUSALS_KEPT_MAX)
        self.refusal_listeners: list[Callable[[Refusal], object]] = []
        self.document_listeners: list[
            Callable[[ListenerConnection, DocumentsReplicated], object]
        ] = []
        self.advertised_name: str | None = None
        self.problem: str | None = None
        """What keeps the announcement away, if anything does."""
        self.status: Final = Watched(ListenerStatus(running=False), runtime.callback)
        first = Served(db, options.path, options.collections)
        self._served: Final = (first, *options.others)
        self._routes: Final = {(*s.path.split("/"), "_blipsync"): s for s in self._served}
        self._first: Final = first
        self._doorkeeper: Final = Doorkeeper(options.keys, runtime)
        self._options = options
        self._runtime = runtime
        self._acceptor: Acceptor | None = None
        self._advertisers: list[Advertiser] = []
        self._network: Network | None = None
        self._port = options.port
        self._accepted = 0
        self._refused_documents: Counter[int] = Counter()  # By the number of the connection.

    # --- life -------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port listened on; 0 while stopped. From any thread."""
        return 0 if self._acceptor is None else self._acceptor.port

    @property
    def discovery_hosts(self) -> list[str]:
        """Host names that its announcements give, by which a browser knows them as its own."""
        return [advertiser.host for advertiser in self._advertisers]

    @property
    def urls(self) -> list[str]:
        """Where active peers may dial, one for each address of this machine. From any thread."""
        if self._acceptor is None:
            return []
        scheme = "wss" if self._options.identity else "ws"
        result = []
        for served in self._served:
            for address in self._addresses():
                host = f"[{address.replace('%', '%25')}]" if ":" in address else address
                result.append(f"{scheme}://{host}:{self.port}/{served.path}")
        return result

    def _addresses(self) -> list[str]:
        assert self._acceptor is not None
        bound = {address for address, _ in self._acceptor.addresses}
        if not bound & {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
            return sorted(bound)
        ours = [one for one in interface_addresses() if not one.is_link_local]
        outside = [one.address for one in ours if not one.is_loopback]
        return outside or [one.address for one in ours]

    async def start(self) -> None:
        """Listen; does nothing if it does. Raises ConfigError if port or host can't be had."""
        if self._acceptor is not None:
            return
        options = self._options
        tls = None
        if options.identity is not None:
            tls = options.keys.server_tls(options.identity)
        acceptor = self._made(tls, self._port)
        try:
            await acceptor.start()
        except ConfigError:
            if options.port or not self._port:
                raise
            acceptor = self._made(tls, 0)  # The port of last time is taken: another will do.
            await acceptor.start()
        self._acceptor = acceptor
        self._port = acceptor.port
        if options.advertise:
            self._advertise()
        self._tell()
        _log.info("listening on %s", ", ".join(self.urls))

    def _made(self, tls: ServerTLS | None, port: int) -> Acceptor:
        options = self._options
        return Acceptor(
            host=options.host,
            port=port,
            tls=tls,
            decide=self._decide,
            on_refusal=self._refused,
            heartbeat_s=options.heartbeat_s,
            reads=self._runtime.reads,
        )

    def _advertise(self) -> None:
        options = self._options
        self._network = Network(options.discovery_interfaces)
        identity = options.identity
        addresses = None
        if options.host is not None:
            assert self._acceptor is not None
            addresses = [address for address, _ in self._acceptor.addresses]
        for served in self._served:
            advertiser = Advertiser(
                self._network,
                port=self.port,
                name=announced_as(options.advertise, served.path, alone=len(self._served) == 1),
                path=f"/{served.path}",
                tls=identity is not None,
                identity=None if identity is None else identity.fingerprint,
                addresses=addresses,
                on_problem=self._advertising_failed,
                clock=self._runtime.clock,
            )
            self._advertisers.append(advertiser)
            advertiser.start()
        self._runtime.spawn(self._name_learnt(self._advertisers[0]))

    async def _name_learnt(self, advertiser: Advertiser) -> None:
        if await advertiser.registered() and advertiser in self._advertisers:
            self.advertised_name = advertiser.name
            self.problem = None

    def _advertising_failed(self, problem: str) -> None:
        self.problem = problem

    async def stop(self, *, final: bool) -> None:
        """Accept no more and end all links; see `URLEndpointListener.stop`."""
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is None:
            return
        await acceptor.stop()
        advertisers, self._advertisers = self._advertisers, []
        if advertisers:
            await asyncio.gather(*(advertiser.stop() for advertiser in advertisers))
            self.advertised_name = None
        if self._network is not None:
            await self._network.close()
            self._network = None
        code, reason = (
            (_STAY_AWAY, "the listener was stopped") if final else (_COME_BACK, "back soon")
        )
        drivers = [connection._driver for connection in self.connections]
        for driver in drivers:
            driver.end(code, reason)
        if drivers:
            waiting = [asyncio.ensure_future(driver.done.wait()) for driver in drivers]
            _, late = await asyncio.wait(waiting, timeout=_STOP_S)
            for task in late:
                task.cancel()
            for driver in drivers:
                driver.link.abort()
        self._tell()
        _log.info("stopped listening")

    def disconnect(self, connection: ListenerConnection, *, final: bool) -> None:
        """End one link."""
        connection._driver.end(_STAY_AWAY if final else _COME_BACK, "disconnected by the listener")

    # --- who may come in --------------------------------------------------------------------------

    async def _decide(self, request: UpgradeRequest, peer: PeerInfo) -> Accept | Refuse:
        who = await self._doorkeeper.judge(request, peer)
        if isinstance(who, Refuse):
            return who
        served = None if request.segments is None else self._routes.get(request.segments)
        if served is None:
            paths = ", ".join(f"/{one.path}" for one in self._served)
            return Refuse(
                status=404,
                reason="no such database",
                note=f"it asked for {printable(request.path, 100)}, not {paths}",
            )
        subprotocol = choose_subprotocol(request.subprotocols)
        if subprotocol is None:
            offered = ", ".join(printable(name, 40) for name in request.subprotocols[:4])
            return Refuse(
                status=403,
                reason="no replication protocol in common: CBMobile_4, 3 and 2 are spoken here",
                stage="subprotocol",
                note=f"it speaks {offered or 'no replication protocol'}, not CBMobile_4, 3 or 2",
            )
        return Accept(
            subprotocol=subprotocol,
            headers=(("Server", PRODUCT),),
            events=lambda link: self.accept(link, who, served),
        )

    def accept(
        self, link: Link, who: Admitted | None = None, served: Served | None = None
    ) -> SessionDriver:
        """Run a session on a link that is open, with the first database unless told."""
        served = served or self._first
        store = served.db._store
        self._accepted += 1
        number = self._accepted
        clock = self._runtime.clock
        options = self._options
        rows = [store.collection(name) for name in served.collections]
        there = [row for row in rows if row is not None]
        who = who or Admitted()
        hooks: Guard | None = None
        collection_options: tuple[CollectionOptions, ...] = ()
        if options.authorize is not None:
            names = tuple(row.name for row in there)
            hooks = Guard(served.db, names, who.user, options.authorize)
            collection_options = tuple(protocol_options(config) for config in hooks.configs)
        session = Session(
            SessionConfig(
                active=False,
                collections=tuple(row.name for row in there),
                report_documents=bool(self.document_listeners),
                push=True,
                pull=not options.read_only,
                resolves=options.resolve_conflicts,
                deltas=options.delta_sync,
                options=collection_options,
                level=level_of(link.peer),
                peer_is_settee=is_settee(link.peer),
                wall_offset_s=clock.wall_ns() / 1e9 - clock.monotonic(),
            ),
            now=clock.monotonic(),
        )
        driver = SessionDriver(
            self._runtime,
            store,
            session,
            link,
            keys=[row.key for row in there],
            remote=None,
            hooks=hooks,
            on_event=lambda event: self._happened(number, event),
            tag=(f"{link.peer.address}:{link.peer.port}", number),
        )
        since = datetime.fromtimestamp(clock.wall_ns() / 1e9, UTC)
        connection = ListenerConnection(number, link, driver, who, served, since)
        self.connections = (*self.connections, connection)
        self._runtime.spawn(self._until_gone(connection, driver))
        self._tell()
        return driver

    async def _until_gone(self, connection: ListenerConnection, driver: SessionDriver) -> None:
        await driver.done.wait()
        self.connections = tuple(c for c in self.connections if c is not connection)
        refused = self._refused_documents.pop(connection.number, 0)
        if refused > LOGGED_PER_SESSION_MAX:
            _log.warning("%d documents of a peer were refused, most of them unlogged", refused)
        self._tell()

    def _refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)
        for listener in self.refusal_listeners:
            self._runtime.callback(listener, refusal)

    def _happened(self, number: int, event: ActivityChanged | DocumentsReplicated) -> None:
        if isinstance(event, ActivityChanged):
            self._tell()
            return
        for doc_id, _, error, _ in event.documents:
            if error is not None:
                self._refused_documents[number] += 1
                if self._refused_documents[number] <= LOGGED_PER_SESSION_MAX:
                    _log.warning("document %r from a peer was refused: %s", doc_id, error)
        if self.document_listeners:
            connection = next((c for c in self.connections if c.number == number), None)
            for listener in self.document_listeners if connection is not None else ():
                self._runtime.callback(listener, connection, event)

    def _tell(self) -> None:
        connections = self.connections
        status = ListenerStatus(
            running=self._acceptor is not None,
            connections=connections,
            connection_count=len(connections),
            active_connection_count=sum(c.activity is Activity.BUSY for c in connections),
        )
        if status != self.status.value:
            self.status.set(status)


def announced_as(advertise: bool | str, path: str, *, alone: bool) -> bool | str:
    """Return the name that a database is announced under, if it has company on its port."""
    if alone or advertise == "private":
        return advertise
    name = device_name() if advertise is True else str(advertise)
    return f"{name} {path}"
