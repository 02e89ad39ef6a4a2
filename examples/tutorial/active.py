"""The active peer of the tutorial: it looks for a listener, connects, and stays in sync.

python active.py bob --pin 31e64db3…
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from inventory import ITEMS, open_inventory, set_quantity, watch

from settee import (
    Activity,
    BasicAuthenticator,
    ConfigError,
    Database,
    PeerFound,
    Replicator,
    ReplicatorStatus,
    SyncError,
    URLEndpointListener,
    browse,
)


# --8<-- [start:browse]
def find(
    name: str | None = None,
    *,
    timeout: float = 10,
    interfaces: Sequence[str] | None = None,
    own: Sequence[URLEndpointListener] = (),
) -> PeerFound | None:
    """Look for a listener on this network: by name, or the first that is there."""
    with browse(interfaces=interfaces, own=own) as peers:
        return peers.wait_for(lambda peer: name in (None, peer.name), timeout)


# --8<-- [end:browse]
# --8<-- [start:resolve]
def describe(peer: PeerFound) -> str:
    """Return what a listener tells about itself."""
    return f"{peer.name}: {peer.urls[0]}, certificate {peer.id}…"


# --8<-- [end:resolve]
# --8<-- [start:skip]
def skip() -> dict[str, Any]:
    """Take any self-signed certificate. For development."""
    return {"accept_only_self_signed": True, "trust_on_first_use": False}


# --8<-- [end:skip]
# --8<-- [start:ca]
def authorities(roots: Path) -> dict[str, Any]:
    """Take what an authority has signed; without `trusted_roots`, one of the system's."""
    return {"trusted_roots": roots.read_bytes()}


# --8<-- [end:ca]
# --8<-- [start:pinned]
def pinned(fingerprint: str) -> dict[str, Any]:
    """Take exactly one certificate: the one with this fingerprint."""
    return {"pinned_server_certificate": fingerprint}


# --8<-- [end:pinned]
# --8<-- [start:replicator]
def make_replicator(
    db: Database, target: str | PeerFound, user: str, password: str, **validation: Any
) -> Replicator:
    """Return a replicator that pushes and pulls, and stays connected."""
    return Replicator(
        db,
        target,  # `wss://host:port/userdb`, or what `browse` found.
        replicator_type="push_and_pull",  # The default.
        continuous=True,
        authenticator=BasicAuthenticator(user, password),
        **validation,
    )


# --8<-- [end:replicator]
# --8<-- [start:status]
class StatusLine:
    """Prints what a replicator is doing, when that changes, and why if it went wrong."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, status: ReplicatorStatus) -> None:
        """Take a new status."""
        words = {
            Activity.STOPPED: "disconnected",
            Activity.OFFLINE: "offline, will try again",
            Activity.CONNECTING: "connecting",
            Activity.IDLE: "connected",
            Activity.BUSY: "connected",  # Documents are travelling.
        }[status.activity]
        if status.error is not None:
            words += f": {status.error}"
        if words != self._last:
            self._last = words
            print(words)


# --8<-- [end:status]
# --8<-- [start:connect]
def connect(replicator: Replicator) -> bool:
    """Start, and wait until both sides are level; tell whether that worked."""
    replicator.start()
    try:
        return replicator.wait_for("idle", timeout=10)
    except SyncError as error:  # Refused, not the pinned certificate, a wrong password …
        print(f"Not connected: {error}")
        return False


# --8<-- [end:connect]
# --8<-- [start:list]
class Peers:
    """The peers of this device: connect, disconnect, connect again, remove."""

    def __init__(self) -> None:
        self._replicators: dict[str, tuple[Replicator, Callable[[], None]]] = {}

    def add(self, name: str, replicator: Replicator) -> bool:
        """Put a peer on the list and connect."""
        end_status = replicator.on_status(StatusLine())
        self._replicators[name] = (replicator, end_status)
        return connect(replicator)

    def disconnect(self, name: str) -> None:
        """Stop, and keep the peer on the list."""
        replicator, _ = self._replicators[name]
        replicator.stop()

    def reconnect(self, name: str) -> bool:
        """Start again; it goes on where it was."""
        replicator, _ = self._replicators[name]
        return connect(replicator)

    def remove(self, name: str) -> None:
        """Stop, and take the peer off the list."""
        replicator, end_status = self._replicators.pop(name)
        end_status()
        replicator.stop()


# --8<-- [end:list]
def main() -> None:
    """Stay in sync until `q` and Return; `item::corn 12` changes a quantity."""
    parser = argparse.ArgumentParser(description="The tutorial's active peer.")
    parser.add_argument("user", help="whose database is opened, and who logs in")
    parser.add_argument("--url", help="where the listener is; default: look for one")
    parser.add_argument("--pin", help="fingerprint of the listener's certificate")
    options = parser.parse_args()
    # --8<-- [start:main]
    target = options.url or find()
    if target is None:
        raise SystemExit("No listener is announced here; give its --url.")
    validation = pinned(options.pin) if options.pin else skip()
    with open_inventory(options.user, Path("tutorial")) as db:
        items = db.collection(ITEMS)
        try:
            replicator = make_replicator(db, target, options.user, "password", **validation)
        except ConfigError as error:  # Not a URL of a listener, for example.
            raise SystemExit(str(error)) from error
        peers = Peers()
        with watch(items):
            if not peers.add("the listener", replicator):
                return
            print("`item::corn 12` sets a quantity, q stops.")
            while (line := input()) != "q":
                id, _, quantity = line.partition(" ")
                if id in items and quantity.isdigit():
                    set_quantity(items, id, int(quantity))
            peers.remove("the listener")
    # --8<-- [end:main]


if __name__ == "__main__":
    main()
