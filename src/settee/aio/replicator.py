"""The active peer, awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final, Literal, final

from settee import peer as peers
from settee.aio.collection import Collection
from settee.aio.database import Database
from settee.aio.driver import wait
from settee.aio.watching import blocking_of, until, values
from settee.identity import CertificateInfo
from settee.limits import HEARTBEAT_S, RETRY_WAIT_S_MAX
from settee.peer import Activity, DocumentError, DocumentsReplicated, PeerFound, ReplicatorStatus
from settee.peer.authenticators import Authenticator

__all__ = ["Replicator"]

ReplicatorType = Literal["push_and_pull", "push", "pull"]
Collections = Sequence[Collection | str]


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
        self._blocking: Final = peers.Replicator(
            db._blocking,
            target,
            replicator_type=replicator_type,
            continuous=continuous,
            collections=blocking_of(collections),
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

    async def __aenter__(self) -> Replicator:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    def __repr__(self) -> str:
        return repr(self._blocking)

    async def start(self, *, reset: bool = False) -> None:
        """Begin to replicate, in the background; does nothing if it is running."""
        blocking = self._blocking
        blocking._register()
        await wait(blocking._runtime.submit(blocking._peer.start(reset=reset)))

    async def stop(self) -> None:
        """Stop, saving the checkpoint, and wait until stopped. It can be started again."""
        blocking = self._blocking
        blocking._forget()
        if self.status.activity is not Activity.STOPPED:
            await wait(blocking._runtime.submit(blocking._peer.stop()))

    @property
    def status(self) -> ReplicatorStatus:
        """What it is doing, how much it has done, and what went wrong."""
        return self._blocking.status

    def on_status(self, callback: Callable[[ReplicatorStatus], object]) -> Callable[[], None]:
        """Call back at each change of status; returns a function that ends it."""
        return self._blocking.on_status(callback)

    def statuses(self) -> AsyncIterator[ReplicatorStatus]:
        """Yield the status now and at each change, until it is stopped."""
        return values(self._blocking._peer.status, lambda s: s.activity is Activity.STOPPED)

    def on_documents(self, callback: Callable[[DocumentsReplicated], object]) -> Callable[[], None]:
        """Call back with each batch of documents replicated or failed; returns how to end it."""
        return self._blocking.on_documents(callback)

    async def wait_for(self, activity: Activity | str, timeout: float | None = None) -> bool:
        """Wait until it is ``"idle"``, ``"stopped"`` …; false if not in time (seconds)."""
        wanted = Activity(activity)
        reached = await until(
            self._blocking._peer.status, lambda s: peers.replicator.reached(s, wanted), timeout
        )
        return peers.replicator.judged(self.status, wanted, reached)

    @property
    def server_certificate(self) -> CertificateInfo | None:
        """The certificate that the peer showed last; None without TLS or before connecting."""
        return self._blocking.server_certificate

    @property
    def errors(self) -> tuple[DocumentError, ...]:
        """Documents that could not be replicated since `start`; the first 1,000."""
        return self._blocking.errors
