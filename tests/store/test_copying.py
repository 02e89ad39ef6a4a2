from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from settee.clock import InlineWorkers, ThreadWorkers
from settee.doc.records import RevisionIn
from settee.doc.version import parse_vector
from settee.errors import (
    DatabaseInUseError,
    DiskFullError,
    ExistsError,
    NewerSchemaError,
    NotADatabaseError,
    NotFoundError,
)
from settee.store import (
    Store,
    checkpoints,
    copying,
    documents,
    feed,
    marks,
    revisions,
    schema,
    trust,
)
from settee.store.copying import copy_database
from settee.store.documents import Edit
from settee.store.files import MachineFiles
from settee.store.leases import FileLock
from settee.store.maintenance import check
from tests.store.conftest import FakeClock, Opener


def _fill(store: Store) -> str:
    digest = store.blobs.put(b"picture")

    def job(writer):
        body = b'{"p":{"@type":"blob","digest":"%s"}}' % digest.encode()
        documents.save(writer, 1, [Edit("a", b'{"n":1}'), Edit("p", body, False, (digest,))])
        remote = marks.remote_id(writer, "wss://peer/db")
        marks.record(writer, remote, 1, [("a", "1-x")])
        checkpoints.save_own(writer, "cp-1", b"{}")
        checkpoints.set_peer(writer, "cp-2", "", b"{}")
        trust.remember(writer, "wss://peer/db", b"f" * 32)
        writer.run("INSERT INTO meta(name, value) VALUES ('cookies:peer', 'secret')")

    store.write(job)
    return digest


def _rest(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir() if each.name.startswith("."))


@pytest.mark.feature("DB-10")
def test_a_copy_has_the_data_and_is_a_database_of_its_own(
    open_store: Opener, tmp_path: Path
) -> None:
    store = open_store()
    digest = _fill(store)
    target = tmp_path / "sub" / "copy.settee"
    assert copy_database(store.directory, target, clock=FakeClock("copy"))
    copy = open_store(target)
    with store.reader() as reader, copy.reader() as other:
        assert documents.iterate(other, 1) == documents.iterate(reader, 1)
        assert feed.last_seq(other, 1) == feed.last_seq(reader, 1)
        clocks = [
            r.row("SELECT value FROM meta WHERE name = 'hybrid_time'") for r in (reader, other)
        ]
        assert clocks[0] == clocks[1]
        assert marks.remotes(other) == []
        assert other.row("SELECT count(*) FROM marks") == (0,)
        assert checkpoints.own(other, "cp-1") is checkpoints.peer(other, "cp-2") is None
        assert trust.remembered(other, "wss://peer/db") == b"f" * 32
        assert other.row("SELECT 1 FROM meta WHERE name GLOB 'cookies:*'") is None
        assert checkpoints.own(reader, "cp-1") == b"{}", "the original keeps its own"
    names = {store.private_uuid, store.public_uuid, copy.private_uuid, copy.public_uuid}
    assert len(names) == 4
    assert copy.blobs.read(digest) == b"picture"
    assert check(copy) == []
    assert not (target / "sync.lock").exists()
    assert b"secret" not in (target / "db.sqlite3").read_bytes()
    assert _rest(target.parent) == []


@pytest.mark.feature("DB-10")
def test_an_edit_of_both_is_two_versions_by_two_authors(open_store: Opener, tmp_path: Path) -> None:
    """FM-10: with one author's name the two could pass for one and the same version."""
    store = open_store()
    _fill(store)
    target = tmp_path / "copy.settee"
    copy_database(store.directory, target, clock=FakeClock("copy"))
    copy = open_store(target)
    for each in (store, copy):
        each.write(lambda writer: documents.save(writer, 1, [Edit("a", b'{"n":2}')]))
    with store.reader() as reader, copy.reader() as other:
        rows = [documents.get(each, 1, "a") for each in (reader, other)]
    versions = [parse_vector(row.vector).cv for row in rows if row is not None]
    assert versions[0].source == store.source != versions[1].source == copy.source
    assert rows[0] is not None
    revision = RevisionIn("a", rows[0].tid, "", False, rows[0].body, rows[0].vector, ())
    answer = copy.write(
        lambda writer: revisions.apply(
            writer, 1, [revision], remote=None, policy=revisions.ConflictPolicy.REFUSE
        )
    )
    assert answer[0].outcome.name == "REFUSED", "a conflict, not the same revision"


def test_blobs_are_linked_and_outlive_the_original(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    digest = _fill(store)
    target = tmp_path / "copy.settee"
    copy_database(store.directory, target, clock=FakeClock("copy"))
    blob = next((target / "blobs").iterdir())
    assert blob.stat().st_nlink == 2
    store.close()
    shutil.rmtree(store.directory)
    assert open_store(target).blobs.read(digest) == b"picture"


def test_blobs_are_copied_where_they_cannot_be_linked(
    open_store: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    store = open_store()
    digest = _fill(store)
    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "copy.settee"
    copy_database(store.directory, target, clock=FakeClock("copy"))
    assert next((target / "blobs").iterdir()).stat().st_nlink == 1
    assert open_store(target).blobs.read(digest) == b"picture"


def test_a_copy_made_while_others_write_is_one_state(open_store: Opener, tmp_path: Path) -> None:
    """Two documents always change together; each copy must show them equal."""
    store = open_store(workers=ThreadWorkers())
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            body = b'{"n":%d}' % number
            edits = [Edit("a", body), Edit("b", body), Edit(f"c{number}", body)]
            store.write(lambda writer, edits=edits: documents.save(writer, 1, edits))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(5):
            target = tmp_path / f"copy{number}.settee"
            copy_database(store.directory, target, clock=FakeClock(str(number)))
            with Store.open(target, clock=FakeClock(), workers=InlineWorkers()) as copy:
                with copy.reader() as reader:
                    a, b = documents.get_many(reader, 1, ["a", "b"])
                    assert (a is None) == (b is None)
                    assert a is None or b is None or a.body == b.body
                assert check(copy) == []
    finally:
        stop.set()
        thread.join()


def test_a_blob_that_went_with_its_document_meanwhile_is_not_missed(
    open_store: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    digest = _fill(store)
    real = copying._copy_file
    copied: list[Path] = []

    def then_purged(source: Path, part: Path) -> None:
        real(source, part)
        if not copied:
            store.write(lambda writer: documents.purge(writer, 1, ["p"]))
            store.write(lambda writer: store.blobs.remove_unneeded(writer, 2**62))
        copied.append(part)

    monkeypatch.setattr(copying, "_copy_file", then_purged)
    assert store.blobs.has(digest)
    target = tmp_path / "copy.settee"
    copy_database(store.directory, target, clock=FakeClock("copy"))
    assert len(copied) == 2, "the file was copied again"
    copy = open_store(target)
    assert check(copy) == []
    with copy.reader() as reader:
        assert documents.ids(reader, 1) == ["a"]


def test_a_blob_that_the_original_lacks_the_copy_lacks_too(
    open_store: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store()
    digest = _fill(store)
    next((store.directory / "blobs").glob("[0-9a-f]*[0-9a-f]")).unlink()
    target = tmp_path / "copy.settee"
    copy_database(store.directory, target, clock=FakeClock("copy"))
    assert "lacks 1 of its blobs" in caplog.text
    assert [problem.place for problem in check(open_store(target))] == [digest]


@pytest.mark.regression("copy cut short")
@pytest.mark.parametrize("failing", ["_copy_file", "_become_another", "_bring_blobs"])
def test_a_copy_that_fails_or_dies_leaves_nothing_half_made(
    open_store: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    class Died(BaseException):
        pass

    def full(*_: object) -> None:
        raise DiskFullError("no space")

    store = open_store()
    _fill(store)
    target = tmp_path / "copy.settee"
    with monkeypatch.context() as patched:
        patched.setattr(copying, failing, full)
        with pytest.raises(DiskFullError):
            copy_database(store.directory, target, clock=FakeClock())
    assert not target.exists()
    assert _rest(tmp_path) == []
    with monkeypatch.context() as patched:  # As a kill does it: nothing is cleaned up.
        patched.setattr(copying, failing, full)
        patched.setattr(MachineFiles, "remove_folder", lambda *_: None)
        with pytest.raises(DiskFullError):
            copy_database(store.directory, target, clock=FakeClock())
    assert not target.exists()
    assert _rest(tmp_path) == [".copy.settee.copying"]
    copy_database(store.directory, target, clock=FakeClock())
    assert _rest(tmp_path) == []
    assert check(open_store(target)) == []


def test_what_is_there_already_is_left_alone(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    target = tmp_path / "copy.settee"
    target.mkdir()
    assert copy_database(store.directory, target, clock=FakeClock("1")), "an empty place will do"
    before = (target / "db.sqlite3").read_bytes()
    with pytest.raises(ExistsError, match="already"):
        copy_database(store.directory, target, clock=FakeClock("2"))
    assert not copy_database(store.directory, target, clock=FakeClock("2"), exist_ok=True)
    assert (target / "db.sqlite3").read_bytes() == before
    (tmp_path / "file.settee").write_text("mine")
    with pytest.raises(ExistsError):
        copy_database(store.directory, tmp_path / "file.settee", clock=FakeClock(), exist_ok=True)
    with pytest.raises(ExistsError):
        copy_database(store.directory, store.directory, clock=FakeClock())


def test_what_is_no_database_is_not_copied(open_store: Opener, tmp_path: Path) -> None:
    target = tmp_path / "copy.settee"
    with pytest.raises(NotFoundError, match="to copy"):
        copy_database(tmp_path / "none.settee", target, clock=FakeClock())
    other = tmp_path / "other.settee"
    other.mkdir()
    (other / "db.sqlite3").write_bytes(b"")
    with pytest.raises(NotADatabaseError):
        copy_database(other, target, clock=FakeClock())
    store = open_store()
    store.write(lambda writer: writer.run("PRAGMA user_version = 99"))
    with pytest.raises(NewerSchemaError):
        copy_database(store.directory, target, clock=FakeClock())
    assert not target.exists()
    assert _rest(tmp_path) == []


def test_who_copies_to_the_same_place_waits_and_then_says_who_does_it(
    open_store: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    target = tmp_path / "copy.settee"
    lock = FileLock.try_acquire(tmp_path / ".copy.settee.copying.lock")
    assert lock is not None
    lock.write_owner()
    monkeypatch.setattr(copying, "BUSY_TIMEOUT_S", 0.05)

    class Rising(FakeClock):
        def monotonic(self) -> float:
            self.now_s += 0.02
            return self.now_s

    with pytest.raises(DatabaseInUseError, match=f"process {os.getpid()} is making"):
        copy_database(store.directory, target, clock=Rising())
    lock.release(remove=True)
    assert copy_database(store.directory, target, clock=Rising())


def test_an_older_database_is_copied_as_a_newer_one(
    open_store: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(schema, "STEPS", schema.STEPS[:1])
        patched.setattr(schema.upgrade, "__defaults__", (schema.STEPS[:1],))
        patched.setattr(schema.check_version, "__defaults__", (schema.STEPS[:1],))
        store = open_store()
        store.close()
    target = tmp_path / "copy.settee"
    copy_database(store.directory, target, clock=FakeClock("copy"))
    assert check(open_store(target)) == []


@pytest.mark.feature("PRE-01")
def test_an_original_that_cannot_be_written_is_copied(
    open_store: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    _fill(store)
    store.close()
    before = sorted(each.name for each in store.directory.rglob("*"))
    monkeypatch.setattr(copying, "is_writable", lambda _: False)
    target = tmp_path / "copy.settee"
    copy_database(store.directory, target, clock=FakeClock("copy"))
    assert check(open_store(target)) == []
    assert sorted(each.name for each in store.directory.rglob("*")) == before
