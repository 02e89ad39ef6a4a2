"""How an active session begins: checkpoints compared, pushers and pullers set up.

Room: pure protocol.
Touches: settee.blip, settee.doc, settee.errors, settee.limits, settee.sync.
Never touches: sockets, files, the wall clock, randomness.
Spec: wire protocol 3.1, 3.2, 3.4, 4.3, 9.5.

It opens with `getCollections`, or with `getCheckpoint` when only the default collection is
replicated, and subscribes to the peer's changes where the checkpoint says that it stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from settee.blip.message import Reply
from settee.errors import PeerProtocolError, SyncError
from settee.sync.checkpoint import Checkpointer
from settee.sync.dialect import VECTORS
from settee.sync.effects import ReadOwnCheckpoints
from settee.sync.messages import error_of_reply
from settee.sync.puller import Puller
from settee.sync.pusher_active import ActivePusher

if TYPE_CHECKING:
    from settee.sync.session import Session

__all__ = ["Opening"]


class Opening:
    """Begins an active session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def begin(self) -> None:
        """Read our own checkpoints, then ask for the peer's."""
        session, config = self._session, self._session.config
        only_default = len(config.collections) == 1 and config.collections[0].is_default
        session.with_collections = (
            config.level == VECTORS or not only_default
            if config.names_collections is None
            else config.names_collections
        )
        for index, id_ in enumerate(config.checkpoint_ids):
            session.checkpointers[index] = Checkpointer(session, index, id_)
        session.ask(ReadOwnCheckpoints(config.checkpoint_ids), self._own_checkpoints_read)

    def _own_checkpoints_read(self, bodies: list[bytes | None]) -> None:
        session, config = self._session, self._session.config
        for checkpointer, body in zip(session.checkpointers.values(), bodies, strict=True):
            checkpointer.own_read(body)
        ids = config.checkpoint_ids
        if session.with_collections:
            paths = [name.path for name in config.collections]
            session.request(
                "getCollections",
                None,
                {"uuid": config.uuid} if config.uuid else {},
                orjson.dumps({"checkpoint_ids": list(ids), "collections": paths}),
                self._collections_told,
                timed=True,
            )
        else:
            session.request(
                "getCheckpoint", 0, {"client": ids[0]}, b"", self._checkpoint_told, timed=True
            )

    def _checkpoint_told(self, reply: Reply) -> None:
        if not reply.error:
            self._begin(0, reply.properties.get("rev", ""), reply.body)
            return
        error = error_of_reply(reply, "to read the checkpoint")
        if error.domain == "HTTP" and error.code == 404:
            self._begin(0, "", None)
        else:
            self._session.end(error)

    def _collections_told(self, reply: Reply) -> None:
        if reply.error:
            self._session.end(error_of_reply(reply, "to replicate these collections"))
            return
        try:
            answers = orjson.loads(reply.body)
        except orjson.JSONDecodeError:
            answers = None
        names = self._session.config.collections
        if not isinstance(answers, list) or len(answers) != len(names):
            raise PeerProtocolError("the reply to getCollections is not one entry a collection")
        missing = [name.path for name, a in zip(names, answers, strict=True) if a is None]
        if missing:
            text = ", ".join(missing)
            error = SyncError(f"the peer has no collection {text}", domain="HTTP", code=404)
            # Nothing is wrong with the peer, so it is left in good order (wire protocol 3.1).
            self._session.end(error, close_code=1000)
            return
        for index, answer in enumerate(answers):
            if not isinstance(answer, dict):
                raise PeerProtocolError("the reply to getCollections has an entry of no use")
            rev = answer.pop("rev", "")
            try:
                body = orjson.dumps(answer) if answer else None
            except orjson.JSONEncodeError as exc:  # Nested deeper than can be written.
                raise PeerProtocolError("the peer has a checkpoint of no use") from exc
            self._begin(index, rev if isinstance(rev, str) else "", body)

    def _begin(self, index: int, rev: str, peers_body: bytes | None) -> None:
        session, config = self._session, self._session.config
        checkpointer = session.checkpointers[index]
        checkpointer.agreed(rev, peers_body)
        if config.push:
            session.pushers[index] = ActivePusher(
                session, index, checkpointer, continuous=config.continuous, pulls=config.pull
            )
        if config.pull:
            session.pullers[index] = Puller(
                session, index, index, remote=checkpointer.remote, pusher=None
            )
            self._subscribe(index, checkpointer)

    def _subscribe(self, index: int, checkpointer: Checkpointer) -> None:
        properties: dict[str, str] = {}
        since = checkpointer.remote.checkpoint()
        if since:
            properties["since"] = since
        if self._session.config.continuous:
            properties["continuous"] = "true"
        properties |= {"batch": "200", "versioning": self._session.dialect.versioning}
        properties["sendReplacementRevs"] = "1"
        if self._session.config.auto_purge:
            properties["revocations"] = "true"
        options = self._session.config.options_of(index)
        if options.channels:
            properties["filter"] = "sync_gateway/bychannel"
            properties["channels"] = ",".join(options.channels)
        body = b""
        if options.document_ids is not None:
            body = orjson.dumps({"docIDs": list(options.document_ids)})

        def subscribed(reply: Reply) -> None:
            if reply.error:
                self._session.end(error_of_reply(reply, "to send its changes"))

        self._session.request("subChanges", index, properties, body, subscribed, timed=True)
