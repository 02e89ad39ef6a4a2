"""What one simulated Couchbase Lite peer keeps, whichever family it is of: its documents and feed.

The message side (`replicator`) asks an `Engine` what to say about a document and tells it what
came; `TreeEngine` and `VectorEngine` answer by the rules of 3.1 and of 4.x.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from settee.doc.revision import generation, is_tree_name
from settee.doc.version import (
    HybridClock,
    Order,
    Vector,
    Version,
    compare,
    entries,
    format_vector,
    format_version,
    join_history,
    parse_vector,
    source_text,
    split_history,
)
from settee.errors import InvalidDocumentError
from tests.simulation.bridge.tree import (
    TOMBSTONE,
    BadRevisionIdError,
    Revision,
    TreeDocument,
)
from tests.simulation.bridge.tree import ConflictRefusedError as TreeConflict
from tests.simulation.bridge.vector import ConflictRefusedError as VectorConflict
from tests.simulation.bridge.vector import Stored, VectorDocument, bad_time

CLOCK_AHEAD_NS_MAX = 120 * 10**9


class State(NamedTuple):
    """What an application sees of a document."""

    deleted: bool
    body: bytes


class Proposal(NamedTuple):
    doc_id: str
    seq: int
    name: str
    parent: str


class Outgoing(NamedTuple):
    """A revision as a `rev` message carries it."""

    name: str
    history: str
    deleted: bool
    body: bytes


class Refusal(Exception):
    """A revision that is not taken."""

    def __init__(self, domain: str, code: int) -> None:
        super().__init__(f"{domain} {code}")
        self.domain, self.code = domain, code


@dataclass
class Progress:
    """A checkpoint: what was pushed (document: sequence), how far was pulled."""

    completed: dict[str, int] = field(default_factory=dict)
    since: int = 0


class Engine(ABC):
    """A peer's database."""

    level: int
    """Of the protocol."""

    def __init__(self, name: str, told_conflict: Callable[[str, State, State], None]) -> None:
        self.name = name
        self.last_seq = 0
        self.seqs: dict[str, int] = {}
        """By document, in the order of sequences."""
        self.progress: dict[str, Progress] = {}
        """By remote, as saved with the last checkpoint."""
        self.checkpoints: dict[str, tuple[str, bytes]] = {}
        """Of other peers, by client ID: rev and body."""
        self.live: list[Callable[[], None]] = []
        """Replicators to be told of changes."""
        self.violations: list[str] = []
        """What no peer may ever send."""
        self._told_conflict = told_conflict

    def _changed(self, doc_id: str) -> None:
        self.last_seq += 1
        self.seqs.pop(doc_id, None)
        self.seqs[doc_id] = self.last_seq
        for tell in list(self.live):
            tell()

    def feed(self, since: int) -> list[tuple[int, str]]:
        return [(seq, doc_id) for doc_id, seq in self.seqs.items() if seq > since]

    @abstractmethod
    def state(self, doc_id: str) -> State | None:
        """Return what the application sees, None if there never was such a document."""

    @abstractmethod
    def edit(self, doc_id: str, state: State, name: str | None = None) -> bool:
        """Save or delete; tell whether a new revision was made.

        `name`: that of the revision, if a recording tells it.
        """

    # --- pushing ----------------------------------------------------------------------------------

    @abstractmethod
    def row_name(self, doc_id: str, live: bool) -> str:
        """Return the name of the current revision for a row of `changes`."""

    @abstractmethod
    def proposal(self, doc_id: str, remote: str) -> Proposal | None:
        """Return what to propose to a remote, None if nothing is to be pushed."""

    @abstractmethod
    def newer_parent(self, proposal: Proposal, theirs: str) -> str:
        """Return the parent to propose once more with after a 409, "" if that is of no use."""

    @abstractmethod
    def outgoing(self, doc_id: str, name: str, held: Sequence[str]) -> Outgoing | None:
        """Return a revision with its ancestry, None if it is not the current one any more."""

    @abstractmethod
    def pushed(self, doc_id: str, remote: str, name: str) -> None:
        """Note that a remote has a revision as its current one."""

    # --- pulling ----------------------------------------------------------------------------------

    @abstractmethod
    def find(self, doc_id: str, name: str, remote: str) -> list[str] | None:
        """Answer a row of `changes`."""

    @abstractmethod
    def answer_proposal(self, doc_id: str, name: str, parent: str) -> tuple[int, str]:
        """Answer a row of `proposeChanges`."""

    @abstractmethod
    def take(
        self, doc_id: str, name: str, history: str, body: bytes, deleted: bool, remote: str | None
    ) -> bool:
        """Take a revision; tell whether it is in conflict. Raises Refusal.

        `remote`: whom it was pulled from; None: it was pushed to us.
        """

    @abstractmethod
    def resolve(self, doc_id: str, name: str, remote: str) -> None:
        """Let the application's resolver end a conflict with `name`, if it is still there."""

    def _refused(self, why: str, domain: str, code: int) -> Refusal:
        self.violations.append(f"{self.name}: {why}")
        return Refusal(domain, code)


# --- 3.1 ------------------------------------------------------------------------------------------


class TreeEngine(Engine):
    """Couchbase Lite 3.1, or an earlier one with `depth` 20."""

    level = 3

    def __init__(
        self,
        name: str,
        told_conflict: Callable[[str, State, State], None],
        *,
        depth: int = 50,
        bodies_only: bool = True,
    ) -> None:
        super().__init__(name, told_conflict)
        self.depth = depth
        self.bodies_only = bodies_only
        """Whether only ancestors whose bodies are held are listed, as with deltas enabled."""
        self.documents: dict[str, TreeDocument] = {}

    def _document(self, doc_id: str) -> TreeDocument:
        return self.documents.setdefault(doc_id, TreeDocument(self.depth))

    def _current(self, doc_id: str) -> Revision | None:
        return self._document(doc_id).current

    def state(self, doc_id: str) -> State | None:
        current = self._current(doc_id)
        return None if current is None else State(current.deleted, current.body or TOMBSTONE)

    def edit(self, doc_id: str, state: State, name: str | None = None) -> bool:
        document = self._document(doc_id)
        saved = document.save(state.body, state.deleted, name)
        if saved:
            self._changed(doc_id)
        return saved

    def row_name(self, doc_id: str, live: bool) -> str:
        current = self._current(doc_id)
        assert current is not None
        return current.tid

    def proposal(self, doc_id: str, remote: str) -> Proposal | None:
        document, current = self._document(doc_id), self._current(doc_id)
        assert current is not None
        if document.in_conflict:
            return None
        theirs = document.remotes.get(remote, "")
        if theirs and generation(theirs) >= generation(current.tid):
            return None
        return Proposal(doc_id, self.seqs[doc_id], current.tid, theirs)

    def newer_parent(self, proposal: Proposal, theirs: str) -> str:
        document, current = self._document(proposal.doc_id), self._current(proposal.doc_id)
        known = document.revisions.get(theirs)
        if theirs == proposal.parent or known is None or current is None:
            return ""
        return theirs if current.tid == proposal.name and current.descends_from(known) else ""

    def outgoing(self, doc_id: str, name: str, held: Sequence[str]) -> Outgoing | None:
        document, current = self._document(doc_id), self._current(doc_id)
        if current is None or current.tid != name:
            return None
        history = ",".join(document.history(current, held, self.depth))
        return Outgoing(name, history, current.deleted, current.body or TOMBSTONE)

    def pushed(self, doc_id: str, remote: str, name: str) -> None:
        document = self._document(doc_id)
        if name in document.revisions:
            document.remotes[remote] = name

    def find(self, doc_id: str, name: str, remote: str) -> list[str] | None:
        if not is_tree_name(name):
            raise self._refused(f"row {name!r}", "HTTP", 400)
        return self._document(doc_id).find(name, remote, bodies_only=self.bodies_only)

    def answer_proposal(self, doc_id: str, name: str, parent: str) -> tuple[int, str]:
        if not is_tree_name(name) or (parent and not is_tree_name(parent)):
            raise self._refused(f"proposal {name!r} on {parent!r}", "HTTP", 400)
        return self._document(doc_id).answer_proposal(name, parent)

    def take(
        self, doc_id: str, name: str, history: str, body: bytes, deleted: bool, remote: str | None
    ) -> bool:
        names = history.replace(" ", "").split(",") if history else []
        if not all(is_tree_name(one) for one in (name, *names)):
            raise self._refused(f"rev {name!r} with history {history!r}", "HTTP", 400)
        document = self._document(doc_id)
        try:
            if remote is None:
                new = document.take_pushed(name, names, body, deleted)
            else:
                new = document.take_pulled(name, names, body, deleted, remote)
        except BadRevisionIdError as exc:
            raise self._refused(str(exc), "LiteCore", 4) from exc
        except TreeConflict as exc:
            raise Refusal("HTTP", 409) from exc
        if new:
            self._changed(doc_id)
        return remote is not None and document.conflicting(name) is not None

    def resolve(self, doc_id: str, name: str, remote: str) -> None:
        document = self._document(doc_id)
        theirs, mine = document.conflicting(name), document.current
        if theirs is None or mine is None:
            return
        self._told_conflict(
            self.name,
            State(mine.deleted, mine.body or TOMBSTONE),
            State(theirs.deleted, theirs.body or TOMBSTONE),
        )
        document.resolve(theirs)
        self._changed(doc_id)


# --- 4.x ------------------------------------------------------------------------------------------


class VectorEngine(Engine):
    """Couchbase Lite 4.x."""

    level = 4

    def __init__(
        self,
        name: str,
        told_conflict: Callable[[str, State, State], None],
        *,
        wall_ns: Callable[[], int],
        source: str | None = None,
    ) -> None:
        super().__init__(name, told_conflict)
        self.source = source or source_text(hashlib.md5(name.encode()).hexdigest())
        self.documents: dict[str, VectorDocument] = {}
        self._wall_ns = wall_ns
        self._clock = HybridClock()

    def _document(self, doc_id: str) -> VectorDocument:
        return self.documents.setdefault(doc_id, VectorDocument())

    def _vector(self, doc_id: str) -> Vector:
        current = self._document(doc_id).current
        assert current is not None
        return current.vector

    def state(self, doc_id: str) -> State | None:
        current = self._document(doc_id).current
        return None if current is None else State(current.deleted, current.body)

    def edit(self, doc_id: str, state: State, name: str | None = None) -> bool:
        if name is None:
            version = Version(self._clock.now(self._wall_ns()), self.source)
        else:
            version = parse_vector(name).cv
        self._document(doc_id).save(state.body, state.deleted, version)
        self._changed(doc_id)
        return True

    def row_name(self, doc_id: str, live: bool) -> str:
        vector = self._vector(doc_id)
        return format_vector(vector) if live else format_version(vector.cv)

    def proposal(self, doc_id: str, remote: str) -> Proposal | None:
        document, vector = self._document(doc_id), self._vector(doc_id)
        if document.conflicts:
            return None
        theirs = document.remotes.get(remote)
        if theirs is not None and compare(theirs, vector) in (Order.SAME, Order.NEWER):
            return None
        parent = "" if theirs is None else format_version(theirs.cv)
        return Proposal(doc_id, self.seqs[doc_id], format_version(vector.cv), parent)

    def newer_parent(self, proposal: Proposal, theirs: str) -> str:
        if not theirs or "@" not in theirs:
            return ""
        vector, other = self._vector(proposal.doc_id), parse_vector(theirs)
        name = format_version(other.cv)
        if name == proposal.parent or format_version(vector.cv) != proposal.name:
            return ""
        return name if compare(vector, other) is Order.NEWER else ""

    def outgoing(self, doc_id: str, name: str, held: Sequence[str]) -> Outgoing | None:
        current = self._document(doc_id).current
        if current is None or current.vector.cv != parse_vector(name).cv:
            return None
        version, history = split_history(current.vector)
        return Outgoing(version, history, current.deleted, current.body)

    def pushed(self, doc_id: str, remote: str, name: str) -> None:
        vector, theirs = self._vector(doc_id), parse_vector(name)
        self._document(doc_id).remotes[remote] = vector if vector.cv == theirs.cv else theirs

    def find(self, doc_id: str, name: str, remote: str) -> list[str] | None:
        self._checked(name, "")
        return self._document(doc_id).find(name, remote)

    def answer_proposal(self, doc_id: str, name: str, parent: str) -> tuple[int, str]:
        self._checked(name, "")
        if parent:
            self._checked(parent, "")
        return self._document(doc_id).answer_proposal(name, parent)

    def _checked(self, name: str, history: str) -> tuple[Vector, bool]:
        """Return the vector that a message names, and whether a tail of tree names follows it.

        What a 4.x peer can't take is a violation.
        """
        said = f"{name} with history {history!r}"
        try:
            if "," in name or ";" in name:
                vector, legacy = parse_vector(name), ()
            else:
                parsed, legacy = join_history(name, history)
                if parsed is None:
                    raise self._refused(f"a tree name from nowhere: {said}", "HTTP", 400)
                vector = parsed
        except InvalidDocumentError as exc:
            raise self._refused(f"{exc} in {said}", "HTTP", 400) from exc
        why = bad_time(vector, self._wall_ns() + CLOCK_AHEAD_NS_MAX)
        if why:
            raise self._refused(f"{why} in {said}", "LiteCore", 4)
        return vector, bool(legacy)

    def take(
        self, doc_id: str, name: str, history: str, body: bytes, deleted: bool, remote: str | None
    ) -> bool:
        vector, has_tail = self._checked(name, history)
        if has_tail and doc_id not in self.documents:
            raise self._refused(f"a tail that was never shown here: {history}", "HTTP", 400)
        for time in entries(vector).values():
            self._clock.observe(time, self._wall_ns())
        document, incoming = self._document(doc_id), Stored(vector, body, deleted, has_tail)
        try:
            if remote is None:
                new = document.take_pushed(incoming)
            else:
                new = document.take_pulled(incoming, remote)
        except VectorConflict as exc:
            raise Refusal("HTTP", 409) from exc
        in_conflict = remote is not None and remote in document.conflicts
        if new and not in_conflict:
            self._changed(doc_id)
        return in_conflict

    def resolve(self, doc_id: str, name: str, remote: str) -> None:
        document = self._document(doc_id)
        theirs, mine = document.conflicts.get(remote), document.current
        if theirs is None or mine is None:
            return
        if compare(theirs.vector, mine.vector) in (Order.SAME, Order.OLDER):
            del document.conflicts[remote]  # Another remote has brought what settles it.
        else:
            self._told_conflict(
                self.name, State(mine.deleted, mine.body), State(theirs.deleted, theirs.body)
            )
            document.resolve(remote)
        self._changed(doc_id)
