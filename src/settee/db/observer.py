"""Who is told of changes, and when.

A commit reaches the `Observer` on the writer worker; there it is only noted. Telling happens on the
callbacks worker, never on the writer, never on an event loop, never inside a transaction; what was
committed while a callback ran is told in one batch after it. An exception in a callback is logged
and the others go on.

A change by another process is seen when somebody looks (`Observer.poll`), or by our own next
commit; the store then reads from the feed what changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from settee.errors import ClosedError, SetteeError
from settee.logs import room_log
from settee.store import documents, feed

if TYPE_CHECKING:
    from settee.clock import Worker
    from settee.store import Commit, Store

__all__ = ["Batch", "CollectionChange", "DocumentChange", "Observer", "Subscription"]

_log = room_log("db")


class CollectionChange(NamedTuple):
    """What happened in a collection: one batch, told after its commit."""

    collection: Any
    """The `Collection`."""
    document_ids: tuple[str, ...]
    """Documents saved, deleted, purged or expired, each once, in order of their first change."""
    sequence: int
    """The collection's sequence that this batch reaches: give it as `since` to go on from here."""


class DocumentChange(NamedTuple):
    """A document was saved, deleted, purged or has expired. Read it to see which."""

    collection: Any
    """The `Collection`."""
    document_id: str
    """The document's ID."""


class Batch(NamedTuple):
    """Changes of one collection, as they go to the listeners."""

    key: int
    ids: dict[str, None]
    """Document IDs, in order; a dict, so that one can be looked up."""
    sequence: int


class Subscription:
    """A callback's registration; a context manager that removes it at its end."""

    def __init__(self, remove: Callable[[], None]) -> None:
        self._remove = remove

    def remove(self) -> None:
        """Call the callback no more, but for a call that is running. Idempotent."""
        self._remove()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class _Listener(NamedTuple):
    """One who wants batches: of one collection or (key None) of all, since a sequence each."""

    key: int | None
    start: dict[int, int]
    tell: Callable[[Batch], object]

    def covers(self, key: int) -> bool:
        return self.key is None or self.key == key


class Observer:
    """Gathers commits and tells them to the listeners, in order."""

    def __init__(self, store: Store, make_worker: Callable[[], Worker]) -> None:
        self._store = store
        self._make_worker = make_worker
        self._worker: Worker | None = None
        self._lock = threading.Lock()
        self._listeners: tuple[_Listener, ...] = ()
        self._pending: list[Commit] = []
        self._scheduled = False
        self._told: dict[int, int] = {}
        self._closed = False
        self._unregister: Callable[[], None] | None = None

    @property
    def active(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def listen(self, key: int | None, tell: Callable[[Batch], object]) -> Callable[[], None]:
        """Tell `tell` of what is committed from now on; return what ends that.

        Of the collection `key`, or of all if it is None. Raises ClosedError.
        """
        with self._lock:
            self._check_open()
            if self._unregister is None:
                self._unregister = self._store.on_commit(self._note)
        self._store.poll_external()  # What others did before must not look as if it came after.
        keys = [row.key for row in self._store.collections()] if key is None else [key]
        with self._store.reader() as reader:
            start = {each: feed.last_seq(reader, each) for each in keys}
        listener = _Listener(key, start, tell)
        with self._lock:
            self._check_open()
            self._listeners = (*self._listeners, listener)

        def remove() -> None:
            with self._lock:
                self._listeners = tuple(each for each in self._listeners if each is not listener)
                if not self._listeners:
                    self._stop_noting()

        return remove

    def poll(self) -> None:
        """Look for commits of other processes, if anybody listens."""
        if self._listeners and not self._closed:
            self._store.poll_external()

    def close(self) -> None:
        """Tell nobody any more; wait for a callback that runs. Idempotent."""
        with self._lock:
            self._closed = True
            self._listeners = ()
            self._stop_noting()
            worker = self._worker
        if worker is not None:
            worker.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the database is closed; open it again to listen")

    def _stop_noting(self) -> None:
        self._told.clear()
        self._pending.clear()
        if self._unregister is not None:
            self._unregister()
            self._unregister = None

    # --- on the writer worker ---------------------------------------------------------------------

    def _note(self, commit: Commit) -> None:
        with self._lock:
            if not self._listeners or self._closed:
                return
            self._pending.append(commit)
            if self._scheduled:
                return
            self._scheduled = True
            if self._worker is None:
                self._worker = self._make_worker()
            worker = self._worker
        worker.submit(self._deliver)

    # --- on the callbacks worker ------------------------------------------------------------------

    def _deliver(self) -> None:
        while True:
            with self._lock:
                commits, self._pending = self._pending, []
                if not commits or self._closed:
                    self._scheduled = False
                    return
            # Who has just begun to listen must not get what was committed before, and only now is
            # told, in one batch with what came after.
            groups = [[each] for each in commits] if self._newly_listened() else [commits]
            for group in groups:
                try:
                    for batch in self._batches(group):
                        self._tell(batch)
                except SetteeError as exc:
                    if not self._closed:
                        _log.warning("changes could not be read and were not told: %s", exc)

    def _newly_listened(self) -> bool:
        told = self._told
        return any(
            sequence >= told.get(key, 0)
            for listener in self._listeners
            for key, sequence in listener.start.items()
        )

    def _tell(self, batch: Batch) -> None:
        key = batch.key
        purged: dict[str, None] | None = None
        for listener in self._listeners:
            if not listener.covers(key):
                continue
            mine = batch
            if batch.sequence <= listener.start.get(key, -1):
                # Committed before it listened; but a purge takes no sequence, and may be new.
                if purged is None:
                    purged = self._purged(key, batch.ids)
                if not purged:
                    continue
                mine = batch._replace(ids=purged)
            try:
                listener.tell(mine)
            except Exception:
                _log.exception("a change callback failed; the others go on")

    def _purged(self, key: int, ids: dict[str, None]) -> dict[str, None]:
        with self._store.reader() as reader:
            rows = documents.get_many(reader, key, list(ids))
        return {doc_id: None for doc_id, row in zip(ids, rows, strict=True) if row is None}

    def _batches(self, commits: list[Commit]) -> Iterator[Batch]:
        """Merge commits into one batch a collection."""
        ids: dict[int, dict[str, None]] = {}
        last: dict[int, int] = {}  # Apart: what was told is forgotten when the last listener goes.
        for commit in commits:
            for key, changed in commit.changes.items():
                ids.setdefault(key, {}).update(dict.fromkeys(changed))
                told = self._told.get(key, 0)
                last[key] = self._told[key] = max(told, commit.last_seqs.get(key, told))
        for key, mine in ids.items():
            yield Batch(key, mine, last[key])
