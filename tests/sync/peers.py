"""The world outside the room: a tiny storage that is real, a peer that says what a test makes up.

`MemoryStorage` answers every effect faithfully, by the decisions of `settee.doc.conflict`. `Driven`
is a session with its storage; `Two` joins two of them; `ScriptedPeer` is a raw connection on the
other end of one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from settee.blip.connection import Connection
from settee.blip.message import Reply, ReplyPart, Request
from settee.doc import conflict, revision
from settee.doc.blob import Prover, find_blobs
from settee.doc.conflict import Relation, State
from settee.doc.records import (
    DELETED,
    HAS_BLOBS,
    Applied,
    ChangeRow,
    ChangesPage,
    ConflictPolicy,
    Held,
    Outcome,
    RevisionIn,
    RevisionOut,
)
from settee.doc.version import RTE, Vector, Version, format_vector, parse_vector
from settee.errors import InvalidDocumentError, NotFoundError, SetteeError, StoreError
from settee.ids import CollectionName, digest_text
from settee.sync import effects as asks
from settee.sync.events import Activity, ActivityChanged, DocumentsReplicated, Event, Finished
from settee.sync.options import SessionConfig
from settee.sync.session import Session

DEFAULT = CollectionName("_default", "_default")
ITEMS = CollectionName("shop", "items")
ORDERS = CollectionName("shop", "orders")

TIME_BEGIN = 2**60


def digest_of(data: bytes) -> str:
    return digest_text(hashlib.sha1(data, usedforsecurity=False).digest())


def blob_of(data: bytes, **more: object) -> dict[str, object]:
    return {"@type": "blob", "digest": digest_of(data), "length": len(data), **more}


class Doc(NamedTuple):
    state: State
    seq: int
    body: bytes
    blobs: tuple[str, ...]


class MemoryStorage:
    """One database in dicts. A passive peer's keeps no marks, as the real one's."""

    def __init__(self, letter: str, *, collections: int = 1, marks: bool = True) -> None:
        self.docs: list[dict[str, Doc]] = [{} for _ in range(collections)]
        self.last_seq = [0] * collections
        self.marks: dict[tuple[int, str], str] = {}
        self.own: dict[str, bytes] = {}
        self.peers: dict[str, tuple[str, bytes]] = {}
        self.blobs: dict[str, bytes] = {}
        self.staged: dict[str, bytes] = {}
        self.kept: set[str] = set()
        """Blobs that nobody may remove, for a session relies on them."""
        self.writing: dict[str, bytearray] = {}
        self.bodies: dict[tuple[int, str, str], bytes] = {}
        self.time_max = 2**62
        self.may_push: Callable[[str], bool] = lambda _: True
        self.may_pull: Callable[[RevisionIn], bool | str] = lambda _: True
        self.fail: Callable[[asks.Effect], SetteeError | None] = lambda _: None
        self._keeps_marks = marks
        self._source = letter * 21 + "A"
        self._time = TIME_BEGIN + (ord(letter) << 8)

    # --- what an application does ---

    def _version(self) -> Version:
        self._time += 2**16
        return Version(self._time, self._source)

    def _put(self, c: int, doc_id: str, state: State, body: bytes, blobs: tuple[str, ...]) -> Doc:
        self.last_seq[c] += 1
        doc = Doc(state, self.last_seq[c], body, blobs)
        self.docs[c].pop(doc_id, None)
        self.docs[c][doc_id] = doc
        self.bodies[c, doc_id, state.tid] = body
        return doc

    def save(self, doc_id: str, body: Mapping[str, object] | None, c: int = 0) -> str:
        """Save a document, or delete it with None; return its tree name."""
        old = self.docs[c].get(doc_id)
        state = conflict.saved(old.state if old else None, self._version(), body is None)
        text = orjson.dumps({} if body is None else body)
        blobs = tuple(r.digest for r in find_blobs(body or {}))
        self._put(c, doc_id, state, text, blobs)
        return state.tid

    def fill(self, count: int, c: int = 0, prefix: str = "doc") -> None:
        for n in range(count):
            self.save(f"{prefix}{n:05}", {"n": n}, c)

    def attach(self, data: bytes) -> dict[str, object]:
        self.blobs[digest_of(data)] = data
        return blob_of(data)

    def purge(self, doc_id: str, c: int = 0) -> None:
        del self.docs[c][doc_id]

    def contents(self, c: int = 0) -> dict[str, bytes | None]:
        return {
            doc_id: None if doc.state.deleted else doc.body
            for doc_id, doc in sorted(self.docs[c].items())
        }

    # --- effects ---

    def run(self, effect: asks.Effect) -> Any:
        """Carry an effect out and return its answer, or raise what went wrong."""
        error = self.fail(effect)
        if error is not None:
            raise error
        return getattr(self, f"_{type(effect).__name__}")(*effect)

    def _ReadOwnCheckpoints(self, ids: tuple[str, ...]) -> object:
        return [self.own.get(id_) for id_ in ids]

    def _SaveOwnCheckpoint(self, id_: str, body: bytes) -> None:
        self.own[id_] = body

    def _ReadPeerCheckpoints(self, ids: tuple[str, ...]) -> object:
        return [self.peers.get(id_) for id_ in ids]

    def _SavePeerCheckpoint(self, id_: str, rev: str, body: bytes) -> str | None:
        stored = self.peers.get(id_, ("", b""))[0]
        if rev != stored:
            return None
        new = f"{int(stored.partition('-')[0] or 0) + 1}-cc"
        self.peers[id_] = new, body
        return new

    def _ReadChanges(
        self, c: int, since: int, limit: int, doc_ids: frozenset[str] | None, active_only: bool
    ) -> ChangesPage:
        assert since < 2**63, "no integer of SQLite's"
        rows = []
        for doc_id, doc in self.docs[c].items():  # In the order of sequences.
            if doc.seq <= since or (doc_ids is not None and doc_id not in doc_ids):
                continue
            if active_only and doc.state.deleted:
                continue
            flags = DELETED * doc.state.deleted | HAS_BLOBS * bool(doc.blobs)
            mark = self.marks.get((c, doc_id), "")
            rows.append(ChangeRow(doc.seq, doc_id, doc.state.tid, flags, len(doc.body), mark))
            if len(rows) == limit:
                break
        return ChangesPage(rows, self.last_seq[c])

    def _ReadRevisions(
        self, c: int, doc_ids: list[str], bases: Sequence[Sequence[str]] = ()
    ) -> list[RevisionOut | None]:
        result: list[RevisionOut | None] = []
        for n, doc_id in enumerate(doc_ids):
            doc = self.docs[c].get(doc_id)
            if doc is None:
                result.append(None)
                continue
            s = doc.state
            out = RevisionOut(
                doc_id,
                doc.seq,
                s.tid,
                ",".join(s.history),
                s.deleted,
                format_vector(s.vector),
                doc.body,
            )
            for base in bases[n] if bases else ():
                body = self._body(c, doc_id, base)
                if body is not None:
                    out = out._replace(base=base, base_body=body)
                    break
            result.append(out)
        return result

    def _ReadBases(self, c: int, wanted: list[tuple[str, str]]) -> list[bytes | None]:
        return [self._body(c, doc_id, tid) for doc_id, tid in wanted]

    def _body(self, c: int, doc_id: str, tid: str) -> bytes | None:
        if (c, doc_id, tid) in self.bodies or tid == "":
            return self.bodies.get((c, doc_id, tid))
        version = revision.version_of(tid)
        for (kept_c, kept_id, kept), body in self.bodies.items():
            if (kept_c, kept_id) == (c, doc_id) and revision.version_of(kept) == version:
                return body
        return None

    def _KeepBases(self) -> None:
        pass  # They are always kept here.

    def _FilterPush(self, c: int, doc_ids: list[str]) -> list[bool]:
        return [self.may_push(doc_id) for doc_id in doc_ids]

    def _FilterPull(self, c: int, revisions: list[RevisionIn]) -> list[bool | str]:
        return [self.may_pull(item) for item in revisions]

    def _PurgeDocuments(self, c: int, doc_ids: list[str]) -> list[bool]:
        return [self.docs[c].pop(doc_id, None) is not None for doc_id in doc_ids]

    def _ResolveConflicts(self, c: int, revisions: list[RevisionIn]) -> list[Applied]:
        return [self._apply(c, item, ConflictPolicy.RESOLVE) for item in revisions]

    def _ReadHeld(self, c: int, doc_ids: list[str]) -> list[Held | None]:
        result: list[Held | None] = []
        for doc_id in doc_ids:
            doc = self.docs[c].get(doc_id)
            if doc is None:
                result.append(None)
                continue
            s = doc.state
            names = ",".join(s.aka), ",".join(s.history)
            mark = self.marks.get((c, doc_id), "")
            result.append(Held(s.tid, s.deleted, format_vector(s.vector), *names, mark, doc.seq))
        return result

    def _SaveRevisions(
        self, c: int, revisions: list[RevisionIn], policy: ConflictPolicy
    ) -> list[Applied]:
        for item in revisions:
            for digest in item.blobs:
                if digest in self.staged:
                    self.blobs[digest] = self.staged.pop(digest)
                assert digest in self.blobs, "a row finds its blobs"
                assert digest in self.kept, "nobody may remove a blob before its row is there"
        return [self._apply(c, item, policy) for item in revisions]

    def _RecordMarks(self, c: int, marks: list[tuple[str, str]]) -> None:
        for doc_id, tid in marks:
            self._mark(c, doc_id, tid)

    def _mark(self, c: int, doc_id: str, tid: str) -> None:
        if self._keeps_marks and doc_id in self.docs[c]:
            self.marks[c, doc_id] = tid

    def _apply(self, c: int, item: RevisionIn, policy: ConflictPolicy) -> Applied:
        doc = self.docs[c].get(item.doc_id)
        state = None if doc is None else doc.state
        seq, tid = (0, "") if doc is None else (doc.seq, doc.state.tid)
        if item.over is not None and item.over != tid:
            return Applied(Outcome.CHANGED, seq, tid)
        if doc is None and not item.tid:
            item = item._replace(tid=revision.first_name(item.vector))
        history = tuple(item.history.split(",")) if item.history else ()
        try:
            told = parse_vector(item.vector) if item.vector else None
            if not revision.check_history(item.tid, history, contiguous=told is None):
                return Applied(Outcome.MALFORMED, seq, tid)
            if state is not None and told is not None:
                told = conflict.decoded(state, told)
            said = told or conflict.claims(item.tid, history)
        except InvalidDocumentError:
            return Applied(Outcome.MALFORMED, seq, tid)
        times = [v.time for v in (said.cv, *said.mv, *said.pv) if v.source != RTE]
        if max(times, default=0) > self.time_max:
            return Applied(Outcome.AHEAD, seq, tid)
        self._time = max(self._time, *times, 0)
        applied = self._decide(c, item, doc, state, history, told, policy)
        if applied.outcome is not Outcome.CONFLICT:
            same = applied.tid and revision.version_of(applied.tid) == said.cv
            heard = applied.tid if same else revision.name(1, said.cv)
            self._mark(c, item.doc_id, item.tid or heard)
        return applied

    def _decide(
        self,
        c: int,
        item: RevisionIn,
        doc: Doc | None,
        state: State | None,
        history: tuple[str, ...],
        told: Vector | None,
        policy: ConflictPolicy,
    ) -> Applied:
        relation = conflict.relate(state, item.tid, history, told)
        outcome = Outcome.STORED
        body, blobs = item.body, item.blobs
        if doc is not None and state is not None:
            if relation in (Relation.SAME, Relation.OLD):
                learned = self._learned(state, item.tid, told) or state
                self.docs[c][item.doc_id] = doc._replace(state=learned)
                outcome = Outcome.SAME if relation is Relation.SAME else Outcome.OLD
                return Applied(outcome, doc.seq, learned.tid)
            root = not history and (told is None or not (told.mv or told.pv))
            reborn = state.deleted and root and policy is ConflictPolicy.REFUSE
            if relation is not Relation.NEWER and not reborn:
                mutual = relation is Relation.MUTUAL and policy is ConflictPolicy.REFUSE
                if policy is not ConflictPolicy.RESOLVE and not mutual:
                    refused = policy is ConflictPolicy.REFUSE
                    outcome = Outcome.REFUSED if refused else Outcome.CONFLICT
                    return Applied(outcome, doc.seq, state.tid)
                resolution = conflict.resolve(
                    state,
                    body == doc.body,
                    item.tid,
                    history,
                    told,
                    item.deleted,
                    self._version,
                )
                if resolution.body == "mine":
                    body, blobs = doc.body, doc.blobs
                stored = self._put(c, item.doc_id, resolution.state, body, blobs)
                return Applied(Outcome.RESOLVED, stored.seq, stored.state.tid)
        adopted = conflict.adopt(state, item.tid, history, told, item.deleted)
        stored = self._put(c, item.doc_id, adopted, body, blobs)
        return Applied(outcome, stored.seq, stored.state.tid)

    def _learned(self, state: State, tid: str, told: Vector | None) -> State | None:
        if told is not None and told.cv == state.vector.cv:
            return conflict.learn(state, tid or revision.name(1, told.cv), told)
        return conflict.learn(state, tid) if tid else None

    def _LearnNames(self, c: int, names: list[tuple[str, str]], renumber: bool) -> None:
        for doc_id, tid in names:
            doc = self.docs[c].get(doc_id)
            if doc is None:
                continue
            state = conflict.learn(doc.state, tid) or doc.state
            if renumber:
                self._put(c, doc_id, state, doc.body, doc.blobs)
            else:
                self.docs[c][doc_id] = doc._replace(state=state)
            self._mark(c, doc_id, tid)

    def _Renew(self, c: int, doc_id: str, tid: str) -> None:
        doc = self.docs[c].get(doc_id)
        if doc is not None and revision.version_of(doc.state.tid) == revision.version_of(tid):
            state = conflict.saved(doc.state, self._version(), doc.state.deleted)
            self._put(c, doc_id, state, doc.body, doc.blobs)

    def _FindMissingBlobs(self, digests: list[str]) -> list[str]:
        self.kept.update(digests)
        return [digest for digest in digests if digest not in self.blobs]

    def _ReleaseBlobs(self, digests: list[str]) -> None:
        for digest in digests:
            self.kept.remove(digest)
            self.staged.pop(digest, None)

    def _OpenBlob(self, digest: str, size: int) -> tuple[int, bytes] | None:
        data = self.blobs.get(digest)
        return None if data is None else (len(data), data[:size])

    def _ReadBlob(self, digest: str, offset: int, size: int) -> bytes:
        if digest not in self.blobs:
            raise NotFoundError("the blob is gone")
        return self.blobs[digest][offset : offset + size]

    def _WriteBlob(
        self, digest: str, data: bytes, first: bool, last: bool, length: int | None
    ) -> None:
        if first:
            self.writing[digest] = bytearray()
        self.writing[digest] += data
        if last:
            whole = bytes(self.writing.pop(digest))
            if digest_of(whole) != digest or length not in (None, len(whole)):
                raise InvalidDocumentError("the blob that came is another; it was not stored")
            self.staged[digest] = whole

    def _ProveBlob(self, digest: str, nonce: bytes) -> str | None:
        data = self.blobs.get(digest)
        return None if data is None else Prover(nonce).update(data).finish()


def active(
    *collections: CollectionName, push: bool = True, pull: bool = True, **more: Any
) -> SessionConfig:
    names = collections or (DEFAULT,)
    more.setdefault("level", 4 if more.get("peer_is_settee") else 3)
    ids = tuple(f"cp-{name.path}" for name in names)
    return SessionConfig(
        active=True, collections=names, checkpoint_ids=ids, push=push, pull=pull, **more
    )


def passive(*collections: CollectionName, **more: Any) -> SessionConfig:
    more.setdefault("level", 4 if more.get("peer_is_settee") else 3)
    return SessionConfig(active=False, collections=collections or (DEFAULT,), **more)


class Driven:
    """A session with its storage and a clock that stands still unless told."""

    def __init__(self, config: SessionConfig, storage: MemoryStorage) -> None:
        self.now = 0.0
        self.session = Session(config, now=self.now)
        self.storage = storage
        self.asked: list[asks.Effect] = []
        self.documents: list[DocumentsReplicated] = []
        self.activities: list[Activity] = []
        self.finished: Finished | None = None
        self.delayed: set[type] = set()
        """Effects that are carried out at once and whose answer waits for `release`."""
        self.waiting: list[tuple[int, Any]] = []
        self.revs_out_max = self.rev_bytes_out_max = 0

    def start(self) -> None:
        self.session.start(self.now)

    @property
    def error(self) -> SetteeError | None:
        return None if self.finished is None else self.finished.error

    def count(self, kind: type) -> int:
        return sum(type(effect) is kind for effect in self.asked)

    def changed(self, *collections: int) -> None:
        self.session.local_changed(collections or (0,), self.now)

    def save(self, doc_id: str, body: Mapping[str, object] | None, c: int = 0) -> str:
        tid = self.storage.save(doc_id, body, c)
        self.changed(c)
        return tid

    def listened(self) -> bool:
        """Let the time pass in which a passive peer listens before it speaks, if it does now."""
        deadlines = [pusher.deadline() for pusher in self.session.pushers.values()]
        until = max((d for d in deadlines if d is not None), default=None)
        if until is None or self.finished is not None:
            return False
        self.elapse(until - self.now)
        return True

    def elapse(self, seconds: float) -> None:
        self.now += seconds
        self.session.handle_timer(self.now)
        self._look()

    def work(self) -> bool:
        """Carry out effects until there are none; tell whether there were any."""
        session, worked = self.session, False
        while effects := session.effects():
            worked = True
            for ticket, effect in effects:
                self.asked.append(effect)
                before = self.storage.last_seq[:]
                try:
                    result = self.storage.run(effect)
                except SetteeError as error:
                    result = error
                if self.storage.last_seq != before:  # The store tells of every commit.
                    self.session.local_changed(range(len(before)), self.now)
                if type(effect) in self.delayed:
                    self.waiting.append((ticket, result))
                else:
                    self._answer(ticket, result)
        self._look()
        return worked

    def release(self) -> None:
        waiting, self.waiting = self.waiting, []
        for ticket, result in waiting:
            self._answer(ticket, result)

    def _answer(self, ticket: int, result: Any) -> None:
        if isinstance(result, SetteeError):
            result = asks.Failed(result)
        self.session.answer([(ticket, result)], self.now)
        self._look()

    def _look(self) -> None:
        session = self.session
        self.revs_out_max = max(self.revs_out_max, session.revs_out)
        self.rev_bytes_out_max = max(self.rev_bytes_out_max, session.rev_bytes_out)
        assert session.revs_out >= 0
        assert session.rev_bytes_out >= 0
        assert session.inbound_bytes >= 0
        for event in session.events():
            self._happened(event)

    def _happened(self, event: Event) -> None:
        assert self.finished is None, "nothing follows the end"
        if isinstance(event, Finished):
            self.finished = event
        elif isinstance(event, ActivityChanged):
            self.activities.append(event.activity)
        else:
            self.documents.append(event)

    @property
    def failures(self) -> list[tuple[str, SetteeError]]:
        return [
            (document.doc_id, document.error)
            for event in self.documents
            for document in event.documents
            if document.error is not None
        ]


class Two:
    """An active and a passive session, back to back; what they say is kept."""

    def __init__(self, a: Driven, b: Driven) -> None:
        self.a, self.b = a, b
        self.frames = 0
        self.stops_at: int | None = None
        """The frame at which the link breaks."""

    def step(self) -> bool:
        moved = self.a.work() | self.b.work()
        for sender, receiver in ((self.a, self.b), (self.b, self.a)):
            frames = sender.session.frames_to_send(65536)
            if self.stops_at is not None:
                frames = frames[: max(0, self.stops_at - self.frames)]
            self.frames += len(frames)
            if frames:
                moved = True
                receiver.session.receive(frames, receiver.now)
                receiver._look()
        moved |= self.a.work() | self.b.work()
        return moved

    def run(self, until: Callable[[], bool] = lambda: False) -> Two:
        for _ in range(100_000):
            moved = self.step()
            if until() or not (moved or self.b.listened()):
                return self
        raise AssertionError("the two never fall silent")


def sync(
    left: MemoryStorage, right: MemoryStorage, *collections: CollectionName, **more: Any
) -> Two:
    """Replicate once, one shot, and see that it ends well."""
    serve = {k: more.pop(k) for k in ("serve",) if k in more}.get("serve", {})
    settee = more.get("peer_is_settee", False)
    a = Driven(active(*collections, **more), left)
    level = more.get("level", 4 if settee else 3)
    b = Driven(passive(*collections, peer_is_settee=settee, level=level, **serve), right)
    two = Two(a, b)
    a.start()
    two.run()
    assert a.finished is not None, "it never ends"
    return two


class ScriptedPeer:
    """The raw other end of a session under test."""

    def __init__(self, driven: Driven) -> None:
        self.driven = driven
        self.connection = Connection()
        self.requests: list[Request] = []
        """What the session asked and `take` did not return yet."""
        self.replies: dict[int, Reply] = {}
        self.blobs: dict[int, bytes] = {}
        self._tokens = 0
        self.patient = True
        """Whether to let the time pass in which the session listens before it speaks."""
        self.answering: dict[str, Callable[[Request], None]] = {}

    def run(self) -> ScriptedPeer:
        session, connection = self.driven.session, self.connection
        for _ in range(100_000):
            moved = self.driven.work()
            frames = session.frames_to_send(65536)
            for message in connection.receive(frames):
                self._came(message)
            back = connection.frames_to_send(65536)
            if back:
                session.receive(back, self.driven.now)
            moved |= self.driven.work()
            if not (frames or back or moved or (self.patient and self.driven.listened())):
                return self
        raise AssertionError("it never falls silent")

    def _came(self, message: Request | Reply | ReplyPart) -> None:
        if isinstance(message, Request):
            handler = self.answering.get(message.properties.get("Profile", ""))
            if handler is not None:
                handler(message)
            else:
                self.requests.append(message)
        elif isinstance(message, Reply):
            assert isinstance(message.token, int)
            self.replies[message.token] = message
        else:
            assert isinstance(message.token, int)
            self.blobs[message.token] = self.blobs.get(message.token, b"") + message.data
            self.connection.consumed(message.token, len(message.data))

    def send(
        self,
        profile: str,
        body: object = b"",
        *,
        no_reply: bool = False,
        stream: bool = False,
        **properties: str,
    ) -> int:
        """Send a request; `body` is bytes or a value to be written as JSON."""
        self._tokens += 1
        self.connection.send_request(
            self._tokens,
            {"Profile": profile, **properties},
            body if isinstance(body, bytes) else orjson.dumps(body),
            no_reply=no_reply,
            stream_reply=stream,
            compress=True,
        )
        return self._tokens

    def ask(self, profile: str, body: object = b"", **more: Any) -> Reply:
        """Send a request, run, and return the reply, which must have come."""
        token = self.send(profile, body, **more)
        self.run()
        assert token in self.replies, f"no reply to {profile}"
        return self.replies.pop(token)

    def take(self, profile: str) -> Request:
        """Return the oldest request of this profile."""
        for i, request in enumerate(self.requests):
            if request.properties["Profile"] == profile:
                return self.requests.pop(i)
        raise AssertionError(f"no {profile} came, but {self.requests}")

    def take_all(self, profile: str) -> list[Request]:
        taken = [r for r in self.requests if r.properties["Profile"] == profile]
        self.requests = [r for r in self.requests if r.properties["Profile"] != profile]
        return taken

    def reply(self, request: Request, body: object = b"", **properties: str) -> None:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        self.connection.reply(request.number, properties, data)

    def refuse(self, request: Request, code: int, domain: str = "HTTP", text: str = "") -> None:
        self.connection.reply_error(request.number, domain, code, text)

    def stream(self, request: Request, pieces: Iterable[bytes]) -> None:
        """Answer in pieces, whole."""
        handle = self.connection.reply_stream(request.number)
        pieces = list(pieces)
        for i, piece in enumerate(pieces):
            self.connection.stream_write(handle, piece, last=i == len(pieces) - 1)


def error_of(reply: Reply) -> tuple[str, int]:
    assert reply.error, f"no error: {reply}"
    return reply.properties["Error-Domain"], int(reply.properties["Error-Code"])


def opened(driven: Driven, rev: str = "", body: bytes = b"") -> ScriptedPeer:
    """Play the passive peer of a legacy session up to its checkpoint's answer."""
    peer = ScriptedPeer(driven)
    driven.start()
    peer.run()
    request = peer.take("getCheckpoint")
    if rev:
        peer.reply(request, body, rev=rev)
    else:
        peer.refuse(request, 404)
    peer.run()
    return peer


def disk_fails_at(storage: MemoryStorage, nth: int) -> StoreError:
    """Let the n-th effect from now on (1 is the next) fail."""
    error = StoreError("the disk failed")
    left = [nth]

    def fail(_: asks.Effect) -> SetteeError | None:
        left[0] -= 1
        return error if left[0] == 0 else None

    storage.fail = fail
    return error


def pushing(storage: MemoryStorage | None = None, **more: Any) -> tuple[Driven, ScriptedPeer]:
    """Play the passive peer of a session that pushes, up to its first proposals."""
    more.setdefault("pull", False)
    driven = Driven(active(**more), storage or MemoryStorage("a"))
    peer = opened(driven)
    for request in peer.take_all("subChanges"):
        peer.reply(request)
        peer.send("changes", [], no_reply=True)
        peer.run()
    return driven, peer


def saved_checkpoint(peer: ScriptedPeer) -> dict[str, Any]:
    """Take the final setCheckpoint and let the session end."""
    request = peer.take("setCheckpoint")
    peer.reply(request, rev="1-cc")
    peer.run()
    value: dict[str, Any] = orjson.loads(request.body)
    return value


def rows_of(peer: ScriptedPeer) -> list[list[Any]]:
    """Accept everything that is proposed; return the rows."""
    rows: list[list[Any]] = []
    for request in peer.take_all("proposeChanges"):
        if not request.no_reply:
            rows += orjson.loads(request.body)
            peer.reply(request, [])
    peer.run()
    return rows
