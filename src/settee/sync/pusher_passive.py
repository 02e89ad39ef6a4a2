"""Sending the revisions of one collection, as the peer that accepted the connection.

Room: pure protocol.
Touches: settee.blip, settee.doc, settee.errors, settee.limits, settee.sync.
Never touches: sockets, files, the wall clock, randomness.
Spec: wire protocol 3.4, 3.5, 3.7, 3.8.

It sleeps until `subChanges` comes, and keeps nothing over the end of the session: where to begin is
what the peer says. What the peer itself has just pushed is not announced back to it row by row.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from settee.blip.message import Request
from settee.doc.records import DELETED, ChangeRow, RevisionOut
from settee.limits import HISTORY_NAMES_MAX
from settee.sync.dialect import VECTORS
from settee.sync.messages import is_true
from settee.sync.pusher import Pusher, Wanted
from settee.sync.sequences import SequenceSet

if TYPE_CHECKING:
    from settee.sync.session import Session

__all__ = ["PassivePusher"]

_BASES_MAX: Final = HISTORY_NAMES_MAX
"""Ancestors that a peer says it has, looked at for one row."""

_SILENCE_S: Final = 0.5
"""A peer that has said nothing of its own changes for so long after it subscribed has none."""

_PUSHING_S: Final = 2.0
"""A peer that was pushing and has said nothing for so long has stopped."""

_SEQUENCE_MAX: Final = 2**63 - 1
"""The greatest sequence that storage can be asked about."""


class PassivePusher(Pusher):
    """The pusher of the peer that accepted the connection; it sleeps until `subChanges` comes."""

    _profile = "changes"
    _in_order = True  # Its checkpoint passes whatever was announced before.

    def __init__(self, session: Session, wire: int, collection: int) -> None:
        super().__init__(session, wire, collection)
        self._subscribed = False
        self._shot = False  # One shot, and all that was there has been announced.
        self._over = False  # And then something came that was not the peer's own.
        self._told_caught_up = True
        self._replacements = False
        self._tails = session.config.level == VECTORS and not session.dialect.is_extended
        self._listens = session.config.level != VECTORS and session.config.pull
        self._listen_until_s: float | None = None
        self.given: SequenceSet = SequenceSet(())
        """Sequences that this very peer has just caused: not announced back to it."""

    def offer_again(self, doc_id: str, then: Callable[[], None] | None = None) -> None:
        """Offer a document once more, also to a peer that has heard that all was offered.

        It takes rows as long as the session lasts, so what ends it has to wait for `then`.
        """
        if self._subscribed and self._listen_until_s is None:
            super().offer_again(doc_id, then)
            return
        super().offer_again(doc_id)
        if then is not None:
            then()

    @property
    def is_idle(self) -> bool:
        """Whether all that the peer subscribed to has been offered, sent and answered."""
        return not self._subscribed or super().is_idle

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
        if self._listens:
            self._listen_until_s = self._session.now + _SILENCE_S

    def pump(self) -> None:
        """Start whatever may be started now."""
        if self._listen_until_s is not None:
            if self._session.now < self._listen_until_s:
                return
            self._listen_until_s = None
            self._listens = False
        if self._subscribed:
            super().pump()

    # --- listen before you speak ------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When to begin to announce, if that waits for the peer (in the terms of `now`)."""
        return self._listen_until_s

    @property
    def is_listening(self) -> bool:
        """Whether the peer is waited for to push first, or would be if it subscribed."""
        return self._listens

    def heard(self, *, all_of_it: bool) -> None:
        """Note that the peer pushes; `all_of_it`: it has pushed what it had.

        A peer of trees orders what it is shown by generation alone. If our row crosses an edit that
        it made on an older spelling of the same revision, it sees a conflict where there is none,
        and its edit may lose: so it pushes first.
        """
        if all_of_it:
            self._listens = False
            self._listen_until_s = None
        elif self._listen_until_s is not None:
            self._listen_until_s = self._session.now + _PUSHING_S

    def offered_to(self, doc_id: str) -> int:
        """Tell how far a peer that subscribed is past being offered a document: a sequence.

        It is -1 while the document is on offer. One that the peer did not subscribe to it is never
        offered.
        """
        if not self._subscribed or doc_id in self._out:
            return -1
        if self._doc_ids is not None and doc_id not in self._doc_ids:
            return _SEQUENCE_MAX
        if self._rows:
            return min(self._since, self._rows[0].seq - 1)
        return _SEQUENCE_MAX if self._told_caught_up and not self._continuous else self._since

    def local_changed(self) -> None:
        """Note that the feed has new rows.

        After one shot, too, a settee peer hears the last row of what it pushes, up to the first
        that is not its own: else its next pull would be announced all of it.
        """
        if self._continuous or self._tells_of_pushes:
            self._unread = True

    def _read_on(self) -> None:
        super()._read_on()
        self._shot = self._over = False
        self._told_caught_up = False

    @property
    def _tells_of_pushes(self) -> bool:
        return self._shot and not self._over and self._session.config.peer_is_settee

    def _accepted(self, rows: list[ChangeRow], end: int) -> tuple[list[ChangeRow], int]:
        given = self.given
        if self._shot:
            run = [] if self._over else list(takewhile(lambda row: row.seq in given, rows))
            if len(run) < len(rows):
                # Not passed: offered out of turn, what lies behind would be all the peer hears of.
                self._over, self._unread = True, False
                end = rows[len(run)].seq - 1
            rows = run
        if not given.end():
            return rows, end
        last = rows[-1] if rows else None
        # The last row goes out even if the peer gave it: it moves the peer's checkpoint past all.
        fresh = [row for row in rows if row is last or row.seq not in given]
        given.forget_below(end + 1)
        return fresh, end

    def _caught_up(self) -> None:
        self._active_only = False  # It concerns what was there before only.
        self._shot = not self._continuous
        super()._caught_up()
        if self._tells_of_pushes and self.given.end() > self._since:
            self._unread = True

    def _offer_row(self, row: ChangeRow) -> list[object]:
        dialect = self._session.dialect
        name, end = dialect.name(row.tid), dialect.row_end(row.tid)
        deleted = row.flags & DELETED
        if not (deleted or row.body_bytes or end):
            return [row.seq, row.doc_id, name]
        return [row.seq, row.doc_id, name, deleted, row.body_bytes, *end]

    def _take_answers(self, rows: list[ChangeRow], answers: list[object]) -> None:
        tid_of = self._session.dialect.tid_of
        for row, answer in zip(rows, answers, strict=True):
            if isinstance(answer, list):
                names = [name for name in answer[:_BASES_MAX] if isinstance(name, str)]
                bases = tuple(tid for name in names if (tid := tid_of(name)) is not None)
                legacy = any("@" not in name for name in names)
                self._wanted.append(Wanted(row, bases, retold=legacy and self._tails))
            else:  # 0: it has the revision; any other number: it does not want it.
                self._release(row)

    def _gone(self, row: ChangeRow, status: int, reason: str) -> None:
        super()._gone(row, status, reason)
        self._say_gone(row, status, reason)

    def _superseded(self, item: Wanted, revision: RevisionOut) -> None:
        if self._replacements and not self._filtered:  # The filter let the older one out.
            self._send([(item, revision)])
        else:
            self._gone(item.row, 410, "superseded by a newer revision")

    def _renamed(self, item: Wanted, revision: RevisionOut) -> None:
        # A peer of trees asked by the name, and knows what to do with the new one only if it
        # said so. For the others the name is the version, which is the same.
        if self._replacements or not self._session.dialect.learns:
            self._send([(item, revision)])
            return
        self._gone(item.row, 410, "it has got another name")
        self._learn(item.row.doc_id, revision.tid, renumber=True)

    def _said_besides(self, row: ChangeRow, revision: RevisionOut) -> tuple[str, ...]:
        if revision.tid != row.tid:
            return ("replacedRev", self._session.dialect.name(row.tid))
        return ()
