"""The writing connection: sequences, the clock, what one commit changed.

Room: store.
Touches: the writer connection, the hybrid clock in `meta`.
Never touches: sockets, the meaning of a revision.

There is one `Writer` per open database and one owner of it at a time: the group-commit worker
(`settee.store.commits`) or a transaction (`settee.store.transaction`). Jobs get it as their
argument and pass it to the functions of `documents`, `revisions`, `marks` and `checkpoints`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import apsw

from settee.clock import Clock
from settee.doc.version import HybridClock, Vector
from settee.errors import CorruptDatabaseError, NotFoundError, TransactionError
from settee.limits import TRANSACTION_S_MAX
from settee.store.connection import Reader
from settee.store.schema import documents_table

__all__ = ["Commit", "Savepoint", "Writer"]

T = TypeVar("T")

_ROWS_PER_STATEMENT: Final = (50, 8, 1)
"""Few fixed sizes of multi-row statements, so that the statement cache hits. 50 rows cost as little
each as 250; a row alone costs nearly twice as much, and five times beside a busy thread."""


class Commit(NamedTuple):
    """What one commit changed. Given to commit listeners on the writer worker, after the commit."""

    changes: dict[int, list[str]]
    """Collection key to the IDs of changed, purged and expired documents, in order."""
    last_seqs: dict[int, int]
    """Collection key to its last sequence, of each collection in `changes`."""
    external: bool
    """Made by another process. Its purges don't show: they have no sequence."""


class Savepoint(NamedTuple):
    """A part of a transaction that is open."""

    depth: int
    """1 for a part of the transaction itself, 2 for a part of that."""
    noted: dict[int, tuple[list[str], int]]
    """What had been noted as changed at its beginning: collection key to (IDs, how many)."""


class Writer(Reader):
    """The connection that writes, inside a transaction."""

    __slots__ = (
        "_changes",
        "_clock",
        "_deadline_s",
        "_external",
        "_external_seqs",
        "_hybrid",
        "_hybrid_stored",
        "_known",
        "_last_seqs",
        "_listening",
        "_parts",
        "_seen",
        "keeps_bases",
        "source",
    )

    def __init__(
        self,
        connection: apsw.Connection,
        path: Path,
        *,
        clock: Clock,
        listening: Callable[[], bool],
    ) -> None:
        super().__init__(connection, path)
        self.source: str = ""
        self.keeps_bases: bool = False
        """Whether bodies that are written over are kept as bases of deltas; `bases.enable`."""
        self._clock = clock
        self._listening = listening
        self._known: dict[int, int] = {}  # Last sequences that listeners have been told of.
        self._deadline_s = 0.0
        self._forget_transaction()

    def _forget_transaction(self) -> None:
        self._changes: dict[int, list[str]] = {}
        self._last_seqs: dict[int, int] = {}
        self._seen: set[int] = set()
        self._external: dict[int, list[str]] = {}
        self._external_seqs: dict[int, int] = {}
        self._hybrid: HybridClock | None = None
        self._hybrid_stored = 0
        self._parts: list[Savepoint] = []

    # --- the transaction --------------------------------------------------------------------------

    def begin(self, *, limit_s: float = 0.0) -> None:
        """Begin a transaction. `limit_s`: seconds after which it can only be rolled back, 0: none.

        Raises DatabaseInUseError if another process keeps writing.
        """
        self._forget_transaction()
        self.run("BEGIN IMMEDIATE")
        self._deadline_s = self._clock.monotonic() + limit_s if limit_s else 0.0

    def commit(self) -> list[Commit]:
        """Commit, and return what to tell the listeners: another process's commit first, then ours.

        After an error nothing was stored and no transaction is open.
        """
        try:
            self.check_open()
            hybrid = self._hybrid
            if hybrid is not None and hybrid.last != self._hybrid_stored:
                self.run("UPDATE meta SET value = ? WHERE name = 'hybrid_time'", (hybrid.last,))
            own = self._own_changes()
            self.run("COMMIT")
        except BaseException:
            self.rollback()
            raise
        commits = []
        if self._external:
            commits.append(Commit(self._external, self._external_seqs, external=True))
        self._known.update(self._external_seqs)
        if own.changes:
            self._known.update(own.last_seqs)
            commits.append(own)
        self._forget_transaction()
        return commits

    def _own_changes(self) -> Commit:
        changes: dict[int, list[str]] = {}
        last_seqs: dict[int, int] = {}
        for key, ids in self._changes.items():
            try:
                last_seqs[key] = self.last_seq(key)
            except NotFoundError:  # Deleted later in this transaction.
                continue
            if ids:
                changes[key] = list(dict.fromkeys(ids))
        return Commit(changes, last_seqs, external=False)

    def rollback(self) -> None:
        """Undo all since `begin`. Harmless when SQLite has done so itself."""
        self._forget_transaction()
        if self.in_transaction:
            self.run("ROLLBACK")

    def attempt(self, job: Callable[[Writer], T]) -> T:
        """Run `job` so that its failure undoes what it did and nothing else.

        If SQLite ended the whole transaction (disk full, I/O error), `in_transaction` is false
        after the error.
        """
        noted = self._noted()
        self.run("SAVEPOINT job")
        try:
            result = job(self)
        except BaseException:
            if self.in_transaction:
                self.run("ROLLBACK TO job")
                self.run("RELEASE job")
            self._restore(noted)
            raise
        self.run("RELEASE job")
        return result

    def begin_part(self) -> Savepoint:
        """Begin a part of the transaction that can be undone by itself; parts may nest."""
        depth = len(self._parts) + 1
        self.run(f"SAVEPOINT part_{depth}")
        part = Savepoint(depth, self._noted())
        self._parts.append(part)
        return part

    @property
    def part(self) -> Savepoint | None:
        """The innermost part that is open, if any."""
        return self._parts[-1] if self._parts else None

    def end_part(self, part: Savepoint, *, undo: bool) -> None:
        """End a part, undoing what it wrote or leaving that to the transaction.

        Raises TransactionError if a part that was begun later is still open: two tasks nest in one
        transaction, and undoing one would undo the other.
        """
        if not self.in_transaction or all(each is not part for each in self._parts):
            return  # SQLite, or a part around it, has undone it already.
        if part is not self._parts[-1]:
            raise TransactionError(
                "a nested transaction ended before one that was begun inside it, by another task"
            )
        self._parts.pop()
        if undo:
            self.run(f"ROLLBACK TO part_{part.depth}")
            self._restore(part.noted)
        self.run(f"RELEASE part_{part.depth}")

    def _noted(self) -> dict[int, tuple[list[str], int]]:
        return {key: (ids, len(ids)) for key, ids in self._changes.items()}

    def _restore(self, noted: dict[int, tuple[list[str], int]]) -> None:
        self._changes = {key: ids[:count] for key, (ids, count) in noted.items()}
        self._last_seqs.clear()

    def check_open(self) -> None:
        """Raise TransactionError if the transaction has been open for longer than its limit."""
        if self._deadline_s and self._clock.monotonic() > self._deadline_s:
            raise TransactionError(
                f"the transaction was open for more than {TRANSACTION_S_MAX:.0f} s and was rolled "
                "back: others could not write meanwhile. Make it shorter"
            )

    # --- sequences and changes --------------------------------------------------------------------

    def last_seq(self, key: int) -> int:
        """Return the last sequence of a collection. Raises NotFoundError if there is none such."""
        found = self._last_seqs.get(key)
        if found is not None:
            return found
        row = self.row("SELECT last_seq FROM collections WHERE key = ? AND NOT dropped", (key,))
        if row is None:
            raise NotFoundError(f"the collection was deleted from {self.path}")
        last = row[0]
        if type(last) is not int:
            raise CorruptDatabaseError(f"{self.path} has lost the last sequence of a collection")
        if key not in self._seen:
            self._seen.add(key)
            known = self._known.get(key, 0)
            if last > known:
                self._note_external(key, known, last)
        self._last_seqs[key] = last
        return last

    def advance(self, key: int, last_seq: int, live_change: int, doc_ids: Iterable[str]) -> None:
        """Store a collection's new last sequence and note which documents changed.

        `live_change`: by how many documents the number of those not deleted grew.
        """
        self.check_open()
        assert last_seq >= self.last_seq(key), "sequences only rise"
        self.run(
            "UPDATE collections SET last_seq = ?, live_count = live_count + ? WHERE key = ?",
            (last_seq, live_change, key),
        )
        self._last_seqs[key] = last_seq
        self._changes.setdefault(key, []).extend(doc_ids)

    def forget_collection(self, key: int) -> None:
        """Forget what was noted of a collection that is being deleted."""
        self._changes.pop(key, None)
        self._last_seqs.pop(key, None)

    def look_for_external(self) -> list[Commit]:
        """Return what another process committed since it was last looked for. No transaction."""
        self._forget_transaction()
        for key, last in self.rows("SELECT key, last_seq FROM collections WHERE NOT dropped"):
            known = self._known.get(key, 0)
            if last > known:
                self._note_external(key, known, last)
        changes, last_seqs = self._external, self._external_seqs
        self._known.update(last_seqs)
        self._forget_transaction()
        return [Commit(changes, last_seqs, external=True)] if changes else []

    def learn_known(self) -> None:
        """Take the sequences as they are now for those that nobody needs to be told of."""
        self._known = dict(self.rows("SELECT key, last_seq FROM collections WHERE NOT dropped"))

    def _note_external(self, key: int, after_seq: int, last_seq: int) -> None:
        """Remember another process's changes, before ours move the documents up the feed."""
        self._external_seqs[key] = last_seq
        if self._listening():
            sql = f"SELECT id FROM {documents_table(key)} WHERE seq > ? AND seq <= ? ORDER BY seq"
            self._external[key] = [row[0] for row in self.rows(sql, (after_seq, last_seq))]

    # --- time -------------------------------------------------------------------------------------

    def wall_ns(self) -> int:
        """Return the wall clock's nanoseconds since 1970."""
        return self._clock.wall_ns()

    def wall_ms(self) -> int:
        """Return the wall clock's milliseconds since 1970."""
        return self._clock.wall_ns() // 1_000_000

    def take_times(self, count: int) -> list[int]:
        """Return `count` new version times; they rise, over restarts and processes too."""
        return list(self._hybrid_clock().take(count, self._clock.wall_ns()))

    def observe_time(self, time: int) -> None:
        """Let the clock pass a time that a peer wrote. Raises InvalidDocumentError if it can't."""
        self._hybrid_clock().observe(time, self._clock.wall_ns())

    def observe_vector(self, vector: Vector) -> None:
        """Let the clock pass all times of a vector. Raises InvalidDocumentError if it can't."""
        self._hybrid_clock().observe_vector(vector, self._clock.wall_ns())

    def _hybrid_clock(self) -> HybridClock:
        if self._hybrid is None:
            row = self.row("SELECT value FROM meta WHERE name = 'hybrid_time'")
            assert row is not None, "the schema makes this row"
            self._hybrid_stored = row[0]
            self._hybrid = HybridClock(row[0])
        return self._hybrid

    # --- statements -------------------------------------------------------------------------------

    def write_rows(
        self, statement: Callable[[int, int], str], key: int, rows: Sequence[tuple[Any, ...]]
    ) -> None:
        """Write many rows with few statements.

        `statement(key, count)` gives the (cached) SQL for `count` rows of collection `key`.
        """
        at, total = 0, len(rows)
        for size in _ROWS_PER_STATEMENT:
            while total - at >= size:
                bindings = list(chain.from_iterable(rows[at : at + size]))
                self.run(statement(key, size), bindings)
                at += size
