"""A foreign peer and settee, brought together: the same words for both, whoever is the active one.

A direction is said from settee's side: ``"in"`` (documents come to settee), ``"out"``, ``"both"``.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from settee import (
    BasicAuthenticator,
    DocumentError,
    ListenerPasswordAuthenticator,
    Replicator,
    SyncError,
    TLSIdentity,
    URLEndpointListener,
)
from tests.interop.choices import NONE, Choices
from tests.interop.content import Body, Seen, differences
from tests.interop.couchbase_lite import CouchbaseLite, CouchbaseLiteError
from tests.interop.ours import DEFAULT, Ours
from tests.interop.sync_gateway import USER, SyncGateway

__all__ = ["CouchbaseLitePair", "Pair", "Side", "SyncGatewayPair", "check_same", "until"]

ONE_SHOT_TIMEOUT_S: Final = 120
SETTLE_TIMEOUT_S: Final = 60
CONFLICT: Final = 10_409
"""What Couchbase Lite calls the peer's 409."""
REJECTED: Final = 10_403
"""What Couchbase Lite calls a document that its pull filter did not let in."""


def until(done: Callable[[], bool], timeout_s: float = SETTLE_TIMEOUT_S) -> bool:
    """Look again and again until `done()`; false if it did not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class Side(Protocol):
    """One of the two peers."""

    def save(self, documents: Mapping[str, Body], collection: str = DEFAULT) -> None:
        """Save documents over what is there."""

    def delete(self, ids: Iterable[str], collection: str = DEFAULT) -> None:
        """Delete documents."""

    def dump(self, collection: str = DEFAULT) -> dict[str, Seen]:
        """Read all documents."""

    def count(self, collection: str = DEFAULT) -> int:
        """Count documents."""


class Pair(Protocol):
    """What a scenario can do with two peers."""

    ours: Ours

    @property
    def active(self) -> Side:
        """The side that dials."""

    @property
    def passive(self) -> Side:
        """The side that is dialled."""

    def save(self, documents: Mapping[str, Body], collection: str = DEFAULT) -> None:
        """Save documents at theirs."""

    def delete(self, ids: Iterable[str], collection: str = DEFAULT) -> None:
        """Delete documents at theirs."""

    def dump(self, collection: str = DEFAULT) -> dict[str, Seen]:
        """Read all of theirs."""

    def count(self, collection: str = DEFAULT) -> int:
        """Count theirs."""

    def sync(self, direction: str, *, conflicts: bool = False, choices: Choices = NONE) -> None:
        """Sync once; raises the active side's error, and complains of documents refused.

        With `conflicts` a document may be refused for one: it is for the next sync.
        """

    def start(self, direction: str) -> None:
        """Sync continuously."""

    def stop(self) -> None:
        """Stop that."""

    def restart_ours(self) -> None:
        """Close and open settee's database, while a continuous sync runs."""

    def kill_active_midway(self, direction: str) -> None:
        """Have the active peer die while it syncs, some documents over, and be there again."""


def check_same(pair: Pair, collections: Iterable[str] = (DEFAULT,)) -> None:
    """Compare all documents and blobs of both sides."""
    for name in collections:
        found = differences(pair.ours.dump(name), pair.dump(name))
        assert not found, f"{name}:\n" + "\n".join(found)


class CouchbaseLitePair:
    """Couchbase Lite dials settee's listener."""

    TYPES: Final = {"in": "PUSH", "out": "PULL", "both": "PUSH_AND_PULL"}

    def __init__(
        self,
        start: Callable[[], CouchbaseLite],
        process: CouchbaseLite,
        db: str,
        directory: Path,
        identity: TLSIdentity,
    ) -> None:
        self._start_process: Final = start
        self.process = process
        self.db: Final = db
        self.identity: Final = identity
        self.ours: Final = Ours(directory)
        self.process.open(db)
        self._port = 0
        self.listener = self._listen()

    def listen_again(self, **options: Any) -> None:
        """Listen with other options, at the same port."""
        self.listener.stop()
        self.listener = self._listen(**options)

    def _listen(self, **options: Any) -> URLEndpointListener:
        listener = URLEndpointListener(
            self.ours.db,
            host="127.0.0.1",
            port=self._port,
            tls_identity=self.identity,
            authenticator=ListenerPasswordAuthenticator(lambda *given: given == USER),
            **options,
        )
        listener.start()
        self._port = listener.port
        return listener

    @property
    def active(self) -> Side:
        return self

    @property
    def passive(self) -> Side:
        return self.ours

    @property
    def url(self) -> str:
        return f"wss://127.0.0.1:{self._port}/ours"

    def close(self) -> None:
        with contextlib.suppress(CouchbaseLiteError):
            self.process.ask("close", db=self.db)
        self.ours.db.close()

    def save(self, documents: Mapping[str, Body], collection: str = DEFAULT) -> None:
        assert collection == DEFAULT
        self.process.save(self.db, documents)

    def delete(self, ids: Iterable[str], collection: str = DEFAULT) -> None:
        assert collection == DEFAULT
        self.process.delete(self.db, ids)

    def dump(self, collection: str = DEFAULT) -> dict[str, Seen]:
        assert collection == DEFAULT
        return self.process.dump(self.db)

    def count(self, collection: str = DEFAULT) -> int:
        assert collection == DEFAULT
        return self.process.count(self.db)

    def sync(
        self,
        direction: str,
        *,
        conflicts: bool = False,
        refused: Iterable[str] = (),
        **options: Any,
    ) -> None:
        """As `Pair.sync`; Couchbase Lite must have refused just the documents `refused`."""
        self._begin(direction, **options)
        status = self.process.wait(self.db, timeout_s=ONE_SHOT_TIMEOUT_S)
        codes = {0, CONFLICT} if conflicts else {0}
        if options.get("choices", NONE).pull_filter:
            codes.add(REJECTED)
        failed = [each for each in status["documents"] if each.get("code", 0) not in codes]
        assert {each["id"] for each in failed} == set(refused), failed[:3]

    def _begin(self, direction: str, *, port: int | None = None, **options: Any) -> None:
        given = {"credentials": USER, "pin": self.identity.certificate_der, **options}
        url = f"wss://127.0.0.1:{port or self._port}/ours"
        self.process.start(self.db, url, type=self.TYPES[direction], **given)

    def start(self, direction: str, *, port: int | None = None) -> None:
        """As `Pair.start`; through another port if one is given."""
        self._begin(direction, continuous=True, attempts=0, port=port)

    def stop(self) -> None:
        self.process.stop(self.db)

    def restart_ours(self) -> None:
        self.ours.reopen()
        self.listener = self._listen()

    def kill_active_midway(self, direction: str) -> None:
        self._begin(direction)
        receiver = self.ours if direction == "in" else self
        before = receiver.count()
        assert until(lambda: receiver.count() > before)
        self.process.kill()
        self.process = self._start_process()
        self.process.open(self.db)


class SyncGatewayPair:
    """settee's replicator dials Sync Gateway.

    `by_version`: revisions are told apart by their versions, as both call them at level 4; their
    tree names Sync Gateway then makes up itself.
    """

    TYPES: Final = {"in": "pull", "out": "push", "both": "push_and_pull"}

    def __init__(
        self,
        process: SyncGateway,
        directory: Path,
        collections: Iterable[str] = (DEFAULT,),
        *,
        by_version: bool = True,
    ) -> None:
        self.process: Final = process
        self.db: Final = process.create(collections)
        self.ours: Final = Ours(directory, collections, by_version=by_version)
        self._by_version: Final = by_version
        self._collections: Final = tuple(collections)
        self._running: Replicator | None = None
        self._direction = ""

    @property
    def active(self) -> Side:
        return self.ours

    @property
    def passive(self) -> Side:
        return self

    def close(self) -> None:
        self.ours.db.close()

    def save(self, documents: Mapping[str, Body], collection: str = DEFAULT) -> None:
        self.process.save(self.db, documents, collection)

    def delete(self, ids: Iterable[str], collection: str = DEFAULT) -> None:
        self.process.delete(self.db, ids, collection)

    def dump(self, collection: str = DEFAULT) -> dict[str, Seen]:
        return self.process.dump(self.db, collection, by_version=self._by_version)

    def count(self, collection: str = DEFAULT) -> int:
        return self.process.count(self.db, collection)

    def options(self, direction: str) -> dict[str, Any]:
        return {
            "replicator_type": self.TYPES[direction],
            "collections": self._collections,
            "authenticator": BasicAuthenticator(*USER),
            "pinned_server_certificate": self.process.identity.fingerprint,
        }

    def sync(
        self,
        direction: str,
        *,
        conflicts: bool = False,
        choices: Choices = NONE,
        **options: Any,
    ) -> None:
        given = {**self.options(direction), **choices.for_settee(), **options}
        result = self.ours.db.replicate(self.process.url(self.db), **given)
        refused = [
            each
            for each in result.errors
            if not (conflicts and _is_conflict(each))
            and not (given["pull_filter"] and "the pull filter rejected it" in str(each.error))
        ]
        assert not refused, refused[:3]

    def start(self, direction: str) -> None:
        self._direction = direction
        self._running = Replicator(
            self.ours.db, self.process.url(self.db), continuous=True, **self.options(direction)
        )
        self._running.start()

    def stop(self) -> None:
        assert self._running is not None
        self._running.stop()

    def restart_ours(self) -> None:
        self.ours.reopen()
        self.start(self._direction)

    def kill_active_midway(self, direction: str) -> None:
        receiver = self.ours if direction == "in" else self
        before = receiver.count()
        self.start(direction)
        assert until(lambda: receiver.count() > before)
        self.ours.reopen()


def _is_conflict(error: DocumentError) -> bool:
    return isinstance(error.error, SyncError) and error.error.code == 409
