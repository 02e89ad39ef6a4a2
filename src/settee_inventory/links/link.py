"""One device that this one dials: a replicator, and what can be said of it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from settee import (
    Activity,
    BasicAuthenticator,
    CertificateError,
    PeerFound,
    ReplicatorStatus,
    SetteeError,
)
from settee.aio import Database, Replicator

__all__ = ["Link", "Login", "shown_fingerprint"]

RETRY_WAIT_S_MAX: Final = 30.0
HEARTBEAT_S: Final = 15.0
_NO_CERTIFICATE: Final = "0" * 64
_PROBE_S: Final = 10.0
_SHOWN: Final = re.compile(r"\(SHA-256 ([0-9a-f]{64})\)")


@dataclass(frozen=True, slots=True)
class Login:
    """With which user a device is dialled. The password is never shown."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.user!r}, …)"


class Link:
    """A replicator that runs until it is closed, and the state that it is in."""

    def __init__(
        self,
        db: Database,
        target: PeerFound | str,
        login: Login,
        *,
        collections: Any,
        options: dict[str, Any],
        on_change: Callable[[], None],
        on_documents: Callable[[int, int], None],
    ) -> None:
        self.target: Final = target
        self.login: Final = login
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        with warnings.catch_warnings():
            # "No check" is chosen under Settings, where it says in red what it is.
            warnings.filterwarnings("ignore", message="accept_only_self_signed")
            self._replicator = Replicator(
                db,
                target,
                continuous=True,
                collections=collections,
                authenticator=BasicAuthenticator(login.user, login.password),
                heartbeat=HEARTBEAT_S,
                max_attempt_wait=RETRY_WAIT_S_MAX,
                **options,
            )
        self.status: ReplicatorStatus = self._replicator.status
        self.retry_at_ms = 0
        self.synced_at_ms = 0
        self.changed_at_ms = 0
        self._attempts = 0
        self._on_documents = on_documents
        self._replicator.on_status(lambda status: self._soon(self._told, status))
        self._replicator.on_documents(
            lambda batch: self._soon(self._moved, batch.pushed, len(batch.documents))
        )

    async def start(self) -> None:
        """Begin to dial."""
        await self._replicator.start()

    async def close(self) -> None:
        """Hang up; the object is of no use any more."""
        self._on_change = lambda: None
        await self._replicator.stop()

    async def suspend(self) -> None:
        """Hang up until `resume`."""
        await self._replicator.suspend()

    def resume(self) -> None:
        """Dial now."""
        self._replicator.resume()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate that it showed last; empty without TLS."""
        shown = self._replicator.server_certificate
        return shown.fingerprint if shown else ""

    @property
    def connected(self) -> bool:
        """Whether documents can go both ways now."""
        return self.status.activity in (Activity.IDLE, Activity.BUSY)

    @property
    def error(self) -> SetteeError | None:
        """What was wrong last."""
        return self.status.error

    def _soon(self, call: Callable[..., None], *values: Any) -> None:
        # The library tells on a thread of its own; after a shutdown there is no loop to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *values)

    def _told(self, status: ReplicatorStatus) -> None:
        former, self.status = self.status, status
        now_ms = time.time_ns() // 1_000_000
        if self.connected:
            self._attempts = 0
        if status.activity is Activity.IDLE:
            self.synced_at_ms = now_ms
        if status.activity is Activity.OFFLINE and former.activity is not Activity.OFFLINE:
            self._attempts += 1
            wait_s = min(2.0**self._attempts, RETRY_WAIT_S_MAX)
            self.retry_at_ms = now_ms + int(wait_s * 1000)
        self._on_change()

    def _moved(self, pushed: bool, count: int) -> None:
        self.changed_at_ms = time.time_ns() // 1_000_000
        self._on_documents(count if pushed else 0, 0 if pushed else count)


async def shown_fingerprint(db: Database, target: PeerFound | str, collections: Any) -> str | None:
    """Ask a device for its certificate, without telling it anything; return the SHA-256.

    None if it does not answer, or has none. The pin can't match, so the call ends before the
    password's turn.
    """
    probe = Replicator(
        db,
        target,
        collections=collections,
        pinned_server_certificate=_NO_CERTIFICATE,
        max_attempts=1,
    )
    await probe.start()
    try:
        with contextlib.suppress(SetteeError):
            await probe.wait_for("stopped", timeout=_PROBE_S)
        # A certificate that was not accepted is told in the error, and only there.
        shown = _SHOWN.search(str(probe.status.error))
        return shown[1] if isinstance(probe.status.error, CertificateError) and shown else None
    finally:
        await probe.stop()
