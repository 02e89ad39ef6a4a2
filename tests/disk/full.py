"""The scenario of a full disk: ``python -m tests.disk.full PLACE tmpfs|limit``.

Prints one line of JSON: for each operation what it came to while the disk was full, and what it
came to afterwards, in the same open database.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from pathlib import Path

from settee import (
    BasicAuthenticator,
    Database,
    DiskFullError,
    ListenerPasswordAuthenticator,
    ReplicationResult,
    SetteeError,
    TLSIdentity,
    URLEndpointListener,
)
from tests.disk.operations import OPERATIONS, Model, reads, seed

PUSHED_COUNT = 12


class Tmpfs:
    """Fills the file system with one file of ballast."""

    def __init__(self, place: Path) -> None:
        self._ballast = place / "ballast"

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            for piece in (65536, 4096, 512):
                try:
                    while file.write(b"b" * piece):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


class Limit:
    """Lets no file grow over the size of the largest."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def fill(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def outcome(name: str, db: Database, model: Model, place: Path) -> str:
    try:
        OPERATIONS[name](db, model, place)
    except DiskFullError:
        return "full"
    except SetteeError as exc:
        return f"{type(exc).__name__}: {exc}"
    return "done"


def push(db: Database, directory: Path, model: Model, disk: Tmpfs | Limit) -> dict[str, object]:
    """Push into the full database through a listener; return what came of it, then and after."""
    identity = TLSIdentity.self_signed("full", directory=directory)
    listener = URLEndpointListener(
        db,
        host="127.0.0.1",
        tls_identity=identity,
        authenticator=ListenerPasswordAuthenticator(lambda _, __: True),
    )
    with listener, Database("active", directory=directory) as active:
        items = {f"pushed-{n}": {"text": "z" * 20_000, "n": n} for n in range(PUSHED_COUNT)}
        active.default_collection.save_many(items.items())

        def replicate() -> ReplicationResult:
            return active.replicate(
                listener.urls[0],
                replicator_type="push",
                authenticator=BasicAuthenticator("bob", "x"),
                pinned_server_certificate=identity.fingerprint,
                max_attempts=1,
            )

        disk.fill()
        before = set(db.default_collection)
        try:
            result = replicate()
            codes = sorted({each.error.code for each in result.errors if each.error is not None})
            told: object = ["errors", codes]
        except SetteeError as exc:
            told = [type(exc).__name__, getattr(exc, "code", 0)]
        stored = len(set(db.default_collection) - before)
        disk.free()
        after = replicate()
        model.documents["_default"] |= items
        return {"told": told, "stored": stored, "after": after.pushed, "errors": len(after.errors)}


def main() -> None:
    place, kind = Path(sys.argv[1]), sys.argv[2]
    disk = Tmpfs(place) if kind == "tmpfs" else Limit(place)
    model = Model()
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as outside, Database("full", directory=place) as db:
        seed(db, model)
        full: dict[str, str] = {}
        model.turn = 1
        for name in OPERATIONS:
            disk.fill()
            full[name] = outcome(name, db, model, place)
            assert model.differs(db) == "", f"while full, after {name}: {model.differs(db)}"
        reads(db)
        disk.free()
        model.turn = 2
        after = {}
        for name in OPERATIONS:
            after[name] = outcome(name, db, model, place)
            assert model.differs(db) == "", f"afterwards, after {name}: {model.differs(db)}"
        reads(db)
        db.compact()
        found = {"full": full, "after": after, "push": push(db, Path(outside), model, disk)}
        db.compact()
    with Database("full", directory=place, create=False) as db:
        assert model.differs(db) == "", f"reopened: {model.differs(db)}"
        found["problems"] = [str(each) for each in db.check()]
    found["left"] = sorted(os.listdir(place))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
