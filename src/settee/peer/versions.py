"""How settee names itself on the wire, and how it knows its like."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from settee.errors import ConfigError
from settee.net.link import PeerInfo

__all__ = [
    "PRODUCT",
    "SUBPROTOCOLS",
    "USER_AGENT",
    "choose_subprotocol",
    "is_settee",
    "level_of",
    "user_agent",
]


def _version() -> str:
    try:
        return version("settee")
    except PackageNotFoundError:  # Run from a source tree that is not installed.
        return "0"


PRODUCT: Final = f"settee/{_version()}"
USER_AGENT: Final = PRODUCT

_PROGRAM_CHARACTERS_MAX: Final = 100

SUBPROTOCOLS: Final = ("BLIP_3+CBMobile_4", "BLIP_3+CBMobile_3", "BLIP_3+CBMobile_2")
"""Offered and accepted, best first (wire protocol 1.3). Level 4 speaks of version vectors, 3 and 2
of revision trees; 2 is Couchbase Lite 2.x: what differs is read either way."""


def choose_subprotocol(offered: tuple[str, ...]) -> str | None:
    """Return the first of the peer's offers that is spoken here, as its own list orders them."""
    return next((name for name in offered if name in SUBPROTOCOLS), None)


def level_of(peer: PeerInfo) -> int:
    """Return the level of the replication protocol that was agreed upon."""
    return int(peer.subprotocol[-1:]) if peer.subprotocol in SUBPROTOCOLS else 3


def is_settee(peer: PeerInfo) -> bool:
    """Tell whether the other side is settee: its request or response says so.

    Between settee peers, version vectors travel with revisions and both sides resolve conflicts.
    A peer that lies about it harms only what it could write anyway.
    """
    return peer.user_agent.startswith("settee/")


def user_agent(program: str | None) -> str:
    """Return the User-Agent header: settee's own name, then that of the program that uses it.

    Ours comes first, since settee peers know each other by it. Raises ConfigError.
    """
    if program is None:
        return USER_AGENT
    fits = 0 < len(program.strip()) <= _PROGRAM_CHARACTERS_MAX
    if not fits or any(not 32 <= ord(c) < 127 for c in program):
        raise ConfigError(
            "user_agent",
            f"must be 1 to {_PROGRAM_CHARACTERS_MAX} characters of printable ASCII, such as "
            "MyApp/1.0",
        )
    return f"{USER_AGENT} {program.strip()}"
