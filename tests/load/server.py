"""The listener under load: ``python -m tests.load.server DIRECTORY``.

Prints a line of JSON where it can be dialled, then answers each line of its input with one: what
the process holds, or what it was told to do.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from pathlib import Path
from typing import Any

from settee import (
    Blob,
    Database,
    ListenerPasswordAuthenticator,
    TLSIdentity,
    URLEndpointListener,
)

PASSWORD = "password"
BODY = {"text": "x" * 950}
"""A document of 1 kB."""


def say(**values: Any) -> None:
    print(json.dumps(values), flush=True)


def resident_mib() -> float:
    """Return what this process holds in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def overflows() -> int:
    """Return how often a queue of connections to be accepted ran over, on this machine."""
    lines = Path("/proc/net/netstat").read_text().splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        if names.startswith("TcpExt"):
            return int(dict(zip(names.split(), values.split(), strict=True))["ListenOverflows"])
    return 0


def state(db: Database, listener: URLEndpointListener) -> dict[str, Any]:
    return {
        "rss_mib": resident_mib(),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "fds": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "documents": db.default_collection.count(),
        "connections": listener.status.connection_count,
        "refused": len(listener.refusals),
        "overflows": overflows(),
    }


def main() -> None:
    """Serve until the input ends."""
    directory = Path(sys.argv[1])
    identity = TLSIdentity.create("load", hosts=["127.0.0.1"])
    password = ListenerPasswordAuthenticator(lambda _, secret: secret == PASSWORD)
    with Database("load", directory=directory, durability="normal") as db:
        documents = db.default_collection
        listener = URLEndpointListener(
            db, host="127.0.0.1", tls_identity=identity, authenticator=password
        )
        with listener:
            say(port=listener.port, pin=identity.fingerprint, pid=os.getpid())
            for line in sys.stdin:
                word, *rest = line.split()
                if word == "state":
                    pass
                elif word == "fill":  # fill PREFIX COUNT
                    documents.save_many(
                        (f"{rest[0]}{n}", {**BODY, "n": n}) for n in range(int(rest[1]))
                    )
                elif word == "write":  # write ID
                    documents[rest[0]] = dict(BODY)
                elif word == "blob":  # blob ID BYTES
                    documents[rest[0]] = {"blob": _large(directory, int(rest[1]))}
                elif word == "restart":
                    listener.stop()
                    listener.start()
                say(**state(db, listener))


def _large(directory: Path, size: int) -> Blob:
    """Make a blob of so many bytes that no two pieces of are alike."""
    path = directory / "large"
    with path.open("wb") as file:
        for n in range(0, size, 2**20):
            file.write(os.urandom(min(2**20, size - n)))
    return Blob.from_file(path)


if __name__ == "__main__":
    main()
