"""Two peers that have something to tell each other, and the wire between them.

The left one dials, the right one listens. They have met before; since then each has made, changed
and deleted documents and hung blobs on them, and both changed one. So one connection holds all of
the protocol: checkpoints, proposals, blobs both ways, a conflict. With TLS they know each other, so
deltas travel and the checkpoint of last time is used; without it the address of the wire is new to
them, and all is compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from settee import TLSIdentity
from settee.clock import InlineWorkers
from settee.db.blob import Blob
from settee.db.database import Database
from settee.errors import SetteeError
from settee.ids import CollectionName
from settee.net.tls import Trust
from settee.peer.active import ActivePeer, ReplicatorOptions
from settee.peer.attach import attach
from settee.peer.passive import ListenerOptions, PassivePeer
from settee.peer.runtime import Runtime
from settee.peer.target import Target
from settee.sync.events import DocumentsReplicated
from tests.proxy.faults import FaultProxy
from tests.proxy.loop import JumpingLoop
from tests.proxy.plan import Scene
from tests.simulation.world import SimPeer

DEFAULT: Final = CollectionName.parse("_default")
FORGOTTEN_S: Final = 100.0
"""After so long everybody has given up every connection that is dead: more than 60 s + 20 s."""
PICTURE_BYTES: Final = 1500
MEMORY: Final = "/dev/shm"
"""Where a disk that takes its time is not what is tried."""
PLAIN: Final = Scene(name="nothing is done")

Contents = dict[str, tuple[Any, ...]]


class HarmDoneError(AssertionError):
    """Something that must not be, after a scene."""


class _Clock:
    """A clock on the loop's time, with chance from a seed: the same bytes each time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seed: str) -> None:
        self._loop = loop
        self._random = random.Random(seed)

    def monotonic(self) -> float:
        return self._loop.time()

    def wall_ns(self) -> int:
        return 1_800_000_000_000_000_000 + int(self._loop.time() * 1e9)

    def random_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)


class Peer:
    """A database on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, directory: Path, name: str) -> None:
        workers = InlineWorkers()
        clock = _Clock(loop, f"{name} {loop.time()}")
        self.db: Final = Database._open(
            directory / f"{name}.settee", clock=clock, workers=workers, durability="memory"
        )
        self.runtime: Final = Runtime(clock, workers, loop=loop)
        attach(self.db, self.runtime)
        self.acknowledged: Final[set[str]] = set()
        """Documents that the other side said it has."""

    contents = SimPeer.contents

    def pictures(self) -> dict[str, bytes]:
        """Return all blobs, read to the end."""
        return {
            document.id: document["image"].read()
            for document in self.db.default_collection.documents()
            if "image" in document
        }

    def told(self, event: DocumentsReplicated) -> None:
        if event.pushed:
            self.acknowledged.update(d.doc_id for d in event.documents if d.error is None)


class _Errors(logging.Handler):
    """Keeps what should never be logged: errors of ours."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: Final[list[str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


class Stage:
    """Plays scenes, each with two fresh copies of the same two databases."""

    def __init__(self, directory: Path) -> None:
        self._directory: Final = directory
        self._identity: Final = TLSIdentity.create("wire", hosts=["127.0.0.1"])
        self._loop: Final = JumpingLoop()
        self._errors: Final = _Errors()
        self._count = 0
        self._loop.set_exception_handler(
            lambda _, context: self._errors.found.append(repr(context))
        )
        for name in ("settee", "asyncio"):
            logging.getLogger(name).addHandler(self._errors)
        (directory / "seeded").mkdir()
        self._run(self._seed(directory / "seeded"))

    def close(self) -> None:
        """End the loop."""
        for name in ("settee", "asyncio"):
            logging.getLogger(name).removeHandler(self._errors)
        self._loop.close()

    def play(self, scene: Scene, seed: int = 0) -> dict[str, int]:
        """Play one; return how many bytes passed. Raises HarmDoneError."""
        self._errors.found.clear()
        self._count += 1
        place = self._directory / str(self._count)
        place.mkdir()
        for name in ("left", "right"):
            shutil.copytree(self._directory / "seeded" / f"{name}.settee", place / f"{name}.settee")
        try:
            passed = self._run(self._play(scene, seed, place))
        finally:
            shutil.rmtree(place)
        _demand(not self._errors.found, "logged: " + "\n".join(self._errors.found))
        return passed

    def _run(self, work: Any) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(3600):
                return await work

        return self._loop.run_until_complete(bounded())

    # --- what was before ---

    async def _seed(self, directory: Path) -> None:
        left, right = (Peer(self._loop, directory, name) for name in ("left", "right"))
        chance = random.Random("pictures")
        text = "".join(chance.choice("abcdefgh ") for _ in range(900))
        for name, peer in (("left", left), ("right", right)):
            for what in ("changed", "deleted", "long"):
                peer.db.default_collection[f"{name}-{what}"] = {"n": 0, "text": text}
        left.db.default_collection["both"] = {"n": 0}
        passive = await self._listen(right, tls=True)
        error = await self._sync(left, passive.port, tls=True)
        assert error is None, error
        await passive.stop(final=True)
        for name, peer in (("left", left), ("right", right)):
            documents = peer.db.default_collection
            documents[f"{name}-changed"] = {"n": 1, "text": "new"}
            documents[f"{name}-long"] = {"n": 1, "text": text}
            del documents[f"{name}-deleted"]
            picture = chance.randbytes(PICTURE_BYTES)
            documents[f"{name}-new"] = {"image": Blob.from_bytes(picture, "image/png")}
            documents["both"] = {"n": name}
            await asyncio.sleep(1)
        self._pictures = left.pictures() | right.pictures()
        for peer in (left, right):
            peer.db.close()

    # --- one scene ---

    async def _listen(self, peer: Peer, *, tls: bool) -> PassivePeer:
        options = ListenerOptions(
            path="db",
            collections=(DEFAULT,),
            host="127.0.0.1",
            identity=self._identity if tls else None,
            delta_sync=True,
        )
        passive = PassivePeer(peer.db, options, peer.runtime)
        passive.document_listeners.append(lambda _, event: peer.told(event))
        await passive.start()
        return passive

    async def _sync(self, peer: Peer, port: int, *, tls: bool) -> SetteeError | None:
        """Replicate once, with one attempt."""
        options = ReplicatorOptions(
            targets=(Target(tls, "127.0.0.1", port, "db"),),
            collections=(DEFAULT,),
            trust=Trust(pins=(bytes.fromhex(self._identity.fingerprint),)),
            max_attempts=1,
        )
        active = ActivePeer(peer.db, options, peer.runtime)
        active.document_listeners.append(peer.told)
        await active.start()
        await active.finished()
        return active.status.value.error

    async def _play(self, scene: Scene, seed: int, place: Path) -> dict[str, int]:
        async with contextlib.AsyncExitStack() as stack:
            left, right = (Peer(self._loop, place, name) for name in ("left", "right"))
            stack.callback(left.db.close)
            stack.callback(right.db.close)
            passive = await self._listen(right, tls=scene.tls)
            stack.push_async_callback(passive.stop, final=True)
            proxy = FaultProxy(passive.port, seed)
            stack.push_async_callback(proxy.close)
            await asyncio.sleep(0)
            before = _held()
            proxy.scene = scene
            await self._sync(left, proxy.port, tls=scene.tls)
            passed = dict(proxy.passed)
            _check_acknowledged(left, right)
            _check_acknowledged(right, left)
            proxy.scene = None
            error = await self._sync(left, proxy.port, tls=scene.tls)
            _demand(error is None, f"with a sound wire: {error}")
            self._check_equal(left, right)
            await asyncio.sleep(FORGOTTEN_S)
            _demand(not passive.connections, f"still there: {passive.connections}")
            after = _held()
            _demand(after == before, f"tasks and handles: {before} before, {after} after")
            return passed

    def _check_equal(self, left: Peer, right: Peer) -> None:
        contents, theirs = left.contents(), right.contents()
        differ = [key for key in contents | theirs if contents.get(key) != theirs.get(key)]
        _demand(not differ, f"not equal at the end: {', '.join(sorted(differ))}")
        _demand(len(contents) == 9, f"documents: {sorted(contents)}")
        for name in ("left", "right"):
            _demand(contents[f"_default/{name}-deleted"][0], f"{name}-deleted came back")
            _demand(b'"n":1' in contents[f"_default/{name}-changed"][1], f"{name}-changed is old")
        _demand(left.pictures() == self._pictures == right.pictures(), "pictures differ")


def _check_acknowledged(mine: Peer, other: Peer) -> None:
    """What was acknowledged is there at once, whatever happened to the rest."""
    ours, theirs = mine.contents(), other.contents()
    for doc_id in mine.acknowledged - {"both"}:
        key = f"_default/{doc_id}"
        _demand(theirs.get(key) == ours[key], f"{doc_id} was acknowledged and is not there")


def _held() -> tuple[int, list[str]]:
    """Return how many tasks there are, and what is open but for databases and their locks."""
    files = []
    for handle in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # The handle that the list itself was read with.
            files.append(os.readlink(f"/proc/self/fd/{handle}"))
    held = [name for name in files if "sqlite" not in name and not name.endswith(".lock")]
    return len(asyncio.all_tasks()), sorted(held)


def _demand(holds: bool, else_: str) -> None:
    if not holds:
        raise HarmDoneError(else_)


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """Set one up in a place of its own, and take it down."""
    memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="settee-proxy-", dir=memory) as directory:
        made = Stage(Path(directory))
        try:
            yield made
        finally:
            made.close()
