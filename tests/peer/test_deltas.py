"""Delta sync: only what changed travels, and whatever goes wrong, the whole body follows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from settee import Blob
from settee.blip.frame import split
from tests.simulation.world import SimPeer, World, world

BODY = {"name": "apples", "text": "x" * 400, "list": list(range(30)), "count": 0}


class Sizes:
    """Counts the bytes and the deltas that a world's links carry."""

    def __init__(self, w: World) -> None:
        self.bytes = 0
        self.largest = 0
        self.deltas = 0
        traced = w.traced

        def watch(label: str, frame: bytes) -> None:
            traced(label, frame)
            self.bytes += len(frame)
            self.largest = max(self.largest, len(frame))
            self.deltas += b"deltaSrc" in frame

        w.traced = watch  # type: ignore[method-assign]


def pair(w: World, *, listener_takes: bool = True) -> tuple[SimPeer, SimPeer]:
    a, b = w.peer("a"), w.peer("b")
    b.passive = b._passive(delta_sync=listener_takes)
    return a, b


@pytest.mark.feature("DEL-01", "DEL-02", "LIS-08")
@pytest.mark.parametrize("direction", ["push", "pull"])
@pytest.mark.parametrize("takes", [True, False])
def test_a_small_change_of_a_large_document_costs_little_where_both_sides_take_deltas(
    tmp_path: Path, direction: str, takes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("settee.blip.connection.COMPRESS_BODY_BYTES_MIN", 2**30)
    with world(tmp_path, f"{direction} {takes}") as w:
        a, b = pair(w, listener_takes=takes)
        source = a if direction == "push" else b
        replicator = a.dial(b)
        source.db.default_collection["apples"] = BODY
        w.sync(replicator)
        w.sync(replicator)
        source.db.default_collection["apples"] = {**BODY, "count": 1}
        w.sync(replicator)  # The first change after both agreed to keep bases.
        source.db.default_collection["apples"] = {**BODY, "count": 2}
        sizes = Sizes(w)
        w.sync(replicator)
        assert a.contents() == b.contents()
        assert a.db.default_collection["apples"]["count"] == 2
        assert sizes.deltas == (1 if takes else 0)
        assert (sizes.largest < 400) is takes, sizes.largest


@pytest.mark.feature("DEL-05")
def test_a_base_that_the_receiver_lost_makes_the_whole_body_follow(tmp_path: Path) -> None:
    with world(tmp_path, 3) as w:
        a, b = pair(w)
        replicator = a.dial(b)
        a.db.default_collection["apples"] = BODY
        w.sync(replicator)
        a.db.default_collection["apples"] = {**BODY, "count": 1}
        w.sync(replicator)
        a.db.default_collection["apples"] = {**BODY, "count": 2}
        from settee.store import revisions

        with b.db._store.reader() as reader:
            (out,) = revisions.read(reader, 1, ["apples"])
        assert out is not None
        damaged = out.body[:-1] + b',"more":1}'
        b.db._store.write(
            lambda writer: writer.run("UPDATE docs_1 SET body = ?", (damaged.decode(),))
        )
        w.sync(replicator)
        w.sync(replicator)
        assert b.db.default_collection["apples"]["count"] == 2
        assert replicator.errors == []


def test_a_delta_against_an_unknown_base_is_answered_422_and_sent_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("settee.blip.connection.COMPRESS_BODY_BYTES_MIN", 2**30)
    with world(tmp_path, 4) as w:
        a, b = pair(w)
        replicator = a.dial(b)
        a.db.default_collection["apples"] = BODY
        w.sync(replicator)
        a.db.default_collection["apples"] = {**BODY, "count": 1}
        w.sync(replicator)
        a.db.default_collection["apples"] = {**BODY, "count": 2}
        frames: list[bytes] = []
        traced = w.traced

        def watch(label: str, frame: bytes) -> None:
            traced(label, frame)
            frames.append(frame)
            if b"deltaSrc" in frame:  # While it is under way, the receiver forgets the document.
                b.db.default_collection.purge("apples")

        w.traced = watch  # type: ignore[method-assign]
        w.sync(replicator)
        payloads = [split(frame)[2] for frame in frames if len(frame) > 20]
        assert any(b"Error-Code\x00422" in payload for payload in payloads)
        assert b.db.default_collection["apples"]["count"] == 2
        assert replicator.errors == []
        revs = [payload for payload in payloads if b"Profile\x00rev\x00" in payload]
        assert ["deltaSrc" in str(payload) for payload in revs] == [True, False]
        sequences = {re.search(rb"sequence\x00(\d+)", payload).group(1) for payload in revs}
        assert len(sequences) == 1


@pytest.mark.feature("DEL-04")
def test_blobs_arrive_with_a_delta_that_names_them(tmp_path: Path) -> None:
    with world(tmp_path, 5) as w:
        a, b = pair(w)
        replicator = a.dial(b)
        a.db.default_collection["apples"] = BODY
        w.sync(replicator)
        a.db.default_collection["apples"] = {**BODY, "count": 1}
        w.sync(replicator)
        picture = b"\x89PNG" * 30_000
        a.db.default_collection["apples"] = {**BODY, "image": Blob.from_bytes(picture)}
        sizes = Sizes(w)
        w.sync(replicator)
        assert b.db.default_collection["apples"]["image"].read() == picture
        assert sizes.bytes > len(picture)


def test_many_edits_with_deltas_both_ways_end_equal(tmp_path: Path) -> None:
    with world(tmp_path, 6) as w:
        a, b = pair(w)
        w.start(a.dial(b, continuous=True))
        w.settle()
        chance = w.random
        for n in range(60):
            peer = chance.choice([a, b])
            collection = peer.db.default_collection
            doc_id = f"doc{chance.randrange(5)}"
            body: dict[str, Any] = dict(collection[doc_id]) if doc_id in collection else dict(BODY)
            body[chance.choice(["count", "other", "text"])] = f"{'y' * 300}{n}"
            body["list"] = [*body["list"], n][-40:]
            collection[doc_id] = body
            w.elapse(chance.random() * 0.2)
            if n % 15 == 14:
                a.links[-1].cut()
        w.settle()
        assert a.contents() == b.contents()
