from __future__ import annotations

import asyncio
import threading

import pytest

from settee.clock import SystemClock, ThreadWorkers
from settee.errors import ClosedError, NotFoundError, SetteeError
from settee.peer.runtime import Runtime, as_settee_error


def runtime() -> Runtime:
    return Runtime(SystemClock(), ThreadWorkers())


def test_coroutines_run_on_a_loop_of_its_own_and_give_their_result() -> None:
    made = runtime()

    async def work() -> int:
        return threading.get_ident()

    assert made.wait(work()) != threading.get_ident()
    made.close()
    made.close()


def test_waiting_on_the_loop_or_in_a_callback_is_refused_rather_than_hung() -> None:
    made = runtime()

    async def nothing() -> None:
        return None

    async def inside() -> str:
        try:
            made.wait(nothing())
        except ClosedError as exc:
            return str(exc)
        return "hung"

    assert "wait for itself" in made.wait(inside())
    caught: list[BaseException] = []
    done = threading.Event()

    def callback() -> None:
        try:
            made.wait(nothing())
        except ClosedError as exc:
            caught.append(exc)
        done.set()

    made.callback(callback)
    assert done.wait(10)
    assert len(caught) == 1
    made.close()


def test_a_job_that_nobody_waits_for_any_more_does_not_end_its_worker() -> None:
    made = runtime()
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert go_on.wait(10)
        return "too late"

    async def give_up() -> str:
        waiting = [
            asyncio.ensure_future(made.run_in(made.reader.submit, job)) for job in (slow, str)
        ]
        while not begun.is_set():  # noqa: ASYNC110 - another thread sets it
            await asyncio.sleep(0.001)
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)
        go_on.set()
        return await made.run_in(made.reader.submit, lambda: "still there")

    assert made.wait(give_up(), 10) == "still there"
    made.close()


def test_a_callback_that_raises_is_logged_and_the_next_one_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = runtime()
    done = threading.Event()

    def bad() -> None:
        raise ValueError("the application's")

    made.callback(bad)
    made.callback(done.set)
    assert done.wait(10)
    made.close()
    assert "callback of the application" in caplog.text


def test_nothing_runs_after_close() -> None:
    made = runtime()
    made.close()

    async def nothing() -> None:
        return None

    with pytest.raises(ClosedError):
        made.submit(nothing())
    made.call(lambda: pytest.fail("ran"))
    made.callback(lambda: pytest.fail("ran"))


def test_close_cancels_what_still_runs() -> None:
    made = runtime()
    ended = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def start() -> None:
        made.spawn(forever())

    made.wait(start())
    made.close()
    assert ended.is_set()


def test_an_error_of_ours_is_wrapped_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    known = NotFoundError("x")
    assert as_settee_error(known, "testing") is known
    wrapped = as_settee_error(ZeroDivisionError("oops"), "testing")
    assert type(wrapped) is SetteeError
    assert "testing" in str(wrapped)
    assert "oops" in caplog.text


def test_sleep_ends_early_when_woken() -> None:
    made = runtime()

    async def work() -> tuple[bool, bool]:
        wake = asyncio.Event()
        slept = await made.sleep(0.001, wake)
        wake.set()
        return slept, await made.sleep(1000, wake)

    assert made.wait(work()) == (False, True)
    made.close()
