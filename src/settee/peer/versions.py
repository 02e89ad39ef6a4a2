"""How settee names itself on the wire, and how it knows its like."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from settee.net.link import PeerInfo

__all__ = ["PRODUCT", "SUBPROTOCOLS", "USER_AGENT", "choose_subprotocol", "is_settee"]


def _version() -> str:
    try:
        return version("settee")
    except PackageNotFoundError:  # Run from a source tree that is not installed.
        return "0"


PRODUCT: Final = f"settee/{_version()}"
USER_AGENT: Final = PRODUCT

SUBPROTOCOLS: Final = ("BLIP_3+CBMobile_3",)
"""Offered and accepted, best first (wire protocol 1.3)."""


def choose_subprotocol(offered: tuple[str, ...]) -> str | None:
    """Return the first of the peer's offers that is spoken here, as its own list orders them."""
    return next((name for name in offered if name in SUBPROTOCOLS), None)


def is_settee(peer: PeerInfo) -> bool:
    """Tell whether the other side is settee: its request or response says so.

    Between settee peers, version vectors travel with revisions and both sides resolve conflicts.
    A peer that lies about it harms only what it could write anyway.
    """
    return peer.user_agent.startswith("settee/")
