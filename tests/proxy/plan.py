"""What is done to a connection, and how it is written down.

A plan is a JSON file::

    {"seed": 1, "scenes": [
      {"name": "slow and late", "up": {"delay_s": 0.2, "bytes_per_s": 9600}, "tls": true},
      {"name": "cut in a blob", "down": {"cut_at": 4000, "how": "reset"}}
    ]}

``up`` is what the dialling peer says, ``down`` what it hears. What is not named is not done.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

How = Literal["reset", "close", "half", "hole"]
HOWS: tuple[How, ...] = ("reset", "close", "half", "hole")


class PlanError(Exception):
    """A plan is none; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What happens to the bytes of one direction."""

    delay_s: float = 0.0
    """How much later each byte arrives."""
    jitter_s: float = 0.0
    """At most so much later than that, by chance; bytes stay in order."""
    bytes_per_s: float | None = None
    piece: int | None = None
    """Bytes of a segment, at most."""
    cut_at: int | None = None
    """After so many bytes of this direction the connection is cut."""
    how: How = "reset"
    """``reset``: both ends get RST. ``close``: both ends get FIN. ``half``: the receiver gets FIN,
    and the other direction goes on. ``hole``: nothing more passes here and nobody is told."""
    flip_at: int | None = None
    """The byte, from 0, that arrives with one bit turned over."""
    flip_bit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One connection and all that is done to it."""

    name: str
    up: Way = field(default_factory=Way)
    down: Way = field(default_factory=Way)
    tls: bool = False
    duplicate: bool = False
    """Whether a second connection says all that the first one says; nobody hears its answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Scenes to be played one after another."""

    scenes: tuple[Scene, ...]
    seed: int = 0


def _made(kind: type[Any], given: object, where: str) -> Any:
    if not isinstance(given, dict):
        raise PlanError(f"{where} must be an object")
    known = {each.name for each in fields(kind)}
    if unknown := sorted(set(given) - known):
        raise PlanError(f"{where} has no {unknown[0]!r}; it has {', '.join(sorted(known))}")
    try:
        return kind(**given)
    except TypeError as exc:
        raise PlanError(f"{where}: {exc}") from None


def _way(given: object, where: str) -> Way:
    way: Way = _made(Way, given, where)
    if way.how not in HOWS:
        raise PlanError(f"{where} ends in one of {', '.join(HOWS)}, not {way.how!r}")
    for each in fields(Way):
        value = getattr(way, each.name)
        if each.name != "how" and value is not None:
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise PlanError(f"{where}: {each.name} must be a number from 0 on, not {value!r}")
            if each.name in ("piece", "bytes_per_s") and value == 0:
                raise PlanError(f"{where}: with {each.name} 0 nothing would ever arrive")
    return way


def parse(given: object) -> Plan:
    """Read a plan; raises PlanError."""
    plan: Plan = _made(Plan, given, "the plan")
    if not isinstance(plan.scenes, list | tuple):
        raise PlanError("scenes must be a list")
    scenes: list[Scene] = []
    for number, each in enumerate(plan.scenes):
        if not isinstance(each, dict):
            raise PlanError(f"scene {number} must be an object")
        where = f"scene {each.get('name', number)!r}"
        ways = {way: _way(each[way], f"{where}, {way}") for way in ("up", "down") if way in each}
        scenes.append(_made(Scene, {**each, **ways}, where))
    return Plan(scenes=tuple(scenes), seed=plan.seed)


def load(path: Path) -> Plan:
    """Read a plan from a file; raises PlanError."""
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as exc:
        raise PlanError(f"{path}: {exc}") from None
