"""What keeps replication fast: how much is done for 1,000 documents, counted and never timed.

`python -m benchmarks` has the figures. These fail when somebody does for each document what was
done for a batch. Real stores, both ends in one process on virtual time, so the counts are the same
on every machine. One slow test compares CPU with that of a fixed workload.
"""

from __future__ import annotations

import gc
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import orjson
import pytest

from benchmarks.local import BareApsw
from benchmarks.peers import documents
from settee import Blob
from settee.limits import COMPRESSION_LEVEL
from settee.peer.driver import SessionDriver
from settee.store.blobs import BlobStore
from settee.store.connection import PAGE_BYTES, Reader
from settee.store.writer import Writer
from tests.simulation.world import World, world

COUNT = 1000
BODY_BYTES = 210
CHANGED = 100
BLOBS = 100
BLOB_BYTES = 100_000


class Counts(NamedTuple):
    """What happened since the last look, at both peers together."""

    frames: int
    frame_bytes: int
    statements: int
    commits: int
    pages: int
    """Written into the logs."""
    steps: int
    """Of sessions."""
    puts: int
    """Times that blobs were made durable."""


class Counter:
    """Counts from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._statements = self._commits = self._frames = self._frame_bytes = 0
        self._steps = self._puts = 0
        self._connections: list[apsw.Connection] = []
        self._before = Counts(0, 0, 0, 0, 0, 0, 0)
        monkeypatch.setattr(apsw, "connection_hooks", [self._connections.append])
        for owner, name, what in (
            (Reader, "rows", "_statements"),
            (Reader, "run", "_statements"),
            (Writer, "commit", "_commits"),
            (SessionDriver, "_after", "_steps"),
            (BlobStore, "put_many", "_puts"),
        ):
            monkeypatch.setattr(owner, name, self._counting(getattr(owner, name), what))

    def _counting(self, call: Callable[..., Any], what: str) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            setattr(self, what, getattr(self, what) + 1)
            return call(*arguments, **options)

        return counted

    def watch(self, w: World) -> None:
        traced = w.traced

        def seen(label: str, frame: bytes) -> None:
            self._frames += 1
            self._frame_bytes += len(frame)
            traced(label, frame)

        w.traced = seen  # type: ignore[method-assign]

    def since(self) -> Counts:
        pages = sum(
            connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)[0]
            for connection in self._connections
        )
        now = Counts(
            self._frames,
            self._frame_bytes,
            self._statements,
            self._commits,
            pages,
            self._steps,
            self._puts,
        )
        counts = Counts(*(a - b for a, b in zip(now, self._before, strict=True)))
        self._before = now
        return counts


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    return Counter(monkeypatch)


@pytest.fixture
def both(tmp_path: Path, counter: Counter) -> Iterator[World]:
    with world(tmp_path, 1) as w:
        counter.watch(w)
        w.peer("active")
        w.peer("passive")
        yield w


def moved(w: World, counter: Counter, way: str) -> Counts:
    """Replicate once, one way; return what it took."""
    counter.since()
    w.sync(w.peers["active"].dial(w.peers["passive"], replicator_type=way))
    assert len(w.peers["active"].db.default_collection) == COUNT
    assert len(w.peers["passive"].db.default_collection) == COUNT
    return counter.since()


@pytest.mark.parametrize("way", ["push", "pull"])
def test_a_thousand_documents_take_few_frames_statements_commits_and_pages(
    both: World, counter: Counter, way: str
) -> None:
    source = both.peers["active" if way == "push" else "passive"]
    source.db.default_collection.save_many(documents("small", range(COUNT), BODY_BYTES))
    new = moved(both, counter, way)
    # A `rev` and its answer for each, offers by the hundred, the checkpoint: nothing else.
    assert new.frames <= 2 * COUNT + 40, new
    assert new.frame_bytes <= 150 * COUNT, new
    assert new.statements <= COUNT // 3, new
    assert new.commits <= COUNT // 40, new
    assert new.pages * PAGE_BYTES <= 1600 * COUNT, new


@pytest.mark.parametrize("way", ["push", "pull"])
def test_blobs_are_fetched_answered_and_made_durable_many_together(
    both: World, counter: Counter, way: str
) -> None:
    source = both.peers["active" if way == "push" else "passive"]
    contents = [number.to_bytes(4, "big") * (BLOB_BYTES // 4) for number in range(BLOBS)]
    source.db.default_collection.save_many(
        (f"d{number}", {"image": Blob.from_bytes(content, "image/jpeg")})
        for number, content in enumerate(contents)
    )
    counter.since()
    both.sync(both.peers["active"].dial(both.peers["passive"], replicator_type=way))
    new = counter.since()
    # Two frames each, and what is said about them.
    assert new.frames <= 6 * BLOBS, new
    assert new.steps <= 4 * BLOBS, new
    # Blobs come whole, one after the other, and a disk that takes no time waits for none: with a
    # real one more of them share a batch.
    assert new.puts <= BLOBS // 5, new
    assert new.statements <= 4 * BLOBS, new
    assert new.commits <= BLOBS // 2, new
    assert new.pages <= 2 * BLOBS, new


@pytest.mark.parametrize("way", ["push", "pull"])
def test_with_nothing_to_do_no_document_is_looked_at(
    both: World, counter: Counter, way: str
) -> None:
    source = both.peers["active" if way == "push" else "passive"]
    source.db.default_collection.save_many(documents("small", range(COUNT), BODY_BYTES))
    moved(both, counter, way)
    idle = moved(both, counter, way)
    assert idle.frames <= 6, idle
    assert idle.frame_bytes <= 500, idle
    assert idle.statements <= 32, idle
    assert idle.commits <= 1, idle


@pytest.mark.parametrize("way", ["push", "pull"])
def test_a_hundred_changed_documents_take_few_frames_statements_and_commits(
    both: World, counter: Counter, way: str
) -> None:
    source = both.peers["active" if way == "push" else "passive"]
    items = list(documents("small", range(COUNT), BODY_BYTES))
    source.db.default_collection.save_many(items)
    moved(both, counter, way)
    source.db.default_collection.save_many((id, {**body, "n": 1}) for id, body in items[:CHANGED])
    changed = moved(both, counter, way)
    assert changed.frames <= 2 * CHANGED + 15, changed
    assert changed.frame_bytes <= 180 * CHANGED, changed
    assert changed.statements <= CHANGED + 10, changed
    assert changed.commits <= 8, changed


def calls(work: Callable[[], object]) -> int:
    """Return how many functions written in Python were called."""
    count = 0

    def seen(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("way", ["push", "pull"])
def test_few_functions_are_called_for_each_document_and_each_edit(both: World, way: str) -> None:
    """Both ends together; 124 for a new document and 226 for an edit, before batches."""
    active, passive = both.peers["active"], both.peers["passive"]
    source = (active if way == "push" else passive).db.default_collection
    items = list(documents("small", range(COUNT), BODY_BYTES))
    source.save_many(items)
    new = calls(lambda: both.sync(active.dial(passive, replicator_type=way)))
    source.save_many((id, {**body, "n": 1}) for id, body in items)
    edits = calls(lambda: both.sync(active.dial(passive, replicator_type=way)))
    assert new <= 82 * COUNT, new
    assert edits <= 115 * COUNT, edits


# --- CPU beside a fixed workload ------------------------------------------------------------------


def cpu_s(call: Callable[[], object]) -> float:
    gc.collect()
    began_s = time.process_time()
    call()
    return time.process_time() - began_s


def fixed_work(directory: Path) -> None:
    """What any replication of these documents has to do: parse, deflate, inflate, check, store."""
    bare = BareApsw(directory)
    deflater = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, -15)
    inflater = zlib.decompressobj(-15)
    rows = []
    for doc_id, body in documents("small", range(COUNT), BODY_BYTES):
        piece = deflater.compress(orjson.dumps(body)) + deflater.flush(zlib.Z_SYNC_FLUSH)
        zlib.crc32(piece)
        text = inflater.decompress(piece)
        orjson.loads(text)
        rows.append((doc_id, text.decode()))
    bare.save_texts(rows)
    bare.close()


@pytest.mark.slow
def test_cpu_stays_within_a_few_times_that_of_a_fixed_workload(tmp_path: Path) -> None:
    """Moves 1,000 documents five times, A B A B, and compares the best of each."""
    ours, fixed = [], []
    for turn in range(5):
        place = tmp_path / str(turn)
        (place / "fixed").mkdir(parents=True)
        fixed.append(cpu_s(lambda place=place: fixed_work(place / "fixed")))  # type: ignore[misc]
        with world(place, turn) as w:
            active, passive = w.peer("active"), w.peer("passive")
            active.db.default_collection.save_many(documents("small", range(COUNT), BODY_BYTES))
            push = active.dial(passive, replicator_type="push")
            ours.append(cpu_s(lambda w=w, push=push: w.sync(push)))  # type: ignore[misc]
            assert len(passive.db.default_collection) == COUNT
    assert min(ours) < 10 * min(fixed), (ours, fixed)
