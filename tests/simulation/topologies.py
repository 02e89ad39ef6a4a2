"""Star, chain and ring of four peers: edited everywhere at once, then left alone.

A few short ones, for every run of the tests; `tests.simulation.plan` draws whole lives.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path

from settee.db.blob import Blob
from settee.db.collection import Collection
from tests.simulation.world import SimPeer, World, world

TOPOLOGIES: dict[str, list[tuple[int, int]]] = {
    "star": [(1, 0), (2, 0), (3, 0)],
    "chain": [(0, 1), (1, 2), (2, 3)],
    "ring": [(0, 1), (1, 2), (2, 3), (3, 0)],
}
DOCUMENTS = [f"item::{n}" for n in range(6)]


def edit(collection: Collection, chance: random.Random, token: str) -> None:
    """Do one random thing to one random document."""
    doc_id = chance.choice(DOCUMENTS)
    roll = chance.random()
    if roll < 0.15 and doc_id in collection:
        del collection[doc_id]
        return
    body = dict(collection[doc_id]) if doc_id in collection else {"quantity": 0, "log": []}
    if roll < 0.35:
        picture = chance.randbytes(chance.choice([0, 1, 1000, 70_000]))
        body["image"] = Blob.from_bytes(picture, "image/png")
    body["quantity"] = chance.randrange(100)
    body["log"] = [*body["log"], token]
    collection[doc_id] = body


async def life(
    w: World, peers: list[SimPeer], chance: random.Random, collections: list[Collection]
) -> None:
    """Edit, cut links, stop and start listening, for some virtual minutes."""
    for n in range(40):
        which = chance.randrange(len(peers))
        edit(collections[which], chance, f"{which}.{n}")
        await asyncio.sleep(chance.expovariate(1 / 0.4))
        if chance.random() < 0.15:
            links = [link for peer in peers for link in peer.links]
            chance.choice(links).cut()
        if chance.random() < 0.1:
            peer = chance.choice(peers)
            peer.listening = not peer.listening
            if not peer.listening:
                for connection in peer.passive.connections:
                    connection._driver.link.abort()
    for peer in peers:
        peer.listening = True


def run(topology: str, seed: int, directory: Path | None = None) -> tuple[str, int]:
    """Run one seed; returns the trace and the number of frames, or raises AssertionError."""
    if directory is None:
        with tempfile.TemporaryDirectory() as made:
            return run(topology, seed, Path(made))
    with world(directory, f"{topology}/{seed}") as w:
        chance = w.random
        peers = [w.peer(f"p{n}", skew_s=chance.uniform(-40, 40)) for n in range(4)]
        collections = [peer.db.collection("shop.items", create=True) for peer in peers]
        for peer in peers:
            peer.passive = peer._passive()
        # Some documents are made everywhere before the peers meet.
        for collection in collections:
            for doc_id in chance.sample(DOCUMENTS, 3):
                collection[doc_id] = {"quantity": chance.randrange(3), "log": []}
        names = ("shop.items",)
        w.start(
            *(
                peers[a].dial(peers[b], continuous=True, collections=names)
                for a, b in TOPOLOGIES[topology]
            )
        )
        w.elapse(chance.uniform(0, 3))
        w.run(life(w, peers, chance, collections))
        w.settle(1800)
        contents = [peer.contents() for peer in peers]
        for peer, one in zip(peers, contents, strict=True):
            for key, value in contents[0].items():
                assert one.get(key) == value, (
                    f"seed {seed} {topology}: {peer.name} has {one.get(key)} for {key}, "
                    f"p0 has {value}"
                )
            assert one.keys() == contents[0].keys(), f"seed {seed} {topology}: {peer.name}"
        _check_blobs(collections)
        return w.trace, w.frames


def _check_blobs(collections: list[Collection]) -> None:
    for document in collections[0].documents():
        image = document.get("image")
        if image is not None:
            expected = image.read()
            for collection in collections[1:]:
                assert collection[document.id]["image"].read() == expected
