"""What a replicator says of itself, and who is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

from settee.db.replication import DocumentError, ReplicationResult
from settee.errors import SetteeError
from settee.sync.events import Activity, Progress

__all__ = ["DocumentError", "ReplicationResult", "ReplicatorStatus", "Watched"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicatorStatus:
    """The state of a replicator at one moment."""

    activity: Activity
    """stopped, offline, connecting, idle or busy."""
    progress: Progress
    """Totals since `start`."""
    error: SetteeError | None = None
    """Why it stopped or is offline; None if all is well."""


class Watched(Generic[T]):
    """A value that other threads read, wait for and are told of."""

    def __init__(self, value: T, call_back: Callable[..., None]) -> None:
        self._value = value
        self._call_back = call_back
        self._changed = threading.Condition()
        self._listeners: list[Callable[[T], object]] = []

    @property
    def value(self) -> T:
        """The current value."""
        return self._value

    def set(self, value: T) -> None:
        """Change the value and tell everybody."""
        with self._changed:
            self._value = value
            self._changed.notify_all()
            listeners = list(self._listeners)
        for listener in listeners:
            self._call_back(listener, value)

    def listen(self, listener: Callable[[T], object]) -> Callable[[], None]:
        """Call `listener` with each new value, on the callbacks worker; returns how to end it."""
        return self.listen_from_now(listener)[1]

    def listen_from_now(self, listener: Callable[[T], object]) -> tuple[T, Callable[[], None]]:
        """As `listen`; returns the value now too, none between it and the first call missed."""
        with self._changed:
            value = self._value
            self._listeners.append(listener)

        def unlisten() -> None:
            with self._changed:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return value, unlisten

    def wait(self, accepts: Callable[[T], bool], timeout_s: float | None) -> bool:
        """Wait until `accepts(value)`; false if that did not happen in time."""
        with self._changed:
            return self._changed.wait_for(lambda: accepts(self._value), timeout_s)

    def iterate(self, is_last: Callable[[T], bool]) -> Iterator[T]:
        """Yield the value now and at each change, until one is the last."""
        values: SimpleQueue[T] = SimpleQueue()
        with self._changed:
            values.put(self._value)
            self._listeners.append(values.put)
        try:
            while True:
                value = values.get()
                yield value
                if is_last(value):
                    return
        finally:
            with self._changed:
                self._listeners.remove(values.put)
