from __future__ import annotations

import threading

import pytest

from settee.clock import InlineWorkers, SystemClock, ThreadWorkers, Worker, Workers
from settee.errors import ClosedError


def test_the_system_clock_rises_and_its_chance_differs() -> None:
    clock = SystemClock()
    assert clock.monotonic() <= clock.monotonic()
    assert clock.wall_ns() > 1_700_000_000 * 10**9
    assert len(clock.random_bytes(16)) == 16
    assert clock.random_bytes(16) != clock.random_bytes(16)


@pytest.mark.parametrize("workers", [ThreadWorkers(), InlineWorkers()])
def test_jobs_run_in_order_also_those_that_a_job_submits(workers: Workers) -> None:
    worker: Worker = workers.serial("test")
    seen: list[int] = []
    done = threading.Event()

    def first() -> None:
        seen.append(1)
        worker.submit(lambda: (seen.append(3), done.set())[0])
        seen.append(2)

    worker.submit(first)
    assert done.wait(10)
    worker.close()
    assert seen == [1, 2, 3]


@pytest.mark.parametrize("workers", [ThreadWorkers(), InlineWorkers()])
def test_a_closed_worker_finished_its_jobs_and_takes_no_more(workers: Workers) -> None:
    worker = workers.serial("test")
    seen: list[int] = []
    for n in range(100):
        worker.submit(lambda n=n: seen.append(n))  # type: ignore[misc]
    worker.close()
    worker.close()
    assert seen == list(range(100))
    with pytest.raises(ClosedError):
        worker.submit(lambda: None)


def test_a_thread_worker_knows_when_it_is_current_and_an_inline_one_runs_in_its_caller() -> None:
    current: list[bool] = []
    idents: list[int] = []
    thread = ThreadWorkers().serial("test")
    thread.submit(lambda: current.append(thread.is_current()))
    thread.submit(lambda: idents.append(threading.get_ident()))
    thread.close()
    assert current == [True]
    assert idents != [threading.get_ident()]
    assert not thread.is_current()
    inline = InlineWorkers().serial("test")
    inline.submit(lambda: idents.append(threading.get_ident()))
    assert idents[1] == threading.get_ident()
    assert InlineWorkers().inline()
    assert not ThreadWorkers().inline()


def test_closing_a_worker_from_its_own_job_does_not_hang() -> None:
    worker = ThreadWorkers().serial("test")
    done = threading.Event()

    def job() -> None:
        worker.close()
        done.set()

    worker.submit(job)
    assert done.wait(10)


def test_a_job_that_fails_is_shown_and_the_next_one_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: shown.append(args.exc_value))
    worker = ThreadWorkers().serial("test")
    ran = threading.Event()
    worker.submit(lambda: [][0])
    worker.submit(ran.set)
    worker.close()
    assert ran.is_set()
    assert [type(exc) for exc in shown] == [IndexError]
