"""Receiving the revisions of one collection, in either role.

Room: pure protocol.
Touches: settee.blip, settee.doc, settee.errors, settee.limits, settee.sync.
Never touches: sockets, files, the wall clock, randomness.
Spec: wire protocol 3.5 to 3.8, 6.3, 9.7.

Revisions gather into a batch; at most SAVES_IN_FLIGHT_MAX batches are at the store at once, so what
arrives meanwhile shares the next commit. A `rev` is answered after the commit that holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, NamedTuple

from settee.blip.message import Request
from settee.doc.records import Applied, ConflictPolicy, Held, Outcome
from settee.doc.revision import is_derived
from settee.errors import InvalidDocumentError, PeerProtocolError, SetteeError
from settee.limits import (
    CHANGES_ROWS_MAX,
    DOCUMENT_ID_BYTES_MAX,
    REVS_WANTED_MAX,
    SAVE_BATCH_BYTES_MAX,
    SAVE_BATCH_REVISIONS_MAX,
    SAVES_IN_FLIGHT_MAX,
)
from settee.sync.arrivals import Arrivals, Coming
from settee.sync.dialect import VECTORS
from settee.sync.effects import (
    LearnNames,
    PurgeDocuments,
    ReadHeld,
    RecordMarks,
    ResolveConflicts,
    SaveRevisions,
)
from settee.sync.history import same_digest
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
    from settee.sync.pusher_passive import PassivePusher
    from settee.sync.session import Session

__all__ = ["Puller"]

_STORED: Final = Outcome.STORED
_AHEAD: Final = Outcome.AHEAD
"""A name is found faster than a member."""

_REFUSALS: Final = {
    Outcome.REFUSED: (409, "conflict"),
    Outcome.MALFORMED: (400, "malformed revision history"),
    # Nothing wrong with it once the clocks agree: the pusher keeps it and tries again.
    Outcome.AHEAD: (503, "its version is more than two minutes ahead of the clock here"),
}
_ROW_BYTES: Final = 320
"""What a row costs in memory, with what is asked and answered about it."""

_ANNOUNCEMENT_BYTES: Final = 320
"""What a message costs beside its rows."""
_PROPOSALS_FULL: Final = CHANGES_ROWS_MAX
"""A peer that proposes fewer has come to the end of its changes."""

_PROMISED_MAX: Final = 10_000
"""Documents that a peer has proposed and not sent yet, as far as they are waited for."""

_ACCESS_LOST: Final = frozenset({2, 3, 4, 6, 7})
"""Row flags that say: you may not see this document any more (wire protocol 3.5)."""


def _held_bytes(request: Request, rows: Sized) -> int:
    return _ANNOUNCEMENT_BYTES + _ROW_BYTES * len(rows) + len(request.body)


class _Announcement(NamedTuple):
    """A `changes` message whose turn has not come."""

    number: int
    rows: list[AnnouncedRow]
    no_reply: bool
    held_bytes: int


class _Behind(NamedTuple):
    """Proposals of what is older than ours, or in conflict with it."""

    doc_ids: list[str]
    answer: Callable[[], None]
    """Answers the message, when ours have been offered."""


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
        self._announcements: list[_Announcement] = []  # A heap.
        self._deciding = 0
        self._awaited: set[str] = set()  # Sequences asked for and not yet settled.
        self._batch: list[Coming] = []
        self._saving = 0
        self._resolving = 0
        self._lost: list[tuple[str, str]] = []  # Documents and sequences: access taken away.
        self._purging = 0
        self._deltas_announced = False
        self._caught_up = False
        self._marks: list[tuple[str, str]] = []
        self._names: list[tuple[str, str]] = []  # By which the peer calls what is here.
        self._learning = 0
        self._promised: set[str] = set()  # Documents whose revisions are to come: passive only.
        self._proposed: dict[str, int] = {}  # The same; how far it was past ours by then.
        self._pushed_all = False  # The peer's last proposals were not a full message.
        self._weighs = pusher is not None and session.config.level != VECTORS
        """Whether it counts what the peer had been offered when it made an edit: a peer of trees,
        see `_is_ours_to_resolve`."""
        options = session.config.options_of(collection)
        self._resolved_by_application = session.config.active and options.resolver
        self._resolved_by_peer = False  # An active settee peer said that its application does.
        self._arrivals = Arrivals(session, wire, collection, self, filtered=options.pull_filter)

    @property
    def _policy(self) -> ConflictPolicy:
        if self._resolved_by_application:
            return ConflictPolicy.DEFER
        if self._session.config.refuse_conflicts or self._resolved_by_peer:
            return ConflictPolicy.REFUSE
        return ConflictPolicy.RESOLVE

    # --- state ------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether nothing that came is still to be decided, awaited or saved."""
        return not (
            self._announcements
            or self._deciding
            or self._awaited
            or self._batch
            or self._saving
            or self._resolving
            or self._lost
            or self._purging
            or self._marks
            or self._names
            or self._learning
            or not self._arrivals.is_idle
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
        held_bytes = _held_bytes(request, rows)
        self._session.take_in(held_bytes)
        # Of the request no more is kept: its properties may be long, and it may wait for long.
        heappush(
            self._announcements, _Announcement(request.number, rows, request.no_reply, held_bytes)
        )

    def _decide_announcements(self) -> None:
        announcements, session = self._announcements, self._session
        while (
            announcements
            and session.has_all_before(announcements[0].number)
            and len(self._awaited) < REVS_WANTED_MAX
            and self._deciding < 4
        ):
            announcement = heappop(announcements)
            number, rows, no_reply, held_bytes = announcement
            if not rows:
                self._caught_up = True
                session.inbound_bytes -= held_bytes
                if not no_reply:
                    session.connection.reply_empty([number])
                continue
            self._deciding += 1
            if self._remote is not None:
                self._remote.wanted([row.sequence for row in rows])
            session.ask(
                ReadHeld(self._collection, [row.doc_id for row in rows]),
                partial(self._announced_held, announcement),
            )

    def _announced_held(self, announcement: _Announcement, held: list[Held | None]) -> None:
        number, rows, _, held_bytes = announcement
        self._deciding -= 1
        session, remote, awaited = self._session, self._remote, self._awaited
        session.inbound_bytes -= held_bytes
        refuses = session.config.refuse_conflicts
        answer_of = session.dialect.answer
        answers: list[object] = []
        wanted: list[str] = []
        for row, mine in zip(rows, held, strict=True):
            if row.flags in _ACCESS_LOST:
                self._access_lost(row.doc_id, row.sequence)
                answers.append(0)
                continue
            answer, has = answer_of(row, mine, refuses=refuses)
            if has and mine is not None:
                if session.dialect.learns and has != mine.tid:
                    self._names.append((row.doc_id, has))
                elif mine.mark != has:
                    self._marks.append((row.doc_id, has))
                if mine.mark and not (same_digest(has, mine.mark) or same_digest(has, mine.tid)):
                    session.newer_here(self._wire, row.doc_id)  # It was put back to what it had.
            if remote is not None:
                sequence = row.sequence
                if sequence in awaited:
                    answer = 0  # Announced twice: it is on its way, and not finished by that.
                elif isinstance(answer, list):
                    wanted.append(sequence)
                    awaited.add(sequence)
                else:
                    remote.finished(sequence)
            answers.append(answer)
        if remote is not None:
            remote.wanted(wanted)
        session.connection.reply(number, self._reply_properties(), trimmed(answers), compress=True)

    def proposed(self, request: Request) -> None:
        """Take `proposeChanges`."""
        rows = parse_proposed(request.body)
        if request.no_reply:
            if not rows and self._pusher is not None:
                self._pusher.heard(all_of_it=True)
            return
        if not rows:
            self._session.connection.reply_empty([request.number])
            return
        self._pushed_all = len(rows) < _PROPOSALS_FULL
        if self._pusher is not None:
            self._pusher.heard(all_of_it=False)
        held_bytes = _held_bytes(request, rows)
        self._session.take_in(held_bytes)
        self._deciding += 1
        offered = [self._offered_to(row.doc_id) if self._weighs else -1 for row in rows]
        with_rev = request.properties.get("conflictIncludesRev") is not None
        self._session.ask(
            ReadHeld(self._collection, [row.doc_id for row in rows]),
            partial(self._proposed_held, request.number, rows, offered, with_rev, held_bytes),
        )

    def _offered_to(self, doc_id: str) -> int:
        return -1 if self._pusher is None else self._pusher.offered_to(doc_id)

    def _proposed_held(
        self,
        number: int,
        rows: list[ProposedRow],
        offered: list[int],
        with_rev: bool,
        held_bytes: int,
        held: list[Held | None],
    ) -> None:
        self._deciding -= 1
        dialect = self._session.dialect
        session_refuses = self._session.config.refuse_conflicts
        answers: list[object] = []
        names: list[tuple[str, str]] = []
        behind: list[str] = []
        for row, past, mine in zip(rows, offered, held, strict=True):
            # Nothing is to be compared with a name where nothing is here: most rows, most times.
            tid = "" if mine is None else dialect.tid_of(row.rev) or ""
            seq = 0 if mine is None else mine.seq
            refuses = session_refuses and not self._is_ours_to_resolve(tid, past, seq)
            status, theirs = dialect.status(row, mine, refuses=refuses)
            if status == 0:
                if self._weighs:
                    self._promise(row.doc_id, past)
            elif mine is not None and status in (304, 409):
                if dialect.learns and tid and tid != mine.tid:
                    names.append((row.doc_id, tid))
                if status == 409:
                    behind.append(row.doc_id)
            if status == 409 and with_rev:
                answers.append({"status": 409, "rev": theirs})
            else:
                answers.append(status)

        def answer() -> None:
            self._session.inbound_bytes -= held_bytes
            self._session.connection.reply(
                number, self._reply_properties(), trimmed(answers), compress=True
            )

        if names:
            self._learn(names, _Behind(behind, answer) if behind else None)
        if not behind:
            answer()
        elif not names:
            self._offer_again(_Behind(behind, answer))

    def _learn(self, names: list[tuple[str, str]], behind: _Behind | None) -> None:
        self._learning += 1
        self._session.ask(LearnNames(self._collection, names), partial(self._learnt, behind))

    def _promise(self, doc_id: str, offered_to: int) -> None:
        pusher = self._pusher
        self._proposed[doc_id] = offered_to
        if len(self._proposed) > _PROMISED_MAX:
            self._proposed.clear()
        if pusher is None or not pusher.is_listening:
            return
        self._promised.add(doc_id)
        if len(self._promised) > _PROMISED_MAX:  # No peer has so many out: it is speaking idly.
            self._promised.clear()
            pusher.heard(all_of_it=True)

    def _reply_properties(self) -> dict[str, str]:
        properties = self._session.dialect.reply_properties() | {"blobs": "true"}
        if self._session.config.deltas and not self._deltas_announced:
            self._deltas_announced = True  # Once: the peer remembers it (wire protocol 7.2).
            properties["deltas"] = "true"
            self._session.use_deltas()
        return properties

    # --- revisions --------------------------------------------------------------------------------

    def revs(self, requests: list[Request]) -> None:
        """Take `rev` messages; one that can't be taken is refused by itself."""
        if self._pusher is not None:
            self._pusher.heard(all_of_it=False)
        read, takes_deltas = self._arrivals.read, self._deltas_announced
        for request in requests:
            if "resolver" in request.properties and self._session.config.peer_is_settee:
                self._resolved_by_peer = True
            offered_to = self._forget_proposed(request) if self._weighs else -1
            try:
                coming = read(request, takes_deltas=takes_deltas, offered_to=offered_to)
            except (PeerProtocolError, InvalidDocumentError) as error:
                self._not_taken(request, error)
                continue
            if coming is not None:
                self._batch.append(coming)

    def _forget_proposed(self, request: Request) -> int:
        """Return how far the peer was past being offered a document when it made up its mind."""
        doc_id = request.properties.get("id", "")
        offered_to = self._offered_to(doc_id)
        return min(offered_to, self._proposed.pop(doc_id, offered_to))

    def _not_taken(self, request: Request, error: PeerProtocolError | InvalidDocumentError) -> None:
        """Refuse a `rev` that can't be read, or not now."""
        later = False
        if isinstance(error, PeerProtocolError):
            if error.code == 422:  # The whole body follows, with the same sequence.
                self._session.ignore(request, error)
                return
            later = error.transient
        doc_id = request.properties.get("id", "")[:DOCUMENT_ID_BYTES_MAX]  # It may be no ID at all.
        self._promised.discard(doc_id)
        self._session.report(self._collection, False, doc_id, False, error)
        self._settled(request.properties.get("sequence", ""), come_back=later)
        self._session.ignore(request, error)

    def ready(self, coming: Coming) -> None:
        """A revision is ready to be saved."""
        self._batch.append(coming)

    def nothing_to_store(self, coming: Coming) -> None:
        """A revision turned out to be a notice that access to the document is gone."""
        if coming.number:
            self._session.connection.reply_empty([coming.number])
        self._access_lost(coming.revision.doc_id, coming.sequence)

    def turned_away(
        self, coming: Coming, status: int, why: str, error: SetteeError, *, later: bool
    ) -> None:
        """A revision is not taken; with `later` it may be at another time."""
        session, revision = self._session, coming.revision
        self._promised.discard(revision.doc_id)
        session.inbound_bytes -= coming.held_bytes
        self._arrivals.let_go(coming)
        session.report(self._collection, False, revision.doc_id, revision.deleted, error)
        self.refuse(coming, status, why)
        self._settled(coming.sequence, come_back=later)

    def refuse(self, coming: Coming, status: int, why: str) -> None:
        """Answer a `rev` with an error."""
        if coming.number:
            self._session.connection.reply_error(coming.number, "HTTP", status, why)

    def norev(self, request: Request) -> None:
        """Take `norev`: a revision that was asked for can't be sent."""
        self._promised.discard(request.properties.get("id", ""))
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

    # --- access taken away ------------------------------------------------------------------------

    def _access_lost(self, doc_id: str, sequence: str) -> None:
        """The peer lets us see a document no more: it is purged here, if that is wished."""
        if self._remote is None or not self._session.config.auto_purge or not doc_id:
            self._settled(sequence)
            return
        self._lost.append((doc_id, sequence))

    def _purge_lost(self) -> None:
        lost, self._lost = self._lost, []
        self._purging += 1
        self._session.ask(
            PurgeDocuments(self._collection, [doc_id for doc_id, _ in lost]),
            partial(self._purged, lost),
        )

    def _purged(self, lost: list[tuple[str, str]], purged: list[bool]) -> None:
        self._purging -= 1
        for (doc_id, sequence), gone in zip(lost, purged, strict=True):
            self._settled(sequence)
            if gone:
                self._session.report(
                    self._collection, False, doc_id, False, None, access_removed=True
                )

    # --- saving -----------------------------------------------------------------------------------

    def pump(self) -> None:
        """Start whatever may be started now."""
        if self._announcements:
            self._decide_announcements()
        self._arrivals.pump()
        if self._lost:
            self._purge_lost()
        while self._batch and self._saving < SAVES_IN_FLIGHT_MAX:
            self._save(self._next_batch(), self._policy)
        if self._marks:
            marks, self._marks = self._marks, []
            if self._remote is not None:
                self._session.ask(RecordMarks(self._collection, marks), lambda _: None)
        if self._names:
            names, self._names = self._names, []
            self._learn(names, None)
        if self._pushed_all and self._pusher is not None and not self._promised and self.is_idle:
            self._pushed_all = False
            self._pusher.heard(all_of_it=True)

    def _learnt(self, behind: _Behind | None, _: object) -> None:
        self._learning -= 1
        if behind is not None:
            self._offer_again(behind)

    def _offer_again(self, behind: _Behind) -> None:
        """Offer what is current here to a peer that proposed something older, then answer it."""
        left = len(behind.doc_ids)

        def offered() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                behind.answer()

        for doc_id in behind.doc_ids:
            self._session.newer_here(self._wire, doc_id, offered)

    def _next_batch(self) -> list[Coming]:
        batch = self._batch[:SAVE_BATCH_REVISIONS_MAX]
        bytes_ = 0
        for i, coming in enumerate(batch):
            bytes_ += coming.held_bytes
            if bytes_ > SAVE_BATCH_BYTES_MAX and i:
                batch = batch[:i]
                break
        self._batch = self._batch[len(batch) :]
        return batch

    def _save(self, batch: list[Coming], policy: ConflictPolicy) -> None:
        self._saving += 1
        self._session.ask(
            SaveRevisions(self._collection, [coming.revision for coming in batch], policy),
            partial(self._saved, batch),
            partial(self._save_failed, batch),
        )

    def _saved(self, batch: list[Coming], answers: list[Applied]) -> None:
        self._saving -= 1
        if self._resolved_by_application:
            conflicts = [
                coming
                for coming, applied in zip(batch, answers, strict=True)
                if applied.outcome is Outcome.CONFLICT
            ]
            if conflicts:
                self._resolve(conflicts)
        self._applied(batch, answers)

    def _resolve(self, conflicts: list[Coming]) -> None:
        """Have the application decide; its answers come when they come."""
        self._resolving += 1
        self._session.ask(
            ResolveConflicts(self._collection, [coming.revision for coming in conflicts]),
            partial(self._decided, conflicts),
        )

    def _decided(self, conflicts: list[Coming], answers: list[Applied | SetteeError]) -> None:
        self._resolving -= 1
        decided: list[tuple[Coming, Applied]] = []
        for coming, answer in zip(conflicts, answers, strict=True):
            if isinstance(answer, SetteeError):
                # Open until the next start: the checkpoint does not pass it.
                self.turned_away(coming, 409, "conflict", answer, later=True)
            else:
                decided.append((coming, answer))
        self._applied([coming for coming, _ in decided], [applied for _, applied in decided])

    def _applied(self, batch: list[Coming], answers: list[Applied]) -> None:
        session, promised = self._session, self._promised
        numbers: list[int] = []
        is_as_given, report = session.dialect.is_as_given, session.config.report_documents
        stored = stored_bytes = done_bytes = 0
        known: list[int] = []
        for coming, (outcome, seq, tid) in zip(batch, answers, strict=True):
            number, sequence, revision, _, held_bytes, offered_to = coming
            if outcome is not _STORED:
                if outcome is Outcome.CONFLICT:
                    continue  # It is being decided.
                if outcome is Outcome.REFUSED and self._is_ours_to_resolve(
                    revision.tid, offered_to, seq
                ):
                    self._save([coming], ConflictPolicy.RESOLVE)
                    continue
                if outcome is Outcome.CHANGED:
                    self._arrivals.ask_again(coming)
                    continue
            promised.discard(revision.doc_id)
            done_bytes += held_bytes
            self._settled(sequence, come_back=outcome is _AHEAD)
            if revision.blobs:
                self._arrivals.let_go(coming)
            if outcome is _STORED or outcome is Outcome.RESOLVED:
                stored += 1
                stored_bytes += len(revision.body)
                if outcome is not _STORED:
                    session.newer_here(self._wire)
                elif is_as_given(tid, revision):
                    known.append(seq)
                if report:
                    session.report(self._collection, False, revision.doc_id, revision.deleted, None)
            elif outcome is Outcome.OLD:
                session.newer_here(self._wire, revision.doc_id)
            elif outcome is not Outcome.SAME:
                self._refused(coming, outcome)
                continue
            if number:
                numbers.append(number)
        session.inbound_bytes -= done_bytes
        if known:  # Exactly as given: the peer need not hear of these.
            passive = self._pusher
            told = passive.given if passive else session.checkpointers[self._wire].completed
            told.add_all(known)
        session.connection.reply_empty(numbers)
        session.counted_pull(stored, stored_bytes)

    def _is_ours_to_resolve(self, tid: str, offered_to: int, seq: int) -> bool:
        """Whether a conflict would stay if it were refused, though that is the rule here.

        The peer's own resolver decides about its own edit if it is still going to see our revision,
        or saw it only after it had proposed its edit: told that this was taken, it would keep what
        its resolver makes of the two. A peer of trees that has seen ours (of sequence `seq`), and
        went on with another branch, would only be refused for ever; and of what it brings from a
        settee peer it is no more than the courier.
        """
        if not self._weighs or self._resolved_by_peer:
            return False  # It said so itself, and is a settee peer, which always pulls ours.
        return (tid != "" and is_derived(tid)) or seq <= offered_to

    def _refused(self, coming: Coming, outcome: Outcome) -> None:
        status, why = _REFUSALS[outcome]
        if outcome is Outcome.REFUSED and self._pusher is not None and self._pusher.is_subscribed:
            # No failure: it pulls ours, which it has to see before, and resolves.
            then = None
            if coming.number:  # Not with the whole revision: the peer may never answer the offer.
                refuse = self._session.connection.reply_error
                then = partial(refuse, coming.number, "HTTP", status, why)
            self._session.newer_here(self._wire, coming.revision.doc_id, then)
            return
        error = PeerProtocolError(
            f"revision {coming.revision.called[:80]} of {coming.revision.doc_id!r}: {why}",
            code=status,
            transient=outcome is Outcome.AHEAD,
        )
        revision = coming.revision
        self._session.report(self._collection, False, revision.doc_id, revision.deleted, error)
        self.refuse(coming, status, why)

    def _save_failed(self, batch: list[Coming], error: SetteeError) -> None:
        # Nothing of the batch is stored and nothing is acknowledged: the peer keeps it.
        self._saving -= 1
        _, status, text = status_of_error(error)
        for coming in batch:
            self._session.inbound_bytes -= coming.held_bytes
            self.refuse(coming, status, text)
        self._session.end(error)
