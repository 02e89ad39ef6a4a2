"""Power cuts: workloads are recorded, disk images of every moment are made and opened.

An image is what one power cut may have left (`tests.crash.disk`). Each is opened by the real
`Database`, which has to find, without any repair:

- with ``durability="full"`` the state after the last commit that returned, or the one in flight;
  with ``"normal"`` the state after some commit: a whole prefix, checkpoints and marks included;
- a file that is sound (`integrity_check`), each blob that a row names whole, nothing staged;
- after `compact` exactly the blobs that rows name, and no other file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from settee.clock import InlineWorkers
from settee.db.database import Database
from settee.errors import SetteeError
from settee.ids import digest_bytes, digest_text
from settee.limits import BLOB_LEASE_S
from settee.store import Reader
from settee.store.copying import copy_database
from tests.crash import script, syncing
from tests.crash.disk import Disk, Entry, Image, Log
from tests.crash.recording import Recorder, recording, state_of
from tests.store.conftest import NOW_NS, FakeClock

RAM: Final = Path("/dev/shm")
STEPS: Final = 40
RESUMED_EACH: Final = 50
"""Of so many images of a sync one is let sync again, which takes ten times as long."""

Durability = Literal["full", "normal"]


class Found(Exception):
    """An image showed what must not be."""


class Recording(NamedTuple):
    """What one workload asked of the disk."""

    entries: list[Entry]
    states: dict[str, list[str]]
    durability: Durability
    seeds: dict[str, str]
    """Database -> the seed of its clock's chance, so that one made anew has the same names."""
    resumes: bool
    copies: dict[str, script.Contents]
    """Copy -> what it has to hold as soon as it is there."""


def ram() -> Path:
    """Return a fresh folder, in memory where there is such a place."""
    return Path(tempfile.mkdtemp(prefix="settee-crash-", dir=RAM if RAM.is_dir() else None))


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Give a folder that is thrown away."""
    place = ram()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


# --- workloads ------------------------------------------------------------------------------------


def _local(recorder: Recorder, seed: str, durability: Durability) -> dict[str, str]:
    """One database: saves, batches, blobs, deletions, purges, expiry, compaction."""
    place = recorder.root / "a.settee"
    chance = random.Random(seed)
    steps = script.script(seed, STEPS)
    sessions = chance.choice((1, 1, 3))
    for number in range(sessions):
        clock = FakeClock("a" if number == 0 else f"a{number}")
        db = Database._open(
            place,
            clock=clock,
            workers=InlineWorkers(),
            durability=durability,
            files=recorder.files,
        )
        recorder.opened(place, reader_of(db))
        share = steps[number * STEPS // sessions : (number + 1) * STEPS // sessions]
        for step in share:
            script.act(db, step)
        db.close()
    return {"a.settee": "a"}


def _copy(recorder: Recorder, seed: str, durability: Durability) -> dict[str, str]:
    """A database is copied, blobs included, and lives on."""
    place = recorder.root / "a.settee"
    steps = script.script(seed, 14)
    with Database._open(
        place,
        clock=FakeClock("a"),
        workers=InlineWorkers(),
        durability=durability,
        files=recorder.files,
    ) as db:
        recorder.opened(place, reader_of(db))
        for step in steps[:10]:
            script.act(db, step)
        recorder.copies["c.settee"] = script.contents(db)
        copy_database(place, recorder.root / "c.settee", clock=FakeClock("c"), files=recorder.files)
        recorder.log.mark("commit", "c.settee", 0)
        for step in steps[10:]:
            script.act(db, step)
    return {"a.settee": "a", "c.settee": "c"}


WORKLOADS: Final[dict[str, Callable[[Recorder, str, Durability], dict[str, str]]]] = {
    "local": _local,
    "copy": _copy,
    "sync": syncing.sync,
}


def record(workload: str, seed: str, durability: Durability) -> Recording:
    """Run a workload on a recorded disk."""
    pages = random.Random(f"pages {seed}").choice((2, 10, 40, 2000))
    with folder() as root, recording(root, log_pages=pages) as recorder:
        seeds = WORKLOADS[workload](recorder, seed, durability)
        return Recording(
            recorder.log.entries,
            recorder.states,
            durability,
            seeds,
            workload == "sync",
            recorder.copies,
        )


# --- images ---------------------------------------------------------------------------------------


class Tally:
    """What was done, and what was found."""

    def __init__(self) -> None:
        self.images = 0
        self.resumed = 0
        self.found: list[str] = []


def check_all(
    recording: Recording, name: str, *, each: int, tally: Tally, limit: int | None = None
) -> None:
    """Make `each` images of every moment of a recording and check them; `limit`: so many in all."""
    chance = random.Random(f"images {name}")
    disk = Disk()
    last: dict[str, int] = {}
    share = 1.0 if limit is None else limit / len(recording.entries) / each
    with folder() as place:
        for number, entry in enumerate(recording.entries):
            if entry[0] == "mark":
                last[entry[2]] = entry[3]
                continue
            disk.take(entry)
            if chance.random() >= share:
                continue
            for variant in range(each if disk.pending else 1):
                image = disk.image(chance)
                where = f"{name} entry={number} variant={variant}"
                check(recording, image, last, place / "disk", where, tally, chance)


def check(
    recording: Recording,
    image: Image,
    last: dict[str, int],
    place: Path,
    where: str,
    tally: Tally,
    chance: random.Random,
) -> None:
    """Open one image and note what is wrong with it."""
    tally.images += 1
    lay_out(image, place, chance)
    try:
        for name, states in recording.states.items():
            _check_database(recording, place / name, states, last.get(name, -1), chance, tally)
        for name, held in recording.copies.items():
            _check_copy(place / name, held, made=name in last)
        if recording.resumes and tally.images % RESUMED_EACH == 0:
            tally.resumed += 1
            syncing.resume(place)
    except Found as exc:
        tally.found.append(f"{where}: {exc}")
    except Exception as exc:
        tally.found.append(f"{where}: {type(exc).__name__}: {exc}")


def lay_out(image: Image, place: Path, chance: random.Random) -> None:
    """Write an image into a folder, with lock files as a cut leaves them: some there, some not."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for path in sorted(image):
        content = image[path]
        target = place / path
        if content is None:
            target.mkdir()
            if target.parent.name == "staging" and chance.random() < 0.5:
                target.with_suffix(".lock").touch()
        else:
            target.write_bytes(content)
            if target.parent.name == "blobs":
                os.utime(target, ns=(NOW_NS, NOW_NS))


def _check_database(
    recording: Recording,
    path: Path,
    states: list[str],
    last: int,
    chance: random.Random,
    tally: Tally,
) -> None:
    clock = FakeClock(recording.seeds[path.name])
    clock.advance(2 * BLOB_LEASE_S)  # What lies there is old enough to be removed.
    try:
        db = Database._open(
            path, clock=clock, workers=InlineWorkers(), durability=recording.durability
        )
    except SetteeError as exc:
        raise Found(f"{path.name} does not open: {type(exc).__name__}: {exc}") from exc
    try:
        reader = reader_of(db)
        state = state_of(reader)
        lowest = max(0, last) if recording.durability == "full" else 0
        if state not in states[lowest : last + 2]:
            old = [n for n, each in enumerate(states) if each == state]
            raise Found(f"{path.name} is in state {old or 'unknown'}, after commit {last}")
        sound = reader.rows("PRAGMA integrity_check")
        if sound != [("ok",)]:
            raise Found(f"{path.name} is damaged: {sound}")
        digests = {row[0] for row in reader.rows("SELECT DISTINCT digest FROM blob_refs")}
        blobs = path / "blobs"
        for digest in digests:
            _check_blob(blobs, digest)
        staging = blobs / "staging"
        if staging.exists() and os.listdir(staging):
            raise Found(f"staged files are left: {os.listdir(staging)}")
        db.compact()
        left = (set(os.listdir(blobs)) if blobs.exists() else set()) - {"staging"}
        if len(left) != len(digests):
            raise Found(f"compact left {len(left)} files for {len(digests)} blobs")
        if chance.random() < 0.02:
            _check_usable(db)
    except SetteeError as exc:
        raise Found(f"{path.name}: {type(exc).__name__}: {exc}") from exc
    finally:
        db.close()
    left = set(os.listdir(path)) - {"blobs", "db.sqlite3", "open", "sync.lock"}
    if left:
        raise Found(f"files are left: {sorted(left)}")


def _check_copy(path: Path, held: script.Contents, *, made: bool) -> None:
    """A copy is whole or not there; once `copy` returned, it is there."""
    if not path.exists():
        if made:
            raise Found(f"the copy {path.name} is gone")
        return
    with Database._open(path, clock=FakeClock("c"), workers=InlineWorkers(), create=False) as db:
        if script.contents(db) != held:
            raise Found(f"the copy {path.name} holds something else")
        problems = db.check()
        if problems:
            raise Found(f"the copy {path.name}: {problems[0]}")


def _check_blob(blobs: Path, digest: str) -> None:
    raw = digest_bytes(digest)
    assert raw is not None
    try:
        content = (blobs / raw.hex()).read_bytes()
    except FileNotFoundError:
        raise Found(f"the blob {digest} is missing") from None
    if digest_text(hashlib.sha1(content, usedforsecurity=False).digest()) != digest:
        raise Found(f"the blob {digest} has another content")


def _check_usable(db: Database) -> None:
    """Work goes on in what was left."""
    problems = db.check()
    if problems:
        raise Found(f"check says {problems[0]}")
    db.default_collection["after the cut"] = {"n": 1}
    if db.default_collection["after the cut"]["n"] != 1:
        raise Found("a save after the cut is not read")


# --- what the command runs ------------------------------------------------------------------------


def plan(number: int) -> tuple[str, str, Durability]:
    """Return (workload, seed, durability) of a run."""
    workload = ("local", "sync", "local", "copy", "local", "sync")[number % 6]
    durability: Durability = "normal" if number // 6 % 3 == 2 else "full"
    return workload, str(number), durability


def run(number: int, limit: int | None = None, each: int = 2) -> dict[str, Any]:
    """Record one workload and check `each` images of every moment of it; return figures."""
    workload, seed, durability = plan(number)
    tally = Tally()
    name = f"images run={number} ({workload}, {durability})"
    check_all(record(workload, seed, durability), name, each=each, tally=tally, limit=limit)
    return {
        "images": tally.images,
        "resumed": tally.resumed,
        "found": tally.found,
    }


def kept_whole(log: Log) -> dict[str, bytes]:
    """Return the files that a log's disk has when nothing is lost."""
    disk = Disk()
    for entry in log.entries:
        disk.take(entry)
    image = disk.image(random.Random(0), keeps=lambda number, kind: 1.0)
    return {path: content for path, content in image.items() if content is not None}


def reader_of(db: Database) -> Reader:
    """Return the connection that sees what the database holds now."""
    assert db._store._writer is not None
    return db._store._writer
