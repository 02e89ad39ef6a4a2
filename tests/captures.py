"""Reads the recorded traffic in `tests/captures`: what two Couchbase Lite peers said to each other.

::

    for name in scenarios():
        for connection in load(name).connections:
            for direction, kind, data in connection: ...
"""

from __future__ import annotations

import functools
import gzip
import json
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["Capture", "Recorded", "load", "scenarios"]

_FOLDER: Final = Path(__file__).with_name("captures")


class Recorded(NamedTuple):
    """One HTTP head or one WebSocket message, unmasked."""

    direction: str
    """``"c2s"`` from the active peer, ``"s2c"`` from the passive one."""
    kind: str
    """``"http"``, ``"binary"`` (one BLIP frame), ``"ping"``, ``"pong"`` or ``"close"``."""
    data: bytes | str
    """Text for ``"http"``, else bytes; of a close: its code in two bytes, then the reason."""


class Capture(NamedTuple):
    """One scenario."""

    name: str
    connections: list[list[Recorded]]
    """One list per TCP connection, each in order of time."""
    log: str
    """What both peers printed, and their databases before and after."""


@functools.cache
def scenarios() -> list[str]:
    """Return the names of all scenarios, such as ``"4-vv/push3"``, sorted."""
    return sorted(
        f"{path.parent.name}/{path.name.removesuffix('.jsonl.gz')}"
        for path in _FOLDER.glob("*/*.jsonl.gz")
    )


@functools.cache
def load(name: str) -> Capture:
    """Read one scenario. Raises FileNotFoundError if there is none of that name."""
    connections: dict[int, list[Recorded]] = {}
    with gzip.open(_FOLDER / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            item = json.loads(line)
            data = item["text"] if item["kind"] == "http" else bytes.fromhex(item["hex"])
            recorded = Recorded(item["dir"], item["kind"], data)
            connections.setdefault(item["conn"], []).append(recorded)
    log = gzip.decompress((_FOLDER / f"{name}.log.gz").read_bytes()).decode()
    return Capture(name, [connections[number] for number in sorted(connections)], log)
