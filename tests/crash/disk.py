"""What a disk may hold after a power cut: a log of what was asked of it, and images made of that.

The model is the strict one. The content of a file is durable as of its last sync; a name (made,
changed, removed) is durable once its folder was synced. Of everything since, a cut may have kept
nothing, all, a part in order, or any part: each write and each 512 bytes of a write by itself. Only
this is taken for granted: a rename is one step, and bytes that nobody wrote stay what they were.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

SECTOR: Final = 512
ROOT_NODE: Final = 0

FILE, FOLDER = "file", "folder"
_NOISE: Final = random.Random("noise").randbytes(SECTOR)

Entry = tuple[Any, ...]
"""(kind, …): see `Log`."""

Image = dict[str, "bytes | None"]
"""Path, with "/", to a file's content, or None for a folder."""


class Log:
    """Everything asked of the disk below one folder, in order, and where its files are now."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._next = ROOT_NODE + 1
        self._names: dict[tuple[int, str], int] = {}

    def node(self, path: str) -> int | None:
        """Return what a path names, None if nothing."""
        at: int | None = ROOT_NODE
        for part in path.split("/") if path else ():
            at = self._names.get((at or 0, part))
            if at is None:
                return None
        return at

    def _place(self, path: str) -> tuple[int, str]:
        folder, _, name = path.rpartition("/")
        return self.folder(folder), name

    def folder(self, path: str) -> int:
        """Return a folder, noted as made now if it was not known."""
        known = self.node(path)
        return self.make(path, FOLDER) if known is None else known

    def make(self, path: str, kind: str = FILE) -> int:
        """Note a new file or folder."""
        parent, name = self._place(path)
        node, self._next = self._next, self._next + 1
        self._names[parent, name] = node
        self.entries.append(("make", kind, node, parent, name))
        return node

    def write(self, node: int, offset: int, data: bytes) -> None:
        self.entries.append(("write", node, offset, data))

    def truncate(self, node: int, size: int) -> None:
        self.entries.append(("size", node, size))

    def sync(self, node: int) -> None:
        self.entries.append(("sync", node))

    def sync_folder(self, path: str) -> None:
        self.entries.append(("sync folder", self.folder(path)))

    def link(self, path: str, target: str) -> None:
        node = self.node(path)
        assert node is not None, path
        parent, name = self._place(target)
        self._names[parent, name] = node
        self.entries.append(("link", node, parent, name))

    def rename(self, path: str, target: str) -> None:
        old, new = self._place(path), self._place(target)
        node = self._names.pop(old)
        self._names[new] = node
        self.entries.append(("rename", node, *old, *new))

    def remove(self, path: str) -> None:
        """Note that a name is gone, with all below it."""
        node = self.node(path)
        if node is None:
            return
        for parent, name in list(self._names):
            if parent == node:
                self.remove(f"{path}/{name}")
        parent, name = self._place(path)
        del self._names[parent, name]
        self.entries.append(("remove", parent, name))

    def mark(self, *what: object) -> None:
        """Note something that is not the disk's: a commit, an answer to a caller."""
        self.entries.append(("mark", *what))


class _Op(NamedTuple):
    number: int
    entry: Entry


class Disk:
    """The disk as of some entry of a log: what is durable, and what is not yet."""

    def __init__(self) -> None:
        self._files: dict[int, bytearray] = {}
        self._kinds: dict[int, str] = {ROOT_NODE: FOLDER}
        self._names: dict[tuple[int, str], int] = {}
        self._content: dict[int, list[_Op]] = {}
        self._renames: list[_Op] = []
        self._count = 0

    def take(self, entry: Entry) -> None:
        """Go one entry on."""
        self._count += 1
        op = _Op(self._count, entry)
        match entry:
            case ("write" | "size", node, *_):
                self._content.setdefault(node, []).append(op)
            case ("sync", node):
                for _, pending in self._content.pop(node, ()):
                    _apply(self._files[node], pending)
            case ("make", kind, node, *_):
                self._kinds[node] = kind
                if kind == FILE:
                    self._files[node] = bytearray()
                self._renames.append(op)
            case ("link" | "rename" | "remove", *_):
                self._renames.append(op)
            case ("sync folder", node):
                kept = []
                for each in self._renames:
                    if node in _folders(each.entry):
                        _rename(self._names, each.entry)
                    else:
                        kept.append(each)
                self._renames = kept

    @property
    def pending(self) -> int:
        """How many steps are not durable."""
        return len(self._renames) + sum(map(len, self._content.values()))

    def image(self, chance: random.Random, keeps: Keeps | None = None) -> Image:
        """Return what may be there after a power cut now; `keeps` chooses instead of chance."""
        keeps = keeps or _policy(chance, self._count)
        names = dict(self._names)
        for op in self._renames:
            if keeps(op.number, "name") is not None:
                _rename(names, op.entry)
        image: Image = {}
        children: dict[int, list[tuple[str, int]]] = {}
        for (parent, name), node in names.items():
            children.setdefault(parent, []).append((name, node))
        self._fill(image, children, ROOT_NODE, "", keeps, chance)
        return image

    def _fill(
        self,
        image: Image,
        children: dict[int, list[tuple[str, int]]],
        folder: int,
        path: str,
        keeps: Keeps,
        chance: random.Random,
    ) -> None:
        for name, node in children.get(folder, ()):
            where = f"{path}{name}"
            if self._kinds[node] == FOLDER:
                image[where] = None
                self._fill(image, children, node, where + "/", keeps, chance)
                continue
            whole = self._files[node]
            pending = self._content.get(node)
            if pending:
                whole = bytearray(whole)
                for op in pending:
                    kept = keeps(op.number, op.entry[0])
                    if kept is not None:
                        _apply(whole, op.entry, kept, chance)
            image[where] = bytes(whole)


Keeps = Callable[[int, str], "float | None"]
"""(number of the step, its kind) -> None if the cut lost it, else how much of a write is kept: 1.0
all, between 0 and 1 each sector by chance, below 0 its beginning only."""


def _policy(chance: random.Random, count: int) -> Keeps:
    """Choose what a cut keeps."""
    roll = chance.random()
    if roll < 0.06:
        return lambda number, kind: None
    if roll < 0.12:
        return lambda number, kind: 1.0
    if roll < 0.20:
        return lambda number, kind: 1.0 if kind == "name" else None
    if roll < 0.28:
        return lambda number, kind: None if kind == "name" else 1.0
    if roll < 0.50:  # In order, up to some step, which is torn.
        last = count - int(chance.expovariate(0.2))

        def in_order(number: int, kind: str) -> float | None:
            if number > last:
                return None
            return -chance.random() if number == last else 1.0

        return in_order
    share, torn = chance.choice((0.1, 0.5, 0.9)), chance.choice((0.0, 0.2, 0.8))

    def some(number: int, kind: str) -> float | None:
        if chance.random() >= share:
            return None
        return chance.choice((0.5, 0.9, -0.5)) if chance.random() < torn else 1.0

    return some


def _apply(
    whole: bytearray, entry: Entry, kept: float = 1.0, chance: random.Random | None = None
) -> None:
    if entry[0] == "size":
        size = entry[2]
        del whole[size:]
        whole.extend(bytes(size - len(whole)))
        return
    _, _, offset, data = entry
    end = offset + len(data)
    if kept == 1.0 or chance is None:
        whole.extend(bytes(max(0, offset - len(whole))))
        whole[offset:end] = data
        return
    if chance.random() < 0.5 and end > len(whole):  # The file grew, but for what was written.
        hole = end - len(whole)
        rubbish = chance.random() < 0.5
        whole.extend((_NOISE * (hole // SECTOR + 1))[:hole] if rubbish else bytes(hole))
    limit = offset + len(data) * -kept if kept < 0 else end
    for first, last in _sectors(offset, end):
        if (first < limit) if kept < 0 else (chance.random() < kept):
            whole.extend(bytes(max(0, first - len(whole))))
            whole[first:last] = data[first - offset : last - offset]


def _sectors(first: int, end: int) -> Iterator[tuple[int, int]]:
    while first < end:
        last = min(end, (first // SECTOR + 1) * SECTOR)
        yield first, last
        first = last


def _folders(entry: Entry) -> tuple[int, ...]:
    match entry:
        case ("make", _, _, parent, _) | ("link", _, parent, _) | ("remove", parent, _):
            return (parent,)
        case ("rename", _, parent, _, parent2, _):
            return (parent, parent2)
    raise AssertionError(entry)


def _rename(names: dict[tuple[int, str], int], entry: Entry) -> None:
    """Carry out a change of names; one that no longer fits has no effect."""
    match entry:
        case ("make", _, node, parent, name) | ("link", node, parent, name):
            names[parent, name] = node
        case ("remove", parent, name):
            names.pop((parent, name), None)
        case ("rename", node, parent, name, parent2, name2):
            if names.get((parent, name)) == node:
                del names[parent, name]
            names[parent2, name2] = node
