"""What a revision goes through between its `rev` and being saved: delta, filter, blobs.

Room: pure protocol.
Touches: settee.blip, settee.doc, settee.errors, settee.ids, settee.limits, settee.sync.
Never touches: sockets, files, the wall clock, randomness.
Spec: wire protocol 3.7 ("Receiving"), 6.3, 7, 9.7.

Each stage asks storage once for all that gathered since the last pump. Who comes through is handed
to the puller, who does not is turned away with a status.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from settee.blip.message import Request
from settee.doc.blob import BlobReference, find_blobs, may_have_blobs, with_attachments
from settee.doc.body import load, strip_reserved
from settee.doc.delta import apply_body
from settee.doc.records import RevisionIn
from settee.doc.revision import generation
from settee.errors import (
    InvalidDocumentError,
    PeerProtocolError,
    SetteeError,
    StoreError,
    SyncError,
)
from settee.ids import is_document_id
from settee.limits import DOCUMENT_BODY_BYTES_MAX, INBOUND_BYTES_MAX, SEQUENCE_BYTES_MAX
from settee.sync.effects import FilterPull, FindMissingBlobs, ReadBases
from settee.sync.messages import status_of_error

if TYPE_CHECKING:
    from settee.sync.puller import Puller
    from settee.sync.session import Session

__all__ = ["Arrivals", "Coming"]

_EMPTY_BODY: Final = b"{}"

_UPKEEP_BYTES: Final = 512
"""What a revision costs in memory beside its body and history."""


_PATCHES_MAX: Final = 50
"""Deltas whose bases are read at once: a small one may stand for a large body."""


class Coming(NamedTuple):
    """A `rev` that is to be saved."""

    number: int
    """Of the request; 0 if it wants no answer."""
    sequence: str
    revision: RevisionIn
    references: Sequence[BlobReference]
    """To the blobs that have not been looked for yet; those of the others are kept."""
    held_bytes: int
    """In memory: what came may have been deflated to next to nothing."""
    offered_to: int
    """How far the peer was past being offered this document when it made up its mind."""


class _Patch(NamedTuple):
    """A `rev` whose body is a delta."""

    coming: Coming
    base: str


class Arrivals:
    """Brings revisions from the message to the batch. One per puller."""

    def __init__(
        self, session: Session, wire: int, collection: int, puller: Puller, *, filtered: bool
    ) -> None:
        self._session = session
        self._wire = wire
        self._collection = collection
        self._puller = puller
        self._filtered = filtered
        self._patches: list[_Patch] = []
        self._reading_bases = False
        self._to_filter: list[Coming] = []
        self._looking: list[Coming] = []
        self._under_way_count = 0  # Given to storage, to the filter, or waiting for blobs.

    @property
    def is_idle(self) -> bool:
        """Whether nothing is between its message and the batch."""
        return not (self._patches or self._to_filter or self._looking or self._under_way_count)

    def pump(self) -> None:
        """Ask about what has gathered."""
        if (
            self._patches
            and not self._reading_bases
            and self._session.inbound_bytes <= INBOUND_BYTES_MAX
        ):
            self._read_bases()
        if self._to_filter:
            self._filter()
        if self._looking:
            self._look_up_blobs()

    # --- the message ------------------------------------------------------------------------------

    def read(self, request: Request, *, takes_deltas: bool, offered_to: int) -> Coming | None:
        """Read a `rev` and take it in; return it if it may be saved as it is.

        None: it is on its way to the puller, or it said that there is nothing to store.
        Raises PeerProtocolError or InvalidDocumentError if it can't be taken.
        """
        properties = request.properties
        doc_id = properties.get("id", "")
        sequence = properties.get("sequence", "")
        dialect = self._session.dialect
        names = dialect.heard(properties)
        if not is_document_id(doc_id) or names is None:
            raise PeerProtocolError(f"rev without a usable id and rev ({doc_id[:40]!r})")
        if self._session.config.active and not sequence:
            raise PeerProtocolError("rev without a sequence")
        if len(sequence) > SEQUENCE_BYTES_MAX:
            raise PeerProtocolError("the sequence of a rev is too long")
        base: str | None = properties.get("deltaSrc", "")
        if base:
            base = dialect.tid_of(base)
            if not takes_deltas or base is None:
                # Not announced, or of no use: ask for the whole body.
                raise PeerProtocolError("this delta is not taken here", code=422)
        body = request.body
        deleted = properties.get("deleted", "0").lower() not in ("0", "false", "")
        if not body and deleted:
            body = _EMPTY_BODY
        if len(body) > DOCUMENT_BODY_BYTES_MAX:
            raise InvalidDocumentError(f"the body has more than {DOCUMENT_BODY_BYTES_MAX} bytes")
        tid, history, vector = names
        revision = RevisionIn(doc_id, tid, history, deleted, body, vector, ())
        number = 0 if request.no_reply else request.number
        held_bytes = len(body) + len(history) + len(vector) + _UPKEEP_BYTES
        coming = Coming(number, sequence, revision, (), held_bytes, offered_to)
        if base:
            self._session.take_in(held_bytes)
            self._patches.append(_Patch(coming, base))
            return None
        checked = self._checked(coming, body)
        if checked is None:
            self._puller.nothing_to_store(coming)
            return None
        self._session.take_in(held_bytes)
        if not self._filtered and not checked.references:
            return checked
        self._enter(checked)
        return None

    def _checked(self, coming: Coming, body: bytes) -> Coming | None:
        """Return it with its body checked, stripped, and its blobs known; None for a notice."""
        value = load(body)
        if value.get("_removed") is True:
            return None  # The gateway took the document out of our channels.
        stripped = strip_reserved(body)
        references: Sequence[BlobReference] = ()
        if may_have_blobs(stripped):
            references = find_blobs(value if stripped is body else load(stripped))
        if not references and stripped is body:
            return coming  # As nearly all are.
        digests = tuple(dict.fromkeys(r.digest for r in references))
        revision = coming.revision._replace(body=stripped, blobs=digests)
        return coming._replace(revision=revision, references=references)

    def _enter(self, coming: Coming) -> None:
        if self._filtered:
            self._to_filter.append(coming)
        elif coming.references:
            self._looking.append(coming)
        else:
            self._puller.ready(coming)

    # --- deltas -----------------------------------------------------------------------------------

    def _read_bases(self) -> None:
        patches = self._patches[:_PATCHES_MAX]
        del self._patches[:_PATCHES_MAX]
        self._reading_bases = True
        self._under_way_count += len(patches)
        wanted = [(patch.coming.revision.doc_id, patch.base) for patch in patches]
        self._session.ask(ReadBases(self._collection, wanted), partial(self._bases_read, patches))

    def _bases_read(self, patches: list[_Patch], bodies: list[bytes | None]) -> None:
        self._reading_bases = False
        self._under_way_count -= len(patches)
        self._patches[:0] = patches[len(bodies) :]  # Large ones: the rest has its turn later.
        for patch, base in zip(patches, bodies, strict=False):
            try:
                coming = self._patched(patch, base)
            except (InvalidDocumentError, PeerProtocolError) as exc:
                # The pusher sends the whole body at once, under the same sequence.
                self._session.inbound_bytes -= patch.coming.held_bytes
                self._puller.refuse(patch.coming, 422, str(exc))
                continue
            if coming is None:
                self._session.inbound_bytes -= patch.coming.held_bytes
                self._puller.nothing_to_store(patch.coming)
            else:
                self._enter(coming)

    def _patched(self, patch: _Patch, base: bytes | None) -> Coming | None:
        if base is None:
            raise PeerProtocolError(f"the revision {patch.base[:80]} is not at hand here", code=422)
        coming = patch.coming
        delta = coming.revision.body
        if b'"_attachments"' in delta:  # The peer made it from a body that has them.
            base = orjson.dumps(with_attachments(load(base), generation(patch.base)))
        body = apply_body(base, delta)
        checked = self._checked(coming._replace(revision=coming.revision._replace(body=body)), body)
        if checked is None:
            return None
        more_bytes = len(body) - len(delta)
        self._session.inbound_bytes += more_bytes
        return checked._replace(held_bytes=coming.held_bytes + more_bytes)

    # --- the application's filter -----------------------------------------------------------------

    def _filter(self) -> None:
        waiting, self._to_filter = self._to_filter, []
        self._under_way_count += len(waiting)
        self._session.ask(
            FilterPull(self._collection, [coming.revision for coming in waiting]),
            partial(self._filter_answered, waiting),
        )

    def ask_again(self, coming: Coming) -> None:
        """What a revision was allowed over is not there any more: ask about what is."""
        self._to_filter.append(coming)

    def let_go(self, coming: Coming) -> None:
        """A revision has been saved, or given up: its blobs need not be kept for it any more."""
        if coming.revision.blobs and not coming.references:
            self._session.blobs.let_go(coming.revision.blobs)

    def _filter_answered(self, waiting: list[Coming], accepted: list[bool | str]) -> None:
        for coming, accept in zip(waiting, accepted, strict=True):
            self._under_way_count -= 1
            if isinstance(accept, str):
                coming = coming._replace(revision=coming.revision._replace(over=accept))
            if accept is False:
                error = SyncError(
                    f"document {coming.revision.doc_id!r} was not taken: the pull filter "
                    "rejected it",
                    domain="WebSocket",
                    code=403,
                )
                why = "rejected by validation function"
                self._puller.turned_away(coming, 403, why, error, later=False)
            elif coming.references:
                self._looking.append(coming)
            else:
                self._puller.ready(coming)

    # --- blobs ------------------------------------------------------------------------------------

    def _look_up_blobs(self) -> None:
        looking, self._looking = self._looking, []
        self._under_way_count += len(looking)
        blobs = self._session.blobs
        for coming in looking:
            blobs.keep(coming.revision.blobs)
        digests = {
            digest
            for coming in looking
            for digest in coming.revision.blobs
            if not blobs.is_staged(digest)
        }
        if digests:
            self._session.ask(
                FindMissingBlobs(sorted(digests)), partial(self._blobs_looked_up, looking)
            )
        else:
            self._blobs_looked_up(looking, [])

    def _blobs_looked_up(self, looking: list[Coming], missing: list[str]) -> None:
        absent = set(missing)
        blobs = self._session.blobs
        for coming in looking:
            wanted = {
                r.digest: r
                for r in coming.references
                if r.digest in absent and not blobs.is_staged(r.digest)
            }
            coming = coming._replace(references=())
            if not wanted:
                self._under_way_count -= 1
                self._puller.ready(coming)
                continue
            gathering = _Gathering(self, coming, len(wanted))
            for reference in wanted.values():
                blobs.fetch(self._wire, coming.revision.doc_id, reference, gathering.fetched)

    def blobs_gathered(self, coming: Coming, error: SetteeError | None) -> None:
        """All blobs of a revision were fetched, or one could not be had."""
        self._under_way_count -= 1
        if error is None:
            self._puller.ready(coming)
            return
        # A mismatch must not look like a delta's failure (422) to the pusher.
        status = 404 if getattr(error, "code", 0) == 404 else 400
        later = isinstance(error, StoreError) or (isinstance(error, SyncError) and error.transient)
        if later:
            status = 503
        ours = isinstance(error, StoreError)  # What it says may name a file.
        text = status_of_error(error)[2] if ours else str(error)
        self._puller.turned_away(coming, status, text, error, later=later)


class _Gathering:
    """A revision and the number of its blobs that are still on their way."""

    __slots__ = ("_arrivals", "_coming", "_error", "_missing_count")

    def __init__(self, arrivals: Arrivals, coming: Coming, missing_count: int) -> None:
        self._arrivals = arrivals
        self._coming = coming
        self._missing_count = missing_count
        self._error: SetteeError | None = None

    def fetched(self, error: SetteeError | None) -> None:
        self._error = self._error or error
        self._missing_count -= 1
        if self._missing_count == 0:
            self._arrivals.blobs_gathered(self._coming, self._error)
