"""Two databases of one program replicate without sockets, and the link between them."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from settee import (
    Activity,
    Blob,
    ClosedError,
    ConfigError,
    Database,
    DocumentsReplicated,
    PeerError,
    Replicator,
    SyncError,
)
from settee.clock import InlineWorkers, SystemClock
from settee.limits import WRITE_BUFFER_BYTES_MAX
from settee.net.link import CloseInfo, Link
from settee.peer.local import MemoryLink, link_pair
from settee.peer.runtime import Runtime

pytestmark = pytest.mark.feature("END-02")


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Database]:
    with Database("one", directory=tmp_path, durability="memory") as db:
        yield db


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Database]:
    with Database("two", directory=tmp_path, durability="memory") as db:
        yield db


def test_one_call_makes_both_equal_without_opening_a_socket(
    one: Database, two: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.default_collection.save_many((f"a{n}", {"n": n}) for n in range(300))
    two.default_collection.save_many((f"b{n}", {"n": n}) for n in range(200))
    picture = b"\x89PNG" * 100_000
    two.default_collection["picture"] = {"image": Blob.from_bytes(picture, "image/png")}

    def none(*_: Any, **__: Any) -> Any:
        raise AssertionError("no connection is needed")

    monkeypatch.setattr(socket, "create_connection", none)
    monkeypatch.setattr(socket.socket, "connect", none)
    monkeypatch.setattr(socket.socket, "listen", none)
    result = one.replicate(two)
    assert (result.pushed, result.pulled, result.errors) == (300, 201, ())
    assert result.bytes_pulled > len(picture)
    assert sorted(one.default_collection) == sorted(two.default_collection)
    assert one.default_collection["picture"]["image"].read() == picture
    again = one.replicate(two)
    assert (again.pushed, again.pulled) == (0, 0)
    assert two.replicate(one).pushed == 0


def test_a_continuous_one_has_the_same_statuses_and_events(one: Database, two: Database) -> None:
    seen: list[DocumentsReplicated] = []
    activities: list[Activity] = []
    with Replicator(one, two, continuous=True) as replicator:
        assert "local:" in repr(replicator)
        replicator.on_documents(seen.append)
        replicator.on_status(lambda status: activities.append(status.activity))
        assert replicator.wait_for("idle", timeout=10)
        arrived = threading.Event()
        one.default_collection.on_change(lambda change: arrived.set())
        two.default_collection["x"] = {"n": 1}
        assert arrived.wait(10)
        assert one.default_collection["x"]["n"] == 1
        assert replicator.wait_for("idle", timeout=10)
        assert replicator.server_certificate is None
    assert replicator.status.activity is Activity.STOPPED
    assert replicator.status.error is None


def test_collections_directions_and_reset_work_as_over_a_network(
    one: Database, two: Database
) -> None:
    for db in (one, two):
        db.collection("shop.items", create=True)
        db.collection("shop.items")[f"from-{db.name}"] = {"n": 1}
    assert one.replicate(two, collections=["shop.items"], replicator_type="push").pushed == 1
    assert one.replicate(two, collections=["shop.items"], replicator_type="pull").pulled == 1
    one.collection("only.here", create=True)
    with pytest.raises(SyncError, match=r"only\.here"):
        one.replicate(two, collections=["only.here"])


def test_a_conflict_ends_alike_on_both_sides(one: Database, two: Database) -> None:
    one.default_collection["x"] = {"n": 0}
    one.replicate(two)
    one.default_collection["x"] = {"n": "one"}
    two.default_collection["x"] = {"n": "two"}
    one.replicate(two)
    one.replicate(two)
    assert one.default_collection["x"]["n"] == two.default_collection["x"]["n"]


def test_closing_the_other_database_stops_for_good_with_a_reason(
    one: Database, two: Database
) -> None:
    replicator = Replicator(one, two, continuous=True)
    replicator.start()
    assert replicator.wait_for("idle", timeout=10)
    two.close()
    assert replicator.wait_for("stopped", timeout=10)
    assert "the other database was closed" in str(replicator.status.error)
    replicator.start()
    with pytest.raises(ClosedError):
        replicator.wait_for("idle", timeout=10)
    replicator.stop()


def test_closing_the_own_database_leaves_the_other_one_usable(one: Database, two: Database) -> None:
    replicator = Replicator(one, two, continuous=True)
    replicator.start()
    assert replicator.wait_for("idle", timeout=10)
    one.close()
    assert replicator.status.activity is Activity.STOPPED
    two.default_collection["x"] = {"n": 1}


def test_a_database_is_no_target_of_its_own(one: Database) -> None:
    with pytest.raises(ConfigError, match="itself"):
        Replicator(one, one)


# --- the link -------------------------------------------------------------------------------------


class Ears:
    """The user of one end."""

    def __init__(self, link: MemoryLink) -> None:
        self.link: Link = link
        self.frames: list[bytes] = []
        self.writable = 0
        self.info: CloseInfo | None = None

    def on_frames(self, frames: list[bytes]) -> None:
        if frames == [b"bug"]:
            raise ZeroDivisionError
        self.frames += frames

    def on_writable(self) -> None:
        self.writable += 1

    def on_closed(self, info: CloseInfo) -> None:
        assert self.info is None, "told once"
        self.info = info


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.fixture
def ends(loop: asyncio.AbstractEventLoop) -> Iterator[tuple[Ears, Ears]]:
    runtimes = [Runtime(SystemClock(), InlineWorkers(), loop=loop) for _ in range(2)]
    mine, theirs = link_pair(*runtimes)
    ears = Ears(mine), Ears(theirs)
    yield ears
    for runtime in runtimes:
        runtime.close()


def turn(loop: asyncio.AbstractEventLoop, times: int = 6) -> None:
    for _ in range(times):
        loop.call_soon(loop.stop)
        loop.run_forever()


def attach(*ears: Ears) -> None:
    for each in ears:
        each.link.attach(each)


def test_frames_arrive_in_order_also_those_sent_before_anybody_listened(
    loop: asyncio.AbstractEventLoop, ends: tuple[Ears, Ears]
) -> None:
    mine, theirs = ends
    attach(mine)
    mine.link.send([b"1", bytearray(b"2")])  # type: ignore[list-item]
    turn(loop)
    attach(theirs)
    mine.link.send([b"3"])
    theirs.link.send([b"back"])
    turn(loop)
    assert theirs.frames == [b"1", b"2", b"3"]
    assert mine.frames == [b"back"]
    assert theirs.link.peer.user_agent.startswith("settee/")


def test_what_is_under_way_is_bounded_and_a_pause_holds_the_sender_up(
    loop: asyncio.AbstractEventLoop, ends: tuple[Ears, Ears]
) -> None:
    mine, theirs = ends
    attach(mine, theirs)
    theirs.link.pause()
    count = 0
    while mine.link.writable:
        mine.link.send([b"x" * 10_000])
        count += 1
        turn(loop)
    assert WRITE_BUFFER_BYTES_MAX <= count * 10_000 < WRITE_BUFFER_BYTES_MAX + 10_000
    assert (theirs.frames, mine.writable) == ([], 0)
    theirs.link.resume()
    turn(loop)
    assert len(theirs.frames) == count
    assert mine.writable == 1
    assert mine.link.writable


@pytest.mark.parametrize(
    ("code", "kind", "transient"),
    [(1000, None, None), (1001, None, None), (4001, PeerError, True), (4002, PeerError, False)],
)
def test_a_close_is_told_to_both_ends_once_with_what_it_means(
    loop: asyncio.AbstractEventLoop,
    ends: tuple[Ears, Ears],
    code: int,
    kind: type[SyncError] | None,
    transient: bool | None,
) -> None:
    mine, theirs = ends
    attach(mine, theirs)
    mine.link.close(code, "so\nlong")
    mine.link.close(1000)
    mine.link.send([b"too late"])
    theirs.link.send([b"crossing"])
    turn(loop)
    assert mine.info == CloseInfo(code=code, reason="so\nlong", clean=True)
    assert theirs.info is not None
    assert (theirs.info.code, theirs.info.by_peer, theirs.info.clean) == (code, True, True)
    error = theirs.info.error
    assert error is None if kind is None else isinstance(error, kind)
    assert error is None or error.transient is transient
    assert (mine.frames, theirs.frames) == ([], [])
    mine.link.abort()
    turn(loop)


def test_both_may_close_at_once(loop: asyncio.AbstractEventLoop, ends: tuple[Ears, Ears]) -> None:
    mine, theirs = ends
    attach(mine, theirs)
    mine.link.close(1000)
    theirs.link.close(4001)
    turn(loop)
    assert (mine.info.code, theirs.info.code) == (1000, 4001)  # type: ignore[union-attr]


def test_an_abort_is_a_lost_connection_to_the_other_end(
    loop: asyncio.AbstractEventLoop, ends: tuple[Ears, Ears]
) -> None:
    mine, theirs = ends
    attach(mine)
    mine.link.abort()
    turn(loop)
    attach(theirs)
    assert (mine.info.code, mine.info.error) == (1006, None)  # type: ignore[union-attr]
    assert theirs.info is not None
    assert theirs.info.error is not None
    assert theirs.info.error.transient


def test_a_user_that_raises_ends_the_link(
    loop: asyncio.AbstractEventLoop, ends: tuple[Ears, Ears], caplog: pytest.LogCaptureFixture
) -> None:
    mine, theirs = ends
    attach(mine, theirs)
    mine.link.send([b"bug"])
    turn(loop)
    assert theirs.info is not None
    assert theirs.info.code == 1011
    assert mine.info is not None
    assert mine.info.error is not None
    assert "ZeroDivisionError" in caplog.text
