"""The passive peer of the tutorial: a listener that other devices connect to.

python passive.py alice --tls generated
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inventory import ITEMS, open_inventory, watch

from settee import (
    ConfigError,
    Database,
    HashedUsers,
    ListenerPasswordAuthenticator,
    TLSIdentity,
    URLEndpointListener,
)


# --8<-- [start:minimal]
def minimal_listener(db: Database) -> URLEndpointListener:
    """Return a listener with all defaults but one."""
    return URLEndpointListener(db, allow_anonymous=True)


# --8<-- [end:minimal]
# --8<-- [start:disabled]
def disabled(folder: Path) -> dict[str, Any]:
    """Plain text: everybody on the network can read along. For a test bench only."""
    return {"tls": False, "allow_plaintext_passwords": True}


# --8<-- [end:disabled]
# --8<-- [start:anonymous]
def anonymous(folder: Path) -> dict[str, Any]:
    """Encrypted, with a certificate that is made now and gone at the end."""
    return {}  # It is the default.


# --8<-- [end:anonymous]
# --8<-- [start:bundled]
def bundled(folder: Path) -> dict[str, Any]:
    """Encrypted, with certificate and private key out of a PKCS#12 file."""
    try:
        identity = TLSIdentity.from_pkcs12(folder / "listener.p12", "couchbase")
    except ConfigError as error:
        raise SystemExit(f"The certificate can't be used: {error}") from error
    return {"tls_identity": identity}


# --8<-- [end:bundled]
# --8<-- [start:generated]
def generated(folder: Path) -> dict[str, Any]:
    """Encrypted, with an identity that is made the first time and kept under a label."""
    return {"tls_identity": TLSIdentity.self_signed("tutorial", directory=folder / "keys")}


# --8<-- [end:generated]
TLS_MODES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "disabled": disabled,
    "anonymous": anonymous,
    "bundled": bundled,
    "generated": generated,
}


# --8<-- [start:users]
def allow_list(path: Path) -> HashedUsers:
    """Return who may come in, from a file that holds no password in plain text."""
    if not path.exists():
        users = HashedUsers()
        for user in ("alice", "bob"):
            users.add(user, "password")
        users.save(path)
    return HashedUsers.load(path)


# --8<-- [end:users]
# --8<-- [start:listener]
def make_listener(
    db: Database, folder: Path, tls: str = "generated", **options: Any
) -> URLEndpointListener:
    """Return a listener with a TLS mode and an allow-list."""
    return URLEndpointListener(
        db,
        path="userdb",  # What it is called in URLs; by default the database's name.
        authenticator=ListenerPasswordAuthenticator(allow_list(folder / "users.json")),
        delta_sync=True,  # Off unless asked for.
        **TLS_MODES[tls](folder),
        **options,  # Such as `port=` or `advertise=`.
    )


# --8<-- [end:listener]
# --8<-- [start:start]
def start(listener: URLEndpointListener) -> bool:
    """Start listening, and say where."""
    try:
        listener.start()
    except ConfigError as error:  # The port is taken, for example.
        print(f"Not listening: {error}")
        return False
    for url in listener.urls:
        print("Listening on", url)
    if listener.tls_identity is not None:
        print("Fingerprint ", listener.tls_identity.fingerprint)
    return True


# --8<-- [end:start]
# --8<-- [start:connections]
def show_connections(listener: URLEndpointListener) -> None:
    """Say how many are connected, and who they are."""
    status = listener.status
    print(f"{status.connection_count} connected, {status.active_connection_count} busy")
    for peer in listener.connections:
        progress = peer.progress
        print(f"  {peer.user} from {peer.address}: sent {progress.pushed}, got {progress.pulled}")
    for refusal in listener.refusals:
        print(f"  refused {refusal.address}: {refusal.reason}")


# --8<-- [end:connections]
# --8<-- [start:stop]
def stop(listener: URLEndpointListener, ask: Callable[[str], str] = input) -> bool:
    """Stop listening; ask first if that would disconnect somebody."""
    names = ", ".join(str(peer.user) for peer in listener.connections)
    if names and ask(f"{names} would be disconnected. Stop? [y/N] ") != "y":
        return False
    listener.stop()
    return True


# --8<-- [end:stop]
def main() -> None:
    """Listen until `q` and Return."""
    parser = argparse.ArgumentParser(description="The tutorial's passive peer.")
    parser.add_argument("user", help="whose database is opened")
    parser.add_argument("--tls", choices=TLS_MODES, default="generated")
    parser.add_argument("--advertise", metavar="NAME", default=False, help="be found as NAME")
    parser.add_argument("--host", help="listen at this address only; default: all")
    options = parser.parse_args()
    folder = Path("tutorial")
    # --8<-- [start:main]
    with open_inventory(options.user, folder) as db, watch(db.collection(ITEMS)):
        listener = make_listener(
            db, folder, options.tls, host=options.host, advertise=options.advertise
        )
        if not start(listener):
            return
        print("Return shows who is connected, q stops.")
        while input() != "q" or not stop(listener):
            show_connections(listener)
    # --8<-- [end:main]


if __name__ == "__main__":
    main()
