"""The listener of this device: start and stop, its modes, who is connected."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from settee import (
    AccessRequest,
    Activity,
    ListenerConnection,
    ListenerPasswordAuthenticator,
    Refusal,
)
from settee.aio import Database, URLEndpointListener
from settee_inventory.links.addresses import DEFAULT_PATH, invitation
from settee_inventory.links.encryption import identity_of

__all__ = ["Client", "Doors", "Listening", "caller_name", "caller_of"]

_CALLER: Final = re.compile(r"inventory/1 device\.([A-Za-z0-9_-]{1,40}) key\.([0-9a-f]{16})\b")


def caller_name(device_id: str, key: str) -> str:
    """Return what this device calls itself when it dials: hints for the other's list, no proof."""
    return f"inventory/1 device.{device_id} key.{key}"


def caller_of(user_agent: str) -> tuple[str, str] | None:
    """Return device ID and key of a caller that is an inventory too, None for others."""
    match = _CALLER.search(user_agent)
    return (match[1], match[2]) if match else None


@dataclass(frozen=True, slots=True)
class Doors:
    """What a listener needs to know of the device."""

    name: str
    check: Callable[[str, str], bool]
    may_write: Callable[[str | None], bool]
    identities: Path
    loopback: bool


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody who is connected."""

    number: int
    device_id: str
    """What it says that it is; empty if it says nothing."""
    key: str
    user: str
    address: str
    since_ms: int
    documents_in: int
    documents_out: int
    bytes_in: int
    bytes_out: int
    busy: bool


class Listening:
    """Starts and stops; `problem` is a sentence after a start that failed.

    `kept_out` tells which devices are not to connect: by what they say that they are, so who lies
    has to be taken off the list of users.
    """

    def __init__(
        self,
        db: Database,
        collections: Sequence[Any],
        *,
        kept_out: Callable[[], frozenset[str]],
        on_change: Callable[[], None],
        on_documents: Callable[[str, int, int], None],
        on_refused: Callable[[str, str], None],
    ) -> None:
        self._db = db
        self._collections = collections
        self._on_change = on_change
        self._on_documents = on_documents
        self._on_refused = on_refused
        self._loop = asyncio.get_running_loop()
        self._listener: URLEndpointListener | None = None
        self.since_ms = 0
        self.mode = ""
        self.problem = ""
        self._kept_out = kept_out

    @property
    def listener(self) -> URLEndpointListener | None:
        """The library's listener while it runs."""
        return self._listener

    async def start(
        self, mode: str, port: int, doors: Doors, *, visible: bool, delta: bool
    ) -> bool:
        """Listen on `port` (0: any); tell whether it does. Does nothing if it does already."""
        if self._listener is not None:
            return True
        self.problem = ""
        try:
            listener = self._made(mode, port, doors, visible, delta)
            await listener.start()
        except LookupError as error:
            self.problem = str(error.args[0])
        except OSError as error:
            self.problem = f"The port could not be opened: {error.strerror or error}."
        except Exception as error:  # the page shows it; nothing else may end here
            taken = "in use" in str(error)
            self.problem = (
                f"Port {port} is taken by another program." if taken else f"It can't start: {error}"
            )
        else:
            self._listener, self.mode = listener, mode
            self.since_ms = time.time_ns() // 1_000_000
        self._on_change()
        return self._listener is not None

    def _made(
        self, mode: str, port: int, doors: Doors, visible: bool, delta: bool
    ) -> URLEndpointListener:
        def may(request: AccessRequest) -> bool:
            return not request.write or doors.may_write(request.user)

        with warnings.catch_warnings():
            # The page says it in red, for as long as it is so.
            warnings.filterwarnings("ignore", message="the listener has no TLS")
            listener = URLEndpointListener(
                self._db,
                port=port,
                host="127.0.0.1" if doors.loopback else None,
                path=DEFAULT_PATH,
                collections=self._collections,
                authenticator=ListenerPasswordAuthenticator(doors.check),
                authorize=may,
                delta_sync=delta,
                advertise=doors.name if visible else False,
                discovery_interfaces=["127.0.0.1"] if doors.loopback else None,
                **identity_of(mode, doors.identities),
            )
        listener.on_status(lambda _: self._soon(self._came_or_went))
        listener.on_documents(
            lambda connection, batch: self._soon(
                self._on_documents,
                connection.user_agent,
                len(batch.documents) if batch.pushed else 0,
                0 if batch.pushed else len(batch.documents),
            )
        )
        listener.on_refused(lambda refusal: self._soon(self._turned_away, refusal))
        return listener

    def look_again(self) -> None:
        """Disconnect who is kept out now."""
        self._came_or_went()

    def _came_or_went(self) -> None:
        kept_out = self._kept_out()
        for connection in self._connections():
            caller = caller_of(connection.user_agent)
            if caller is not None and caller[0] in kept_out and self._listener is not None:
                self._listener.disconnect(connection, final=True)
        self._on_change()

    def _turned_away(self, refusal: Refusal) -> None:
        # A device that asks for the certificate, to compare its words, hangs up then: no news.
        if refusal.stage != "tls" or "went away" not in refusal.reason:
            self._on_refused(refusal.address, refusal.reason)

    async def stop(self) -> None:
        """Stop, and disconnect everybody. They come back when it is started again."""
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.stop()
        self._on_change()

    def disconnect(self, number: int) -> Client | None:
        """End one connection and return who it was; None if it is gone already."""
        for connection in self._connections():
            if connection.number == number and self._listener is not None:
                self._listener.disconnect(connection)
                return _client(connection)
        return None

    @property
    def clients(self) -> list[Client]:
        """Who is connected now, in the order in which they came."""
        return [_client(each) for each in self._connections()]

    @property
    def urls(self) -> list[str]:
        """Where others can dial."""
        return self._listener.urls if self._listener else []

    @property
    def port(self) -> int:
        """The port; 0 while stopped."""
        return self._listener.port if self._listener else 0

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate that it shows; empty without one."""
        identity = self._listener.tls_identity if self._listener else None
        return identity.fingerprint if identity else ""

    @property
    def lasting(self) -> bool:
        """Whether the certificate is the same after the next start."""
        return self.mode in ("generated", "own")

    def invitation(self, url: str) -> str:
        """Return what the QR code of `url` says."""
        return invitation(url, self.fingerprint if self.lasting else None)

    def _connections(self) -> tuple[ListenerConnection, ...]:
        return self._listener.connections if self._listener else ()

    def _soon(self, call: Callable[..., None], *values: Any) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *values)


def _client(connection: ListenerConnection) -> Client:
    device_id, key = caller_of(connection.user_agent) or ("", "")
    done = connection.progress
    host = f"[{connection.address}]" if ":" in connection.address else connection.address
    return Client(
        number=connection.number,
        device_id=device_id,
        key=key,
        user=connection.user or "",
        address=f"{host}:{connection.port}",
        since_ms=int(connection.since.timestamp() * 1000),
        documents_in=done.pulled,
        documents_out=done.pushed,
        bytes_in=done.bytes_pulled,
        bytes_out=done.bytes_pushed,
        busy=connection.activity is Activity.BUSY,
    )
