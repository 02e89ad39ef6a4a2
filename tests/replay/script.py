"""What both scripted ends share: a connection driven by a script, and a small memory of documents.

The message layer is settee's own `Connection`; numbers, checksums, compression and ACKs are its
business. What is said, and when, is the script's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

import orjson

from settee.blip.connection import Connection
from settee.blip.message import Reply, Request
from settee.doc.blob import find_blobs
from settee.doc.delta import apply
from settee.net.link import CloseInfo
from tests.replay.log import Dumped, Edit, Key, Side, canonical
from tests.replay.names import Named
from tests.replay.recording import Dialog, Said, Scenario, names_collections
from tests.simulation.links import SimLink

__all__ = ["Document", "Holdings", "Script", "digests_in"]

_PATIENCE_S: Final = 120.0
"""Virtual seconds. What has not come by then never comes."""

_BYTES_AT_ONCE: Final = 1 << 16


class Document(NamedTuple):
    """A document as one end holds it."""

    named: Named
    deleted: bool
    body: dict[str, Any]
    seq: int

    @property
    def tid(self) -> str:
        return self.named.name


class Holdings:
    """The documents of the end that is played by a script."""

    def __init__(self, scenario: Scenario, side: Side) -> None:
        self.side: Final = side
        self.names: Final = scenario.names
        self.documents: dict[tuple[str, str], Document] = {}
        self.branches: dict[tuple[str, str], str] = {}
        """Revisions that came and did not fit: the recorded peer keeps them beside its own."""
        self.bodies: Final[dict[Key, dict[str, Any]]] = dict(scenario.log.bodies)
        """Of all revisions that were ever made, held here or not."""
        self.blobs: set[str] = set()
        """Digests of those that are here."""
        self._last_seq: dict[str, int] = {}

    def edit(self, edit: Edit) -> None:
        """Make a revision here, on top of the current one."""
        assert edit.side == self.side
        named = self.names.edited(edit.tid, self._named((edit.collection, edit.doc_id)))
        self._put(edit.key, edit.deleted, edit.body, named)
        self.blobs.update(digests_in(edit.body))

    def take(
        self, key: Key, ancestors: tuple[str, ...], deleted: bool, body: dict[str, Any]
    ) -> bool:
        """Take a revision from the other end; false if it conflicts with what is here."""
        place = key.collection, key.doc_id
        before = self._named(place)
        came = Named(key.tid, ancestors)
        if before is not None and before.name == key.tid:
            return True
        if before is not None and not self.names.contains(came, before.name):
            self.branches[place] = key.tid
            return False
        self._put(key, deleted, body, self.names.taken(came, before))
        return True

    def _named(self, place: tuple[str, str]) -> Named | None:
        document = self.documents.get(place)
        return None if document is None else document.named

    def _put(self, key: Key, deleted: bool, body: dict[str, Any], named: Named) -> None:
        seq = self._last_seq.get(key.collection, 0) + 1
        self._last_seq[key.collection] = seq
        self.documents[key.collection, key.doc_id] = Document(named, deleted, body, seq)

    def holds(self, key: Key) -> bool:
        """Tell whether a revision is the current one here, or an ancestor of it."""
        named = self._named((key.collection, key.doc_id))
        return named is not None and self.names.contains(named, key.tid)

    def feed(self, collection: str, since: int) -> list[tuple[Key, Document]]:
        """Return what changed after a sequence, in the order of sequences."""
        found = [
            (Key(where, doc_id, document.tid), document)
            for (where, doc_id), document in self.documents.items()
            if where == collection and document.seq > since
        ]
        return sorted(found, key=lambda pair: pair[1].seq)

    def dumped(self) -> dict[tuple[str, str], Dumped]:
        """Return all in the form of a log's final dump; the blobs that they name must be here."""
        result = {}
        for place, document in self.documents.items():
            assert self.blobs.issuperset(digests_in(document.body)), f"no blob of {place}"
            branch = self.branches.get(place)
            tree = (*((branch,) if branch else ()), document.tid, *document.named.ancestors)
            body = canonical(document.body)
            result[place] = Dumped(document.tid, document.deleted, body, tree, branch is not None)
        return result


class Script:
    """One end of a link, playing the recorded part of one connection. Implements `LinkEvents`.

    What the other end says and should not have said is collected in `faults`: the script stops at
    the first.
    """

    def __init__(self, link: SimLink, dialog: Dialog, holdings: Holdings) -> None:
        self.dialog: Final = dialog
        self.names: Final = holdings.names
        self.holdings: Final = holdings
        self.link: Final = link
        self.connection: Final = Connection()
        self.faults: list[str] = []
        self.closed: CloseInfo | None = None
        self.with_collections = names_collections(dialog)
        """Whether messages say which collection they are about."""
        self._moved = asyncio.Event()

    # --- the link ---------------------------------------------------------------------------------

    def on_frames(self, frames: list[bytes]) -> None:
        for message in self.connection.receive(frames):
            try:
                if isinstance(message, Request):
                    self.requested(message)
                else:
                    assert isinstance(message, Reply), "no reply was to be streamed"
                    self.replied(message)
            except Exception as error:  # On the loop nobody would see it.
                self.faults.append(f"{type(error).__name__}: {error}")
        self.flush()
        self._moved.set()

    def on_writable(self) -> None:
        self.flush()

    def on_closed(self, info: CloseInfo) -> None:
        self.closed = info
        self._moved.set()

    def flush(self) -> None:
        while frames := self.connection.frames_to_send(_BYTES_AT_ONCE):
            self.link.send(frames)

    # --- to be played -----------------------------------------------------------------------------

    def requested(self, request: Request) -> None:
        """Answer the other end; a failed assertion becomes a fault."""
        raise NotImplementedError

    def replied(self, reply: Reply) -> None:
        """Take an answer of the other end; a failed assertion becomes a fault."""
        raise NotImplementedError

    async def until(self, ready: Callable[[], bool], what: str) -> None:
        """Wait until `ready` says so. Raises AssertionError if it never does."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not (self.faults or ready()):
                    assert self.closed is None, f"closed ({self.closed}) before {what}"
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            raise AssertionError(f"waited in vain for {what}") from None
        assert not self.faults, "\n".join(self.faults)

    # --- words ------------------------------------------------------------------------------------

    def collection_of(self, request: Request) -> str:
        """Return the path of the collection a message is about, which it must say or must not."""
        index = request.properties.get("collection")
        assert (index is not None) == self.with_collections, request.properties
        return self.dialog.collections[int(index or 0)]

    def key_of(self, request: Request) -> Key:
        """Return which revision a `rev` carries."""
        properties = request.properties
        return Key(self.collection_of(request), properties["id"], properties["rev"])

    def body_of(self, request: Request) -> dict[str, Any]:
        """Return the whole body of a `rev`, a delta applied to its base."""
        key = self.key_of(request)
        body: dict[str, Any] = orjson.loads(request.body or b"{}")
        base = request.properties.get("deltaSrc")
        return body if base is None else apply(self.holdings.bodies[key._replace(tid=base)], body)

    def check_rev(self, request: Request, recorded: Said) -> tuple[str, ...]:
        """Hold a `rev` against the recorded one; return the ancestors that it names.

        Sequences are each end's own, and the body may travel whole where the recorded one is a
        delta, or the other way round.
        """
        own = {"sequence", "deltaSrc", "collection"}
        ours = {name: value for name, value in request.properties.items() if name not in own}
        theirs = {name: value for name, value in recorded.properties.items() if name not in own}
        assert ours == theirs, f"rev with {ours}, recorded with {theirs}"
        body, expected = self.body_of(request), self.holdings.bodies[self.key_of(request)]
        assert canonical(body) == canonical(expected), f"body {body} of {theirs}"
        assert orjson.loads(request.properties["sequence"]), "a sequence is a number from 1"
        return self.names.ancestors_in(request.properties.get("history", ""))

    def send_answer(self, number: int, recorded: Said) -> None:
        """Give the recorded answer to a request of ours."""
        if recorded.kind == "ERR":
            properties = recorded.properties
            domain, code = properties["Error-Domain"], int(properties["Error-Code"])
            self.connection.reply_error(number, domain, code, recorded.body.decode())
        else:
            compress = recorded.compressed
            self.connection.reply(number, recorded.properties, recorded.body, compress=compress)


def digests_in(body: dict[str, Any]) -> Iterator[str]:
    """Return the digests of the blobs that a body names."""
    references: Iterable[Any] = find_blobs(body)
    return (reference.digest for reference in references)
