"""The replicator of a simulated Couchbase Lite: the engine's real messages, over settee's BLIP.

`Replicator` is what both ends have: taking revisions in, sending them. `ActiveReplicator` opens,
proposes and keeps the checkpoint; `PassiveReplicator` answers and announces. Level 3 speaks without collections, as Couchbase Lite 3.1 does about the default one; level 4 names
them always, as 4.x does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from settee.blip.connection import Connection
from settee.blip.message import Reply, ReplyPart, Request
from settee.net.link import CloseInfo, Link
from tests.simulation.bridge.engine import Engine, Outgoing, Progress, Proposal, Refusal

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
            self._later(self._resolve_later(doc_id))

    def _resolve_later(self, doc_id: str) -> Callable[[], None]:
        return lambda: self.engine.resolve(doc_id, self.remote)

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


class ActiveReplicator(Replicator):
    """The peer that opened the connection."""

    active = True

    def __init__(
        self,
        engine: Engine,
        remote: str,
        link: Link,
        later: Later,
        *,
        continuous: bool = False,
        push: bool = True,
        pull: bool = True,
        pull_first: bool = False,
    ) -> None:
        super().__init__(engine, remote, link, later, continuous=continuous)
        self.push, self.pull = push, pull
        self._pull_first = pull_first
        self._saved = engine.progress.get(remote, Progress())
        self._progress = Progress()
        self._rev = ""
        self._began = False
        self._agreed = False  # Whether both copies of the checkpoint say the same.
        self._end_seq = engine.last_seq
        self._told_caught_up = False
        self._pull_caught_up = not pull
        self._announced: dict[str, bool] = {}  # By sequence, in order: whether it is settled.
        self._questions = 0
        self._saving = False
        self._stopping = False

    # --- opening ----------------------------------------------------------------------------------

    @property
    def _client(self) -> str:
        return f"cp-{self.engine.name}-{self.remote}"

    def start(self) -> None:
        self.link.attach(self)
        if self.engine.level == 4:
            body = {"checkpoint_ids": [self._client], "collections": ["_default"]}
            self.ask("getCollections", self._collections_told, body)
        else:
            self.ask("getCheckpoint", self._checkpoint_told, client=self._client)
            if not self._saved.completed and not self._saved.since:
                self._begin()  # Nothing that the answer could change.
        self.flush()

    def _collections_told(self, reply: Reply) -> None:
        answer = [None] if reply.error else orjson.loads(reply.body)
        if answer == [None]:
            self._unexpected("getCollections", reply)
            return
        (body,) = answer
        self._rev = body.pop("rev", "")
        self._agree(body)

    def _checkpoint_told(self, reply: Reply) -> None:
        if reply.error and reply.properties.get("Error-Code") != "404":
            self._unexpected("getCheckpoint", reply)
            return
        self._rev = reply.properties.get("rev", "")
        self._agree({} if reply.error else orjson.loads(reply.body))

    def _agree(self, theirs: dict[str, int]) -> None:
        """Start from what both copies of the checkpoint say."""
        if self._began:
            return
        local, remote = theirs.get("local", 0), theirs.get("remote", 0)
        completed = {d: seq for d, seq in self._saved.completed.items() if seq <= local}
        self._progress = Progress(completed, min(self._saved.since, remote))
        self._agreed = self._progress == self._saved
        self._begin()

    def _begin(self) -> None:
        self._began = True
        steps = [self._begin_push, self._begin_pull]
        for step in reversed(steps) if self._pull_first else steps:
            step()

    def _begin_push(self) -> None:
        if self.push:
            self._read_feed()

    def _begin_pull(self) -> None:
        if not self.pull:
            return
        more: dict[str, str] = {"batch": "200", "revocations": "true"}
        more["versioning"] = "version-vectors" if self.engine.level == 4 else "rev-trees"
        if self.engine.level == 4:
            more["sendReplacementRevs"] = "1"
        if self._progress.since:
            more["since"] = str(self._progress.since)
        if self.continuous:
            more["continuous"] = "true"
        self._questions += 1
        self.ask("subChanges", self._subscribed, **more)

    def _subscribed(self, reply: Reply) -> None:
        self._questions -= 1
        if reply.error:
            self._unexpected("subChanges", reply)
        self._look_for_end()

    def _unexpected(self, what: str, reply: Reply) -> None:
        self.errors.append(f"{self.engine.name}: {what} got {reply.properties}")
        self.link.close(4002)

    # --- proposing --------------------------------------------------------------------------------

    def _read_feed(self) -> None:
        if not self._began or not self.push or self._stopping:
            return
        looked_up = False
        for seq, doc_id in self.engine.feed(self._read_to):
            if seq > self._end_seq and not self.continuous:
                break
            self._read_to = seq
            looked_up = True
            if self._progress.completed.get(doc_id) != seq:
                self._queue(doc_id)
        waiting, self._waiting = self._waiting, []
        proposals: list[Proposal] = []
        for doc_id in waiting:
            proposal = self.engine.proposal(doc_id, self.remote)
            if proposal is None:
                self._progress.completed[doc_id] = self.engine.seqs[doc_id]
            elif self.continuous or proposal.seq <= self._end_seq:
                proposals.append(proposal)
        if proposals:
            self._propose(proposals)
        elif looked_up or not self._told_caught_up:  # Only a look that finds nothing is told of.
            self.tell("proposeChanges", [], urgent=True, conflictIncludesRev="true")
        self._told_caught_up = True

    def _propose(self, proposals: list[Proposal]) -> None:
        assert len(proposals) <= ROWS_MAX
        self._out.update(proposal.doc_id for proposal in proposals)
        rows = [[p.doc_id, p.name, p.parent, 10] for p in proposals]
        self.ask(
            "proposeChanges",
            lambda reply: self._proposals_answered(proposals, reply),
            rows,
            urgent=True,
            conflictIncludesRev="true",
        )

    def _proposals_answered(self, proposals: list[Proposal], reply: Reply) -> None:
        if reply.error:
            self._unexpected("proposeChanges", reply)
            return
        answers = orjson.loads(reply.body) if reply.body else []
        answers += [0] * (len(proposals) - len(answers))
        for proposal, answer in zip(proposals, answers, strict=True):
            theirs = ""
            if isinstance(answer, dict):
                answer, theirs = answer["status"], answer.get("rev", "")
            if answer == 0:
                self._send_proposed(proposal)
            elif answer == 304:
                self.engine.pushed(proposal.doc_id, self.remote, proposal.name)
                self._done(proposal.doc_id, proposal.seq)
            else:
                parent = self.engine.newer_parent(proposal, theirs) if answer == 409 else ""
                if answer != 409:
                    self.errors.append(f"{self.engine.name}: {proposal} got {answer}")
                if parent:
                    self._propose([proposal._replace(parent=parent)])
                else:  # The pull will bring what it is in conflict with.
                    self._done(proposal.doc_id, proposal.seq)
        self._look_for_end()

    def _send_proposed(self, proposal: Proposal) -> None:
        doc_id, parent = proposal.doc_id, proposal.parent
        out = self.engine.outgoing(doc_id, proposal.name, [parent] if parent else [])
        if out is None:  # It has changed: the feed has it again.
            self._release(doc_id)
        else:
            self._send(out, doc_id, proposal.seq, noconflicts="1")

    def _rev_answered(self, sent: RevSent, reply: Reply) -> None:
        if not reply.error:
            self.engine.pushed(sent.doc_id, self.remote, sent.name)
        elif reply.properties.get("Error-Code") not in ("409", "8"):
            self.errors.append(f"{self.engine.name}: {sent} got {reply.properties}")
        if reply.error and reply.properties.get("Error-Code") == "503":
            self._release(sent.doc_id)
        else:
            self._done(sent.doc_id, sent.seq)
        self._look_for_end()

    def _done(self, doc_id: str, seq: int) -> None:
        self._progress.completed[doc_id] = seq
        self._release(doc_id)

    # --- pulling ----------------------------------------------------------------------------------

    def _on_changes(self, request: Request) -> None:
        rows = orjson.loads(request.body) or []
        if not rows:
            self._pull_caught_up = True
            if not request.no_reply:
                self.connection.reply_empty([request.number])
            self._look_for_end()
            return
        answers: list[Any] = []
        for row in rows:
            sequence = orjson.dumps(row[0]).decode()
            held = self.engine.find(row[1], row[2], self.remote)
            if not self._announced.get(sequence, True):
                held = None  # Announced twice, and on its way.
            else:
                self._announced[sequence] = held is None
            answers.append(0 if held is None else held)
        self._answer_rows(request, answers)
        self._advance()
        self._look_for_end()

    def _settled(self, sequence: str) -> None:
        if sequence not in self._announced:
            self.engine.violations.append(f"{self.engine.name}: {sequence} was never announced")
        self._announced[sequence] = True
        self._advance()
        self._look_for_end()

    def _advance(self) -> None:
        """Move the checkpoint up to the first announced revision that is still on its way."""
        for sequence, settled in self._announced.items():
            if not settled:
                break
            self._progress.since = max(self._progress.since, int(sequence))

    # --- ending -----------------------------------------------------------------------------------

    def stop(self) -> None:
        """End softly, whatever is still under way."""
        self._stopping = True
        self._save()
        self.flush()

    def _look_for_end(self) -> None:
        busy = self._out or self._questions or not self._pull_caught_up
        if busy or self._waiting or not all(self._announced.values()) or not self._began:
            return
        if not self.continuous:
            self._save()

    def _save(self) -> None:
        if self._saving or self.closed is not None:
            return
        self._saving = True
        pending = [
            seq
            for doc_id, seq in self.engine.seqs.items()
            if self._progress.completed.get(doc_id) != seq
        ]
        local = min(pending) - 1 if pending else self.engine.last_seq
        progress = Progress(dict(self._progress.completed), self._progress.since)
        if progress == self._saved and self._agreed:
            self.link.close(1000)
            return
        body = {"time": 1, "local": local, "remote": progress.since}
        self.ask(
            "setCheckpoint",
            lambda reply: self._save_answered(progress, reply),
            body,
            client=self._client,
            rev=self._rev,
        )

    def _save_answered(self, progress: Progress, reply: Reply) -> None:
        if reply.error and reply.properties.get("Error-Code") == "409":
            # The answer to an earlier one was lost: take the rev, keep our own body.
            self.ask("getCheckpoint", self._rev_told, client=self._client)
            return
        if reply.error:
            self._unexpected("setCheckpoint", reply)
            return
        self.engine.progress[self.remote] = progress
        self.link.close(1000)

    def _rev_told(self, reply: Reply) -> None:
        self._rev = "" if reply.error else reply.properties["rev"]
        self._saving = False
        self._save()


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
