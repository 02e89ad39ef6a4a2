"""Suspending and resuming: offline without forgetting, back at once; on virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from settee import Activity
from tests.simulation.world import world

pytestmark = pytest.mark.feature("REP-29", "REP-30")


def test_a_suspended_replicator_is_offline_and_comes_back_where_it_was(tmp_path: Path) -> None:
    with world(tmp_path, 1) as w:
        a, b = w.peer("a"), w.peer("b")
        replicator = a.dial(b, continuous=True)
        w.start(replicator)
        a.db.default_collection["before"] = {"n": 1}
        w.settle()
        w.run(replicator.suspend())
        w.elapse(1)
        assert replicator.status.value.activity is Activity.OFFLINE
        assert replicator.status.value.error is None
        assert b.passive.connections == ()
        a.db.default_collection["meanwhile"] = {"n": 2}
        connections = w.connections
        w.elapse(3600)
        assert w.connections == connections, "nothing is dialled while suspended"
        assert "meanwhile" not in b.db.default_collection
        began_s = w.loop.time()
        replicator.resume()
        w.elapse(0.5)
        assert b.db.default_collection["meanwhile"]["n"] == 2
        assert w.loop.time() - began_s < 1
        assert replicator.status.value.progress.pushed == 2, "nothing was sent twice"
        w.settle()
        assert replicator.status.value.activity is Activity.IDLE


def test_resuming_ends_the_pause_before_the_next_attempt(tmp_path: Path) -> None:
    with world(tmp_path, 2) as w:
        a, b = w.peer("a"), w.peer("b")
        b.listening = False
        replicator = a.dial(b, continuous=True)
        w.start(replicator)
        w.elapse(400)  # The next attempt is minutes away.
        b.listening = True
        replicator.resume()
        w.elapse(1)
        assert replicator.status.value.activity is Activity.IDLE


def test_suspending_in_the_pause_and_while_dialling_keeps_it_from_coming_back(
    tmp_path: Path,
) -> None:
    with world(tmp_path, 3) as w:
        a, b = w.peer("a"), w.peer("b")
        b.listening = False
        replicator = a.dial(b, continuous=True)
        w.start(replicator)
        w.elapse(1)
        w.run(replicator.suspend())
        b.listening = True
        w.elapse(600)
        assert replicator.status.value.activity is Activity.OFFLINE
        replicator.resume()
        w.run(replicator.suspend())  # The connection is just being made.
        w.elapse(600)
        assert replicator.status.value.activity is Activity.OFFLINE
        assert b.passive.connections == ()
        replicator.resume()
        w.settle()
        assert replicator.status.value.activity is Activity.IDLE


def test_a_one_shot_that_was_suspended_finishes_when_it_is_resumed(tmp_path: Path) -> None:
    with world(tmp_path, 4) as w:
        a, b = w.peer("a"), w.peer("b")
        with a.db.transaction():
            for n in range(3000):
                a.db.default_collection[f"d{n}"] = {"n": n}
        replicator = a.dial(b)
        w.start(replicator)
        while not b.contents():
            w.elapse(0.002)
        w.run(replicator.suspend())
        assert replicator.status.value.activity is not Activity.STOPPED
        there = len(b.contents())
        assert 0 < there < 3000
        w.elapse(60)
        replicator.resume()
        w.run(replicator.finished())
        assert replicator.status.value.error is None
        assert a.contents() == b.contents()
        assert replicator.status.value.progress.pushed <= 3000


def test_resuming_at_once_is_as_if_nothing_had_been(tmp_path: Path) -> None:
    with world(tmp_path, 5) as w:
        a, b = w.peer("a"), w.peer("b")
        replicator = a.dial(b, continuous=True)
        w.start(replicator)
        w.settle()

        async def there_and_back() -> None:
            import asyncio

            going = asyncio.ensure_future(replicator.suspend())
            await asyncio.sleep(0)
            replicator.resume()
            await going

        w.run(there_and_back())
        w.settle()
        assert replicator.status.value.activity is Activity.IDLE
        a.db.default_collection["x"] = {"n": 1}
        w.settle()
        assert b.db.default_collection["x"]["n"] == 1


def test_stopping_ends_what_is_suspended_and_starting_begins_anew(tmp_path: Path) -> None:
    with world(tmp_path, 6) as w:
        a, b = w.peer("a"), w.peer("b")
        replicator = a.dial(b, continuous=True)
        w.run(replicator.suspend())  # Of no effect: it is not running.
        w.start(replicator)
        w.settle()
        assert replicator.status.value.activity is Activity.IDLE
        w.run(replicator.suspend())
        w.run(replicator.stop())
        assert replicator.status.value.activity is Activity.STOPPED
        w.start(replicator)
        w.settle()
        assert replicator.status.value.activity is Activity.IDLE
