"""The peers: what joins the protocol with the network and the database.

`Replicator` is the active peer, `URLEndpointListener` the passive one, `browse` finds others.
"""

from settee.peer.authenticators import (
    BasicAuthenticator,
    ListenerPasswordAuthenticator,
)
from settee.peer.browser import Browser, PeerEvent, PeerFound, PeerGone, browse
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
    "Activity",
    "BasicAuthenticator",
    "Browser",
    "DocumentError",
    "DocumentReplicated",
    "DocumentsReplicated",
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
    "ReplicatorStatus",
    "URLEndpointListener",
    "browse",
    "replicate",
]
