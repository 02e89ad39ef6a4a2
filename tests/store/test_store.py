from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from settee.clock import InlineWorkers, SystemClock, ThreadWorkers, Workers
from settee.errors import (
    ClosedError,
    ConfigError,
    CorruptDatabaseError,
    DatabaseInUseError,
    DiskFullError,
    InvalidDocumentError,
    ReadOnlyError,
    SetteeError,
)
from settee.ids import CollectionName
from settee.limits import BLOB_LEASE_S
from settee.store import Commit, Store, documents, feed, schema
from settee.store.documents import Edit
from settee.store.files import MachineFiles
from tests.store.conftest import FakeClock, Opener


def _save(doc_id: str, body: bytes = b"{}"):
    return lambda writer: documents.save(writer, 1, [Edit(doc_id, body)])


def _ids(store: Store) -> list[str]:
    with store.reader() as reader:
        return documents.ids(reader, 1)


# --- opening and closing ------------------------------------------------------------------------


def test_who_a_database_is_outlives_closing(open_store: Opener, workers: Workers) -> None:
    first = open_store(workers=workers)
    identity = (first.private_uuid, first.public_uuid, first.source)
    assert len({*identity[:2]}) == 2
    assert len(first.source) == 22
    first.close()
    second = open_store(workers=workers)
    assert (second.private_uuid, second.public_uuid, second.source) == identity


def test_one_seed_makes_one_database(open_store: Opener, tmp_path: Path) -> None:
    names = []
    for part in ("one", "two"):
        store = open_store(tmp_path / part, clock=FakeClock("seed"))
        store.write(_save("a"))
        with store.reader() as reader:
            names.append(documents.get(reader, 1, "a"))
    assert names[0] == names[1]


def test_the_names_of_a_new_database_are_durable_before_anything_is_in_it(
    open_store: Opener, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a process that dies in between leaves one whose folder a power cut can still take."""
    synced: list[Path] = []

    class Watched(MachineFiles):
        def sync_folder(self, path: Path) -> None:
            super().sync_folder(path)
            synced.append(path)

    def dies(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(schema, "upgrade", dies)
        with pytest.raises(KeyboardInterrupt):
            open_store(files=Watched(), durability="full")
    assert synced == [directory, directory.parent]
    assert (directory / "blobs").is_dir()
    open_store(files=Watched(), durability="full").close()
    assert len(synced) == 4
    open_store(files=Watched(), durability="full").close()
    assert len(synced) == 4, "one that is whole costs no sync"


def test_documents_outlive_closing(open_store: Opener, workers: Workers) -> None:
    first = open_store(workers=workers, durability="full")
    first.write(_save("a", b'{"x":1}'))
    first.close()
    first.close()
    second = open_store(workers=workers, create=False)
    with second.reader() as reader:
        found = documents.get(reader, 1, "a")
    assert found is not None
    assert found.body == b'{"x":1}'
    assert second.write(_save("b"))[0].seq == 2


def test_a_closed_database_says_so(store: Store) -> None:
    store.close()
    for use in (
        store.reader,
        store.collections,
        store.transaction,
        store.poll_external,
        store.lease_sync,
        store.collect_blobs,
        lambda: store.submit(_save("a")),
        lambda: store.blobs.put(b"x"),
        lambda: store.collection(CollectionName("a", "b"), create=True),
    ):
        with pytest.raises(ClosedError):
            use()


def test_an_unknown_durability_is_refused(open_store: Opener) -> None:
    with pytest.raises(ConfigError, match="'full'"):
        open_store(durability="very")


def test_closing_leaves_the_database_file_and_the_blobs_only(
    open_store: Opener, directory: Path
) -> None:
    store = open_store()
    store.write(_save("a"))
    _ids(store)
    store.close()
    assert sorted(path.name for path in directory.iterdir()) == ["blobs", "db.sqlite3"]


def test_a_database_opened_before_a_fork_refuses_use_after_it(store: Store) -> None:
    store._pid += 1
    with pytest.raises(ClosedError, match="fork"):
        store.reader()
    with pytest.raises(ClosedError, match="fork"):
        store.submit(_save("a"))
    store._pid -= 1


# --- two on one directory -----------------------------------------------------------------------


def test_two_on_one_directory_share_sequences_and_time(open_store: Opener) -> None:
    one, two = open_store(workers=ThreadWorkers()), open_store(workers=ThreadWorkers())
    saved = [store.write(_save(f"{i}"))[0] for i in range(6) for store in (one, two)]
    assert [row.seq for row in saved] == list(range(1, 13))
    assert len({row.tid for row in saved}) == 12
    versions = [row.tid.partition("-")[2][:18] for row in saved]
    assert versions == sorted(versions)
    assert _ids(one) == _ids(two)


def test_a_change_by_the_other_is_found_by_polling_once(
    open_store: Opener, workers: Workers
) -> None:
    one, two = open_store(workers=workers), open_store(workers=workers)
    told: list[Commit] = []
    one.on_commit(told.append)
    two.write(lambda w: documents.save(w, 1, [Edit("b", b"{}"), Edit("a", b"{}")]))
    for _ in range(3):
        one.poll_external()
    one.write(lambda w: None)
    assert told == [Commit({1: ["b", "a"]}, {1: 2}, external=True)]


def test_a_change_by_the_other_is_told_before_ours_without_polling(
    open_store: Opener,
) -> None:
    one, two = open_store(), open_store()
    told: list[Commit] = []
    one.on_commit(told.append)
    two.write(_save("theirs"))
    one.write(_save("ours"))
    two.write(_save("ours", b'{"x":1}'))
    one.poll_external()
    assert told == [
        Commit({1: ["theirs"]}, {1: 1}, external=True),
        Commit({1: ["ours"]}, {1: 2}, external=False),
        Commit({1: ["ours"]}, {1: 3}, external=True),
    ]


def test_our_own_change_is_not_taken_for_another_processs(open_store: Opener) -> None:
    one, two = open_store(), open_store()
    told: list[Commit] = []
    one.on_commit(told.append)
    two.write(_save("a"))
    one.poll_external()
    one.write(_save("b"))
    one.poll_external()
    assert [commit.external for commit in told] == [True, False]


def test_changes_before_opening_or_listening_are_not_told(open_store: Opener) -> None:
    one, two = open_store(), open_store()
    one.write(_save("before"))
    two.poll_external()
    told: list[Commit] = []
    two.on_commit(told.append)
    two.write(_save("after"))
    assert [list(commit.changes[1]) for commit in told if not commit.external] == [["after"]]


_CHILD = """
import sys
from pathlib import Path
from settee.clock import SystemClock, ThreadWorkers
from settee.store import Store, documents
from settee.store.documents import Edit
name, count = sys.argv[2], int(sys.argv[3])
with Store.open(Path(sys.argv[1]), clock=SystemClock(), workers=ThreadWorkers()) as store:
    print("open", flush=True)
    if count < 0:
        store.blobs.writer().write(b"half a blob")
        release = store.lease_sync()
    i = 0
    while i != count:
        store.write(lambda w: documents.save(w, 1, [Edit(f"{name}-{i}", b"{}")]))
        i += 1
        print(i, flush=True)
"""


def _child(directory: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(directory), name, str(count)],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.feature("DB-13")
@pytest.mark.slow
def test_two_processes_write_at_once_and_lose_nothing(open_store: Opener, directory: Path) -> None:
    """Slow: starts two Python processes."""
    children = [_child(directory, name, 100) for name in ("one", "two")]
    for child in children:
        child.communicate(timeout=60)
        assert child.returncode == 0
    store = open_store()
    with store.reader() as reader:
        rows = feed.changes(reader, 1, 0, 1000).rows
        assert documents.count(reader, 1) == 200
    assert [row.seq for row in rows] == list(range(1, 201))
    assert len({row.tid for row in rows}) == 200


@pytest.mark.slow
def test_a_killed_process_loses_nothing_that_it_acknowledged_and_leaves_nothing(
    open_store: Opener, directory: Path
) -> None:
    """Slow: starts six Python processes one after the other and kills each at a random time."""
    chance = random.Random(4)
    for number in range(6):
        child = _child(directory, f"run{number}", -1)
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        time.sleep(chance.random() * 0.15)  # The parent's list is the truth, whenever it ends.
        child.kill()
        acknowledged = [int(line) for line in child.stdout.read().split("\n")[:-1]]
        child.stdout.close()
        child.wait(timeout=30)
        store = open_store(create=False, durability="full")
        written = [doc_id for doc_id in _ids_all(store) if doc_id.startswith(f"run{number}-")]
        assert len(acknowledged) <= len(written) <= len(acknowledged) + 1
        with store.reader() as reader:
            assert reader.row("PRAGMA integrity_check") == ("ok",)
        store.lease_sync()()
        store.close()
        left = [path for path in directory.rglob("*") if path.is_file()]
        assert {path.name for path in left} == {"db.sqlite3", "sync.lock"}


def _ids_all(store: Store) -> list[str]:
    found: list[str] = []
    with store.reader() as reader:
        while page := documents.ids(reader, 1, found[-1] if found else ""):
            found += page
    return found


# --- places that are not as they should be ------------------------------------------------------


def _as_nobody(work) -> None:
    """Run `work` in a child that may not write everywhere; what it raises fails the test."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            work()
            status = 0
        except BaseException as exc:
            print(f"{type(exc).__name__}: {exc}", file=sys.stderr)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize("log_left", [False, True])
def test_a_place_that_cannot_be_written_is_opened_for_reading(
    open_store: Opener, directory: Path, log_left: bool
) -> None:
    store = open_store()
    digest = store.blobs.put(b"picture")
    store.write(_save("a"))
    if not log_left:
        store.close()
    for parent in [*directory.parents][:4]:
        if parent != Path("/tmp"):
            parent.chmod(0o755)
    for path in directory.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    directory.chmod(0o555)

    def work() -> None:
        with Store.open(directory, clock=FakeClock(), workers=InlineWorkers()) as reading:
            assert reading.read_only
            assert _ids(reading) == ["a"]
            assert reading.blobs.read(digest) == b"picture"
            for use in (
                lambda: reading.write(_save("b")),
                reading.transaction,
                reading.lease_sync,
                lambda: reading.blobs.put(b"more"),
            ):
                with pytest.raises(ReadOnlyError):
                    use()

    try:
        _as_nobody(work)
    finally:
        directory.chmod(0o755)
        for path in directory.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_another_processs_lock_is_waited_for_and_then_named(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("settee.store.connection.BUSY_TIMEOUT_S", 0.05)
    one, two = open_store(), open_store()
    with one.transaction(), pytest.raises(DatabaseInUseError, match="another process"):
        two.write(_save("a"))
    two.write(_save("a"))


def test_a_quota_that_is_reached_is_a_full_disk_and_passes_by_itself(
    open_store: Opener, workers: Workers
) -> None:
    resource = pytest.importorskip("resource")
    store = open_store(workers=workers, durability="full")
    store.write(_save("before"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = b'{"x":"' + b"y" * 300_000 + b'"}'
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(DiskFullError):
            store.write(_save("large", large))
        assert _ids(store) == ["before"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    store.write(_save("large", large))
    assert _ids(store) == ["before", "large"]
    with store.reader() as reader:
        assert reader.row("PRAGMA integrity_check") == ("ok",)


def test_lost_identity_is_damage(open_store: Opener) -> None:
    store = open_store()
    store.write(lambda w: w.run("DELETE FROM meta WHERE name = 'public_uuid'"))
    store.close()
    with pytest.raises(CorruptDatabaseError, match="public_uuid"):
        open_store()


def test_flipped_bytes_give_an_error_of_ours_or_an_answer_never_a_crash(
    tmp_path: Path, open_store: Opener
) -> None:
    store = open_store()
    for start in range(0, 300, 100):
        edits = [Edit(f"doc-{i}", b'{"name":"%d"}' % i) for i in range(start, start + 100)]
        store.write(lambda w: documents.save(w, 1, edits))  # noqa: B023
    store.close()
    whole = (store.directory / "db.sqlite3").read_bytes()
    chance = random.Random(7)
    refused = 0
    for number in range(60):
        damaged = bytearray(whole)
        for _ in range(1 + number % 4):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        place = tmp_path / f"damaged-{number}"
        place.mkdir()
        (place / "db.sqlite3").write_bytes(damaged)
        try:
            _use(place)
        except SetteeError:
            refused += 1
    assert 0 < refused < 60


def _use(place: Path) -> None:
    with Store.open(
        place, durability="memory", clock=FakeClock(), workers=InlineWorkers()
    ) as store:
        with store.reader() as reader:
            documents.iterate(reader, 1, limit=1000)
            feed.changes(reader, 1, 0, 1000)
        edits = [Edit(f"doc-{i}", b"{}") for i in range(0, 300, 7)]
        store.write(lambda w: documents.save(w, 1, edits))


def test_a_zeroed_page_is_damage(open_store: Opener) -> None:
    store = open_store()
    edits = [Edit(f"doc-{i}", b'{"name":"%d"}' % i) for i in range(300)]
    store.write(lambda w: documents.save(w, 1, edits))
    store.close()
    file = store.directory / "db.sqlite3"
    whole = file.read_bytes()
    page = whole.index(b'{"name":"200"}') // 8192
    file.write_bytes(whole[: page * 8192] + bytes(8192) + whole[(page + 1) * 8192 :])
    again = open_store()
    with again.reader() as reader, pytest.raises(CorruptDatabaseError, match="restore"):
        documents.iterate(reader, 1, limit=1000)


# --- the right to run sync ----------------------------------------------------------------------


def test_the_right_to_run_sync_is_shared_within_one_store(open_store: Opener) -> None:
    one, two = open_store(), open_store()
    first, second = one.lease_sync(), one.lease_sync()
    first()
    first()
    with pytest.raises(DatabaseInUseError, match=str(os.getpid())):
        two.lease_sync()
    second()
    two.lease_sync()()
    one.lease_sync()


def test_closing_gives_the_right_to_run_sync_back(open_store: Opener) -> None:
    one, two = open_store(), open_store()
    release = one.lease_sync()
    one.close()
    two.lease_sync()
    release()
    with pytest.raises(DatabaseInUseError):
        open_store().lease_sync()


# --- blobs and documents ------------------------------------------------------------------------


def test_only_blobs_that_nobody_needs_are_collected(store: Store, clock: FakeClock) -> None:
    kept, dropped, leased = (store.blobs.put(word) for word in (b"kept", b"dropped", b"leased"))
    store.write(
        lambda w: documents.save(
            w, 1, [Edit("a", b"{}", blobs=(kept,)), Edit("b", b"{}", blobs=(dropped,))]
        )
    )
    clock.advance(BLOB_LEASE_S + 1)
    young = store.blobs.put(b"young")
    assert store.collect_blobs() == [leased]
    leased = store.blobs.put(b"leased")
    release = store.blobs.lease([leased])
    store.write(lambda w: documents.save(w, 1, [Edit("b", b"{}")]))
    clock.advance(BLOB_LEASE_S - 1)
    assert store.collect_blobs() == [dropped]
    clock.advance(2)
    assert store.collect_blobs() == [young]
    release()
    assert store.collect_blobs() == [leased]
    assert store.blobs.read(kept) == b"kept"
    store.write(lambda w: documents.purge(w, 1, ["a"]))
    assert store.collect_blobs() == [kept]
    assert store.collect_blobs() == []


def test_the_system_clock_and_threads_work_together(tmp_path: Path) -> None:
    with Store.open(
        tmp_path / "real.settee", clock=SystemClock(), workers=ThreadWorkers()
    ) as store:
        with pytest.raises(InvalidDocumentError):
            store.write(lambda w: w.observe_time(2**62))
        assert store.write(_save("a"))[0].seq == 1
        assert _ids(store) == ["a"]
