"""Runs on an event loop what `settee.db` wrote as steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from settee.db.database import Database
from settee.db.steps import Begin, Step, Steps, Wait, Write

__all__ = ["drive", "read", "wait"]

T = TypeVar("T")


async def wait(future: Future[T]) -> T:
    """Wait for a future without blocking the loop.

    Being cancelled here does not take back what was handed over: a write that was begun is stored.
    """
    if future.done():
        return future.result()
    return await asyncio.shield(asyncio.wrap_future(future))


async def read(database: Database, call: Callable[[], T]) -> T:
    """Run a scan on a worker; inside one's own transaction at once, to see its writes."""
    if database._in_transaction():
        return call()
    return await wait(database._offload(call))


async def drive(database: Database, steps: Steps[T]) -> T:
    """Run a procedure, awaiting each step."""
    try:
        step = next(steps)
        while True:
            try:
                result = await _run_step(database, step)
            except BaseException as exc:
                step = steps.throw(exc)
            else:
                step = steps.send(result)
    except StopIteration as end:
        value: T = end.value
        return value


async def _run_step(database: Database, step: Step) -> Any:
    if isinstance(step, Write):
        return await wait(database._submit(step.job))
    if isinstance(step, Begin):
        return database._submit(step.job)
    if isinstance(step, Wait):
        return await wait(step.future)
    return await wait(database._offload(step.call))
