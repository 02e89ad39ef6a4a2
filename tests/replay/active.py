"""A recorded active peer, played to a settee listener.

`ScriptedPeer` sends the recorded requests of each connection in their recorded order, over its own
connection and with its own numbers, and never before it has had all answers and revisions that the
recorded peer had when it sent them. It answers settee's requests by the recorded *intent*: for each
document that it is offered, what the recorded peer answered for that revision (with the ancestors
that it named); to each `rev` what the recorded one got, in the recorded order; for each blob that
it is asked for, the recorded contents.

Three things differ between implementations and are carried over by what they mean:

* sequences of the passive side: a recorded `since` or `remote` becomes the highest sequence under
  which settee announced what the recorded peer had announced up to there;
* revisions of checkpoints: `rev` of setCheckpoint is what settee answered last;
* deltas: only where the listener says ``deltas`` does the peer send a recorded delta. Where it does
  not, the same revision goes with its whole body, which has to be what the recorded delta makes of
  the recorded base.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from settee.blip.message import Reply, Request
from settee.doc.delta import apply
from tests.replay.log import Edit, Failed, Key, Replicated, Sync, canonical
from tests.replay.recording import Closed, Dialog, Said, Scenario
from tests.replay.script import Holdings, Script
from tests.simulation.links import SimLink

__all__ = ["Played", "ScriptedPeer"]

_CONFLICT: Final = "LiteCore/8"


class ScriptedPeer:
    """The active end of a scenario, over all its connections."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario: Final = scenario
        self.holdings: Final = Holdings(scenario, "cli")
        self.sequences: dict[Key, int] = {}
        """Of the listener, as it announced them."""
        self.recorded: dict[Key, int] = {}
        """The same of the recorded listener."""
        self.checkpoints: dict[str, tuple[str, dict[str, Any]]] = {}
        """What the listener keeps for us, by client ID: its rev and the body."""

    def mapped(self, collection: str, recorded: int) -> int:
        """Return the listener's sequence for one of the recorded listener."""
        reached = [
            self.sequences[key]
            for key, seq in self.recorded.items()
            if key.collection == collection and seq <= recorded and key in self.sequences
        ]
        assert reached, f"nothing of {collection} up to sequence {recorded} was announced"
        return max(reached)


class Played(Script):
    """One connection of a scripted peer."""

    def __init__(
        self,
        peer: ScriptedPeer,
        link: SimLink,
        dialog: Dialog,
        sync: Sync,
        edit_there: Callable[[Edit], None],
    ) -> None:
        super().__init__(link, dialog, peer.holdings)
        self.replicated: set[Replicated] = set()
        self.failed: set[Failed] = set()
        self.asked_blobs: set[str] = set()
        self._peer = peer
        self._sync = sync
        self._edit_there = edit_there
        self._live = list(sync.live_edits)
        self._offered = dialog.offers("s2c")
        self._expected = dialog.revs("s2c")
        self._blobs_asked = [
            said.properties
            for (end, _), said in dialog.requests.items()
            if (end, said.profile) == ("s2c", "getAttachment")
        ]
        self._answers: dict[int, Reply] = {}
        """By recorded number of the request."""
        self._sent: dict[int, tuple[dict[str, str], bytes]] = {}
        self._arrived: dict[Key, int] = {}
        """Numbers of the listener's `rev` messages."""
        self._caught_up: set[str] = set()
        self._takes_deltas = False
        for key, (row, _) in self._offered.items():
            peer.recorded[key] = row[0]

    # --- playing ----------------------------------------------------------------------------------

    async def play(self) -> None:
        """Play the connection to its end. Raises AssertionError where settee departs from it."""
        self.link.attach(self)
        if self._sync.pull:  # A pull begins with telling of the conflicts that are still open.
            for place in self.holdings.branches:
                tid = self.holdings.documents[place].tid
                self.failed.add(Failed("pull", place[1], tid, _CONFLICT))
        awaited: list[tuple[Callable[[], bool], str]] = []
        for item in self.dialog.items:
            if isinstance(item, Said) and item.direction == "s2c":
                edits = self._edits_before(item)
                if edits:
                    await self._all(awaited)
                    for edit in edits:
                        self._edit_there(edit)
                awaited.extend(self._signs_of(item))
                continue
            await self._all(awaited)
            if isinstance(item, Closed):
                break
            self._say(item)
            self.flush()
        unsaid = [key for key in self._expected if key not in self._arrived]
        assert not unsaid, f"never sent: {unsaid}"
        self.link.close(1000)
        await self.until(lambda: self.closed is not None, "the end of the link")

    async def _all(self, awaited: list[tuple[Callable[[], bool], str]]) -> None:
        for ready, what in awaited:
            await self.until(ready, what)
        awaited.clear()

    def _edits_before(self, item: Said) -> list[Edit]:
        """Return the listener's edits that a recorded announcement follows upon."""
        if item.profile != "changes":
            return []
        announced = {(row[1], self.names.name_in(row[2])) for row in item.json}
        due = [
            i
            for i, edit in enumerate(self._live)
            if edit.side == "srv" and (edit.doc_id, edit.tid) in announced
        ]
        if not due:
            return []
        edits, self._live = self._live[: due[-1] + 1], self._live[due[-1] + 1 :]
        assert all(edit.side == "srv" for edit in edits), "each edit of ours is announced by us"
        return edits

    def _signs_of(self, item: Said) -> list[tuple[Callable[[], bool], str]]:
        """Return what shows that the same has arrived here that arrived in the recording."""
        if item.kind != "MSG":
            number = item.number
            request = self.dialog.requests["c2s", number]
            return [(lambda: number in self._answers, f"the answer to {request.properties}")]
        if item.profile == "rev":
            key = self.dialog.key(item)
            return [(lambda: key in self._arrived, f"rev {key}")]
        if item.profile == "changes" and item.no_reply:
            path = self.dialog.collection(item.properties)
            return [(lambda: path in self._caught_up, f"the end of the changes of {path}")]
        return []

    # --- what the recorded peer says --------------------------------------------------------------

    def _say(self, item: Said) -> None:
        if item.kind == "MSG":
            self._request(item)
            return
        recorded = self.dialog.request_of(item)
        if recorded.profile == "rev":  # Others are answered as they come.
            self.send_answer(self._arrived[self.dialog.key(recorded)], item)

    def _request(self, item: Said) -> None:
        properties, body = dict(item.properties), item.body
        if item.profile == "setCheckpoint":
            properties, body = self._checkpoint(properties, item)
        elif item.profile == "subChanges" and "since" in properties:
            path = self.dialog.collection(properties)
            properties["since"] = str(self._peer.mapped(path, int(properties["since"])))
        elif item.profile == "proposeChanges":
            self._edits_proposed(item)
        elif "deltaSrc" in properties and not self._takes_deltas:
            body = self._whole(item)
            del properties["deltaSrc"]
        self._sent[item.number] = properties, body
        urgent = item.profile == "proposeChanges"
        self.connection.send_request(
            item.number,
            properties,
            body,
            urgent=urgent,
            no_reply=item.no_reply,
            compress=item.compressed,
        )

    def _edits_proposed(self, item: Said) -> None:
        """Make the live edits of this end that a proposal follows upon."""
        proposed = {(row[0], self.names.name_in(row[1])) for row in item.json}
        while self._live and (self._live[0].doc_id, self._live[0].tid) in proposed:
            self.holdings.edit(self._live.pop(0))

    def _whole(self, item: Said) -> bytes:
        key = self.dialog.key(item)
        base = self.holdings.bodies[key._replace(tid=item.properties["deltaSrc"])]
        body = self.holdings.bodies[key]
        made = canonical(apply(base, item.json))
        assert made == canonical(body), f"the recorded delta of {key} makes {made}"
        return orjson.dumps(body)

    def _checkpoint(self, properties: dict[str, str], item: Said) -> tuple[dict[str, str], bytes]:
        rev, _ = self._peer.checkpoints.get(properties["client"], ("", {}))
        assert bool(properties.get("rev")) == bool(rev), f"{properties}, but we know {rev!r}"
        if rev:
            properties["rev"] = rev
        body = item.json
        if "remote" in body:
            path = self.dialog.collection(properties)
            body["remote"] = self._peer.mapped(path, body["remote"])
        return properties, orjson.dumps(body)

    # --- what settee answers ----------------------------------------------------------------------

    def replied(self, reply: Reply) -> None:
        assert isinstance(reply.token, int)
        number = reply.token
        request = self.dialog.requests["c2s", number]
        recorded = self.dialog.answers["c2s", number]
        self._answers[number] = reply
        if request.profile == "rev":
            self._rev_replied(request, recorded, reply)
            return
        said = f"{request.properties} got {reply.properties} {reply.body[:300]!r}"
        assert reply.error == (recorded.kind == "ERR"), said
        if reply.error:
            assert reply.properties == recorded.properties, said
            return
        match request.profile:
            case "getCollections":
                self._collections_told(request, recorded, reply)
            case "getCheckpoint":
                rev, body = self._peer.checkpoints[request.properties["client"]]
                assert reply.properties == {"rev": rev}, said
                assert orjson.loads(reply.body) == body, said
            case "setCheckpoint":
                self._peer.checkpoints[request.properties["client"]] = (
                    reply.properties["rev"],
                    orjson.loads(self._sent[number][1]),
                )
            case "proposeChanges":
                self._proposal_answered(request, recorded, reply)
            case "getAttachment":
                assert reply.body == recorded.body, f"another blob for {request.properties}"
                self.holdings.blobs.add(request.properties["digest"])
            case _:
                assert request.profile == "subChanges", said
                assert (reply.properties, reply.body) == ({}, b""), said

    def _collections_told(self, request: Said, recorded: Said, reply: Reply) -> None:
        clients = request.json["checkpoint_ids"]
        answers = orjson.loads(reply.body)
        expected: list[Any] = []
        for client, answer in zip(clients, recorded.json, strict=True):
            rev, body = self._peer.checkpoints.get(client, ("", None))
            assert bool(answer) == (body is not None), f"{answer} for {client}"
            expected.append(answer if body is None else {**body, "rev": rev})
        assert answers == expected, f"getCollections got {answers}, not {expected}"

    def _proposal_answered(self, request: Said, recorded: Said, reply: Reply) -> None:
        self._takes_deltas |= "deltas" in reply.properties
        for name in ("blobs", *self.names.reply_properties):
            assert reply.properties[name] == recorded.properties[name], reply.properties
        given = orjson.loads(reply.body)
        assert given == recorded.json, f"{request.json} got {given}, recorded {recorded.json}"
        for row, answer in zip(request.json, given, strict=False):
            if isinstance(answer, dict) and not self._sync.pull:
                name = self.names.name_in(row[1])
                self.failed.add(Failed("push", row[0], name, f"WebSocket/{answer['status']}"))

    def _rev_replied(self, request: Said, recorded: Said, reply: Reply) -> None:
        key = self.dialog.key(request)
        assert recorded.kind == "RPY", "in no recorded scenario is a pushed revision refused"
        assert not reply.error, f"{key} was refused: {reply.properties} {reply.body!r}"
        self.replicated.add(Replicated("push", key.doc_id, key.tid))

    # --- what settee asks -------------------------------------------------------------------------

    def requested(self, request: Request) -> None:
        match request.properties["Profile"]:
            case "changes":
                self._announced(request)
            case "rev":
                self._received(request)
            case "getAttachment":
                self._blob_asked(request)
            case profile:
                raise AssertionError(f"a {profile} that was never recorded: {request.properties}")

    def _announced(self, request: Request) -> None:
        path = self.collection_of(request)
        rows = orjson.loads(request.body)
        if request.no_reply:
            assert rows == [], "rows are there to be answered"
            self._caught_up.add(path)
            return
        answers = [self._answer_to(path, row) for row in rows]
        while answers and answers[-1] == 0:
            answers.pop()
        recorded = [
            said
            for (end, number), said in self.dialog.answers.items()
            if end == "s2c" and self.dialog.requests[end, number].profile == "changes"
        ]
        # None was recorded where settee alone tells the author that its own is the last.
        properties = recorded[0].properties if recorded else {}
        self.connection.reply(request.number, properties, orjson.dumps(answers), compress=True)

    def _answer_to(self, path: str, row: list[Any]) -> Any:
        seq, doc_id, tid, *rest = row
        key = Key(path, doc_id, tid)
        last = max((s for k, s in self._peer.sequences.items() if k.collection == path), default=0)
        assert key not in self._peer.sequences or self._peer.sequences[key] == seq, row
        assert seq > 0, row
        self._peer.sequences[key] = seq
        if key in self._offered:
            theirs, answer = self._offered[key]
            assert bool(rest and rest[0]) == bool(theirs[3]), f"{row}, recorded {theirs}"
            return answer
        assert self.holdings.holds(key), f"{row} was never announced (last sequence {last})"
        return 0  # Announced back to its author, as listeners may.

    def _received(self, request: Request) -> None:
        key = self.key_of(request)
        assert key in self._expected, f"{key} was never asked for"
        assert key not in self._arrived, f"{key} came twice"
        history = self.check_rev(request, self._expected[key])
        assert int(request.properties["sequence"]) == self._peer.sequences[key]
        self._arrived[key] = request.number
        deleted = "deleted" in request.properties
        self.replicated.add(Replicated("pull", key.doc_id, key.tid))
        if not self.holdings.take(key, history, deleted, self.body_of(request)):
            self.failed.add(Failed("pull", key.doc_id, key.tid, _CONFLICT))

    def _blob_asked(self, request: Request) -> None:
        self.collection_of(request)
        digest = request.properties["digest"]
        assert request.properties in self._blobs_asked, f"{request.properties} was never asked"
        assert digest in self.holdings.blobs, f"{digest} is not ours"
        assert digest not in self.asked_blobs, f"{digest} was asked for twice"
        self.asked_blobs.add(digest)
        compress = request.properties.get("compress") == "true"
        data = self._peer.scenario.blobs[digest]
        self.connection.reply(request.number, {}, data, compress=compress)
