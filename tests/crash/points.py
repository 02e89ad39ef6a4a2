"""``kill -9`` at named points: before or after a function's call, in a child that is patched.

The product knows nothing of it. A point that no work reaches is a find: the table has to be true.
"""

from __future__ import annotations

import functools
import importlib
import os
import random
import signal
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tests.crash import work
from tests.crash.images import folder


class Point(NamedTuple):
    """Where a process dies."""

    target: str
    """``module:Name.of.function``."""
    when: str
    """``"before"`` or ``"after"`` the call."""
    scenario: str = "local"
    """``"local"``: a script on one database; ``"sync"``: two that replicate, and a copy."""


def _both(name: str, target: str, scenario: str = "local") -> dict[str, Point]:
    return {f"{when} {name}": Point(target, when, scenario) for when in ("before", "after")}


_STORE, _DB, _PEER = "settee.store", "settee.db", "settee.peer"

POINTS: Final[dict[str, Point]] = {
    # Opening.
    **_both("a connection is opened", f"{_STORE}.store:open_connection"),
    **_both("the file is set up", f"{_STORE}.schema:set_up_file"),
    **_both("the names are durable", f"{_STORE}.store:Store._make_names_durable"),
    **_both("the schema is upgraded", f"{_STORE}.schema:upgrade"),
    "in a step of the schema": Point(f"{_STORE}.schema:create_documents_table", "after"),
    "after the identity is read": Point(f"{_STORE}.store:Store._read_identity", "after"),
    **_both("left-overs are swept", f"{_STORE}.blobs:BlobStore.sweep"),
    "after the mark of an open database": Point(f"{_DB}.location:OpenMark.__init__", "after"),
    # Saving.
    **_both("documents are written", f"{_STORE}.documents:save"),
    "after a sequence is taken": Point(f"{_STORE}.writer:Writer.advance", "after"),
    "after a transaction begins": Point(f"{_STORE}.writer:Writer.begin", "after"),
    **_both("a commit", f"{_STORE}.writer:Writer.commit"),
    "between commit and answer": Point(f"{_STORE}.commits:GroupCommit._commit_group", "after"),
    "before listeners are told": Point(f"{_STORE}.commits:GroupCommit._tell", "before"),
    "in a caller's transaction": Point(f"{_STORE}.transaction:Transaction.adopt", "after"),
    **_both("a caller's commit", f"{_STORE}.transaction:Transaction.commit"),
    # Removing.
    **_both("a purge", f"{_STORE}.documents:purge"),
    "after an expiry is set": Point(f"{_STORE}.documents:expire", "after"),
    "before what has expired goes": Point(f"{_DB}.expiry:Expiry._purge", "before"),
    "after what has expired goes": Point(f"{_DB}.expiry:Expiry._purge", "after"),
    "after a collection is made": Point(f"{_STORE}.store:make_collection", "after"),
    "after a collection is dropped": Point(f"{_STORE}.store:drop_collection", "after"),
    # Compacting.
    **_both("blobs are collected", f"{_STORE}.blobs:BlobStore.remove_unneeded"),
    **_both("one blob is collected", f"{_STORE}.blobs:BlobStore._remove_if_old"),
    "in the rewriting of the file": Point(f"{_STORE}.maintenance:compact", "after"),
    **_both("a reindex", f"{_STORE}.maintenance:reindex"),
    # Blobs.
    "after a blob's folder is made": Point(f"{_STORE}.files:MachineFiles.make_folder", "after"),
    "after a blob's file is made": Point(f"{_STORE}.files:MachineFiles.create", "after"),
    "after a piece of a blob": Point(f"{_STORE}.files:MachineFiles.write", "after"),
    "after a blob is whole": Point(f"{_STORE}.blob_files:BlobWriter.finish", "after"),
    **_both("a blob is synced", f"{_STORE}.files:MachineFiles.sync"),
    **_both("a blob is named", f"{_STORE}.files:MachineFiles.rename"),
    **_both("the names are synced", f"{_STORE}.files:MachineFiles.sync_folder"),
    **_both("a batch of blobs", f"{_STORE}.blobs:BlobStore.put_many"),
    # Pulling.
    "before an offer is answered": Point(
        "settee.sync.puller:Puller._announced_held", "before", "sync"
    ),
    "after an offer is answered": Point(
        "settee.sync.puller:Puller._announced_held", "after", "sync"
    ),
    "after a revision is received": Point("settee.sync.puller:Puller.revs", "after", "sync"),
    "before what is stored is acknowledged": Point(
        "settee.sync.puller:Puller._saved", "before", "sync"
    ),
    "after what is stored is acknowledged": Point(
        "settee.sync.puller:Puller._saved", "after", "sync"
    ),
    **_both("revisions are stored", f"{_STORE}.revisions:apply", "sync"),
    **_both("a piece of a blob arrives", f"{_PEER}.effects:EffectRunner._write_blob", "sync"),
    "before blobs are placed": Point(
        f"{_PEER}.effects:EffectRunner._place_then_save", "before", "sync"
    ),
    "between commit and acknowledgement": Point(
        f"{_PEER}.effects:EffectRunner._written", "before", "sync"
    ),
    # Pushing.
    "after the feed is read": Point(f"{_STORE}.feed:changes", "after", "sync"),
    "after revisions are read": Point(f"{_STORE}.revisions:read", "after", "sync"),
    **_both("marks are stored", f"{_STORE}.marks:record", "sync"),
    **_both("our checkpoint is stored", f"{_STORE}.checkpoints:save_own", "sync"),
    **_both("the peer's checkpoint is stored", f"{_STORE}.checkpoints:set_peer", "sync"),
    "after bases are kept": Point(f"{_STORE}.bases:enable", "after", "sync"),
    # Listening.
    "after a listener has started": Point(
        f"{_PEER}.listener:URLEndpointListener.start", "after", "sync"
    ),
    "after a link is accepted": Point(f"{_PEER}.passive:PassivePeer.accept", "after", "sync"),
    "after a session starts": Point(f"{_PEER}.driver:SessionDriver.start", "after", "sync"),
    "before a session ends": Point(f"{_PEER}.driver:SessionDriver._finish", "before", "sync"),
    # Copying.
    "after the file is copied": Point(f"{_STORE}.copying:_copy_file", "after", "sync"),
    "after a copy is another": Point(f"{_STORE}.copying:_become_another", "after", "sync"),
    **_both("the copy's blobs", f"{_STORE}.copying:_bring_blobs", "sync"),
    "after the copy is made": Point(f"{_STORE}.copying:_make", "after", "sync"),
    # Closing.
    **_both("closing", f"{_STORE}.store:Store.close"),
    "after the writes end": Point(f"{_STORE}.commits:GroupCommit.close", "after"),
    "after the readers close": Point(f"{_STORE}.reading:ReaderPool.close", "after"),
    "after the blobs close": Point(f"{_STORE}.blobs:BlobStore.close", "after"),
}

STEPS: Final = 120
"""So many that each kind of step comes."""


def found(target: str) -> tuple[Any, str, Callable[..., Any]]:
    """Return (owner, name, function) of a target. Raises AttributeError if there is none."""
    module, _, path = target.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for each in outer:
        owner = getattr(owner, each)
    return owner, name, getattr(owner, name)


def plant(point: Point, k: int) -> None:
    """Let this process die at the k-th time that the point is reached."""
    owner, name, real = found(point.target)
    calls = 0

    @functools.wraps(real)
    def dies(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        mine = calls
        if mine == k and point.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **options)
        if mine == k and point.when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, dies)


def run(name: str, times: int = 1) -> dict[str, Any]:
    """Die at a point so many times, each with other work; return figures."""
    wrong: list[str] = []
    reached = 0
    for turn in range(times):
        k = 1 if turn == 0 else random.Random(f"{name} {turn}").randrange(1, 6)
        while True:
            hit, lines = _die(name, k, f"{name} {turn}")
            wrong.extend(f"points {name!r} turn={turn} k={k}: {line}" for line in lines)
            if hit or k == 1:
                break
            k = 1  # It is not reached so often in this work.
        if hit:
            reached += 1
        else:
            wrong.append(f"points {name!r} turn={turn}: the point was not reached")
    return {"points": 1, "deaths": reached, "found": wrong}


def _die(name: str, k: int, seed: str) -> tuple[bool, list[str]]:
    point = POINTS[name]
    with folder() as root:
        place = root / "a.settee"

        def live(say: work.Say) -> None:
            plant(point, k)
            if point.scenario == "sync":
                work.both(root, say)
            else:
                work.live(place, seed, say, count=STEPS)

        child = work.Child(live)
        code = child.wait()
        lines = child.lines
        errors = [str(line) for line in lines if isinstance(line, dict) and "error" in line]

        def judge(say: work.Say) -> None:
            if point.scenario == "sync":
                work.judge_sync(root, lines, say)
            else:
                work.judge_local(place, seed, lines, say, count=STEPS)

        return code == -signal.SIGKILL, errors + work.verified(judge)
