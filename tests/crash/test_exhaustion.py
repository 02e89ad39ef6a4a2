"""What runs out: file descriptors of a listener; and a caller's patience, at any await.

Slow: a process with few descriptors; the same scene once for each await in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import threading
from collections.abc import Awaitable, Generator
from pathlib import Path
from typing import Any

import pytest

from settee import Blob, Database, ReplicationResult, Replicator, URLEndpointListener
from settee.aio import Database as AsyncDatabase
from tests.crash import work

pytestmark = pytest.mark.slow

WAIT_S = 30.0


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _serve_with_few(place: Path, say: work.Say) -> None:
    with (
        Database(place) as db,
        URLEndpointListener(db, host="127.0.0.1", tls=False, allow_anonymous=True) as listener,
    ):
        say({"url": listener.urls[0], "port": listener.port})
        arrived = threading.Event()
        db.default_collection.on_change(lambda _: arrived.set())
        assert arrived.wait(WAIT_S)
        say("first")
        arrived.clear()
        with contextlib.ExitStack() as readers:  # As many as will be needed at once stay open.
            for _ in range(4):
                readers.enter_context(db._store.reader())
        limit = _descriptors() + 12
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        say("few")
        assert arrived.wait(WAIT_S)
        say(sorted(db.default_collection))
        threading.Event().wait(WAIT_S)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors as Linux does")
def test_a_listener_without_descriptors_keeps_its_links_and_takes_others_again(
    tmp_path: Path,
) -> None:
    child = work.Child(lambda say: _serve_with_few(tmp_path / "b.settee", say))
    child.until(1)
    url, port = child.lines[0]["url"], child.lines[0]["port"]
    sockets: list[socket.socket] = []
    with Database(tmp_path / "a.settee") as a:
        replicator = Replicator(a, url, continuous=True)
        replicator.start()
        try:
            a.default_collection["one"] = {}
            child.until(3)
            assert child.lines[1:] == ["first", "few"]
            sockets += [socket.create_connection(("127.0.0.1", port), 5) for _ in range(30)]
            a.default_collection["two"] = {}
            child.until(4)
            assert child.lines[3:] == [["one", "two"]]
        finally:
            for each in sockets:
                each.close()
            replicator.stop()
        result: ReplicationResult = a.replicate(url)
        assert not result.errors
    child.kill()


class _CancelledAt:
    """Runs a coroutine, and cancels its task at the k-th await that waits."""

    def __init__(self, work: Awaitable[None], k: int) -> None:
        self._work = work
        self._left = k
        self.was_cancelled = False

    def __await__(self) -> Generator[Any, Any, None]:
        steps = self._work.__await__()
        waited = None
        while True:
            try:
                waited = steps.send(None)
            except StopIteration:
                return
            self._left -= 1
            if self._left == 0:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                self.was_cancelled = True
            try:
                yield waited
            except BaseException as exc:
                try:
                    waited = steps.throw(exc)
                except StopIteration:
                    return
                yield waited


async def _scene(place: Path) -> None:
    async with AsyncDatabase(place / "a.settee") as a, AsyncDatabase(place / "b.settee") as b:
        items = a.default_collection
        await items.put("one", {"n": 1, "image": Blob.from_bytes(b"picture" * 1000)})
        async with a.transaction():
            await items.put("two", {"n": 2})
            await items.delete("one")
        await b.default_collection.put("three", {"n": 3})
        await a.replicate(b)
        await a.compact()
        assert await b.default_collection.count() == 2


def test_a_task_cancelled_at_any_await_leaves_nothing_behind(tmp_path: Path) -> None:
    k = 0
    base_threads = threading.active_count()
    asyncio.run(_scene(tmp_path / "warm-up"))
    base = _descriptors()
    while True:
        k += 1
        place = tmp_path / str(k)

        async def whole(k: int = k, place: Path = place) -> bool:
            cancelled = _CancelledAt(_scene(place), k)

            async def run() -> None:
                await cancelled

            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait_for(asyncio.create_task(run()), WAIT_S)
            assert asyncio.all_tasks() == {asyncio.current_task()}, f"k={k}: a task is left"
            return cancelled.was_cancelled

        was_cancelled = asyncio.run(whole())
        for thread in threading.enumerate():  # An opening that nobody waits for ends by itself.
            if thread is not threading.current_thread():
                thread.join(WAIT_S)
        assert threading.active_count() == base_threads, f"k={k}: {threading.enumerate()}"
        assert _descriptors() <= base, f"k={k}: a descriptor is left"
        for name in "ab":  # No lock, lease or transaction: all of it works at once.
            with Database(place / f"{name}.settee") as db:
                db.default_collection["after"] = {}
                assert db.check() == []
                staging = db.path / "blobs" / "staging"
                assert not staging.exists() or os.listdir(staging) == []
        if not was_cancelled:
            break
    assert k > 10
