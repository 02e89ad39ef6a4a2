"""One procedure, two skins: what takes long is asked for, not done.

A public method that has to wait (for a commit, for a file) is written once, as a generator that
yields a `Write` or a `Work` and is sent its result. The blocking skin runs each where it stands;
the async skin awaits the same futures. So the logic is in one place and neither skin can drift.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from settee.store.writer import Writer

__all__ = ["Begin", "Step", "Steps", "Wait", "Work", "Write", "run_here"]

T = TypeVar("T")


class Write(NamedTuple):
    """Run `job` on the writer; go on when it is committed, with what it returned."""

    job: Callable[[Writer], Any]


class Begin(NamedTuple):
    """Hand `job` to the writer and go on at once, with the future for a later `Wait`."""

    job: Callable[[Writer], Any]


class Wait(NamedTuple):
    """Go on when a job that was begun is committed, with what it returned."""

    future: Future[Any]


class Work(NamedTuple):
    """Run `call`, which reads or writes files or is the user's code; go on with its result."""

    call: Callable[[], Any]


Step = Write | Begin | Wait | Work
Steps = Generator[Step, Any, T]


def run_here(steps: Steps[T]) -> T:
    """Run steps that only `Work`, in the calling thread."""
    try:
        step = next(steps)
        while True:
            assert isinstance(step, Work)
            try:
                result = step.call()
            except BaseException as exc:
                step = steps.throw(exc)
            else:
                step = steps.send(result)
    except StopIteration as end:
        value: T = end.value
        return value
