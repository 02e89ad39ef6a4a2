"""Many clients on one listener: one write that all are to have, and documents from all at once.

``python -m benchmarks.crowd [--clients 1 10 50 200]``

The listener is a process of its own; the clients are real replicators with databases of their own,
all on one event loop of this process, which is the slower side with many of them.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.load.__main__ import Scene
from tests.load.clients import all_idle
from tests.load.server import BODY

__all__ = ["Crowd", "measure"]

DOCUMENTS = 5_000
"""From all clients together."""


class Crowd(NamedTuple):
    """What a number of clients cost."""

    clients: int
    last_s: float
    """From a write at the listener to the last client that had it; all were idle before."""
    mib_per_client: float
    """Memory of the listener's process with all of them idle, beyond what it had before."""
    rate: float
    """Documents a second, when all clients push at once."""


def measure(clients: int, documents: int = DOCUMENTS) -> Crowd:
    """Connect so many clients and measure."""

    async def play(root: Path) -> Crowd:
        scene = Scene(root, share=False)
        try:
            return await _play(scene, clients, documents)
        finally:
            await scene.close()

    with tempfile.TemporaryDirectory() as root:
        return asyncio.run(play(Path(root)))


async def _play(scene: Scene, clients: int, documents: int) -> Crowd:
    first = scene.peer(continuous=True)  # What the first costs is not each one's.
    await first.peer.start()
    await all_idle([first], 60)
    before = await scene.listener.tell("state")
    for _ in range(clients):
        await scene.peer(continuous=True).peer.start()
    crowd = scene.peers[1:]
    await all_idle(scene.peers, 300)
    quiet = await scene.listener.tell("state")
    began_s = time.monotonic()
    await scene.listener.tell("write", "news")
    for peer in crowd:
        await peer.until(lambda peer=peer: "news" in peer.arrived_at, 60)  # type: ignore[misc]
    last_s = max(peer.arrived_at["news"] for peer in crowd) - began_s
    for peer in scene.peers:
        await peer.peer.stop()
    each = max(1, documents // clients)
    pushing = [scene.peer(replicator_type="push") for _ in range(clients)]
    for peer in pushing:
        peer.db.default_collection.save_many(
            (f"from-{peer.number}-{n}", {**BODY, "n": n}) for n in range(each)
        )
    began_s = time.monotonic()
    for peer in pushing:
        await peer.peer.start()
    await asyncio.gather(*(peer.peer.finished() for peer in pushing))
    took_s = time.monotonic() - began_s
    after = await scene.listener.tell("state")
    assert after["documents"] == each * clients + 1, after
    return Crowd(
        clients, last_s, (quiet["rss_mib"] - before["rss_mib"]) / clients, each * clients / took_s
    )


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crowd", description=__doc__)
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 10, 50, 200])
    options = parser.parse_args()
    for clients in options.clients:
        found = measure(clients)
        print(
            f"{clients} clients: the last has a write after {1000 * found.last_s:.0f} ms · "
            f"{found.mib_per_client:.2f} MiB each · all push 1 kB documents: {found.rate:,.0f}/s",
            flush=True,
        )


if __name__ == "__main__":
    main()
