"""Carries out what a session asks of storage.

Reads go to the runtime's reader, blobs to its blob worker and from there to the one that makes them
durable, writes to the store's group commit; the answer comes back on the loop. Nothing here decides
anything: that is the session's business.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from settee.doc.blob import Prover
from settee.errors import ClosedError, NotFoundError, SetteeError, StoreError
from settee.limits import BASES_READ_BYTES_MAX, BLOB_CHUNK_BYTES
from settee.peer.hooks import Hooks
from settee.peer.runtime import Runtime, as_settee_error
from settee.store import Store, Writer, bases, checkpoints, feed, marks, revisions
from settee.store.blobs import BlobWriter, StagedBlob
from settee.sync.effects import (
    Effect,
    FilterPull,
    FilterPush,
    FindMissingBlobs,
    KeepBases,
    LearnNames,
    OpenBlob,
    ProveBlob,
    PurgeDocuments,
    ReadBases,
    ReadBlob,
    ReadChanges,
    ReadHeld,
    ReadOwnCheckpoints,
    ReadPeerCheckpoints,
    ReadRevisions,
    RecordMarks,
    ReleaseBlobs,
    Renew,
    ResolveConflicts,
    SaveOwnCheckpoint,
    SavePeerCheckpoint,
    SaveRevisions,
    WriteBlob,
)

__all__ = ["EffectRunner"]

Answer = Callable[[int, object], None]
Refuse = Callable[[int, SetteeError], None]


class EffectRunner:
    """Runs the effects of one session."""

    def __init__(
        self,
        runtime: Runtime,
        store: Store,
        keys: Sequence[int],
        remote: int | None,
        answer: Answer,
        refuse: Refuse,
        hooks: Hooks | None = None,
    ) -> None:
        self._runtime = runtime
        self._store = store
        self._keys = list(keys)
        self._remote = remote
        self._answer = answer
        self._refuse = refuse
        self._hooks = hooks
        self._writers: dict[str, BlobWriter] = {}  # Blob worker only.
        self._staged: dict[str, StagedBlob] = {}  # Blob worker only.
        self._leases: dict[str, Callable[[], None]] = {}  # Blob worker only.
        self._closed = False

    def run(self, effects: Sequence[tuple[int, Effect]]) -> None:
        """Carry out effects; their answers arrive on the loop.

        Pieces of blobs go to their worker, and their answers come back, together.
        """
        pieces = [(ticket, effect) for ticket, effect in effects if isinstance(effect, WriteBlob)]
        for ticket, effect in effects:
            if not isinstance(effect, WriteBlob):
                self._run_one(ticket, effect)
        if not pieces:
            return
        try:
            self._runtime.blobs.submit(partial(self._write_pieces, pieces))
        except ClosedError as exc:  # As in `_run_one`.
            self._runtime.call(self._deliver_many, [(ticket, exc) for ticket, _ in pieces])

    def _run_one(self, ticket: int, effect: Effect) -> None:
        """Carry out one that is no piece of a blob."""
        try:
            self._start(ticket, effect)
        except ClosedError as exc:  # The database is being closed under the session.
            self._runtime.call(self._deliver_error, ticket, exc)

    def _start(self, ticket: int, effect: Effect) -> None:
        match effect:
            case SaveRevisions():
                if any(revision.blobs for revision in effect.revisions):
                    self._on_blobs(ticket, partial(self._place_then_save, ticket, effect), False)
                else:
                    self._write(ticket, partial(self._save, effect))
            case RecordMarks():
                self._write(ticket, partial(self._mark, effect))
            case LearnNames():
                self._write(ticket, partial(self._learn, effect))
            case Renew(collection, doc_id, tid):
                key = self._keys[collection]
                self._write(ticket, lambda w: revisions.renew(w, key, doc_id, tid))
            case SaveOwnCheckpoint(id_, body):
                self._write(ticket, lambda w: checkpoints.save_own(w, id_, body))
            case SavePeerCheckpoint(id_, rev, body):
                self._write(ticket, lambda w: checkpoints.set_peer(w, id_, rev, body))
            case OpenBlob(digest):
                self._on_blobs(ticket, partial(self._blob_length, digest))
            case ReadBlob(digest, offset, size):
                self._on_blobs(ticket, lambda: self._store.blobs.read_at(digest, offset, size))
            case FindMissingBlobs(digests):
                self._on_blobs(ticket, partial(self._missing, digests))
            case ReleaseBlobs(digests):
                self._on_blobs(ticket, partial(self._release, digests))
            case ProveBlob(digest, nonce):
                self._on_blobs(ticket, partial(self._prove, digest, nonce))
            case KeepBases():
                self._write(ticket, bases.enable)
            case FilterPush() | FilterPull() | PurgeDocuments() | ResolveConflicts():
                self._runtime.hooks.submit(partial(self._job, ticket, partial(self._ask, effect)))
            case _:
                self._on_reader(ticket, partial(self._read, effect))

    # --- reads ------------------------------------------------------------------------------------

    def _read(self, effect: Effect) -> object:
        with self._store.reader() as reader:
            match effect:
                case ReadHeld(collection, doc_ids):
                    return revisions.held(reader, self._keys[collection], doc_ids, self._remote)
                case ReadRevisions(collection, doc_ids, wanted):
                    return revisions.read(reader, self._keys[collection], doc_ids, wanted)
                case ReadBases(collection, named):
                    found = bases.read(
                        reader,
                        self._keys[collection],
                        [(id_, (tid,)) for id_, tid in named],
                        bytes_max=BASES_READ_BYTES_MAX,
                    )
                    return [None if one is None else one[1] for one in found]
                case ReadChanges(collection, since, limit, only, active_only):
                    return feed.changes(
                        reader,
                        self._keys[collection],
                        since,
                        limit,
                        remote=self._remote,
                        doc_ids=only,
                        active_only=active_only,
                    )
                case ReadOwnCheckpoints(ids):
                    return [checkpoints.own(reader, id_) for id_ in ids]
                case ReadPeerCheckpoints(ids):
                    return [checkpoints.peer(reader, id_) for id_ in ids]
        raise AssertionError(f"no way to carry out {effect!r}")

    def _on_reader(self, ticket: int, job: Callable[[], object]) -> None:
        self._runtime.reader.submit(partial(self._job, ticket, job, True))

    def _on_blobs(self, ticket: int, job: Callable[[], object], deliver: bool = True) -> None:
        self._runtime.blobs.submit(partial(self._job, ticket, job, deliver))

    def _ask(self, effect: FilterPush | FilterPull | PurgeDocuments | ResolveConflicts) -> object:
        """Ask the application; on the hooks worker."""
        hooks = self._hooks
        assert hooks is not None, "a session with filters or a resolver has hooks"
        match effect:
            case FilterPush(collection, doc_ids):
                return hooks.filter_push(collection, doc_ids)
            case FilterPull(collection, items):
                return hooks.filter_pull(collection, items)
            case PurgeDocuments(collection, doc_ids):
                return hooks.purge(collection, doc_ids)
            case ResolveConflicts(collection, items):
                return hooks.resolve(collection, items, self._remote)

    def _job(self, ticket: int, job: Callable[[], object], deliver: bool = True) -> None:
        try:
            result = job()
        except Exception as exc:
            self._runtime.call(self._deliver_error, ticket, exc)
        else:
            if deliver:
                self._runtime.call(self._deliver, ticket, result)

    # --- writes -----------------------------------------------------------------------------------

    def _write(self, ticket: int, job: Callable[[Writer], object]) -> None:
        self._store.submit(job).add_done_callback(partial(self._written, ticket))

    def _written(self, ticket: int, future: concurrent.futures.Future[Any]) -> None:
        exc = future.exception()
        if exc is None:
            self._runtime.call(self._deliver, ticket, future.result())
        else:
            self._runtime.call(self._deliver_error, ticket, exc)

    def _save(self, effect: SaveRevisions, writer: Writer) -> object:
        return revisions.apply(
            writer,
            self._keys[effect.collection],
            effect.revisions,
            remote=self._remote,
            policy=effect.policy,
        )

    def _mark(self, effect: RecordMarks, writer: Writer) -> None:
        if self._remote is not None:
            marks.record(writer, self._remote, self._keys[effect.collection], effect.marks)

    def _learn(self, effect: LearnNames, writer: Writer) -> None:
        key = self._keys[effect.collection]
        names, renumber = effect.names, effect.renumber
        revisions.learn(writer, key, names, remote=self._remote, renumber=renumber)

    # --- blobs ------------------------------------------------------------------------------------

    def _place_then_save(self, ticket: int, effect: SaveRevisions) -> None:
        """Hand the blobs of a batch to the worker that makes them durable.

        While it waits for the disk the next blobs are written; they are the next batch.
        """
        digests = {digest for revision in effect.revisions for digest in revision.blobs}
        staged = [self._staged.pop(d) for d in digests & self._staged.keys()]
        place = partial(self._place, ticket, effect, staged)
        self._runtime.placing.submit(partial(self._job, ticket, place, False))

    def _place(self, ticket: int, effect: SaveRevisions, staged: list[StagedBlob]) -> None:
        """Make the blobs of a batch durable, then write its rows; on the placing worker."""
        try:
            if staged:
                self._store.blobs.put_many(staged)
            future = self._store.submit(partial(self._save, effect))
        except BaseException:
            self._store.blobs.discard(staged)
            raise
        future.add_done_callback(partial(self._written, ticket))

    def _missing(self, digests: list[str]) -> list[str]:
        """Look for blobs, and keep those that are there until a revision names them."""
        blobs = self._store.blobs
        for digest in digests:
            if digest not in self._leases:
                self._leases[digest] = blobs.lease([digest])
        return blobs.missing(digests)

    def _release(self, digests: Iterable[str]) -> None:
        """Keep blobs no more, which a revision names by now or none is going to."""
        self._store.blobs.discard([self._staged.pop(d) for d in digests if d in self._staged])
        for digest in digests:
            if digest in self._leases:
                self._leases.pop(digest)()

    def _write_pieces(self, pieces: list[tuple[int, WriteBlob]]) -> None:
        outcomes: list[tuple[int, Exception | None]] = []
        for ticket, piece in pieces:
            try:
                self._write_blob(piece)
            except Exception as exc:
                outcomes.append((ticket, exc))
            else:
                outcomes.append((ticket, None))
        self._runtime.call(self._deliver_many, outcomes)

    def _write_blob(self, effect: WriteBlob) -> None:
        digest = effect.digest
        if effect.first:
            self._writers[digest] = self._store.blobs.writer()
        writer = self._writers.get(digest)
        if writer is None:  # It was on its way when a piece before it failed, for which see there.
            raise StoreError(f"the blob {digest} was given up: a piece before this one failed")
        try:
            writer.write(effect.data)
            if effect.last:
                staged = writer.finish(expected_digest=digest, expected_length=effect.length)
                self._staged[digest] = staged
                del self._writers[digest]
        except SetteeError:
            del self._writers[digest]
            writer.abort()
            raise

    def _blob_length(self, digest: str) -> int | None:
        try:
            return self._store.blobs.length(digest)
        except NotFoundError:
            return None

    def _prove(self, digest: str, nonce: bytes) -> str | None:
        length = self._blob_length(digest)
        if length is None:
            return None
        prover = Prover(nonce)
        for offset in range(0, length, BLOB_CHUNK_BYTES):
            prover.update(self._store.blobs.read_at(digest, offset, BLOB_CHUNK_BYTES))
        return prover.finish()

    # --- answers ----------------------------------------------------------------------------------

    def _deliver(self, ticket: int, result: object) -> None:
        if not self._closed:
            self._answer(ticket, result)

    def _deliver_error(self, ticket: int, exc: BaseException) -> None:
        if not self._closed:
            self._refuse(ticket, as_settee_error(exc, "storing what a peer sent"))

    def _deliver_many(self, outcomes: list[tuple[int, Exception | None]]) -> None:
        for ticket, exc in outcomes:
            if exc is None:
                self._deliver(ticket, None)
            else:
                self._deliver_error(ticket, exc)

    def close(self) -> None:
        """Give no more answers, and remove what was received and not saved."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(ClosedError):  # The files go at the next opening.
            self._runtime.blobs.submit(self._discard)

    def _discard(self) -> None:
        for writer in self._writers.values():
            writer.abort()
        self._writers.clear()
        self._store.blobs.discard(self._staged.values())
        self._staged.clear()
        leases, self._leases = list(self._leases.values()), {}
        if leases:  # What is being saved relies on them.
            try:
                self._runtime.placing.submit(partial(self._let_go, leases))
            except ClosedError:
                _call(leases)

    def _let_go(self, leases: list[Callable[[], None]]) -> None:
        """Release leases after the last save; on the placing worker."""
        try:
            future = self._store.submit(lambda _: None)
        except ClosedError:
            _call(leases)
        else:
            future.add_done_callback(lambda _: _call(leases))


def _call(releases: Iterable[Callable[[], None]]) -> None:
    for release in releases:
        release()
