"""One connection between two peers, from the first message to the last.

Room: pure protocol. Driven by four things only: the owner (`start`, `stop`, `local_changed`), the
peer (`receive`), storage (`answer`) and time (`handle_timer`). After any of them: carry
out `effects()`, act on `events()`, send `frames_to_send()` and arm a timer for `next_deadline()`.
Touches: settee.blip, settee.errors, settee.limits, settee.logs, settee.sync.
Never touches: sockets, files, asyncio, the wall clock, randomness.
Spec: wire protocol 3.0 to 3.4, 9.2, 9.5.

The active peer opens with `getCollections`, or with `getCheckpoint` when only the default
collection is replicated; the first message decides for the whole session whether `collection` is
in all messages or in none. A passive peer speaks only when spoken to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from settee.blip.connection import Connection
from settee.blip.message import Reply, ReplyPart, Request, StreamWanted
from settee.errors import PeerProtocolError, SetteeError, SyncError
from settee.limits import (
    FRAME_BYTES_LONG_MAX,
    FRAME_BYTES_MAX,
    INBOUND_BYTES_MAX,
    LOGGED_PER_SESSION_MAX,
    REPLIES_WAITING_BYTES_MAX,
    REPLIES_WAITING_READING_BYTES_MAX,
    REQUESTS_UNANSWERED_READING_MAX,
)
from settee.logs import printable, room_log
from settee.sync.blobs import BlobExchange, BlobFetch
from settee.sync.checkpoint import Checkpointer
from settee.sync.dialect import VECTORS, Dialect
from settee.sync.effects import Effect, Failed, KeepBases
from settee.sync.events import (
    Activity,
    ActivityChanged,
    DocumentReplicated,
    DocumentsReplicated,
    Event,
    Finished,
    Progress,
)
from settee.sync.incoming import RevsCame, RevsStored, messages
from settee.sync.messages import (
    PERMANENT_CLOSE,
    TRANSIENT_CLOSE,
    status_of_error,
)
from settee.sync.opening import Opening
from settee.sync.options import SessionConfig
from settee.sync.passive import PassiveRequests
from settee.sync.patience import Patience
from settee.sync.puller import Puller
from settee.sync.pusher import Pusher, RevSent
from settee.sync.pusher_active import ActivePusher
from settee.sync.sequences import SequenceSet
from settee.sync.trees import TreeDialect
from settee.sync.vectors import VectorDialect

__all__ = ["Session"]

_log = room_log("sync")

_INBOUND_BYTES_REFUSED: Final = 2 * INBOUND_BYTES_MAX
"""With more than this waiting for the peer itself (blobs, rows announced) no more is taken."""

_STOP_S: Final = 5.0
"""A stopped session may take this long to save its checkpoint."""

Answered = Callable[[Any], None]
Refused = Callable[[SetteeError], None]
Replied = Callable[[Reply], None]


def dialect_for(level: int, peer_is_settee: bool) -> Dialect:
    """Return how revisions are named at a level of the protocol."""
    return VectorDialect(is_extended=peer_is_settee) if level == VECTORS else TreeDialect()


class Session:
    """The replication protocol on one connection, in either role."""

    def __init__(self, config: SessionConfig, *, now: float) -> None:
        self.config: Final = config
        frame_bytes_max = FRAME_BYTES_LONG_MAX if config.peer_is_settee else FRAME_BYTES_MAX
        self.connection: Final = Connection(frame_bytes_max=frame_bytes_max)
        self.dialect: Final = dialect_for(config.level, config.peer_is_settee)
        self.blobs: Final = BlobExchange(self)
        self.revs_out = 0
        """`rev` messages sent and unanswered."""
        self.rev_bytes_out = 0
        self.inbound_bytes: int = 0
        """Bytes received and not yet stored."""
        self.ignored_count: int = 0
        """Bad messages that wanted no answer."""
        self.checkpointers: dict[int, Checkpointer] = {}
        self.pushers: dict[int, Pusher] = {}
        self.pullers: dict[int, Puller] = {}
        self.with_collections: bool | None = None
        """Whether messages carry `collection`; None until the first message decides."""
        self._now = now
        self._ticket = 0
        self._asked: dict[int, tuple[Answered, Refused]] = {}
        self._effects: list[tuple[int, Effect]] = []
        self._events: list[Event] = []
        self._reports: dict[tuple[int, bool], list[DocumentReplicated]] = {}
        self._patience = Patience(now)
        self._arrived = SequenceSet()  # Numbers of the peer's requests that are complete.
        self._activity = Activity.BUSY
        self._started = False
        self._stopping_until_s: float | None = None
        self._finished = False
        self._pushed = self._pulled = self._failed = 0
        self._bytes_pushed = self._bytes_pulled = 0
        self._keeps_bases = False
        self._passive = PassiveRequests(self)

    # --- what the owner calls ---------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Begin, as the active peer."""
        assert self.config.active, "a passive session waits for its peer"
        assert not self._started, "a session starts once"
        self._now = now
        self._patience.heard(now)
        self._started = True
        Opening(self).begin()
        self._pump()

    def stop(self, now: float) -> None:
        """End softly: save the checkpoint, then finish with close code 1000."""
        self._now = now
        if self._finished or self._stopping_until_s is not None:
            return
        self._stopping_until_s = now + _STOP_S
        self._pump()

    def abandon(self) -> None:
        """The link is gone: give out nothing more and take answers without effect."""
        self._finished = True
        self._activity = Activity.STOPPED

    def local_changed(self, collections: Iterable[int], now: float) -> None:
        """Note that local documents of these collections changed."""
        self._now = now
        if self._finished:
            return
        changed = set(collections)
        for pusher in self.pushers.values():
            if pusher.collection in changed:
                pusher.local_changed()
        self._pump()

    def receive(self, frames: Iterable[bytes], now: float) -> None:
        """Take frames from the peer; never raises for what a peer sends."""
        if self._finished:
            return
        self._now = now
        self._patience.heard(now)
        try:
            for message in messages(self.connection, frames):
                if self._finished:
                    return
                if type(message) is RevsCame:
                    self._revs_came(message.requests)
                elif type(message) is RevsStored:
                    _tell_stored(message.sent)
                elif type(message) is Reply:
                    self._replied(message)
                elif type(message) is Request:
                    self._requested(message)
                elif type(message) is ReplyPart:
                    assert isinstance(message.token, BlobFetch)
                    self.blobs.part_came(message.token, message)
        except PeerProtocolError as error:
            # The framing is broken or a reply makes no sense: nothing after it can be trusted.
            self.end(error, close_code=1002)
        self._pump()

    def answer(self, answers: Iterable[tuple[int, object]], now: float) -> None:
        """Give answers to effects, each with its ticket; `Failed` says that there is none."""
        self._now = now
        for ticket, result in answers:
            answered, refused = self._asked.pop(ticket)
            if self._finished:
                continue
            if type(result) is Failed:
                refused(result.error)
                continue
            try:
                answered(result)
            except SetteeError as error:
                self.end(error)
        if not self._asked:
            self._patience.own_work(False, now)
        self._pump()

    def handle_timer(self, now: float) -> None:
        """Tell the session that time has passed; early calls are harmless."""
        self._now = now
        if self._finished:
            return
        if self._stopping_until_s is not None and now >= self._stopping_until_s:
            self._finish(1000, "", None)
            return
        error = self._patience.verdict(now, waits=self._waits, stays=self._stays)
        if error is not None:
            self.end(error)
            return
        for checkpointer in self.checkpointers.values():
            checkpointer.handle_timer(now)
        self._pump()

    def next_deadline(self) -> float | None:
        """When `handle_timer` wants to be called next, in the terms of `now`."""
        if self._finished:
            return None
        deadlines = [
            self._stopping_until_s,
            self._patience.deadline(waits=self._waits, stays=self._stays),
            *(checkpointer.deadline() for checkpointer in self.checkpointers.values()),
        ]
        if self._stopping_until_s is None:
            deadlines += [pusher.deadline() for pusher in self.pushers.values()]
        return min((d for d in deadlines if d is not None), default=None)

    @property
    def _waits(self) -> bool:
        """Whether it is the peer's turn, and an active session's to lose patience."""
        return self._started and self._activity is Activity.BUSY

    @property
    def _stays(self) -> bool:
        return self._started and self.config.continuous

    def frames_to_send(self, bytes_max: int) -> list[bytes]:
        """Return frames to put on the link now, of about `bytes_max` bytes at most."""
        frames = self.connection.frames_to_send(bytes_max)
        self._read_blobs_on()
        return frames

    def effects(self) -> list[tuple[int, Effect]]:
        """Return what storage is asked for since the last call, with the tickets to answer."""
        effects, self._effects = self._effects, []
        return effects

    def events(self) -> list[Event]:
        """Return what happened since the last call."""
        if self._reports:
            for (index, pushed), documents in self._reports.items():
                name = self.config.collections[index]
                self._events.insert(
                    0, DocumentsReplicated(collection=name, pushed=pushed, documents=documents)
                )
            self._reports = {}
        events, self._events = self._events, []
        return events

    @property
    def wants_reading_paused(self) -> bool:
        """Whether so much waits for the disk that no more should be read from the link.

        Never while only the peer can help: what waits for blobs needs them to be read.
        """
        return bool(self._asked) and (
            self.inbound_bytes > INBOUND_BYTES_MAX
            or self.connection.incoming_unanswered > REQUESTS_UNANSWERED_READING_MAX
        )

    @property
    def waits_for_link(self) -> bool:
        """Whether so many answers wait to be sent that no more should be asked meanwhile.

        To be looked at while the link takes nothing; what waits for ACKs needs the link to be read.
        """
        return self.connection.replies_waiting_bytes > REPLIES_WAITING_READING_BYTES_MAX

    @property
    def held_bytes(self) -> int:
        """Bytes in memory because of the peer: of its messages, and of blobs on their way to it."""
        connection = self.connection
        return (
            self.inbound_bytes
            + connection.incoming_unfinished_bytes
            + connection.streams_waiting_bytes
        )

    @property
    def is_finished(self) -> bool:
        """Whether `Finished` was given out."""
        return self._finished

    @property
    def activity(self) -> Activity:
        """Busy or idle."""
        return self._activity

    @property
    def progress(self) -> Progress:
        """Totals of this session."""
        pending = sum(p.pending_count for p in self.pushers.values())
        pending += sum(p.pending_count for p in self.pullers.values())
        return Progress(
            pushed=self._pushed,
            pulled=self._pulled,
            bytes_pushed=self._bytes_pushed,
            bytes_pulled=self._bytes_pulled,
            failed=self._failed,
            pending=pending,
        )

    # --- what pushers, pullers and the rest call --------------------------------------------------

    @property
    def now(self) -> float:
        """The time, as the owner told it last."""
        return self._now

    @property
    def wall_us(self) -> int:
        """Microseconds since 1970."""
        return int((self._now + self.config.wall_offset_s) * 1e6)

    def ask(self, effect: Effect, answered: Answered, refused: Refused | None = None) -> None:
        """Ask storage; without `refused`, a failure ends the session."""
        if not self._asked:
            self._patience.own_work(True, self._now)
        self._ticket += 1
        self._asked[self._ticket] = (answered, refused or self.end)
        self._effects.append((self._ticket, effect))

    def request(
        self,
        profile: str,
        collection: int | None,
        properties: Mapping[str, str],
        body: bytes,
        token: Replied | RevSent | BlobFetch,
        *,
        urgent: bool = False,
        compress: bool = False,
        stream_reply: bool = False,
        timed: bool = False,
    ) -> None:
        """Send a request; `token` is called with the reply, or knows whom it belongs to."""
        if timed:
            self._patience.expect(token, self._now)
        self.connection.send_request(
            token,
            {**self.address(profile, collection), **properties},
            body,
            urgent=urgent,
            compress=compress,
            stream_reply=stream_reply,
        )

    def tell(
        self,
        profile: str,
        collection: int | None,
        properties: Mapping[str, str],
        body: bytes,
        *,
        urgent: bool = False,
        compress: bool = False,
    ) -> None:
        """Send a request that wants no reply."""
        self.connection.send_request(
            None,
            {**self.address(profile, collection), **properties},
            body,
            urgent=urgent,
            no_reply=True,
            compress=compress,
        )

    def address(self, profile: str, collection: int | None) -> dict[str, str]:
        """Return the properties that a request begins with: what it is, and about which collection.

        `collection`: its index in messages, None for a request about none.
        """
        if self.with_collections and collection is not None:
            return {"Profile": profile, "collection": str(collection)}
        return {"Profile": profile}

    def take_in(self, byte_count: int) -> None:
        """Count bytes received; raises PeerProtocolError if the peer has overdone it."""
        if self.inbound_bytes > _INBOUND_BYTES_REFUSED:
            raise PeerProtocolError("too much is under way", code=503, transient=True)
        self.inbound_bytes += byte_count

    def refuse_request(self, number: int, error: SetteeError) -> None:
        """Answer a request with the ERR that tells of `error`."""
        domain, code, text = status_of_error(error)
        self.connection.reply_error(number, domain, code, text)

    def use_deltas(self) -> None:
        """Have earlier bodies kept from now on; asked for once."""
        if not self._keeps_bases:
            self._keeps_bases = True
            self.ask(KeepBases(), lambda _: None)

    def report(
        self,
        collection: int,
        pushed: bool,
        doc_id: str,
        deleted: bool,
        error: SetteeError | None,
        *,
        access_removed: bool = False,
    ) -> None:
        """Report one document that was replicated or failed to be."""
        if error is not None:
            self._failed += 1
        documents = self._reports.setdefault((collection, pushed), [])
        documents.append(DocumentReplicated(doc_id, deleted, error, access_removed))

    def counted_push(self, count: int, body_bytes: int) -> None:
        """Count documents sent and confirmed."""
        self._pushed += count
        self._bytes_pushed += body_bytes

    def counted_pull(self, count: int, body_bytes: int) -> None:
        """Count documents received and stored."""
        self._pulled += count
        self._bytes_pulled += body_bytes

    def counted_blob(self, sent: int, received: int) -> None:
        """Count bytes of blobs."""
        self._bytes_pushed += sent
        self._bytes_pulled += received

    def held_back(self) -> None:
        """Note that a document can't be replicated for the time being, but perhaps later."""
        self._patience.held_back(self._now)

    def newer_here(
        self, wire: int, doc_id: str | None = None, then: Callable[[], None] | None = None
    ) -> None:
        """Note that what was pulled is not what we have now: a conflict was resolved, or it is old.

        `doc_id`: the document, if what we have is not new in the feed. `then` is called when it has
        been offered, if that is to be done at all.
        """
        pusher = self.pushers.get(wire)
        if pusher is None:
            if then is not None:
                then()
        elif doc_id is not None:
            pusher.offer_again(doc_id, then)
        elif isinstance(pusher, ActivePusher):
            pusher.read_on()

    def end(self, error: SetteeError, *, close_code: int | None = None) -> None:
        """End the session because of `error`."""
        if self._finished:
            return
        if isinstance(error, SyncError):
            transient, reason = error.transient, str(error)
        else:  # Trouble of our own: the peer should come back if it is told 503, and not see paths.
            _, status, reason = status_of_error(error)
            transient = status == 503
        if close_code is None:
            close_code = TRANSIENT_CLOSE if transient else PERMANENT_CLOSE
        self._finish(close_code, reason[:100], error)

    # --- messages ---------------------------------------------------------------------------------

    def _replied(self, reply: Reply) -> None:
        token = reply.token
        if type(token) is RevSent:
            token.pusher.rev_refused(token, reply)
        elif type(token) is BlobFetch:
            self.blobs.answered(token, reply)
        else:
            self._patience.answered(token)
            assert callable(token)
            token(reply)

    def has_all_before(self, number: int) -> bool:
        """Whether all requests that the peer began before this one have arrived completely."""
        return self._arrived.first_missing() >= number

    def _requested(self, request: Request) -> None:
        self._arrived.add(request.number)
        try:
            self._route(request)
        except SetteeError as error:
            self.ignore(request, error)

    def ignore(self, request: Request, error: SetteeError) -> None:
        """Refuse a bad message, if it wants an answer: it is its sender's loss, the rest goes on.

        `error` tells what is bad about it.
        """
        if not request.no_reply:
            self.refuse_request(request.number, error)
            return
        self.ignored_count += 1
        if self.ignored_count <= LOGGED_PER_SESSION_MAX:
            profile = printable(request.properties.get("Profile", ""), 40)
            _log.warning("ignored a bad %s: %s", profile, error)

    def _revs_came(self, requests: list[Request]) -> None:
        """Hand revisions to the pullers of their collections."""
        self._arrived.add_all([request.number for request in requests])
        collections: dict[str | None, list[Request]] = {}
        for request in requests:
            collections.setdefault(request.properties.get("collection"), []).append(request)
        for mine in collections.values():
            try:
                puller = self._puller_for(mine[0])
            except SetteeError as error:
                for request in mine:
                    self.ignore(request, error)
            else:
                puller.revs(mine)

    def _route(self, request: Request) -> None:
        properties = request.properties
        profile = properties.get("Profile", "")
        if profile == "changes":
            self._puller_for(request).announced(request)
        elif profile == "proposeChanges":
            self._puller_for(request).proposed(request)
        elif profile == "norev":
            self._puller_for(request).norev(request)
        elif request.no_reply:  # The rest are questions.
            raise PeerProtocolError("it wants no reply")
        elif profile == "getAttachment":
            self.index_of(request)
            self.blobs.get_attachment(request)
        elif profile == "proveAttachment":
            self.index_of(request)
            self.blobs.prove_attachment(request)
        elif not self.config.active and self._passive.handles(profile):
            self._passive.handle(profile, request)
        else:
            raise PeerProtocolError("no handler for message", domain="BLIP", code=404)

    def index_of(self, request: Request) -> int:
        """Return which collection a message is about."""
        text = request.properties.get("collection")
        if self.with_collections is None and not self.config.active:
            self._passive.begin_legacy(text)
        if not self.with_collections:
            if text is not None:
                raise PeerProtocolError("inappropriate use of the collection property.")
            return 0
        if text is None:
            raise PeerProtocolError("inappropriate use of the collection property.")
        index = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else -1
        if not 0 <= index < self._passive.count():
            raise PeerProtocolError("the collection property is out of range.")
        return index

    def _puller_for(self, request: Request) -> Puller:
        index = self.index_of(request)
        puller = self.pullers.get(index)
        if puller is None:
            if self.config.active and self.config.pull:
                raise PeerProtocolError("this collection is not being pulled yet")
            raise PeerProtocolError(
                "Attempting to push to a pull-only replicator"
                if not self.config.active
                else "Attempting to pull from a push-only replicator",
                code=403,
            )
        return puller

    # --- going on ---------------------------------------------------------------------------------

    def _read_blobs_on(self) -> None:
        for event in self.connection.events():
            if type(event) is StreamWanted:
                self.blobs.wanted(event.stream, event.bytes_wanted)
            else:
                self.blobs.sent(event.stream)

    def _pump(self) -> None:
        if self._finished:
            return
        if self.connection.replies_waiting_bytes > REPLIES_WAITING_BYTES_MAX:
            error = PeerProtocolError("the peer asks and does not read the answers")
            self.end(error, close_code=1008)
            return
        self._read_blobs_on()
        if self._stopping_until_s is None:
            for puller in self.pullers.values():
                puller.pump()
            for pusher in self.pushers.values():
                pusher.pump()
            self.blobs.pump()
        if self.config.active:
            self._look_for_end()
        elif self._stopping_until_s is not None:
            self._finish(1000, "", None)
        else:
            self._become(Activity.IDLE if self._is_quiet() else Activity.BUSY)

    def _is_quiet(self) -> bool:
        """Whether nothing is under way in either direction."""
        return (
            not self._patience.expects_answers
            and all(p.is_idle for p in self.pullers.values())
            and all(p.is_idle for p in self.pushers.values())
            and self.blobs.is_idle
        )

    def _look_for_end(self) -> None:
        if self._stopping_until_s is not None:
            if self._saved_all():
                self._finish(1000, "", None)
            return
        done = (
            bool(self.pushers or self.pullers)
            and self._is_quiet()
            and all(p.is_caught_up for p in self.pullers.values())
        )
        if not done:
            for checkpointer in self.checkpointers.values():
                checkpointer.touched(self._now)
            self._become(Activity.BUSY)
            return
        if not self._saved_all():
            return
        if self.config.continuous:
            self._become(Activity.IDLE)
        elif not self._asked:
            self._finish(1000, "", None)

    def _saved_all(self) -> bool:
        """Whether all checkpoints are saved; starts to save those that are not."""
        if not (self.pushers or self.pullers):
            return True
        for checkpointer in self.checkpointers.values():
            checkpointer.save(self._now)
        return not any(c.is_saving or c.is_dirty for c in self.checkpointers.values())

    def _become(self, activity: Activity) -> None:
        if activity is not self._activity:
            self._activity = activity
            self._patience.heard(self._now)
            self._events.append(ActivityChanged(activity=activity))

    def _finish(self, code: int, reason: str, error: SetteeError | None) -> None:
        if self._finished:
            return
        self._finished = True
        self._activity = Activity.STOPPED
        self._events.append(Finished(close_code=code, close_reason=reason, error=error))


def _tell_stored(stored: list[RevSent]) -> None:
    """Tell pushers that the peer has stored what they sent, each of all that is its own."""
    pushers: dict[Pusher, list[RevSent]] = {}
    for sent in stored:
        pushers.setdefault(sent.pusher, []).append(sent)
    for pusher, mine in pushers.items():
        pusher.revs_stored(mine)
