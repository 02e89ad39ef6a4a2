"""Sending the revisions of one collection, as the peer that opened the connection.

Room: pure protocol.
Touches: settee.blip, settee.doc, settee.errors, settee.limits, settee.sync.
Never touches: sockets, files, the wall clock, randomness.
Spec: wire protocol 3.6, 3.7, 9.3.

It proposes its rows, keeps the checkpoint of what is done, and knows what the peer had in earlier
sessions (marks): good for a base to build on, no reason to keep a revision back. What the peer
refuses is done with, unless it may succeed later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from settee.doc.conflict import Relation, known
from settee.doc.records import DELETED, ChangeRow, Held, RevisionOut
from settee.doc.revision import is_native, version_of
from settee.doc.version import RTE
from settee.errors import PeerProtocolError, SyncError
from settee.sync.checkpoint import Checkpointer
from settee.sync.effects import ReadHeld, RecordMarks, Renew
from settee.sync.history import same_digest, state_of
from settee.sync.messages import TRANSIENT_HTTP
from settee.sync.pusher import Pusher, RevSent, Wanted
from settee.sync.trees import TreeDialect

if TYPE_CHECKING:
    from settee.sync.session import Session

__all__ = ["ActivePusher"]


class ActivePusher(Pusher):
    """The pusher of the peer that opened the connection: it proposes, and keeps the checkpoint."""

    _profile = "proposeChanges"
    _in_order = False

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
        self._contesting = 0  # Questions to storage about rows that were settled before.
        self._doubted: dict[str, str] = {}  # Refused as conflicts: document -> revision.
        self._renewed: set[str] = set()  # Documents saved anew over a revision and its ancestor.
        self._agreed_until = checkpointer.completed.end() - 1
        self._doubtful_until = -1
        """Up to which sequence marks may be wrong; -1 as long as the end is not known. What no
        checkpoint covers the peer may have lost, though it acknowledged it: in a power cut, if it
        does not sync its disk for each commit."""

        options = session.config.options_of(wire)
        self._only = None if options.document_ids is None else frozenset(options.document_ids)
        self._resolves = options.resolver and self._pulls and session.config.peer_is_settee

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
        checkpointer = self._checkpointer
        if self._doubtful_until < 0:  # What is pulled from now on the peer has for certain.
            self._doubtful_until = last_seq
        if last_seq >= self._agreed_until:
            return super()._is_of_another_past(last_seq)
        checkpointer.start_over()
        self._agreed_until = 0
        self._doubtful_until = last_seq
        return True

    def _accepted(self, rows: list[ChangeRow], end: int) -> tuple[list[ChangeRow], int]:
        completed = self._checkpointer.completed
        fresh: list[ChangeRow] = []
        before = self._since
        for row in rows:
            seq = row.seq
            completed.add_range(before + 1, seq)  # No document has these any more.
            before = seq
            if seq in completed:
                continue
            if self._only is not None and row.doc_id not in self._only:
                completed.add(seq)
                continue
            if not same_digest(row.mark, row.tid):
                fresh.append(row)
            elif seq <= self._doubtful_until:
                fresh.append(row._replace(mark=""))
            else:
                completed.add(seq)  # The same version: the remote has it.
        completed.add_range(before + 1, end + 1)
        return fresh, end

    def _offer_properties(self) -> dict[str, str]:
        return {"conflictIncludesRev": "true"}

    def _offer_row(self, row: ChangeRow) -> list[object]:
        name = self._session.dialect.name
        end = self._session.dialect.row_end(row.tid)
        return [row.doc_id, name(row.tid), name(row.mark), row.body_bytes, *end]

    def _take_answers(self, rows: list[ChangeRow], answers: list[object]) -> None:
        if (
            answers.count(0) == len(answers)
            and not self._doubted
            and not self._checkpointer.begins_anew
        ):
            self._wanted += [Wanted(row, (row.mark,) if row.mark else ()) for row in rows]
            return  # As nearly always: it wants all of them, and nothing is special about any.
        contested: list[tuple[ChangeRow, str, bool]] = []
        for row, answer in zip(rows, answers, strict=True):
            if answer == 0 or answer is None:
                self._want(row)
                continue
            status: object = answer
            theirs: object = None
            if isinstance(answer, dict):
                status, theirs = answer.get("status"), answer.get("rev")
                if status == 0:
                    self._want(row)
                    continue
            if type(status) is not int:
                raise PeerProtocolError(f"the status {status!r:.80} of a proposed revision")
            if status == 409 and theirs and row.doc_id in self._deferred:
                self._forget_deferred(row)
            if status == 304:
                self._peer_has(row.doc_id, row.tid)
            self._release(row)
            if status == 304:
                self._settled(row)
            elif status == 409:
                text = theirs if isinstance(theirs, str) else ""
                contested.append((row, text, theirs == ""))
            else:
                self._failed(row, status)
        if contested:
            self._contesting += 1
            self._session.ask(
                ReadHeld(self.collection, [row.doc_id for row, _, _ in contested]),
                lambda held: self._contested(contested, held),
            )

    def _forget_deferred(self, row: ChangeRow) -> None:
        """Don't offer the same revision on top of what the peer had: it tells what it has now."""
        if self._deferred[row.doc_id].seq == row.seq:
            del self._deferred[row.doc_id]

    def _want(self, row: ChangeRow) -> None:
        bases = (row.mark,) if row.mark else ()
        if self._doubted.get(row.doc_id) == row.tid:
            if self._is_tried_otherwise(Wanted(row, bases)):
                return
        elif self._checkpointer.begins_anew and row.seq <= self._doubtful_until:
            bases = ()  # It may have lost that: it gets the whole history, and no delta.
        wanted = Wanted(row, bases)
        self._wanted.append(wanted)

    def _contested(
        self, contested: list[tuple[ChangeRow, str, bool]], held: list[Held | None]
    ) -> None:
        """The peer has another revision than the parent that was proposed."""
        self._contesting -= 1
        dialect = self._session.dialect
        for (row, text, gone), mine in zip(contested, held, strict=True):
            state = None if mine is None else state_of(mine)
            if state is None or known(state, row.tid) is not Relation.SAME:
                self._settled(row)  # It changed here meanwhile: the feed has it again.
                continue
            theirs = dialect.tid_of(text) or ""
            relation = dialect.relation(state, text) if theirs else Relation.UNKNOWN
            if relation is Relation.SAME:
                self._marks.append((row.doc_id, theirs))
                self._settled(row)
            elif gone and row.mark:
                self._rows.appendleft(row._replace(mark=""))  # It lost the document: as a new one.
            elif relation is Relation.OLD and dialect.name(theirs) != dialect.name(row.mark):
                # An earlier push arrived and its answer was lost: propose on top of it.
                # (The name may have been lifted since, which takes no new sequence.)
                self._rows.appendleft(row._replace(tid=state.tid, mark=theirs))
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

    def _said_besides(self, row: ChangeRow, revision: RevisionOut) -> tuple[str, ...]:
        if self._resolves:
            # Leave conflicts to our application. Settled by the default rule, what the pull then
            # brings would be none any more.
            return ("noconflicts", "1", "resolver", "1")
        return ("noconflicts", "1")

    def _superseded(self, item: Wanted, revision: RevisionOut) -> None:
        self._gone(item.row, 410, "a newer revision follows")
        self._unread = True  # The newer one has a higher sequence: read on, one-shot too.

    def _settled(self, row: ChangeRow) -> None:
        self._checkpointer.completed.add(row.seq)

    def _confirmed(self, sent: list[RevSent]) -> None:
        rows = [each.wanted.row for each in sent]
        if self._doubted or self._deferred:
            for row, each in zip(rows, sent, strict=True):
                self._doubted.pop(row.doc_id, None)
                self._peer_has(row.doc_id, each.tid)
        else:
            self._marks += [(row.doc_id, each.tid) for row, each in zip(rows, sent, strict=True)]
        self._checkpointer.completed.add_all([row.seq for row in rows])

    def _peer_has(self, doc_id: str, tid: str) -> None:
        self._marks.append((doc_id, tid))
        if self._deferred:
            later = self._deferred.get(doc_id)
            if later is not None:  # It was read when the peer had something older.
                self._deferred[doc_id] = later._replace(mark=tid)

    def _refused(self, sent: RevSent, error: SyncError) -> bool:
        doc_id = sent.row.doc_id
        before = self._forbidden.pop(doc_id, None)
        if (error.domain, error.code) == ("HTTP", 403) and before != sent.tid:
            self._forbidden[doc_id] = sent.tid  # Once more, when the rest is done.
            self._again.append(sent.row)
            return True
        conflict = error.code == 409 or (error.domain, error.code) == ("LiteCore", 8)
        if conflict and (self._is_doubted(sent, error) or self._is_tried_otherwise(sent.wanted)):
            return True
        if (error.domain, error.code) == ("HTTP", 500) and self._goes_as_born(sent.wanted):
            return True
        if conflict and (self._pulls or self._session.config.peer_is_settee):
            self._settled(sent.row)  # As for a contested proposal: the pull brings theirs.
            return True
        return super()._refused(sent, error)

    def _is_doubted(self, sent: RevSent, error: SyncError) -> bool:
        """Whether a revision in conflict is proposed once more.

        Its parent was the peer's current when it was proposed, or the peer was not known to have
        any. Something else may have become current there meanwhile. It is proposed over that if we
        have heard of it; else the second proposal is refused, and it is a true conflict.
        """
        row = sent.row
        if self._session.dialect.is_extended or self._doubted.get(row.doc_id) == row.tid:
            return False
        self._doubted[row.doc_id] = row.tid
        self._contesting += 1
        # What was heard is noted by writes: this one, of nothing, is done after them.
        self._session.ask(
            RecordMarks(self.collection, []),
            lambda _: self._session.ask(
                ReadHeld(self.collection, [row.doc_id]),
                lambda held: self._propose_anew(sent, error, held[0]),
            ),
        )
        return True

    def _propose_anew(self, sent: RevSent, error: SyncError, mine: Held | None) -> None:
        self._contesting -= 1
        row = sent.row
        if mine is None or mine.seq != row.seq:
            self._settled(row)  # It changed here meanwhile: the feed has it again.
            self._unread = True
            return
        # What it has just refused it hasn't, whatever is noted.
        parent = row.mark if same_digest(mine.mark, mine.tid) else mine.mark or row.mark
        if parent:
            self._rows.appendleft(row._replace(mark=parent))
        elif not self._refused(sent, error):
            self._session.report(self.collection, True, row.doc_id, sent.deleted, error)

    def _is_tried_otherwise(self, wanted: Wanted) -> bool:
        """Whether a revision in conflict, though its parent is the peer's current one, goes again.

        Where trees are spoken an ancestor that we name may lie on a dead branch there: it goes with
        steps in between. Where versions are, a peer whose database was upgraded knows the parent by
        its tree name only, and wants to see that; or each revision contains the other: then the
        body is saved once more, over both.
        """
        row, dialect = wanted.row, self._session.dialect
        if not row.mark or dialect.is_extended:
            return False
        trees = dialect.versioning == TreeDialect.versioning
        if not wanted.retold and (trees or is_native(row.mark)):
            self._out[row.doc_id] = row
            self._wanted.appendleft(wanted._replace(retold=True))
            return True
        if trees or row.doc_id in self._renewed:
            return False
        self._renewed.add(row.doc_id)
        self._release(row)
        self._contesting += 1
        self._session.ask(Renew(self.collection, row.doc_id, row.tid), self._was_renewed)
        self._settled(row)
        return True

    def _goes_as_born(self, wanted: Wanted) -> bool:
        """Whether a version that was born as a tree name goes again, under that name.

        Sync Gateway 4 fails at such a version (500) unless it holds the document already.
        """
        row, dialect = wanted.row, self._session.dialect
        trees = dialect.versioning == TreeDialect.versioning
        if trees or wanted.retold or row.mark or version_of(row.tid).source != RTE:
            return False
        self._out[row.doc_id] = row
        self._wanted.appendleft(wanted._replace(retold=True))
        return True

    def _was_renewed(self, _: object) -> None:
        self._contesting -= 1
        self._unread = True  # The new revision, if it came to one, is in the feed.
