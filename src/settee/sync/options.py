"""What holds for one collection of a session.

Room: pure protocol.
Touches: nothing.
Never touches: sockets, files, the wall clock, randomness.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CollectionOptions"]


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
