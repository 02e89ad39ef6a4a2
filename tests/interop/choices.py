"""What the active peer chooses: filters and conflict resolvers, by name, the same for each peer.

java/Peer.java has the same rules for Couchbase Lite.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final, NamedTuple

from settee import Conflict, Document, DocumentFlags

__all__ = ["NONE", "Choices", "resolve", "resolve_async"]


class Choices(NamedTuple):
    """A filter is ``"red"`` or ``"red or deleted"``; a resolver ``"local"``, ``"remote"``,
    ``"merge"`` or ``"delete"``."""

    document_ids: list[str] | None = None
    push_filter: str | None = None
    pull_filter: str | None = None
    resolver: str | None = None

    def for_settee(self) -> dict[str, Any]:
        """Return the options of our replicator."""
        return {
            "document_ids": self.document_ids,
            "push_filter": self.push_filter and partial(passes, self.push_filter),
            "pull_filter": self.pull_filter and partial(passes, self.pull_filter),
            "conflict_resolver": self.resolver and partial(resolve, self.resolver),
        }


NONE: Final = Choices()


def passes(rule: str, document: Document, flags: DocumentFlags) -> bool:
    """Tell whether a filter lets a document through."""
    if DocumentFlags.DELETED in flags:
        return rule == "red or deleted"
    return document.get("colour") == "red"


def resolve(rule: str, conflict: Conflict) -> dict[str, Any] | Document | None:
    """Decide a conflict. A merge has the keys of both; where both have one, the local value."""
    local, remote = conflict.local, conflict.remote
    if rule == "merge":
        if local is None or remote is None:
            return remote if local is None else local
        return {**remote, **local, "merged": True}
    return {"local": local, "remote": remote, "delete": None}[rule]


async def resolve_async(rule: str, conflict: Conflict) -> dict[str, Any] | Document | None:
    """As `resolve`, for an application that has to wait for something."""
    return resolve(rule, conflict)
