"""The passive peer's public face: `URLEndpointListener`."""

from __future__ import annotations

import ipaddress
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, final

from settee.db.database import Database
from settee.errors import ConfigError
from settee.identity import TLSIdentity
from settee.ids import CollectionName
from settee.net.acceptor import Refusal
from settee.net.interfaces import addresses_of_interface
from settee.peer.attach import runtime_of
from settee.peer.authenticators import ListenerAuthenticators
from settee.peer.config import ListenerConfig, given_to
from settee.peer.doorkeeper import Keys
from settee.peer.hooks import Authorize
from settee.peer.passive import (
    ListenerConnection,
    ListenerOptions,
    ListenerStatus,
    PassivePeer,
    Served,
)
from settee.peer.target import database_path
from settee.sync.events import DocumentsReplicated

if TYPE_CHECKING:
    from settee.db.collection import Collection

__all__ = ["ListenerConnection", "ListenerStatus", "Refusal", "URLEndpointListener"]


def _is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    if host == "localhost":
        return True
    interface = addresses_of_interface(host)
    if interface:
        return all(one.is_loopback for one in interface)
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def make_listener_options(dbs: Sequence[Database], config: ListenerConfig) -> ListenerOptions:
    """Check what a listener was given; raises ConfigError naming the option."""
    if not 0 <= config.port <= 65535:
        raise ConfigError("port", f"must be 0 to 65535, not {config.port}")
    keys = Keys.of(config.authenticator)
    if keys.are_none and not config.allow_anonymous:
        raise ConfigError(
            "authenticator",
            "is needed, or everybody on the network could read and write; give "
            "ListenerPasswordAuthenticator(…), or say allow_anonymous=True",
        )
    if not config.tls:
        _check_without_tls(config, keys)
    identity = config.tls_identity if config.tls else None
    if config.tls and identity is None:
        identity = TLSIdentity.anonymous()
    first, *others = _served(dbs, config)
    interfaces = config.discovery_interfaces
    return ListenerOptions(
        path=first.path,
        collections=first.collections,
        others=tuple(others),
        port=config.port,
        host=config.host,
        identity=identity,
        keys=keys,
        read_only=config.read_only,
        resolve_conflicts=config.resolve_conflicts,
        authorize=config.authorize,
        delta_sync=config.delta_sync,
        advertise=config.advertise,
        discovery_interfaces=None if interfaces is None else tuple(interfaces),
    )


def _check_without_tls(config: ListenerConfig, keys: Keys) -> None:
    if config.tls_identity is not None:
        raise ConfigError("tls_identity", "is of no use with tls=False")
    if keys.certificate is not None:
        raise ConfigError("authenticator", "a client certificate is shown with TLS only")
    if _is_loopback(config.host):
        return
    if keys.password is not None and not config.allow_plaintext_passwords:
        raise ConfigError(
            "tls",
            "without TLS, passwords cross the network for all to read; use TLS, or say "
            "allow_plaintext_passwords=True",
        )
    warnings.warn(
        "the listener has no TLS: all that it syncs can be read on the network", stacklevel=5
    )


def _served(dbs: Sequence[Database], config: ListenerConfig) -> list[Served]:
    """Return the databases with the paths that they are served under."""
    paths = config.path
    if len(dbs) > 1 and isinstance(paths, str):
        raise ConfigError("path", "must map each database's name to a path, if there are several")
    if isinstance(paths, Mapping):
        unknown = set(paths) - {db.name for db in dbs}
        if unknown:
            raise ConfigError("path", f"names no database of this listener: {min(unknown)!r}")
    served: list[Served] = []
    for db in dbs:
        path = database_path(db.name, paths.get(db.name) if isinstance(paths, Mapping) else paths)
        if any(path == other.path for other in served):
            raise ConfigError("path", f"/{path} would be two databases; give each its own")
        served.append(Served(db, path, _names(db, config.collections)))
    return served


def _names(
    db: Database, collections: Sequence[Collection | str] | None
) -> tuple[CollectionName, ...]:
    if collections is None:
        return tuple(row.name for row in db._store.collections())
    names = tuple(CollectionName.parse(c) if isinstance(c, str) else c._name for c in collections)
    if not names:
        raise ConfigError("collections", "names no collection; None means all")
    for name in names:
        if db._store.collection(name) is None:
            raise ConfigError("collections", f"the database {db.name!r} has no collection {name}")
    return names


@final
class URLEndpointListener:
    """Lets active peers replicate with a database: the passive side.

    Args:
        db: The database, or several that are served on the same port. Closing one of them stops the
            listener.
        port: TCP port; 0 lets the system choose one, which is kept over `stop` and `start` if free.
        host: Address, or name of the network interface, to listen on; None means all.
        path: What the database is called in URLs; None means its name in lower case. For several
            databases, a mapping from their names to paths.
        collections: Collections or their names that are served; None means all there are now.
        tls: Whether connections are encrypted. False warns, unless on loopback.
        tls_identity: Certificate and key to show; None makes a self-signed one for this listener's
            life. `TLSIdentity.self_signed` makes one that lasts, which peers can pin.
        authenticator: Who may connect: a `ListenerPasswordAuthenticator`, a
            `ListenerCertificateAuthenticator`, or one of each, which both have to be satisfied.
        allow_anonymous: Let everybody in. Without it a listener needs an authenticator.
        allow_plaintext_passwords: Take passwords without TLS, off loopback.
        delta_sync: Let revisions travel as what changed, to and from peers that do too.
        read_only: Peers may read, and not write.
        resolve_conflicts: End conflicts with Couchbase Lite 3 here, by settee's rule. Without it
            the peer is refused its edit until its own resolver has decided, as between two of its
            kind; peers that only such peers connect may then differ until the next edit.
        authorize: ``authorize(request) -> bool`` is asked about each document that a peer would get
            or wants to write, with its user; to replace one, about what is there and what it
            becomes. Asked when a document changes, not when the answer would. None: whoever is let
            in may read and write all.
        advertise: Announce the listener on the local network: True under this device's name, a
            text under that name, ``"private"`` under a random one without particulars.
        discovery_interfaces: Addresses of the interfaces to announce it on, such as
            ``["127.0.0.1"]``; None means all but loopback.

    Raises:
        ConfigError: An option has a value that cannot work.
    """

    def __init__(
        self,
        db: Database | Sequence[Database],
        *,
        port: int = 0,
        host: str | None = None,
        path: str | Mapping[str, str] | None = None,
        collections: Sequence[Collection | str] | None = None,
        tls: bool = True,
        tls_identity: TLSIdentity | None = None,
        authenticator: ListenerAuthenticators | None = None,
        allow_anonymous: bool = False,
        allow_plaintext_passwords: bool = False,
        delta_sync: bool = False,
        read_only: bool = False,
        resolve_conflicts: bool = False,
        authorize: Authorize | None = None,
        advertise: bool | str = False,
        discovery_interfaces: Sequence[str] | None = None,
    ) -> None:
        config = given_to(ListenerConfig, locals())
        dbs = (db,) if isinstance(db, Database) else tuple(db)
        if not dbs or len({each.path for each in dbs}) != len(dbs):
            raise ConfigError("db", "must be a database, or several different ones")
        options = make_listener_options(dbs, config)
        runtimes = [runtime_of(each) for each in dbs]
        self._dbs: Final = dbs
        self._config: Final = replace(
            config,
            collections=None if collections is None else tuple(map(str, options.collections)),
        )
        self._options: Final = options
        # Sessions of all databases run on the first one's loop, each with its own store.
        self._runtime: Final = runtimes[0]
        self._peer: Final = PassivePeer(dbs[0], options, self._runtime)
        self._unregister: list[Callable[[], None]] = []

    def __enter__(self) -> URLEndpointListener:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        where = ", ".join(self.urls) or "stopped"
        return f"<URLEndpointListener {where}>"

    def start(self) -> None:
        """Listen, in the background; does nothing if it does already.

        Raises:
            ConfigError: The port is taken, or the host is not an address of this machine.
            DatabaseInUseError: Another process replicates this database.
            ClosedError: The database is closed.
        """
        self._register()
        self._runtime.wait(self._peer.start())

    def stop(self, *, final: bool = False) -> None:
        """Stop listening and end all connections. It can be started again.

        Continuous replicators of the peers come back when it listens again; with `final` they are
        told to stop for good.
        """
        self._forget()
        if self.status.running:
            self._runtime.wait(self._peer.stop(final=final))

    def _register(self) -> None:
        """Have its databases stop this listener when one of them is closed."""
        if not self._unregister:
            for db in self._dbs:
                self._unregister.append(db._on_close(self.stop))

    def _forget(self) -> None:
        unregister, self._unregister = self._unregister, []
        for each in unregister:
            each()

    @property
    def config(self) -> ListenerConfig:
        """The options that it was made with."""
        return self._config

    @property
    def urls(self) -> list[str]:
        """Where peers can dial, one URL for each address of this machine; empty while stopped."""
        return self._peer.urls

    @property
    def port(self) -> int:
        """The TCP port; 0 while stopped."""
        return self._peer.port

    @property
    def tls_identity(self) -> TLSIdentity | None:
        """Certificate and key that it shows; None without TLS."""
        return self._options.identity

    @property
    def advertised_name(self) -> str | None:
        """The name that it is announced under, once it is; another may have had the wanted one."""
        return self._peer.advertised_name

    @property
    def status(self) -> ListenerStatus:
        """Whether it runs, and how many peers are connected."""
        return self._peer.status.value

    def on_status(self, callback: Callable[[ListenerStatus], object]) -> Callable[[], None]:
        """Call back when peers come, go, or become busy or idle; returns how to end it."""
        return self._peer.status.listen(callback)

    @property
    def connections(self) -> tuple[ListenerConnection, ...]:
        """Who is connected now."""
        return self._peer.connections

    def disconnect(self, connection: ListenerConnection, *, final: bool = False) -> None:
        """End one connection; its peer comes back if it is continuous, unless `final`."""
        self._runtime.call(lambda: self._peer.disconnect(connection, final=final))

    def on_documents(
        self, callback: Callable[[ListenerConnection, DocumentsReplicated], object]
    ) -> Callable[[], None]:
        """Call back with each batch of documents that a peer sent, got, or could not replicate.

        `callback` is given the connection too; `pushed` is seen from this side: sent to the peer.
        Set it before `start`: sessions that began without it report failures only. Returns how to
        end it.
        """
        listeners = self._peer.document_listeners
        listeners.append(callback)

        def unlisten() -> None:
            if callback in listeners:
                listeners.remove(callback)

        return unlisten

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Who was turned away and why; the last 100."""
        return tuple(self._peer.refusals)

    def on_refused(self, callback: Callable[[Refusal], object]) -> Callable[[], None]:
        """Call back for each peer that is turned away; returns a function that ends it."""
        listeners = self._peer.refusal_listeners
        listeners.append(callback)

        def unlisten() -> None:
            if callback in listeners:
                listeners.remove(callback)

        return unlisten
