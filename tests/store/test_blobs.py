from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import ClassVar

import pytest

from settee.clock import ThreadWorkers, Workers
from settee.errors import ClosedError, CorruptDatabaseError, NotFoundError, StoreError
from settee.limits import BLOB_LEASE_S
from settee.store import BlobStore, StagedBlob, Store
from settee.store import blobs as blobs_module
from settee.store.files import MachineFiles
from tests.store.conftest import FakeClock, Opener

HELLO = "sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00="


def _stage(blobs: BlobStore, content: bytes) -> StagedBlob:
    with blobs.writer() as writer:
        writer.write(content)
        return writer.finish()


def _files(store: Store) -> list[str]:
    root = store.directory / "blobs"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_blob_is_there_after_put_many_and_not_before(store: Store) -> None:
    staged = _stage(store.blobs, b"hello")
    assert staged.digest == HELLO
    assert not store.blobs.has(HELLO)
    store.blobs.put_many([staged])
    assert store.blobs.has(HELLO)
    assert store.blobs.read(HELLO) == b"hello"
    assert store.blobs.length(HELLO) == 5
    assert not staged.path.exists()


@pytest.mark.parametrize("durability", ["full", "normal", "memory"])
def test_a_batch_of_any_size_is_put(open_store: Opener, workers: Workers, durability: str) -> None:
    store = open_store(workers=workers, durability=durability)
    for number in (0, 1, 2, 5, 30):
        contents = [b"%d/%d" % (number, i) for i in range(number)]
        staged = [_stage(store.blobs, content) for content in contents]
        store.blobs.put_many(staged)
        assert [store.blobs.read(blob.digest) for blob in staged] == contents
    store.close()
    store = open_store(workers=workers)
    assert store.blobs.missing(blob.digest for blob in staged) == []


def test_at_no_point_could_a_power_cut_leave_a_name_without_its_content(
    open_store: Opener, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are synced, then renamed, then the folder is synced, then `put_many` returns."""
    store = open_store(workers=workers, durability="full")
    staged = [_stage(store.blobs, b"%d" % i) for i in range(5)]
    of_inode = {blob.path.stat().st_ino: blob.digest for blob in staged}
    log: list[tuple[str, str]] = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(fd: int) -> None:
        real_fsync(fd)
        log.append(("sync", of_inode.get(os.fstat(fd).st_ino, "folder")))

    def replace(path: Path, target: Path) -> None:
        log.append(("rename", of_inode[path.stat().st_ino]))
        real_replace(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    store.blobs.put_many(staged)
    digests = sorted(of_inode.values())
    assert sorted(log[:5]) == [("sync", digest) for digest in digests]
    assert sorted(log[5:10]) == [("rename", digest) for digest in digests]
    assert log[10:] == [("sync", "folder")]
    store.blobs.put_many([_stage(store.blobs, b"1")])
    assert log[11:] == [("sync", "folder")], "another's rename may not be durable yet"


def test_a_folder_for_blobs_that_is_made_late_is_durable_too(
    open_store: Opener, tmp_path: Path
) -> None:
    """It is missing where a power cut came just after the database was made."""
    open_store(directory := tmp_path / "late.settee").close()
    (directory / "blobs").rmdir()

    class Watched(MachineFiles):
        synced: ClassVar[list[Path]] = []

        def sync_folder(self, path: Path) -> None:
            super().sync_folder(path)
            self.synced.append(path)

    store = open_store(directory, files=Watched(), durability="full")
    store.blobs.put_many([_stage(store.blobs, b"hello")])
    assert Watched.synced == [directory, directory / "blobs"]


@pytest.mark.feature("BLOB-12")
def test_the_same_content_is_kept_once(store: Store) -> None:
    first, second, third = (_stage(store.blobs, b"hello") for _ in range(3))
    store.blobs.put_many([first, second])
    store.blobs.put_many([third])
    assert store.blobs.read(HELLO) == b"hello"
    assert [name for name in _files(store) if "lock" not in name] == [
        "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"
    ]


def test_what_is_missing_is_told_once_and_in_order(store: Store) -> None:
    store.blobs.put(b"hello")
    other = _stage(store.blobs, b"other").digest
    assert store.blobs.missing([other, HELLO, other, "nonsense"]) == [other, "nonsense"]


@pytest.mark.parametrize(
    "digest",
    ["", "sha1-", "sha1-../../../etc/passwd", "sha1-qvTGHdzF6KLavt4PO0gs2a6pQ0", HELLO[5:], None],
)
def test_what_is_no_digest_is_never_found(store: Store, digest: str) -> None:
    assert not store.blobs.has(digest)
    for use in (store.blobs.open, store.blobs.length, store.blobs.read):
        with pytest.raises(NotFoundError):
            use(digest)
    store.blobs.lease([digest])()


def test_an_unknown_blob_is_not_found(store: Store) -> None:
    for use in (store.blobs.open, store.blobs.length, store.blobs.read):
        with pytest.raises(NotFoundError, match="no blob"):
            use(HELLO)
    with pytest.raises(NotFoundError):
        store.blobs.read_at(HELLO, 0, 1)


def test_a_part_is_read_from_anywhere(store: Store) -> None:
    digest = store.blobs.put(bytes(range(200)))
    assert store.blobs.read_at(digest, 0, 3) == b"\x00\x01\x02"
    assert store.blobs.read_at(digest, 198, 50) == b"\xc6\xc7"
    assert store.blobs.read_at(digest, 500, 50) == b""


def test_damage_is_found_on_reading(store: Store) -> None:
    store.blobs.put(b"hello")
    next((store.directory / "blobs").glob("aaf4*")).write_bytes(b"hullo")
    with pytest.raises(CorruptDatabaseError):
        store.blobs.read(HELLO)


def test_an_open_reader_outlives_removal_and_closing(store: Store, clock: FakeClock) -> None:
    digest = store.blobs.put(b"hello")
    clock.advance(BLOB_LEASE_S + 1)
    with store.blobs.open(digest) as reader:
        assert store.collect_blobs() == [digest]
        store.close()
        assert reader.read() == b"hello"


def test_a_failed_sync_fails_the_batch_and_names_nothing(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(workers=ThreadWorkers(), durability="full")
    staged = [_stage(store.blobs, b"%d" % i) for i in range(5)]
    with monkeypatch.context() as patch:

        def broken(fd: int) -> None:
            raise OSError(5, "Input/output error")

        patch.setattr(os, "fsync", broken)
        with pytest.raises(StoreError):
            store.blobs.put_many(staged)
    assert store.blobs.missing(blob.digest for blob in staged) == [b.digest for b in staged]
    store.blobs.put_many(staged)
    assert store.blobs.missing(blob.digest for blob in staged) == []


@pytest.mark.parametrize("step", ["stamp", "unlink"])
def test_a_disk_that_fails_beside_a_blob_loses_none_and_is_an_error_of_ours(
    open_store: Opener, step: str
) -> None:
    class Broken(MachineFiles):
        broken = False

        def stamp(self, path: Path, at_ns: int) -> None:
            if self.broken and step == "stamp":
                raise OSError(5, "Input/output error")
            super().stamp(path, at_ns)

        def unlink(self, path: Path) -> None:
            if self.broken and step == "unlink":
                raise OSError(5, "Input/output error")
            super().unlink(path)

    files = Broken()
    store = open_store(files=files, durability="full")
    known = store.blobs.put(b"known")
    staged = [_stage(store.blobs, b"hello"), _stage(store.blobs, b"known")]
    files.broken = True
    try:
        store.blobs.put_many(staged)
    except StoreError:
        assert step == "unlink"
        files.broken = False
        store.blobs.put_many(staged)
    assert store.blobs.read(HELLO) == b"hello"
    assert store.blobs.read(known) == b"known"


# --- left-over files ----------------------------------------------------------------------------


def test_closing_removes_what_was_staged(store: Store) -> None:
    _stage(store.blobs, b"never put")
    half = store.blobs.writer()
    half.write(b"half")
    assert _files(store)
    store.close()
    half.abort()
    assert _files(store) == []
    with pytest.raises(ClosedError):
        store.blobs.writer()


def test_opening_sweeps_what_the_dead_left_and_nothing_of_the_living(
    open_store: Opener,
) -> None:
    living = open_store()
    staged = _stage(living.blobs, b"hello")
    root = living.directory / "blobs" / "staging"
    dead = root / "00112233"
    dead.mkdir()
    (dead / "1").write_bytes(b"half")
    (root / "00112233.lock").write_bytes(b"")
    (root / "44556677").mkdir()
    other = open_store(clock=FakeClock("other"))
    assert staged.path.exists()
    assert sorted(path.name for path in root.iterdir()) == [
        staged.path.parent.name,
        f"{staged.path.parent.name}.lock",
    ]
    other.blobs.put(b"more")
    living.blobs.put_many([staged])
    assert other.blobs.read(HELLO) == b"hello"


def test_two_with_the_same_chance_get_folders_of_their_own(open_store: Opener) -> None:
    one, two = open_store(clock=FakeClock("s")), open_store(clock=FakeClock("t"))
    two.blobs._clock = FakeClock("s")
    one.blobs._clock = FakeClock("s")
    first, second = _stage(one.blobs, b"1"), _stage(two.blobs, b"2")
    assert first.path.parent != second.path.parent


# --- removing what nobody needs -----------------------------------------------------------------


def test_collecting_before_any_blob_finds_nothing(store: Store) -> None:
    assert store.collect_blobs() == []
    os.rmdir(store.directory / "blobs")
    assert store.collect_blobs() == []


def test_files_that_are_no_blobs_are_left_alone(store: Store, clock: FakeClock) -> None:
    folder = store.directory / "blobs"
    (folder / "README").write_text("mine")
    (folder / ("z" * 40)).write_text("mine too")
    os.utime(folder / "README", (0, 0))
    os.utime(folder / ("z" * 40), (0, 0))
    clock.advance(10**6)
    assert store.collect_blobs() == []
    assert (folder / "README").exists()


def test_a_lease_may_end_in_a_garbage_collection_while_its_thread_holds_the_lock(
    store: Store, clock: FakeClock
) -> None:
    """`Blob` objects let go of theirs when they are collected, wherever that happens to be."""
    digest = store.blobs.put(b"hello")
    release = store.blobs.lease([digest])
    ended = threading.Event()

    def collected() -> None:
        with store.blobs._mutex:
            release()
        ended.set()

    threading.Thread(target=collected, daemon=True).start()
    assert ended.wait(10), "the thread waits for itself"
    clock.advance(7200)
    store.write(store.blobs.remove_unneeded)
    assert store.blobs.missing([digest]) == [digest]


def test_a_lease_holds_until_every_holder_gave_it_up(store: Store, clock: FakeClock) -> None:
    digest = store.blobs.put(b"hello")
    first, second = store.blobs.lease([digest]), store.blobs.lease([digest, digest])
    clock.advance(BLOB_LEASE_S + 1)
    first()
    first()
    assert store.collect_blobs() == []
    second()
    assert store.collect_blobs() == [digest]


def test_a_blob_put_or_leased_again_counts_as_new(store: Store, clock: FakeClock) -> None:
    digest = store.blobs.put(b"hello")
    for again in (lambda: store.blobs.put(b"hello"), lambda: store.blobs.lease([digest])()):
        clock.advance(BLOB_LEASE_S + 1)
        again()
        clock.advance(BLOB_LEASE_S - 1)
        assert store.collect_blobs() == []
    clock.advance(2)
    assert store.collect_blobs() == [digest]


def test_a_blob_renewed_while_it_is_being_removed_is_kept(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = store.blobs.put(b"hello")
    clock.advance(BLOB_LEASE_S + 1)
    real = os.replace

    def renew_then_replace(path: Path, target: Path) -> None:
        if target.suffix == ".old":
            store.blobs._renew(digest)  # Another process, just before it is taken away.
        real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", renew_then_replace)
        assert store.collect_blobs() == []
    assert store.blobs.read(digest) == b"hello"


def test_a_removal_that_died_half_way_is_undone_at_open(open_store: Opener) -> None:
    store = open_store()
    digest = store.blobs.put(b"hello")
    file = next((store.directory / "blobs").glob("aaf4*"))
    file.replace(file.with_suffix(".old"))
    assert not store.blobs.has(digest)
    store.close()
    assert open_store().blobs.read(digest) == b"hello"


def test_the_module_syncs_files_side_by_side_only_with_threads(open_store: Opener) -> None:
    threaded, inline = open_store(workers=ThreadWorkers(), durability="full"), open_store()
    for store in (threaded, inline):
        store.blobs.put_many([_stage(store.blobs, b"%d" % i) for i in range(9)])
    assert len(threaded.blobs._sync_workers) == blobs_module._SYNC_WORKERS
    assert inline.blobs._sync_workers == []
