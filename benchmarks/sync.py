"""Two processes over TLS: many small documents pushed, then pulled.

``python -m benchmarks.sync [--documents 100000] [--body-bytes 200] [--durability full]``

Prints documents a second, CPU milliseconds per 1,000 documents and peak memory of both processes,
and the growth of memory between the first tenth and the end. The listener runs in a process of its
own; both databases are fully durable unless told otherwise. Times are of the whole replication,
from `replicate()` called to returned, everything committed and the checkpoint saved on both sides.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

from settee import (
    BasicAuthenticator,
    Database,
    ListenerPasswordAuthenticator,
    ReplicationResult,
    TLSIdentity,
    URLEndpointListener,
)

Durability = Literal["full", "normal", "memory"]

PASSWORD = "benchmark"  # For loopback, for the length of a run.


def usage() -> dict[str, float]:
    """Return this process's CPU seconds and peak memory in MiB."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"cpu_s": used.ru_utime + used.ru_stime, "peak_mib": peak, "now_mib": resident_mib()}


def resident_mib() -> float:
    """Return this process's memory now (0 where /proc is not there)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def serve(directory: str, durability: Durability) -> None:
    """Listen until standard input ends; answers each line with this process's usage."""
    with Database("passive", directory=directory, durability=durability) as db:
        listener = URLEndpointListener(
            db,
            host="127.0.0.1",
            tls_identity=TLSIdentity.anonymous(),
            authenticator=ListenerPasswordAuthenticator(lambda _, password: password == PASSWORD),
        )
        with listener:
            identity = listener.tls_identity
            assert identity is not None
            print(json.dumps([listener.urls[0], identity.fingerprint]), flush=True)
            for _ in sys.stdin:
                print(json.dumps({**usage(), "documents": len(db.default_collection)}), flush=True)


class Listener:
    """The other process."""

    def __init__(self, directory: str, durability: Durability) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sync", "--serve", directory, durability],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url, self.fingerprint = self._line()

    def _line(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def usage(self) -> dict[str, float]:
        """Ask it for its CPU time and memory."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer: dict[str, float] = self._line()
        return answer

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


def fill(db: Database, count: int, body_bytes: int) -> None:
    """Make `count` documents of about `body_bytes` each."""
    filler = "x" * max(0, body_bytes - 52)
    for start in range(0, count, 5000):
        db.default_collection.save_many(
            (f"document-{n:07}", {"type": "benchmark", "number": n, "text": filler})
            for n in range(start, min(start + 5000, count))
        )


def replicate(
    db: Database, other: Listener, direction: Literal["push", "pull"]
) -> ReplicationResult:
    """Replicate once in one direction."""
    result: ReplicationResult = db.replicate(
        other.url,
        replicator_type=direction,
        authenticator=BasicAuthenticator("benchmark", PASSWORD),
        pinned_server_certificate=other.fingerprint,
    )
    return result


def measure(direction: Literal["push", "pull"], options: argparse.Namespace, root: Path) -> None:
    """Run one direction and print its line."""
    count: int = options.documents
    active_dir, passive_dir = root / f"{direction}-a", root / f"{direction}-p"
    active_dir.mkdir()
    passive_dir.mkdir()
    durability: Durability = options.durability
    source = active_dir if direction == "push" else passive_dir
    name = "active" if direction == "push" else "passive"
    with Database(name, directory=source, durability=durability) as db:
        fill(db, count, options.body_bytes)
    other = Listener(str(passive_dir), durability)
    with Database("active", directory=active_dir, durability=durability) as db:
        mine, theirs = usage(), other.usage()
        began_s = time.perf_counter()
        result = replicate(db, other, direction)
        elapsed_s = time.perf_counter() - began_s
        mine_after, theirs_after = usage(), other.usage()
        assert not result.errors, result.errors
        assert len(db.default_collection) == theirs_after["documents"] == count
        again_s = time.perf_counter()
        nothing = replicate(db, other, direction)
        again_s = time.perf_counter() - again_s
        assert nothing.pushed == nothing.pulled == 0, nothing
    other.close()
    cpu_active = mine_after["cpu_s"] - mine["cpu_s"]
    cpu_passive = theirs_after["cpu_s"] - theirs["cpu_s"]
    per_1000 = 1_000_000 / count
    print(
        f"{direction}: {count} documents of {options.body_bytes} B in {elapsed_s:.2f} s = "
        f"{count / elapsed_s:,.0f} docs/s · CPU per 1,000: active {cpu_active * per_1000:.1f} ms, "
        f"passive {cpu_passive * per_1000:.1f} ms · peak memory: active "
        f"{mine_after['peak_mib']:.0f} MiB (+{mine_after['peak_mib'] - mine['now_mib']:.0f}), "
        f"passive {theirs_after['peak_mib']:.0f} MiB "
        f"(+{theirs_after['peak_mib'] - theirs['now_mib']:.0f}) · again, nothing to do: "
        f"{again_s * 1000:.0f} ms",
        flush=True,
    )


def main() -> None:
    """Read the command line and run."""
    if len(sys.argv) == 4 and sys.argv[1] == "--serve":
        serve(sys.argv[2], sys.argv[3])  # type: ignore[arg-type]
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sync", description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--body-bytes", type=int, default=200)
    parser.add_argument("--durability", choices=["full", "normal", "memory"], default="full")
    parser.add_argument("--only", choices=["push", "pull"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        for direction in ("push", "pull"):
            if options.only in (None, direction):
                measure(direction, options, Path(root))


if __name__ == "__main__":
    main()
