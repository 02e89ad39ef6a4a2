"""Devices that mirror the original's list, and an original that writes absolute numbers into it.

One seed gives one run. The sums that all must arrive at are told by adding up what was counted on
the devices and, for each number that the original wrote, its difference from the one it saw.
"""

from __future__ import annotations

import copy
import json
import random
from typing import Any, NamedTuple

from settee_inventory.model import item as items
from settee_inventory.model import mirror
from settee_inventory.model.item import State
from settee_inventory.model.mirror import Register
from settee_inventory.model.stamp import NEVER, Stamp
from tests.inventory.model.fleet import Device, Fleet

DEVICES = {"0" * 16}
"""The authors of devices here are small numbers."""

BLANK = {"@type": "blob", "digest": "sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "length": 1}


class Revision(NamedTuple):
    """A revision of the list document."""

    name: str
    body: dict[str, Any]
    ancestors: frozenset[str]


class Mirroring(Device):
    """A device that mirrors."""

    author = ""
    held: Revision | None = None

    def states(self) -> dict[str, State]:
        return {id: self.state(id) for id in self.documents}

    def __init__(self, name: str, skew_ms: int) -> None:
        super().__init__(name, skew_ms)
        self.registers: dict[str, Register] = {}

    def learn_some(self, other: Mirroring, chance: random.Random) -> None:
        """Take in some of what another has: documents travel one by one."""
        documents, registers = other.documents, other.registers
        other.documents = {id: each for id, each in documents.items() if chance.random() < 0.6}
        self.learn(other)
        other.documents = documents
        for actor, register in registers.items():
            if chance.random() < 0.6:
                self.register(actor, register)

    def register(self, actor: str, register: Register) -> None:
        known = self.registers.get(actor)
        self.registers[actor] = mirror.later(known, register) if known else register

    def book(self, *revisions: Revision | None) -> None:
        """Book what the original edited."""
        for revision in revisions:
            found = revision and mirror.edits(revision.body, revision.name, {}, DEVICES)
            if found:
                self.register(found.stamp.by, mirror.register_of(found))
                for id, edit in found.items.items():
                    held = self.state(id) if id in self.documents else None
                    self.store(id, mirror.applied(held, edit, found))
        for id, state in mirror.superseded(self.states(), self.registers).items():
            self.store(id, state)

    def work(self, world: Originals) -> None:
        """Book, and write the list anew if it is not what the items make."""
        self.book(self.held)
        over = self.held.name if self.held else ""
        body = mirror.mirror(self.states(), BLANK, self.author, over)
        if self.held is None or not mirror.is_same_list(body, self.held.body):
            self.held = world.revised(self.held, body, self.author)

    def take(self, other: Revision | None) -> None:
        """Meet another revision of the list."""
        mine = self.held
        if other is None or (mine and (other.name == mine.name or other.name in mine.ancestors)):
            return
        if mine is None or mine.name in other.ancestors:
            self.held = other
            return
        self.book(mine, other)
        stays = mirror.choose(mine.body, mine.name, other.body, other.name, {})
        won, lost = (mine, other) if stays else (other, mine)
        self.held = won._replace(ancestors=won.ancestors | lost.ancestors | {lost.name})


class Originals(Fleet):
    """Devices, of which all mirror, and one original that is of Couchbase Lite `version`."""

    def __init__(self, seed: int, names: str, version: int) -> None:
        super().__init__(seed, "", "ab")
        self.version = version
        self.heads = 0
        self.written = {"a": 0, "b": 0}
        self.devices: list[Device] = []
        for number, name in enumerate(names, start=1):
            device = Mirroring(name, self.chance.randint(-60_000, 60_000))
            device.author = f"{number:032x}"
            for id in "ab":
                device.store(id, items.new({"name": id}, 10, Stamp(NEVER, "seed")))
            self.devices.append(device)
        first = self.mirroring()
        first.work(self)
        assert first.held
        self.original = first.held
        self.unsent = False

    def mirroring(self) -> Mirroring:
        device = self.chance.choice(self.devices)
        assert isinstance(device, Mirroring)
        return device

    def revised(self, parent: Revision | None, body: dict[str, Any], author: str) -> Revision:
        """Return a new revision; `author`: "" for one that a revision tree names."""
        self.heads += 1
        self.now_ms += 1
        generation = 1 + (int(parent.name.partition("-")[0]) if parent else 0)
        digest = f"{self.heads:040x}"
        if author:
            digest = f"ff{self.now_ms * 1_000_000:016x}{author}"
        before = parent.ancestors | {parent.name} if parent else frozenset()
        return Revision(f"{generation}-{digest}", copy.deepcopy(body), before)

    def write(self) -> None:
        """Let the original write an absolute number over one that it sees."""
        body = copy.deepcopy(self.original.body)
        line = self.chance.choice(body["items"])
        number = self.chance.choice([10, self.chance.randint(0, 30)])
        self.written[line["key"]] += number - line["value"]
        line["value"] = number
        author = "f" * 32 if self.version == 4 else ""
        self.original = self.revised(self.original, body, author)
        self.unsent = True

    def visit(self) -> None:
        """Let a device and the original meet; an edit that the original has not sent stays."""
        device = self.mirroring()
        mine, theirs = self.original, device.held
        if theirs is None or theirs.name in mine.ancestors or theirs.name == mine.name:
            device.take(mine)
        elif mine.name in theirs.ancestors:
            self.original = theirs
        elif self.chance.random() < 0.5:  # The device resolves.
            device.take(mine)
            assert device.held
            self.original = device.held
        elif self.unsent:  # The original does: its edit on top of what came.
            higher = max(mine, theirs, key=lambda each: int(each.name.partition("-")[0]))
            author = "f" * 32 if self.version == 4 else ""
            made = self.revised(higher, mine.body, author)
            everything = mine.ancestors | theirs.ancestors | {mine.name, theirs.name}
            self.original = made._replace(ancestors=everything)
            device.take(self.original)
        else:
            device.take(mine)
            assert device.held
            self.original = device.held
        self.unsent = False

    def step(self) -> None:
        """Do one thing."""
        action = self.chance.randrange(6)
        if action == 0:
            self.edit(("plus", "minus"))
        elif action == 1:
            self.write()
        elif action == 2:
            self.visit()
        elif action == 3:
            self.mirroring().work(self)
        else:
            one, other = self.chance.sample(self.devices, 2)
            assert isinstance(one, Mirroring)
            assert isinstance(other, Mirroring)
            if action == 4:
                one.learn_some(other, self.chance)
            else:
                one.take(other.held)

    def finish(self) -> None:
        """Let all meet until they agree."""
        for _ in range(12):
            for device in self.devices:
                assert isinstance(device, Mirroring)
                mine, theirs = self.original, device.held
                if theirs is not None and mine.name in theirs.ancestors:
                    self.original = theirs
                else:
                    device.take(mine)
                device.work(self)
                for other in self.devices:
                    assert isinstance(other, Mirroring)
                    device.learn(other)
                    for actor, register in other.registers.items():
                        device.register(actor, register)

    def wanted(self, id: str) -> int:
        return self.right(id) + self.written[id]

    def shown(self) -> dict[str, int]:
        """Return what the original shows."""
        return {line["key"]: line["value"] for line in self.original.body["items"]}

    def told(self) -> str:
        return json.dumps(self.original.body, sort_keys=True)
