"""The active peer's public face: `Replicator`, and the one call `replicate`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, final

from settee.errors import ConfigError
from settee.identity import CertificateInfo, describe, parse_pin
from settee.ids import CollectionName
from settee.limits import HEARTBEAT_S, RETRY_WAIT_S_MAX
from settee.net.discovery import PeerFound
from settee.net.tls import Trust
from settee.peer.active import ActivePeer, ReplicatorOptions
from settee.peer.attach import runtime_of
from settee.peer.authenticators import Authenticator
from settee.peer.runtime import Runtime
from settee.peer.status import (
    DocumentError,
    ReplicationResult,
    ReplicatorStatus,
)
from settee.peer.target import targets_of
from settee.sync.events import Activity, DocumentsReplicated

if TYPE_CHECKING:
    from settee.db.collection import Collection
    from settee.db.database import Database

__all__ = ["DocumentError", "ReplicationResult", "Replicator", "ReplicatorStatus", "replicate"]

ReplicatorType = Literal["push_and_pull", "push", "pull"]
Collections = Sequence["Collection | str"]

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
    db: Database,
    target: str | PeerFound,
    *,
    replicator_type: ReplicatorType = "push_and_pull",
    continuous: bool = False,
    collections: Collections | None = None,
    authenticator: Authenticator | None = None,
    pinned_server_certificate: bytes | str | None = None,
    accept_only_self_signed: bool = False,
    trust_on_first_use: bool = True,
    trusted_roots: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    heartbeat: float = HEARTBEAT_S,
    max_attempts: int | None = None,
    max_attempt_wait: float = RETRY_WAIT_S_MAX,
) -> ReplicatorOptions:
    """Check what a `Replicator` was given; raises ConfigError naming the option."""
    if replicator_type not in ("push_and_pull", "push", "pull"):
        raise ConfigError(
            "replicator_type", f"must be push_and_pull, push or pull, not {replicator_type!r}"
        )
    if heartbeat <= 0:
        raise ConfigError("heartbeat", "must be a positive number of seconds")
    if max_attempts is not None and max_attempts < 0:
        raise ConfigError("max_attempts", "must not be negative (0: without limit)")
    if max_attempt_wait <= 0:
        raise ConfigError("max_attempt_wait", "must be a positive number of seconds")
    if authenticator is not None and not isinstance(authenticator, Authenticator):
        raise ConfigError("authenticator", "must be a BasicAuthenticator")
    if isinstance(target, PeerFound) and not target.path:
        raise ConfigError(
            "target", f"{target.name!r} announced no database; give a URL with one: {target.urls}"
        )
    targets = targets_of(target)
    pins = () if pinned_server_certificate is None else (parse_pin(pinned_server_certificate),)
    if pins and not all(t.secure for t in targets):
        raise ConfigError("pinned_server_certificate", "a ws:// address has no certificate")
    first_use = accept_only_self_signed and not pins and authenticator is not None
    if first_use:
        warnings.warn(
            "accept_only_self_signed sends the password to whoever answers first; pin the "
            "certificate (pinned_server_certificate=) outside development",
            stacklevel=4,
        )
    return ReplicatorOptions(
        targets=targets,
        replicator_type=replicator_type,
        continuous=continuous,
        collections=_names(db, collections),
        authenticator=authenticator,
        trust=Trust(pins=pins, self_signed_only=accept_only_self_signed, roots_pem=trusted_roots),
        trust_on_first_use=first_use and trust_on_first_use,
        headers=_headers(headers or {}),
        heartbeat_s=heartbeat,
        max_attempts=max_attempts,
        max_attempt_wait_s=max_attempt_wait,
    )


def _names(db: Database, collections: Collections | None) -> tuple[CollectionName, ...]:
    if collections is None:
        return tuple(row.name for row in db._store.collections())
    names = tuple(CollectionName.parse(c) if isinstance(c, str) else c._name for c in collections)
    if not names:
        raise ConfigError("collections", "names no collection; None means all")
    if len(set(names)) != len(names):
        raise ConfigError("collections", "names a collection twice")
    for name in names:
        if db._store.collection(name) is None:
            raise ConfigError("collections", f"this database has no collection {name}")
    return names


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
        target: ``wss://host:port/database`` (``ws://`` without TLS), or a peer that `browse` found.
        replicator_type: ``"push_and_pull"``, ``"push"`` or ``"pull"``.
        continuous: Stay connected, replicate changes as they come, and come back after errors that
            may pass. Default: one shot.
        collections: Collections or their names; None means all of this database.
        authenticator: Credentials, such as a `BasicAuthenticator`.
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

    Raises:
        ConfigError: An option has a value that cannot work.
    """

    def __init__(
        self,
        db: Database,
        target: str | PeerFound,
        *,
        replicator_type: ReplicatorType = "push_and_pull",
        continuous: bool = False,
        collections: Collections | None = None,
        authenticator: Authenticator | None = None,
        pinned_server_certificate: bytes | str | None = None,
        accept_only_self_signed: bool = False,
        trust_on_first_use: bool = True,
        trusted_roots: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        heartbeat: float = HEARTBEAT_S,
        max_attempts: int | None = None,
        max_attempt_wait: float = RETRY_WAIT_S_MAX,
    ) -> None:
        options = make_options(
            db,
            target,
            replicator_type=replicator_type,
            continuous=continuous,
            collections=collections,
            authenticator=authenticator,
            pinned_server_certificate=pinned_server_certificate,
            accept_only_self_signed=accept_only_self_signed,
            trust_on_first_use=trust_on_first_use,
            trusted_roots=trusted_roots,
            headers=headers,
            heartbeat=heartbeat,
            max_attempts=max_attempts,
            max_attempt_wait=max_attempt_wait,
        )
        self._db: Final = db
        self._runtime: Final[Runtime] = runtime_of(db)
        self._peer: Final = ActivePeer(db, options, self._runtime)
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

    @property
    def server_certificate(self) -> CertificateInfo | None:
        """The certificate that the peer showed last; None without TLS or before connecting."""
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


def replicate(db: Database, target: str | PeerFound, **options: object) -> ReplicationResult:
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
