"""Conflict resolvers for settee: what a `Replicator` does when two devices edited apart.

Room: pure inventory model.
Touches: documents as mappings.
Never touches: the wall clock, files.

They take what settee gives a `conflict_resolver`. Of items they return what both sides make, as a
body of its own even where it is equal to one side: that makes a revision which is newer than both.
A side that is returned itself keeps its age, and a peer that resolves by the default rule at the
same time may have put the other one above it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from settee_inventory.model.canonical import text_of
from settee_inventory.model.item import State, merged, read, write
from settee_inventory.model.stamp import NEVER, is_time

__all__ = ["ConflictLike", "DocumentLike", "Merged", "item_resolver", "resolve_profile"]


class DocumentLike(Protocol):
    """What is needed of a settee document."""

    def to_dict(self) -> dict[str, Any]:
        """Return the body as JSON values."""


class ConflictLike(Protocol):
    """What is needed of a settee `Conflict`; a side that was deleted is None."""

    @property
    def document_id(self) -> str:
        """The document."""

    @property
    def local(self) -> Any:
        """This device's version."""

    @property
    def remote(self) -> Any:
        """The other device's version."""


Merged = Callable[[str, State, State, State], object]
"""Told of each merge: the item's ID, what was here, what came, what both make."""


def item_resolver(told: Merged | None = None) -> Callable[[ConflictLike], Any]:
    """Return the resolver of a collection of items; `told` is called with what it merges.

    `told` is called where settee calls resolvers: on a thread of the replicator's. A deletion by
    another program never wins over an edit: items are removed by their field `removed`.
    """

    def resolve(conflict: ConflictLike) -> Any:
        local, remote = conflict.local, conflict.remote
        if local is None or remote is None:
            return remote if local is None else local
        mine, theirs = read(local.to_dict()), read(remote.to_dict())
        both = merged(mine, theirs)
        if told is not None:
            told(conflict.document_id, mine, theirs, both)
        return write(both)

    return resolve


def resolve_profile(conflict: ConflictLike) -> Any:
    """Resolve a conflict of a device's profile: the later wins; ties go to the greater text."""
    local, remote = conflict.local, conflict.remote
    if local is None or remote is None:
        return remote if local is None else local
    return local if _rank(local.to_dict()) >= _rank(remote.to_dict()) else remote


def _rank(body: Mapping[str, Any]) -> tuple[str, str]:
    at = body.get("at")
    return (at if is_time(at) else NEVER), text_of(body)
