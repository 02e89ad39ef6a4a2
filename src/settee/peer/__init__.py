"""The peers: what joins the protocol with the network and the database.

`Replicator` is the active peer, `URLEndpointListener` the passive one, `browse` finds others.
"""

from settee.peer.authenticators import (
    BasicAuthenticator,
    BearerAuthenticator,
    ClientCertificateAuthenticator,
    ListenerCertificateAuthenticator,
    ListenerPasswordAuthenticator,
    SessionAuthenticator,
)
from settee.peer.browser import Browser, PeerEvent, PeerFound, PeerGone, browse
from settee.peer.config import ListenerConfig, ReplicatorConfig
from settee.peer.hooks import AccessRequest, CollectionConfig, Conflict, DocumentFlags
from settee.peer.listener import (
    ListenerConnection,
    ListenerStatus,
    Refusal,
    URLEndpointListener,
)
from settee.peer.replicator import (
    DocumentError,
    ReplicationResult,
    Replicator,
    ReplicatorStatus,
    replicate,
)
from settee.sync.events import Activity, DocumentReplicated, DocumentsReplicated, Progress

__all__ = [
    "AccessRequest",
    "Activity",
    "CollectionConfig",
    "Conflict",
    "DocumentFlags",
    "BasicAuthenticator",
    "BearerAuthenticator",
    "Browser",
    "ClientCertificateAuthenticator",
    "DocumentError",
    "DocumentReplicated",
    "DocumentsReplicated",
    "ListenerCertificateAuthenticator",
    "ListenerConfig",
    "ListenerConnection",
    "ListenerPasswordAuthenticator",
    "ListenerStatus",
    "PeerEvent",
    "PeerFound",
    "PeerGone",
    "Progress",
    "Refusal",
    "ReplicationResult",
    "Replicator",
    "ReplicatorConfig",
    "ReplicatorStatus",
    "SessionAuthenticator",
    "URLEndpointListener",
    "browse",
    "replicate",
]
