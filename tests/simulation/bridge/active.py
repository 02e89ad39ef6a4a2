"""The end of a simulated Couchbase Lite that opened the connection.

It proposes, pulls and keeps the checkpoint.
"""

from __future__ import annotations

from typing import Any

import orjson

from settee.blip.message import Reply, Request
from settee.net.link import Link
from tests.simulation.bridge.engine import Engine, Progress, Proposal
from tests.simulation.bridge.replicator import ROWS_MAX, Later, Replicator, RevSent


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
            self.flush()  # What is urgent overtakes only what has not left yet.

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
        for seq, doc_id in self.engine.feed(self._read_to):
            if seq > self._end_seq and not self.continuous:
                break
            self._read_to = seq
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
        else:  # Only a look that finds nothing is told of.
            self.tell("proposeChanges", [], urgent=True, conflictIncludesRev="true")

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
