"""Effects are carried out on a real store."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from settee.doc.records import ConflictPolicy, Outcome, RevisionIn
from settee.errors import DiskFullError, InvalidDocumentError, StoreError
from settee.peer.effects import EffectRunner
from settee.sync.effects import (
    Effect,
    Failed,
    FindMissingBlobs,
    OpenBlob,
    ProveBlob,
    ReadBlob,
    ReadChanges,
    ReadHeld,
    ReadOwnCheckpoints,
    ReadPeerCheckpoints,
    ReadRevisions,
    RecordMarks,
    ReleaseBlobs,
    SaveOwnCheckpoint,
    SavePeerCheckpoint,
    SaveRevisions,
    WriteBlob,
)
from tests.simulation.world import SimPeer, World, world

CONTENT = b"a picture of apples"
DIGEST = "sha1-" + base64.b64encode(hashlib.sha1(CONTENT).digest()).decode()
TID = "1-ff" + "18ea99bb8e3c0000" + "c27b9c1762ef4f6c8c84c185634c7b8d"


class Asker:
    """Asks for effects one at a time."""

    def __init__(self, w: World, peer: SimPeer) -> None:
        self.answers: dict[int, object] = {}
        self._world = w
        store = peer.db._store
        keys = [row.key for row in store.collections()]
        remote = store.write(lambda writer: _remote(writer))
        self.runner = EffectRunner(peer.runtime, store, keys, remote, self.answers.__setitem__)
        self._ticket = 0

    def elapse(self) -> None:
        self._world.elapse(0.001)

    def ask(self, effect: Effect) -> Any:
        self._ticket += 1
        self.runner.run([(self._ticket, effect)])
        self.elapse()
        answer = self.answers.pop(self._ticket)
        if isinstance(answer, Failed):
            raise answer.error
        return answer


def _remote(writer: Any) -> int:
    from settee.store import marks

    return marks.remote_id(writer, "the other one")


@pytest.fixture
def asker(tmp_path: Path) -> Iterator[Asker]:
    with world(tmp_path, 1) as w:
        yield Asker(w, w.peer("a"))


def revision(body: bytes, *blobs: str) -> RevisionIn:
    return RevisionIn("apples", TID, "", False, body, "", blobs)


def test_revisions_are_saved_read_and_announced_with_their_mark(asker: Asker) -> None:
    (applied,) = asker.ask(SaveRevisions(0, [revision(b'{"n":1}')], False))
    assert applied == (Outcome.STORED, 1, TID)
    (held, nothing) = asker.ask(ReadHeld(0, ["apples", "pears"]))
    assert (held.tid, held.mark, nothing) == (TID, TID, None)
    (out,) = asker.ask(ReadRevisions(0, ["apples"]))
    assert (out.doc_id, out.seq, out.body) == ("apples", 1, b'{"n":1}')
    page = asker.ask(ReadChanges(0, 0, 10, None, False))
    assert page.last_seq == 1
    assert [(row.doc_id, row.mark) for row in page.rows] == [("apples", TID)]
    assert asker.ask(RecordMarks(0, [("apples", "9-aa")])) is None
    assert asker.ask(ReadHeld(0, ["apples"]))[0].mark == "9-aa"
    assert asker.ask(ReadChanges(0, 0, 10, frozenset({"pears"}), False)).rows == []


def test_checkpoints_are_kept_on_either_side(asker: Asker) -> None:
    assert asker.ask(ReadOwnCheckpoints(("cp-1", "cp-2"))) == [None, None]
    asker.ask(SaveOwnCheckpoint("cp-1", b"{}"))
    assert asker.ask(ReadOwnCheckpoints(("cp-1", "cp-2"))) == [b"{}", None]
    rev = asker.ask(SavePeerCheckpoint("cp-1", "", b'{"local":1}'))
    assert asker.ask(SavePeerCheckpoint("cp-1", "", b'{"local":2}')) is None
    assert asker.ask(ReadPeerCheckpoints(("cp-1", "x"))) == [(rev, b'{"local":1}'), None]


def test_a_blob_comes_in_pieces_and_is_there_once_its_revision_is_saved(asker: Asker) -> None:
    assert asker.ask(FindMissingBlobs([DIGEST])) == [DIGEST]
    assert asker.ask(OpenBlob(DIGEST, 3)) is None
    assert asker.ask(ProveBlob(DIGEST, b"n" * 20)) is None
    asker.ask(WriteBlob(DIGEST, CONTENT[:5], True, False, len(CONTENT)))
    asker.ask(WriteBlob(DIGEST, CONTENT[5:], False, True, len(CONTENT)))
    assert asker.ask(OpenBlob(DIGEST, 3)) is None, "staged is not stored"
    asker.ask(SaveRevisions(0, [revision(b"{}", DIGEST)], False))
    assert asker.ask(FindMissingBlobs([DIGEST])) == []
    assert asker.ask(OpenBlob(DIGEST, 3)) == (len(CONTENT), CONTENT[:3])
    assert asker.ask(OpenBlob(DIGEST, 1000)) == (len(CONTENT), CONTENT)
    assert asker.ask(ReadBlob(DIGEST, 2, 4)) == CONTENT[2:6]
    expected = hashlib.sha1(b"\x14" + b"n" * 20 + CONTENT).digest()
    proof = asker.ask(ProveBlob(DIGEST, b"n" * 20))
    assert proof == "sha1-" + base64.b64encode(expected).decode()


@pytest.mark.parametrize("content", [b"another picture", CONTENT + b"!"])
def test_a_blob_that_is_not_what_was_asked_for_is_refused_and_removed(
    asker: Asker, content: bytes, tmp_path: Path
) -> None:
    asker.ask(WriteBlob(DIGEST, CONTENT, True, True, None))  # Makes the place for such files.
    files = {p for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(InvalidDocumentError, match="not stored"):
        asker.ask(WriteBlob(DIGEST, content, True, True, None))
    assert {p for p in tmp_path.rglob("*") if p.is_file()} == files


def test_what_was_received_and_not_saved_is_removed_at_the_end(
    asker: Asker, tmp_path: Path
) -> None:
    asker.ask(WriteBlob(DIGEST, CONTENT, True, True, None))
    other = "sha1-" + "A" * 27 + "="
    asker.ask(WriteBlob(other, b"half", True, False, None))
    staging = tmp_path / "a.settee" / "blobs" / "staging"
    before = sorted(p for p in staging.rglob("*") if p.is_file())
    asker.runner.close()
    after = sorted(p for p in staging.rglob("*") if p.is_file())
    assert len(before) - len(after) == 2
    assert [p.suffix for p in after] == [".lock"]
    asker.runner.run([(99, ReadOwnCheckpoints(("cp-1",)))])
    assert 99 not in asker.answers


# --- blobs of a batch -----------------------------------------------------------------------------


class Held:
    """A worker that does nothing until it is told to."""

    def __init__(self, submit: Callable[[Callable[[], None]], None]) -> None:
        self.jobs: list[Callable[[], None]] = []
        self._submit = submit

    def submit(self, job: Callable[[], None]) -> None:
        self.jobs.append(job)

    def go_on(self) -> None:
        jobs, self.jobs = self.jobs, []
        for job in jobs:
            self._submit(job)


def at_a_slow_disk(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> Held:
    """Fetch a blob, and have the disk wait before it is made durable."""
    asker.ask(FindMissingBlobs([DIGEST]))
    asker.ask(piece(CONTENT))
    disk = Held(asker.runner._runtime.placing.submit)
    monkeypatch.setattr(asker.runner._runtime, "placing", disk)
    return disk


def piece(data: bytes) -> WriteBlob:
    digest = "sha1-" + base64.b64encode(hashlib.sha1(data).digest()).decode()
    return WriteBlob(digest, data, True, True, len(data))


def test_blobs_are_written_on_while_others_are_made_durable(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = asker.runner._runtime
    disk = Held(runtime.placing.submit)
    monkeypatch.setattr(runtime, "placing", disk)
    first, second = piece(CONTENT), piece(b"a picture of pears")
    asker.ask(first)
    save = SaveRevisions(0, [revision(b"{}", first.digest)], ConflictPolicy.RESOLVE)
    asker.runner.run([(99, save)])
    asker.ask(second)  # Answered, though the disk is busy with the first.
    assert len(disk.jobs) == 1
    assert 99 not in asker.answers
    disk.go_on()
    asker.elapse()
    assert [each.outcome for each in asker.answers[99]] == [Outcome.STORED]  # type: ignore[attr-defined]


def test_pieces_on_their_way_when_one_could_not_be_written_fail_too(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seed 26 of the simulation, with full disks."""
    blobs = asker.runner._store.blobs

    def full() -> None:
        raise DiskFullError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(blobs, "writer", full)
        with pytest.raises(DiskFullError):
            asker.ask(WriteBlob(DIGEST, CONTENT[:5], True, False, len(CONTENT)))
    with pytest.raises(StoreError, match="was given up"):
        asker.ask(WriteBlob(DIGEST, CONTENT[5:7], False, False, len(CONTENT)))
    with pytest.raises(StoreError, match="was given up"):
        asker.ask(WriteBlob(DIGEST, CONTENT[7:], False, True, len(CONTENT)))
    asker.ask(WriteBlob(DIGEST, CONTENT, True, True, len(CONTENT)))
    asker.ask(SaveRevisions(0, [revision(b"{}", DIGEST)], ConflictPolicy.REFUSE))
    assert blobs.length(DIGEST) == len(CONTENT)


def test_blobs_that_no_revision_names_any_more_are_removed_and_not_kept(
    asker: Asker, tmp_path: Path
) -> None:
    blobs = asker.runner._store.blobs
    other = "sha1-" + "A" * 27 + "="
    assert asker.ask(FindMissingBlobs([DIGEST, other])) == [DIGEST, other]
    asker.ask(WriteBlob(DIGEST, CONTENT, True, True, None))
    assert asker.ask(ReleaseBlobs([DIGEST])) is None
    left = [path for path in blobs.directory.rglob("*") if path.is_file()]
    assert [path for path in left if path.suffix != ".lock"] == []
    assert set(blobs._counted_leases()) == {other}
    asker.ask(WriteBlob(DIGEST, CONTENT, True, True, None))  # As good as never seen.
    asker.ask(SaveRevisions(0, [revision(b"{}", DIGEST)], ConflictPolicy.REFUSE))
    assert blobs.length(DIGEST) == len(CONTENT)


def test_a_blob_is_kept_until_the_last_save_of_a_session_that_has_ended(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs, disk = asker.runner._store.blobs, at_a_slow_disk(asker, monkeypatch)
    save = SaveRevisions(0, [revision(b"{}", DIGEST)], ConflictPolicy.RESOLVE)
    asker.runner.run([(99, save)])
    asker.runner.close()
    asker.elapse()
    assert set(blobs._counted_leases()) == {DIGEST}
    disk.go_on()
    asker.elapse()
    assert blobs.length(DIGEST) == len(CONTENT)
    assert not blobs._counted_leases()


def test_pieces_that_came_together_are_one_job(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = asker.runner._runtime
    worker = Held(runtime.blobs.submit)
    monkeypatch.setattr(runtime, "blobs", worker)
    pieces = [piece(b"%d" % n) for n in range(5)]
    bad = WriteBlob(DIGEST, b"not that", True, True, None)
    asker.runner.run([*((n, each) for n, each in enumerate(pieces)), (5, bad)])
    assert len(worker.jobs) == 1
    worker.go_on()
    asker.elapse()
    assert [asker.answers[n] for n in range(5)] == [None] * 5
    refused = asker.answers[5]
    assert isinstance(refused, Failed)
    assert isinstance(refused.error, InvalidDocumentError)  # Its neighbours are written.


def test_what_relies_on_a_blob_that_could_not_be_made_durable_is_not_saved_either(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs, disk = asker.runner._store.blobs, at_a_slow_disk(asker, monkeypatch)
    put_many = type(blobs).put_many

    def broken_once(store: Any, staged: Any) -> None:
        monkeypatch.setattr(type(blobs), "put_many", put_many)
        # The next batch comes while the disk is at work for the first.
        other = revision(b"{}", DIGEST)._replace(doc_id="pears")
        asker.runner.run([(2, SaveRevisions(0, [other], ConflictPolicy.REFUSE))])
        raise DiskFullError("no space left")

    monkeypatch.setattr(type(blobs), "put_many", broken_once)
    asker.runner.run([(1, SaveRevisions(0, [revision(b"{}", DIGEST)], ConflictPolicy.REFUSE))])
    for _ in range(2):
        disk.go_on()
        asker.elapse()
    for ticket in (1, 2):
        answer = asker.answers[ticket]
        assert isinstance(answer, Failed)
        assert isinstance(answer.error, DiskFullError)
    assert asker.ask(ReadHeld(0, ["apples", "pears"])) == [None, None]


def test_a_batch_whose_blobs_can_not_be_made_durable_leaves_nothing_behind(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = asker.runner._store.blobs
    one = piece(CONTENT)
    assert asker.ask(FindMissingBlobs([one.digest])) == [one.digest]
    asker.ask(one)

    def full(_: object) -> None:
        raise DiskFullError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(type(blobs), "put_many", lambda self, staged: full(staged))
        with pytest.raises(DiskFullError):
            asker.ask(SaveRevisions(0, [revision(b"{}", one.digest)], ConflictPolicy.RESOLVE))
    assert asker.ask(ReadHeld(0, ["apples"])) == [None], "a document would name what is not there"
    left = [path for path in blobs.directory.rglob("*") if path.is_file()]
    assert [path for path in left if path.suffix != ".lock"] == []
    asker.runner.close()  # As the session does at such a failure.
    asker.elapse()
    assert not blobs._counted_leases()
