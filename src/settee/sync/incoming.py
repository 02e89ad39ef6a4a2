"""What came in one read, as messages; what is much alike and came in a row, together.

Room: pure protocol.
Touches: settee.blip, settee.limits, settee.sync.
Never touches: sockets, files, the wall clock, randomness.
Spec: wire protocol 2.9, 3.9.

Frames are opened portion by portion: a few may inflate to a thousand times their size, and somebody
must look at what came of them before the next are opened. Revisions, and the answers to those of
ours, come by the hundred, and are dealt with as a batch. Parts of one blob that came in a row
become one, so that as much is done for a chunk as otherwise for a frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from settee.blip.connection import Connection
from settee.blip.message import Reply, ReplyPart, Request
from settee.limits import BLOB_CHUNK_BYTES, RECEIVE_PORTION_BYTES
from settee.sync.pusher import RevSent

__all__ = ["Message", "RevsCame", "RevsStored", "messages"]


class RevsCame(NamedTuple):
    """`rev` messages, in their order."""

    requests: list[Request]


class RevsStored(NamedTuple):
    """Revisions that were sent, and that the peer says it has stored."""

    sent: list[RevSent]


Message = RevsCame | RevsStored | Request | Reply | ReplyPart

_REVS: Final = object()
_STORED: Final = object()


def messages(connection: Connection, frames: Iterable[bytes]) -> Iterator[Message]:
    """Yield what frames complete, in its order; raises PeerProtocolError if a rule is broken."""
    row: list[Any] = []
    kind: object = None
    size = 0
    for portion in _portions(frames):
        for message in connection.receive(portion):
            before = kind
            # What messages that are dealt with together have in common; None: it stays alone.
            if isinstance(message, Reply):
                is_stored = type(message.token) is RevSent and not message.error
                kind = _STORED if is_stored else None
            elif isinstance(message, Request):
                kind = _REVS if message.properties.get("Profile") == "rev" else None
            else:
                kind = message.token
            if kind is not before or kind is None or size >= BLOB_CHUNK_BYTES:
                if row:
                    yield _together(before, row)
                    row = []
                size = 0
            row.append(message)
            if type(message) is ReplyPart:
                size += len(message.data)
        if row and (kind is _REVS or kind is _STORED):
            yield _together(kind, row)
            row = []
    if row:
        yield _together(kind, row)


def _together(kind: object, row: list[Any]) -> Message:
    if kind is _REVS:
        return RevsCame(row)
    if kind is _STORED:
        return RevsStored([reply.token for reply in row])
    first: Request | Reply | ReplyPart = row[0]
    if len(row) == 1:
        return first
    assert isinstance(first, ReplyPart)
    data = b"".join([part.data for part in row])
    return ReplyPart(first.token, data, row[-1].last, first.properties)


def _portions(frames: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Cut what came into portions of RECEIVE_PORTION_BYTES or one frame."""
    portion: list[bytes] = []
    size = 0
    for frame in frames:
        portion.append(frame)
        size += len(frame)
        if size >= RECEIVE_PORTION_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion
