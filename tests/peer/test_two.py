from __future__ import annotations

from pathlib import Path

from settee.db.blob import Blob

from tests.simulation.world import world


def test_smoke(tmp_path: Path) -> None:
    with world(tmp_path, 1) as w:
        a, b = w.peer("a"), w.peer("b")
        coll = a.db.default_collection
        for i in range(500):
            coll[f"doc{i}"] = {"n": i, "text": "x" * 100}
        b.db.default_collection["from-b"] = {
            "image": Blob.from_bytes(b"hello" * 100000, "image/png")
        }
        r = a.dial(b)
        w.sync(r)
        print(r.status.value)
        assert a.contents() == b.contents()
        assert a.db.default_collection["from-b"]["image"].read() == b"hello" * 100000
        f = w.frames
        w.sync(r)
        print(r.status.value, w.frames - f)
        coll["doc1"] = {"n": -1}
        del coll["doc2"]
        w.sync(r)
        print(r.status.value)
        assert a.contents() == b.contents()
