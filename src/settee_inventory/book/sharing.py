"""What of an inventory is replicated, and how its conflicts are resolved.

Resolvers are called by settee on a thread of the replicator's; what they learn is handed to the
inventory's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from settee import CollectionConfig, Conflict
from settee_inventory.book.editions import resolve_register
from settee_inventory.book.seeds import SAMPLE
from settee_inventory.model import mirror
from settee_inventory.model.canonical import text_of
from settee_inventory.model.item import State
from settee_inventory.model.mirror import LIST_ID
from settee_inventory.model.resolver import item_resolver, resolve_profile

__all__ = ["DEVICES", "EDITIONS", "ITEMS", "LISTS", "configurations", "list_resolver"]

ITEMS: Final = "shop.items"
DEVICES: Final = "shop.devices"
EDITIONS: Final = "shop.editions"
LISTS: Final = "_default"

_BOOKING_S_MAX: Final = 30.0
"""So long a resolver waits for the loop; after that the conflict stays open until next time."""

Booker = Callable[[Sequence[tuple[Mapping[str, Any], str]]], Awaitable[None]]


def configurations(
    loop: asyncio.AbstractEventLoop,
    merged: Callable[[str, State, State, State], object],
    book: Booker,
) -> tuple[CollectionConfig, ...]:
    """Return what a `Replicator` is given as `collections`; that of the original's list is last.

    `merged` is called on the loop with each merge of an item; `book` is awaited there with both
    sides of a conflict of the original's list, before one of them is chosen.

    The list is not for links between devices, since each makes it of the items. There a passive
    side would choose between two lists by itself, and could drop an edit that nobody has seen.
    """

    def told(*merge: Any) -> None:
        loop.call_soon_threadsafe(merged, *merge)

    return (
        CollectionConfig(collection=ITEMS, conflict_resolver=item_resolver(told)),
        CollectionConfig(collection=DEVICES, conflict_resolver=resolve_profile),
        CollectionConfig(collection=EDITIONS, conflict_resolver=resolve_register),
        CollectionConfig(collection=LISTS, conflict_resolver=list_resolver(loop, book)),
    )


def list_resolver(loop: asyncio.AbstractEventLoop, book: Booker) -> Callable[[Conflict], Any]:
    """Return the resolver of the collection in which the original's list lies."""

    def resolve(conflict: Conflict) -> Any:
        local, remote = conflict.local, conflict.remote
        if local is None or remote is None:
            return remote if local is None else local
        mine, theirs = local.to_dict(), remote.to_dict()
        if conflict.document_id != LIST_ID:
            return local if text_of(mine) >= text_of(theirs) else remote
        both = [(mine, local.revision), (theirs, remote.revision)]

        async def booking() -> None:
            await book(both)

        asyncio.run_coroutine_threadsafe(booking(), loop).result(_BOOKING_S_MAX)
        stays = mirror.choose(mine, local.revision, theirs, remote.revision, SAMPLE)
        return local if stays else remote

    return resolve
