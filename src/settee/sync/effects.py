"""What a session asks of storage, and what it is answered.

Room: pure protocol. Storage is I/O too: a session asks (`Session.effects`), the driver carries it
out and answers (`Session.answer`, with `Failed` if it could not). One effect per batch.
Touches: settee.doc.records, settee.errors.
Never touches: sockets, files, the wall clock, randomness.

`collection` is the index of the collection in the session's configuration, never a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from settee.doc.records import ConflictPolicy, RevisionIn
from settee.errors import SetteeError

__all__ = [
    "Effect",
    "Failed",
    "FilterPull",
    "FilterPush",
    "FindMissingBlobs",
    "KeepBases",
    "LearnNames",
    "OpenBlob",
    "ProveBlob",
    "PurgeDocuments",
    "ReadBases",
    "ReadBlob",
    "ReadChanges",
    "ReadHeld",
    "ReadOwnCheckpoints",
    "ReadPeerCheckpoints",
    "ReadRevisions",
    "RecordMarks",
    "ReleaseBlobs",
    "Renew",
    "ResolveConflicts",
    "SaveOwnCheckpoint",
    "SavePeerCheckpoint",
    "SaveRevisions",
    "WriteBlob",
]


class Failed(NamedTuple):
    """The answer to an effect that could not be carried out."""

    error: SetteeError


class ReadOwnCheckpoints(NamedTuple):
    """Answer: list of bodies (bytes), None where there is none."""

    ids: tuple[str, ...]


class SaveOwnCheckpoint(NamedTuple):
    """Answer: None, when it is durable."""

    id: str
    body: bytes


class ReadPeerCheckpoints(NamedTuple):
    """Answer: list of ``(rev, body)``, None where there is none."""

    ids: tuple[str, ...]


class SavePeerCheckpoint(NamedTuple):
    """Answer: the new rev, or None if `rev` is not the stored one."""

    id: str
    rev: str
    body: bytes


class ReadChanges(NamedTuple):
    """Answer: `ChangesPage` of rows with a sequence above `since`."""

    collection: int
    since: int
    limit: int
    doc_ids: frozenset[str] | None
    active_only: bool


class ReadRevisions(NamedTuple):
    """Answer: list of `RevisionOut`, None where the document is gone."""

    collection: int
    doc_ids: list[str]
    bases: Sequence[Sequence[str]] = ()
    """Per document, revisions that a delta could be made from, best first; empty: no deltas."""


class ReadBases(NamedTuple):
    """Answer: list of bodies of these revisions, None for those that are not held.

    Of large ones it may be shorter than what was asked for, but not empty.
    """

    collection: int
    wanted: list[tuple[str, str]]
    """``(document ID, tree name)``."""


class KeepBases(NamedTuple):
    """Keep earlier bodies from now on: deltas are in use. Answer: None."""


class ReadHeld(NamedTuple):
    """Answer: list of `Held`, None where the document is unknown."""

    collection: int
    doc_ids: list[str]


class SaveRevisions(NamedTuple):
    """Answer: list of `Applied`, after the commit, blobs included."""

    collection: int
    revisions: list[RevisionIn]
    policy: ConflictPolicy

    @property
    def has_blobs(self) -> bool:
        """Whether any of them names a blob."""
        return any(revision.blobs for revision in self.revisions)


class ResolveConflicts(NamedTuple):
    """Have the application decide conflicts that a save deferred.

    Answer: list of `Applied`, or the error that kept a conflict unresolved.
    """

    collection: int
    revisions: list[RevisionIn]


class FilterPush(NamedTuple):
    """Ask the application which documents to push. Answer: list of bool."""

    collection: int
    doc_ids: list[str]


class FilterPull(NamedTuple):
    """Ask the application which revisions to take.

    Answer: for each, whether it is taken, or the tree name of what it is taken over ("": of
    nothing); then `RevisionIn.over` holds it to that.
    """

    collection: int
    revisions: list[RevisionIn]


class PurgeDocuments(NamedTuple):
    """The peer took away our access to these. Answer: list of bool, whether each was purged.

    The application's pull filter, if there is one, is asked first.
    """

    collection: int
    doc_ids: list[str]


class RecordMarks(NamedTuple):
    """Note what the remote is known to have. Answer: None."""

    collection: int
    marks: list[tuple[str, str]]
    """``(document ID, tree name)``."""


class LearnNames(NamedTuple):
    """Take note of what a peer calls revisions that are here, and mark them as the remote's.

    A document's name may be lifted by that, which makes no new revision. With `renumber` each gets
    a new sequence, so that it is offered once more. Answer: None.
    """

    collection: int
    names: list[tuple[str, str]]
    """``(document ID, tree name)``."""
    renumber: bool = False


class Renew(NamedTuple):
    """Save a document's body once more, as a new revision over the current one.

    Nothing happens if its current revision is another than `tid` by now. Answer: None.
    """

    collection: int
    doc_id: str
    tid: str


class FindMissingBlobs(NamedTuple):
    """Answer: those of `digests` that are not held.

    From now on all are kept, also those to come, until `ReleaseBlobs` or the session's end.
    """

    digests: list[str]


class ReleaseBlobs(NamedTuple):
    """No revision that is on its way names these any more. Answer: None.

    Only rows keep them from now on; what is staged of them is removed.
    """

    digests: list[str]


class OpenBlob(NamedTuple):
    """Answer: its length in bytes, and `size` of them or all; or None if there is no such blob."""

    digest: str
    size: int


class ReadBlob(NamedTuple):
    """Answer: bytes, `size` of them unless the blob ends before."""

    digest: str
    offset: int
    size: int


class WriteBlob(NamedTuple):
    """Append to the blob being received under `digest`; the last piece verifies digest and length.

    Pieces of one blob are carried out in order. Answer: None. The verified blob stays staged until
    a `SaveRevisions` names it.
    """

    digest: str
    data: bytes
    first: bool
    last: bool
    length: int | None


class ProveBlob(NamedTuple):
    """Answer: the proof text, or None if there is no such blob."""

    digest: str
    nonce: bytes


Effect: TypeAlias = (
    FilterPull
    | FilterPush
    | KeepBases
    | LearnNames
    | PurgeDocuments
    | ReadBases
    | ResolveConflicts
    | ReadOwnCheckpoints
    | SaveOwnCheckpoint
    | ReadPeerCheckpoints
    | SavePeerCheckpoint
    | ReadChanges
    | ReadRevisions
    | ReadHeld
    | SaveRevisions
    | RecordMarks
    | Renew
    | FindMissingBlobs
    | ReleaseBlobs
    | OpenBlob
    | ReadBlob
    | WriteBlob
    | ProveBlob
)
