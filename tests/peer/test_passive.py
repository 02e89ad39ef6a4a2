"""The passive peer: who is connected, and what becomes of them when it stops."""

from __future__ import annotations

from pathlib import Path

import pytest

from settee import Activity
from tests.simulation.world import world


@pytest.mark.feature("LIS-13")
def test_connections_come_and_go_and_say_who_they_are(tmp_path: Path) -> None:
    with world(tmp_path, 1) as w:
        a, b, c = w.peer("a"), w.peer("b"), w.peer("c")
        statuses: list[tuple[int, int]] = []
        b.passive.status.listen(
            lambda s: statuses.append((s.connection_count, s.active_connection_count))
        )
        first, second = a.dial(b, continuous=True), c.dial(b, continuous=True)
        w.start(first, second)
        w.settle()
        connections = b.passive.connections
        assert [x.number for x in connections] == [1, 2]
        assert {x.address for x in connections} == {"192.0.2.2"}
        assert {x.user_agent for x in connections} == {"settee/sim"}
        assert {x.activity for x in connections} == {Activity.IDLE}
        assert all(x.since.tzinfo is not None for x in connections)
        assert b.passive.status.value.connection_count == 2
        w.run(first.stop())
        w.elapse(1)
        assert [x.number for x in b.passive.connections] == [2]
        assert (2, 1) in statuses or (2, 2) in statuses
        assert statuses[-1][0] == 1


def test_progress_counts_both_directions_from_the_listeners_side(tmp_path: Path) -> None:
    with world(tmp_path, 2) as w:
        a, b = w.peer("a"), w.peer("b")
        a.db.default_collection["one"] = {"n": 1}
        for n in range(3):
            b.db.default_collection[f"b{n}"] = {"n": n}
        w.start(a.dial(b, continuous=True))
        w.settle()
        progress = b.passive.connections[0].progress
        assert (progress.pushed, progress.pulled) == (3, 1)


def test_a_peer_that_is_disconnected_comes_back_unless_told_not_to(tmp_path: Path) -> None:
    with world(tmp_path, 3) as w:
        a, b = w.peer("a"), w.peer("b")
        replicator = a.dial(b, continuous=True)
        w.start(replicator)
        w.settle()
        b.passive.disconnect(b.passive.connections[0], final=False)
        w.elapse(0.5)
        assert replicator.status.value.activity is Activity.OFFLINE
        w.settle()
        assert [c.number for c in b.passive.connections] == [2]
        b.passive.disconnect(b.passive.connections[0], final=True)
        w.elapse(100)
        assert replicator.status.value.activity is Activity.STOPPED
        assert "closed the connection" in str(replicator.status.value.error)


@pytest.mark.sec("SEC-17")
@pytest.mark.feature("LIS-09")
def test_a_read_only_listener_gives_and_does_not_take(tmp_path: Path) -> None:
    from dataclasses import replace

    from settee import RefusedError
    from settee.peer.passive import PassivePeer

    with world(tmp_path, 4) as w:
        a, b = w.peer("a"), w.peer("b")
        options = replace(b.passive._options, read_only=True)
        b.passive = PassivePeer(b.db, options, b.runtime)
        b.db.default_collection["there"] = {"n": 1}
        a.db.default_collection["here"] = {"n": 2}
        w.sync(a.dial(b, replicator_type="pull"))
        assert a.db.default_collection["there"]["n"] == 1
        with pytest.raises(RefusedError, match="pull-only"):
            w.sync(a.dial(b, replicator_type="push"))
        assert "here" not in b.db.default_collection


@pytest.mark.regression("echo of pulled revisions")
def test_no_peer_gets_its_own_revisions_back(tmp_path: Path) -> None:
    with world(tmp_path, 5) as w:
        a, b = w.peer("a"), w.peer("b")
        w.start(a.dial(b, continuous=True))
        w.settle()
        collection = a.db.default_collection
        with a.db.transaction():
            for n in range(1000):
                collection[f"d{n}"] = {"n": n, "text": "x" * 100}
        frames = w.frames
        bytes_before = sum(c.progress.bytes_pushed for c in b.passive.connections)
        w.settle()
        assert a.contents() == b.contents()
        assert sum(c.progress.pushed for c in b.passive.connections) == 0
        assert sum(c.progress.bytes_pushed for c in b.passive.connections) == bytes_before
        # 1,000 `rev` and their answers, 5 proposals, and few rows announced back.
        assert w.frames - frames < 2000 + 150
