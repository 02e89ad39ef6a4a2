"""Blobs on the wire: fetching those that a revision names, and serving our own.

Room: pure protocol.
Touches: settee.blip, settee.doc.blob, settee.errors, settee.ids, settee.limits, settee.sync.
Never touches: sockets, files, the wall clock, randomness.
Spec: wire protocol 3.9, 3.10, 6.3.

A blob is never whole in memory: what arrives is written piece by piece, and acknowledged to the
peer only when written; what is sent is read piece by piece as the connection has room.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from settee.blip.message import Reply, ReplyPart, Request
from settee.blip.outbox import STREAM_BUFFER_BYTES_MAX
from settee.doc.blob import BlobReference, compressible
from settee.errors import NotFoundError, PeerProtocolError, SetteeError, StoreError
from settee.ids import digest_bytes
from settee.limits import (
    BLOB_BYTES_MAX,
    BLOBS_FETCHED_AT_ONCE_BYTES_MAX,
    BLOBS_FETCHED_AT_ONCE_MAX,
    BLOBS_SERVED_AT_ONCE_MAX,
    LARGE_BLOBS_FETCHED_AT_ONCE_MAX,
    NONCE_BYTES_MAX,
    NONCE_BYTES_MIN,
)
from settee.sync.effects import OpenBlob, ProveBlob, ReadBlob, ReleaseBlobs, WriteBlob
from settee.sync.messages import TRANSIENT_CLOSE, error_of_reply, is_true, status_of_error

if TYPE_CHECKING:
    from settee.sync.session import Session

__all__ = ["BlobExchange", "BlobFetch"]

Fetched = Callable[[SetteeError | None], None]


class BlobFetch:
    """One `getAttachment` under way; also the token of its request."""

    __slots__ = (
        "bytes_expected",
        "came",
        "collection",
        "doc_id",
        "failed",
        "reference",
        "started",
        "waiting",
    )

    def __init__(self, collection: int, doc_id: str, reference: BlobReference) -> None:
        self.collection: int = collection
        self.doc_id: str = doc_id
        self.reference: BlobReference = reference
        self.waiting: list[Fetched] = []
        self.started: bool = False
        self.failed: SetteeError | None = None
        self.came: int = 0
        length = reference.length
        self.bytes_expected: int = BLOBS_FETCHED_AT_ONCE_BYTES_MAX if length is None else length
        """As far as the reference says; it counts as large if it says nothing."""


class _Serving:
    """One blob being sent, until the last of it has left this room."""

    __slots__ = ("digest", "length", "offset", "reading")

    def __init__(self, digest: str, length: int, offset: int) -> None:
        self.digest = digest
        self.length = length
        self.offset = offset
        self.reading = False


class BlobExchange:
    """All blobs of a session, both ways."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._fetching: dict[str, BlobFetch] = {}
        self._queued: deque[BlobFetch] = deque()
        self._running = 0
        self._running_bytes = 0
        self._staged: set[str] = set()
        self._named: Counter[str] = Counter()
        """By how many revisions that are on their way."""
        self._unnamed: set[str] = set()
        """By none any more, and storage does not know yet."""
        self._allowed: Counter[str] = Counter()
        self._serving: dict[int, _Serving] = {}
        self._opening = 0
        self._requests: deque[tuple[int, bool, str]] = deque()
        """To be served, in turn: number, whether compressed, digest. No more is kept of one."""
        self._proofs: deque[tuple[int, bytes, str]] = deque()
        """To be proven, one after the other: each may take a pass over a large file."""
        self._proving = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being fetched or sent."""
        return not (
            self._fetching
            or self._serving
            or self._opening
            or self._requests
            or self._proofs
            or self._proving
        )

    # --- fetching ---------------------------------------------------------------------------------

    def is_staged(self, digest: str) -> bool:
        """Whether the blob was fetched in this session, for a revision that is on its way."""
        return digest in self._staged

    def keep(self, digests: Iterable[str]) -> None:
        """A revision that names these is on its way: it may rely on them until `let_go`."""
        self._named.update(digests)

    def let_go(self, digests: Iterable[str]) -> None:
        """Take `keep` back: the revision has been saved, or given up."""
        for digest in digests:
            self._named[digest] -= 1
            if self._named[digest] <= 0:
                del self._named[digest]
                self._unnamed.add(digest)

    def _release(self) -> None:
        digests = self._unnamed - self._named.keys()
        self._unnamed.clear()
        self._staged -= digests
        if digests:
            self._session.ask(ReleaseBlobs(sorted(digests)), lambda _: None)

    def fetch(self, collection: int, doc_id: str, reference: BlobReference, done: Fetched) -> None:
        """Get a blob from the peer; `done` hears None when it is staged, or what went wrong.

        Several revisions that want the same blob share one request.
        """
        fetch = self._fetching.get(reference.digest)
        if fetch is None:
            fetch = BlobFetch(collection, doc_id, reference)
            self._fetching[reference.digest] = fetch
            self._queued.append(fetch)
        fetch.waiting.append(done)

    def pump(self) -> None:
        """Send the requests that may go now, and serve those of the peer whose turn it is."""
        if self._unnamed:
            self._release()
        while self._queued and self._may_fetch(self._queued[0]):
            fetch = self._queued.popleft()
            self._running += 1
            self._running_bytes += fetch.bytes_expected
            reference = fetch.reference
            properties = {"digest": reference.digest, "docID": fetch.doc_id}
            if compressible(reference.content_type, reference.encoding):
                properties["compress"] = "true"
            self._session.request(
                "getAttachment", fetch.collection, properties, b"", fetch, stream_reply=True
            )
        self._serve_on()
        if self._proofs and not self._proving:
            self._prove(*self._proofs.popleft())

    def _may_fetch(self, fetch: BlobFetch) -> bool:
        if self._running < LARGE_BLOBS_FETCHED_AT_ONCE_MAX:
            return True
        bytes_ = self._running_bytes + fetch.bytes_expected
        return (
            self._running < BLOBS_FETCHED_AT_ONCE_MAX and bytes_ <= BLOBS_FETCHED_AT_ONCE_BYTES_MAX
        )

    def part_came(self, fetch: BlobFetch, part: ReplyPart) -> None:
        """Take a piece of a blob."""
        session, digest, data = self._session, fetch.reference.digest, part.data
        session.counted_blob(0, len(data))

        def consumed() -> None:
            session.connection.consumed(fetch, len(data))
            if part.last:
                self._end(fetch, fetch.failed)

        def written(_: object) -> None:
            session.inbound_bytes -= len(data)
            consumed()

        def refused(error: SetteeError) -> None:
            fetch.failed = fetch.failed or error
            written(None)

        fetch.came += len(data)
        if fetch.came > BLOB_BYTES_MAX:
            session.end(PeerProtocolError(f"the blob {digest} has no end"))
        elif fetch.failed is not None:
            consumed()  # Read the rest away: the connection stays usable.
        else:
            length = fetch.reference.length
            last = part.last
            if length is not None and fetch.came > length:
                # Too long: it is cut off here, so that storage forgets it.
                last = True
                fetch.failed = PeerProtocolError(f"the blob {digest} is longer than {length} bytes")
            effect = WriteBlob(digest, data, not fetch.started, last, length)
            fetch.started = True
            session.inbound_bytes += len(data)
            session.ask(effect, written, refused)

    def answered(self, fetch: BlobFetch, reply: Reply) -> None:
        """Take an ERR in the place of a blob, or an empty blob that came as one reply."""
        if reply.error:
            error: SetteeError = error_of_reply(reply, f"blob {fetch.reference.digest}")
            self._end(fetch, error)
        else:
            self.part_came(fetch, ReplyPart(fetch, reply.body, True, reply.properties))

    def _end(self, fetch: BlobFetch, error: SetteeError | None) -> None:
        digest = fetch.reference.digest
        self._running -= 1
        self._running_bytes -= fetch.bytes_expected
        del self._fetching[digest]
        if error is None:
            self._staged.add(digest)
        for done in fetch.waiting:
            done(error)

    # --- serving ----------------------------------------------------------------------------------

    def allow(self, digests: Iterable[str]) -> None:
        """Let the peer ask for these while a revision that names them is under way."""
        self._allowed.update(digests)

    def disallow(self, digests: Iterable[str]) -> None:
        """Take `allow` back."""
        for digest in digests:
            self._allowed[digest] -= 1
            if self._allowed[digest] <= 0:
                del self._allowed[digest]

    def _asked_digest(self, request: Request) -> str:
        digest = request.properties.get("digest", "")
        if digest_bytes(digest) is None:
            raise PeerProtocolError("missing or malformed digest of a blob")
        if digest not in self._allowed:
            # The same answer whether the blob exists or not: no oracle for strangers' blobs.
            raise NotFoundError(f"no blob {digest} in a revision that is being sent")
        return digest

    def get_attachment(self, request: Request) -> None:
        """Answer `getAttachment`, as soon as there is room."""
        compress = is_true(request.properties, "compress")
        self._requests.append((request.number, compress, self._asked_digest(request)))

    def _serve_on(self) -> None:
        # What has been read and not been sent is in memory: it keeps its place until then.
        while self._requests and len(self._serving) + self._opening < BLOBS_SERVED_AT_ONCE_MAX:
            self._serve(*self._requests.popleft())

    def _serve(self, number: int, compress: bool, digest: str) -> None:
        session = self._session
        self._opening += 1

        def opened(head: tuple[int, bytes] | None) -> None:
            self._opening -= 1
            if head is None:
                session.refuse_request(number, NotFoundError(f"the blob {digest} is missing here"))
                return
            length, data = head
            stream = session.connection.reply_stream(
                number, {}, data, last=len(data) >= length, compress=compress
            )
            session.counted_blob(len(data), 0)
            self._serving[stream] = _Serving(digest, length, len(data))

        def failed(error: SetteeError) -> None:
            self._opening -= 1
            session.refuse_request(number, error)

        session.ask(OpenBlob(digest, STREAM_BUFFER_BYTES_MAX), opened, failed)

    def sent(self, stream: int) -> None:
        """All of a blob is on its way: its place is free."""
        self._serving.pop(stream, None)
        self._serve_on()

    def wanted(self, stream: int, bytes_wanted: int) -> None:
        """The connection has room for more of a blob."""
        serving = self._serving.get(stream)
        if serving is None or serving.reading:
            return
        serving.reading = True
        session = self._session
        count = max(1, min(bytes_wanted, STREAM_BUFFER_BYTES_MAX))

        def read(data: bytes) -> None:
            serving.reading = False
            serving.offset += len(data)
            last = serving.offset >= serving.length
            if not data and not last:
                failed(StoreError(f"the blob {serving.digest} ended too early"))
                return
            session.connection.stream_write(stream, data, last=last)
            session.counted_blob(len(data), 0)

        def failed(error: SetteeError) -> None:
            del self._serving[stream]
            domain, code, text = status_of_error(error)
            if not session.connection.stream_abort(stream, domain, code, text):
                # Half a blob can't be taken back: only a new connection helps.
                session.end(error, close_code=TRANSIENT_CLOSE)

        session.ask(ReadBlob(serving.digest, serving.offset, count), read, failed)

    def prove_attachment(self, request: Request) -> None:
        """Answer `proveAttachment`: show that the blob is held, without sending it."""
        digest = self._asked_digest(request)
        nonce = request.body
        if not NONCE_BYTES_MIN <= len(nonce) <= NONCE_BYTES_MAX:
            raise PeerProtocolError("Missing nonce", domain="BLIP")
        self._proofs.append((request.number, nonce, digest))

    def _prove(self, number: int, nonce: bytes, digest: str) -> None:
        session = self._session
        self._proving = True

        def proven(proof: str | None) -> None:
            self._proving = False
            if proof is None:
                session.refuse_request(number, NotFoundError(f"the blob {digest} is missing here"))
            else:
                session.connection.reply(number, {}, proof.encode())

        def failed(error: SetteeError) -> None:
            self._proving = False
            session.refuse_request(number, error)

        session.ask(ProveBlob(digest, nonce), proven, failed)
