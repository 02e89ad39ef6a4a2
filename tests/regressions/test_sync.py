"""Mistakes of replication that others made: whole peers on virtual time, each mistake provoked."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from settee import Activity, Blob, Database
from settee.blip.frame import ERR, RPY, read_header
from tests.simulation.links import SimLink
from tests.simulation.world import World, world

BUSY_S_MAX = 61.0
"""The longest that an answer is waited for, and a moment."""


def on_frames(w: World, work: Callable[[str, bytes], None]) -> None:
    """Have `work` see every frame that is sent, with the number and end of its link."""
    traced = w.traced

    def seen(label: str, frame: bytes) -> None:
        traced(label, frame)
        work(label, frame)

    w.traced = seen  # type: ignore[method-assign]


def kind_of(frame: bytes) -> int:
    return read_header(frame)[1] & 7


@pytest.mark.regression("death between a revision and its answer")
@pytest.mark.parametrize("replicator_type", ["push", "pull"])
def test_a_link_that_breaks_before_each_answer_gets_on_all_the_same(
    tmp_path: Path, replicator_type: str
) -> None:
    """The receiver stores, and the sender is cut off before it hears of it; three times."""
    with world(tmp_path, 1) as w:
        a, b = w.peer("a"), w.peer("b")
        source, sink = (a, b) if replicator_type == "push" else (b, a)
        for n in range(3):
            source.db.default_collection[f"doc-{n}"] = {"n": n}
        cuts = 0

        def cut(label: str, frame: bytes) -> None:
            nonlocal cuts
            # The sink's answers after it has stored something: those to its revisions.
            from_sink = label.endswith("<" if replicator_type == "push" else ">")
            if cuts < 3 and from_sink and kind_of(frame) in (RPY, ERR) and len(sink.contents()) > 0:
                cuts += 1
                a.links[-1].cut()

        on_frames(w, cut)
        replicator = a.dial(b, replicator_type=replicator_type, continuous=True)
        w.start(replicator)
        w.settle()
        assert cuts == 3
        assert a.contents() == b.contents()
        assert len(a.contents()) == 3
        w.run(replicator.stop())
        frames = w.frames
        again = a.dial(b, replicator_type=replicator_type)
        w.sync(again)
        progress = again.status.value.progress
        assert (progress.pushed, progress.pulled) == (0, 0)
        assert w.frames - frames <= 20


@pytest.mark.regression("resume mark outlives the data")
@pytest.mark.parametrize("what", ["wiped", "restored", "cloned"])
@pytest.mark.parametrize("side", ["active", "passive"])
def test_a_database_that_lost_its_past_is_compared_from_where_it_stands(
    tmp_path: Path, what: str, side: str
) -> None:
    with world(tmp_path, f"{what} {side}") as w:
        a, b = w.peer("a"), w.peer("b")
        for n in range(3):
            a.db.default_collection[f"a-{n}"] = {"n": n}
            b.db.default_collection[f"b-{n}"] = {"n": n}
        w.sync(a.dial(b))
        victim = a if side == "active" else b
        place, backup = tmp_path / f"{victim.name}.settee", tmp_path / "backup.settee"
        victim.db.close()
        shutil.copytree(place, backup)
        reopened(w, victim.name)
        a, b = w.peers["a"], w.peers["b"]
        for n in range(20):
            a.db.default_collection[f"a-late-{n}"] = {"n": n}
            b.db.default_collection[f"b-late-{n}"] = {"n": n}
        w.sync(a.dial(b))
        assert len(a.contents()) == 46
        w.peers[victim.name].db.close()
        shutil.rmtree(place)
        if what == "restored":
            shutil.copytree(backup, place)
        elif what == "cloned":
            Database.copy(backup, place)
        reopened(w, victim.name)
        a, b = w.peers["a"], w.peers["b"]
        # Fewer changes than were lost: their sequences are given out once more.
        for n in range(5):
            a.db.default_collection[f"a-new-{n}"] = {"n": n}
            b.db.default_collection[f"b-new-{n}"] = {"n": n}
        w.sync(a.dial(b))
        w.sync(a.dial(b))
        assert a.contents() == b.contents()
        assert len(a.contents()) == 56


def reopened(w: World, name: str) -> None:
    """Open a peer's database anew, as a program that was started again, with other chance."""
    w.seed = f"{w.seed}, again"
    w.peer(name)


@pytest.mark.regression("ping-pong of deletions")
@pytest.mark.parametrize("seed", range(2))
def test_a_ring_that_deletes_and_makes_alike_at_once_falls_silent(
    tmp_path: Path, seed: int
) -> None:
    with world(tmp_path, f"ring {seed}") as w:
        peers = [w.peer(name) for name in "abc"]
        pairs = [(0, 1), (1, 2), (2, 0)]
        for peer in peers:
            peer.db.default_collection["doc"] = {"made": "everywhere"}
        w.start(*(peers[i].dial(peers[j], continuous=True) for i, j in pairs))
        w.settle()
        for round_ in range(3):
            for peer in peers:
                peer.db.default_collection.delete("doc")
            w.settle()
            for peer in peers[: 1 + (seed + round_) % 3]:
                peer.db.default_collection["doc"] = {"again": round_}
                w.elapse(0.001 * (seed % 2))
            w.settle()
        first, *others = (peer.contents() for peer in peers)
        assert all(first == other for other in others)
        assert first["_default/doc"][0] is False
        frames = w.frames
        w.elapse(600)
        assert w.frames == frames, "silent peers send nothing"


@pytest.mark.regression("busy for ever")
@pytest.mark.parametrize("after", range(0, 60, 11))
def test_a_peer_that_falls_silent_anywhere_is_given_up(tmp_path: Path, after: int) -> None:
    with world(tmp_path, f"silent {after}") as w:
        a, b = w.peer("a"), w.peer("b")
        for n in range(3):
            a.db.default_collection[f"a-{n}"] = {"n": n}
            b.db.default_collection[f"b-{n}"] = {"n": n}
        picture = bytes(range(256)) * 1200
        a.db.default_collection["picture"] = {"image": Blob.from_bytes(picture, "image/png")}
        b.db.default_collection["other"] = {"image": Blob.from_bytes(picture[::-1], "image/png")}
        busy_since: list[float] = []
        count = 0

        def silence(label: str, frame: bytes) -> None:
            nonlocal count
            count += 1
            if count == after + 1:
                end: SimLink | None = a.links[-1].other
                assert end is not None
                end.send = lambda frames: None  # type: ignore[method-assign]

        on_frames(w, silence)
        replicator = a.dial(b, max_attempts=1)
        ended: list[float] = []

        def told(status: Any) -> None:
            if status.activity is Activity.BUSY and not busy_since:
                busy_since.append(w.loop.time())
            if status.activity is Activity.STOPPED:
                ended.append(w.loop.time())

        replicator.status.listen(told)
        w.start(replicator)
        w.run(replicator.finished())
        assert ended[0] - busy_since[0] <= BUSY_S_MAX
        w.elapse(100)
        assert b.passive.connections == ()
        w.sync(a.dial(b))
        assert a.contents() == b.contents()
        assert b.db.default_collection["picture"]["image"].read() == picture


@pytest.mark.regression("blobs forgotten by deltas or merges")
def test_after_deltas_a_merge_and_compacting_every_blob_is_there(tmp_path: Path) -> None:
    with world(tmp_path, 6) as w:
        a, b = w.peer("a"), w.peer("b")
        b.passive = b._passive(delta_sync=True)
        text = "word " * 200
        for n in range(3):
            picture = Blob.from_bytes(b"picture %d " % n * 50, "image/png")
            a.db.default_collection[f"doc-{n}"] = {"n": 0, "text": text, "image": picture}
        replicator = a.dial(b, continuous=True)
        w.start(replicator)
        w.settle()
        for step in range(1, 4):
            for n, peer in enumerate((a, b, a)):  # Deltas that don't mention the picture.
                document = peer.db.default_collection[f"doc-{n}"]
                document["n"] = step
                peer.db.default_collection.save(document)
            w.settle()
        for peer in (a, b):  # A conflict whose sides both keep it.
            document = peer.db.default_collection["doc-1"]
            document["who"] = peer.name
            peer.db.default_collection.save(document)
        w.settle()
        assert a.contents() == b.contents()
        for peer in (a, b):
            w.elapse(7200)  # No blob is too young to go.
            peer.db.compact()
            for n in range(3):
                image = peer.db.default_collection[f"doc-{n}"]["image"]
                assert isinstance(image, Blob), "the document was taken for one without blobs"
                assert image.read() == b"picture %d " % n * 50


@pytest.mark.regression("deleted documents come back")
def test_a_deletion_holds_against_who_was_away_for_months(tmp_path: Path) -> None:
    with world(tmp_path, 7) as w:
        hub, away, near = w.peer("hub"), w.peer("away"), w.peer("near")
        for n in range(4):
            hub.db.default_collection[f"doc-{n}"] = {"n": n}
        w.sync(away.dial(hub))
        w.sync(near.dial(hub))
        for n in range(3):
            near.db.default_collection.delete(f"doc-{n}")
        w.sync(near.dial(hub))
        near.db.default_collection.purge("doc-0")  # Even its tombstone is forgotten there.
        hub.db.compact()
        w.elapse(90 * 86400)
        away.db.default_collection["doc-3"] = {"n": "edited while away"}
        for _ in range(2):
            w.sync(away.dial(hub))
            w.sync(near.dial(hub))
        for peer in (hub, away):
            live = [d.id for d in peer.db.default_collection.documents()]
            assert live == ["doc-3"], peer.name
        assert [d.id for d in near.db.default_collection.documents()] == ["doc-3"]
        assert hub.contents() == away.contents()


@pytest.mark.regression("reads go back in time")
@pytest.mark.parametrize("seed", range(2))
def test_no_reader_sees_an_older_state_after_a_newer_one(tmp_path: Path, seed: int) -> None:
    with world(tmp_path, f"back {seed}") as w:
        writer, hub, reader = (w.peer(name) for name in ("writer", "hub", "reader"))
        w.start(writer.dial(hub, continuous=True), reader.dial(hub, continuous=True))
        seen: dict[str, list[int]] = {"reader": [], "hub": []}

        async def live() -> None:
            for n in range(40):
                writer.db.default_collection["count"] = {"n": n}
                await asyncio.sleep(w.random.expovariate(1 / 0.2))
                for peer in (reader, hub):
                    document = peer.db.default_collection.get("count")
                    if document is not None:
                        seen[peer.name].append(document["n"])
                if w.random.random() < 0.1:
                    w.random.choice([*writer.links, *reader.links]).cut()

        w.run(live())
        w.settle()
        for name, numbers in seen.items():
            assert numbers == sorted(numbers), name
            assert len(set(numbers)) > 8, name
        assert reader.db.default_collection["count"]["n"] == 39
