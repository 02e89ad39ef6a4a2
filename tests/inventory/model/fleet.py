"""Devices that edit and meet in random order, and the sums that they must arrive at.

One seed gives one run. Clocks are up to a minute wrong, each in its own way. What is right is told
by replaying all edits in order of their stamps, which knows nothing of merging.
"""

from __future__ import annotations

import json
import random

from settee_inventory.model import item as items
from settee_inventory.model import quantity as counters
from settee_inventory.model.item import State

PLUS, MINUS, SET = "plus", "minus", "set"


class Device:
    """One device: its copies of the documents, as text, and a clock of its own."""

    def __init__(self, name: str, skew_ms: int) -> None:
        self.name = name
        self.skew_ms = skew_ms
        self.documents: dict[str, str] = {}

    def state(self, id: str) -> State:
        return items.read(json.loads(self.documents[id]))

    def store(self, id: str, state: State) -> None:
        self.documents[id] = json.dumps(items.write(state))

    def total(self, id: str) -> int:
        return counters.total(self.state(id).quantity)

    def learn(self, other: Device) -> None:
        """Take in all that another device has."""
        for id, text in other.documents.items():
            mine = self.documents.get(id)
            if mine is None:
                self.documents[id] = text
            elif mine != text:
                merged = items.merged(self.state(id), items.read(json.loads(text)))
                self.store(id, merged)


class Fleet:
    """Devices with the same items, in a world whose time only rises."""

    def __init__(self, seed: int, names: str, ids: str = "ab") -> None:
        self.chance = random.Random(seed)
        self.now_ms = 1_800_000_000_000
        self.devices = [Device(name, self.chance.randint(-60_000, 60_000)) for name in names]
        self.edits: dict[str, list[tuple[tuple[str, str], str, int]]] = {id: [] for id in ids}
        seeded = items.Stamp("0" * 16, "seed")
        for device in self.devices:
            for id in ids:
                device.store(id, items.new({"name": id}, 10, seeded))

    def edit(self, kinds: tuple[str, ...] = (PLUS, MINUS, SET)) -> None:
        """Let some device edit some item."""
        device, kind = self.chance.choice(self.devices), self.chance.choice(kinds)
        id, value = self.chance.choice(sorted(self.edits)), self.chance.randint(0, 9)
        self.now_ms += self.chance.choice([0, 0, 1, 5_000])
        state = device.state(id)
        stamp = items.stamped(state, self.now_ms + device.skew_ms, device.name)
        if kind == SET:
            device.store(id, items.set_quantity(state, value, stamp))
        else:
            value = -value if kind == MINUS else value
            device.store(id, items.count(state, value, stamp))
        self.edits[id].append((stamp, kind, value))

    def meet(self, group: list[Device]) -> None:
        """Let two devices of a group that can reach each other meet, in one direction or both."""
        if len(group) > 1:
            one, other = self.chance.sample(group, 2)
            one.learn(other)
            if self.chance.random() < 0.5:
                other.learn(one)

    def partition(self) -> list[list[Device]]:
        """Cut the devices into groups that can't reach each other."""
        groups: list[list[Device]] = [[] for _ in range(self.chance.randint(1, len(self.devices)))]
        for device in self.devices:
            self.chance.choice(groups).append(device)
        return groups

    def settle(self) -> None:
        """Let all meet, in random order, until nobody learns anything."""
        while len({json.dumps(device.documents, sort_keys=True) for device in self.devices}) > 1:
            self.meet(self.devices)

    def right(self, id: str) -> int:
        """Return what the quantity has to be."""
        value = 10
        for _, kind, by in sorted(self.edits[id]):
            value = by if kind == SET else value + by
        return value
