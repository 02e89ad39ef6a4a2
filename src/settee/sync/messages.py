"""Names and values on the wire: properties, rows, statuses and errors.

Room: pure protocol. The one place where wire errors and our errors meet.
Touches: settee.blip, settee.errors, settee.ids.
Never touches: sockets, files, the wall clock, randomness.
Spec: wire protocol 2.4 (errors), 3.0 (property syntax), 3.5 and 3.6 (rows).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import orjson

from settee.blip.message import Reply
from settee.errors import (
    ClosedError,
    CorruptDatabaseError,
    DiskFullError,
    InvalidDocumentError,
    NotFoundError,
    PeerError,
    PeerProtocolError,
    RefusedError,
    SetteeError,
    StoreError,
    SyncError,
)
from settee.ids import is_document_id
from settee.limits import (
    CHANGES_ROWS_RECEIVED_MAX,
    REVISION_ID_BYTES_MAX,
    REVISION_NAME_BYTES_MAX,
    SEQUENCE_BYTES_MAX,
)
from settee.logs import printable

__all__ = [
    "PERMANENT_CLOSE",
    "TRANSIENT_CLOSE",
    "TRANSIENT_HTTP",
    "AnnouncedRow",
    "ProposedRow",
    "error_of_reply",
    "is_true",
    "json_array",
    "parse_announced",
    "parse_proposed",
    "sequence_text",
    "status_of_error",
    "trimmed",
]

TRANSIENT_HTTP: Final = frozenset({408, 429, 502, 503, 504})
"""Statuses that say: try again later (wire protocol 9.4)."""

TRANSIENT_CLOSE: Final = 4001
PERMANENT_CLOSE: Final = 4002
"""WebSocket close codes that tell the peer whether to come back (wire protocol 9.5)."""

_TRUE: Final = frozenset({"true", "yes"})
_FALSE: Final = frozenset({"false", "no", ""})


class AnnouncedRow(NamedTuple):
    """A row of `changes`."""

    sequence: str
    """JSON text, compared as such."""
    doc_id: str
    rev: str
    """As the peer calls it: a tree name, a version or a whole vector."""
    flags: int
    body_bytes: int
    tree: str = ""
    """The tree name, which settee peers add where versions are spoken."""


class ProposedRow(NamedTuple):
    """A row of `proposeChanges`."""

    doc_id: str
    rev: str
    """As the peer calls it: a tree name, a version or a whole vector."""
    parent: str
    body_bytes: int
    tree: str = ""
    """The tree name, which settee peers add where versions are spoken."""


def is_true(properties: Mapping[str, str], name: str) -> bool:
    """Read a boolean property as liberally as the engine does; absent is false."""
    value = properties.get(name)
    if value is None:
        return False
    value = value.lower()
    if value in _TRUE:
        return True
    return value not in _FALSE and value.strip("0") != ""


def sequence_text(value: object) -> str:
    """Write a sequence as JSON text; raises PeerProtocolError if it is too long or not JSON."""
    if type(value) is int:
        return str(value)
    try:
        text = orjson.dumps(value)
    except (TypeError, ValueError) as exc:
        raise PeerProtocolError("a sequence is not JSON", domain="BLIP") from exc
    if len(text) > SEQUENCE_BYTES_MAX:  # No `since` and no checkpoint could carry it.
        raise PeerProtocolError(f"a sequence of {len(text)} bytes is too long", domain="BLIP")
    return text.decode()


def json_array(body: bytes, what: str) -> list[object]:
    """Parse a body that has to be an array; empty and ``null`` count as an empty one."""
    if not body:
        return []
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise PeerProtocolError(f"the body of {what} is not JSON", domain="BLIP") from exc
    if value is None:
        return []
    if not isinstance(value, list):
        raise PeerProtocolError(f"the body of {what} is not an array", domain="BLIP")
    return value


def _size(value: object) -> int:
    return value if type(value) is int and 0 <= value < 2**40 else 0


def _names_ok(doc_id: object, rev: object) -> bool:
    return (
        isinstance(doc_id, str)
        and is_document_id(doc_id)
        and isinstance(rev, str)
        and 0 < len(rev) <= REVISION_NAME_BYTES_MAX
    )


def _tree(row: list[object], place: int) -> str:
    name = row[place] if len(row) > place else ""
    return name if isinstance(name, str) and len(name) <= REVISION_ID_BYTES_MAX else ""


def parse_announced(body: bytes) -> list[AnnouncedRow]:
    """Read the rows of `changes`; raises PeerProtocolError for a malformed one."""
    rows = json_array(body, "changes")
    if len(rows) > CHANGES_ROWS_RECEIVED_MAX:
        raise PeerProtocolError(
            f"changes has {len(rows)} rows, more than {CHANGES_ROWS_RECEIVED_MAX}", domain="BLIP"
        )
    result = []
    for row in rows:
        if not isinstance(row, list) or not 3 <= len(row) <= 8 or not _names_ok(row[1], row[2]):
            raise PeerProtocolError("Invalid JSON body: a row of changes", domain="BLIP")
        flags = row[3] if len(row) > 3 else 0
        if not isinstance(flags, int):  # A bool is an int too: level 2 says true.
            raise PeerProtocolError("Invalid JSON body: the flags of a row", domain="BLIP")
        size = _size(row[4]) if len(row) > 4 else 0
        sequence = sequence_text(row[0])
        result.append(AnnouncedRow(sequence, row[1], row[2], int(flags), size, _tree(row, 5)))
    return result


def parse_proposed(body: bytes) -> list[ProposedRow]:
    """Read the rows of `proposeChanges`; raises PeerProtocolError for a malformed one."""
    rows = json_array(body, "proposeChanges")
    if len(rows) > CHANGES_ROWS_RECEIVED_MAX:
        raise PeerProtocolError(
            f"proposeChanges has {len(rows)} rows, more than {CHANGES_ROWS_RECEIVED_MAX}",
            domain="BLIP",
        )
    result = []
    for row in rows:
        if not isinstance(row, list) or not 2 <= len(row) <= 8 or not _names_ok(row[0], row[1]):
            raise PeerProtocolError("Invalid JSON body: a row of proposeChanges", domain="BLIP")
        parent = row[2] if len(row) > 2 else ""
        if parent is None:
            parent = ""
        if not isinstance(parent, str) or len(parent) > REVISION_NAME_BYTES_MAX:
            raise PeerProtocolError("Invalid JSON body: the parent of a row", domain="BLIP")
        size = _size(row[3]) if len(row) > 3 else 0
        result.append(ProposedRow(row[0], row[1], parent, size, _tree(row, 4)))
    return result


def trimmed(elements: list[object]) -> bytes:
    """Write a reply array without its trailing zeros: missing means 0."""
    while elements and elements[-1] == 0 and type(elements[-1]) is int:
        elements.pop()
    return orjson.dumps(elements)


def error_of_reply(reply: Reply, doing: str) -> SyncError:
    """Turn an ERR into the error that the user sees; `doing` says what was asked.

    Transient are HTTP 408, 429, 502, 503, 504 (wire protocol 9.4).
    """
    domain = reply.properties.get("Error-Domain", "BLIP")
    text = reply.properties.get("Error-Code", "0")
    code = int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0
    words = printable(reply.body.decode("utf-8", "replace")).strip()
    said = f": {words}" if words else ""
    message = f"the peer refused {doing} ({printable(domain)} {code}{said})"
    if domain == "HTTP":
        return RefusedError(message, domain=domain, code=code, transient=code in TRANSIENT_HTTP)
    return PeerError(message, domain=domain, code=code)


def status_of_error(error: SetteeError) -> tuple[str, int, str]:
    """Return the domain, code and text of the ERR that tells a peer of `error`."""
    match error:
        case PeerProtocolError():
            return error.domain, error.code, str(error)
        case InvalidDocumentError():
            return "HTTP", 400, str(error)
        case NotFoundError():
            return "HTTP", 404, str(error)
        case DiskFullError():
            return "HTTP", 503, "no space left here; try again later"
        case ClosedError():
            return "HTTP", 503, "the database is being closed"
        case CorruptDatabaseError():
            return "HTTP", 500, "the database here is damaged"
        case StoreError():
            return "HTTP", 503, "the database here can't store it now"
        case _:
            return "HTTP", 500, "internal error"
