"""settee for asyncio: the same names as `settee`, with what waits awaited.

``async with Database("inventory") as db:`` … ``await collection.save(document)`` …
``async for change in collection.changes():``. What an operator can't await has the name of a method
in both skins: `put`, `delete`, `count`, `contains`, `ids`. Callbacks still run on a worker of the
database, never on the loop; use the iterators there.
"""

from __future__ import annotations

from settee.aio.blob import Blob as Blob
from settee.aio.browser import Browser as Browser
from settee.aio.browser import browse as browse
from settee.aio.changes import Changes as Changes
from settee.aio.collection import Collection as Collection
from settee.aio.database import Database as Database
from settee.aio.database import Transaction as Transaction
from settee.aio.listener import URLEndpointListener as URLEndpointListener
from settee.aio.replicator import Replicator as Replicator
from settee.db.document import Document as Document
from settee.db.observer import CollectionChange as CollectionChange
from settee.db.observer import DocumentChange as DocumentChange
from settee.db.observer import Subscription as Subscription

__all__ = [
    "Blob",
    "Browser",
    "Changes",
    "Collection",
    "CollectionChange",
    "Database",
    "Document",
    "DocumentChange",
    "Replicator",
    "Subscription",
    "Transaction",
    "URLEndpointListener",
    "browse",
]
