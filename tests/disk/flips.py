"""Flips bits in a database's files and looks what comes of it.

``python -m tests.disk.flips DIRECTORY COUNT``

Runs in a process of its own, so that a crash is seen as one. Prints one line of JSON: for each kind
of place how often each outcome came, and every outcome that must not be.

``told``: an error of settee's tree. ``same``: correct data. ``earlier``: the data after an earlier
commit (a damaged log ends at its last whole commit). ``noticed``: other data, and `check` says so.
``unseen``: other data, valid in itself; only inside the content of a row, which has no checksum.
"""

from __future__ import annotations

import collections
import json
import random
import shutil
import sys
import traceback
from pathlib import Path
from typing import Any

from settee import Blob, Database, SetteeError, StoreError

KINDS = ("header", "page", "wal", "blob")
HEADER_BYTES = 100


def contents(db: Database) -> dict[str, dict[str, Any]]:
    return {
        each.full_name: {
            document.id: {
                key: value.read() if isinstance(value, Blob) else value
                for key, value in document.items()
            }
            for document in each.documents()
        }
        for each in db.collections()
    }


def build(directory: Path) -> list[dict[str, Any]]:
    """Make ``closed.settee`` and ``open.settee``, the same with commits in its log only."""
    states = []
    with Database("made", directory=directory, durability="memory") as db:
        states.append(contents(db))
        for name in ("good.items", "bad.items"):
            items = db.collection(name, create=True)
            states.append(contents(db))
            items.save_many((f"item-{n:03}", {"n": n, "text": "text " * 30}) for n in range(120))
            states.append(contents(db))
            for n in range(0, 40, 8):
                items[f"item-{n:03}"] = {"n": -n, "image": Blob.from_bytes(b"%d" % n * 3000)}
                states.append(contents(db))
            items.delete("item-100")
            states.append(contents(db))
        for path in (directory / "made.settee").iterdir():
            if path.name.startswith("db.sqlite3") and not path.name.endswith("-shm"):
                (directory / "open.settee").mkdir(exist_ok=True)
                shutil.copy(path, directory / "open.settee" / path.name)
        shutil.copytree(
            directory / "made.settee/blobs",
            directory / "open.settee/blobs",
            ignore=shutil.ignore_patterns("staging"),
        )
    (directory / "made.settee").rename(directory / "closed.settee")
    assert (directory / "open.settee/db.sqlite3-wal").stat().st_size > 50_000
    return states


def damage(place: Path, kind: str, chance: random.Random) -> None:
    if kind == "blob":
        path = chance.choice(sorted(each for each in (place / "blobs").iterdir() if each.is_file()))
    else:
        path = place / ("db.sqlite3-wal" if kind == "wal" else "db.sqlite3")
    raw = bytearray(path.read_bytes())
    first, last = {"header": (0, HEADER_BYTES), "page": (HEADER_BYTES, len(raw))}.get(
        kind, (0, len(raw))
    )
    at = chance.randrange(first, last)
    for offset in range(chance.choice((1, 1, 4, 16, 512))):
        if at + offset < last:
            raw[at + offset] ^= chance.randrange(1, 256)
    path.write_bytes(raw)


def outcome(place: Path, kind: str, states: list[dict[str, Any]]) -> str:
    try:
        with Database(place, create=False, durability="memory") as db:
            try:
                found = contents(db)
            except StoreError:
                good_is_whole(db, states[-1]["good.items"])
                return "told"
            if found == states[-1]:
                return "same"
            if kind == "wal" and found in states:
                return "earlier"
            return "noticed" if db.check() else "unseen"
    except SetteeError as exc:
        return "told" if isinstance(exc, StoreError) else f"bug: {type(exc).__name__}: {exc}"
    except Exception:
        return f"bug: {traceback.format_exc()}"


def good_is_whole(db: Database, expected: dict[str, Any]) -> None:
    """Beside a damaged collection, one on whole pages can be read: all of it, or an error."""
    try:
        found = {document.id for document in db.collection("good.items").documents()}
    except SetteeError:
        return
    assert len(found) == len(expected)


def main() -> None:
    directory, count = Path(sys.argv[1]), int(sys.argv[2])
    states = build(directory)
    counts: dict[str, collections.Counter[str]] = {kind: collections.Counter() for kind in KINDS}
    bugs = []
    for seed in range(count):
        kind = KINDS[seed % len(KINDS)]
        place = directory / "flipped.settee"
        shutil.rmtree(place, ignore_errors=True)
        whole = "open.settee" if kind == "wal" else "closed.settee"
        shutil.copytree(directory / whole, place)
        damage(place, kind, random.Random(seed))
        found = outcome(place, kind, states)
        if found.startswith("bug"):
            bugs.append(f"seed {seed}, {kind}: {found}")
            found = "bug"
        counts[kind][found] += 1
    print(json.dumps({"counts": counts, "bugs": bugs}))


if __name__ == "__main__":
    main()
