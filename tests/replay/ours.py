"""settee's end of a replayed scenario: a real database, brought to the state that a log tells."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import orjson

from settee.clock import InlineWorkers
from settee.db.database import Database
from settee.doc.records import ConflictPolicy, Held, Outcome, RevisionIn
from settee.doc.version import source_hex
from settee.ids import CollectionName
from settee.net.acceptor import Accept, Refuse, UpgradeRequest
from settee.net.http1 import check_upgrade, path_segments, tokens
from settee.net.link import PeerInfo
from settee.peer.attach import attach
from settee.peer.driver import SessionDriver
from settee.peer.passive import ListenerOptions, PassivePeer
from settee.peer.runtime import Runtime
from settee.store import feed, revisions
from tests.replay.log import Dumped, Edit, canonical
from tests.replay.names import TREE_NAMES, Names
from tests.replay.recording import Dialog
from tests.replay.script import digests_in
from tests.simulation.links import SimLink
from tests.simulation.loop import VirtualClock, VirtualLoop

__all__ = ["Ours"]

_ALL: Final = 100_000


class Ours:
    """One settee device.

    `names`: of the family that the recorded peers speak. `author`: in whose place it is, where
    revisions are named by who wrote them; the edits in the log are its own then.
    """

    def __init__(
        self,
        directory: Path,
        loop: VirtualLoop,
        collections: list[str],
        blobs: dict[str, bytes],
        *,
        names: Names = TREE_NAMES,
        author: str = "",
    ) -> None:
        self.loop: Final = loop
        self.names: Final = names
        self._blobs: Final = blobs
        self.clock: Final = VirtualClock(loop, "replay")
        """Later than the recordings: their versions are of the past, as they have to be."""
        self._path: Final = directory / "ours.settee"
        if author:
            self._write_as(author)
        self.db: Final = self._open()
        self.store: Final = self.db._store
        self.runtime: Final = Runtime(self.clock, InlineWorkers(), loop=loop)
        attach(self.db, self.runtime)
        self.collections: Final = tuple(CollectionName.parse(path) for path in collections)
        for name in self.collections:
            self.store.collection(name, create=True)

    def _open(self) -> Database:
        return Database._open(
            self._path, clock=self.clock, workers=InlineWorkers(), durability="memory"
        )

    def _write_as(self, author: str) -> None:
        """Make the database, and give it the identity of the recorded one."""
        db = self._open()
        sql = "UPDATE meta SET value = ? WHERE name = 'public_uuid'"
        db._store.submit(
            lambda writer: writer.run(sql, (bytes.fromhex(source_hex(author)),))
        ).result()
        db.close()

    # --- state ------------------------------------------------------------------------------------

    def key(self, collection: str) -> int:
        row = self.store.collection(CollectionName.parse(collection))
        assert row is not None
        return row.key

    def held(self, collection: str, doc_id: str) -> Held | None:
        with self.store.reader() as reader:
            return revisions.held(reader, self.key(collection), [doc_id], None)[0]

    def edit(self, edit: Edit) -> None:
        """Make the revision that the log tells of, under the name that it got there."""
        digests = tuple(digests_in(edit.body))
        for digest in digests:
            assert self.store.blobs.put(self._blobs[digest]) == digest
        key = self.key(edit.collection)
        held = self.held(edit.collection, edit.doc_id)
        before = None if held is None else self.names.of(held)
        tid, history, vector = self.names.given(self.names.edited(edit.tid, before))
        body = orjson.dumps(edit.body)
        revision = RevisionIn(edit.doc_id, tid, history, edit.deleted, body, vector, digests)
        (applied,) = self.store.submit(
            lambda writer: revisions.apply(
                writer, key, [revision], remote=None, policy=ConflictPolicy.REFUSE
            )
        ).result()
        assert applied.outcome is Outcome.STORED, f"{applied} for {edit}"

    def dumped(self) -> dict[tuple[str, str], Dumped]:
        """Return all documents in the form of a log's final dump; the blobs that they name must
        be there, whole."""
        result: dict[tuple[str, str], Dumped] = {}
        for row in self.store.collections():
            with self.store.reader() as reader:
                page = feed.changes(reader, row.key, 0, _ALL)
                ids = [change.doc_id for change in page.rows]
                for out in revisions.read(reader, row.key, ids):
                    assert out is not None
                    body = orjson.loads(out.body)
                    named = self.names.of(out)
                    tree = (named.name, *named.ancestors)
                    dumped = Dumped(named.name, out.deleted, canonical(body), tree, False)
                    result[row.name.path, out.doc_id] = dumped
                    for digest in digests_in(body):
                        assert self.store.blobs.read(digest) == self._blobs[digest]
        return result

    # --- listening --------------------------------------------------------------------------------

    def listener(self, options: ListenerOptions) -> PassivePeer:
        return PassivePeer(self.db, options, self.runtime)

    async def ask(self, passive: PassivePeer, dialog: Dialog) -> Accept | Refuse:
        """Let the listener decide about a recorded HTTP request.

        Of several sub-protocols it is offered the one that the recorded listener chose: the
        conversation that follows is in that one.
        """
        head = dialog.head
        check_upgrade(head)
        offered = tokens(head.headers.get("sec-websocket-protocol", ""))
        chosen = [name for name in offered if name == dialog.subprotocol]
        request = UpgradeRequest(
            path=head.target,
            segments=path_segments(head.target),
            headers=head.headers,
            subprotocols=tuple(chosen or offered),
            user_agent=head.headers["user-agent"],
            origin=None,
        )
        peer = PeerInfo(address="192.0.2.2", port=5000, user_agent=request.user_agent)
        return await passive._decide(request, peer)

    def serve(self, accept: Accept, link: SimLink) -> SessionDriver:
        """Run a session on the link of a client that was let in."""
        assert callable(accept.events)
        driver = accept.events(link)
        assert isinstance(driver, SessionDriver)
        link.attach(driver)
        return driver

    # --- the end ----------------------------------------------------------------------------------

    def close(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(1))
        self.db.close()
        pending = asyncio.all_tasks(self.loop)
        for task in pending:
            task.cancel()
        if pending:
            self.loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
