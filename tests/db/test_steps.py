from __future__ import annotations

import pytest

from settee.db.database import Database
from settee.db.steps import Begin, Steps, Wait, Work, Write, run_here


def test_results_and_errors_come_back_into_the_procedure(db: Database) -> None:
    def procedure() -> Steps[list[object]]:
        seen: list[object] = [(yield Work(lambda: 1)), (yield Write(lambda writer: 2))]
        future = yield Begin(lambda writer: 3)
        seen.append((yield Wait(future)))
        for broken in (Work(lambda: 1 // 0), Write(lambda writer: 1 // 0)):
            try:
                yield broken
            except ZeroDivisionError:
                seen.append("caught")
        return seen

    assert db._drive(procedure()) == [1, 2, 3, "caught", "caught"]


def test_an_error_that_is_not_caught_reaches_the_caller(db: Database) -> None:
    def procedure() -> Steps[None]:
        yield Work(lambda: 1 // 0)

    with pytest.raises(ZeroDivisionError):
        db._drive(procedure())
    with pytest.raises(ZeroDivisionError):
        run_here(procedure())


def test_work_alone_runs_without_a_database() -> None:
    def procedure() -> Steps[int]:
        total = 0
        for n in range(3):
            total += yield Work(lambda n=n: n)  # type: ignore[misc]
        try:
            yield Work(lambda: 1 // 0)
        except ZeroDivisionError:
            total *= 10
        return total

    assert run_here(procedure()) == 30


def test_only_work_can_run_without_a_database() -> None:
    def procedure() -> Steps[None]:
        yield Write(lambda writer: None)

    with pytest.raises(AssertionError):
        run_here(procedure())
