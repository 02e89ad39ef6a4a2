from __future__ import annotations

import threading

import pytest

from settee.clock import ThreadWorkers
from settee.errors import ClosedError
from settee.limits import READERS_IDLE_MAX
from settee.store import Reader, Store, documents
from settee.store.documents import Edit
from tests.store.conftest import Opener


def _save(doc_id: str):
    return lambda writer: documents.save(writer, 1, [Edit(doc_id, b"{}")])


def test_a_reader_sees_one_state_though_writes_go_on(store: Store) -> None:
    store.write(_save("a"))
    with store.reader() as reader:
        assert documents.count(reader, 1) == 1
        store.write(_save("b"))
        assert documents.count(reader, 1) == 1
        assert documents.ids(reader, 1) == ["a"]
    with store.reader() as reader:
        assert documents.count(reader, 1) == 2


def test_a_reader_cannot_write(store: Store) -> None:
    with store.reader() as reader, pytest.raises(Exception, match="can't be written"):
        reader.run("DELETE FROM meta")


def test_readers_are_used_again_and_not_shared(store: Store) -> None:
    with store.reader() as one, store.reader() as two:
        assert one.connection is not two.connection
    with store.reader() as again:
        assert again.connection in (one.connection, two.connection)


def test_more_readers_than_are_kept_work_and_the_rest_is_closed(store: Store) -> None:
    leases = [store.reader() for _ in range(READERS_IDLE_MAX + 3)]
    readers = [lease.__enter__() for lease in leases]
    assert [documents.count(reader, 1) for reader in readers] == [0] * len(readers)
    for lease in leases:
        lease.__exit__(None, None, None)
    closed = 0
    for reader in readers:
        try:
            reader.row("SELECT 1")
        except ClosedError:
            closed += 1
    assert closed == 3


def test_an_exception_in_the_block_gives_the_reader_back(store: Store) -> None:
    def fail() -> Reader:
        with store.reader() as reader:
            documents.count(reader, 1)
            readers.append(reader)
            raise KeyError

    readers: list[Reader] = []
    with pytest.raises(KeyError):
        fail()
    reader = readers[0]
    assert not reader.in_transaction
    with store.reader() as again:
        assert again.connection is reader.connection


def test_a_reader_out_at_closing_is_closed_when_it_comes_back(store: Store) -> None:
    lease = store.reader()
    reader = lease.__enter__()
    store.close()
    assert documents.count(reader, 1) == 0
    lease.__exit__(None, None, None)
    with pytest.raises(ClosedError):
        reader.row("SELECT 1")


def test_reading_from_many_threads_beside_a_writer(open_store: Opener) -> None:
    store = open_store(workers=ThreadWorkers())
    store.write(_save("a"))
    failures: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(100):
                with store.reader() as reader:
                    assert documents.count(reader, 1) == len(documents.ids(reader, 1))
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(30):
        store.write(_save(f"{i}"))
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_reader_for_one_statement_has_no_transaction_around_it(store: Store) -> None:
    with store.reader(single=True) as reader:
        assert not reader.in_transaction
        assert reader.row("SELECT 1") == (1,)
    with store.reader() as again:
        assert again is reader
        assert again.in_transaction
    with store.transaction() as writer, store.reader(single=True) as own:
        assert own is writer
