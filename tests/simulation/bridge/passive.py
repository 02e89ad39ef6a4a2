"""The end of a simulated Couchbase Lite that accepted the connection.

It speaks only when spoken to: it answers, and announces once it was asked to.
"""

from __future__ import annotations

from typing import Any

import orjson

from settee.blip.message import Reply, Request
from settee.net.link import Link
from tests.simulation.bridge.engine import Engine, Refusal
from tests.simulation.bridge.replicator import Later, Replicator, RevSent


class PassiveReplicator(Replicator):
    """The peer that accepted the connection; it speaks only when spoken to."""

    active = False

    def __init__(self, engine: Engine, remote: str, link: Link, later: Later) -> None:
        super().__init__(engine, remote, link, later)
        self._subscribed = False
        self._replacements = False

    def start(self) -> None:
        self.link.attach(self)

    # --- checkpoints ------------------------------------------------------------------------------

    def _on_getCollections(self, request: Request) -> None:
        value = orjson.loads(request.body)
        if value["collections"] != ["_default"]:
            self._fail(request, "BLIP", 400)
            return
        found = self.engine.checkpoints.get(value["checkpoint_ids"][0])
        answer = {} if found is None else {**orjson.loads(found[1]), "rev": found[0]}
        self.connection.reply(request.number, {}, orjson.dumps([answer]))

    def _on_getCheckpoint(self, request: Request) -> None:
        found = self.engine.checkpoints.get(request.properties["client"])
        if found is None:
            raise Refusal("HTTP", 404)
        self.connection.reply(request.number, {"rev": found[0]}, found[1])

    def _on_setCheckpoint(self, request: Request) -> None:
        client, rev = request.properties["client"], request.properties.get("rev", "")
        stored = self.engine.checkpoints.get(client, ("", b""))[0]
        if rev != stored:
            raise Refusal("HTTP", 409)
        made = f"{int(stored.partition('-')[0] or 0) + 1}-cc"
        self.engine.checkpoints[client] = made, request.body
        self.connection.reply(request.number, {"rev": made})

    # --- what the peer proposes -------------------------------------------------------------------

    def _on_proposeChanges(self, request: Request) -> None:
        rows = orjson.loads(request.body) or []
        if not rows:
            if not request.no_reply:
                self.connection.reply_empty([request.number])
            return
        with_rev = "conflictIncludesRev" in request.properties
        answers: list[Any] = []
        for row in rows:
            status, mine = self.engine.answer_proposal(row[0], row[1], row[2] if row[2:] else "")
            dict_wanted = status == 409 and with_rev
            answers.append({"status": status, "rev": mine} if dict_wanted else status)
        self._answer_rows(request, answers)

    # --- announcing -------------------------------------------------------------------------------

    def _on_subChanges(self, request: Request) -> None:
        properties = request.properties
        mode = "version-vectors" if self.engine.level == 4 else "rev-trees"
        if properties.get("versioning", "rev-trees") != mode:
            raise Refusal("LiteCore", 501)
        self.connection.reply_empty([request.number])
        since = properties.get("since", "0")
        self._read_to = int(since) if since.isdigit() else 0
        self.continuous = "continuous" in properties
        self._replacements = self.engine.level == 4 and "sendReplacementRevs" in properties
        self._subscribed = True
        self._announce(live=False)
        self.tell("changes", [], urgent=True)

    def _read_feed(self) -> None:
        if self._subscribed:
            self._announce(live=True)

    def _announce(self, *, live: bool) -> None:
        for seq, doc_id in self.engine.feed(self._read_to):
            self._read_to = seq
            self._queue(doc_id)
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        rows: list[list[Any]] = []
        for doc_id in waiting:
            state = self.engine.state(doc_id)
            assert state is not None
            name = self.engine.row_name(doc_id, live)
            rows.append([self.engine.seqs[doc_id], doc_id, name, int(state.deleted), 10])
        self._out.update(waiting)
        self.ask("changes", lambda reply: self._announced(rows, reply), rows, urgent=True)

    def _announced(self, rows: list[list[Any]], reply: Reply) -> None:
        if reply.error:
            self.errors.append(f"{self.engine.name}: changes got {reply.properties}")
            return
        answers = orjson.loads(reply.body) if reply.body else []
        answers += [0] * (len(rows) - len(answers))
        for (seq, doc_id, name, *_), answer in zip(rows, answers, strict=True):
            if not isinstance(answer, list):
                self._release(doc_id)
                continue
            out = self.engine.outgoing(doc_id, name, answer)
            if out is not None:
                self._send(out, doc_id, seq)
            elif self._replacements:
                newer = self.engine.row_name(doc_id, False)
                out = self.engine.outgoing(doc_id, newer, answer)
                assert out is not None
                self._send(out, doc_id, seq, replacedRev=name)
            else:
                said = {"id": doc_id, "rev": name, "sequence": str(seq)}
                self.tell("norev", error="410", reason="obsolete", **said)
                self._release(doc_id)

    def _rev_answered(self, sent: RevSent, reply: Reply) -> None:
        if reply.error:
            self.errors.append(f"{self.engine.name}: {sent} got {reply.properties}")
        self._release(sent.doc_id)
