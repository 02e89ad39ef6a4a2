from __future__ import annotations

import datetime
import threading

import pytest

from settee.clock import InlineWorkers, ThreadWorkers
from settee.db.database import Database
from settee.db.ticker import Ticker


def test_it_ticks_while_there_is_something_to_wait_for_and_then_rests() -> None:
    rests: list[float | None] = [0.0, 0.001, None]
    ticked = threading.Event()

    def tick() -> float | None:
        rest = rests.pop(0)
        if not rests:
            ticked.set()
        return rest

    ticker = Ticker(ThreadWorkers(), tick)
    ticker.wake()
    assert ticked.wait(10)
    ticker.close()
    assert not ticker._running


def test_wake_shortens_a_long_rest_and_begins_anew_after_the_end() -> None:
    ticks = threading.Semaphore(0)
    rests: list[float | None] = [60.0, None, None]

    def tick() -> float | None:
        ticks.release()
        return rests.pop(0)

    ticker = Ticker(ThreadWorkers(), tick)
    for _ in range(3):
        ticker.wake()
        assert ticks.acquire(timeout=10)
    ticker.close()
    ticker.close()
    ticker.wake()
    assert rests == []


def test_in_a_simulation_nothing_ticks_by_itself() -> None:
    def never() -> float | None:
        raise AssertionError

    ticker = Ticker(InlineWorkers(), never)
    ticker.wake()
    ticker.close()


@pytest.mark.feature("EXP-03")
def test_documents_are_purged_at_their_time_without_anybody_asking(threaded: Database) -> None:
    items = threaded.default_collection
    items["a"] = {}
    gone = threading.Event()
    items.on_document_change("a", lambda _: gone.set())
    items.expire("a", datetime.timedelta(milliseconds=20))
    assert gone.wait(10)
    threaded._store.write(lambda writer: None)
    row = threaded._store.write(lambda writer: writer.row("SELECT count(*) FROM docs_1"))
    assert row == (0,)
