"""Load: ``python -m tests.load [ROW…] [--share]``; all rows in turn without words.

Each row has a listener in a process of its own and prints what was measured beside what it has to
be; the exit code is 1 if it is not. ``--share`` is a small part of each, for every check: there a
time may be five times what it has to be. A run of all rows that was interrupted goes on with the
rows that are left.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.load.clients import LightPeer, all_idle
from tests.load.server import BODY
from tests.unfinished import Unfinished

ROOT: Final = Path(__file__).resolve().parent.parent.parent


BUSY_S: Final = 0.2
"""Where a document without any attack takes longer, times say nothing of an attack."""


class Figure(NamedTuple):
    """Something that was measured."""

    what: str
    value: float
    most: float
    """What it may be; of a rate the least."""
    unit: str
    is_time: bool = False
    is_rate: bool = False

    def holds(self, patience: float) -> bool:
        if self.is_rate:
            return self.value >= self.most / patience
        return self.value <= self.most * (patience if self.is_time else 1)

    @property
    def line(self) -> str:
        sign = ">=" if self.is_rate else "<="
        return f"{self.what} {self.value:,.2f} {self.unit} ({sign} {self.most:,.0f})"


class Listener:
    """The process under load."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.load.server", str(directory)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        where = self._line()
        self.port: int = where["port"]
        self.pin: str = where["pin"]

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the listener died"
        return json.loads(line)  # type: ignore[no-any-return]

    async def tell(self, *words: object) -> dict[str, Any]:
        """Tell it to do something; return its state after that."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return await asyncio.to_thread(self._line)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


class Scene:
    """A listener and a place for the peers' databases."""

    def __init__(self, directory: Path, share: bool) -> None:
        (directory / "server").mkdir()
        self.directory = directory
        self.share = share
        self.listener = Listener(directory / "server")
        self.peers: list[LightPeer] = []

    def peer(self, **options: Any) -> LightPeer:
        peer = LightPeer(
            self.directory, len(self.peers), self.listener.port, self.listener.pin, **options
        )
        self.peers.append(peer)
        return peer

    async def close(self) -> None:
        for peer in self.peers:
            await peer.close()
        self.listener.close()


def p99(values: list[float]) -> float:
    """Return what all but one in a hundred are below."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(0.99 * len(ordered)) - 1)] if ordered else math.inf


# --- the rows -------------------------------------------------------------------------------------


async def push_pull(scene: Scene) -> list[Figure]:
    """100 peers push 200 documents of 1 kB each, and pull 200 others each."""
    count, each = (20, 50) if scene.share else (100, 200)
    for number in range(count):
        await scene.listener.tell("fill", f"down-{number}-", each)
    for number in range(count):
        mine = [f"up-{number}-{n}" for n in range(each)]
        theirs = [f"down-{number}-{n}" for n in range(each)]
        peer = scene.peer(document_ids=[*mine, *theirs])
        peer.db.default_collection.save_many((doc_id, dict(BODY)) for doc_id in mine)
    began = time.monotonic()
    for peer in scene.peers:
        await peer.peer.start()
    async with asyncio.timeout(600):
        await asyncio.gather(*(peer.peer.finished() for peer in scene.peers))
    took = time.monotonic() - began
    state = await scene.listener.tell("state")
    errors = [peer.peer.status.value.error for peer in scene.peers if peer.peer.status.value.error]
    converged = sum(peer.db.default_collection.count() == 2 * each for peer in scene.peers)
    return [
        Figure("errors", len(errors), 0, ""),
        Figure("not converged", count - converged, 0, "peers"),
        Figure("missing at the listener", 2 * count * each - state["documents"], 0, "documents"),
        Figure("time", took, 120, "s", is_time=True),
        Figure("listener", state["peak_mib"], 250, "MiB"),
    ]


async def idle(scene: Scene) -> list[Figure]:
    """200 peers are connected and idle; then one document is written."""
    count = 40 if scene.share else 200
    for _ in range(count):
        await scene.peer(continuous=True, replicator_type="pull").peer.start()
    await all_idle(scene.peers, 300)
    quiet = await scene.listener.tell("state")
    began = time.monotonic()
    await scene.listener.tell("write", "news")
    for peer in scene.peers:
        await peer.until(lambda peer=peer: "news" in peer.arrived_at, 60)  # type: ignore[misc]
    last = max(peer.arrived_at["news"] for peer in scene.peers) - began
    return [
        Figure("the last has it after", last, 3, "s", is_time=True),
        Figure("listener", quiet["rss_mib"], 60 + 0.5 * count, "MiB"),
        Figure("threads", quiet["threads"], 16, ""),
    ]


async def hostile(scene: Scene) -> list[Figure]:
    """50 hostile clients beside 20 honest peers, whose documents go on being confirmed."""
    attackers, honest, seconds = (8, 5, 6.0) if scene.share else (50, 20, 40.0)
    for _ in range(honest):
        await scene.peer(continuous=True, replicator_type="push").peer.start()
    await all_idle(scene.peers, 60)
    before = await scene.listener.tell("state")
    baseline = await written(scene.peers, seconds / 2, "calm")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.load.hostile"),
        *(str(scene.listener.port), scene.listener.pin, str(attackers), str(seconds + 2)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    await asyncio.sleep(2)
    attacked = await written(scene.peers, seconds, "attacked")
    told = await process.communicate()
    print("  what became of them:", told[0].decode().strip())
    print(f"  p99 of the honest: {baseline * 1000:.0f} ms before, {attacked * 1000:.0f} ms beside")
    away = [peer for peer in scene.peers if not peer.connected]
    after = await scene.listener.tell("state")
    if baseline > BUSY_S:
        print("  this machine has too much else to do for its times to be compared")
        baseline = attacked
    return [
        Figure("honest ones cut off", len(away), 0, "peers"),
        Figure("honest p99, times that without", attacked / baseline, 2, "", is_time=True),
        Figure("listener", after["peak_mib"], 512, "MiB"),
        Figure("threads more than before", after["threads"] - before["threads"], 4, ""),
    ]


async def written(peers: list[LightPeer], seconds: float, word: str) -> float:
    """Have each peer write ten documents a second; return the p99 of their confirmation."""
    for peer in peers:
        peer.latencies.clear()

    async def write(peer: LightPeer) -> None:
        for n in range(int(10 * seconds)):
            peer.write(f"{word}-{peer.number}-{n}", dict(BODY))
            await asyncio.sleep(0.1)
        await peer.until(lambda: not peer.waiting, 60)

    await asyncio.gather(*(write(peer) for peer in peers))
    return p99([latency for peer in peers for latency in peer.latencies])


async def storm(scene: Scene) -> list[Figure]:
    """A listener with 200 continuous peers is stopped and started again."""
    count = 40 if scene.share else 200
    for _ in range(count):
        await scene.peer(continuous=True, replicator_type="pull").peer.start()
    await all_idle(scene.peers, 300)
    before = await scene.listener.tell("state")
    began = time.monotonic()
    await scene.listener.tell("restart")
    back: dict[int, float] = {}
    away: set[int] = set()
    async with asyncio.timeout(300):
        while len(back) < count:
            for peer in scene.peers:
                if not peer.idle:
                    away.add(peer.number)
                elif peer.number in away:
                    back.setdefault(peer.number, time.monotonic() - began)
            await asyncio.sleep(0.005)
    after = await scene.listener.tell("state")
    spread = max(back.values()) - min(back.values())
    return [
        Figure("the last is back after", max(back.values()), 60, "s", is_time=True),
        Figure("they come back over", spread, 0.05, "s", is_rate=True),
        Figure("queue overflows", after["overflows"] - before["overflows"], 0, ""),
        Figure("threads more than before", after["threads"] - before["threads"], 4, ""),
    ]


async def first_pull(scene: Scene) -> list[Figure]:
    """One peer pulls 100,000 documents for the first time."""
    count = 5_000 if scene.share else 100_000
    await scene.listener.tell("fill", "doc-", count)
    peer = scene.peer(replicator_type="pull")
    began = time.monotonic()
    await peer.peer.start()
    rss: list[float] = []

    async def watch() -> None:
        while True:
            done = peer.db.default_collection.count()
            if done > count / 10:
                rss.append((await scene.listener.tell("state"))["rss_mib"])
            await asyncio.sleep(0.5)

    watching = asyncio.create_task(watch())
    async with asyncio.timeout(1200):
        await peer.peer.finished()
    took = time.monotonic() - began
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    growth = rss[-1] - rss[0] if len(rss) > 1 else 0.0
    missing = count - peer.db.default_collection.count()
    return [
        Figure("missing", missing, 0, "documents"),
        Figure("rate", count / took, 1500, "documents/s", is_rate=True),
        Figure("growth after the first tenth", growth, 24, "MiB"),
    ]


async def large_blob(scene: Scene) -> list[Figure]:
    """A blob of 1 GiB is pulled while small documents are pushed beside it."""
    size = 2**26 if scene.share else 2**30
    base = await scene.listener.tell("blob", "film", size)
    big = scene.peer(replicator_type="pull", document_ids=["film"])
    small = scene.peer(continuous=True, replicator_type="push")
    await small.peer.start()
    await all_idle([small], 60)
    began = time.monotonic()
    await big.peer.start()
    peak = 0.0

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, (await scene.listener.tell("state"))["rss_mib"])
            await asyncio.sleep(0.2)

    watching = asyncio.create_task(watch())
    finished = asyncio.create_task(big.peer.finished())
    n = 0
    while not finished.done():
        small.write(f"small-{n}", dict(BODY))
        n += 1
        await asyncio.sleep(0.1)
    await small.until(lambda: not small.waiting, 60)
    took = time.monotonic() - began
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    blob = big.db.default_collection["film"]["blob"]
    print(f"  {size / 2**20 / took:.0f} MiB/s, {n} small documents beside it")
    return [
        Figure("missing", size - blob.length, 0, "bytes"),
        Figure("listener above its base", max(0.0, peak - base["rss_mib"]), 64, "MiB"),
        Figure("small documents, p99", p99(small.latencies), 1, "s", is_time=True),
    ]


ROWS: Final[dict[str, Callable[[Scene], Awaitable[list[Figure]]]]] = {
    "push-pull": push_pull,
    "idle": idle,
    "hostile": hostile,
    "storm": storm,
    "first-pull": first_pull,
    "large-blob": large_blob,
}


def run(name: str, share: bool) -> bool:
    """Run one row; tell whether all is as it has to be."""
    row = ROWS[name]
    part = " (a small part)" if share else ""
    print(f"{name}{part}: {(row.__doc__ or '').splitlines()[0]}", flush=True)

    async def play(directory: Path) -> list[Figure]:
        scene = Scene(directory, share)
        try:
            return await row(scene)
        finally:
            await scene.close()

    with tempfile.TemporaryDirectory(prefix="settee-load-") as directory:
        figures = asyncio.run(play(Path(directory)))
    good = True
    for figure in figures:
        holds = figure.holds(5 if share else 1)
        good = good and holds
        print(f"  {'ok ' if holds else 'BAD'} {figure.line}", flush=True)
    return good


def main() -> int:
    """Run what was asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="tests.load", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("rows", nargs="*", help=", ".join(ROWS))
    parser.add_argument("--share", action="store_true", help="a small part of each row")
    options = parser.parse_args()
    unknown = set(options.rows) - set(ROWS)
    if unknown:
        parser.error(f"rows are {', '.join(ROWS)}")
    unfinished = Unfinished("load", [options.rows, options.share])
    for name in options.rows or ROWS:
        if name in unfinished.done:
            print(f"{name}: done by the run that was interrupted")
        else:
            unfinished.note(name, run(name, options.share))
    unfinished.finish()
    bad = [name for name, good in unfinished.done.items() if not good]
    print(
        f"{len(unfinished.done)} rows, {len(bad)} not as they have to be {' '.join(bad)}".rstrip()
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
