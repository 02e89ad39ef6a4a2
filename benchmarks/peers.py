"""A peer in a process of its own, which does one thing after the other and measures itself.

``python -m benchmarks.peers`` reads lines of JSON, ``{"do": "replicate", …}``, and answers each
with one; `Peer` is that process seen from another. Whatever is measured runs in such processes, so
that peak memory and CPU time are one peer's, and nothing of the program that asks is in them.
Databases are fully durable unless told otherwise.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import apsw

from settee import (
    BasicAuthenticator,
    Blob,
    Collection,
    CollectionChange,
    Database,
    ListenerPasswordAuthenticator,
    Replicator,
    TLSIdentity,
    URLEndpointListener,
)

__all__ = ["Peer", "body_of", "count_page_writes", "usage"]

PASSWORD: Final = "benchmark"  # For loopback, for the length of a run.
WAL_FRAME_HEAD_BYTES: Final = 24
BATCH: Final = 5000
EDITS_COLLECTION: Final = "edits"
"""What single edits are made in, so that a flood in the default collection stays apart."""

_connections: list[apsw.Connection] = []


def count_page_writes() -> None:
    """Take note of every SQLite connection opened from now on, for `usage`."""
    apsw.connection_hooks.append(_connections.append)


def wal_bytes() -> int:
    """Return how much the noted connections have written into their logs.

    SQLite counts the pages that went from a cache into the log; each has a head there. Only while
    no statement runs.
    """
    total = 0
    for connection in _connections:
        try:
            pages, _ = connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)
            size = connection.pragma("page_size")
        except (apsw.ConnectionClosedError, apsw.ThreadingViolationError):
            continue
        total += pages * (size + WAL_FRAME_HEAD_BYTES)
    return total


def _status_kib(name: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def usage() -> dict[str, float]:
    """Return this process's CPU seconds, memory in MiB (peak and now), and bytes into its logs.

    Linux's `ru_maxrss` begins with the memory of the process that started this one, so the peak is
    read from /proc where that is there.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak_mib = _status_kib("VmHWM") / 2**10
    if not peak_mib:
        peak_mib = used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mib": peak_mib,
        "now_mib": _status_kib("VmRSS") / 2**10,
        "wal_bytes": wal_bytes(),
    }


# --- what is stored -------------------------------------------------------------------------------


def _words(count: int) -> str:
    """Return so many characters of words, always the same; they deflate about as prose does."""
    chance = random.Random(7)
    letters = "eeeettaaooiinnsshhrrddlluucmfwypvbgkjqxz"
    lexicon = ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(2000)]
    words: list[str] = []
    size = 0
    while size < count:
        words.append(lexicon[int(chance.expovariate(1 / 200)) % len(lexicon)])
        size += len(words[-1]) + 1
    return " ".join(words)


_TEXT: Final = _words(2**16)


def _text(n: int, size: int) -> str:
    at = n * 1_009 % (len(_TEXT) - size)
    return _TEXT[at : at + size]


def body_of(kind: str, n: int, body_bytes: int) -> dict[str, Any]:
    """Make document `n` of a kind, always the same.

    ``small``: three fields with words, about `body_bytes` of JSON. ``flat``: the same of one
    letter, which deflates to next to nothing. ``fields``: the same size in forty fields. ``blob``:
    a blob of `body_bytes` that no two share.
    """
    if kind == "flat":
        return {"type": "benchmark", "number": n, "text": "x" * max(0, body_bytes - 52)}
    if kind == "blob":
        data = random.Random(n).randbytes(body_bytes)
        return {"type": "picture", "number": n, "image": Blob.from_bytes(data, "image/jpeg")}
    if kind == "fields":
        width = max(1, (body_bytes - 40) // 40 - 12)
        fields = {f"field{i:02}": _text(40 * n + i, width) for i in range(40)}
        return {"type": "benchmark", "number": n, **fields}
    return {"type": "benchmark", "number": n, "text": _text(n, max(1, body_bytes - 52))}


def documents(
    kind: str, numbers: Iterable[int], body_bytes: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield documents with their IDs."""
    for n in numbers:
        yield f"document-{n:07}", body_of(kind, n, body_bytes)


# --- the process ----------------------------------------------------------------------------------


class _Worker:
    """What the process can be told; the methods without an underscore are the commands."""

    def __init__(self) -> None:
        self._db: Database | None = None
        self._listener: URLEndpointListener | None = None
        self._replicator: Replicator | None = None
        self._heard_ms: list[tuple[int, float]] = []
        self._heard_all = threading.Event()
        self._expected = 0
        self._computing = False

    @property
    def _open_db(self) -> Database:
        assert self._db is not None, "open comes first"
        return self._db

    @property
    def _documents(self) -> Collection:
        return self._open_db.default_collection

    @property
    def _edits(self) -> Collection:
        return self._open_db.collection(EDITS_COLLECTION, create=True)

    def open(self, name: str, directory: str, durability: Any = "full") -> dict[str, Any]:
        """Open a database."""
        self._db = Database(name, directory=directory, durability=durability)
        return {}

    def fill(self, kind: str, count: int, body_bytes: int, first: int = 0) -> dict[str, Any]:
        """Save documents from number `first` on; no more blobs at once than 10 MB of them."""
        batch = max(1, min(100, 10**7 // body_bytes)) if kind == "blob" else BATCH
        self._save(documents(kind, range(first, first + count), body_bytes), batch)
        return {}

    def create(self, collections: Sequence[str]) -> dict[str, Any]:
        """Make empty collections."""
        for name in collections:
            self._open_db.collection(name, create=True)
        return {}

    def fill_rows(self, collections: dict[str, str]) -> dict[str, Any]:
        """Save JSON files of rows, each into its collection; return how many there are."""
        total = 0
        for name, path in collections.items():
            rows = json.loads(Path(path).read_text(encoding="utf-8"))
            self._open_db.collection(name, create=True).save_many(
                (f"{n:06}", row) for n, row in enumerate(rows)
            )
            total += len(rows)
        return {"count": total}

    def change(self, kind: str, count: int, body_bytes: int, step: int = 1) -> dict[str, Any]:
        """Change one field of every `step`-th document."""

        def changed() -> Iterator[tuple[str, dict[str, Any]]]:
            for doc_id, body in documents(kind, range(0, count, step), body_bytes):
                yield doc_id, {**body, "number": -body["number"] - 1}

        self._save(changed(), BATCH)
        return {}

    def _save(self, rows: Iterator[tuple[str, dict[str, Any]]], batch: int) -> None:
        gathered: list[tuple[str, dict[str, Any]]] = []
        for row in rows:
            gathered.append(row)
            if len(gathered) == batch:
                self._documents.save_many(gathered)
                gathered = []
        if gathered:
            self._documents.save_many(gathered)

    def listen(self, tls: bool = True) -> dict[str, Any]:
        """Listen; return where, and the fingerprint of the certificate."""
        db = self._open_db
        self._listener = URLEndpointListener(
            db,
            host="127.0.0.1",
            collections=[each.full_name for each in db.collections()],
            tls=tls,
            tls_identity=TLSIdentity.anonymous() if tls else None,
            authenticator=ListenerPasswordAuthenticator(lambda _, secret: secret == PASSWORD),
            delta_sync=True,
        )
        self._listener.start()
        identity = self._listener.tls_identity
        pin = None if identity is None else identity.fingerprint
        return {"url": self._listener.urls[0], "pin": pin}

    def _replication(self, url: str, pin: str | None, type: str, names: Sequence[str]) -> Any:
        collections = [self._open_db.collection(name) for name in names] or None
        return {
            "target": url,
            "replicator_type": type,
            "collections": collections,
            "authenticator": BasicAuthenticator("benchmark", PASSWORD),
            "pinned_server_certificate": pin,
        }

    def replicate(
        self, url: str, pin: str | None, type: str, collections: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Replicate once, from called to returned: all committed, both checkpoints saved."""
        options = self._replication(url, pin, type, collections)
        target = options.pop("target")
        before, began_s = usage(), time.perf_counter()
        result = self._open_db.replicate(target, **options)
        wall_s = time.perf_counter() - began_s
        after = usage()
        assert not result.errors, result.errors
        return {
            "wall_s": wall_s,
            "ended_ns": time.perf_counter_ns(),
            "cpu_s": after["cpu_s"] - before["cpu_s"],
            "wal_bytes": after["wal_bytes"] - before["wal_bytes"],
            "pushed": result.pushed,
            "pulled": result.pulled,
            "bytes": result.bytes_pushed + result.bytes_pulled,
        }

    def usage(self) -> dict[str, Any]:
        """Tell what this process has used, and how many documents it has."""
        count = 0 if self._db is None else sum(len(each) for each in self._db.collections())
        return {**usage(), "documents": count}

    # --- single edits -----------------------------------------------------------------------------

    def watch(self) -> dict[str, Any]:
        """Note when each edit shows to a change listener of this database."""
        self._edits.on_change(self._heard)
        return {}

    def follow(self, url: str, pin: str | None) -> dict[str, Any]:
        """Replicate the edits continuously, watching; ready when there is nothing to do."""
        options = self._replication(url, pin, "push_and_pull", [EDITS_COLLECTION])
        self.watch()
        target = options.pop("target")
        self._replicator = Replicator(self._open_db, target, continuous=True, **options)
        idle = threading.Event()
        self._replicator.on_status(
            lambda status: idle.set() if status.activity.value == "idle" else None
        )
        self._replicator.start()
        assert idle.wait(60), "the replicator does not fall idle"
        return {}

    def _heard(self, change: CollectionChange) -> None:
        now_ns = time.perf_counter_ns()
        for doc_id in change.document_ids:
            body = self._edits[doc_id]
            if body["by"] != self._open_db.name:
                self._heard_ms.append((body["saved_ns"], (now_ns - body["saved_ns"]) / 1e6))
        if self._expected and len(self._heard_ms) >= self._expected:
            self._heard_all.set()

    def edits(self, count: int, pause_s: float, prefix: str) -> dict[str, Any]:
        """Save documents one by one, with pauses; each carries the moment before its save.

        The monotonic clock is the same in all processes of a machine.
        """
        took_ms = []
        name = self._open_db.name
        for n in range(count):
            time.sleep(pause_s)
            began_ns = time.perf_counter_ns()
            self._edits[f"{prefix}-{n:05}"] = {"saved_ns": began_ns, "by": name}
            took_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
        return {"took_ms": took_ms}

    def expect(self, count: int) -> dict[str, Any]:
        """Forget what was heard; `heard` will wait for so many."""
        self._heard_ms.clear()
        self._heard_all.clear()
        self._expected = count
        return {}

    def heard(self) -> dict[str, Any]:
        """Return when each edit was saved, and the milliseconds until it showed; waits for all."""
        assert self._heard_all.wait(60), f"{len(self._heard_ms)} of {self._expected} were heard"
        return {"heard": list(self._heard_ms)}

    def compute(self, on: bool) -> dict[str, Any]:
        """Have a thread of the program's own compute, or stop it."""
        self._computing = on
        if on:
            threading.Thread(target=self._compute, daemon=True).start()
        return {}

    def _compute(self) -> None:
        n = 0
        while self._computing:
            n = (n * 1_103_515_245 + 12_345) % 2**31

    def close(self) -> dict[str, Any]:
        """End what runs and close the database; further commands may open another."""
        self._computing = False
        if self._replicator is not None:
            self._replicator.stop()
        if self._listener is not None:
            self._listener.stop(final=True)
        if self._db is not None:
            self._db.close()
        self._db = self._listener = self._replicator = None
        return {}


def serve() -> None:
    """Carry out commands until the input ends."""
    count_page_writes()
    worker = _Worker()
    for line in sys.stdin:
        words: dict[str, Any] = json.loads(line)
        command: Callable[..., dict[str, Any]] = getattr(worker, words.pop("do"))
        print(json.dumps(command(**words)), flush=True)
    worker.close()


# --- seen from outside ----------------------------------------------------------------------------


class Peer:
    """Such a process. Use it in a ``with``; each command is a method of its name."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers"],
            cwd=Path(__file__).resolve().parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *exc: object) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._process.wait(60)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def ask(self, do: str, **words: Any) -> dict[str, Any]:
        """Tell it to do something, and wait until it has."""
        self.tell(do, **words)
        return self.answer()

    def tell(self, do: str, **words: Any) -> None:
        """Tell it to do something; `answer` waits for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **words}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to what was told."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "a peer's process ended; what it said stands above"
        answer: dict[str, Any] = json.loads(line)
        return answer


if __name__ == "__main__":
    serve()
