"""Carries out what a session asks of storage.

Reads go to the runtime's reader, blobs to its blob worker and from there to the one that makes them
durable, writes to the store's group commit. Nothing here decides anything: that is the session's
business.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from settee.doc.blob import Prover
from settee.errors import ClosedError, NotFoundError, SetteeError, StoreError
from settee.limits import BASES_READ_BYTES_MAX, BLOB_CHUNK_BYTES
from settee.peer.hooks import Hooks
from settee.peer.runtime import Runtime, as_settee_error
from settee.store import Store, Writer, bases, checkpoints, feed, marks, revisions
from settee.store.blobs import BlobWriter, StagedBlob
from settee.sync.effects import (
    Effect,
    Failed,
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

_OF_BLOBS: Final = (WriteBlob, ReadBlob, OpenBlob, FindMissingBlobs, ReleaseBlobs, ProveBlob)

Deliver = Callable[[int, object], None]
"""Takes the ticket of an effect and its answer, which is `Failed` if it has none; on any thread."""

_GATHERED_BYTES_MAX: Final = 2**18
"""Of pieces of a blob that are written as one: no more than is worth a copy."""


class EffectRunner:
    """Runs the effects of one session."""

    def __init__(
        self,
        runtime: Runtime,
        store: Store,
        keys: Sequence[int],
        remote: int | None,
        deliver: Deliver,
        hooks: Hooks | None = None,
    ) -> None:
        self._runtime = runtime
        self._store = store
        self._keys = list(keys)
        self._remote = remote
        self._deliver = deliver
        self._hooks = hooks
        self._writers: dict[str, BlobWriter] = {}  # Blob worker only.
        self._staged: dict[str, StagedBlob] = {}  # Blob worker only.
        self._leases: dict[str, Callable[[], None]] = {}  # Blob worker only.
        self._for_blobs: deque[tuple[int, Effect]] = deque()
        self._unplaced: deque[tuple[int, SaveRevisions, list[StagedBlob]]] = deque()
        self._unplaced_why: Exception | None = None  # Placing worker only.
        self._closed = False

    def run(self, effects: Sequence[tuple[int, Effect]]) -> None:
        """Carry out effects."""
        blobs_wait = False
        for ticket, effect in effects:
            names_blobs = type(effect) is SaveRevisions and effect.has_blobs
            if names_blobs or isinstance(effect, _OF_BLOBS):
                self._for_blobs.append((ticket, effect))
                blobs_wait = True
                continue
            try:
                self._start(ticket, effect)
            except ClosedError as exc:  # The database is being closed under the session.
                self._failed(ticket, exc)
        if not blobs_wait:
            return
        try:
            self._runtime.blobs.submit(self._run_on_blobs)
        except ClosedError as exc:
            while self._for_blobs:
                self._failed(self._for_blobs.popleft()[0], exc)

    def _start(self, ticket: int, effect: Effect) -> None:
        match effect:
            case SaveRevisions():
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
            case KeepBases():
                self._write(ticket, bases.enable)
            case FilterPush() | FilterPull() | PurgeDocuments() | ResolveConflicts():
                self._runtime.hooks.submit(partial(self._job, ticket, partial(self._ask, effect)))
            case _:
                self._runtime.reader.submit(partial(self._job, ticket, partial(self._read, effect)))

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

    def _job(self, ticket: int, job: Callable[[], object]) -> None:
        try:
            result = job()
        except Exception as exc:
            self._failed(ticket, exc)
        else:
            self._answer(ticket, result)

    # --- writes -----------------------------------------------------------------------------------

    def _write(self, ticket: int, job: Callable[[Writer], object]) -> None:
        self._store.submit(job).add_done_callback(partial(self._written, ticket))

    def _written(self, ticket: int, future: concurrent.futures.Future[Any]) -> None:
        exc = future.exception()
        if exc is None:
            self._answer(ticket, future.result())
        else:
            self._failed(ticket, exc)

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

    def _run_on_blobs(self) -> None:
        """Carry out all that waits for the blob worker; pieces of a blob together.

        There is one such job for each run: who comes later may find nothing.
        """
        pieces: dict[str, list[tuple[int, WriteBlob]]] = {}
        for _ in range(len(self._for_blobs)):
            ticket, effect = self._for_blobs.popleft()
            match effect:
                case WriteBlob(digest):
                    pieces.setdefault(digest, []).append((ticket, effect))
                case SaveRevisions():
                    self._place_then_save(ticket, effect)
                case _:
                    self._job(ticket, partial(self._on_blobs, effect))
        for each in pieces.values():
            self._write_pieces(each)

    def _on_blobs(self, effect: Effect) -> object:
        match effect:
            case OpenBlob(digest, size):
                return self._open_blob(digest, size)
            case ReadBlob(digest, offset, size):
                return self._store.blobs.read_at(digest, offset, size)
            case FindMissingBlobs(digests):
                return self._missing(digests)
            case ReleaseBlobs(digests):
                self._release(digests)
                return None
            case ProveBlob(digest, nonce):
                return self._prove(digest, nonce)
        raise AssertionError(f"no way to carry out {effect!r}")

    def _place_then_save(self, ticket: int, effect: SaveRevisions) -> None:
        """Hand the blobs of a batch to the worker that makes them durable.

        While it waits for the disk the next blobs are written, and wait with their batches.
        """
        digests = {digest for revision in effect.revisions for digest in revision.blobs}
        staged = [self._staged.pop(d) for d in digests & self._staged.keys()]
        self._unplaced.append((ticket, effect, staged))
        try:
            self._runtime.placing.submit(self._place)
        except ClosedError as exc:
            self._failed(ticket, exc)

    def _place(self) -> None:
        """Make durable the blobs of all batches that wait, then write their rows.

        On the placing worker. There is one such job for each batch: who comes later finds nothing.
        After a failure nothing more is saved: it may rely on a blob that was to come with a batch
        before it. The session ends anyway.
        """
        batches: list[tuple[int, SaveRevisions, list[StagedBlob]]] = []
        while self._unplaced:
            batches.append(self._unplaced.popleft())
        staged = [blob for _, _, blobs in batches for blob in blobs]
        try:
            if self._unplaced_why is not None:
                raise self._unplaced_why
            if staged:
                self._store.blobs.put_many(staged)
        except Exception as exc:
            self._unplaced_why = exc
            self._store.blobs.discard(staged)
            for ticket, _, _ in batches:
                self._failed(ticket, exc)
            return
        for ticket, effect, _ in batches:
            try:
                self._write(ticket, partial(self._save, effect))
            except ClosedError as exc:
                self._failed(ticket, exc)

    def _missing(self, digests: list[str]) -> list[str]:
        """Look for blobs, and keep those that are there until a revision names them."""
        blobs = self._store.blobs
        missing = blobs.missing(digest for digest in digests if digest in self._leases)
        for digest in digests:
            if digest not in self._leases:
                self._leases[digest], absent = blobs.hold([digest])
                missing += absent
        return missing

    def _release(self, digests: Iterable[str]) -> None:
        """Keep blobs no more, which a revision names by now or none is going to."""
        self._store.blobs.discard([self._staged.pop(d) for d in digests if d in self._staged])
        for digest in digests:
            if digest in self._leases:
                self._leases.pop(digest)()

    def _write_pieces(self, pieces: list[tuple[int, WriteBlob]]) -> None:
        """Write pieces of one blob, as few as they can be made into."""
        while pieces:
            size, end = 0, 0
            for _, piece in pieces:
                size += len(piece.data)
                if end and (piece.first or size > _GATHERED_BYTES_MAX):
                    break
                end += 1
            together, pieces = pieces[:end], pieces[end:]
            try:
                self._write_blob([piece for _, piece in together])
            except Exception as exc:
                for ticket, _ in together:
                    self._failed(ticket, exc)
            else:
                for ticket, _ in together:
                    self._answer(ticket, None)

    def _write_blob(self, pieces: list[WriteBlob]) -> None:
        digest, last = pieces[0].digest, pieces[-1]
        if pieces[0].first:
            self._writers[digest] = self._store.blobs.writer()
        writer = self._writers.get(digest)
        if writer is None:  # It was on its way when a piece before it failed, for which see there.
            raise StoreError(f"the blob {digest} was given up: a piece before this one failed")
        try:
            writer.write(last.data if len(pieces) == 1 else b"".join(p.data for p in pieces))
            if last.last:
                staged = writer.finish(expected_digest=digest, expected_length=last.length)
                self._staged[digest] = staged
                del self._writers[digest]
        except SetteeError:
            del self._writers[digest]
            writer.abort()
            raise

    def _open_blob(self, digest: str, size: int) -> tuple[int, bytes] | None:
        try:
            return self._store.blobs.begin(digest, size)
        except NotFoundError:
            return None

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

    def _answer(self, ticket: int, result: object) -> None:
        if not self._closed:
            self._deliver(ticket, result)

    def _failed(self, ticket: int, exc: BaseException) -> None:
        self._answer(ticket, Failed(as_settee_error(exc, "storing what a peer sent")))

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
