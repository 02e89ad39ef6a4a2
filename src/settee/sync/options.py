"""What a session replicates, with whom, and what holds for each of its collections.

Room: pure protocol.
Touches: settee.ids, settee.sync.
Never touches: sockets, files, the wall clock, randomness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from settee.ids import CollectionName
from settee.sync.dialect import TREES, VECTORS

__all__ = ["CollectionOptions", "SessionConfig"]


class CollectionOptions(NamedTuple):
    """Filters and resolver of one collection, as far as the protocol has to know of them."""

    document_ids: tuple[str, ...] | None = None
    """Only these documents, in both directions; None: all."""
    channels: tuple[str, ...] = ()
    """Pull only what is in these channels; empty: all."""
    push_filter: bool = False
    """Whether the application is asked what to push."""
    pull_filter: bool = False
    """Whether the application is asked what to take."""
    resolver: bool = False
    """Whether the application decides conflicts."""

    @property
    def filters(self) -> tuple[object, ...]:
        """What a checkpoint depends on; functions aren't part of it."""
        if self.document_ids is None and not self.channels:
            return ()
        ids = None if self.document_ids is None else list(self.document_ids)
        return (ids, list(self.channels))


_NO_OPTIONS: Final = CollectionOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """What a session replicates, and with whom."""

    active: bool
    """Whether this side opened the connection."""
    collections: tuple[CollectionName, ...]
    """Active: those to replicate. Passive: those that are served."""
    checkpoint_ids: tuple[str, ...] = ()
    """Active: one per collection (`checkpoint.checkpoint_id`)."""
    push: bool = True
    """Active: send local changes. Passive: let the peer pull."""
    pull: bool = True
    """Active: receive the peer's changes. Passive: let the peer push."""
    continuous: bool = False
    """Active: stay connected and replicate changes as they come."""
    level: int = TREES
    """Of the replication protocol: 2 and 3 speak of revision trees, 4 of version vectors."""
    peer_is_settee: bool = False
    """Whether the peer is a settee peer: at level 4 tree names travel with the vectors."""
    report_documents: bool = False
    """Whether to report each document; errors are reported always."""
    uuid: str = ""
    """The database's public UUID, told in `getCollections`; informational."""
    wall_offset_s: float = 0.0
    """Seconds since 1970 at ``now == 0``."""
    options: tuple[CollectionOptions, ...] = ()
    """One per collection; empty: none has any."""
    deltas: bool = False
    """Whether revisions may travel as what changed against an earlier one."""
    resolves: bool = False
    """Passive: end conflicts with a peer of trees here, rather than have its resolver decide."""
    names_collections: bool | None = None
    """Active: whether to open with `getCollections`; None: unless only the default one is meant."""
    auto_purge: bool = True
    """Active: purge documents that the peer takes our access away from."""

    def options_of(self, collection: int) -> CollectionOptions:
        """Return what holds for one collection."""
        return self.options[collection] if self.options else _NO_OPTIONS

    @property
    def refuse_conflicts(self) -> bool:
        """Whether a conflicting revision is refused (409) for its active owner to resolve.

        Couchbase Lite's passive peers do that, so its active ones are made for it. Between settee
        peers either side resolves, alike.
        """
        if self.active:
            return False
        return not (self.peer_is_settee if self.level == VECTORS else self.resolves)
