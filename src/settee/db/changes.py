"""The iterator twins of change callbacks: batches that merge until they are taken.

An iterator that is given a sequence reads the feed from there first, in pages; then it waits for
commits. Between the two a document may be named twice, never not at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from settee.db.observer import Batch, Observer
from settee.errors import ClosedError
from settee.limits import PAGE_ROWS
from settee.store import feed

if TYPE_CHECKING:
    from settee.store import Store

__all__ = ["ChangeSource", "Changes"]

T = TypeVar("T")


class ChangeSource(Generic[T]):
    """Where an iterator of either skin takes its items from: the feed's past, then a queue."""

    def __init__(
        self,
        observer: Observer,
        store: Store,
        key: int | None,
        make: Callable[[Batch], T],
        *,
        since: int | None = None,
        document_id: str | None = None,
        on_end: Callable[[ChangeSource[T]], None],
    ) -> None:
        assert since is None or key is not None, "only a collection has a sequence to go on from"
        self.behind: bool = since is not None
        """Whether the feed has to be read before the queue; `next_page` does it."""
        self._store = store
        self._key = key
        self._since = since or 0
        self._make = make
        self._document_id = document_id
        self._on_end = on_end
        self._ids: dict[int, dict[str, None]] = {}
        self._sequences: dict[int, int] = {}
        self._condition = threading.Condition()
        self._closed = False
        self._wake: Callable[[], None] | None = None
        self._remove = observer.listen(key, self._put)

    @property
    def key(self) -> int | None:
        """The collection's key, None for all collections."""
        return self._key

    def _put(self, batch: Batch) -> None:
        ids = batch.ids
        if self._document_id is not None:
            if self._document_id not in ids:
                return
            ids = {self._document_id: None}
        with self._condition:
            if self._closed:
                return
            self._ids.setdefault(batch.key, {}).update(ids)
            self._sequences[batch.key] = max(batch.sequence, self._sequences.get(batch.key, 0))
            self._condition.notify_all()
            wake = self._wake
        if wake is not None:
            wake()

    def next_page(self) -> T | None:
        """Return the feed's next page, None if there is none; no longer behind after the last."""
        assert self._key is not None
        try:
            with self._store.reader() as reader:
                rows = feed.changes(reader, self._key, self._since, PAGE_ROWS).rows
        except ClosedError:
            if self._closed:
                return None
            raise
        self.behind = len(rows) == PAGE_ROWS
        if not rows:
            return None
        self._since = rows[-1].seq
        return self._make(Batch(self._key, {row.doc_id: None for row in rows}, self._since))

    def take(self) -> T | None:
        """Return what has come since, or None, without waiting."""
        with self._condition:
            if not self._ids:
                return None
            key = next(iter(self._ids))
            sequence = self._sequences[key]
            if key == self._key:
                # What the feed had already may come again; the sequence must not fall.
                sequence = self._since = max(self._since, sequence)
            return self._make(Batch(key, self._ids.pop(key), sequence))

    def wait(self) -> None:
        """Block until something is pending or the source is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._ids or self._closed)

    def on_wake(self, wake: Callable[[], None]) -> None:
        """Call `wake`, on any thread, when `take` may have something or the source is closed."""
        self._wake = wake

    @property
    def closed(self) -> bool:
        """Whether the iteration is over."""
        return self._closed

    def close(self) -> None:
        """Stop listening and end the iteration. Idempotent."""
        with self._condition:
            closed, self._closed = self._closed, True
            self._ids.clear()
            self._condition.notify_all()
            wake = self._wake
        if closed:
            return
        self._remove()
        self._on_end(self)
        if wake is not None:
            wake()


class Changes(Generic[T]):
    """An iterator over changes that waits for more; end it with `close` or as a context manager.

    It ends by itself when the database is closed. One thread iterates; any may close.
    """

    def __init__(self, source: ChangeSource[T]) -> None:
        self._source = source

    def __iter__(self) -> Changes[T]:
        return self

    def __next__(self) -> T:
        source = self._source
        while not source.closed:
            found = source.next_page() if source.behind else source.take()
            if found is not None:
                return found
            if not source.behind:
                source.wait()
        raise StopIteration

    def close(self) -> None:
        """Stop; a `next` that waits ends with StopIteration. Idempotent."""
        self._source.close()

    def __enter__(self) -> Changes[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
