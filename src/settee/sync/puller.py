"""Receiving the revisions of one collection, in either role.

Room: pure protocol.
Touches: settee.blip, settee.doc, settee.errors, settee.limits, settee.sync.
Never touches: sockets, files, the wall clock, randomness.
Spec: wire protocol 3.5 to 3.8, 6.3, 9.7.

Revisions gather into a batch; at most SAVES_IN_FLIGHT_MAX batches are at the store at once, so what
arrives meanwhile shares the next commit. A `rev` is answered after the commit that holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, NamedTuple

from settee.blip.message import Request
from settee.doc.blob import BlobReference, find_blobs, may_have_blobs
from settee.doc.body import load, strip_reserved
from settee.doc.conflict import Relation, ancestors_held, known, propose_status
from settee.doc.records import Applied, Held, Outcome, RevisionIn
from settee.doc.revision import generation, is_tree_name
from settee.errors import (
    InvalidDocumentError,
    PeerProtocolError,
    SetteeError,
    StoreError,
    SyncError,
)
from settee.ids import is_document_id
from settee.limits import (
    DOCUMENT_BODY_BYTES_MAX,
    HISTORY_NAMES_MAX,
    REVS_WANTED_MAX,
    SAVE_BATCH_BYTES_MAX,
    SAVE_BATCH_REVISIONS_MAX,
    SAVES_IN_FLIGHT_MAX,
)
from settee.sync.effects import FindMissingBlobs, ReadHeld, RecordMarks, SaveRevisions
from settee.sync.history import state_of
from settee.sync.messages import (
    AnnouncedRow,
    ProposedRow,
    parse_announced,
    parse_proposed,
    status_of_error,
    trimmed,
)
from settee.sync.sequences import RemoteSequences

if TYPE_CHECKING:
    from settee.sync.pusher import PassivePusher
    from settee.sync.session import Session

__all__ = ["Puller"]

_EMPTY_BODY: Final = b"{}"
_REFUSALS: Final = {
    Outcome.REFUSED: (409, "conflict"),
    Outcome.MALFORMED: (400, "malformed revision history"),
    # Nothing wrong with it once the clocks agree: the pusher keeps it and tries again.
    Outcome.AHEAD: (503, "its version is more than two minutes ahead of the clock here"),
}
_ACCESS_LOST: Final = frozenset({2, 3, 4, 6, 7})
"""Row flags that say: you may not see this document any more (wire protocol 3.5)."""

_UPKEEP_BYTES: Final = 512
"""What a revision costs in memory beside its body and history."""


class _Coming(NamedTuple):
    """A `rev` that is to be saved."""

    number: int  # Of the request; 0 if it wants no answer.
    sequence: str
    revision: RevisionIn
    references: Sequence[BlobReference]
    held_bytes: int  # In memory: what came may have been deflated to next to nothing.


class Puller:
    """Receives revisions. Driven by the peer's messages and by answers from storage."""

    def __init__(
        self,
        session: Session,
        wire: int,
        collection: int,
        *,
        remote: RemoteSequences | None,
        pusher: PassivePusher | None,
    ) -> None:
        self._session = session
        self._wire = wire  # The collection's index in messages.
        self._collection = collection  # Its index in the session's configuration.
        self._remote = remote  # Active side only: what to checkpoint.
        self._pusher = pusher  # Passive side only: to suppress echoes.
        self._announcements: list[tuple[int, list[AnnouncedRow], Request]] = []  # A heap.
        self._deciding = 0
        self._awaited: set[str] = set()  # Sequences asked for and not yet settled.
        self._batch: list[_Coming] = []
        self._looking: list[_Coming] = []  # Blobs to be looked up in the store.
        self._blobs_waited = 0  # Revisions that wait for blobs.
        self._saving = 0
        self._caught_up = False
        self._marks: list[tuple[str, str]] = []

    # --- state ------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether nothing that came is still to be decided, awaited or saved."""
        return not (
            self._announcements
            or self._deciding
            or self._awaited
            or self._batch
            or self._looking
            or self._blobs_waited
            or self._saving
            or self._marks
        )

    @property
    def is_caught_up(self) -> bool:
        """Whether the peer said that it has sent all that it had."""
        return self._caught_up

    @property
    def pending_count(self) -> int:
        """Revisions asked for and not yet stored."""
        return len(self._awaited)

    # --- what the peer offers ---------------------------------------------------------------------

    def announced(self, request: Request) -> None:
        """Take `changes`.

        Its sequences mean something in the order sent only, and a short message may arrive before
        a long one that was sent earlier: so it waits until all that was sent before it is here.
        """
        rows = parse_announced(request.body)
        if rows and request.no_reply:
            return  # Rows without a wish for an answer: nothing to be done.
        self._session.inbound_bytes += len(request.body)
        heappush(self._announcements, (request.number, rows, request))

    def _decide_announcements(self) -> None:
        announcements, session = self._announcements, self._session
        while (
            announcements
            and session.has_all_before(announcements[0][0])
            and len(self._awaited) < REVS_WANTED_MAX
            and self._deciding < 4
        ):
            number, rows, request = heappop(announcements)
            if not rows:
                self._caught_up = True
                session.inbound_bytes -= len(request.body)
                if not request.no_reply:
                    session.connection.reply_empty([number])
                continue
            self._deciding += 1
            if self._remote is not None:
                for row in rows:
                    self._remote.announced(row.sequence, finished=False)
            session.ask(
                ReadHeld(self._collection, [row.doc_id for row in rows]),
                partial(self._announced_held, request, rows),
            )

    def _announced_held(
        self, request: Request, rows: list[AnnouncedRow], held: list[Held | None]
    ) -> None:
        self._deciding -= 1
        self._session.inbound_bytes -= len(request.body)
        remote, awaited = self._remote, self._awaited
        answers: list[object] = []
        for row, mine in zip(rows, held, strict=True):
            answer = self._answer_announced(row, mine)
            if remote is not None:
                if row.sequence in awaited:
                    answer = 0  # Announced twice: it is on its way, and not finished by that.
                elif isinstance(answer, list):
                    remote.announced(row.sequence, finished=False)
                    awaited.add(row.sequence)
                else:
                    remote.finished(row.sequence)
            answers.append(answer)
        self._session.connection.reply(
            request.number, self._reply_properties(), trimmed(answers), compress=True
        )

    def _answer_announced(self, row: AnnouncedRow, mine: Held | None) -> object:
        if row.flags in _ACCESS_LOST:
            return 0
        if not is_tree_name(row.tid):
            raise PeerProtocolError(f"{row.tid[:80]!r} is not a revision ID", domain="HTTP")
        if mine is None:
            return []
        if mine.tid != row.tid:
            state = state_of(mine)
            relation = known(state, row.tid)
            higher = generation(row.tid) > generation(mine.tid)
            if relation is Relation.UNKNOWN or (relation is Relation.OLD and higher):
                if self._session.config.refuse_conflicts and not higher:
                    return 409
                return ancestors_held(state, generation(row.tid))
        if mine.mark != row.tid:
            self._marks.append((row.doc_id, row.tid))
        return 0

    def proposed(self, request: Request) -> None:
        """Take `proposeChanges`."""
        rows = parse_proposed(request.body)
        if request.no_reply:
            return
        if not rows:
            self._session.connection.reply_empty([request.number])
            return
        self._deciding += 1
        self._session.inbound_bytes += len(request.body)
        self._session.ask(
            ReadHeld(self._collection, [row.doc_id for row in rows]),
            partial(self._proposed_held, request, rows),
        )

    def _proposed_held(
        self, request: Request, rows: list[ProposedRow], held: list[Held | None]
    ) -> None:
        self._deciding -= 1
        self._session.inbound_bytes -= len(request.body)
        with_rev = request.properties.get("conflictIncludesRev") is not None
        answers: list[object] = []
        for row, mine in zip(rows, held, strict=True):
            status, theirs = self._status_of_proposal(row, mine)
            if status == 409 and with_rev:
                answers.append({"status": 409, "rev": theirs})
            else:
                answers.append(status)
        self._session.connection.reply(
            request.number, self._reply_properties(), trimmed(answers), compress=True
        )

    def _status_of_proposal(self, row: ProposedRow, mine: Held | None) -> tuple[int, str]:
        if not is_tree_name(row.tid) or (row.parent and not is_tree_name(row.parent)):
            return 400, ""
        if self._session.config.refuse_conflicts:
            state = None if mine is None else state_of(mine)
            return propose_status(state, row.tid, row.parent)
        if mine is None:
            return 0, ""
        if mine.tid == row.tid:
            return 304, ""
        state = state_of(mine)
        relation = known(state, row.tid)
        if relation is Relation.SAME:
            return 304, ""
        if relation is Relation.OLD and not (
            row.parent and known(state, row.parent) is Relation.SAME
        ):
            return 409, mine.tid
        return 0, ""

    def _reply_properties(self) -> dict[str, str]:
        return {
            "maxHistory": str(HISTORY_NAMES_MAX),
            "blobs": "true",
        }

    # --- revisions --------------------------------------------------------------------------------

    def rev(self, request: Request) -> None:
        """Take `rev`; raises PeerProtocolError or InvalidDocumentError if it can't be taken."""
        properties = request.properties
        sequence = properties.get("sequence", "")
        try:
            coming = self._read_rev(request, properties, sequence)
        except (PeerProtocolError, InvalidDocumentError) as error:
            if isinstance(error, PeerProtocolError) and error.code == 422:
                raise  # The whole body follows, with the same sequence.
            doc_id = properties.get("id", "")
            self._session.report(self._collection, False, doc_id, False, error)
            self._settled(sequence)
            raise
        if coming is None:  # A notice that there is nothing to store.
            self._settled(sequence)
            if not request.no_reply:
                self._session.connection.reply_empty([request.number])
            return
        self._session.inbound_bytes += coming.held_bytes
        if coming.references:
            self._looking.append(coming)
        else:
            self._batch.append(coming)

    def _read_rev(
        self, request: Request, properties: dict[str, str], sequence: str
    ) -> _Coming | None:
        doc_id = properties.get("id", "")
        tid = properties.get("rev", "")
        if not is_document_id(doc_id) or not is_tree_name(tid):
            raise PeerProtocolError(f"rev without a usable id and rev ({doc_id[:40]!r})")
        if self._remote is not None and not sequence:
            raise PeerProtocolError("rev without a sequence")
        if "deltaSrc" in properties:
            # Deltas were not announced: ask for the whole body.
            raise PeerProtocolError("deltas are not taken here", code=422)
        body = request.body
        deleted = properties.get("deleted", "0").lower() not in ("0", "false", "")
        if not body and deleted:
            body = _EMPTY_BODY
        if len(body) > DOCUMENT_BODY_BYTES_MAX:
            raise InvalidDocumentError(f"the body has more than {DOCUMENT_BODY_BYTES_MAX} bytes")
        value = load(body)
        if value.get("_removed") is True:
            return None  # The gateway took the document out of our channels.
        body = strip_reserved(body)
        references: Sequence[BlobReference] = ()
        if may_have_blobs(body):
            references = find_blobs(value if body is request.body else load(body))
        revision = RevisionIn(
            doc_id,
            tid,
            properties.get("history", "").replace(" ", ""),
            deleted,
            body,
            properties.get("vector", "") if self._session.config.peer_is_settee else "",
            tuple({r.digest for r in references}) if references else (),
        )
        number = 0 if request.no_reply else request.number
        held_bytes = len(body) + len(revision.history) + _UPKEEP_BYTES
        return _Coming(number, sequence, revision, references, held_bytes)

    def norev(self, request: Request) -> None:
        """Take `norev`: a revision that was asked for can't be sent."""
        self._settled(request.properties.get("sequence", ""))
        if not request.no_reply:
            self._session.connection.reply_empty([request.number])

    def _settled(self, sequence: str, *, come_back: bool = False) -> None:
        """Stop to wait for a revision; with `come_back` the checkpoint does not pass it."""
        self._awaited.discard(sequence)
        if self._remote is None:
            return
        if come_back:
            self._session.held_back()
        else:
            self._remote.finished(sequence)

    # --- blobs of revisions -----------------------------------------------------------------------

    def _look_up_blobs(self) -> None:
        looking, self._looking = self._looking, []
        self._blobs_waited += len(looking)
        digests = {
            digest
            for coming in looking
            for digest in coming.revision.blobs
            if not self._session.blobs.is_staged(digest)
        }
        if digests:
            self._session.ask(
                FindMissingBlobs(sorted(digests)), partial(self._blobs_looked_up, looking)
            )
        else:
            self._blobs_looked_up(looking, [])

    def _blobs_looked_up(self, looking: list[_Coming], missing: list[str]) -> None:
        absent = set(missing)
        blobs = self._session.blobs
        for coming in looking:
            wanted = {
                r.digest: r
                for r in coming.references
                if r.digest in absent and not blobs.is_staged(r.digest)
            }
            if not wanted:
                self._blobs_waited -= 1
                self._batch.append(coming)
                continue
            gathering = _Gathering(self, coming, len(wanted))
            for reference in wanted.values():
                blobs.fetch(self._wire, coming.revision.doc_id, reference, gathering.fetched)

    def blobs_gathered(self, coming: _Coming, error: SetteeError | None) -> None:
        """All blobs of a revision were fetched, or one could not be had."""
        self._blobs_waited -= 1
        if error is None:
            self._batch.append(coming)
            return
        self._session.inbound_bytes -= coming.held_bytes
        doc_id = coming.revision.doc_id
        self._session.report(self._collection, False, doc_id, coming.revision.deleted, error)
        # A mismatch must not look like a delta's failure (422) to the pusher.
        status = 404 if getattr(error, "code", 0) == 404 else 400
        later = isinstance(error, StoreError) or (isinstance(error, SyncError) and error.transient)
        if later:
            status = 503
        self._refuse(coming, status, str(error))
        self._settled(coming.sequence, come_back=later)

    # --- saving -----------------------------------------------------------------------------------

    def pump(self) -> None:
        """Start whatever may be started now."""
        if self._announcements:
            self._decide_announcements()
        if self._looking:
            self._look_up_blobs()
        while self._batch and self._saving < SAVES_IN_FLIGHT_MAX:
            self._save()
        if self._marks:
            marks, self._marks = self._marks, []
            if self._remote is not None:
                self._session.ask(RecordMarks(self._collection, marks), lambda _: None)

    def _save(self) -> None:
        batch = self._batch[:SAVE_BATCH_REVISIONS_MAX]
        bytes_ = 0
        for i, coming in enumerate(batch):
            bytes_ += coming.held_bytes
            if bytes_ > SAVE_BATCH_BYTES_MAX and i:
                batch = batch[:i]
                break
        self._batch = self._batch[len(batch) :]
        self._saving += 1
        self._session.ask(
            SaveRevisions(
                self._collection,
                [coming.revision for coming in batch],
                self._session.config.refuse_conflicts,
            ),
            partial(self._saved, batch),
            partial(self._save_failed, batch),
        )

    def _saved(self, batch: list[_Coming], answers: list[Applied]) -> None:
        self._saving -= 1
        session = self._session
        numbers: list[int] = []
        report = session.config.report_documents
        stored = stored_bytes = 0
        for coming, applied in zip(batch, answers, strict=True):
            outcome = applied.outcome
            revision = coming.revision
            session.inbound_bytes -= coming.held_bytes
            self._settled(coming.sequence, come_back=outcome is Outcome.AHEAD)
            if revision.blobs:
                session.blobs.saved(revision.blobs)  # Whatever became of the revision.
            if outcome is Outcome.STORED or outcome is Outcome.RESOLVED:
                stored += 1
                stored_bytes += len(revision.body)
                if outcome is Outcome.RESOLVED:
                    session.resolved(self._wire)
                elif self._pusher is not None:
                    self._pusher.given.add(applied.seq)
                if report:
                    session.report(self._collection, False, revision.doc_id, revision.deleted, None)
            elif outcome is not Outcome.SAME and outcome is not Outcome.OLD:
                self._refused(coming, outcome)
                continue
            if coming.number:
                numbers.append(coming.number)
        session.connection.reply_empty(numbers)
        session.counted_pull(stored, stored_bytes)

    def _refused(self, coming: _Coming, outcome: Outcome) -> None:
        status, why = _REFUSALS[outcome]
        error = PeerProtocolError(
            f"revision {coming.revision.tid[:80]} of {coming.revision.doc_id!r}: {why}",
            code=status,
            transient=outcome is Outcome.AHEAD,
        )
        revision = coming.revision
        self._session.report(self._collection, False, revision.doc_id, revision.deleted, error)
        self._refuse(coming, status, why)

    def _refuse(self, coming: _Coming, status: int, why: str) -> None:
        if coming.number:
            self._session.connection.reply_error(coming.number, "HTTP", status, why)

    def _save_failed(self, batch: list[_Coming], error: SetteeError) -> None:
        # Nothing of the batch is stored and nothing is acknowledged: the peer keeps it.
        self._saving -= 1
        _, status, text = status_of_error(error)
        for coming in batch:
            self._session.inbound_bytes -= coming.held_bytes
            self._refuse(coming, status, text)
        self._session.end(error)


class _Gathering:
    """A revision and the number of its blobs that are still on their way."""

    __slots__ = ("_coming", "_error", "_missing_count", "_puller")

    def __init__(self, puller: Puller, coming: _Coming, missing_count: int) -> None:
        self._puller = puller
        self._coming = coming
        self._missing_count = missing_count
        self._error: SetteeError | None = None

    def fetched(self, error: SetteeError | None) -> None:
        self._error = self._error or error
        self._missing_count -= 1
        if self._missing_count == 0:
            self._puller.blobs_gathered(self._coming, self._error)
