"""Blind mutations of seeds, for where there is no coverage to go by, and for the quick tests."""

from __future__ import annotations

import random
from collections.abc import Sequence

__all__ = ["mutated"]

_VALUES = (0x00, 0x01, 0x7F, 0x80, 0xFF, 0x22, 0x5B, 0x7B, 0x2C)


def mutated(chance: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Return one of the seeds, changed in a few places."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        at = chance.randrange(len(data) + 1)
        how = chance.randrange(6)
        if how == 0:
            data[at : at + chance.randrange(1, 9)] = b""
        elif how == 1:
            data[at:at] = chance.randbytes(chance.randrange(1, 9))
        elif how == 2:
            other = chance.choice(seeds)
            cut = chance.randrange(len(other) + 1)
            data[at:] = other[cut : cut + 2048]
        elif how == 3:
            data[at:at] = data[at : at + chance.randrange(1, 65)] * chance.randrange(1, 5)
        elif data and how == 4:
            data[at % len(data)] = chance.choice(_VALUES)
        elif data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
    return bytes(data[:16384])
