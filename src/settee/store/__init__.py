"""The database on disk: SQLite through apsw, and the blobs beside it.

The only room that imports apsw. `Store` is the way in; the modules `documents`, `revisions`,
`feed`, `marks` and `checkpoints` hold the functions that work on its `Reader` and `Writer`, all
batch-shaped. Data, histories, marks and checkpoints lie in one file and change in one transaction.
"""

from __future__ import annotations

from settee.store.blobs import BlobReader as BlobReader
from settee.store.blobs import BlobStore as BlobStore
from settee.store.blobs import BlobWriter as BlobWriter
from settee.store.blobs import StagedBlob as StagedBlob
from settee.store.collections import CollectionRow as CollectionRow
from settee.store.commits import CommitFuture as CommitFuture
from settee.store.connection import Reader as Reader
from settee.store.leases import SyncLease as SyncLease
from settee.store.store import Store as Store
from settee.store.transaction import Transaction as Transaction
from settee.store.writer import Commit as Commit
from settee.store.writer import Writer as Writer

__all__ = [
    "BlobReader",
    "BlobStore",
    "BlobWriter",
    "CollectionRow",
    "Commit",
    "CommitFuture",
    "Reader",
    "StagedBlob",
    "Store",
    "SyncLease",
    "Transaction",
    "Writer",
]
