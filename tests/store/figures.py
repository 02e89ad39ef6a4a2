"""Measures the store: ``python -m tests.store.figures [blobs|rows]``.

What docs/adr/0003-blob-layout.md and the targets of the hot paths are read from. Best of several,
on the disk of the working directory (a memory file system would say nothing about fsync).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import apsw

from settee.clock import SystemClock, ThreadWorkers
from settee.doc.records import ConflictPolicy, RevisionIn
from settee.store import Store, documents, feed, marks, revisions
from settee.store.documents import Edit

BLOB_BYTES = 100 * 1024
BODY = b'{"name":"' + b"x" * 166 + b'","type":"person","age":31}'
DOCUMENT_COUNT = 50_000
SOURCE_HEX = "500c38dd236d4fe29faf678581ee5b2b"


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="figures-", dir="."))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _store() -> Iterator[Store]:
    with (
        _folder() as folder,
        Store.open(folder / "x.settee", clock=SystemClock(), workers=ThreadWorkers()) as store,
    ):
        yield store


def _say(name: str, figure: float, unit: str) -> None:
    print(f"{name:<58}{figure:>10,.2f} {unit}", flush=True)


# --- blobs --------------------------------------------------------------------------------------


def _files(folder: Path, data: bytes, count: int, batch: int, side_by_side: int) -> None:
    def sync(path: Path) -> None:
        fd = os.open(path, os.O_RDWR)
        os.fsync(fd)
        os.close(fd)

    names = os.open(folder, os.O_RDONLY)
    with ThreadPoolExecutor(side_by_side) as pool:
        for start in range(0, count, batch):
            paths = [folder / f"{start + i}.new" for i in range(batch)]
            for path in paths:
                path.write_bytes(data)
            list(pool.map(sync, paths)) if side_by_side > 1 else [sync(path) for path in paths]
            for path in paths:
                path.rename(path.with_suffix(""))
            os.fsync(names)
    os.close(names)


def _pack(folder: Path, data: bytes, count: int, batch: int) -> None:
    fd = os.open(folder / "pack", os.O_CREAT | os.O_RDWR | os.O_APPEND)
    for _ in range(0, count, batch):
        for _ in range(batch):
            os.write(fd, data)
        os.fdatasync(fd)
    os.close(fd)


def _in_sqlite(folder: Path, data: bytes, count: int, batch: int) -> None:
    connection = apsw.Connection(str(folder / "blobs.sqlite3"))
    for sql in ("journal_mode = WAL", "synchronous = FULL", "page_size = 8192"):
        connection.execute(f"PRAGMA {sql}").fetchall()
    connection.execute("CREATE TABLE blobs(digest BLOB PRIMARY KEY, body BLOB)")
    for _ in range(0, count, batch):
        with connection:
            for _ in range(batch):
                connection.execute("INSERT INTO blobs VALUES (?, ?)", (os.urandom(20), data))
    connection.close()


def _through_the_store(count: int, batch: int, data: bytes) -> float:
    with _store() as store:
        began = time.perf_counter()
        for start in range(0, count, batch):
            staged = []
            for i in range(batch):
                with store.blobs.writer() as writer:
                    writer.write(b"%8d" % (start + i))
                    writer.write(data)
                    staged.append(writer.finish())
            store.blobs.put_many(staged)
        return count / (time.perf_counter() - began)


def blobs() -> None:
    """Compare the layouts."""
    data = os.urandom(BLOB_BYTES)
    for batch in (1, 20, 100):
        count = 200 if batch == 1 else 500
        layouts: dict[str, Callable[[Path, bytes, int, int], None]] = {
            "a file each, synced one by one": partial(_files, side_by_side=1),
            "a file each, 4 synced side by side": partial(_files, side_by_side=4),
            "a file each, 8 synced side by side": partial(_files, side_by_side=8),
            "appended to a pack": _pack,
            "rows in SQLite": _in_sqlite,
        }
        for name, layout in layouts.items():
            best = 0.0
            for _ in range(3):
                with _folder() as folder:
                    began = time.perf_counter()
                    layout(folder, data, count, batch)
                    best = max(best, count / (time.perf_counter() - began))
            _say(f"batches of {batch}: {name}", best, "blobs/s")
        best = max(_through_the_store(count, batch, data) for _ in range(3))
        _say(f"batches of {batch}: BlobStore, digests included", best, "blobs/s")


# --- rows ---------------------------------------------------------------------------------------


def _best_us(work: Callable[[], object], number: int) -> float:
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(number):
            work()
        best = min(best, (time.perf_counter() - began) / number)
    return best * 1e6


def _apply_all(name: str, items: list[RevisionIn], batch: int) -> None:
    with _store() as store:
        remote = store.write(lambda w: marks.remote_id(w, "remote"))
        began, cpu = time.perf_counter(), time.process_time()
        futures = []
        for start in range(0, len(items), batch):
            part = items[start : start + batch]
            futures.append(
                store.submit(
                    lambda w, part=part: revisions.apply(
                        w, 1, part, remote=remote, policy=ConflictPolicy.RESOLVE
                    )
                )
            )
            if len(futures) > 1:
                futures.pop(0).result()
        futures[0].result()
        took = (time.perf_counter() - began) / len(items) * 1e6
        _say(f"apply, {name}, batches of {batch}", took, "us each")
        _say("  of this CPU", (time.process_time() - cpu) / len(items) * 1e6, "us each")


def rows() -> None:
    """Measure the hot paths, `durability="full"`."""
    native = ["1-" + hashlib.sha1(b"%d" % i).hexdigest() for i in range(DOCUMENT_COUNT)]
    derived = [f"1-ff18ea99bb{i:08x}{SOURCE_HEX}" for i in range(DOCUMENT_COUNT)]

    def item(doc_id: str, tid: str, history: str = "") -> RevisionIn:
        return RevisionIn(doc_id, tid, history, False, BODY, "", ())

    names = [f"doc-{i:07d}" for i in range(DOCUMENT_COUNT)]
    _apply_all("derived names", [item(*pair) for pair in zip(names, derived, strict=True)], 1000)
    _apply_all("native names", [item(*pair) for pair in zip(names, native, strict=True)], 500)
    _apply_all("native names, random IDs", [item(tid[2:24], tid) for tid in native], 500)
    children = [f"3-{tid[2:]}" for tid in native]
    pairs = zip(names, children, strict=True)
    _apply_all("two ancestors", [item(*pair, "2-bb,1-aa") for pair in pairs], 500)
    with _store() as store:
        began = time.perf_counter()
        for start in range(0, DOCUMENT_COUNT, 500):
            part = [Edit(doc_id, BODY) for doc_id in names[start : start + 500]]
            store.write(lambda w, part=part: documents.save(w, 1, part))
        took = (time.perf_counter() - began) / DOCUMENT_COUNT * 1e6
        _say("save new ones, batches of 500", took, "us each")
        one = [Edit(names[0], BODY)]
        lone = _best_us(lambda: store.write(lambda w: documents.save(w, 1, one)), 100)
        _say("save one, durable when it returns", lone, "us")

        def get(doc_id: str) -> None:
            with store.reader() as reader:
                documents.get(reader, 1, doc_id)

        _say("get, its reader included", _best_us(lambda: get(names[7000]), 2000), "us")
        some = names[::250][:200]
        unknown = [doc_id + "x" for doc_id in some]
        with store.reader() as reader:
            for name, work in (
                ("changes, a row", lambda: feed.changes(reader, 1, 20_000, 200, remote=1)),
                ("held, unknown, an ID", lambda: revisions.held(reader, 1, unknown, 1)),
                ("held, known, an ID", lambda: revisions.held(reader, 1, some, 1)),
                ("read, a revision", lambda: revisions.read(reader, 1, some)),
            ):
                _say(name, _best_us(work, 100) / 200, "us")


if __name__ == "__main__":
    chosen = sys.argv[1:] or ["blobs", "rows"]
    for part in chosen:
        {"blobs": blobs, "rows": rows}[part]()
