"""Every error that settee raises, as one tree that tells whose fault it was.

::

    SetteeError
    ├── UsageError             the caller asked for something that cannot be
    │   ├── ConfigError            an option has a value that cannot work
    │   ├── InvalidNameError       a database, collection or document name
    │   ├── InvalidDocumentError   a body, a value or a blob that no peer could take
    │   ├── ClosedError            the database, listener or blob is closed
    │   ├── NotFoundError          no such database, collection, document or blob
    │   ├── ExistsError            the thing to be made is there already
    │   ├── ConflictError          a save that must not overwrite would have
    │   └── TransactionError       a transaction used in a way that would never end
    ├── StoreError             the disk, or what lies on it
    │   ├── CorruptDatabaseError   the file or a blob is damaged
    │   ├── NotADatabaseError      something else lies in that place
    │   ├── NewerSchemaError       written by a newer settee
    │   ├── DiskFullError          no space; nothing was stored; try again after freeing some
    │   ├── ReadOnlyError          the place can't be written
    │   └── DatabaseInUseError     another process runs sync for this database
    └── SyncError              the network, or the other peer
        ├── ConnectionFailedError  no connection: refused, timed out, name unknown, lost
        ├── CertificateError       the other side's certificate is not the one to trust
        ├── AuthenticationError    the peer does not know these credentials
        ├── RefusedError           the peer is there and says no (403, 404, 503, …)
        ├── NotAPeerError          something answers, but it isn't a settee or Couchbase Lite peer
        ├── PeerProtocolError      the peer sent what the protocol forbids
        └── PeerError              the peer reports an error of its own

Ours are assertions: an `AssertionError` out of settee is a bug of settee; please report it.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "AuthenticationError",
    "CertificateError",
    "ClosedError",
    "ConfigError",
    "ConflictError",
    "ConnectionFailedError",
    "CorruptDatabaseError",
    "DatabaseInUseError",
    "DiskFullError",
    "ExistsError",
    "InvalidDocumentError",
    "InvalidNameError",
    "NewerSchemaError",
    "NotADatabaseError",
    "NotAPeerError",
    "NotFoundError",
    "PeerError",
    "PeerProtocolError",
    "ReadOnlyError",
    "RefusedError",
    "SetteeError",
    "StoreError",
    "SyncError",
    "TransactionError",
    "UsageError",
]


class SetteeError(Exception):
    """The base of every error that settee raises on purpose."""


# --- the caller -----------------------------------------------------------------------------------


class UsageError(SetteeError):
    """The caller asked for something that cannot be done."""


class ConfigError(UsageError, ValueError):
    """An option has a value that cannot work; `field` names it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field: Final[str] = field


class InvalidNameError(UsageError, ValueError):
    """A name of a database, scope, collection or document that cannot be used."""


class InvalidDocumentError(UsageError, ValueError):
    """A document body, a value in it, or a blob that no peer would take."""


class ClosedError(UsageError):
    """The object was closed; open it again to go on."""


class NotFoundError(UsageError, KeyError):
    """There is no such database, collection, document or blob."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument; a sentence should read as one.
        return str(self.args[0]) if self.args else ""


class ExistsError(UsageError):
    """The thing to be created is there already."""


class ConflictError(UsageError):
    """A save with ``on_conflict="fail"`` met a newer revision; nothing was stored."""


class TransactionError(UsageError):
    """A transaction was used in a way that could never end, or was open for too long."""


# --- the disk -------------------------------------------------------------------------------------


class StoreError(SetteeError):
    """The disk failed, or what lies on it is not usable. Nothing half-written remains."""


class CorruptDatabaseError(StoreError):
    """The database file or a blob is damaged."""


class NotADatabaseError(StoreError):
    """What lies at this place is not a settee database."""


class NewerSchemaError(StoreError):
    """The database was written by a newer version of settee."""


class DiskFullError(StoreError):
    """There is no space left; nothing was stored. Free some and try again: no reopening needed."""


class ReadOnlyError(StoreError):
    """The database lies in a place that can't be written."""


class DatabaseInUseError(StoreError):
    """Another process already runs sync for this database; the message names it."""


# --- the peer and the network ---------------------------------------------------------------------


class SyncError(SetteeError):
    """Syncing with the other peer failed.

    `transient` tells whether trying again later may succeed. `domain` and `code` are those of the
    wire protocol (``"HTTP"``/404, ``"Network"``/7, ``"WebSocket"``/1006, ``"BLIP"``/400 …).
    """

    default_transient: bool = False

    def __init__(
        self, message: str, *, domain: str = "", code: int = 0, transient: bool | None = None
    ) -> None:
        super().__init__(message)
        self.domain: Final[str] = domain
        self.code: Final[int] = code
        self.transient: Final[bool] = self.default_transient if transient is None else transient


class ConnectionFailedError(SyncError):
    """No connection: refused, timed out, unknown host, or lost. Usually worth another try."""

    default_transient = True


class CertificateError(SyncError):
    """TLS could not be set up: the certificate is not the one to trust, or was refused."""

    certificate_der: bytes | None = None
    """The certificate that the peer showed, if it got so far that it could be read."""


class AuthenticationError(SyncError):
    """The peer does not know these credentials (HTTP 401)."""


class RefusedError(SyncError):
    """The peer answered, and refused: no such database, not allowed, or over capacity."""


class NotAPeerError(SyncError):
    """Something answers at that address, but it does not speak the replication protocol."""


class PeerProtocolError(SyncError):
    """The other peer sent something that the protocol forbids.

    `domain` and `code` are what an error reply to the peer carries, ``"HTTP"``/400 by default.
    """

    def __init__(
        self, message: str, *, domain: str = "HTTP", code: int = 400, transient: bool | None = None
    ) -> None:
        super().__init__(message, domain=domain, code=code, transient=transient)


class PeerError(SyncError):
    """The other peer reports an error of its own in a reply."""
