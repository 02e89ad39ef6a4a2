"""What both ends of a simulated Couchbase Lite's connection have: the engine's real messages.

They travel over settee's own BLIP. Level 3 speaks without collections, as Couchbase Lite 3.1 does
about the default one; level 4 names them always, as 4.x does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import orjson

from settee.blip.connection import Connection
from settee.blip.message import Reply, ReplyPart, Request
from settee.net.link import CloseInfo, Link
from tests.simulation.bridge.engine import Engine, Outgoing, Refusal

ROWS_MAX = 200

Later = Callable[[Callable[[], None]], None]


class RevSent(NamedTuple):
    """The token of a `rev` under way."""

    doc_id: str
    seq: int
    name: str


class Replicator:
    """One end of a connection. Implements `settee.net.link.LinkEvents`."""

    active: bool

    def __init__(
        self, engine: Engine, remote: str, link: Link, later: Later, *, continuous: bool = False
    ) -> None:
        self.engine = engine
        self.remote = remote
        self.link = link
        self.continuous = continuous
        self.errors: list[str] = []
        """Answers that were not to be expected."""
        self.closed: CloseInfo | None = None
        self.connection = Connection()
        self._later = later  # When the application's resolver gets its turn.
        self._collection: dict[str, str] = {"collection": "0"} if engine.level == 4 else {}
        self._read_to = 0
        self._waiting: list[str] = []
        self._out: set[str] = set()  # Documents offered or sent, and not answered yet.
        self._again: set[str] = set()  # Those of them that have changed since.
        engine.live.append(self.local_changed)

    # --- the link ---------------------------------------------------------------------------------

    def on_frames(self, frames: list[bytes]) -> None:
        for message in self.connection.receive(frames):
            if isinstance(message, Request):
                self._requested(message)
            elif isinstance(message, Reply):
                message.token(message)  # type: ignore[operator]
            else:
                assert not isinstance(message, ReplyPart), "no reply is asked for in parts"
        self.flush()

    def on_writable(self) -> None:
        self.flush()

    def on_closed(self, info: CloseInfo) -> None:
        self.closed = info
        self.engine.live.remove(self.local_changed)

    def flush(self) -> None:
        while frames := self.connection.frames_to_send(65536):
            self.link.send(frames)

    def local_changed(self) -> None:
        if self.continuous:
            self._read_feed()
            self.flush()

    def ask(
        self,
        profile: str,
        answered: Callable[[Reply], None],
        body: object = b"",
        *,
        urgent: bool = False,
        **properties: str,
    ) -> None:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        said = {"Profile": profile, **self._collection, **properties}
        if profile == "getCollections":
            del said["collection"]
        self.connection.send_request(answered, said, data, urgent=urgent, compress=True)

    def tell(self, profile: str, body: object = b"", *, urgent: bool = False, **more: str) -> None:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        said = {"Profile": profile, **self._collection, **more}
        self.connection.send_request(None, said, data, urgent=urgent, no_reply=True)

    # --- pulling ----------------------------------------------------------------------------------

    def _requested(self, request: Request) -> None:
        properties = request.properties
        profile = properties.get("Profile", "")
        if profile != "getCollections" and ("collection" in properties) != bool(self._collection):
            self._fail(request, "HTTP", 400)
            return
        handler: Callable[[Request], None] | None = getattr(self, f"_on_{profile}", None)
        if handler is None:
            self._fail(request, "BLIP", 404)
            return
        try:
            handler(request)
        except Refusal as refusal:
            if not request.no_reply:
                self.connection.reply_error(request.number, refusal.domain, refusal.code)

    def _fail(self, request: Request, domain: str, code: int) -> None:
        self.engine.violations.append(f"{self.engine.name}: no such {request.properties}")
        if not request.no_reply:
            self.connection.reply_error(request.number, domain, code)

    def _reply_properties(self) -> dict[str, str]:
        if self.engine.level == 4:
            return {"blobs": "true", "sendReplacementRevs": "1"}
        return {"maxHistory": str(self.engine.depth), "blobs": "true"}  # type: ignore[attr-defined]

    def _answer_rows(self, request: Request, answers: list[Any]) -> None:
        while answers and answers[-1] == 0:
            answers.pop()
        self.connection.reply(
            request.number, self._reply_properties(), orjson.dumps(answers), compress=True
        )

    def _on_rev(self, request: Request) -> None:
        properties = request.properties
        doc_id, sequence = properties["id"], properties.get("sequence", "")
        if self.active and not sequence:
            self.engine.violations.append(f"{self.engine.name}: a rev without its sequence")
        remote = self.remote if self.active else None
        try:
            in_conflict = self.engine.take(
                doc_id,
                properties["rev"],
                properties.get("history", ""),
                request.body,
                properties.get("deleted", "0") not in ("0", "false"),
                remote,
            )
            self.connection.reply_empty([request.number])
        finally:
            self._settled(sequence)
        if in_conflict:
            self._later(partial(self.engine.resolve, doc_id, properties["rev"], self.remote))

    def _on_norev(self, request: Request) -> None:
        if not request.no_reply:
            self.connection.reply_empty([request.number])
        self._settled(request.properties.get("sequence", ""))

    def _settled(self, sequence: str) -> None:
        """Note that an announced revision needs nothing more."""

    # --- pushing: what both roles share -----------------------------------------------------------

    def _read_feed(self) -> None:
        """Queue what has changed and is to be offered, then offer it."""
        raise NotImplementedError

    def _queue(self, doc_id: str) -> None:
        if doc_id in self._out:
            self._again.add(doc_id)
        elif doc_id not in self._waiting:
            self._waiting.append(doc_id)

    def _send(self, out: Outgoing, doc_id: str, seq: int, **more: str) -> None:
        properties = {"id": doc_id, "rev": out.name, "sequence": str(seq), **more}
        if out.history:
            properties["history"] = out.history
        if out.deleted:
            properties["deleted"] = "1"
        sent = RevSent(doc_id, seq, out.name)
        self.ask("rev", lambda reply: self._rev_answered(sent, reply), out.body, **properties)

    def _rev_answered(self, sent: RevSent, reply: Reply) -> None:
        raise NotImplementedError

    def _release(self, doc_id: str) -> None:
        """Nothing of a document is under way any more: what it became meanwhile may go."""
        self._out.discard(doc_id)
        if doc_id in self._again:
            self._again.discard(doc_id)
            self._waiting.append(doc_id)
            self._read_feed()
