from __future__ import annotations

import logging
import threading

import apsw
import pytest

from settee.clock import ThreadWorkers, Workers
from settee.errors import ClosedError, DiskFullError, StoreError, TransactionError
from settee.store import Commit, Store, Writer, documents
from settee.store.documents import Edit
from tests.store.conftest import Opener


def _save(doc_id: str, body: bytes = b"{}"):
    return lambda writer: documents.save(writer, 1, [Edit(doc_id, body)])


def _ids(store: Store) -> list[str]:
    with store.reader() as reader:
        return documents.ids(reader, 1)


def test_a_write_is_there_when_its_future_is_done(open_store: Opener, workers: Workers) -> None:
    store = open_store(workers=workers)
    saved = store.submit(_save("a")).result()
    assert saved[0].seq == 1
    assert _ids(store) == ["a"]


def test_jobs_that_gathered_during_a_transaction_share_one_commit(
    open_store: Opener, workers: Workers
) -> None:
    store = open_store(workers=workers)
    commits: list[Commit] = []
    store.on_commit(commits.append)
    with store.transaction() as writer:
        documents.save(writer, 1, [Edit("first", b"{}")])
        futures = [store.submit(_save(f"{i}")) for i in range(20)]
        assert not any(future.done() for future in futures)
    assert [future.result()[0].seq for future in futures] == list(range(2, 22))
    store.write(lambda w: None)  # After it all listeners have been told.
    assert [len(commit.changes[1]) for commit in commits] == [1, 20]


def test_a_job_that_fails_does_not_undo_its_neighbours(
    open_store: Opener, workers: Workers
) -> None:
    store = open_store(workers=workers)

    def fail(writer: Writer) -> None:
        documents.save(writer, 1, [Edit("undone", b"{}")])
        raise KeyError("mine")

    with store.transaction():
        futures = [store.submit(_save("a")), store.submit(fail), store.submit(_save("b"))]
    assert futures[0].result()[0].seq == 1
    with pytest.raises(KeyError, match="mine"):
        futures[1].result()
    assert futures[2].result()[0].seq == 2
    assert _ids(store) == ["a", "b"]


def test_a_cancelled_job_does_not_run(open_store: Opener, workers: Workers) -> None:
    store = open_store(workers=workers)
    with store.transaction():
        future = store.submit(_save("a"))
        assert future.cancel()
    store.write(_save("b"))
    assert _ids(store) == ["b"]


def test_a_full_disk_stores_nothing_of_its_group_and_all_goes_on_when_there_is_room(
    open_store: Opener, workers: Workers
) -> None:
    """SQLite undoes the whole transaction, so its neighbours fail too; none was acknowledged."""
    store = open_store(workers=workers)
    store.write(_save("before"))
    pages = store.write(lambda w: w.row("PRAGMA page_count"))
    large = b'{"x":"' + b"y" * 500_000 + b'"}'
    store.write(lambda w: w.rows(f"PRAGMA max_page_count = {pages[0] + 1}"))
    with store.transaction():
        futures = [store.submit(_save("small")), store.submit(_save("large", large))]
        late = store.submit(_save("small again"))
    for future in futures:
        with pytest.raises(DiskFullError, match="Free some space"):
            future.result()
    late.result()
    with pytest.raises(DiskFullError), store.transaction() as writer:
        documents.save(writer, 1, [Edit("small", b"{}"), Edit("large", large)])
    assert _ids(store) == ["before", "small again"]
    with store.reader() as reader:
        assert reader.row("PRAGMA integrity_check") == ("ok",)
    store.write(lambda w: w.rows("PRAGMA max_page_count = 1000000"))
    store.write(_save("large", large))
    assert "large" in _ids(store)


def test_a_commit_that_fails_fails_all_its_jobs_each_with_its_own_error(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()

    def full(self: Writer) -> list[Commit]:
        self.rollback()
        raise DiskFullError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "commit", full)
        futures = []
        store.submit(lambda w: futures.extend([store.submit(_save("a")), store.submit(_save("b"))]))
        errors = [future.exception() for future in futures]
    assert [type(error) for error in errors] == [DiskFullError, DiskFullError]
    assert errors[0] is not errors[1]
    assert _ids(store) == []
    store.write(_save("a"))


def test_a_bug_in_the_group_fails_its_writes_and_not_the_worker(
    open_store: Opener, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(workers=workers)

    def broken(self: Writer, *, limit_s: float = 0.0) -> None:
        raise apsw.MisuseError("misused")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "begin", broken)
        future = store.submit(_save("a"))
        assert isinstance(future.exception(), StoreError)
    store.write(_save("b"))
    assert _ids(store) == ["b"]


def test_waiting_for_a_write_inside_a_write_raises_instead_of_hanging(
    open_store: Opener, workers: Workers
) -> None:
    store = open_store(workers=workers)
    with pytest.raises(TransactionError, match="never end"):
        store.write(lambda w: store.write(_save("inner")))
    with pytest.raises(TransactionError, match="never end"):
        store.write(lambda w: store.submit(_save("inner")).exception())
    with pytest.raises(TransactionError, match="in a transaction already"):
        store.write(lambda w: store.transaction())


def test_listeners_are_told_in_the_order_of_commits_on_the_writer_worker(
    open_store: Opener, workers: Workers
) -> None:
    store = open_store(workers=workers)
    told: list[int] = []
    threads: set[int] = set()

    def listener(commit: Commit) -> None:
        told.append(commit.last_seqs[1])
        threads.add(threading.get_ident())

    store.on_commit(listener)
    for i in range(10):
        store.submit(_save(f"{i}"))
        with store.transaction() as writer:
            documents.save(writer, 1, [Edit(f"t{i}", b"{}")])
    store.write(lambda w: None)
    assert told == sorted(told)
    assert told[-1] == 20
    assert len(threads) == 1
    assert (threading.get_ident() in threads) == workers.inline()


def test_a_listener_that_fails_is_logged_and_the_others_are_told(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Commit] = []

    def broken(commit: Commit) -> None:
        raise RuntimeError("a bug in the application")

    store.on_commit(broken)
    unsubscribe = store.on_commit(told.append)
    with caplog.at_level(logging.ERROR, "settee.store"):
        store.write(_save("a"))
    assert len(told) == 1
    assert "listener failed" in caplog.text
    unsubscribe()
    unsubscribe()
    store.write(_save("b"))
    assert len(told) == 1


def test_a_listener_may_submit_but_not_wait(store: Store) -> None:
    store.on_commit(lambda commit: store.submit(_save("echo")) if commit.last_seqs[1] < 3 else None)
    store.write(_save("a"))
    assert _ids(store) == ["a", "echo"]


def test_writes_from_many_threads_are_all_kept(open_store: Opener) -> None:
    store = open_store(workers=ThreadWorkers())
    futures: list[object] = []

    def write(name: int) -> None:
        futures.extend([store.submit(_save(f"{name}-{i}")) for i in range(50)])

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seqs = [future.result()[0].seq for future in futures]  # type: ignore[attr-defined]
    assert sorted(seqs) == list(range(1, 201))


def test_writes_submitted_before_closing_are_finished_and_later_ones_refused(
    open_store: Opener, workers: Workers
) -> None:
    store = open_store(workers=workers)
    future = store.submit(_save("a"))
    store.close()
    assert future.result()[0].seq == 1
    with pytest.raises(ClosedError):
        store.submit(_save("b"))
    with pytest.raises(ClosedError):
        store.write(_save("b"))
