"""The passive peer, awaited."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, final

from settee import peer as peers
from settee.aio.collection import Collection
from settee.aio.database import Database
from settee.aio.driver import wait
from settee.aio.watching import blocking_of
from settee.identity import TLSIdentity
from settee.peer import DocumentsReplicated, ListenerConnection, ListenerStatus, Refusal
from settee.peer.authenticators import ListenerAuthenticators
from settee.peer.config import ListenerConfig, named
from settee.peer.hooks import Authorize

__all__ = ["URLEndpointListener"]

OPTIONS: Final = frozenset(named(ListenerConfig))


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
        options = {name: value for name, value in locals().items() if name in OPTIONS}
        options["collections"] = blocking_of(collections)
        dbs = (db,) if isinstance(db, Database) else db
        self._blocking: Final = peers.URLEndpointListener(
            [each._blocking for each in dbs], **options
        )

    async def __aenter__(self) -> URLEndpointListener:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    def __repr__(self) -> str:
        return repr(self._blocking)

    async def start(self) -> None:
        """Listen, in the background; does nothing if it does already."""
        blocking = self._blocking
        blocking._register()
        await wait(blocking._runtime.submit(blocking._peer.start()))

    async def stop(self, *, final: bool = False) -> None:
        """Stop listening and end all connections. It can be started again."""
        blocking = self._blocking
        blocking._forget()
        if self.status.running:
            await wait(blocking._runtime.submit(blocking._peer.stop(final=final)))

    @property
    def config(self) -> ListenerConfig:
        """The options that it was made with."""
        return self._blocking.config

    @property
    def urls(self) -> list[str]:
        """Where peers can dial, one URL for each address of this machine; empty while stopped."""
        return self._blocking.urls

    @property
    def port(self) -> int:
        """The TCP port; 0 while stopped."""
        return self._blocking.port

    @property
    def tls_identity(self) -> TLSIdentity | None:
        """Certificate and key that it shows; None without TLS."""
        return self._blocking.tls_identity

    @property
    def advertised_name(self) -> str | None:
        """The name that it is announced under, once it is; another may have had the wanted one."""
        return self._blocking.advertised_name

    @property
    def status(self) -> ListenerStatus:
        """Whether it runs, and how many peers are connected."""
        return self._blocking.status

    def on_status(self, callback: Callable[[ListenerStatus], object]) -> Callable[[], None]:
        """Call back when peers come, go, or become busy or idle; returns how to end it."""
        return self._blocking.on_status(callback)

    @property
    def connections(self) -> tuple[ListenerConnection, ...]:
        """Who is connected now."""
        return self._blocking.connections

    def disconnect(self, connection: ListenerConnection, *, final: bool = False) -> None:
        """End one connection; its peer comes back if it is continuous, unless `final`."""
        self._blocking.disconnect(connection, final=final)

    def on_documents(
        self, callback: Callable[[ListenerConnection, DocumentsReplicated], object]
    ) -> Callable[[], None]:
        """Call back with each batch of documents that a peer sent, got, or could not replicate."""
        return self._blocking.on_documents(callback)

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Who was turned away and why; the last 100."""
        return self._blocking.refusals

    def on_refused(self, callback: Callable[[Refusal], object]) -> Callable[[], None]:
        """Call back for each peer that is turned away; returns a function that ends it."""
        return self._blocking.on_refused(callback)
