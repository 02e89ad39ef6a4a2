"""What came in one read, as messages.

Room: pure protocol.
Touches: settee.blip, settee.limits.
Never touches: sockets, files, the wall clock, randomness.
Spec: wire protocol 2.9, 3.9.

Frames are opened portion by portion: a few may inflate to a thousand times their size, and somebody
must look at what came of them before the next are opened. Parts of one blob that came in a row
become one, so that as much is done for a chunk as otherwise for a frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from settee.blip.connection import Connection
from settee.blip.message import Reply, ReplyPart, Request
from settee.limits import BLOB_CHUNK_BYTES, RECEIVE_PORTION_BYTES

__all__ = ["messages"]


def messages(
    connection: Connection, frames: Iterable[bytes]
) -> Iterator[Request | Reply | ReplyPart]:
    """Yield what frames complete, in its order; raises PeerProtocolError if a rule is broken."""
    parts: list[ReplyPart] = []
    size = 0
    for portion in _portions(frames):
        for message in connection.receive(portion):
            if type(message) is not ReplyPart:
                if parts:
                    yield _joined(parts)
                    parts = []
                yield message
                continue
            if parts and (parts[0].token is not message.token or size >= BLOB_CHUNK_BYTES):
                yield _joined(parts)
                parts = []
            if not parts:
                size = 0
            parts.append(message)
            size += len(message.data)
    if parts:
        yield _joined(parts)


def _joined(parts: list[ReplyPart]) -> ReplyPart:
    if len(parts) == 1:
        return parts[0]
    data = b"".join([part.data for part in parts])
    return ReplyPart(parts[0].token, data, parts[-1].last, parts[0].properties)


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
