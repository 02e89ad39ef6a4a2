"""One peer in a process of its own, to be killed: ``python -m tests.crash.peers …``.

``listen DIRECTORY`` serves the database there and prints a line of JSON for its address, then one
for each change of the number of documents. ``sync DIRECTORY URL PIN`` replicates once in both
directions and prints a line for each batch of documents that the other side acknowledged.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from settee import (
    BasicAuthenticator,
    Blob,
    CollectionChange,
    Database,
    DocumentsReplicated,
    ListenerPasswordAuthenticator,
    Replicator,
    TLSIdentity,
    URLEndpointListener,
)

COLLECTION = "shop.items"
DOCUMENTS = 2000
PASSWORD = "password"


def say(*values: object) -> None:
    print(json.dumps(values), flush=True)


def picture(n: int) -> bytes:
    """Return a picture of document `n`: some large, many small, some shared."""
    if n % 10 == 0:
        return b"\x89PNG%d" % (n // 100) * 2000
    return b"\x89PNG%d" % n * (1 + n % 200)


def seed(directory: Path, name: str) -> None:
    """Make a database with half of the documents."""
    with Database(name, directory=directory, durability="normal") as db:
        items = db.collection(COLLECTION, create=True)
        first = 0 if name == "active" else 1
        items.save_many(
            (f"item::{n}", {"n": n, "image": Blob.from_bytes(picture(n), "image/png")})
            for n in range(first, DOCUMENTS, 2)
        )


def listen(directory: Path) -> None:
    identity = TLSIdentity.self_signed("crash", directory=directory / "identity")
    with Database("passive", directory=directory) as db:
        items = db.collection(COLLECTION)
        with URLEndpointListener(
            db,
            host="127.0.0.1",
            tls_identity=identity,
            authenticator=ListenerPasswordAuthenticator(lambda _, p: p == PASSWORD),
        ) as listener:
            say("url", listener.urls[0], identity.fingerprint)

            def changed(_: CollectionChange) -> None:
                say("count", len(items))

            items.on_change(changed)
            sys.stdin.read()


def sync(directory: Path, url: str, pin: str) -> None:
    with Database("active", directory=directory) as db:
        replicator = Replicator(
            db,
            url,
            collections=[COLLECTION],
            authenticator=BasicAuthenticator("bob", PASSWORD),
            pinned_server_certificate=pin,
            max_attempts=1,
        )

        def replicated(batch: DocumentsReplicated) -> None:
            done = [d.doc_id for d in batch.documents if d.error is None]
            say("pushed" if batch.pushed else "pulled", done)

        replicator.on_documents(replicated)
        replicator.start()
        try:
            replicator.wait_for("stopped")
        finally:
            replicator.stop()
        status = replicator.status
        say("done", status.progress.pushed, status.progress.pulled, str(status.error or ""))


if __name__ == "__main__":
    command, directory, *rest = sys.argv[1:]
    if command == "listen":
        listen(Path(directory))
    else:
        sync(Path(directory), *rest)
