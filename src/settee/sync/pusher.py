"""Sending the revisions of one collection, in either role.

Room: pure protocol.
Touches: settee.blip, settee.doc, settee.errors, settee.limits, settee.sync.
Never touches: sockets, files, the wall clock, randomness.
Spec: wire protocol 3.5 to 3.8, 3.12, 9.3.

The feed is read in pages; rows are offered (`proposeChanges` by an active peer, `changes` by a
passive one); the wanted ones are read and sent as `rev`. Each step has a bound, and none waits for
another's round trip. Of one document only one revision is under way: a newer one waits for the
answer to the older.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from settee.blip.message import Reply, Request
from settee.doc.blob import find_blobs, may_have_blobs
from settee.doc.conflict import Relation, known
from settee.doc.records import DELETED, ChangeRow, ChangesPage, Held, RevisionOut
from settee.doc.revision import is_tree_name
from settee.errors import PeerProtocolError, SyncError
from settee.limits import (
    CHANGES_BYTES_MAX,
    CHANGES_ROWS_MAX,
    CHANGES_UNANSWERED_MAX,
    HISTORY_NAMES_MAX,
    REVS_UNANSWERED_BYTES_MAX,
    REVS_UNANSWERED_MAX,
)
from settee.sync.checkpoint import Checkpointer
from settee.sync.effects import ReadChanges, ReadHeld, ReadRevisions, RecordMarks
from settee.sync.history import history_text, state_of
from settee.sync.messages import TRANSIENT_HTTP, error_of_reply, is_true, json_array
from settee.sync.sequences import SequenceSet

if TYPE_CHECKING:
    from settee.sync.session import Session

__all__ = ["ActivePusher", "PassivePusher", "Pusher", "RevSent"]

_PAGE_ROWS: Final = CHANGES_UNANSWERED_MAX * CHANGES_ROWS_MAX
"""Rows per page of the feed: as many as may be on offer at once."""

_READ_REVISIONS_MAX: Final = CHANGES_ROWS_MAX
"""Bodies per read."""

_BASES_MAX: Final = HISTORY_NAMES_MAX
"""Ancestors that a peer says it has, looked at for one row."""

_SEQUENCE_MAX: Final = 2**63 - 1
"""The greatest sequence that storage can be asked about."""


class RevSent(NamedTuple):
    """The token of a `rev` under way."""

    pusher: Pusher
    row: ChangeRow
    tid: str
    deleted: bool
    body_bytes: int
    blobs: tuple[str, ...]


class _Wanted(NamedTuple):
    row: ChangeRow
    bases: tuple[str, ...]
    """Revisions that the peer has, best first."""


class Pusher:
    """What both roles share: reading the feed, offering rows, sending revisions."""

    _profile: str
    """The message that offers rows."""

    def __init__(self, session: Session, wire: int, collection: int) -> None:
        self._session = session
        self._wire = wire
        self.collection: Final = collection
        """Index in the session's configuration; `wire` is the index in messages."""
        self._contiguous = not session.config.peer_is_settee
        self._continuous = False
        self._doc_ids: frozenset[str] | None = None
        self._active_only = False
        self._since = 0
        self._unread = False  # Whether the feed may hold rows beyond `_since`.
        self._reading_feed = False
        self._rows: deque[ChangeRow] = deque()
        self._offers_out = 0
        self._wanted: deque[_Wanted] = deque()
        self._reading_revisions = False
        self._out: dict[str, ChangeRow] = {}  # Offered, wanted or sent, and not yet settled.
        self._deferred: dict[str, ChangeRow] = {}
        self._history_max = HISTORY_NAMES_MAX
        self._told_caught_up = False

    # --- state ------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether everything known has been offered, sent and answered."""
        return not (
            self._unread
            or self._reading_feed
            or self._rows
            or self._offers_out
            or self._wanted
            or self._reading_revisions
            or self._out
        )

    @property
    def pending_count(self) -> int:
        """Documents on their way to the peer."""
        return len(self._rows) + len(self._out)

    def local_changed(self) -> None:
        """Note that the feed has new rows."""
        if self._continuous:
            self._unread = True

    # --- pumping ----------------------------------------------------------------------------------

    def pump(self) -> None:
        """Start whatever may be started now."""
        if self._unread and not self._reading_feed and len(self._rows) < CHANGES_ROWS_MAX:
            self._unread = False  # What changes from now on may come too late for this page.
            self._reading_feed = True
            self._session.ask(
                ReadChanges(
                    self.collection, self._since, _PAGE_ROWS, self._doc_ids, self._active_only
                ),
                self._page_read,
            )
        while (
            self._rows
            and self._offers_out < CHANGES_UNANSWERED_MAX
            and len(self._out) < 2 * REVS_UNANSWERED_MAX
        ):
            self._offer()
        self._read_wanted()
        if not self._told_caught_up and not (self._unread or self._reading_feed or self._rows):
            self._told_caught_up = True
            self._caught_up()

    def _page_read(self, page: ChangesPage) -> None:
        self._reading_feed = False
        if self._is_of_another_past(page.last_seq):
            self._since = 0
            self._unread = True
            return
        complete = len(page.rows) < _PAGE_ROWS
        end = page.rows[-1].seq if page.rows else 0
        if complete:
            end = max(end, page.last_seq)  # Rows may have come after the end was looked up.
        else:
            self._unread = True
        fresh = self._accepted(page.rows, end)
        self._since = end
        if fresh:
            self._rows.extend(fresh)
            self._told_caught_up = False

    def _is_of_another_past(self, last_seq: int) -> bool:
        """Whether more sequences were replicated than there are.

        This database was restored or replaced then: start over rather than skip.
        """
        return last_seq < self._since

    def _accepted(self, rows: list[ChangeRow], end: int) -> list[ChangeRow]:
        """Return the rows to offer out of a page that reaches to sequence `end`."""
        raise NotImplementedError

    def _offer(self) -> None:
        rows: list[ChangeRow] = []
        parts: list[bytes] = []
        room_bytes = CHANGES_BYTES_MAX - 1
        while self._rows and len(rows) < CHANGES_ROWS_MAX:
            row = self._rows.popleft()
            if row.doc_id in self._out:
                self._defer(row)
                continue
            part = orjson.dumps(self._offer_row(row))
            room_bytes -= len(part) + 1
            if room_bytes < 0:
                self._rows.appendleft(row)
                break
            self._out[row.doc_id] = row
            rows.append(row)
            parts.append(part)
        if not rows:
            return
        self._offers_out += 1
        self._session.request(
            self._profile,
            self._wire,
            self._offer_properties(),
            b"[%b]" % b",".join(parts),
            lambda reply: self._offer_answered(rows, reply),
            urgent=True,
            compress=True,
        )

    def _defer(self, row: ChangeRow) -> None:
        older = self._deferred.get(row.doc_id)
        if older is not None:
            self._settled(older)
        self._deferred[row.doc_id] = row

    def _offer_properties(self) -> dict[str, str]:
        return {}

    def _offer_row(self, row: ChangeRow) -> list[object]:
        raise NotImplementedError

    def _caught_up(self) -> None:
        self._session.tell(self._profile, self._wire, {}, b"[]", urgent=True)

    def _offer_answered(self, rows: list[ChangeRow], reply: Reply) -> None:
        self._offers_out -= 1
        if reply.error:
            for row in rows:
                self._out.pop(row.doc_id, None)
            self._session.end(error_of_reply(reply, self._profile))
            return
        history_max = reply.properties.get("maxHistory", "")
        if history_max.isdigit() and len(history_max) < 6:
            self._history_max = max(1, min(int(history_max), HISTORY_NAMES_MAX))
        answers = json_array(reply.body, f"the reply to {self._profile}")
        if len(answers) > len(rows):
            raise PeerProtocolError(f"{len(answers)} answers to {len(rows)} rows")
        answers.extend([0] * (len(rows) - len(answers)))
        self._take_answers(rows, answers)

    def _take_answers(self, rows: list[ChangeRow], answers: list[object]) -> None:
        raise NotImplementedError

    # --- sending revisions ------------------------------------------------------------------------

    def _window_open(self) -> bool:
        session = self._session
        return (
            session.revs_out < REVS_UNANSWERED_MAX
            and session.rev_bytes_out < REVS_UNANSWERED_BYTES_MAX
        )

    def _read_wanted(self) -> None:
        if self._reading_revisions or not self._wanted or not self._window_open():
            return
        session = self._session
        wanted: list[_Wanted] = []
        count_max = min(_READ_REVISIONS_MAX, REVS_UNANSWERED_MAX - session.revs_out)
        bytes_ = session.rev_bytes_out
        while self._wanted and len(wanted) < count_max:
            bytes_ += self._wanted[0].row.body_bytes
            if bytes_ > REVS_UNANSWERED_BYTES_MAX and (wanted or session.revs_out):
                break  # One that is larger than the window goes alone.
            wanted.append(self._wanted.popleft())
        if not wanted:
            return
        # Their room is taken from now on: other collections share the window.
        reserved_bytes = sum(item.row.body_bytes for item in wanted)
        session.revs_out += len(wanted)
        session.rev_bytes_out += reserved_bytes
        self._reading_revisions = True
        session.ask(
            ReadRevisions(self.collection, [item.row.doc_id for item in wanted]),
            lambda revisions: self._revisions_read(wanted, reserved_bytes, revisions),
        )

    def _revisions_read(
        self, wanted: list[_Wanted], reserved_bytes: int, revisions: list[RevisionOut | None]
    ) -> None:
        self._reading_revisions = False
        self._session.revs_out -= len(wanted)
        self._session.rev_bytes_out -= reserved_bytes
        for item, revision in zip(wanted, revisions, strict=True):
            if revision is None:
                self._gone(item.row, 404, "the document was purged")
            elif revision.seq != item.row.seq:
                self._superseded(item, revision)
            else:
                self._send(item, revision)

    def _gone(self, row: ChangeRow, status: int, reason: str) -> None:
        """Give a wanted row up: its revision can't be sent any more."""
        self._release(row)
        self._settled(row)

    def _superseded(self, item: _Wanted, revision: RevisionOut) -> None:
        """Deal with a wanted row whose document has changed since."""
        raise NotImplementedError

    def _rev_properties(self, row: ChangeRow, revision: RevisionOut) -> dict[str, str]:
        properties = {
            "id": revision.doc_id,
            "rev": revision.tid,
            "sequence": str(row.seq),
        }
        if revision.deleted:
            properties["deleted"] = "1"
        return properties

    def _send(self, item: _Wanted, revision: RevisionOut) -> None:
        session = self._session
        properties = self._rev_properties(item.row, revision)
        if revision.history or (self._contiguous and item.bases):
            history = history_text(
                revision, item.bases, self._history_max, contiguous=self._contiguous
            )
            if history:
                properties["history"] = history
        if not self._contiguous:
            properties["vector"] = revision.vector
        body = revision.body
        blobs: tuple[str, ...] = ()
        if may_have_blobs(body):
            blobs = tuple({b.digest for b in find_blobs(orjson.loads(body))})
            session.blobs.allow(blobs)
        token = RevSent(self, item.row, revision.tid, revision.deleted, len(body), blobs)
        session.revs_out += 1
        session.rev_bytes_out += len(body)
        session.request("rev", self._wire, properties, body, token, compress=True)

    def rev_answered(self, sent: RevSent, reply: Reply) -> None:
        """Take the answer to a `rev`."""
        session = self._session
        session.revs_out -= 1
        session.rev_bytes_out -= sent.body_bytes
        if sent.blobs:
            session.blobs.disallow(sent.blobs)
        self._release(sent.row)
        if not reply.error:
            session.counted_push(sent.body_bytes)
            if session.config.report_documents:
                session.report(self.collection, True, sent.row.doc_id, sent.deleted, None)
            self._confirmed(sent)
            return
        error = error_of_reply(reply, f"document {sent.row.doc_id!r}")
        if not self._refused(sent, error):
            session.report(self.collection, True, sent.row.doc_id, sent.deleted, error)

    def _release(self, row: ChangeRow) -> None:
        """The document has nothing under way any more: what was deferred may go."""
        self._out.pop(row.doc_id, None)
        if self._deferred:
            later = self._deferred.pop(row.doc_id, None)
            if later is not None:
                self._rows.appendleft(later)

    def _settled(self, row: ChangeRow) -> None:
        """Note that this sequence needs nothing more."""

    def _confirmed(self, sent: RevSent) -> None:
        """Note that the peer has stored it."""
        self._settled(sent.row)

    def _refused(self, sent: RevSent, error: SyncError) -> bool:
        """Deal with a refused revision; true if it will be tried again."""
        self._settle_unless_transient(sent.row, error)
        return False

    def _settle_unless_transient(self, row: ChangeRow, error: SyncError) -> None:
        """Note that it needs nothing more; but what may succeed later is kept for later."""
        if error.transient:
            self._session.held_back()
        else:
            self._settled(row)


class ActivePusher(Pusher):
    """The pusher of the peer that opened the connection: it proposes, and keeps the checkpoint."""

    _profile = "proposeChanges"

    def __init__(
        self,
        session: Session,
        wire: int,
        checkpointer: Checkpointer,
        *,
        continuous: bool,
        pulls: bool,
    ) -> None:
        super().__init__(session, wire, wire)
        self._checkpointer = checkpointer
        self._continuous = continuous
        self._pulls = pulls
        self._since = checkpointer.completed.first_missing() - 1
        self._unread = True
        self._marks: list[tuple[str, str]] = []
        self._forbidden: dict[str, str] = {}  # Refused with 403: document -> revision.
        self._again: list[ChangeRow] = []
        self._contesting = 0

    def read_on(self) -> None:
        """Look for changes once more, one-shot too: the pull has just made some to be pushed."""
        self._unread = True

    @property
    def is_idle(self) -> bool:
        """Whether everything known has been proposed, sent, answered and noted."""
        return super().is_idle and not (self._again or self._marks or self._contesting)

    def pump(self) -> None:
        """Start whatever may be started now."""
        if self._again and not self._rows and super().is_idle:
            self._rows.extend(self._again)
            self._again.clear()
            self._told_caught_up = False
        super().pump()
        if self._marks:
            marks, self._marks = self._marks, []
            self._session.ask(RecordMarks(self.collection, marks), lambda _: None)

    def _is_of_another_past(self, last_seq: int) -> bool:
        if last_seq >= self._checkpointer.completed.end() - 1:
            return super()._is_of_another_past(last_seq)
        self._checkpointer.start_over()
        return True

    def _accepted(self, rows: list[ChangeRow], end: int) -> list[ChangeRow]:
        completed = self._checkpointer.completed
        fresh: list[ChangeRow] = []
        before = self._since
        for row in rows:
            seq = row.seq
            completed.add_range(before + 1, seq)  # No document has these any more.
            before = seq
            if seq in completed:
                continue
            if row.mark and row.mark.partition("-")[2] == row.tid.partition("-")[2]:
                completed.add(seq)  # The same version: the remote has it.
            else:
                fresh.append(row)
        completed.add_range(before + 1, end + 1)
        return fresh

    def _offer_properties(self) -> dict[str, str]:
        return {"conflictIncludesRev": "true"}

    def _offer_row(self, row: ChangeRow) -> list[object]:
        return [row.doc_id, row.tid, row.mark, row.body_bytes]

    def _take_answers(self, rows: list[ChangeRow], answers: list[object]) -> None:
        contested: list[tuple[ChangeRow, str]] = []
        wanted = self._wanted
        for row, answer in zip(rows, answers, strict=True):
            if answer == 0 or answer is None:
                wanted.append(_Wanted(row, (row.mark,) if row.mark else ()))
                continue
            status: object = answer
            theirs: object = ""
            if isinstance(answer, dict):
                status, theirs = answer.get("status"), answer.get("rev")
                if status == 0:
                    wanted.append(_Wanted(row, (row.mark,) if row.mark else ()))
                    continue
            if type(status) is not int:
                raise PeerProtocolError(f"the status {status!r:.80} of a proposed revision")
            self._release(row)
            if status == 304:
                self._marks.append((row.doc_id, row.tid))
                self._settled(row)
            elif status == 409:
                usable = isinstance(theirs, str) and is_tree_name(theirs)
                contested.append((row, str(theirs) if usable else ""))
            else:
                self._failed(row, status)
        if contested:
            self._contesting += 1
            self._session.ask(
                ReadHeld(self.collection, [row.doc_id for row, _ in contested]),
                lambda held: self._contested(contested, held),
            )

    def _contested(self, contested: list[tuple[ChangeRow, str]], held: list[Held | None]) -> None:
        """The peer has another revision than the parent that was proposed."""
        self._contesting -= 1
        for (row, theirs), mine in zip(contested, held, strict=True):
            if mine is None or mine.tid != row.tid:
                self._settled(row)  # It changed here meanwhile: the feed has it again.
                continue
            relation = known(state_of(mine), theirs) if theirs else Relation.UNKNOWN
            if relation is Relation.SAME:
                self._marks.append((row.doc_id, theirs))
                self._settled(row)
            elif relation is Relation.OLD and theirs != row.mark:
                # An earlier push arrived and its answer was lost: propose on top of it.
                self._rows.appendleft(row._replace(mark=theirs))
            elif self._pulls or self._session.config.peer_is_settee:
                # The pull brings it and resolves. (A settee peer says 409 only when its own
                # revision descends from this one.)
                self._settled(row)
            else:
                self._failed(row, 409)

    def _failed(self, row: ChangeRow, code: int) -> None:
        why = "it is in conflict with the peer's" if code == 409 else f"status {code}"
        error = SyncError(
            f"the peer did not take document {row.doc_id!r}: {why}",
            domain="HTTP",
            code=code,
            transient=code in TRANSIENT_HTTP,
        )
        deleted = bool(row.flags & DELETED)
        self._session.report(self.collection, True, row.doc_id, deleted, error)
        self._settle_unless_transient(row, error)

    def _rev_properties(self, row: ChangeRow, revision: RevisionOut) -> dict[str, str]:
        properties = super()._rev_properties(row, revision)
        properties["noconflicts"] = "1"
        return properties

    def _superseded(self, item: _Wanted, revision: RevisionOut) -> None:
        self._gone(item.row, 410, "a newer revision follows")
        self._unread = True  # The newer one has a higher sequence: read on, one-shot too.

    def _settled(self, row: ChangeRow) -> None:
        self._checkpointer.completed.add(row.seq)

    def _confirmed(self, sent: RevSent) -> None:
        self._marks.append((sent.row.doc_id, sent.tid))
        self._checkpointer.completed.add(sent.row.seq)

    def _refused(self, sent: RevSent, error: SyncError) -> bool:
        doc_id = sent.row.doc_id
        before = self._forbidden.pop(doc_id, None)
        if (error.domain, error.code) == ("HTTP", 403) and before != sent.tid:
            self._forbidden[doc_id] = sent.tid  # Once more, when the rest is done.
            self._again.append(sent.row)
            return True
        conflict = error.code == 409 or (error.domain, error.code) == ("LiteCore", 8)
        if conflict and (self._pulls or self._session.config.peer_is_settee):
            self._settled(sent.row)  # As for a contested proposal: the pull brings theirs.
            return True
        return super()._refused(sent, error)


class PassivePusher(Pusher):
    """The pusher of the peer that accepted the connection; it sleeps until `subChanges` comes."""

    _profile = "changes"

    def __init__(self, session: Session, wire: int, collection: int) -> None:
        super().__init__(session, wire, collection)
        self._subscribed = False
        self._told_caught_up = True
        self._replacements = False
        self.given = SequenceSet(())
        """Sequences that this very peer has just caused: not announced back to it."""

    @property
    def is_subscribed(self) -> bool:
        """Whether the peer asked for changes."""
        return self._subscribed

    def subscribe(self, request: Request, doc_ids: frozenset[str] | None) -> None:
        """Begin to send changes as `subChanges` asks (wire protocol 3.4)."""
        properties = request.properties
        since = properties.get("since", "0")
        usable = since.isascii() and since.isdigit() and len(since) < 20
        self._since = min(int(since), _SEQUENCE_MAX) if usable else 0
        self._continuous = is_true(properties, "continuous")
        self._active_only = is_true(properties, "activeOnly")
        self._replacements = is_true(properties, "sendReplacementRevs")
        self._doc_ids = doc_ids
        self._subscribed = True
        self._unread = True
        self._told_caught_up = False

    def pump(self) -> None:
        """Start whatever may be started now."""
        if self._subscribed:
            super().pump()

    def _accepted(self, rows: list[ChangeRow], end: int) -> list[ChangeRow]:
        given = self.given
        if not given.end():
            return rows
        last = rows[-1] if rows else None
        # The last row goes out even if the peer gave it: it moves the peer's checkpoint past all.
        fresh = [row for row in rows if row is last or row.seq not in given]
        given.forget_below(end + 1)
        return fresh

    def _caught_up(self) -> None:
        self._active_only = False  # It concerns what was there before only.
        super()._caught_up()

    def _offer_row(self, row: ChangeRow) -> list[object]:
        deleted = row.flags & DELETED
        if not deleted and not row.body_bytes:
            return [row.seq, row.doc_id, row.tid]
        return [row.seq, row.doc_id, row.tid, deleted, row.body_bytes]

    def _take_answers(self, rows: list[ChangeRow], answers: list[object]) -> None:
        for row, answer in zip(rows, answers, strict=True):
            if isinstance(answer, list):
                bases = tuple(
                    name
                    for name in answer[:_BASES_MAX]
                    if isinstance(name, str) and is_tree_name(name)
                )
                self._wanted.append(_Wanted(row, bases))
            else:  # 0: it has the revision; any other number: it does not want it.
                self._release(row)

    def _gone(self, row: ChangeRow, status: int, reason: str) -> None:
        super()._gone(row, status, reason)
        self._session.tell(
            "norev",
            self._wire,
            {
                "id": row.doc_id,
                "rev": row.tid,
                "sequence": str(row.seq),
                "error": str(status),
                "reason": reason,
            },
            b"",
            compress=True,
        )

    def _superseded(self, item: _Wanted, revision: RevisionOut) -> None:
        if self._replacements:
            self._send(item, revision)
        else:
            self._gone(item.row, 410, "superseded by a newer revision")

    def _rev_properties(self, row: ChangeRow, revision: RevisionOut) -> dict[str, str]:
        properties = super()._rev_properties(row, revision)
        if revision.tid != row.tid:
            properties["replacedRev"] = row.tid
        return properties
