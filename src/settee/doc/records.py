"""What the store and the replication protocol hand each other: one tuple per document.

Room: pure document. `store` and `sync` are strangers; both know these.
Touches: nothing.
Never touches: sockets, files, the wall clock, randomness.

Lists of these travel in batches, so they are NamedTuples: a keyword dataclass would cost five
times as much per document. Names (`tid`, `history`, `vector`) are in docs/architecture.md.
"""

from __future__ import annotations

import enum
from typing import Final, Literal, NamedTuple

__all__ = [
    "DELETED",
    "HAS_BLOBS",
    "Applied",
    "ChangeRow",
    "ChangesPage",
    "ConflictPolicy",
    "Held",
    "Outcome",
    "RevisionIn",
    "RevisionOut",
    "Settlement",
]

DELETED: Final = 1
"""Row flag: the current revision is a tombstone."""

HAS_BLOBS: Final = 2
"""Row flag: the body names at least one blob."""


class ConflictPolicy(enum.Enum):
    """What a store does with a revision that neither descends from its own nor is an ancestor."""

    RESOLVE = "resolve"
    """Resolve by the default rule, the same at every settee peer; nothing is refused."""
    DEFER = "defer"
    """Write nothing and say so: the application decides, outside any transaction."""
    REFUSE = "refuse"
    """Answer 409 and keep what is there: what Couchbase's own listener does."""


class RevisionIn(NamedTuple):
    """A revision as it came from a peer, its body checked and its blobs staged."""

    doc_id: str
    tid: str
    """Tree name: ``generation-digest``; empty if the peer told only its vector."""
    history: str
    """Ancestors, newest first, comma-separated, without `tid`; may be empty."""
    deleted: bool
    body: bytes
    """UTF-8 JSON as it is to be stored; ``{}`` for a plain tombstone."""
    vector: str
    """Version vector in wire form if the peer speaks of versions, else empty (taken from names)."""
    blobs: tuple[str, ...]
    """Digests that the body names."""
    over: str | None = None
    """What was there when it was allowed ("": nothing); over anything else it isn't written."""

    @property
    def called(self) -> str:
        """What to call it in a message to a person."""
        return self.tid or self.vector


class Outcome(enum.IntEnum):
    """What became of a `RevisionIn`."""

    STORED = 0
    """It is the current revision now."""
    SAME = 1
    """It was the current revision already; nothing written."""
    OLD = 2
    """The current revision descends from it; nothing written."""
    RESOLVED = 3
    """It was in conflict; the result (mine, theirs or a new one) is the current revision now."""
    CHANGED = 5
    """Something else is there than what it was allowed to be written over; nothing written."""
    CONFLICT = 4
    """It is in conflict, and the application is to decide; nothing written."""
    REFUSED = 409
    """It was in conflict and the policy is to refuse."""
    MALFORMED = 400
    """Its tree name or history can't be."""
    AHEAD = 503
    """Its version lies too far in the future; nothing written, to be offered again later."""


class Applied(NamedTuple):
    """The answer for one `RevisionIn`, in the same place of the list."""

    outcome: Outcome
    seq: int
    """Sequence of the document now (0 if it does not exist)."""
    tid: str
    """Tree name of the current revision now ("" if none)."""


class ChangeRow(NamedTuple):
    """One row of the feed: a document by its latest sequence."""

    seq: int
    doc_id: str
    tid: str
    flags: int
    body_bytes: int
    mark: str
    """Tree name that the remote is known to have ("" if none, or no remote was named)."""


class ChangesPage(NamedTuple):
    """A page of the feed."""

    rows: list[ChangeRow]
    last_seq: int
    """The collection's last sequence when the page was read."""


class Settlement(NamedTuple):
    """How the application decided a conflict."""

    revision: RevisionIn
    """The remote one."""
    expected_tid: str
    """The local revision that the application saw; another one there now is a new conflict."""
    choice: Literal["mine", "theirs", "merged"]
    body: bytes
    """Of a merge; unused otherwise."""
    deleted: bool
    """Whether the merge is a deletion."""
    blobs: tuple[str, ...]
    """Digests that `body` names."""


class RevisionOut(NamedTuple):
    """A current revision, with all that sending it needs."""

    doc_id: str
    seq: int
    tid: str
    history: str
    deleted: bool
    vector: str
    body: bytes
    base: str = ""
    """A revision that the receiver has and whose body is at hand ("" if none)."""
    base_body: bytes = b""


class Held(NamedTuple):
    """What is held of a document that a peer asks about."""

    tid: str
    deleted: bool
    vector: str
    aka: str
    """Other names of the current version, comma-separated."""
    history: str
    mark: str
    seq: int = 0
    """The document's sequence."""
