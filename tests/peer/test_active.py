"""The active peer, on virtual time, against a real passive one."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from settee import Activity, Blob, ConnectionFailedError, SyncError
from settee.limits import REPLY_TIMEOUT_S
from tests.simulation.world import World, world


def numbers(w: World, name: str, count: int) -> None:
    collection = w.peers[name].db.default_collection
    for n in range(count):
        collection[f"{name}::{n}"] = {"n": n}


def test_push_and_pull_make_both_sides_equal(tmp_path: Path) -> None:
    with world(tmp_path, 1) as w:
        a, b = w.peer("a"), w.peer("b")
        numbers(w, "a", 450)
        numbers(w, "b", 210)
        picture = b"\x89PNG" * 50_000
        b.db.default_collection["with-picture"] = {"image": Blob.from_bytes(picture, "image/png")}
        replicator = a.dial(b)
        w.sync(replicator)
        assert a.contents() == b.contents()
        assert len(a.contents()) == 661
        assert a.db.default_collection["with-picture"]["image"].read() == picture
        progress = replicator.status.value.progress
        assert (progress.pushed, progress.pulled, progress.failed) == (450, 211, 0)
        assert progress.bytes_pulled > len(picture)


@pytest.mark.feature("REP-03")
def test_push_sends_only_and_pull_receives_only(tmp_path: Path) -> None:
    with world(tmp_path, 2) as w:
        a, b, c = w.peer("a"), w.peer("b"), w.peer("c")
        numbers(w, "a", 3)
        numbers(w, "b", 4)
        w.sync(a.dial(b, replicator_type="push"))
        assert (len(a.contents()), len(b.contents())) == (3, 7)
        w.sync(c.dial(b, replicator_type="pull"))
        assert c.contents() == b.contents()


def test_a_second_sync_sends_no_revision_and_few_frames(tmp_path: Path) -> None:
    with world(tmp_path, 3) as w:
        a, b = w.peer("a"), w.peer("b")
        numbers(w, "a", 1001)
        replicator = a.dial(b)
        w.sync(replicator)
        frames = w.frames
        w.sync(a.dial(b))
        w.sync(a.dial(b))
        assert w.frames - frames <= 40
        assert a.contents() == b.contents()


def test_deletions_and_changes_follow(tmp_path: Path) -> None:
    with world(tmp_path, 4) as w:
        a, b = w.peer("a"), w.peer("b")
        numbers(w, "a", 10)
        replicator = a.dial(b)
        w.sync(replicator)
        del a.db.default_collection["a::3"]
        b.db.default_collection["a::4"] = {"n": "changed at b"}
        w.sync(replicator)
        assert "a::3" not in b.db.default_collection
        assert a.db.default_collection["a::4"]["n"] == "changed at b"
        assert a.contents() == b.contents()


@pytest.mark.feature("CR-01", "CR-02")
def test_a_conflict_ends_with_the_same_winner_on_both_sides(tmp_path: Path) -> None:
    with world(tmp_path, 5) as w:
        a, b = w.peer("a"), w.peer("b")
        a.db.default_collection["shared"] = {"n": 0}
        replicator = a.dial(b)
        w.sync(replicator)
        a.db.default_collection["shared"] = {"n": "a"}
        w.elapse(1)
        b.db.default_collection["shared"] = {"n": "b, later"}
        w.sync(replicator)
        assert a.contents() == b.contents()
        assert a.db.default_collection["shared"]["n"] == "b, later"
        assert replicator.errors == []


@pytest.mark.feature("CR-05")
def test_towards_a_foreign_peer_the_active_side_resolves(tmp_path: Path) -> None:
    with world(tmp_path, 6) as w:
        a, b = w.peer("a"), w.peer("b")
        a.db.default_collection["shared"] = {"n": 0}
        foreign = {"user_agent": "couchbase-lite-core/3.1.11 (0)", "server": "CouchbaseLite"}
        replicator = a.dial(b, **foreign)
        w.sync(replicator)
        b.db.default_collection["shared"] = {"n": "b"}
        w.elapse(1)
        a.db.default_collection["shared"] = {"n": "a, later"}
        w.sync(replicator)
        w.sync(replicator)
        assert a.contents() == b.contents()
        assert a.db.default_collection["shared"]["n"] == "a, later"


@pytest.mark.feature("REP-02")
def test_named_collections_replicate_each_to_its_own(tmp_path: Path) -> None:
    with world(tmp_path, 7) as w:
        a, b = w.peer("a"), w.peer("b")
        names = ("shop.items", "shop.orders", "_default")
        for peer in (a, b):
            for name in names:
                peer.db.collection(name, create=True)
            peer.passive = peer._passive()
        for n, name in enumerate(names):
            a.db.collection(name)["here"] = {"n": n}
            b.db.collection(name)["there"] = {"n": n}
        w.sync(a.dial(b, collections=names))
        assert a.contents() == b.contents()
        assert len(a.contents()) == 6


def test_a_collection_that_the_peer_lacks_is_an_error_that_names_it(tmp_path: Path) -> None:
    with world(tmp_path, 8) as w:
        a, b = w.peer("a"), w.peer("b")
        a.db.collection("shop.items", create=True)
        with pytest.raises(SyncError, match=r"no collection shop\.items") as caught:
            w.sync(a.dial(b, collections=("shop.items",)))
        assert caught.value.code == 404
        assert not caught.value.transient


@pytest.mark.feature("REP-04")
def test_continuous_replication_brings_changes_by_themselves(tmp_path: Path) -> None:
    with world(tmp_path, 9) as w:
        a, b, c = w.peer("a"), w.peer("b"), w.peer("c")
        w.start(a.dial(b, continuous=True), c.dial(b, continuous=True))
        w.settle()
        a.db.default_collection["from-a"] = {"n": 1}
        w.elapse(0.5)
        assert b.db.default_collection["from-a"]["n"] == 1
        assert c.db.default_collection["from-a"]["n"] == 1
        c.db.default_collection["from-a"] = {"n": 2}
        w.elapse(0.5)
        assert a.db.default_collection["from-a"]["n"] == 2
        frames = w.frames
        w.elapse(600)
        assert w.frames == frames, "silent peers send nothing"


@pytest.mark.regression("retries without a pause")
@pytest.mark.feature("REP-13")
def test_retries_wait_twice_as_long_each_time_up_to_the_limit(tmp_path: Path) -> None:
    with world(tmp_path, 10) as w:
        a, b = w.peer("a"), w.peer("b")
        b.listening = False
        replicator = a.dial(b, continuous=True)
        seen: list[tuple[float, Activity]] = []
        replicator.status.listen(lambda s: seen.append((w.loop.time(), s.activity)))
        w.start(replicator)
        w.elapse(2000)
        tries = [t for t, activity in seen if activity is Activity.CONNECTING]
        gaps = [after - before for before, after in itertools.pairwise(tries)]
        for gap, expected in zip(gaps, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300], strict=False):
            assert expected <= gap <= expected * 1.11 + 0.1
        assert len(tries) <= 14
        error = replicator.status.value.error
        assert isinstance(error, ConnectionFailedError)
        b.listening = True
        w.elapse(700)
        assert replicator.status.value.activity is Activity.IDLE
        assert replicator.status.value.error is None


def test_after_a_connection_that_worked_the_pauses_begin_anew(tmp_path: Path) -> None:
    with world(tmp_path, 17) as w:
        a, b = w.peer("a"), w.peer("b")
        b.listening = False
        replicator = a.dial(b, continuous=True)
        tries: list[float] = []
        replicator.status.listen(
            lambda s: tries.append(w.loop.time()) if s.activity is Activity.CONNECTING else None
        )
        w.start(replicator)
        w.elapse(100)
        assert len(tries) == 6, "by now more than a minute lies between two of them"
        b.listening = True
        w.elapse(100)
        assert replicator.status.value.activity is Activity.IDLE
        tries.clear()
        cut_s = w.loop.time()
        a.links[-1].cut()
        w.elapse(10)
        assert [2 <= at_s - cut_s <= 2.3 for at_s in tries] == [True]
        assert replicator.status.value.activity is Activity.IDLE


@pytest.mark.feature("REP-12")
def test_one_shot_gives_up_after_ten_attempts(tmp_path: Path) -> None:
    with world(tmp_path, 11) as w:
        a, b = w.peer("a"), w.peer("b")
        b.listening = False
        replicator = a.dial(b)
        tries: list[Activity] = []
        replicator.status.listen(lambda s: tries.append(s.activity))
        with pytest.raises(ConnectionFailedError):
            w.sync(replicator)
        assert tries.count(Activity.CONNECTING) == 10


def test_stop_ends_a_replicator_that_waits_to_try_again(tmp_path: Path) -> None:
    with world(tmp_path, 12) as w:
        a, b = w.peer("a"), w.peer("b")
        b.listening = False
        replicator = a.dial(b, continuous=True)
        w.start(replicator)
        w.elapse(100)
        assert replicator.status.value.activity is Activity.OFFLINE
        before_s = w.loop.time()
        w.run(replicator.stop())
        assert w.loop.time() - before_s < 1
        assert replicator.status.value.activity is Activity.STOPPED
        assert replicator.status.value.error is None


@pytest.mark.feature("REP-25", "REP-27")
def test_a_replicator_can_be_stopped_and_started_again(tmp_path: Path) -> None:
    with world(tmp_path, 13) as w:
        a, b = w.peer("a"), w.peer("b")
        replicator = a.dial(b, continuous=True)
        w.start(replicator)
        w.settle()
        w.run(replicator.stop())
        a.db.default_collection["while-stopped"] = {"n": 1}
        w.elapse(60)
        assert "while-stopped" not in b.db.default_collection
        w.start(replicator)
        w.settle()
        assert b.db.default_collection["while-stopped"]["n"] == 1


@pytest.mark.feature("REP-26")
def test_reset_compares_everything_again_and_sends_nothing_twice(tmp_path: Path) -> None:
    with world(tmp_path, 14) as w:
        a, b = w.peer("a"), w.peer("b")
        numbers(w, "a", 250)
        replicator = a.dial(b)
        w.sync(replicator)

        async def again() -> None:
            await replicator.start(reset=True)
            await replicator.finished()

        frames = w.frames
        w.run(again())
        progress = replicator.status.value.progress
        assert (progress.pushed, progress.pulled) == (0, 0)
        assert w.frames - frames > 8, "the feed was compared again"


@pytest.mark.parametrize("moment", range(1, 40, 3))
def test_a_connection_cut_anywhere_loses_nothing_and_is_resumed(
    tmp_path: Path, moment: int
) -> None:
    with world(tmp_path, f"cut {moment}") as w:
        a, b = w.peer("a"), w.peer("b")
        numbers(w, "a", 300)
        numbers(w, "b", 300)
        picture = b"1234567" * 20_000
        a.db.default_collection["picture"] = {"image": Blob.from_bytes(picture, "image/png")}
        replicator = a.dial(b, continuous=True)
        frames: list[bytes] = []
        traced = w.traced

        def watch(label: str, frame: bytes) -> None:
            traced(label, frame)
            frames.append(frame)
            if len(frames) == moment * 20:
                w.loop.call_soon(a.links[-1].cut)

        w.traced = watch  # type: ignore[method-assign]
        w.start(replicator)
        w.settle()
        assert a.contents() == b.contents()
        assert b.db.default_collection["picture"]["image"].read() == picture


@pytest.mark.regression("clocks apart")
def test_a_version_two_minutes_ahead_waits_until_the_clocks_agree(tmp_path: Path) -> None:
    with world(tmp_path, 15) as w:
        a, b = w.peer("a", skew_s=3600), w.peer("b")
        a.db.default_collection["early"] = {"n": 1}
        b.db.default_collection["on-time"] = {"n": 2}
        replicator = a.dial(b)
        w.sync(replicator)
        assert "early" not in b.db.default_collection
        assert a.db.default_collection["on-time"]["n"] == 2
        assert [(e.doc_id, e.pushed) for e in replicator.errors] == [("early", True)]
        assert replicator.errors[0].error.transient
        b.clock.skew_s = 3600
        w.sync(replicator)
        assert a.contents() == b.contents()


def test_a_peer_that_accepts_and_never_answers_is_not_tried_for_ever(tmp_path: Path) -> None:
    with world(tmp_path, 16) as w:
        a, b = w.peer("a"), w.peer("b")
        replicator = a.dial(b, max_attempts=3)
        b.passive.accept = lambda link, who=None: None  # type: ignore[method-assign, assignment]
        with pytest.raises(SyncError, match="no answer"):
            w.sync(replicator)
        assert w.connections == 3


def test_a_wall_clock_that_is_put_back_makes_nobody_wait_longer(tmp_path: Path) -> None:
    with world(tmp_path, 18) as w:
        a, b = w.peer("a"), w.peer("b")
        replicator = a.dial(b, max_attempts=1)
        b.passive.accept = lambda link, who=None: None  # type: ignore[method-assign, assignment]
        w.start(replicator)
        w.elapse(REPLY_TIMEOUT_S / 2)
        a.clock.skew_s = -86_400
        w.elapse(REPLY_TIMEOUT_S / 2 - 1)
        assert replicator.status.value.activity is Activity.BUSY
        w.elapse(2)
        assert replicator.status.value.activity is Activity.STOPPED
        assert "no answer" in str(replicator.status.value.error)
