"""A recorded passive peer, played to a settee replicator.

`ScriptedListener` answers settee's requests by the recorded intent: a proposed revision gets the
recorded status, a `rev` the recorded answer (after the blobs that the recorded listener asked for),
a checkpoint is kept and given back with revisions that count as the recorded ones do, and
`subChanges` brings what the log's state holds after the sequence that settee names, revision by
revision as recorded. What settee proposes and answers is held against what the recorded active peer
said of the same revisions.

Two things are not as recorded, since they are each active peer's own business:

* settee resolves a conflict as soon as it pulls it, and pushes the result; the recorded peer's
  program left conflicts open. A proposal that was never recorded gets the status of the engine's
  own rule (wire protocol 3.6);
* of a level-3 listener that takes the default collection with `collection` and without, settee
  asks without, whatever the recorded peer did;
* settee never leaves deletions out of a first pull (`activeOnly`);
* with version vectors a row of settee's calls a revision by its current version; the recorded peer
  wrote the whole vector of one that was made while it was connected.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from settee.blip.message import Reply, Request
from tests.replay.log import Edit, Key, Sync
from tests.replay.names import Named
from tests.replay.recording import DEFAULT, Dialog, Said, Scenario
from tests.replay.script import Document, Holdings, Script, digests_in
from tests.simulation.links import SimLink

__all__ = ["ScriptedListener", "Serving"]

_BATCH_ROWS: Final = 200


class ScriptedListener:
    """The passive end of a scenario, over all its connections."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario: Final = scenario
        self.holdings: Final = Holdings(scenario, "srv")
        self.paths: Final = {DEFAULT} | {path for path, _ in scenario.log.final["srv"]}
        self.checkpoints: dict[str, tuple[int, bytes]] = {}
        """By client ID: how often it was set, and the body."""
        self.pushed: set[Key] = set()
        """Revisions that came from settee."""
        first = next(dialog for dialog in scenario.dialogs if dialog.status == 101)
        uuid = first.requests["c2s", 1].properties.get("uuid", "")
        self.uuid: Final = uuid if "cli" in scenario.log.authors else ""
        """What settee has to call itself; "" where it is not in the place of a recorded author."""


class Serving(Script):
    """One connection of a scripted listener."""

    def __init__(
        self, listener: ScriptedListener, link: SimLink, dialog: Dialog, sync: Sync
    ) -> None:
        super().__init__(link, dialog, listener.holdings)
        self.asked_blobs: set[str] = set()
        """Digests that settee asked for."""
        self.pushed: set[Key] = set()
        self.pulled: set[Key] = set()
        self.resolutions: set[Key] = set()
        """Of `pushed`: revisions that settee made, or named, to end a conflict."""
        self._listener = listener
        self._sync = sync
        self._proposals = dialog.offers("c2s")
        self._offers = dialog.offers("s2c")
        self._their_revs = dialog.revs("c2s")
        self._our_revs = dialog.revs("s2c")
        self._spoken = False
        self._following: dict[str, int] = {}
        """Collections whose changes settee follows, with the last sequence announced."""
        self._chosen: dict[str, list[str] | None] = {}
        """The documents that settee wants of a collection; None: all."""
        self._sending: dict[Key, int] = {}
        """Wanted and not answered yet: the number of replies that are missing."""

    async def play(self) -> None:
        """Serve until settee ends the connection. Raises AssertionError where it departs."""
        self.link.attach(self)
        await self.until(lambda: self.closed is not None, "the end of the link")
        assert self.closed is not None
        assert self.closed.code == 1000, self.closed
        assert not self._sending, f"never answered: {self._sending}"

    def edit(self, edit: Edit) -> None:
        """Make a revision here while settee is connected."""
        self.holdings.edit(edit)
        if self._sync.continuous and edit.collection in self._following:
            self._announce(edit.collection)
            self.flush()

    # --- what settee asks -------------------------------------------------------------------------

    def requested(self, request: Request) -> None:
        properties = request.properties
        profile = properties["Profile"]
        if not self._spoken:
            self._spoken = True
            self.with_collections = profile == "getCollections"
            if not self.with_collections:
                assert self.dialog.collections == [DEFAULT], f"{profile} comes first"
        match profile:
            case "getCollections":
                self._collections_asked(request)
            case "getCheckpoint":
                self._checkpoint_asked(request)
            case "setCheckpoint":
                self._checkpoint_set(request)
            case "subChanges":
                self._subscribed(request)
            case "proposeChanges":
                self._proposed(request)
            case "rev":
                self._received(request)
            case "getAttachment":
                self._blob_asked(request)
            case _:
                raise AssertionError(f"a {profile} that was never recorded: {properties}")

    def _collections_asked(self, request: Request) -> None:
        value = orjson.loads(request.body)
        assert value["collections"] == self.dialog.collections
        uuid = self._listener.uuid
        assert uuid in ("", request.properties["uuid"]), f"{request.properties}, recorded {uuid}"
        answers: list[Any] = []
        for path, client in zip(value["collections"], value["checkpoint_ids"], strict=True):
            if path not in self._listener.paths:
                answers.append(None)
            elif client not in self._listener.checkpoints:
                answers.append({})
            else:
                count, body = self._listener.checkpoints[client]
                answers.append({**orjson.loads(body), "rev": f"{count}-cc"})
        recorded = self.dialog.answers["c2s", 1].json
        assert [a is None for a in answers] == [a is None for a in recorded]
        self.connection.reply(request.number, {}, orjson.dumps(answers))

    def _checkpoint_asked(self, request: Request) -> None:
        self.collection_of(request)
        found = self._listener.checkpoints.get(request.properties["client"])
        if found is None:
            self.connection.reply_error(request.number, "HTTP", 404)
        else:
            self.connection.reply(request.number, {"rev": f"{found[0]}-cc"}, found[1])

    def _checkpoint_set(self, request: Request) -> None:
        self.collection_of(request)
        client = request.properties["client"]
        count, _ = self._listener.checkpoints.get(client, (0, b""))
        expected = f"{count}-cc" if count else ""
        assert request.properties.get("rev", "") == expected, request.properties
        body = orjson.loads(request.body)
        assert "time" in body, body
        assert body.keys() <= {"time", "began", "local", "localCompleted", "remote"}, body
        self._listener.checkpoints[client] = count + 1, request.body
        self.connection.reply(request.number, {"rev": f"{count + 1}-cc"})

    # --- giving -----------------------------------------------------------------------------------

    def _subscribed(self, request: Request) -> None:
        path = self.collection_of(request)
        properties = request.properties
        recorded = next(
            said
            for (end, _), said in self.dialog.requests.items()
            if (end, said.profile) == ("c2s", "subChanges")
            and self.dialog.collection(said.properties) == path
        )
        since = properties.get("since")
        expected = recorded.properties.get("since")
        assert since == expected, f"changes since {since}, expected {expected}"
        own = {"activeOnly", "collection"}
        theirs = {n: value for n, value in recorded.properties.items() if n not in own}
        assert theirs["versioning"] == self.names.versioning
        assert properties == properties | theirs, f"{properties}, recorded {theirs}"
        assert (properties.get("continuous") == "true") == self._sync.continuous
        chosen = orjson.loads(request.body or b"{}")
        assert chosen == (recorded.json or {}), f"{chosen}, recorded {recorded.json}"
        self._chosen[path] = chosen.get("docIDs")
        self.connection.reply_empty([request.number])
        self._following[path] = int(since or 0)
        offered = self._announce(path)
        if since == recorded.properties.get("since"):
            theirs = [key for key in self._offers if key.collection == path]
            assert offered == theirs[: len(offered)], f"offered {offered}, recorded {theirs}"
        self.connection.send_request(
            None, self._named("changes", path), b"[]", urgent=True, no_reply=True
        )

    def _named(self, profile: str, path: str) -> dict[str, str]:
        named = {"Profile": profile}
        if self.with_collections:
            named["collection"] = str(self.dialog.collections.index(path))
        return named

    def _announce(self, path: str) -> list[Key]:
        """Offer what was not offered yet."""
        chosen = self._chosen[path]
        found = [
            (key, document)
            for key, document in self.holdings.feed(path, self._following[path])
            if chosen is None or key.doc_id in chosen
        ]
        for start in range(0, len(found), _BATCH_ROWS):
            batch = found[start : start + _BATCH_ROWS]
            self.connection.send_request(
                [key for key, _ in batch],
                self._named("changes", path),
                orjson.dumps([self._row(key, document) for key, document in batch]),
                urgent=True,
                compress=True,
            )
        if found:
            self._following[path] = found[-1][1].seq
        return [key for key, _ in found]

    def _row(self, key: Key, document: Document) -> list[Any]:
        if key in self._offers:
            return [document.seq, *self._offers[key][0][1:]]
        return [document.seq, key.doc_id, key.tid, int(document.deleted), 2]

    def replied(self, reply: Reply) -> None:
        assert not reply.error, f"{reply.token} got {reply.properties} {reply.body!r}"
        if isinstance(reply.token, list):
            assert self._sync.deltas or "deltas" not in reply.properties, reply.properties
            answers = orjson.loads(reply.body or b"[]")
            assert len(answers) <= len(reply.token)
            answers += [0] * (len(reply.token) - len(answers))
            for key, answer in zip(reply.token, answers, strict=True):
                self._offer_answered(key, answer)
        elif isinstance(reply.token, Key):
            assert (reply.properties, reply.body) == ({}, b""), reply
            del self._sending[reply.token]
            self.pulled.add(reply.token)
        else:
            assert isinstance(reply.token, _Waiting)
            self._blob_came(reply.token, reply.body)

    def _offer_answered(self, key: Key, answer: Any) -> None:
        _, recorded = self._offers.get(key, (None, 0))
        if answer == 0 and key in self._listener.pushed:
            return  # It has it. (3.1 asks for it again on its first pull.)
        assert answer == recorded, f"{key} got {answer}, recorded {recorded}"
        if isinstance(answer, list):
            self._send(key, self._our_revs[key])

    def _send(self, key: Key, recorded: Said) -> None:
        document = self.holdings.documents[key.collection, key.doc_id]
        assert document.tid == key.tid, f"{key} is not current any more"
        delta = recorded.properties.get("deltaSrc")
        own = {"Profile", "collection", "sequence", "deltaSrc"}
        properties = self._named("rev", key.collection) | {"sequence": str(document.seq)}
        properties |= {n: value for n, value in recorded.properties.items() if n not in own}
        body = recorded.body if delta is None else orjson.dumps(document.body)
        self._sending[key] = 1
        self.connection.send_request(key, properties, body, compress=recorded.compressed)

    def _blob_asked(self, request: Request) -> None:
        path = self.collection_of(request)
        digest, doc_id = request.properties["digest"], request.properties["docID"]
        assert digest not in self.asked_blobs, f"{digest} was asked for twice"
        self.asked_blobs.add(digest)
        under_way = [key for key in self._sending if (key.collection, key.doc_id) == (path, doc_id)]
        assert under_way, f"{doc_id} is not being sent"
        assert digest in set(digests_in(self.holdings.bodies[under_way[0]]))
        recorded = self._recorded_fetch("c2s", digest)
        compress = request.properties.get("compress") == "true"
        assert compress == ("compress" in recorded.properties), request.properties
        data = self._listener.scenario.blobs[digest]
        self.connection.reply(request.number, {}, data, compress=compress)

    def _recorded_fetch(self, direction: str, digest: str) -> Said:
        return next(
            said
            for (end, _), said in self.dialog.requests.items()
            if end == direction and said.properties.get("digest") == digest
        )

    # --- taking -----------------------------------------------------------------------------------

    def _proposed(self, request: Request) -> None:
        path = self.collection_of(request)
        rows = orjson.loads(request.body)
        if request.no_reply:
            assert rows == [], "rows are there to be answered"
            return
        assert request.properties["conflictIncludesRev"] == "true"
        answers = [self._status_of(path, row) for row in rows]
        while answers and answers[-1] == 0:
            answers.pop()
        properties = {"blobs": "true", "deltas": "true", **self.names.reply_properties}
        self.connection.reply(request.number, properties, orjson.dumps(answers), compress=True)

    def _status_of(self, path: str, row: list[Any]) -> Any:
        doc_id = row[0]
        tid, parent = map(self.names.name_in, row[1:3])
        key = Key(path, doc_id, tid)
        if key in self._proposals:
            recorded, answer = self._proposals[key]
            assert parent == self.names.name_in(recorded[2]), f"{row}, recorded {recorded}"
            return answer
        here = self.holdings.documents.get((path, doc_id))
        assert here is not None, f"{row} was never proposed"
        assert path in self._following or (path, doc_id) in self._resolved(), row
        if here.tid == tid:
            return 304
        return 0 if here.tid == parent else {"status": 409, "rev": self.names.text(here.named)}

    def _resolved(self) -> set[tuple[str, str]]:
        """Return the documents that the recorded peer left in conflict."""
        logged = self._listener.scenario.log.final["cli"]
        return {place for place, dumped in logged.items() if dumped.conflicted}

    def _received(self, request: Request) -> None:
        key = self.key_of(request)
        assert request.properties["noconflicts"] == "1"
        assert self._sync.deltas or "deltaSrc" not in request.properties, request.properties
        deleted = request.properties.get("deleted") == "1"
        body = self.body_of(request)
        if key in self._their_revs:
            history = self.check_rev(request, self._their_revs[key])
        else:
            assert key[:2] in self._resolved(), f"{key} was never pushed"
            history = self.names.ancestors_in(request.properties["history"])
            theirs = self.holdings.documents[key[:2]].tid
            assert self.names.contains(Named(key.tid, history), theirs)
            self.holdings.bodies[key] = body
            self.resolutions.add(key)
        waiting = _Waiting(key, request.number, history, deleted, body)
        for digest in digests_in(body):
            if digest not in self.holdings.blobs:
                waiting.missing.append(digest)
        self._go_on(waiting)

    def _go_on(self, waiting: _Waiting) -> None:
        """Ask for the next blob, or take the revision."""
        key = waiting.key
        if waiting.missing:
            digest = waiting.missing[0]
            recorded = self._recorded_fetch("s2c", digest)
            properties = self._named("getAttachment", key.collection)
            properties |= {"digest": digest, "docID": key.doc_id}
            if "compress" in recorded.properties:
                properties["compress"] = "true"
            self.connection.send_request(waiting, properties)
            return
        assert self.holdings.take(key, waiting.history, waiting.deleted, waiting.body), key
        self._listener.pushed.add(key)
        self.pushed.add(key)
        self.connection.reply_empty([waiting.number])
        if self._sync.continuous and key.collection in self._following:
            self._announce(key.collection)  # Back to its author, too, as 3.1 does.

    def _blob_came(self, waiting: _Waiting, data: bytes) -> None:
        digest = waiting.missing.pop(0)
        assert data == self._listener.scenario.blobs[digest], f"another blob than {digest}"
        self.holdings.blobs.add(digest)
        self._go_on(waiting)


class _Waiting:
    """A pushed revision whose blobs are still to come; the token of the requests for them."""

    def __init__(
        self,
        key: Key,
        number: int,
        history: tuple[str, ...],
        deleted: bool,
        body: dict[str, Any],
    ) -> None:
        self.key: Final = key
        self.number: Final = number
        self.history: Final = history
        self.deleted: Final = deleted
        self.body: Final = body
        self.missing: list[str] = []
