from __future__ import annotations

import asyncio
import threading

import pytest

from settee.aio import Database
from settee.aio.driver import drive, read
from settee.db.steps import Begin, Steps, Wait, Work, Write
from tests.aio.conftest import Play


def test_results_and_errors_come_back_into_the_procedure(play: Play) -> None:
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

    async def scene(db: Database) -> None:
        assert await drive(db._blocking, procedure()) == [1, 2, 3, "caught", "caught"]
        with pytest.raises(ZeroDivisionError):
            await read(db._blocking, lambda: 1 // 0)

    play(scene)


def test_a_procedure_may_finish_its_work_when_it_is_cancelled(play: Play) -> None:
    finished: list[object] = []

    release = threading.Event()

    def procedure(gate: asyncio.Event) -> Steps[None]:
        future = yield Begin(lambda writer: "stored")
        gate.set()
        try:
            yield Work(lambda: release.wait(10))
        except BaseException:
            finished.append((yield Wait(future)))
            raise

    async def scene(db: Database) -> None:
        gate = asyncio.Event()
        task = asyncio.create_task(drive(db._blocking, procedure(gate)))
        await gate.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert finished == ["stored"]
        release.set()

    play(scene)
