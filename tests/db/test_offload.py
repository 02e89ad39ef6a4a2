from __future__ import annotations

import threading

import pytest

from settee.clock import InlineWorkers, ThreadWorkers
from settee.db.offload import Offload
from settee.errors import ClosedError


def test_calls_run_and_their_results_and_errors_come_back() -> None:
    offload = Offload(InlineWorkers(), "test")
    assert offload.submit(lambda: 5).result() == 5
    with pytest.raises(ZeroDivisionError):
        offload.submit(lambda: 1 // 0).result()
    offload.close()
    offload.close()
    with pytest.raises(ClosedError):
        offload.submit(lambda: 5)


def test_four_run_side_by_side_and_the_rest_waits_its_turn() -> None:
    offload = Offload(ThreadWorkers(), "test")
    barrier = threading.Barrier(4)
    names: set[str] = set()

    def call() -> int:
        names.add(threading.current_thread().name)
        return barrier.wait(10)

    futures = [offload.submit(call) for _ in range(8)]
    assert sorted(each.result(10) for each in futures) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert names == {f"test-{n}" for n in range(4)}
    offload.close()


def test_one_after_another_needs_one_worker() -> None:
    offload = Offload(InlineWorkers(), "test")
    for _ in range(5):
        offload.submit(lambda: None)
    assert len(offload._all) == 1
    offload.close()


def test_a_cancelled_call_does_not_run() -> None:
    offload = Offload(ThreadWorkers(), "test")
    go_on = threading.Event()
    busy = [offload.submit(lambda: go_on.wait(10)) for _ in range(4)]
    ran: list[int] = []
    late = offload.submit(lambda: ran.append(1))
    assert late.cancel()
    go_on.set()
    assert all(each.result(10) for each in busy)
    offload.close()
    assert ran == []
