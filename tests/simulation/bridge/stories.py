"""Short lives told step by step: what once went wrong with some other rule, by name.

A step is a save (``"T1 = 5"``), a deletion (``"T1 = deleted"``) or a meeting (``"T1 > B0"``: T1
opens the connection). The fleet is whoever is named.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from tests.simulation.bridge.engine import State
from tests.simulation.bridge.life import failures_of, settle
from tests.simulation.bridge.topology import parse
from tests.simulation.bridge.world import World


class Story(NamedTuple):
    title: str
    steps: tuple[str, ...]
    newest: int | None
    """What everybody has in the end; None for a deletion."""
    conflicts: int | None = 0
    """True conflicts: calls of a resolver with different bodies; None: any number."""


def tell(story: Story, *, seed: int = 0, write: Callable[[str], None] | None = None) -> list[str]:
    """Live through a story, then let all meet until they fall silent; return what went wrong."""
    links = list(dict.fromkeys(step for step in story.steps if ">" in step))
    fleet = parse(" ".join(link.replace(" ", "") for link in links))
    with tempfile.TemporaryDirectory() as directory:
        world = World(fleet, f"{story.title}/{seed}", Path(directory), write, skew_s=0.0)
        try:
            world.forgetful()
            with world.watched():
                for step in story.steps:
                    world.timeline.run_for(1.0)
                    _take(world, step)
                rounds = settle(world)
            failures = failures_of(world, rounds)
            body = None if story.newest is None else orjson.dumps({"v": story.newest})
            for peer, state in zip(world.peers, world.states(), strict=True):
                seen = None if state is None or state.deleted else state.body
                if seen != body:
                    failures.append(f"{peer.name} has {seen}, not {body}")
            if story.conflicts not in (None, len(world.conflicts)):
                failures += [f"conflict: {one}" for one in world.conflicts]
        finally:
            world.close()
    return failures


def _take(world: World, step: str) -> None:
    names = {world.fleet.name(i): i for i in range(len(world.peers))}
    if ">" in step:
        active, passive = (names[name.strip()] for name in step.split(">"))
        world.meet((active, passive))
        return
    name, _, what = step.partition(" = ")
    deleted = what == "deleted"
    body = b"{}" if deleted else orjson.dumps({"v": int(what)})
    world.edit(names[name], State(deleted, body))


LIFTED: Final = Story(
    "a newer revision of few ancestors is lifted above what a phone has",
    (
        *(f"B0 = {n}" for n in range(1, 6)),
        "T2 > B0",  # It has 5-ff….
        "V3 > B0",
        "V3 = 6",
        "V3 > B1",  # Two versions are all that B1 hears of: 2-ff….
        "T2 > B1",
    ),
    6,
)

COURIER: Final = Story(
    "a phone carries a version between settee peers with all that came before",
    (
        "V3 = 1",
        "V3 > B0",
        "T2 > B0",  # It has the first of V3.
        "V3 = 2",
        "V3 > B0",
        "V3 > B1",
        "B1 = 3",
        "V3 > B1",
        "V3 > B4",  # B4 has B1's edit, and knows that it contains the second of V3.
        "T2 > B4",
        "T2 > B0",  # B0 has the second of V3, and sees that B1's is newer.
    ),
    3,
)

OFTEN_AHEAD: Final = Story(
    "a phone's edit descends from more than its settee peer knows it to have",
    (
        "B0 = 1",
        "T2 > B0",  # B0's first is what the phone believes B0 to have.
        "T2 > B1",
        "T2 = 2",
        "T2 = 3",
        "T2 = 4",
        "T2 > B1",
        "V3 > B1",
        "V3 > B0",  # B0 has the phone's fourth, by its version only.
        "T2 = 5",
        "T2 > B0",
    ),
    5,
)

HOLE: Final = Story(
    "an old revision is known as such though only its child's version was told",
    (
        "T2 = 1",
        "T2 > B0",
        "T4 > B0",
        "T2 = 2",
        "T2 > B0",
        "V3 > B0",
        "V3 > B1",  # B1 knows the version of the second only.
        "T4 > B1",
    ),
    2,
)

CROSSING_ROW: Final = Story(
    "a settee peer's row does not cross an edit of the same version, spelled lower",
    (
        *(f"B0 = {n}" for n in range(1, 9)),
        "V3 > B0",
        "V3 > B1",
        "T2 > B1",  # It has the eighth as 1-ff…, B0 as 8-ff….
        "T2 = 9",
        "T2 > B1",  # From now on it tells of its own 2-… only.
        "T2 > B0",
    ),
    9,
)

ONE_VERSION: Final = Story(
    "two settee peers give a phone's revision one version",
    (
        "T2 = 1",
        "T2 = 2",
        "T2 > B0",
        "T2 > B1",
        "V3 > B0",
        "V3 = 3",
        "V3 > B1",
    ),
    3,
)

READ_BACK: Final = Story(
    "a version is read back out of the name under which a phone carries it",
    (
        "V3 = 1",
        "V3 > B0",
        "T2 > B0",
        "V4 > V3",
        "T2 > B1",
        "V4 = 2",
        "V4 > B1",
    ),
    2,
)

PASSIVE_LEAF: Final = Story(
    "a passive phone takes the winner of another branch over its own",
    (
        "T1 = 1",
        "T1 = 2",
        *(f"B0 = {n}" for n in range(3, 8)),
        "B0 > T1",
    ),
    7,
    conflicts=1,
)

OTHER_BRANCH: Final = Story(
    "a phone that went on with another peer's branch is not refused for ever",
    (
        "T2 = 1",
        "B1 = 2",
        "T2 > B0",
        "B0 = 3",
        "T2 > B0",
        "B1 = 4",
        "T2 > B1",
    ),
    4,
    conflicts=None,
)

EACH_BELOW_THE_OTHER: Final = Story(
    "two settee peers don't put each other's revision below their own for ever",
    (
        "B1 = 1",
        "B1 > V4",
        "V3 = 2",
        "V3 > B0",
        "T2 > B0",
        "V4 > B0",
        "V4 > B0",  # B0 has put the second over the first,
        "T2 = 3",
        "T2 > B0",  # and the phone's third over both.
        "T2 > B1",  # B1 has the first, and sees the third.
    ),
    3,
    conflicts=None,
)

PRUNED: Final = Story(
    "a phone's revision is believed to be newer if its tree was pruned above ours",
    (
        "B0 = 1",
        "T2 > B0",
        "V3 > B0",
        "V3 > B1",
        *(f"T2 = {n}" for n in range(2, 30)),
        "T2 > B1",
    ),
    29,
)

DELETED_AND_MADE_ANEW: Final = Story(
    "a deletion and a document made anew come round between the families",
    (
        "V2 = 1",
        "V2 > B0",
        "B0 > T1",
        "T1 = deleted",
        "B0 > T1",
        "V2 > B0",
        "V2 = 2",
        "V2 > B0",
        "B0 > T1",
        "T1 = 3",
        "B0 > T1",
        "V2 > B0",
        "B0 = deleted",
        "V2 > B0",
    ),
    None,
)

STORIES: Final = (
    LIFTED,
    COURIER,
    OFTEN_AHEAD,
    HOLE,
    CROSSING_ROW,
    ONE_VERSION,
    READ_BACK,
    PASSIVE_LEAF,
    OTHER_BRANCH,
    EACH_BELOW_THE_OTHER,
    PRUNED,
    DELETED_AND_MADE_ANEW,
)
