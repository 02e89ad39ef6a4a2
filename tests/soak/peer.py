"""One peer of a soak in a process of its own: ``tests.soak.peer DIRECTORY NAME PORT SEED``.

Serves its database with TLS, and answers each line of its input with a line of JSON. Beside that it
does ten document operations a second, and writes down in ``journal`` what was done, after the call
returned.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from settee import (
    BasicAuthenticator,
    Blob,
    CollectionChange,
    Database,
    ListenerPasswordAuthenticator,
    NotFoundError,
    Replicator,
    TLSIdentity,
    URLEndpointListener,
)
from settee.peer.attach import runtime_of
from tests.load.server import PASSWORD, resident_mib, say

OPERATIONS_PER_S: Final = 10
OWN: Final = 1000
"""Documents that this peer alone writes."""
SHARED: Final = 100
"""Documents that all write."""
PICTURES: Final = 20
LOOP_LOOK_S: Final = 0.1
COMPACT_S: Final = 60.0


class Peer:
    """The database, who it is in touch with, and what is measured."""

    def __init__(self, directory: Path, name: str, port: int, seed: int) -> None:
        self._name: Final = name
        self._chance: Final = random.Random(seed)
        self._identity: Final = TLSIdentity.self_signed(name, directory=directory / "identity")
        self._journal: Final = (directory / f"{name}.journal").open("a", encoding="utf-8")
        self.db: Final = Database(name, directory=directory)
        self._documents: Final = self.db.default_collection
        self.listener: Final = URLEndpointListener(
            self.db,
            host="127.0.0.1",
            port=port,
            path="soak",
            tls_identity=self._identity,
            delta_sync=True,
            authenticator=ListenerPasswordAuthenticator(lambda _, secret: secret == PASSWORD),
        )
        self._replicators: Final[list[Replicator]] = []
        self._quiet_since = float("inf")
        self._arrivals: Final[list[float]] = []
        self._loop_lags: Final[list[float]] = []
        self._writing = threading.Event()
        self._ended = threading.Event()
        self._worker: Final = threading.Thread(target=self._work)
        self._done = 0

    def start(self) -> None:
        self.listener.start()
        self._documents.on_change(self._changed)
        runtime = runtime_of(self.db)
        self._loop: Final = runtime.loop
        self._loop.call_soon_threadsafe(self._look, time.monotonic())
        self._worker.start()
        say(port=self.listener.port, pin=self._identity.fingerprint, pid=os.getpid())

    def stop(self) -> None:
        self._ended.set()
        self._worker.join()
        self.db.close()
        self._journal.close()

    # --- what it does ---

    def _work(self) -> None:
        compacted = time.monotonic()
        while not self._ended.wait(1 / OPERATIONS_PER_S):
            if not self._writing.is_set():
                continue
            self._operate()
            if time.monotonic() - compacted > COMPACT_S:
                compacted = time.monotonic()
                self.db.compact()

    def _operate(self) -> None:
        chance = self._chance
        kind = chance.choices(["own", "shared", "delete", "picture"], [60, 26, 10, 4])[0]
        self._done += 1
        body: dict[str, Any] = {"by": self._name, "at": time.time(), "text": "x" * 200}
        if kind == "own":
            id = f"{self._name}-{chance.randrange(OWN)}"
            body["n"] = chance.randrange(2**40)
            self._documents[id] = body
            self._journal.write(json.dumps([id, body["n"]]) + "\n")
            self._journal.flush()
        elif kind == "shared":
            self._documents[f"shared-{chance.randrange(SHARED)}"] = body
        elif kind == "picture":
            size = int(2 ** chance.uniform(10, 22.25))  # 1 kB to 5 MB.
            body["picture"] = Blob.from_bytes(chance.randbytes(size), "image/png")
            self._documents[f"picture-{self._name}-{chance.randrange(PICTURES)}"] = body
        else:
            with contextlib.suppress(NotFoundError):
                self._documents.delete(f"shared-{chance.randrange(SHARED)}")

    # --- what it measures ---

    def _changed(self, change: CollectionChange) -> None:
        now, since = time.time(), self._quiet_since
        for id in change.document_ids:
            document = self._documents.get(id)
            if document is not None and document["by"] != self._name and document["at"] > since:
                self._arrivals.append(now - document["at"])

    def _look(self, expected: float) -> None:
        now = time.monotonic()
        self._loop_lags.append(max(0.0, now - expected))
        if not self._ended.is_set():
            self._loop.call_later(LOOP_LOOK_S, self._look, now + LOOP_LOOK_S)

    def state(self) -> dict[str, Any]:
        arrivals, lags = self._arrivals[:], self._loop_lags[:]
        del self._arrivals[: len(arrivals)], self._loop_lags[: len(lags)]
        wals = list(self.db.path.glob("*-wal"))
        return {
            "rss_mib": resident_mib(),
            "fds": len(os.listdir("/proc/self/fd")),
            "threads": threading.active_count(),
            "wal_mib": max((w.stat().st_size for w in wals if w.exists()), default=0) / 2**20,
            "loop_lags": lags,
            "arrivals": arrivals,
            "operations": self._done,
            "documents": len(self._documents),
        }

    def contents(self) -> dict[str, Any]:
        """Return a digest of all that is there, pictures read to the end, and the own documents."""
        digest = hashlib.sha256()
        own: dict[str, int] = {}
        count = 0
        for document in self._documents.documents():
            count += 1
            body = {key: value for key, value in document.items() if key != "picture"}
            digest.update(json.dumps([document.id, body], sort_keys=True).encode())
            if "picture" in document:
                digest.update(hashlib.sha256(document["picture"].read()).digest())
            if "n" in body:
                own[document.id] = body["n"]
        return {"digest": digest.hexdigest(), "documents": count, "own": own}

    # --- what it is told ---

    def told(self, word: str, rest: list[str]) -> dict[str, Any]:
        if word == "dial":
            replicator = Replicator(
                self.db,
                rest[0],
                continuous=True,
                authenticator=BasicAuthenticator(self._name, PASSWORD),
                pinned_server_certificate=rest[1],
                max_attempt_wait=4,
            )
            replicator.start()
            self._replicators.append(replicator)
        elif word == "write":
            self._writing.set()
        elif word == "rest":
            self._writing.clear()
        elif word == "loud":
            self._quiet_since = float("inf")
        elif word == "quiet":
            self._quiet_since = time.time()
        elif word == "contents":
            return self.contents()
        return self.state() if word == "state" else {}


def main() -> None:
    """Live until the input ends."""
    directory, name, port, seed = sys.argv[1:]
    peer = Peer(Path(directory), name, int(port), int(seed))
    peer.start()
    try:
        for line in sys.stdin:
            word, *rest = line.split()
            say(**peer.told(word, rest))
    finally:
        peer.stop()


if __name__ == "__main__":
    main()
