"""A recorded connection as messages: who said what to whom, in which order, and what was answered.

Frames are put together with settee's own codec (which checks every checksum), not with its
connection: nothing here decides anything.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any, Final, Literal, NamedTuple

from settee.blip.codec import Decoder
from settee.blip.frame import COMPRESSED, ERR, MORE_COMING, MSG, NO_REPLY, TYPE_MASK, read_header
from settee.blip.message import decode_message
from settee.net.http1 import RequestHead, RequestReader
from tests.captures import Recorded, load
from tests.replay.log import Key, Log, parse_log
from tests.replay.names import TREE_NAMES, VERSIONS, Names

__all__ = ["DEFAULT", "Closed", "Dialog", "Said", "Scenario", "names_collections", "scenario"]

DEFAULT: Final = "_default"
"""The path of the default collection."""

_LEVEL_4: Final = "BLIP_3+CBMobile_4"

Kind = Literal["MSG", "RPY", "ERR"]
_KINDS: Final[tuple[Kind, ...]] = ("MSG", "RPY", "ERR")


class Said(NamedTuple):
    """A whole message."""

    direction: str
    kind: Kind
    number: int
    compressed: bool
    no_reply: bool
    properties: dict[str, str]
    body: bytes

    @property
    def profile(self) -> str:
        return self.properties.get("Profile", "")

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


class Closed(NamedTuple):
    """The orderly end of one direction."""

    direction: str
    code: int


class Dialog:
    """One connection: the HTTP heads, then all messages of both directions in order of time."""

    def __init__(self, connection: list[Recorded]) -> None:
        heads = [one for one in connection if one.kind == "http"]
        self.request_text: Final = str(heads[0].data)
        self.answer_text: Final = str(heads[1].data)
        self.status: Final = int(self.answer_text.split(" ", 2)[1])
        self.subprotocol: Final = _subprotocol(self.answer_text)
        """What the recorded listener chose; "" if it refused the connection."""
        self.names: Final[Names] = VERSIONS if self.subprotocol == _LEVEL_4 else TREE_NAMES
        self.items: Final = _messages(connection)
        self.requests: Final = {
            (said.direction, said.number): said
            for said in self.items
            if isinstance(said, Said) and said.kind == "MSG"
        }
        answers: dict[tuple[str, int], Said] = {}
        for said in self.items:
            if isinstance(said, Said) and said.kind != "MSG":
                answers["s2c" if said.direction == "c2s" else "c2s", said.number] = said
        self.answers: Final = answers
        """By direction and number of the request."""
        self.collections: Final = self._collections()

    @property
    def head(self) -> RequestHead:
        """The active peer's HTTP request."""
        head = RequestReader().feed(self.request_text.encode())
        assert head is not None, "a recorded request is whole"
        return head

    def _collections(self) -> list[str]:
        first = self.requests.get(("c2s", 1))
        if first is not None and first.profile == "getCollections":
            return list(first.json["collections"])
        return [DEFAULT]

    def collection(self, properties: dict[str, str]) -> str:
        """Return the path of the collection that a message is about."""
        return self.collections[int(properties.get("collection", "0"))]

    def request_of(self, answer: Said) -> Said:
        """Return the request that was answered."""
        return self.requests["s2c" if answer.direction == "c2s" else "c2s", answer.number]

    def offers(self, direction: str) -> dict[Key, tuple[list[Any], Any]]:
        """Return each row of `changes` or `proposeChanges` of one end, with what was answered."""
        rows: dict[Key, tuple[list[Any], Any]] = {}
        for (end, number), said in self.requests.items():
            if end != direction or said.profile not in ("changes", "proposeChanges"):
                continue
            if said.no_reply:
                continue
            answer = self.answers[end, number]
            given = list(answer.json or [])
            collection = self.collection(said.properties)
            for row in said.json:
                doc_id, text = row[1:3] if said.profile == "changes" else row[:2]
                key = Key(collection, doc_id, self.names.name_in(text))
                rows[key] = (row, given.pop(0) if given else 0)
        return rows

    def revs(self, direction: str) -> dict[Key, Said]:
        """Return each `rev` of one end."""
        return {
            self.key(said): said
            for (end, _), said in self.requests.items()
            if end == direction and said.profile == "rev"
        }

    def key(self, rev: Said) -> Key:
        """Return which revision a `rev` carries."""
        properties = rev.properties
        return Key(self.collection(properties), properties["id"], properties["rev"])


class Scenario(NamedTuple):
    """A recorded scenario, ready to be played."""

    name: str
    log: Log
    dialogs: tuple[Dialog, ...]
    """One per connection; as many as there are syncs in the log."""
    blobs: dict[str, bytes]
    """Contents by digest, of all blobs that were sent."""

    @property
    def names(self) -> Names:
        return self.dialogs[-1].names


def names_collections(dialog: Dialog) -> bool:
    """Tell whether all messages of a connection say which collection they are about."""
    return dialog.requests["c2s", 1].profile == "getCollections"


def _subprotocol(answer: str) -> str:
    found = re.search(r"^Sec-WebSocket-Protocol: (\S+)\r$", answer, re.MULTILINE)
    return found[1] if found else ""


def _messages(connection: list[Recorded]) -> list[Said | Closed]:
    decoders = {"c2s": Decoder(), "s2c": Decoder()}
    open_: dict[tuple[str, int, int], bytes] = {}
    items: list[Said | Closed] = []
    for direction, kind, data in connection:
        if kind == "close":
            assert isinstance(data, bytes)
            items.append(Closed(direction, int.from_bytes(data[:2])))
        if kind != "binary":
            continue
        assert isinstance(data, bytes)
        number, flags, at = read_header(data)
        type_ = flags & TYPE_MASK
        if type_ > ERR:
            continue  # ACKs: flow control is each connection's own business.
        key = direction, number, type_
        open_[key] = open_.get(key, b"") + decoders[direction].payload(data, at, flags)
        if flags & MORE_COMING:
            continue
        properties, body = decode_message(open_.pop(key))
        compressed = bool(flags & COMPRESSED)
        no_reply = type_ == MSG and bool(flags & NO_REPLY)
        said = Said(direction, _KINDS[type_], number, compressed, no_reply, properties, body)
        items.append(said)
    assert not open_, "a recording ends between messages"
    return items


def _blobs(dialogs: tuple[Dialog, ...]) -> dict[str, bytes]:
    return {
        said.properties["digest"]: dialog.answers[key].body
        for dialog in dialogs
        for key, said in dialog.requests.items()
        if said.profile == "getAttachment"
    }


@functools.cache
def scenario(name: str) -> Scenario:
    """Load and decode one scenario. Nobody may change what it returns."""
    capture = load(name)
    dialogs = tuple(Dialog(connection) for connection in capture.connections)
    return Scenario(name, parse_log(capture.log), dialogs, _blobs(dialogs))
