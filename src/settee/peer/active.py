"""The active peer: dials, runs a session, and dials again when that may help.

Lives on the runtime's loop; `Replicator` is its blocking skin and `settee.aio.Replicator` the
awaited one.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from settee.errors import CertificateError, NotFoundError, SetteeError, SyncError
from settee.ids import CollectionName
from settee.limits import (
    ATTEMPTS_ONE_SHOT_MAX,
    CONNECT_S,
    HANDSHAKE_TOTAL_S,
    HEARTBEAT_S,
    RETRY_WAIT_S_MAX,
)
from settee.logs import printable, room_log
from settee.net.connecting import waits_for_network
from settee.net.dialer import DialPlan, dial
from settee.net.link import Link
from settee.net.proxy import Proxies
from settee.net.tls import Trust
from settee.peer.credentials import CookieKeeper, Credentials
from settee.peer.driver import SessionDriver
from settee.peer.hooks import CollectionConfig, Hooks, protocol_options
from settee.peer.pending import pending_ids
from settee.peer.runtime import Runtime
from settee.peer.status import DocumentError, ReplicatorStatus, Watched
from settee.peer.target import Target
from settee.peer.versions import SUBPROTOCOLS, USER_AGENT, is_settee, level_of
from settee.store import Writer, checkpoints, marks
from settee.store import trust as trusted
from settee.sync.checkpoint import checkpoint_id
from settee.sync.events import Activity, ActivityChanged, DocumentsReplicated, Progress
from settee.sync.options import SessionConfig
from settee.sync.session import Session

if TYPE_CHECKING:
    from settee.db.database import Database

__all__ = ["ActivePeer", "ReplicatorOptions"]

Dial = Callable[[DialPlan], Awaitable[Link]]
_log = room_log("peer")

_ERRORS_KEPT_MAX: Final = 1000
_PROGRESS_S: Final = 0.25
"""How often progress is told while busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicatorOptions:
    """How an active peer replicates. Immutable."""

    targets: tuple[Target, ...]
    """Addresses of one and the same peer, tried in this order."""
    replicator_type: Literal["push_and_pull", "push", "pull"] = "push_and_pull"
    continuous: bool = False
    collections: tuple[CollectionName, ...]
    configs: tuple[CollectionConfig, ...] = ()
    """One per collection; empty: none has filters or a resolver."""
    delta_sync: bool = True
    auto_purge: bool = True
    credentials: Credentials = field(default_factory=Credentials)
    trust: Trust
    trust_on_first_use: bool = False
    """Remember the certificate that the first success showed, and accept no other after it."""
    headers: tuple[tuple[str, str], ...] = ()
    heartbeat_s: float = HEARTBEAT_S
    max_attempts: int | None = None
    """None: 10 for one shot, unlimited for continuous."""
    max_attempt_wait_s: float = RETRY_WAIT_S_MAX
    proxies: Proxies = field(default_factory=Proxies)
    local_address: str | None = None
    accept_parent_domain_cookies: bool = False
    user_agent: str = USER_AGENT


class ActivePeer:
    """Keeps one database in sync with one peer. All methods but `status` run on the loop."""

    def __init__(
        self,
        db: Database,
        options: ReplicatorOptions,
        runtime: Runtime,
        *,
        dialer: Dial | None = None,
    ) -> None:
        self.status: Final = Watched(
            ReplicatorStatus(activity=Activity.STOPPED, progress=Progress()), runtime.callback
        )
        self.document_listeners: list[Callable[[DocumentsReplicated], object]] = []
        self.errors: list[DocumentError] = []
        self.certificate_der: bytes | None = None
        """The certificate that the peer showed last."""
        self._db = db
        self._store = db._store
        self._options = options
        self._configs = options.configs or tuple(
            CollectionConfig(collection=name.path) for name in options.collections
        )
        self._collection_options = tuple(protocol_options(each) for each in self._configs)
        self._runtime = runtime
        self._dial: Dial = dialer or functools.partial(dial, reads=runtime.reads)
        self._task: asyncio.Task[None] | None = None
        self._driver: SessionDriver | None = None
        self._wake = asyncio.Event()
        self._stopping = False
        self._names_collections: bool | None = None
        self._began = False
        self._resumed = asyncio.Event()
        self._resumed.set()
        """Clear while suspended."""
        self._interrupted = False
        """Whether `suspend` ended what was going on."""
        self._cookies: Final = CookieKeeper(
            runtime,
            self._store,
            owner=options.credentials.user,
            parent_domains=options.accept_parent_domain_cookies,
        )
        self._reset = False
        self._before = Progress()
        self._sessions = 0
        self._ticking = False

    @property
    def target_url(self) -> str:
        """Where it dials first."""
        return self._options.targets[0].url

    # --- life -------------------------------------------------------------------------------------

    async def start(self, *, reset: bool = False) -> None:
        """Begin to replicate; does nothing if it is running."""
        if self._task is not None:
            return
        self._stopping = False
        self._reset = reset
        self._wake.clear()
        self._interrupted = False
        self._resumed.set()
        self._before = Progress()
        self.errors.clear()
        self._tell(Activity.CONNECTING)
        self._task = self._runtime.spawn(self._run())

    async def stop(self) -> None:
        """End, saving the checkpoint; returns when stopped."""
        self._stopping = True
        self._wake.set()
        self._resumed.set()
        if self._driver is not None:
            self._driver.stop()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def suspend(self) -> None:
        """Go offline, saving the checkpoint, until `resume`; returns when offline."""
        if self._task is None or self._stopping:
            return
        self._interrupted = True
        self._resumed.clear()
        self._wake.set()
        driver = self._driver
        if driver is not None:
            driver.stop()
            await driver.done.wait()

    def resume(self) -> None:
        """Connect at once: after `suspend`, or instead of waiting for the next attempt."""
        self._resumed.set()
        self._wake.set()

    async def finished(self) -> None:
        """Wait until stopped."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        error: SetteeError | None = None
        attempt = 0
        try:
            while True:
                self._wake.clear()
                connected, error = await self._attempt()
                attempt = 1 if connected and self._began else attempt + 1
                if await self._was_suspended():
                    attempt, error = 0, None
                    self._tell(Activity.CONNECTING)
                    continue
                if self._stopping:
                    break
                if connected and self._other_dialect(error):
                    continue
                if not self._again(error, attempt):
                    break
                wait_s = self._wait_s(attempt)
                _log.warning("%s; trying again in %.1f s", error, wait_s)
                self._tell(Activity.OFFLINE, error)
                await self._runtime.sleep(wait_s, self._wake)
                if await self._was_suspended():
                    attempt, error = 0, None
                if self._stopping:
                    break
                self._tell(Activity.CONNECTING, error)
        finally:
            if self._stopping and isinstance(error, SyncError):
                error = None
            self._task = None
            self._tell(Activity.STOPPED, error)

    async def _was_suspended(self) -> bool:
        """While suspended, wait for `resume`; tell whether it came, and not the end."""
        if not self._interrupted:
            return False
        while not self._resumed.is_set():
            self._tell(Activity.OFFLINE)
            await self._resumed.wait()
        self._interrupted = False
        return not self._stopping

    def _other_dialect(self, error: SetteeError | None) -> bool:
        """Whether the peer may take the default collection in the other form; try it, once.

        Couchbase Lite up to 3.2 leaves ``collection`` out of messages about the default collection
        alone, from 3.4 on it insists on it; neither takes the other's form.
        """
        names = self._options.collections
        if not (len(names) == 1 and names[0].is_default) or self._names_collections is not None:
            return False
        if not (isinstance(error, SyncError) and error.code == 400):
            return False
        if error.domain not in ("HTTP", "BLIP"):
            return False
        self._names_collections = True
        return True

    def _again(self, error: SetteeError | None, attempt: int) -> bool:
        if error is None:
            # The peer ended a continuous session in good order: it may come back.
            return self._options.continuous
        if not isinstance(error, SyncError):
            return False
        if not error.transient and not (self._options.continuous and waits_for_network(error)):
            return False
        most = self._options.max_attempts
        if most is None:
            most = 0 if self._options.continuous else ATTEMPTS_ONE_SHOT_MAX
        return most == 0 or attempt < most

    def _wait_s(self, attempt: int) -> float:
        """2, 4, 8 … seconds (wire protocol 9.4), plus up to a tenth so that peers spread out."""
        wait_s = min(2.0**attempt, self._options.max_attempt_wait_s)
        return wait_s * (1 + self._runtime.clock.random_bytes(1)[0] / 2560)

    # --- one connection ---------------------------------------------------------------------------

    async def _attempt(self) -> tuple[bool, SetteeError | None]:
        """Connect and replicate; says whether there was a connection, and what went wrong."""
        try:
            target, link = await self._connect()
        except SetteeError as error:
            return False, error
        self.certificate_der = link.peer.certificate_der
        if self._stopping or not self._resumed.is_set():
            link.close(1000)
            return True, None
        try:
            driver = await self._driver_for(target, link)
        except SetteeError as error:
            link.close(1000)
            return True, error
        self._driver = driver
        if self._stopping or not self._resumed.is_set():
            driver.stop()
        driver.start()
        self._tell(driver.session.activity)
        await driver.done.wait()
        self._before = self._progress()
        self._driver = None
        # A peer that accepts and then says nothing of use is no success.
        self._began = bool(driver.session.pushers or driver.session.pullers)
        return True, driver.error

    async def _connect(self) -> tuple[Target, Link]:
        error: SetteeError | None = None
        for target in self._options.targets:
            trust = self._trust_for(target)
            try:
                credentials = await self._options.credentials.headers(self._runtime)
                try:
                    link = await self._dial(self._plan(target, trust, credentials))
                finally:
                    await self._cookies.keep()
                await self._first_met(target, link)
                return target, link
            except SyncError as exc:
                if isinstance(exc, CertificateError):
                    self.certificate_der = exc.certificate_der or self.certificate_der
                    if trust is not self._options.trust:
                        exc = _not_the_first(target, exc)
                # The first reason that is not just a dead address is the one worth telling.
                if error is None or (
                    isinstance(error, SyncError) and error.transient and not exc.transient
                ):
                    error = exc
        assert error is not None, "a replicator has at least one target"
        raise error

    def _trust_for(self, target: Target) -> Trust:
        trust = self._options.trust
        if not (self._options.trust_on_first_use and target.secure):
            return trust
        with self._store.reader() as reader:
            met = trusted.remembered(reader, target.url)
        return trust if met is None else Trust(pins=(met,))

    async def _first_met(self, target: Target, link: Link) -> None:
        der = link.peer.certificate_der
        if not self._options.trust_on_first_use or der is None:
            return
        fingerprint = hashlib.sha256(der).digest()
        await asyncio.wrap_future(
            self._store.submit(lambda w: trusted.remember(w, target.url, fingerprint))
        )

    def _plan(
        self, target: Target, trust: Trust, credentials: tuple[tuple[str, str], ...]
    ) -> DialPlan:
        options = self._options
        return DialPlan(
            host=target.host,
            port=target.port,
            path=target.request_path,
            secure=target.secure,
            trust=trust,
            subprotocols=SUBPROTOCOLS,
            headers=(*credentials, *options.headers),
            user_agent=options.user_agent,
            client_identity=options.credentials.client_identity,
            local_address=options.local_address,
            proxies=options.proxies,
            cookies=self._cookies,
            connect_s=CONNECT_S,
            handshake_s=HANDSHAKE_TOTAL_S,
            heartbeat_s=options.heartbeat_s,
        )

    async def _driver_for(self, target: Target, link: Link) -> SessionDriver:
        options = self._options
        remote = _remote_name(target, link.peer.certificate_der)
        keys = []
        for name in options.collections:
            row = self._store.collection(name)
            if row is None:
                raise NotFoundError(f"this database has no collection {name}: create it first")
            keys.append(row.key)
        push = options.replicator_type != "pull"
        pull = options.replicator_type != "push"
        configs, collection_options = self._configs, self._collection_options
        ids = self._checkpoint_ids(remote)
        if self._reset:
            await self._forget(ids)
            self._reset = False
        remote_id = await asyncio.wrap_future(
            self._store.submit(functools.partial(_remote_id, remote, target.url))
        )
        self._sessions += 1
        clock = self._runtime.clock
        session = Session(
            SessionConfig(
                active=True,
                collections=options.collections,
                checkpoint_ids=ids,
                push=push,
                pull=pull,
                continuous=options.continuous,
                level=level_of(link.peer),
                peer_is_settee=is_settee(link.peer),
                report_documents=bool(self.document_listeners),
                uuid=_dashed(self._store.public_uuid.hex()),
                options=collection_options,
                deltas=options.delta_sync,
                auto_purge=options.auto_purge,
                names_collections=self._names_collections,
                wall_offset_s=clock.wall_ns() / 1e9 - clock.monotonic(),
            ),
            now=clock.monotonic(),
        )
        return SessionDriver(
            self._runtime,
            self._store,
            session,
            link,
            keys=keys,
            remote=remote_id,
            hooks=Hooks(self._db, configs),
            on_event=self._happened,
            tag=(printable(f"{target.host}:{target.port}"), self._sessions),
        )

    def _checkpoint_ids(self, remote: str) -> tuple[str, ...]:
        database = self._store.private_uuid.hex()
        return tuple(
            checkpoint_id(database=database, remote=remote, collection=name, filters=each.filters)
            for name, each in zip(self._options.collections, self._collection_options, strict=True)
        )

    def pending(self, name: CollectionName) -> set[str]:
        """Return the IDs of documents that are still to be pushed; from any thread."""
        index = self._options.collections.index(name)
        row = self._store.collection(name)
        if row is None:
            raise NotFoundError(f"this database has no collection {name}")
        with self._store.reader() as reader:
            remote = marks.last_met_at(reader, self.target_url)
        return pending_ids(
            self._store,
            row.key,
            index,
            remote=remote,
            checkpoint_id=None if remote is None else self._checkpoint_ids(remote)[index],
            options=self._collection_options[index],
            hooks=Hooks(self._db, self._configs),
        )

    async def _forget(self, ids: tuple[str, ...]) -> None:
        """Drop our copy of the checkpoints: the next session starts from the beginning."""

        def job(writer: Writer) -> None:
            for id_ in ids:
                checkpoints.delete_own(writer, id_)

        await asyncio.wrap_future(self._store.submit(job))

    # --- telling ----------------------------------------------------------------------------------

    def _happened(self, event: ActivityChanged | DocumentsReplicated) -> None:
        if isinstance(event, ActivityChanged):
            self._tell(event.activity)
            return
        for doc_id, _, error, _ in event.documents:
            if error is not None and len(self.errors) < _ERRORS_KEPT_MAX:
                self.errors.append(
                    DocumentError(
                        collection=event.collection,
                        doc_id=doc_id,
                        pushed=event.pushed,
                        error=error,
                    )
                )
        for listener in self.document_listeners:
            self._runtime.callback(listener, event)

    def _progress(self) -> Progress:
        before = self._before
        if self._driver is None:
            return replace(before, pending=0)
        now = self._driver.session.progress
        return Progress(
            pushed=before.pushed + now.pushed,
            pulled=before.pulled + now.pulled,
            bytes_pushed=before.bytes_pushed + now.bytes_pushed,
            bytes_pulled=before.bytes_pulled + now.bytes_pulled,
            failed=before.failed + now.failed,
            pending=now.pending,
        )

    def _tell(self, activity: Activity, error: SetteeError | None = None) -> None:
        status = ReplicatorStatus(activity=activity, progress=self._progress(), error=error)
        if status != self.status.value:
            self.status.set(status)
        if activity is Activity.BUSY and not self._ticking:
            self._ticking = True
            self._runtime.loop.call_later(_PROGRESS_S, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        status = self.status.value
        if status.activity is Activity.BUSY:
            self._tell(Activity.BUSY, status.error)


def _not_the_first(target: Target, error: CertificateError) -> CertificateError:
    return CertificateError(
        f"the certificate at {target.url} is another one than at the first meeting: {error}. If "
        "that is meant, pin it or start once with trust_on_first_use=False",
        domain=error.domain,
        code=error.code,
    )


def _remote_id(remote: str, url: str, writer: Writer) -> int:
    marks.met_at(writer, url, remote)
    return marks.remote_id(writer, remote)


def _remote_name(target: Target, certificate_der: bytes | None) -> str:
    """Name the remote by what it is: its certificate and database; its URL without TLS."""
    if certificate_der is None:
        return target.url
    return f"{hashlib.sha256(certificate_der).hexdigest()}/{target.path}"


def _dashed(hex_: str) -> str:
    return "-".join((hex_[:8], hex_[8:12], hex_[12:16], hex_[16:20], hex_[20:]))
