"""What a replicator or a listener was told: its options as they were given, frozen.

One class for each public face. Its fields have the names and defaults of the face's parameters; a
test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from settee.identity import PinSource, TLSIdentity
from settee.limits import HEARTBEAT_S, RETRY_WAIT_S_MAX
from settee.peer.authenticators import Authenticators, ListenerAuthenticators
from settee.peer.hooks import Authorize, CollectionConfig, ConflictResolver, ReplicationFilter

if TYPE_CHECKING:
    from settee.db.collection import Collection

__all__ = ["ListenerConfig", "ReplicatorConfig", "ReplicatorType", "given_to", "named"]

ReplicatorType = Literal["push_and_pull", "push", "pull"]

C = TypeVar("C", "ReplicatorConfig", "ListenerConfig")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicatorConfig:
    """How a `Replicator` was set up; see there for what each option means."""

    replicator_type: ReplicatorType = "push_and_pull"
    continuous: bool = False
    collections: Sequence[Collection | CollectionConfig | str] | None = None
    document_ids: Sequence[str] | None = None
    channels: Sequence[str] | None = None
    push_filter: ReplicationFilter | None = None
    pull_filter: ReplicationFilter | None = None
    conflict_resolver: ConflictResolver | None = None
    delta_sync: bool = True
    auto_purge: bool = True
    authenticator: Authenticators | None = None
    pinned_server_certificate: PinSource | None = None
    accept_only_self_signed: bool = False
    trust_on_first_use: bool = True
    trusted_roots: bytes | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    heartbeat: float = HEARTBEAT_S
    max_attempts: int | None = None
    max_attempt_wait: float = RETRY_WAIT_S_MAX
    proxy: str | None = field(default=None, repr=False)
    local_address: str | None = None
    accept_parent_domain_cookies: bool = False
    user_agent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerConfig:
    """How a `URLEndpointListener` was set up; see there for what each option means."""

    port: int = 0
    host: str | None = None
    path: str | Mapping[str, str] | None = None
    collections: Sequence[Collection | str] | None = None
    tls: bool = True
    tls_identity: TLSIdentity | None = None
    authenticator: ListenerAuthenticators | None = None
    allow_anonymous: bool = False
    allow_plaintext_passwords: bool = False
    delta_sync: bool = False
    read_only: bool = False
    resolve_conflicts: bool = False
    authorize: Authorize | None = None
    advertise: bool | str = False
    discovery_interfaces: Sequence[str] | None = None


def named(config: type[C]) -> tuple[str, ...]:
    """Return the names of a configuration's options."""
    return tuple(each.name for each in fields(config))


def given_to(config: type[C], arguments: Mapping[str, Any]) -> C:
    """Return the configuration that a constructor's arguments (its ``locals()``) make."""
    return config(**{name: arguments[name] for name in named(config)})
