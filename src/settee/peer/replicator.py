"""The active peer's public face: `Replicator`, and the one call `replicate`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, final

from settee.errors import ConfigError
from settee.identity import CertificateInfo, PinSource, describe, parse_pin
from settee.ids import CollectionName, is_document_id
from settee.limits import DOCUMENT_IDS_SUBSCRIBED_MAX, HEARTBEAT_S, RETRY_WAIT_S_MAX
from settee.net.discovery import PeerFound
from settee.net.proxy import Proxies
from settee.net.tls import Trust
from settee.peer.active import ActivePeer, ReplicatorOptions
from settee.peer.attach import runtime_of
from settee.peer.authenticators import Authenticators
from settee.peer.config import ReplicatorConfig, ReplicatorType, given_to
from settee.peer.credentials import Credentials
from settee.peer.hooks import CollectionConfig, ConflictResolver, ReplicationFilter
from settee.peer.local import dialer_for
from settee.peer.runtime import Runtime
from settee.peer.status import (
    DocumentError,
    ReplicationResult,
    ReplicatorStatus,
)
from settee.peer.target import Target, targets_of
from settee.peer.versions import user_agent
from settee.sync.events import Activity, DocumentsReplicated

if TYPE_CHECKING:
    from settee.db.collection import Collection
    from settee.db.database import Database

__all__ = ["DocumentError", "ReplicationResult", "Replicator", "ReplicatorStatus", "replicate"]

Collections = Sequence["Collection | CollectionConfig | str"]

_RESERVED_HEADERS: Final = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "host",
        "origin",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)


def make_options(
    db: Database, target: str | PeerFound | Database, config: ReplicatorConfig
) -> ReplicatorOptions:
    """Check what a `Replicator` was given; raises ConfigError naming the option."""
    if config.replicator_type not in ("push_and_pull", "push", "pull"):
        raise ConfigError(
            "replicator_type",
            f"must be push_and_pull, push or pull, not {config.replicator_type!r}",
        )
    if config.heartbeat <= 0:
        raise ConfigError("heartbeat", "must be a positive number of seconds")
    if config.max_attempts is not None and config.max_attempts < 0:
        raise ConfigError("max_attempts", "must not be negative (0: without limit)")
    if config.max_attempt_wait <= 0:
        raise ConfigError("max_attempt_wait", "must be a positive number of seconds")
    credentials = Credentials.of(config.authenticator)
    if isinstance(target, PeerFound) and not target.path:
        raise ConfigError(
            "target", f"{target.name!r} announced no database; give a URL with one: {target.urls}"
        )
    targets = targets_of(target)
    return ReplicatorOptions(
        targets=targets,
        replicator_type=config.replicator_type,
        continuous=config.continuous,
        collections=_names(db, config.collections),
        configs=_configs(db, config),
        delta_sync=config.delta_sync,
        auto_purge=config.auto_purge,
        trust=_trust(config, targets),
        trust_on_first_use=_is_first_use(config, credentials) and config.trust_on_first_use,
        headers=_headers(config.headers or {}),
        heartbeat_s=config.heartbeat,
        max_attempts=config.max_attempts,
        max_attempt_wait_s=config.max_attempt_wait,
        credentials=credentials,
        proxies=Proxies.parse(config.proxy),
        local_address=config.local_address,
        accept_parent_domain_cookies=config.accept_parent_domain_cookies,
        user_agent=user_agent(config.user_agent),
    )


def _trust(config: ReplicatorConfig, targets: Sequence[Target]) -> Trust:
    pins: tuple[bytes, ...] = ()
    if config.pinned_server_certificate is not None:
        pins = (parse_pin(config.pinned_server_certificate),)
        if not all(target.secure for target in targets):
            warnings.warn(
                "a ws:// address has no certificate: the pin protects nothing there",
                stacklevel=4,
            )
    return Trust(
        pins=pins,
        self_signed_only=config.accept_only_self_signed,
        roots_pem=config.trusted_roots,
    )


def _is_first_use(config: ReplicatorConfig, credentials: Credentials) -> bool:
    """Whether a secret is sent to whoever answers first; warns if so."""
    if not config.accept_only_self_signed or config.pinned_server_certificate is not None:
        return False
    if not credentials.are_secret:
        return False
    warnings.warn(
        "accept_only_self_signed sends the credentials to whoever answers first; pin the "
        "certificate (pinned_server_certificate=) outside development",
        stacklevel=4,
    )
    return True


def _names(db: Database, collections: Collections | None) -> tuple[CollectionName, ...]:
    if collections is None:
        return tuple(row.name for row in db._store.collections())
    names = tuple(_name(each) for each in collections)
    if not names:
        raise ConfigError("collections", "names no collection; None means all")
    if len(set(names)) != len(names):
        raise ConfigError("collections", "names a collection twice")
    for name in names:
        if db._store.collection(name) is None:
            raise ConfigError("collections", f"this database has no collection {name}")
    return names


def _name(each: Collection | CollectionConfig | str) -> CollectionName:
    if isinstance(each, CollectionConfig):
        each = each.collection
    return CollectionName.parse(each) if isinstance(each, str) else each._name


def _configs(db: Database, config: ReplicatorConfig) -> tuple[CollectionConfig, ...]:
    """Return what holds for each collection: its own configuration, or the replicator's."""
    given = [] if config.collections is None else list(config.collections)
    own = {_name(each): each for each in given if isinstance(each, CollectionConfig)}
    configs = []
    for name in _names(db, config.collections):
        each = own.get(name) or CollectionConfig(
            collection=name.path,
            document_ids=config.document_ids,
            channels=config.channels,
            push_filter=config.push_filter,
            pull_filter=config.pull_filter,
            conflict_resolver=config.conflict_resolver,
        )
        _check_filters(each)
        configs.append(each)
    return tuple(configs)


def _check_filters(config: CollectionConfig) -> None:
    ids, channels = config.document_ids, config.channels
    if ids is not None:
        if isinstance(ids, str) or not all(is_document_id(each) for each in ids):
            raise ConfigError("document_ids", "must be a sequence of document IDs")
        if len(ids) > DOCUMENT_IDS_SUBSCRIBED_MAX:
            raise ConfigError("document_ids", f"more than {DOCUMENT_IDS_SUBSCRIBED_MAX}")
    if channels is not None and (
        isinstance(channels, str)
        or not channels
        or any(not each or "," in each or not each.isprintable() for each in channels)
    ):
        raise ConfigError("channels", "must be names of channels, without commas")
    for field in ("push_filter", "pull_filter", "conflict_resolver"):
        value = getattr(config, field)
        if value is not None and not callable(value):
            raise ConfigError(field, "must be callable")


def _headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    for name, value in headers.items():
        if name.lower() in _RESERVED_HEADERS:
            raise ConfigError("headers", f"{name} is set by settee itself")
        if not value or any(ord(c) < 32 or ord(c) > 126 for c in name + value):
            raise ConfigError("headers", f"{name} must be printable ASCII and not empty")
    return tuple(headers.items())


@final
class Replicator:
    """Keeps a database in sync with one peer: the active side.

    Args:
        db: The database.
        target: ``wss://host:port/database`` (``ws://`` without TLS), a peer that `browse` found, or
            another database of this program, with which it then replicates without a network.
        replicator_type: ``"push_and_pull"``, ``"push"`` or ``"pull"``.
        continuous: Stay connected, replicate changes as they come, and come back after errors that
            may pass. Default: one shot.
        collections: Collections, their names, or `CollectionConfig` with filters of their own; None
            means all of this database.
        document_ids: Only these documents, in both directions.
        channels: Pull only what is in these channels of a Sync Gateway; other peers refuse them.
        push_filter: ``push_filter(document, flags) -> bool``: push only what it lets through.
        pull_filter: The same for what comes, deletions included; false skips the document.
        conflict_resolver: ``conflict_resolver(conflict)``, sync or async, returns
            ``conflict.local``, ``conflict.remote``, a merge of them, or None to delete. If it
            fails, the conflict stays open until the next start. None: the default rule.
        delta_sync: Let revisions travel as what changed, if the peer does too.
        auto_purge: Purge documents that a Sync Gateway takes our access away from.
        authenticator: Credentials: a `BasicAuthenticator`, `SessionAuthenticator`,
            `BearerAuthenticator` or `ClientCertificateAuthenticator`, or several that are all
            shown.
        pinned_server_certificate: Trust just this certificate: PEM, DER, or its SHA-256 fingerprint
            in hex. Checked before any credential is sent.
        accept_only_self_signed: Trust any self-signed certificate. For development: it does not
            tell one listener from another.
        trust_on_first_use: With `accept_only_self_signed` and a password: remember the certificate
            of the first success at this address, and accept no other there from then on.
        trusted_roots: PEM certificates of authorities to trust instead of the system's.
        headers: Further request headers.
        heartbeat: Seconds of silence after which the peer is pinged (60).
        max_attempts: Attempts to connect in a row; None: 10 for one shot, unlimited for continuous.
        max_attempt_wait: Longest pause between two attempts, in seconds (300).
        proxy: An HTTP proxy to go through, ``http://user:password@host:port``, or ``"env"`` for the
            one that the environment names (``https_proxy``, ``no_proxy`` …). Default: none.
        local_address: Own address, or name of the network interface, to connect from.
        accept_parent_domain_cookies: Keep cookies that a peer sets for the domain above its own.
        user_agent: What this program calls itself, such as ``MyApp/1.0``; sent after settee's name.

    Raises:
        ConfigError: An option has a value that cannot work.
    """

    def __init__(
        self,
        db: Database,
        target: str | PeerFound | Database,
        *,
        replicator_type: ReplicatorType = "push_and_pull",
        continuous: bool = False,
        collections: Collections | None = None,
        document_ids: Sequence[str] | None = None,
        channels: Sequence[str] | None = None,
        push_filter: ReplicationFilter | None = None,
        pull_filter: ReplicationFilter | None = None,
        conflict_resolver: ConflictResolver | None = None,
        delta_sync: bool = True,
        auto_purge: bool = True,
        authenticator: Authenticators | None = None,
        pinned_server_certificate: PinSource | None = None,
        accept_only_self_signed: bool = False,
        trust_on_first_use: bool = True,
        trusted_roots: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        heartbeat: float = HEARTBEAT_S,
        max_attempts: int | None = None,
        max_attempt_wait: float = RETRY_WAIT_S_MAX,
        proxy: str | None = None,
        local_address: str | None = None,
        accept_parent_domain_cookies: bool = False,
        user_agent: str | None = None,
    ) -> None:
        config = given_to(ReplicatorConfig, locals())
        options = make_options(db, target, config)
        self._db: Final = db
        self._config: Final = replace(config, collections=tuple(map(str, options.collections)))
        self._runtime: Final[Runtime] = runtime_of(db)
        self._peer: Final = ActivePeer(db, options, self._runtime, dialer=dialer_for(db, target))
        self._unregister: Callable[[], None] | None = None

    def __enter__(self) -> Replicator:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        status = self.status
        return f"<Replicator {self._peer.target_url} {status.activity.value}>"

    def start(self, *, reset: bool = False) -> None:
        """Begin to replicate, in the background; does nothing if it is running.

        `reset` compares everything again instead of going on at the checkpoint.

        Raises:
            DatabaseInUseError: Another process replicates this database.
            ClosedError: The database is closed.
        """
        self._register()
        self._runtime.wait(self._peer.start(reset=reset))

    def stop(self) -> None:
        """Stop, saving the checkpoint, and wait until stopped. It can be started again."""
        self._forget()
        if self.status.activity is not Activity.STOPPED:
            self._runtime.wait(self._peer.stop())

    def _register(self) -> None:
        """Have the database stop this replicator when it is closed."""
        if self._unregister is None:
            self._unregister = self._db._on_close(self.stop)

    def _forget(self) -> None:
        if self._unregister is not None:
            self._unregister()
            self._unregister = None

    def suspend(self) -> None:
        """Go offline, saving the checkpoint, until `resume`; does nothing while stopped."""
        if self.status.activity is not Activity.STOPPED:
            self._runtime.wait(self._peer.suspend())

    def resume(self) -> None:
        """Come back from `suspend`, or end the pause between two attempts: connect at once."""
        self._runtime.call(self._peer.resume)

    @property
    def config(self) -> ReplicatorConfig:
        """The options that it was made with; `collections` are the names of those it replicates."""
        return self._config

    @property
    def status(self) -> ReplicatorStatus:
        """What it is doing, how much it has done, and what went wrong."""
        return self._peer.status.value

    def on_status(self, callback: Callable[[ReplicatorStatus], object]) -> Callable[[], None]:
        """Call back at each change of status; returns a function that ends it.

        While it is busy, progress is told four times a second. Callbacks run on a thread of
        settee's, one after another.
        """
        return self._peer.status.listen(callback)

    def statuses(self) -> Iterator[ReplicatorStatus]:
        """Yield the status now and at each change, until it is stopped."""
        return self._peer.status.iterate(lambda s: s.activity is Activity.STOPPED)

    def on_documents(self, callback: Callable[[DocumentsReplicated], object]) -> Callable[[], None]:
        """Call back with each batch of documents replicated or failed; returns how to end it.

        Set it before `start`: a session that began without a listener reports failures only.
        """
        listeners = self._peer.document_listeners
        listeners.append(callback)

        def unlisten() -> None:
            if callback in listeners:
                listeners.remove(callback)

        return unlisten

    def wait_for(self, activity: Activity | str, timeout: float | None = None) -> bool:
        """Wait until it is ``"idle"``, ``"stopped"`` …; false if not in time (seconds).

        Raises the error of a replicator that stopped with one while waiting for something else.
        """
        wanted = Activity(activity)
        in_time = self._peer.status.wait(lambda status: reached(status, wanted), timeout)
        return judged(self.status, wanted, in_time)

    def pending(self, collection: Collection | str = "_default") -> set[str]:
        """Return the IDs of documents that are still to be pushed to this peer.

        Told from the checkpoint of the last session, without a connection; deletions count, and the
        push filter is asked. Raises ConfigError if the collection isn't replicated, or not pushed.
        """
        if self._config.replicator_type == "pull":
            raise ConfigError("replicator_type", "nothing is pushed by a replicator that pulls")
        name = _name(collection)
        if str(name) not in (self._config.collections or ()):
            raise ConfigError("collection", f"{name} is not replicated here")
        return self._peer.pending(name)

    def is_pending(self, id: str, collection: Collection | str = "_default") -> bool:
        """Tell whether a document is still to be pushed to this peer; as `pending`."""
        return id in self.pending(collection)

    @property
    def server_certificate(self) -> CertificateInfo | None:
        """The certificate that the peer showed last, one that was refused for another included.

        None without TLS, before connecting, and where it was refused for its authority.
        """
        der = self._peer.certificate_der
        return None if der is None else describe(der)

    @property
    def errors(self) -> tuple[DocumentError, ...]:
        """Documents that could not be replicated since `start`; the first 1,000."""
        return tuple(self._peer.errors)


def reached(status: ReplicatorStatus, wanted: Activity) -> bool:
    """Tell whether waiting for `wanted` is over: it is there, or an error keeps it away."""
    return status.activity is wanted or (
        status.activity is Activity.STOPPED and status.error is not None
    )


def judged(status: ReplicatorStatus, wanted: Activity, in_time: bool) -> bool:
    """Return what `wait_for` returns, or raise the error that made the wait vain."""
    if in_time and status.activity is not wanted and status.error is not None:
        raise status.error
    return in_time


def result_of(peer: ActivePeer, elapsed_s: float) -> ReplicationResult:
    """Return what a replicator that has stopped did; raises the error that it stopped with."""
    status = peer.status.value
    if status.error is not None:
        raise status.error
    progress = status.progress
    return ReplicationResult(
        pushed=progress.pushed,
        pulled=progress.pulled,
        bytes_pushed=progress.bytes_pushed,
        bytes_pulled=progress.bytes_pulled,
        errors=tuple(peer.errors),
        elapsed_s=elapsed_s,
    )


def replicate(
    db: Database, target: str | PeerFound | Database, **options: object
) -> ReplicationResult:
    """Replicate once and return what was done: `Database.replicate`.

    Takes the options of `Replicator` but `continuous`. Raises SyncError (and its kin) if the
    peer can't be reached or ends the session; documents that were refused are in the result.
    """
    if options.pop("continuous", False):
        raise ConfigError("continuous", "replicate() is one shot; use Replicator")
    replicator = Replicator(db, target, **options)  # type: ignore[arg-type]
    clock = db._clock
    began_s = clock.monotonic()
    try:
        replicator.start()
        replicator._peer.status.wait(lambda s: s.activity is Activity.STOPPED, None)
    finally:
        replicator.stop()
    return result_of(replicator._peer, clock.monotonic() - began_s)
