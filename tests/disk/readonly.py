"""The scenario of a place that can't be written: ``python -m tests.disk.readonly PLACE make|use``.

``make`` leaves a database there, ``use`` opens it and tries everything; one line of JSON each.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from settee import Database, SetteeError
from tests.disk.operations import OPERATIONS, Model, reads, seed

OWN_PLACE = ("copy", "make another")
"""Operations that write beside the database, not into it."""


def make(place: Path) -> dict[str, object]:
    with Database("app", directory=place) as db:
        seed(db, Model())
    return {}


def use(place: Path) -> dict[str, object]:
    model = Model()
    outcomes = {}
    with Database("app", directory=place, create=False) as db:
        model.documents["_default"] = {
            document.id: {
                key: value if isinstance(value, int | str) else value.read()
                for key, value in document.items()
            }
            for document in db.default_collection.documents()
        }
        reads(db)
        for name, operation in OPERATIONS.items():
            try:
                operation(db, model, place)
                outcomes[name] = "done"
            except SetteeError as exc:
                outcomes[name] = type(exc).__name__
            assert model.differs(db) == "", name
        read_only = db.read_only
        try:
            db.replicate("wss://127.0.0.1:1/x", max_attempts=1)
        except SetteeError as exc:
            outcomes["replicate"] = type(exc).__name__
    try:
        Database.delete("app", directory=place)
        outcomes["delete database"] = "done"
    except SetteeError as exc:
        outcomes["delete database"] = type(exc).__name__
    return {"outcomes": outcomes, "read_only": read_only, "exists": Database.exists("app", place)}


if __name__ == "__main__":
    print(json.dumps((make if sys.argv[2] == "make" else use)(Path(sys.argv[1]))))
