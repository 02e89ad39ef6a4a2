"""Sending the revisions of one collection: what both roles share.

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

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from settee.blip.message import Reply
from settee.doc import revision as names
from settee.doc.blob import find_blobs, may_have_blobs, with_attachments
from settee.doc.delta import make
from settee.doc.records import ChangeRow, ChangesPage, RevisionOut
from settee.errors import PeerProtocolError, SyncError
from settee.limits import (
    CHANGES_BYTES_MAX,
    CHANGES_ROWS_MAX,
    CHANGES_UNANSWERED_MAX,
    HISTORY_NAMES_MAX,
    REVS_UNANSWERED_BYTES_MAX,
    REVS_UNANSWERED_MAX,
)
from settee.sync.dialect import Ground, Verdict
from settee.sync.effects import FilterPush, LearnNames, ReadChanges, ReadRevisions
from settee.sync.messages import error_of_reply, is_true, json_array

if TYPE_CHECKING:
    from settee.sync.session import Session

__all__ = ["Pusher", "RevSent", "Wanted"]

_PAGE_ROWS: Final = 5 * CHANGES_ROWS_MAX
"""Rows per page of the feed. Not all that may be on offer: a page keeps a session, and with it the
others of its loop, for as long as it takes to look at each row."""

_READ_REVISIONS_MAX: Final = CHANGES_ROWS_MAX
"""Bodies per read."""


class Wanted(NamedTuple):
    """A row whose revision the peer asked for."""

    row: ChangeRow
    bases: tuple[str, ...]
    """Revisions that the peer has, best first."""
    whole: bool = False
    """Whether a delta was refused already."""
    retold: bool = False
    """Whether to tell its ancestry in the other way (`Dialect.said`)."""


class RevSent(NamedTuple):
    """The token of a `rev` under way."""

    pusher: Pusher
    wanted: Wanted
    tid: str
    deleted: bool
    body_bytes: int
    blobs: tuple[str, ...]
    is_delta: bool

    @property
    def row(self) -> ChangeRow:
        """The row that offered it."""
        return self.wanted.row


class Pusher(ABC):
    """What both roles share: reading the feed, offering rows, sending revisions."""

    _profile: str
    """The message that offers rows."""

    _in_order: bool
    """Whether the peer goes by the order of the rows: then one that has to wait for its document
    holds up those behind it."""

    def __init__(self, session: Session, wire: int, collection: int) -> None:
        self._session = session
        self._wire = wire
        self.collection: Final = collection
        """Index in the session's configuration; `wire` is the index in messages."""
        self._continuous = False
        self._doc_ids: frozenset[str] | None = None
        self._active_only = False
        self._since = 0
        self._unread = False  # Whether the feed may hold rows beyond `_since`.
        self._reading_feed = False
        self._rows: deque[ChangeRow] = deque()
        self._offers_out = 0
        self._wanted: deque[Wanted] = deque()
        self._reading_revisions = False
        self._out: dict[str, ChangeRow] = {}  # Offered, wanted or sent, and not yet settled.
        self._deferred: dict[str, ChangeRow] = {}
        self._history_max = HISTORY_NAMES_MAX
        self._blobs_listed = False
        """Whether the peer looks for blobs under ``_attachments`` only, as Sync Gateway does."""
        self._told_caught_up = False
        self._lagging: dict[str, list[Callable[[], None]]] = {}
        """Documents to be offered once more, and what is to be done then."""
        self._then: dict[str, list[Callable[[], None]]] = {}
        """What is to be done when the peer has answered the offer of a document."""
        self._looking_up = 0
        self._filtered = session.config.options_of(collection).push_filter
        self._peer_deltas = False  # Told once, and kept in mind (wire protocol 7.2).

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
            or self._lagging
            or self._looking_up
        )

    @property
    def pending_count(self) -> int:
        """Documents on their way to the peer."""
        return len(self._rows) + len(self._out)

    def local_changed(self) -> None:
        """Note that the feed has new rows."""
        if self._continuous:
            self._unread = True

    def deadline(self) -> float | None:
        """When to be pumped at the latest, in the terms of `now`."""
        return None

    def offer_again(self, doc_id: str, then: Callable[[], None] | None = None) -> None:
        """The peer has turned out to have another revision of a document than it should have.

        `then` is called when the peer has answered the offer, or if there is none to be made.
        """
        waiting = self._lagging.setdefault(doc_id, [])
        if then is not None:
            waiting.append(then)

    # --- pumping ----------------------------------------------------------------------------------

    def pump(self) -> None:
        """Start whatever may be started now."""
        if self._lagging:
            self._look_up_lagging()
        while (
            self._rows
            and self._offers_out < CHANGES_UNANSWERED_MAX
            and len(self._out) < 2 * REVS_UNANSWERED_MAX
            and self._offer()
        ):
            pass
        if self._unread and not self._reading_feed and len(self._rows) < CHANGES_ROWS_MAX:
            self._unread = False  # What changes from now on may come too late for this page.
            self._reading_feed = True
            self._session.ask(
                ReadChanges(
                    self.collection, self._since, _PAGE_ROWS, self._doc_ids, self._active_only
                ),
                self._page_read,
            )
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
        fresh, self._since = self._accepted(page.rows, end)
        if fresh:
            if self._rows:
                self._forget_older(fresh)
            self._queue(fresh)
            self._told_caught_up = False
        if not self._reading_feed:
            self._let_go()

    def _look_up_lagging(self) -> None:
        doc_ids = frozenset(self._lagging)
        waiting, self._lagging = self._lagging, {}
        self._looking_up += 1
        self._session.ask(
            ReadChanges(self.collection, 0, len(doc_ids), doc_ids, False),
            partial(self._lagging_found, waiting),
        )

    def _lagging_found(
        self, waiting: dict[str, list[Callable[[], None]]], page: ChangesPage
    ) -> None:
        self._looking_up -= 1
        to_come = self._out.keys() | {row.doc_id for row in self._rows}
        passed = not (self._unread or self._reading_feed)  # Then nothing reads on to it.
        if not self._in_order:
            for row in page.rows:
                under_way = self._out.get(row.doc_id)
                if under_way is not None and under_way.mark != row.mark:
                    self._defer(row)  # It goes on top of what the peer had not, and is refused.
        rows = [
            row
            for row in page.rows
            if (row.seq <= self._since or passed) and row.doc_id not in to_come
        ]
        if self._doc_ids is not None:
            rows = [row for row in rows if row.doc_id in self._doc_ids]
        ahead = {row.doc_id for row in rows if row.seq > self._since} if self._in_order else set()
        if ahead:
            # Offered alone it would move the peer's checkpoint past all that lies before it.
            rows = [row for row in rows if row.doc_id not in ahead]
            self._read_on()
        if rows and self._filtered:  # An edit made here since is not let out by an older one.
            self._looking_up += 1
            self._session.ask(
                FilterPush(self.collection, [row.doc_id for row in rows]),
                partial(self._lagging_filtered, rows, ahead, waiting),
            )
        else:
            self._offer_lagging(rows, ahead, waiting)

    def _lagging_filtered(
        self,
        rows: list[ChangeRow],
        ahead: set[str],
        waiting: dict[str, list[Callable[[], None]]],
        accepted: list[bool],
    ) -> None:
        self._looking_up -= 1
        to_come = self._out.keys() | {row.doc_id for row in self._rows}
        rows = [
            row
            for row, accept in zip(rows, accepted, strict=True)
            if accept and row.doc_id not in to_come
        ]
        self._offer_lagging(rows, ahead, waiting)

    def _offer_lagging(
        self,
        rows: list[ChangeRow],
        ahead: set[str],
        waiting: dict[str, list[Callable[[], None]]],
    ) -> None:
        self._rows.extend(rows)
        on_offer = {row.doc_id for row in self._rows} | ahead
        for doc_id, actions in waiting.items():
            if doc_id in on_offer:
                self._then.setdefault(doc_id, []).extend(actions)
            else:
                _do(actions)
        if not self._reading_feed:
            self._let_go()

    def _read_on(self) -> None:
        """Offer what has come since, though the peer may have asked for what was there only."""
        self._unread = True

    def _let_go(self) -> None:
        """Do what waits for offers that are not to be made after all."""
        if self._then and not self._unread:
            to_come = {row.doc_id for row in self._rows} | self._out.keys()
            for doc_id in [doc_id for doc_id in self._then if doc_id not in to_come]:
                _do(self._then.pop(doc_id))

    def _queue(self, rows: list[ChangeRow]) -> None:
        """Put rows in line to be offered, those that the application lets out."""
        if not self._filtered:
            self._rows.extend(rows)
            return
        self._reading_feed = True  # Until the application has answered, the page isn't read.
        self._session.ask(
            FilterPush(self.collection, [row.doc_id for row in rows]),
            lambda accepted: self._filter_answered(rows, accepted),
        )

    def _filter_answered(self, rows: list[ChangeRow], accepted: list[bool]) -> None:
        self._reading_feed = False
        for row, accept in zip(rows, accepted, strict=True):
            if accept:
                self._rows.append(row)
            else:
                self._settled(row)
        self._let_go()

    def _is_of_another_past(self, last_seq: int) -> bool:
        """Whether more sequences were replicated than there are.

        This database was restored or replaced then: start over rather than skip.
        """
        return last_seq < self._since

    @abstractmethod
    def _accepted(self, rows: list[ChangeRow], end: int) -> tuple[list[ChangeRow], int]:
        """Return the rows to offer out of a page that reaches to sequence `end`.

        And up to where it is dealt with by that: `end`, or what comes before rows left for later.
        """

    def _offer(self) -> bool:
        """Offer the next rows; tell whether the rest may be offered, too."""
        rows: list[ChangeRow] = []
        parts: list[bytes] = []
        room_bytes = CHANGES_BYTES_MAX - 1
        while self._rows and len(rows) < CHANGES_ROWS_MAX:
            row = self._rows.popleft()
            if row.doc_id in self._out:
                if self._in_order:
                    self._rows.appendleft(row)
                    break
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
            return False
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
        return True

    def _forget_older(self, fresh: list[ChangeRow]) -> None:
        """Of a document that changed again before it was offered only the newest row counts."""
        newer = {row.doc_id for row in fresh}
        if any(row.doc_id in newer for row in self._rows):
            rows, self._rows = self._rows, deque()
            for row in rows:
                if row.doc_id in newer:
                    self._settled(row)
                else:
                    self._rows.append(row)

    def _defer(self, row: ChangeRow) -> None:
        older = self._deferred.get(row.doc_id)
        if older is not None and older.seq != row.seq:
            self._settled(older)
        self._deferred[row.doc_id] = row

    def _offer_properties(self) -> dict[str, str]:
        return {}

    @abstractmethod
    def _offer_row(self, row: ChangeRow) -> list[object]:
        """Return what an offer says of a row."""

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
        if history_max.isascii() and history_max.isdigit() and len(history_max) < 6:
            self._history_max = max(1, min(int(history_max), HISTORY_NAMES_MAX))
        self._blobs_listed = not is_true(reply.properties, "blobs")
        if self._session.config.deltas and is_true(reply.properties, "deltas"):
            self._peer_deltas = True
            self._session.use_deltas()
        answers = json_array(reply.body, f"the reply to {self._profile}")
        if len(answers) > len(rows):
            raise PeerProtocolError(f"{len(answers)} answers to {len(rows)} rows")
        answers.extend([0] * (len(rows) - len(answers)))
        self._take_answers(rows, answers)
        if self._then:
            for row in rows:
                _do(self._then.pop(row.doc_id, ()))

    @abstractmethod
    def _take_answers(self, rows: list[ChangeRow], answers: list[object]) -> None:
        """Deal with the peer's answers to an offer, one for each row."""

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
        wanted: list[Wanted] = []
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
        bases: list[tuple[str, ...]] = []
        if self._peer_deltas:
            bases = [() if item.whole else item.bases for item in wanted]
        session.ask(
            ReadRevisions(self.collection, [item.row.doc_id for item in wanted], bases),
            lambda revisions: self._revisions_read(wanted, reserved_bytes, revisions),
        )

    def _revisions_read(
        self, wanted: list[Wanted], reserved_bytes: int, revisions: list[RevisionOut | None]
    ) -> None:
        self._reading_revisions = False
        self._session.revs_out -= len(wanted)
        self._session.rev_bytes_out -= reserved_bytes
        sendable: list[tuple[Wanted, RevisionOut]] = []
        for item, revision in zip(wanted, revisions, strict=True):
            row = item.row
            if revision is None:
                self._gone(row, 404, "the document was purged")
            elif revision.seq != row.seq:
                self._superseded(item, revision)
            elif revision.tid != row.tid:
                self._renamed(item, revision)
            else:
                sendable.append((item, revision))
        self._send(sendable)

    def _gone(self, row: ChangeRow, status: int, reason: str) -> None:
        """Give a wanted row up: its revision can't be sent any more."""
        self._release(row)
        self._settled(row)

    @abstractmethod
    def _superseded(self, item: Wanted, revision: RevisionOut) -> None:
        """Deal with a wanted row whose document has changed since."""

    def _renamed(self, item: Wanted, revision: RevisionOut) -> None:
        """Deal with a wanted row whose revision is called otherwise since."""
        self._send([(item, revision)])

    def _withhold(self, row: ChangeRow, ground: Ground) -> None:
        """Don't send what the peer has, or what has to be called otherwise first."""
        self._release(row)
        self._settled(row)
        self._say_gone(row, 410, "it is known under another name")
        assert ground.base is not None, "a ground that bears nothing"
        self._learn(row.doc_id, ground.base, renumber=ground.verdict is Verdict.LIFT)

    def _learn(self, doc_id: str, tid: str, *, renumber: bool) -> None:
        self._looking_up += 1
        self._session.ask(LearnNames(self.collection, [(doc_id, tid)], renumber), self._was_learnt)

    def _was_learnt(self, _: object) -> None:
        self._looking_up -= 1

    def _say_gone(self, row: ChangeRow, status: int, reason: str) -> None:
        """Tell the peer not to wait for a revision that it wanted."""
        self._session.tell(
            "norev",
            self._wire,
            {
                "id": row.doc_id,
                "rev": self._session.dialect.name(row.tid),
                "sequence": str(row.seq),
                "error": str(status),
                "reason": reason,
            },
            b"",
            compress=True,
        )

    @abstractmethod
    def _said_besides(self, row: ChangeRow, revision: RevisionOut) -> tuple[str, ...]:
        """Return properties of a `rev` that only one of the two roles has: keys and values."""

    def _send(self, sendable: list[tuple[Wanted, RevisionOut]]) -> None:
        """Send revisions, all of them as one batch."""
        session, history_max = self._session, self._history_max
        dialect = session.dialect
        ground_of, said, said_besides = dialect.ground, dialect.said, self._said_besides
        address = [*chain.from_iterable(session.address("rev", self._wire).items())]
        requests: list[tuple[RevSent, list[str], bytes]] = []
        bytes_ = 0
        for item, revision in sendable:
            row, bases, whole, retold = item
            ground = ground_of(revision, bases)
            if ground.verdict is not Verdict.SEND:
                self._withhold(row, ground)
                continue
            words = [*address, "id", row.doc_id, "sequence", str(row.seq)]
            if revision.deleted:
                words += ("deleted", "1")
            words += said_besides(row, revision)
            for pair in said(revision, bases, ground, history_max, retold=retold).items():
                words += pair
            body = revision.body
            blobs: tuple[str, ...] = ()
            is_delta = False
            if may_have_blobs(body):
                value = orjson.loads(body)
                blobs = tuple({b.digest for b in find_blobs(value)})
                session.blobs.allow(blobs)
            if blobs and self._blobs_listed:
                body = orjson.dumps(with_attachments(value, names.generation(revision.tid)))
            elif revision.base and not whole:
                delta = make(orjson.loads(revision.base_body), orjson.loads(body))
                if delta is not None:
                    body = orjson.dumps(delta)
                    words += ("deltaSrc", dialect.name(revision.base))
                    is_delta = True
            size = len(body)
            bytes_ += size
            token = RevSent(self, item, revision.tid, revision.deleted, size, blobs, is_delta)
            requests.append((token, words, body))
        session.revs_out += len(requests)
        session.rev_bytes_out += bytes_
        session.connection.send_requests(requests)

    def revs_stored(self, sent: list[RevSent]) -> None:
        """The peer has stored these, or had them."""
        session, out = self._session, self._out
        bytes_ = 0
        for each in sent:
            bytes_ += each.body_bytes
            if each.blobs:
                session.blobs.disallow(each.blobs)
        session.revs_out -= len(sent)
        session.rev_bytes_out -= bytes_
        session.counted_push(len(sent), bytes_)
        if session.config.report_documents:
            for each in sent:
                session.report(self.collection, True, each.row.doc_id, each.deleted, None)
        self._confirmed(sent)
        if self._deferred:
            for each in sent:
                self._release(each.row)
        else:
            for each in sent:
                out.pop(each.wanted.row.doc_id, None)

    def rev_refused(self, sent: RevSent, reply: Reply) -> None:
        """The peer has answered a `rev` with an error."""
        session = self._session
        session.revs_out -= 1
        session.rev_bytes_out -= sent.body_bytes
        if sent.blobs:
            session.blobs.disallow(sent.blobs)
        if sent.is_delta and _is_of_delta(reply):
            self._wanted.appendleft(sent.wanted._replace(whole=True))
            return
        self._release(sent.row)
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

    def _settled(self, row: ChangeRow) -> None:  # noqa: B027 - not every pusher keeps count.
        """Note that this sequence needs nothing more."""

    def _confirmed(self, sent: list[RevSent]) -> None:  # noqa: B027 - as with `_settled`.
        """Note that the peer has stored these."""

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


def _do(actions: Iterable[Callable[[], None]]) -> None:
    for action in actions:
        action()


def _is_of_delta(reply: Reply) -> bool:
    """Whether a `rev` was refused because it was a delta (wire protocol 3.7)."""
    domain = reply.properties.get("Error-Domain", "BLIP")
    code = reply.properties.get("Error-Code", "")
    return (domain == "HTTP" and code in ("404", "422")) or (
        domain == "LiteCore" and code in ("31", "32")
    )
