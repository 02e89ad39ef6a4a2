"""Who is in a fleet, and who is linked to whom."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

SHAPES = ("star", "chain", "ring", "mesh", "random")
PEERS_MAX = 7
BRIDGES_MAX = 3
_EXTRA_LINKS = {"mesh": 0.8, "random": 0.3}


@dataclass(frozen=True)
class Fleet:
    """Kinds of the peers (T: 3.x, V: 4.x, B: settee), and links (active peer, passive peer)."""

    kinds: str
    links: tuple[tuple[int, int], ...]

    def name(self, index: int) -> str:
        return f"{self.kinds[index]}{index}"

    def __str__(self) -> str:
        return " ".join(f"{self.name(a)}>{self.name(b)}" for a, b in self.links)


def parse(text: str) -> Fleet:
    """Read a fleet written as its links, such as ``T1>B0 B0>V2``."""
    kinds: dict[int, str] = {}
    links = []
    for word in text.split():
        ends = []
        for name in word.split(">"):
            kinds[int(name[1:])] = name[0]
            ends.append(int(name[1:]))
        links.append((ends[0], ends[1]))
    return Fleet("".join(kinds[i] for i in range(len(kinds))), tuple(links))


def random_fleet(
    chance: random.Random,
    kinds: str,
    *,
    bridges_max: int = BRIDGES_MAX,
    linked: Callable[[str, str], bool],
) -> Fleet:
    """Make a connected fleet of 3 to 7 peers, of these kinds besides one to three settee peers.

    `linked`: whether two kinds may be linked at all. Without ``B`` in `kinds` there are no bridges.
    """
    bridges = chance.randint(1, bridges_max) if "B" in kinds else 0
    count = chance.randint(max(3, bridges + 1), PEERS_MAX)
    others = kinds.replace("B", "") or "B"
    made = "B" * bridges + "".join(chance.choice(others) for _ in range(count - bridges))

    def may(a: int, b: int) -> bool:
        return linked(made[a], made[b])

    shape = chance.choice(SHAPES)
    pairs: list[tuple[int, int]] = []
    if shape == "star":
        pairs = [(0, i) for i in range(1, count) if may(0, i)]
    joined = [0, *(b for _, b in pairs)]
    rest = [i for i in range(count) if i not in joined]
    chance.shuffle(rest)
    while rest:
        ends = joined[-1:] if shape in ("chain", "ring") else joined
        candidates = [(a, b) for a in ends for b in rest if may(a, b)]
        candidates = candidates or [(a, b) for a in joined for b in rest if may(a, b)]
        a, b = chance.choice(candidates)
        pairs.append((a, b))
        joined.append(b)
        rest.remove(b)
    if shape == "ring" and count > 2 and may(joined[0], joined[-1]):
        pairs.append((joined[0], joined[-1]))
    for a in range(count):
        for b in range(a):
            if may(a, b) and chance.random() < _EXTRA_LINKS.get(shape, 0):
                pairs.append((a, b))
    once = sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})
    return Fleet(made, tuple(pair if chance.random() < 0.5 else pair[::-1] for pair in once))
