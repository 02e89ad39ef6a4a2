"""What one call of replication tells when it is done: the types that `Database.replicate` returns.

The room above does the work; its result is described here, so that the database's signature can
say what it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from settee.errors import SetteeError
from settee.ids import CollectionName

__all__ = ["DocumentError", "ReplicationResult"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentError:
    """A document that could not be replicated."""

    collection: CollectionName
    """The name of its collection; `str` writes it as `Database.collection` takes it."""
    doc_id: str
    """Its ID."""
    pushed: bool
    """True if it failed on the way out, false on the way in."""
    error: SetteeError
    """Why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationResult:
    """What a one-shot replication did."""

    pushed: int
    """Documents sent that the peer did not have."""
    pulled: int
    """Documents received that were not here."""
    bytes_pushed: int
    """Bytes of document bodies and blobs sent."""
    bytes_pulled: int
    """Bytes of document bodies and blobs received."""
    errors: tuple[DocumentError, ...]
    """Documents that one side refused; the first 1,000."""
    elapsed_s: float
    """Seconds from the start to the end."""
