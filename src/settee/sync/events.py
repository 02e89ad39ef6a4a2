"""What a session tells its owner.

Room: pure protocol.
Touches: settee.errors, settee.ids.
Never touches: sockets, files, the wall clock, randomness.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from settee.errors import SetteeError
from settee.ids import CollectionName

__all__ = [
    "Activity",
    "ActivityChanged",
    "DocumentReplicated",
    "DocumentsReplicated",
    "Event",
    "Finished",
    "Progress",
]


class Activity(enum.Enum):
    """What a replicator is doing."""

    STOPPED = "stopped"
    OFFLINE = "offline"
    CONNECTING = "connecting"
    IDLE = "idle"
    BUSY = "busy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Totals since the start. Revisions that the other side had already are not counted."""

    pushed: int = 0
    """Documents sent and confirmed."""
    pulled: int = 0
    """Documents received and stored."""
    bytes_pushed: int = 0
    """Bytes of document bodies and blobs sent."""
    bytes_pulled: int = 0
    """Bytes of document bodies and blobs received."""
    failed: int = 0
    """Documents that one side refused."""
    pending: int = 0
    """Documents known to be under way now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityChanged:
    """The session became busy or idle."""

    activity: Activity


class DocumentReplicated(NamedTuple):
    """One document that was pushed or pulled, or failed to be."""

    doc_id: str
    deleted: bool
    error: SetteeError | None
    access_removed: bool = False
    """Whether the peer took our access away, and it was purged here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentsReplicated:
    """A batch of documents in one direction; only made when somebody listens, errors always."""

    collection: CollectionName
    pushed: bool
    """True if they were pushed, false if pulled."""
    documents: list[DocumentReplicated]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The session is over: close the link with this code. Nothing follows."""

    close_code: int
    close_reason: str
    error: SetteeError | None


Event: TypeAlias = ActivityChanged | DocumentsReplicated | Finished
