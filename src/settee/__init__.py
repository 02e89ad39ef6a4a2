"""settee: an embedded JSON document database that syncs peer to peer.

::

    from settee import Blob, Database

    with Database("inventory") as db:
        items = db.collection("shop.items", create=True)
        items["apples"] = {"name": "Apples", "image": Blob.from_file("apples.jpg")}

Only the names listed here are public; `settee.aio` has the same for asyncio.
"""

from __future__ import annotations

from settee.db.blob import Blob as Blob
from settee.db.changes import Changes as Changes
from settee.db.collection import Collection as Collection
from settee.db.database import Database as Database
from settee.db.database import Transaction as Transaction
from settee.db.document import Document as Document
from settee.db.models import OTHER_KEYS as OTHER_KEYS
from settee.db.observer import CollectionChange as CollectionChange
from settee.db.observer import DocumentChange as DocumentChange
from settee.db.observer import Subscription as Subscription
from settee.errors import AuthenticationError as AuthenticationError
from settee.errors import CertificateError as CertificateError
from settee.errors import ClosedError as ClosedError
from settee.errors import ConfigError as ConfigError
from settee.errors import ConflictError as ConflictError
from settee.errors import ConnectionFailedError as ConnectionFailedError
from settee.errors import CorruptDatabaseError as CorruptDatabaseError
from settee.errors import DatabaseInUseError as DatabaseInUseError
from settee.errors import DiskFullError as DiskFullError
from settee.errors import ExistsError as ExistsError
from settee.errors import InvalidDocumentError as InvalidDocumentError
from settee.errors import InvalidNameError as InvalidNameError
from settee.errors import NewerSchemaError as NewerSchemaError
from settee.errors import NotADatabaseError as NotADatabaseError
from settee.errors import NotAPeerError as NotAPeerError
from settee.errors import NotFoundError as NotFoundError
from settee.errors import PeerError as PeerError
from settee.errors import PeerProtocolError as PeerProtocolError
from settee.errors import ReadOnlyError as ReadOnlyError
from settee.errors import RefusedError as RefusedError
from settee.errors import SetteeError as SetteeError
from settee.errors import StoreError as StoreError
from settee.errors import SyncError as SyncError
from settee.errors import TransactionError as TransactionError
from settee.errors import UsageError as UsageError
from settee.identity.identity import TLSIdentity as TLSIdentity
from settee.identity.inspect import CertificateInfo as CertificateInfo
from settee.identity.users import HashedUsers as HashedUsers
from settee.logs import LogSink as LogSink
from settee.logs import RedactingFormatter as RedactingFormatter
from settee.logs import log_to as log_to
from settee.peer import AccessRequest as AccessRequest
from settee.peer import Activity as Activity
from settee.peer import BasicAuthenticator as BasicAuthenticator
from settee.peer import BearerAuthenticator as BearerAuthenticator
from settee.peer import Browser as Browser
from settee.peer import ClientCertificateAuthenticator as ClientCertificateAuthenticator
from settee.peer import CollectionConfig as CollectionConfig
from settee.peer import Conflict as Conflict
from settee.peer import DocumentError as DocumentError
from settee.peer import DocumentFlags as DocumentFlags
from settee.peer import DocumentReplicated as DocumentReplicated
from settee.peer import DocumentsReplicated as DocumentsReplicated
from settee.peer import ListenerCertificateAuthenticator as ListenerCertificateAuthenticator
from settee.peer import ListenerConfig as ListenerConfig
from settee.peer import ListenerConnection as ListenerConnection
from settee.peer import ListenerPasswordAuthenticator as ListenerPasswordAuthenticator
from settee.peer import ListenerStatus as ListenerStatus
from settee.peer import PeerFound as PeerFound
from settee.peer import PeerGone as PeerGone
from settee.peer import Progress as Progress
from settee.peer import Refusal as Refusal
from settee.peer import ReplicationResult as ReplicationResult
from settee.peer import Replicator as Replicator
from settee.peer import ReplicatorConfig as ReplicatorConfig
from settee.peer import ReplicatorStatus as ReplicatorStatus
from settee.peer import SessionAuthenticator as SessionAuthenticator
from settee.peer import URLEndpointListener as URLEndpointListener
from settee.peer import browse as browse
from settee.peer import replicator as _replicator
from settee.store.maintenance import Compacted as Compacted
from settee.store.maintenance import Problem as Problem

# `Database.replicate` is the one thing that the database needs of the room above it.
Database._replication = _replicator

__all__ = [
    # the database
    "Database",
    "Collection",
    "Document",
    "Blob",
    "Transaction",
    "OTHER_KEYS",
    # maintenance
    "Compacted",
    "Problem",
    # changes
    "Changes",
    "CollectionChange",
    "DocumentChange",
    "Subscription",
    # replication
    "Activity",
    "BasicAuthenticator",
    "CollectionConfig",
    "Conflict",
    "DocumentFlags",
    "BearerAuthenticator",
    "ClientCertificateAuthenticator",
    "DocumentError",
    "DocumentReplicated",
    "DocumentsReplicated",
    "Progress",
    "ReplicationResult",
    "Replicator",
    "ReplicatorConfig",
    "ReplicatorStatus",
    "SessionAuthenticator",
    # listening
    "AccessRequest",
    "ListenerCertificateAuthenticator",
    "ListenerConfig",
    "ListenerConnection",
    "ListenerPasswordAuthenticator",
    "ListenerStatus",
    "Refusal",
    "URLEndpointListener",
    # finding peers
    "Browser",
    "PeerFound",
    "PeerGone",
    "browse",
    # identity
    "CertificateInfo",
    "HashedUsers",
    "TLSIdentity",
    # logging
    "LogSink",
    "RedactingFormatter",
    "log_to",
    # errors
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
