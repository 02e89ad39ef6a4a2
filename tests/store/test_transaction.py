from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from settee.clock import InlineWorkers, ThreadWorkers, Workers
from settee.errors import ClosedError, ConflictError, TransactionError
from settee.store import Store, documents
from settee.store.documents import Edit
from settee.store.transaction import Turnstile, current_transaction
from tests.store.conftest import FakeClock, Opener


def _save(doc_id: str):
    return lambda writer: documents.save(writer, 1, [Edit(doc_id, b"{}")])


def _count(store: Store) -> int:
    with store.reader() as reader:
        return documents.count(reader, 1)


def test_its_writes_are_committed_together(open_store: Opener, workers: Workers) -> None:
    store = open_store(workers=workers)
    with store.transaction() as writer:
        documents.save(writer, 1, [Edit("a", b"{}")])
        documents.save(writer, 1, [Edit("b", b"{}")])
    assert _count(store) == 2


def test_an_exception_undoes_all_of_it(open_store: Opener, workers: Workers) -> None:
    store = open_store(workers=workers)

    def fail() -> None:
        with store.transaction() as writer:
            documents.save(writer, 1, [Edit("a", b"{}")])
            documents.save(writer, 1, [Edit("a", b"{}", expect_tid="")])

    with pytest.raises(ConflictError):
        fail()
    assert _count(store) == 0
    assert current_transaction(store) is None
    store.write(_save("b"))


def test_its_owner_reads_its_writes_and_others_do_not(open_store: Opener) -> None:
    store = open_store(workers=ThreadWorkers())
    seen: list[int] = []
    with store.transaction() as writer:
        documents.save(writer, 1, [Edit("a", b"{}")])
        seen.append(_count(store))
        other = threading.Thread(target=lambda: seen.append(_count(store)))
        other.start()
        other.join()
    assert seen == [1, 0]


def test_a_write_in_it_is_a_part_of_it(store: Store) -> None:
    def fail() -> None:
        with store.transaction():
            assert store.write(_save("a"))[0].seq == 1
            assert _count(store) == 1
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert _count(store) == 0


def test_waiting_in_it_for_a_submitted_write_raises_instead_of_hanging(
    open_store: Opener, workers: Workers
) -> None:
    store = open_store(workers=workers)
    with store.transaction():
        future = store.submit(_save("a"))
        with pytest.raises(TransactionError, match="never end"):
            future.result()
    assert future.result()[0].seq == 1


def test_nesting_and_closing_in_it_raise(open_store: Opener, workers: Workers) -> None:
    store = open_store(workers=workers)
    with store.transaction():
        with pytest.raises(TransactionError, match="open already"):
            store.transaction()
        with pytest.raises(TransactionError, match="closed inside"):
            store.close()
    store.write(_save("a"))


def test_transactions_on_two_databases_nest(open_store: Opener, tmp_path) -> None:
    one, two = open_store(), open_store(tmp_path / "two.settee")
    with one.transaction() as first, two.transaction() as second:
        documents.save(first, 1, [Edit("a", b"{}")])
        documents.save(second, 1, [Edit("a", b"{}"), Edit("b", b"{}")])
    assert (_count(one), _count(two)) == (1, 2)


def test_others_wait_for_it_in_turn(open_store: Opener) -> None:
    store = open_store(workers=ThreadWorkers())
    order: list[str] = []

    def another() -> None:
        with store.transaction() as writer:
            documents.save(writer, 1, [Edit("b", b"{}")])
            order.append("second")

    with store.transaction() as writer:
        thread = threading.Thread(target=another)
        thread.start()
        future = store.submit(_save("c"))
        documents.save(writer, 1, [Edit("a", b"{}")])
        order.append("first")
    thread.join()
    future.result()
    assert order == ["first", "second"]
    assert _count(store) == 3


def test_a_long_one_is_warned_of(
    store: Store, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "settee.store"):
        with store.transaction():
            clock.advance(0.9)
        assert caplog.text == ""
        with store.transaction():
            clock.advance(1.5)
    assert "open for 1.5 s" in caplog.text


def test_a_task_owns_it_and_another_task_of_the_same_thread_does_not(store: Store) -> None:
    async def main() -> list[bool]:
        entered, looked = asyncio.Event(), asyncio.Event()
        mine: list[bool] = []

        async def owner() -> None:
            transaction = store.transaction()
            transaction.acquire()
            writer = transaction.adopt()
            documents.save(writer, 1, [Edit("a", b"{}")])
            entered.set()
            await looked.wait()
            mine.append(current_transaction(store) is not None)
            transaction.leave()
            transaction.commit()

        async def other() -> None:
            await entered.wait()
            mine.append(current_transaction(store) is not None)
            mine.append(_count(store) == 1)
            looked.set()

        await asyncio.gather(owner(), other())
        return mine

    assert asyncio.run(main()) == [False, False, True]
    assert _count(store) == 1


def test_parts_may_run_on_another_thread(open_store: Opener) -> None:
    store = open_store(workers=ThreadWorkers())

    async def main() -> None:
        transaction = store.transaction()
        await asyncio.to_thread(transaction.acquire)
        writer = transaction.adopt()
        documents.save(writer, 1, [Edit("a", b"{}")])
        transaction.leave()
        await asyncio.to_thread(transaction.commit)
        kept = store.transaction()
        await asyncio.to_thread(kept.acquire)
        documents.save(kept.adopt(), 1, [Edit("b", b"{}")])
        kept.leave()
        await asyncio.to_thread(kept.rollback)

    asyncio.run(main())
    assert _count(store) == 1


def test_another_thread_on_its_behalf_neither_uses_it_nor_waits_for_it(
    open_store: Opener,
) -> None:
    store = open_store(workers=ThreadWorkers())

    async def main() -> None:
        with store.transaction() as writer:
            documents.save(writer, 1, [Edit("a", b"{}")])
            assert await asyncio.to_thread(_count, store) == 0
            with pytest.raises(TransactionError, match="never end"):
                await asyncio.to_thread(store.write, _save("b"))
            with pytest.raises(TransactionError, match="another thread"):
                await asyncio.to_thread(store.transaction)

    asyncio.run(main())
    store.write(lambda w: None)
    assert _count(store) == 2


def test_without_threads_a_second_one_and_closing_raise_instead_of_hanging(
    open_store: Opener,
) -> None:
    store = open_store(workers=InlineWorkers())
    transaction = store.transaction()
    transaction.acquire()
    with pytest.raises(TransactionError, match="without threads"):
        store.transaction().acquire()
    with pytest.raises(TransactionError, match="end it"):
        store.close()
    transaction.rollback()
    store.close()


def test_closing_waits_for_it_and_refuses_the_next(open_store: Opener) -> None:
    store = open_store(workers=ThreadWorkers())
    late = store.transaction()
    with store.transaction() as writer:
        closing = threading.Thread(target=store.close)
        closing.start()
        documents.save(writer, 1, [Edit("a", b"{}")])
    closing.join()
    with pytest.raises(ClosedError):
        late.acquire()
    assert _count(open_store(create=False)) == 1


def test_the_turnstile_serves_in_the_order_of_asking() -> None:
    turnstile = Turnstile()
    turnstile.acquire()
    assert not turnstile.try_acquire()
    order: list[int] = []
    threads = []
    for number in range(3):
        asked = threading.Event()

        def pass_through(number: int = number, asked: threading.Event = asked) -> None:
            asked.set()
            turnstile.acquire()
            order.append(number)
            turnstile.release()

        threads.append(threading.Thread(target=pass_through))
        threads[-1].start()
        asked.wait()
        while len(turnstile._waiting) <= number:
            pass
    turnstile.release()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2]
    assert turnstile.try_acquire()
