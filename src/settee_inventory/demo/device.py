"""One device of the demo: a process with its own database, a listener, and a link to each other.

Whoever runs it writes one JSON object per line to its standard input and reads one per line from
its standard output. The first line configures it; then come orders, each answered by a line with
the order's number. In between it tells of its own accord what changes: items, links, peers.

Every device listens and is announced by DNS-SD. Of two devices, the one whose name comes first
dials the other, so that a pair has one link. A device dials only those whose certificate it was
told before (as if they had been paired once), and gives its password to no one else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import sys
import threading
from pathlib import Path
from typing import Any, Final, TextIO

from settee import (
    BasicAuthenticator,
    Blob,
    Collection,
    Database,
    ListenerPasswordAuthenticator,
    PeerFound,
    PeerGone,
    Replicator,
    ReplicatorStatus,
    SetteeError,
    TLSIdentity,
    URLEndpointListener,
    browse,
)
from settee_inventory.data import (
    ITEMS_COLLECTION,
    PICTURE_TYPE,
    other_picture,
    picture,
    seed,
)

__all__ = ["Device", "main", "snapshot"]

COLLECTIONS: Final = ["_default", ITEMS_COLLECTION]
LOOPBACK: Final = "127.0.0.1"
SERVED_AS: Final = "inventory"
USER: Final = "demo"
ID_HEX_DIGITS: Final = 16
"""So much of the certificate's fingerprint is announced by DNS-SD."""


class Device:
    """Kitchen, Shop or Van."""

    def __init__(self, config: dict[str, Any], out: TextIO) -> None:
        self._name: str = config["name"]
        self._password: str = config["password"]
        self._out = out
        self._telling = threading.Lock()
        directory = Path(config["directory"])
        logging.basicConfig(
            filename=directory / f"{self._name.lower()}.log",
            level=logging.INFO,
            format="%(asctime)s %(levelname)-7s %(name)s %(message)s",
        )
        self._identity = TLSIdentity.self_signed(self._name, directory=directory / "identities")
        self._db = Database(self._name.lower(), directory=directory)
        self._items = self._db.collection(ITEMS_COLLECTION, create=True)
        self._friends: dict[str, str] = {}
        self._links: dict[str, Replicator] = {}
        self._online: contextlib.ExitStack | None = None
        self._listener = URLEndpointListener(
            self._db,
            host=LOOPBACK,
            path=SERVED_AS,
            collections=COLLECTIONS,
            tls_identity=self._identity,
            authenticator=ListenerPasswordAuthenticator(self._knows),
            advertise=self._name,
            discovery_interfaces=[LOOPBACK],
        )

    # --- orders ----------------------------------------------------------------------------------

    def obey(self, order: dict[str, Any]) -> Any:
        """Carry out one order and return its answer."""
        match order["do"]:
            case "seed":
                return seed(self._db)
            case "meet":
                self._friends = order["friends"]
                return self._go_online()
            case "quantity":
                item = self._items[order["id"]]
                item["quantity"] = order["quantity"]
                return self._items.save(item).revision
            case "picture":
                item = self._items[order["id"]]
                slug = order["id"].removeprefix("item::")
                content = other_picture(slug) if order["other"] else picture(slug)
                item["image"] = Blob.from_bytes(content, content_type=PICTURE_TYPE)
                return self._items.save(item).revision
            case "offline":
                return self._go_offline()
            case "online":
                return self._go_online()
            case "snapshot":
                return snapshot(self._db)
            case unknown:
                raise AssertionError(f"no such order: {unknown}")

    def start(self) -> None:
        """Tell who this is, and from now on what changes."""
        self._items.on_change(lambda change: self._tell_items(list(change.document_ids)))
        self._db.default_collection.on_change(lambda _: self._tell_items([]))
        self.tell("ready", fingerprint=self._identity.fingerprint)
        self._tell_items(list(self._items))

    def close(self) -> None:
        """Leave the network, close the database."""
        self._go_offline()
        self._db.close()

    # --- the network -----------------------------------------------------------------------------

    def _go_online(self) -> int:
        """Listen, be announced, look for the others. Return the port, the same each time."""
        with contextlib.ExitStack() as online:
            online.enter_context(self._listener)
            browser = browse(interfaces=[LOOPBACK])
            browser.on_event(self._heard)
            online.enter_context(browser)
            self._online = online.pop_all()
        return self._listener.port

    def _go_offline(self) -> None:
        """Cut all links and vanish from the network."""
        if self._online is None:
            return
        # The browser first: once it is closed, nobody is dialled any more.
        self._online.close()
        self._online = None
        for replicator in self._links.values():
            replicator.stop()
        self._links.clear()

    def _knows(self, user: str, password: str) -> bool:
        return user == USER and password == self._password

    def _heard(self, event: PeerFound | PeerGone) -> None:
        """Dial each friend that appears. Runs on the browser's thread for callbacks."""
        if isinstance(event, PeerGone):
            return
        try:
            self._dial(event)
        except SetteeError as error:
            self.tell("trouble", text=f"dialling {event.name}: {error}")

    def _dial(self, peer: PeerFound) -> None:
        friend = next(
            (n for n, seen in self._friends.items() if seen[:ID_HEX_DIGITS] == peer.id), None
        )
        if friend is None:
            return
        self.tell("found", peer=friend)
        if friend < self._name:
            return
        former = self._links.pop(friend, None)
        if former is not None:
            former.stop()
        replicator = Replicator(
            self._db,
            peer,
            continuous=True,
            collections=COLLECTIONS,
            authenticator=BasicAuthenticator(USER, self._password),
            pinned_server_certificate=self._friends[friend],
        )
        self._links[friend] = replicator
        replicator.on_status(lambda status: self._tell_link(friend, status))
        replicator.start()

    # --- what is told ----------------------------------------------------------------------------

    def tell(self, event: str, **fields: Any) -> None:
        """Write one line. Callbacks come on other threads than orders; lines must not mix."""
        with self._telling:
            self._out.write(json.dumps({"event": event, **fields}) + "\n")
            self._out.flush()

    def _tell_link(self, friend: str, status: ReplicatorStatus) -> None:
        error = str(status.error) if status.error else ""
        self.tell("link", peer=friend, activity=status.activity.value, error=error)

    def _tell_items(self, doc_ids: list[str]) -> None:
        items = {}
        for doc_id in doc_ids:
            item = self._items.get(doc_id)
            if item is not None:
                items[doc_id] = [item["quantity"], item["image"].digest]
        documents = len(self._items) + len(self._db.default_collection)
        self.tell("items", items=items, documents=documents)


def snapshot(db: Database) -> dict[str, dict[str, str]]:
    """Return a digest of every document and of every blob's content, as the public API gives them.

    ``documents`` has one entry per ``collection/id``, ``blobs`` one per digest. Two databases that
    hold the same give equal snapshots.
    """
    documents: dict[str, str] = {}
    blobs: dict[str, str] = {}
    for name in COLLECTIONS:
        collection: Collection = db.collection(name)
        for document in collection.documents():
            _read_blobs(dict(document), blobs)
            text = json.dumps(document.to_dict(), sort_keys=True, ensure_ascii=False)
            documents[f"{name}/{document.id}"] = hashlib.sha256(text.encode()).hexdigest()
    return {"documents": documents, "blobs": blobs}


def _read_blobs(value: Any, blobs: dict[str, str]) -> None:
    """Add what each blob in `value` holds to `blobs`, read and not only named."""
    if isinstance(value, Blob):
        assert value.digest is not None, "a blob of a stored document has a digest"
        if value.digest not in blobs:
            blobs[value.digest] = hashlib.sha256(value.read()).hexdigest()
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _read_blobs(item, blobs)


def main() -> int:
    """Run one device until its standard input ends."""
    device = Device(json.loads(sys.stdin.readline()), sys.stdout)
    with contextlib.closing(device):
        device.start()
        for order_line in sys.stdin:
            order = json.loads(order_line)
            try:
                answer = device.obey(order)
            except (SetteeError, OSError) as error:
                device.tell("answer", number=order["number"], failed=f"{error}")
            else:
                device.tell("answer", number=order["number"], result=answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
