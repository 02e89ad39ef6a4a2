"""Harm at every place of a connection, and how a process plays a part of it."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from tests.proxy.pair import PLAIN, HarmDoneError, Stage, stage
from tests.proxy.plan import HOWS, Scene, Way

CHUNK: Final = 100
HOLES_EVERY: Final = 8
"""Of a sweep over every byte, at which the connection falls silent: each takes a hundred timers."""

Direction = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Sweep:
    """One kind of harm, done in one direction at a number of places."""

    kind: str
    """A way to cut, "turn" (a bit at each place), or "rotate" (the ways to cut in turn)."""
    direction: Direction
    tls: bool

    @property
    def name(self) -> str:
        return f"{self.kind} {self.direction}{' with TLS' if self.tls else ''}"

    def scene(self, place: int) -> Scene:
        if self.kind == "turn":
            way = Way(flip_at=place, flip_bit=place % 8)
        else:
            how = HOWS[place % len(HOWS)] if self.kind == "rotate" else self.kind
            way = Way(cut_at=place, how=how)  # type: ignore[arg-type]
        ways = {self.direction: way}
        return Scene(name=f"{self.name} at {place}", tls=self.tls, **ways)  # type: ignore[arg-type]


def sweeps(kinds: tuple[str, ...]) -> Iterator[Sweep]:
    """Give one for each kind of harm, direction, and with and without TLS."""
    for tls in (False, True):
        for kind in kinds:
            for direction in ("up", "down"):
                yield Sweep(kind, direction, tls)  # type: ignore[arg-type]


def recorded() -> dict[bool, dict[str, int]]:
    """Return how many bytes a whole connection has, by direction, without and with TLS."""
    with stage() as made:
        return {tls: made.play(Scene(name=PLAIN.name, tls=tls)) for tls in (False, True)}


def chunks(kinds: tuple[str, ...], stride: int) -> Iterator[tuple[str, list[Scene]]]:
    """Give all scenes of sweeps over every `stride`-th byte, in parts with a name."""
    sizes = recorded()
    for sweep in sweeps(kinds):
        step = stride * (HOLES_EVERY if sweep.kind == "hole" else 1)
        places = list(range(0, sizes[sweep.tls][sweep.direction], step))
        for begin in range(0, len(places), CHUNK):
            part = places[begin : begin + CHUNK]
            yield f"{sweep.name} {part[0]}-{part[-1]}", [sweep.scene(place) for place in part]


_stage: Stage | None = None
"""That of this process, once it has played."""


def played(scenes: list[Scene], seed: int) -> list[str]:
    """Play scenes one after another; return what was wrong."""
    global _stage
    if _stage is None:
        _stage = _open()
    wrong = []
    for scene in scenes:
        try:
            _stage.play(scene, seed)
        except (HarmDoneError, TimeoutError) as exc:
            wrong.append(f"{scene.name}: {exc or type(exc).__name__}")
    return wrong


def _open() -> Stage:
    """Set a stage up that lasts as long as this process."""
    context = stage()
    atexit.register(context.__exit__, None, None, None)
    return context.__enter__()
