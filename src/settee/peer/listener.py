"""The passive peer's public face: `URLEndpointListener`."""

from __future__ import annotations

import ipaddress
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, final

from settee.errors import ConfigError
from settee.identity import TLSIdentity
from settee.ids import CollectionName
from settee.net.acceptor import Refusal
from settee.peer.attach import runtime_of
from settee.peer.authenticators import ListenerPasswordAuthenticator
from settee.peer.passive import (
    ListenerConnection,
    ListenerOptions,
    ListenerStatus,
    PassivePeer,
)
from settee.peer.target import database_path

if TYPE_CHECKING:
    from settee.db.collection import Collection
    from settee.db.database import Database

__all__ = ["ListenerConnection", "ListenerStatus", "Refusal", "URLEndpointListener"]


def _is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def make_listener_options(
    db: Database,
    *,
    port: int = 0,
    host: str | None = None,
    path: str | None = None,
    collections: Sequence[Collection | str] | None = None,
    tls: bool = True,
    tls_identity: TLSIdentity | None = None,
    authenticator: ListenerPasswordAuthenticator | None = None,
    allow_anonymous: bool = False,
    allow_plaintext_passwords: bool = False,
    read_only: bool = False,
    advertise: bool | str = False,
    discovery_interfaces: Sequence[str] | None = None,
) -> ListenerOptions:
    """Check what a listener was given; raises ConfigError naming the option."""
    if not 0 <= port <= 65535:
        raise ConfigError("port", f"must be 0 to 65535, not {port}")
    if authenticator is None and not allow_anonymous:
        raise ConfigError(
            "authenticator",
            "is needed, or everybody on the network could read and write; give "
            "ListenerPasswordAuthenticator(…), or say allow_anonymous=True",
        )
    if authenticator is not None and not isinstance(authenticator, ListenerPasswordAuthenticator):
        raise ConfigError("authenticator", "must be a ListenerPasswordAuthenticator")
    if not tls:
        if tls_identity is not None:
            raise ConfigError("tls_identity", "is of no use with tls=False")
        if not _is_loopback(host):
            if authenticator is not None and not allow_plaintext_passwords:
                raise ConfigError(
                    "tls",
                    "without TLS, passwords cross the network for all to read; use TLS, or say "
                    "allow_plaintext_passwords=True",
                )
            warnings.warn(
                "the listener has no TLS: all that it syncs can be read on the network",
                stacklevel=4,
            )
    identity = None
    if tls:
        identity = tls_identity if tls_identity is not None else TLSIdentity.anonymous()
    return ListenerOptions(
        path=database_path(db.name, path),
        collections=_served(db, collections),
        port=port,
        host=host,
        identity=identity,
        authenticator=authenticator,
        read_only=read_only,
        advertise=advertise,
        discovery_interfaces=None if discovery_interfaces is None else tuple(discovery_interfaces),
    )


def _served(
    db: Database, collections: Sequence[Collection | str] | None
) -> tuple[CollectionName, ...]:
    if collections is None:
        return tuple(row.name for row in db._store.collections())
    names = tuple(CollectionName.parse(c) if isinstance(c, str) else c._name for c in collections)
    if not names:
        raise ConfigError("collections", "names no collection; None means all")
    for name in names:
        if db._store.collection(name) is None:
            raise ConfigError("collections", f"this database has no collection {name}")
    return names


@final
class URLEndpointListener:
    """Lets active peers replicate with a database: the passive side.

    Args:
        db: The database.
        port: TCP port; 0 lets the system choose one, which is kept over `stop` and `start` if free.
        host: Address to listen on; None means all of this machine.
        path: What the database is called in URLs; None means its name in lower case.
        collections: Collections or their names that are served; None means all there are now.
        tls: Whether connections are encrypted. False warns, unless on loopback.
        tls_identity: Certificate and key to show; None makes a self-signed one for this listener's
            life. `TLSIdentity.self_signed` makes one that lasts, which peers can pin.
        authenticator: Who may connect: a `ListenerPasswordAuthenticator`.
        allow_anonymous: Let everybody in. Without it a listener needs an authenticator.
        allow_plaintext_passwords: Take passwords without TLS, off loopback.
        read_only: Peers may read, and not write.
        advertise: Announce the listener on the local network: True under this device's name, a
            text under that name, ``"private"`` under a random one without particulars.
        discovery_interfaces: Addresses of the interfaces to announce it on, such as
            ``["127.0.0.1"]``; None means all but loopback.

    Raises:
        ConfigError: An option has a value that cannot work.
    """

    def __init__(
        self,
        db: Database,
        *,
        port: int = 0,
        host: str | None = None,
        path: str | None = None,
        collections: Sequence[Collection | str] | None = None,
        tls: bool = True,
        tls_identity: TLSIdentity | None = None,
        authenticator: ListenerPasswordAuthenticator | None = None,
        allow_anonymous: bool = False,
        allow_plaintext_passwords: bool = False,
        read_only: bool = False,
        advertise: bool | str = False,
        discovery_interfaces: Sequence[str] | None = None,
    ) -> None:
        options = make_listener_options(
            db,
            port=port,
            host=host,
            path=path,
            collections=collections,
            tls=tls,
            tls_identity=tls_identity,
            authenticator=authenticator,
            allow_anonymous=allow_anonymous,
            allow_plaintext_passwords=allow_plaintext_passwords,
            read_only=read_only,
            advertise=advertise,
            discovery_interfaces=discovery_interfaces,
        )
        self._db: Final = db
        self._options: Final = options
        self._runtime: Final = runtime_of(db)
        self._peer: Final = PassivePeer(db, options, self._runtime)
        self._unregister: Callable[[], None] | None = None

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
        """Have the database stop this listener when it is closed."""
        if self._unregister is None:
            self._unregister = self._db._on_close(self.stop)

    def _forget(self) -> None:
        if self._unregister is not None:
            self._unregister()
            self._unregister = None

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
