"""The active peer, awaited."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, final

from settee import peer as peers
from settee.aio.collection import Collection
from settee.aio.database import Database
from settee.aio.driver import wait
from settee.aio.watching import blocking_of, until, values
from settee.db.collection import Collection as BlockingCollection
from settee.db.document import Document
from settee.identity import CertificateInfo, PinSource
from settee.limits import HEARTBEAT_S, RETRY_WAIT_S_MAX
from settee.peer import Activity, DocumentError, DocumentsReplicated, PeerFound, ReplicatorStatus
from settee.peer.authenticators import Authenticators
from settee.peer.config import ReplicatorConfig, ReplicatorType, named
from settee.peer.hooks import (
    CollectionConfig,
    Conflict,
    ConflictResolver,
    ReplicationFilter,
)

__all__ = ["Replicator"]

OPTIONS: Final = frozenset(named(ReplicatorConfig))
Collections = Sequence[Collection | CollectionConfig | str]


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
        options = {name: value for name, value in locals().items() if name in OPTIONS}
        self._loop: asyncio.AbstractEventLoop | None = None
        options["collections"] = self._here(blocking_of(collections))
        options["conflict_resolver"] = self._awaited_here(conflict_resolver)
        self._blocking: Final = peers.Replicator(
            db._blocking,
            target._blocking if isinstance(target, Database) else target,
            **options,
        )

    def _here(
        self, collections: Sequence[BlockingCollection | CollectionConfig | str] | None
    ) -> list[BlockingCollection | CollectionConfig | str] | None:
        if collections is None:
            return None
        return [
            replace(each, conflict_resolver=self._awaited_here(each.conflict_resolver))
            if isinstance(each, CollectionConfig)
            else each
            for each in collections
        ]

    def _awaited_here(self, resolver: ConflictResolver | None) -> ConflictResolver | None:
        """Have what an async resolver returns awaited on the loop that started the replicator."""
        if resolver is None:
            return None

        def resolve(conflict: Conflict) -> Document | Mapping[str, Any] | None:
            result = resolver(conflict)
            if not inspect.isawaitable(result):
                return result
            assert self._loop is not None, "conflicts come after the start"
            return asyncio.run_coroutine_threadsafe(_awaited(result), self._loop).result()

        return resolve

    async def __aenter__(self) -> Replicator:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    def __repr__(self) -> str:
        return repr(self._blocking)

    async def start(self, *, reset: bool = False) -> None:
        """Begin to replicate, in the background; does nothing if it is running."""
        self._loop = asyncio.get_running_loop()
        blocking = self._blocking
        blocking._register()
        await wait(blocking._runtime.submit(blocking._peer.start(reset=reset)))

    async def stop(self) -> None:
        """Stop, saving the checkpoint, and wait until stopped. It can be started again."""
        blocking = self._blocking
        blocking._forget()
        if self.status.activity is not Activity.STOPPED:
            await wait(blocking._runtime.submit(blocking._peer.stop()))

    async def suspend(self) -> None:
        """Go offline, saving the checkpoint, until `resume`; does nothing while stopped."""
        blocking = self._blocking
        if self.status.activity is not Activity.STOPPED:
            await wait(blocking._runtime.submit(blocking._peer.suspend()))

    def resume(self) -> None:
        """Come back from `suspend`, or end the pause between two attempts: connect at once."""
        self._blocking.resume()

    @property
    def config(self) -> ReplicatorConfig:
        """The options that it was made with; `collections` are the names of those it replicates."""
        return self._blocking.config

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

    async def pending(self, collection: Collection | str = "_default") -> set[str]:
        """Return the IDs of documents that are still to be pushed to this peer."""
        each = collection if isinstance(collection, str) else collection._blocking
        blocking = self._blocking
        return await wait(blocking._db._offload(lambda: blocking.pending(each)))

    async def is_pending(self, id: str, collection: Collection | str = "_default") -> bool:
        """Tell whether a document is still to be pushed to this peer; as `pending`."""
        return id in await self.pending(collection)

    @property
    def server_certificate(self) -> CertificateInfo | None:
        """The certificate that the peer showed last, one that was refused for another included.

        None without TLS, before connecting, and where it was refused for its authority.
        """
        return self._blocking.server_certificate

    @property
    def errors(self) -> tuple[DocumentError, ...]:
        """Documents that could not be replicated since `start`; the first 1,000."""
        return self._blocking.errors


async def _awaited(
    work: Awaitable[Document | Mapping[str, Any] | None],
) -> Document | Mapping[str, Any] | None:
    return await work
