"""The machine behind a database's peers: one event loop in a thread, and a few workers.

Made when a database's first replicator or listener starts, ended when the database closes. In a
simulation there is no thread: many runtimes share one loop with virtual time (`Runtime.on_loop`).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from settee.clock import Clock, Worker, Workers
from settee.errors import ClosedError, SetteeError
from settee.limits import LOGIN_CHECKS_AT_ONCE_MAX
from settee.logs import room_log
from settee.net.wire import ReadBuffer
from settee.peer.crowd import Crowd

__all__ = ["Runtime", "new_event_loop"]

T = TypeVar("T")
_log = room_log("peer")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new loop: uvloop's if it is installed (extra ``speed``), else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class Runtime:
    """An event loop, and workers for what must not run on it."""

    def __init__(
        self,
        clock: Clock,
        workers: Workers,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.clock = clock
        self.workers = workers
        self.reader: Worker = workers.serial("settee-reader")
        self.blobs: Worker = workers.serial("settee-blobs")
        self.placing: Worker = workers.serial("settee-placing")
        """Makes received blobs durable, so that the next are written meanwhile."""
        self.callbacks: Worker = workers.serial("settee-peer-callbacks")
        self.hooks: Worker = workers.serial("settee-hooks")
        self.logins: tuple[Worker, ...] = tuple(
            workers.serial(f"settee-login-{n}") for n in range(1, LOGIN_CHECKS_AT_ONCE_MAX + 1)
        )
        self.reads: ReadBuffer = ReadBuffer()
        """What all links of this loop read into."""
        self.crowd: Crowd[Any] = Crowd()
        """What all sessions of this loop hold of their peers' messages."""
        self._thread: threading.Thread | None = None
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopped = threading.Event()
        if loop is not None:
            self.loop: asyncio.AbstractEventLoop = loop
        else:
            self.loop = new_event_loop()
            self._thread = threading.Thread(target=self._run, name="settee-loop", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            pending = asyncio.all_tasks(self.loop)
            for task in pending:
                task.cancel()
            if pending:
                self.loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()
            self._stopped.set()

    # --- running things ---------------------------------------------------------------------------

    @property
    def is_virtual(self) -> bool:
        """Whether this runtime shares somebody else's loop (a simulation)."""
        return self._thread is None

    def is_current(self) -> bool:
        """Whether the caller runs on the loop's own thread."""
        return self._thread is threading.current_thread()

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Call `function` on the loop soon; from any thread. Ignored once closed."""
        if self._closed:
            return
        with contextlib.suppress(RuntimeError):  # The loop was closed meanwhile.
            if self.is_virtual:
                self.loop.call_soon(function, *args)
            else:
                self.loop.call_soon_threadsafe(function, *args)

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine on the loop; from any thread but the loop's."""
        if self._closed:
            work.close()
            raise ClosedError("the database is closed: open it again to replicate")
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def wait(self, work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """Run a coroutine on the loop and wait for it, in a blocking caller's thread."""
        if self.is_current() or self.callbacks.is_current() or self.hooks.is_current():
            work.close()
            raise ClosedError(
                "this would wait for itself: don't call it in a callback; start a thread or use "
                "settee.aio"
            )
        return self.submit(work).result(timeout_s)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task on the loop; call it on the loop."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            _log.error("a task ended with an error of ours: %r", exc, exc_info=exc)

    async def sleep(self, seconds: float, wake: asyncio.Event) -> bool:
        """Sleep, or until `wake` is set; true if it was."""
        try:
            await asyncio.wait_for(wake.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def run_in(
        self, worker_submit: Callable[[Callable[[], None]], None], function: Callable[[], T]
    ) -> T:
        """Run a blocking function on a worker and await its result."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return  # Nobody waits for it any more.
            try:
                result = function()
            except BaseException as exc:
                future.set_exception(exc)
            else:
                future.set_result(result)

        worker_submit(job)
        return await asyncio.wrap_future(future)

    def callback(self, function: Callable[..., object], *args: object) -> None:
        """Call the application back, on the callbacks worker; its errors are logged."""

        def job() -> None:
            try:
                function(*args)
            except Exception:
                _log.exception("a callback of the application raised an error")

        with contextlib.suppress(ClosedError):
            self.callbacks.submit(job)

    # --- the end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """End loop and workers. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            self.loop.call_soon_threadsafe(self.loop.stop)
            if not self.is_current():
                self._stopped.wait()
                self._thread.join()
        for worker in (
            self.reader,
            self.blobs,
            self.placing,
            self.hooks,
            *self.logins,
            self.callbacks,
        ):
            worker.close()


def as_settee_error(exc: BaseException, doing: str) -> SetteeError:
    """Return `exc` if it is ours to show, else log it as a bug and wrap it."""
    if isinstance(exc, SetteeError):
        return exc
    _log.error("an error of ours while %s: %r", doing, exc, exc_info=exc)
    return SetteeError(f"an error of settee's own while {doing}: {exc!r}; please report it")
