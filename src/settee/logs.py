"""Logger names and the tag that tells sessions apart.

One logger per room under ``settee``. settee sets no level, and no handler but the one that keeps
a program without logging quiet. DEBUG shows ``>`` sent,
``<`` received and ``=`` state; INFO a session's start and end; WARNING what will be retried or a
peer that misbehaved; ERROR lost data or a bug. Bodies, keys and passwords are logged at no level.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

__all__ = ["peer_log", "printable", "room_log"]

logging.getLogger("settee").addHandler(logging.NullHandler())


def room_log(room: str) -> logging.Logger:
    """Return the logger of one room, such as ``room_log("store")`` for ``settee.store``."""
    return logging.getLogger(f"settee.{room}")


class _Tagged(logging.LoggerAdapter[logging.Logger]):
    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        tag = (self.extra or {}).get("tag", "")
        return f"[{tag}] {msg}", kwargs


def peer_log(room: str, *, peer: str, session: int) -> logging.LoggerAdapter[logging.Logger]:
    """Return a logger whose lines carry ``[peer/session]``."""
    return _Tagged(room_log(room), {"tag": f"{printable(peer)}/{session}"})


def printable(text: str, limit: int = 200) -> str:
    """Return `text` as one safe line: a peer's words must not forge log lines."""
    clean = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[:limit])
    return clean + "…" if len(text) > limit else clean
