"""The checkpoint of one collection: how far an active peer has pushed and pulled.

Room: pure protocol.
Touches: settee.errors, settee.ids, settee.limits, settee.sync.{effects, messages, sequences}.
Never touches: sockets, files, the wall clock, randomness.
Spec: wire protocol 4.

The active peer owns it and keeps one copy, the passive peer another. A checkpoint is trusted only
as far as both copies agree, so a peer that was restored or erased is read again, never skipped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import orjson

from settee.blip.message import Reply
from settee.errors import PeerProtocolError, SetteeError, SyncError
from settee.ids import CollectionName
from settee.limits import (
    CHECKPOINT_BODY_BYTES_MAX,
    CHECKPOINT_INTERVAL_S,
    CHECKPOINT_RANGES_MAX,
    REVISION_ID_BYTES_MAX,
)
from settee.sync.effects import SaveOwnCheckpoint
from settee.sync.messages import error_of_reply, sequence_text
from settee.sync.sequences import RemoteSequences, SequenceSet

if TYPE_CHECKING:
    from settee.sync.session import Session

__all__ = ["Checkpointer", "checkpoint_id", "combine", "read_body", "write_body"]


def checkpoint_id(
    *,
    database: str,
    remote: str,
    collection: CollectionName,
    filters: Sequence[object] = (),
) -> str:
    """Return the ID under which both peers keep a checkpoint.

    It names this database, the remote by what it is (certificate and database, not address), the
    collection and the filters; change one of them and replication starts anew. Directions are not
    part of it: the body keeps each by itself, so a pull after a push goes on where both stand.
    """
    text = orjson.dumps([database, remote, collection.scope, collection.name, list(filters)])
    return "cp-" + base64.b64encode(hashlib.sha1(text, usedforsecurity=False).digest()).decode()


def read_body(body: bytes | None) -> tuple[SequenceSet, str]:
    """Return the completed local sequences and the remote one; a body that is junk is empty."""
    try:
        value = orjson.loads(body) if body and len(body) <= CHECKPOINT_BODY_BYTES_MAX else {}
    except orjson.JSONDecodeError:
        value = {}
    if not isinstance(value, dict):
        value = {}
    completed = SequenceSet()
    ranges = value.get("localCompleted")
    local = value.get("local")
    if (
        isinstance(ranges, list)
        and len(ranges) % 2 == 0
        and all(type(n) is int and 0 <= n < 2**63 for n in ranges)
    ):
        for start, length in zip(ranges[::2], ranges[1::2], strict=True):
            completed.add_range(start, start + length)
    elif type(local) is int and 0 < local < 2**63:
        completed.add_range(0, local + 1)
    remote = value.get("remote")
    try:
        return completed, "" if remote is None else sequence_text(remote)
    except PeerProtocolError:  # Nothing that we wrote: its pull restarts.
        return completed, ""


def read_began(body: bytes | None) -> int:
    """Return when the past began that a body tells of (see `Checkpointer`); 0 if it doesn't say."""
    try:
        value = orjson.loads(body) if body and len(body) <= CHECKPOINT_BODY_BYTES_MAX else {}
    except orjson.JSONDecodeError:
        return 0
    began = value.get("began") if isinstance(value, dict) else None
    return began if type(began) is int else 0


def write_body(completed: SequenceSet, remote: str, *, time_s: int, began_us: int = 0) -> bytes:
    """Write the body that both peers store.

    Of very many ranges the first CHECKPOINT_RANGES_MAX are written; what lies beyond is compared
    again next time.
    """
    value: dict[str, object] = {"time": time_s}
    if began_us:
        value["began"] = began_us
    local = completed.first_missing() - 1
    if local > 0:
        value["local"] = local
    ranges = completed.ranges()[:CHECKPOINT_RANGES_MAX]
    if len(ranges) > 1:
        value["localCompleted"] = [n for start, end in ranges for n in (start, end - start)]
    if remote:
        value["remote"] = orjson.Fragment(remote)
    return orjson.dumps(value)


def combine(own: bytes | None, peers: bytes | None) -> tuple[SequenceSet, str]:
    """Return what both copies agree on (the rule of Couchbase Lite 3.0 and later).

    Copies that tell of two pasts agree on nothing, whatever their numbers.
    """
    if own is None or peers is None or read_began(own) != read_began(peers):
        return SequenceSet(), ""
    if own == peers:
        return read_body(own)
    (completed, remote), (peer_completed, peer_remote) = read_body(own), read_body(peers)
    if remote != peer_remote:
        both_integers = remote.isdigit() and peer_remote.isdigit()
        remote = min(remote, peer_remote, key=int) if both_integers else ""
    return completed.intersect(peer_completed), remote


class Checkpointer:
    """Keeps and saves the checkpoint of one collection. Active side only.

    The passive peer's copy is saved first and ours after it, so ours is never ahead.

    Both say when they began to be kept side by side. Where one was lost, or is behind, both begin
    anew: or else a peer that was erased or put back, and a database that was put back to before
    that, would take numbers of two pasts for one (simulation, seeds 227 and 7271).
    """

    def __init__(self, session: Session, collection: int, id_: str) -> None:
        self._session = session
        self._collection = collection
        self.id = id_
        self.completed: SequenceSet = SequenceSet()
        self.remote: RemoteSequences = RemoteSequences()
        self._rev = ""
        self._began_us = 0
        self.begins_anew: bool = False
        """Whether the copies told of no common past: the peer may be as good as new."""
        self._own: bytes | None = None
        self._saved = self._state()  # Nothing: that needs no saving.
        self._saving = False
        self._dirty_since_s: float | None = None
        self._mismatches = 0

    # --- beginning --------------------------------------------------------------------------------

    def own_read(self, body: bytes | None) -> None:
        """Take our own copy (None if there is none)."""
        self._own = body

    @property
    def has_own(self) -> bool:
        """Whether we kept a copy from an earlier session."""
        return self._own is not None

    def agreed(self, rev: str, peers: bytes | None) -> None:
        """Take the peer's copy and start from what both agree on."""
        self._take_rev(rev)
        self.completed, since = combine(self._own, peers)
        self.remote = RemoteSequences(since)
        if self._own is None or peers is None or read_began(self._own) != read_began(peers):
            self._began_us = self._session.wall_us
            self.begins_anew = True
            return
        if read_body(self._own) == read_body(peers):
            self._began_us = read_began(self._own)
            self._saved = self._state()
        else:  # One of us was put back, it may be to where the other is going to be put back, too.
            self._began_us = self._session.wall_us

    def _take_rev(self, rev: str) -> None:
        if len(rev.encode()) > REVISION_ID_BYTES_MAX or "\x00" in rev:
            # It has to go back in a property.
            raise PeerProtocolError("the revision of a checkpoint is of no use")
        self._rev = rev

    def start_over(self) -> None:
        """Take no local sequence for done: they are those of another past of this database."""
        self.completed = SequenceSet()

    # --- progress ---------------------------------------------------------------------------------

    def _state(self) -> tuple[list[tuple[int, int]], str]:
        return self.completed.ranges(), self.remote.checkpoint()

    @property
    def is_dirty(self) -> bool:
        """Whether there is anything that the saved copies don't say."""
        return self._saved != self._state()

    @property
    def is_saving(self) -> bool:
        """Whether a save is under way."""
        return self._saving

    def touched(self, now: float) -> None:
        """Note that something may have changed: it is saved within CHECKPOINT_INTERVAL_S."""
        if self._dirty_since_s is None and self.is_dirty:
            self._dirty_since_s = now

    def deadline(self) -> float | None:
        """When `handle_timer` wants to be called."""
        if self._dirty_since_s is None or self._saving:
            return None
        return self._dirty_since_s + CHECKPOINT_INTERVAL_S

    def handle_timer(self, now: float) -> None:
        """Save if it is time to."""
        deadline = self.deadline()
        if deadline is not None and now >= deadline:
            self.save(now)

    # --- saving -----------------------------------------------------------------------------------

    def save(self, now: float) -> None:
        """Save if there is something to save and nothing is being saved."""
        if self._saving:
            return
        self._dirty_since_s = None
        if not self.is_dirty:
            return
        self._saving = True
        state = self._state()
        body = write_body(
            self.completed,
            state[1],
            time_s=self._session.wall_us // 1_000_000,
            began_us=self._began_us,
        )
        self._send(body, lambda: self._done(state))

    def _done(self, state: tuple[list[tuple[int, int]], str]) -> None:
        self._saving = False
        self._saved = state

    def _send(self, body: bytes, done: Callable[[], None]) -> None:
        def stored_here(_: object) -> None:
            self._own = body
            done()

        def answered(reply: Reply) -> None:
            if reply.error:
                self._refused(reply, body, done)
                return
            self._take_rev(reply.properties.get("rev", ""))
            self._mismatches = 0
            self._session.ask(SaveOwnCheckpoint(self.id, body), stored_here, self._failed)

        self._session.request(
            "setCheckpoint",
            self._collection,
            {"client": self.id, "rev": self._rev},
            body,
            answered,
            timed=True,
        )

    def _failed(self, error: SetteeError) -> None:
        self._saving = False
        self._session.end(error)

    def _refused(self, reply: Reply, body: bytes, done: Callable[[], None]) -> None:
        error = error_of_reply(reply, "to save the checkpoint")
        self._mismatches += 1
        if not (error.domain == "HTTP" and error.code in (404, 409)):
            self._failed(error)
            return
        if self._mismatches > 3:
            # Two sessions of this database write it in turn: one comes back when it is calmer.
            again = type(error)(str(error), domain="HTTP", code=error.code, transient=True)
            self._failed(again)
            return

        # Somebody else wrote it (a copy of this database, an earlier session): take its rev, keep
        # our own body.
        def fetched(answer: Reply) -> None:
            if answer.error:
                missing: SyncError = error_of_reply(answer, "to read the checkpoint")
                if not (missing.domain == "HTTP" and missing.code == 404):
                    self._failed(missing)
                    return
                self._rev = ""
            else:
                self._take_rev(answer.properties.get("rev", ""))
            self._send(body, done)

        self._session.request(
            "getCheckpoint", self._collection, {"client": self.id}, b"", fetched, timed=True
        )
