from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from settee.errors import DatabaseInUseError, StoreError
from settee.store.leases import FileLock, SyncLease


def test_one_at_a_time_holds_a_lock(tmp_path: Path) -> None:
    first = FileLock.try_acquire(tmp_path / "lock")
    assert first is not None
    assert FileLock.try_acquire(tmp_path / "lock") is None
    first.release()
    first.release()
    second = FileLock.try_acquire(tmp_path / "lock")
    assert second is not None
    second.release(remove=True)
    assert not (tmp_path / "lock").exists()


def test_a_lock_on_a_removed_file_locks_nothing_and_is_taken_anew(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = FileLock.try_acquire(path)
    assert first is not None
    path.unlink()
    second = FileLock.try_acquire(path)
    assert second is not None
    assert path.exists()
    first.release()
    assert FileLock.try_acquire(path) is None
    second.release()


def test_a_file_removed_between_opening_and_locking_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    real, opened = os.open, []

    def open_and_lose_the_first(name: Path, flags: int, mode: int) -> int:
        fd = real(name, flags, mode)
        if not opened:
            path.unlink()
        opened.append(fd)
        return fd

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", open_and_lose_the_first)
        lock = FileLock.try_acquire(path)
    assert lock is not None
    assert path.exists()
    assert FileLock.try_acquire(path) is None
    lock.release()


def test_taking_and_removing_from_many_threads_never_gives_it_to_two(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    inside: list[int] = []
    overlaps: list[int] = []

    def work(number: int) -> None:
        for _ in range(200):
            lock = FileLock.try_acquire(path)
            if lock is not None:
                inside.append(number)
                if len(inside) != 1:
                    overlaps.append(number)
                inside.remove(number)
                lock.release(remove=True)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == []


def test_a_place_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        FileLock.try_acquire(tmp_path / "nowhere" / "lock")


def test_the_second_to_ask_for_sync_is_told_who_has_it(tmp_path: Path) -> None:
    taken = rf"process {os.getpid()} already"
    with SyncLease.acquire(tmp_path), pytest.raises(DatabaseInUseError, match=taken):
        SyncLease.acquire(tmp_path)
    SyncLease.acquire(tmp_path).release()


def test_a_lock_file_without_a_name_in_it_is_no_riddle(tmp_path: Path) -> None:
    lock = FileLock.try_acquire(tmp_path / "sync.lock")
    assert lock is not None
    with pytest.raises(DatabaseInUseError, match="an unknown process"):
        SyncLease.acquire(tmp_path)
    lock.release()


_CHILD = """
import sys
from pathlib import Path
from settee.store.leases import SyncLease
lease = SyncLease.acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_killed_process_gives_it_up(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(DatabaseInUseError, match=f"process {child.pid} "):
            SyncLease.acquire(tmp_path)
        child.kill()
        child.wait()
        SyncLease.acquire(tmp_path).release()
