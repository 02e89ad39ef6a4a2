"""The requests that only a passive peer answers: collections, checkpoints, subscriptions.

Room: pure protocol.
Touches: settee.blip, settee.errors, settee.ids, settee.limits, settee.sync.
Never touches: sockets, files, the wall clock, randomness.
Spec: wire protocol 3.1 to 3.4, 8.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson

from settee.blip.message import Request
from settee.doc.body import load
from settee.errors import InvalidNameError, PeerProtocolError, SetteeError
from settee.ids import CollectionName
from settee.limits import (
    CHECKPOINT_BODY_BYTES_MAX,
    CHECKPOINT_ID_BYTES_MAX,
    CHECKPOINTS_PER_PEER_MAX,
    DOCUMENT_IDS_SUBSCRIBED_MAX,
)
from settee.sync.effects import ReadPeerCheckpoints, SavePeerCheckpoint
from settee.sync.puller import Puller
from settee.sync.pusher_passive import PassivePusher

if TYPE_CHECKING:
    from settee.sync.session import Session

__all__ = ["PassiveRequests"]


class PassiveRequests:
    """Answers what an active peer asks at the beginning, and sets up pushers and pullers."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._named_count = 0  # Collections that the peer named.
        self._written: set[str] = set()  # IDs of checkpoints.
        self._handlers: dict[str, Callable[[Request], None]] = {
            "getCollections": self._get_collections,
            "getCheckpoint": self._get_checkpoint,
            "setCheckpoint": self._set_checkpoint,
            "subChanges": self._sub_changes,
        }

    def handles(self, profile: str) -> bool:
        """Whether this is one of the requests answered here."""
        return profile in self._handlers

    def handle(self, profile: str, request: Request) -> None:
        """Answer it; raises PeerProtocolError if it can't be."""
        self._handlers[profile](request)

    def count(self) -> int:
        """Return how many collections the session is about."""
        session = self._session
        return len(session.config.collections) if session.config.active else self._named_count

    # --- which collections ------------------------------------------------------------------------

    def begin_legacy(self, collection: str | None) -> None:
        """The first message does not name collections: it is about the default one."""
        if collection is not None:
            raise PeerProtocolError("Passing collection requires calling getCollections first")
        for ours, name in enumerate(self._session.config.collections):
            if name.is_default:
                self._session.with_collections = False
                self._serve([ours])
                return
        raise PeerProtocolError(
            "This server is not configured for 3.0 client support", domain="BLIP"
        )

    def _serve(self, ours: list[int]) -> None:
        session = self._session
        self._named_count = len(ours)
        for wire, collection in enumerate(ours):
            if collection < 0:  # Not served: nothing is set up, the index stays unusable.
                continue
            pusher = PassivePusher(session, wire, collection)
            if session.config.push:
                session.pushers[wire] = pusher
            if session.config.pull:
                session.pullers[wire] = Puller(
                    session, wire, collection, remote=None, pusher=pusher
                )

    def _get_collections(self, request: Request) -> None:
        session = self._session
        if session.with_collections is not None:
            raise PeerProtocolError("getCollections must come first, and once", domain="BLIP")
        paths, ids = self._parse_collections(request.body)
        number = request.number
        served = {name: i for i, name in enumerate(session.config.collections)}
        ours = [served.get(name, -1) for name in paths]
        session.with_collections = True

        def read(checkpoints: list[tuple[str, bytes] | None]) -> None:
            answers: list[object] = []
            for index, found in zip(ours, checkpoints, strict=True):
                if index < 0:
                    answers.append(None)
                elif found is None:
                    answers.append({})
                else:
                    rev, body = found
                    answers.append({**load(body), "rev": rev})
            session.connection.reply(number, {}, orjson.dumps(answers))

        self._serve(ours)
        session.ask(
            ReadPeerCheckpoints(tuple(ids)),
            read,
            lambda error: session.refuse_request(number, error),
        )

    def _parse_collections(self, body: bytes) -> tuple[list[CollectionName], list[str]]:
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as exc:
            raise PeerProtocolError("getCollections without JSON", domain="BLIP") from exc
        paths = value.get("collections") if isinstance(value, dict) else None
        ids = value.get("checkpoint_ids") if isinstance(value, dict) else None
        if (
            not isinstance(paths, list)
            or not isinstance(ids, list)
            or len(paths) != len(ids)
            or not 1 <= len(paths) <= CHECKPOINTS_PER_PEER_MAX
        ):
            raise PeerProtocolError(
                "getCollections needs collections and checkpoint_ids of the same length",
                domain="BLIP",
            )
        names = []
        for path in paths:
            try:
                names.append(CollectionName.parse(path if isinstance(path, str) else ""))
            except InvalidNameError as exc:
                raise PeerProtocolError(str(exc), domain="BLIP") from exc
        if len(set(names)) != len(names):
            raise PeerProtocolError("getCollections names a collection twice", domain="BLIP")
        for id_ in ids:
            self._check_id(id_)
        return names, ids

    # --- checkpoints ------------------------------------------------------------------------------

    def _check_id(self, id_: object) -> str:
        if not isinstance(id_, str) or not id_:
            raise PeerProtocolError("missing checkpoint ID", domain="BLIP")
        if len(id_.encode("utf-8", "replace")) > CHECKPOINT_ID_BYTES_MAX:
            raise PeerProtocolError("the checkpoint ID is too long", domain="BLIP")
        return id_

    def _get_checkpoint(self, request: Request) -> None:
        session = self._session
        session.index_of(request)
        id_ = self._check_id(request.properties.get("client"))
        number = request.number

        def read(checkpoints: list[tuple[str, bytes] | None]) -> None:
            if checkpoints[0] is None:
                session.connection.reply_error(number, "HTTP", 404, "")
            else:
                rev, body = checkpoints[0]
                session.connection.reply(number, {"rev": rev}, body)

        session.ask(
            ReadPeerCheckpoints((id_,)),
            read,
            lambda error: session.refuse_request(number, error),
        )

    def _set_checkpoint(self, request: Request) -> None:
        session = self._session
        session.index_of(request)
        id_ = self._check_id(request.properties.get("client"))
        body = request.body
        if len(body) > CHECKPOINT_BODY_BYTES_MAX:
            raise PeerProtocolError("the checkpoint is too large")
        load(body)  # An object, and one that can be written again.
        if len(self._written | {id_}) > CHECKPOINTS_PER_PEER_MAX:
            raise PeerProtocolError(
                f"more than {CHECKPOINTS_PER_PEER_MAX} checkpoints in one session", code=403
            )
        self._written.add(id_)
        session.take_in(len(body))
        number = request.number

        def saved(rev: str | None) -> None:
            session.inbound_bytes -= len(body)
            if rev is None:
                session.connection.reply_error(number, "HTTP", 409, "revision ID mismatch")
            else:
                session.connection.reply(number, {"rev": rev})

        def failed(error: SetteeError) -> None:
            session.inbound_bytes -= len(body)
            session.refuse_request(number, error)

        session.ask(
            SavePeerCheckpoint(id_, request.properties.get("rev", ""), body),
            saved,
            failed,
        )

    # --- subscriptions ----------------------------------------------------------------------------

    def _sub_changes(self, request: Request) -> None:
        session = self._session
        index = session.index_of(request)
        pusher = session.pushers.get(index)
        if pusher is None:
            raise PeerProtocolError("Attempting to pull from a push-only replicator", code=403)
        assert isinstance(pusher, PassivePusher)
        properties = request.properties
        if "filter" in properties:
            raise PeerProtocolError(
                "filters and channels are not supported here", domain="LiteCore", code=19
            )
        versioning = session.dialect.versioning
        if properties.get("versioning", versioning) != versioning:
            raise PeerProtocolError(
                "Incompatible document versioning.", domain="LiteCore", code=501
            )
        if pusher.is_subscribed:
            raise PeerProtocolError("already sending changes", domain="LiteCore", code=501)
        doc_ids = self._doc_ids(request.body)
        session.connection.reply_empty([request.number])
        pusher.subscribe(request, doc_ids)

    def _doc_ids(self, body: bytes) -> frozenset[str] | None:
        if not body:
            return None
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as exc:
            raise PeerProtocolError("the body of subChanges is not JSON") from exc
        ids = value.get("docIDs") if isinstance(value, dict) else None
        if ids is None:
            return None
        if not isinstance(ids, list) or not all(isinstance(i, str) for i in ids):
            raise PeerProtocolError("docIDs is not an array of strings")
        if len(ids) > DOCUMENT_IDS_SUBSCRIBED_MAX:
            raise PeerProtocolError(f"more than {DOCUMENT_IDS_SUBSCRIBED_MAX} docIDs")
        return frozenset(ids)
