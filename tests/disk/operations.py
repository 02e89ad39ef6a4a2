"""Every operation of the public API that writes, and a model of what the database must hold."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

from settee import Blob, Database, Document, NotFoundError

SEED_COUNT = 20
PICTURE = bytes(range(256)) * 40


class Model:
    """What the database must hold: document bodies by collection and ID."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {"_default": {}}
        self.turn = 0
        self.bytes_each = 40_000

    @property
    def filler(self) -> str:
        """Text too large to find room in a file that is there already."""
        return "x" * self.bytes_each

    def differs(self, db: Database) -> str:
        """Compare with the database, content of blobs included; "" if it is the same."""
        names = {each.name for each in db.collections()}
        if names != set(self.documents):
            return f"collections {sorted(names)} instead of {sorted(self.documents)}"
        for name, expected in self.documents.items():
            collection = db.collection(name)
            if list(collection) != sorted(expected) or len(collection) != len(expected):
                return f"{name} has {list(collection)}"
            for document in collection.documents():
                found = {
                    key: value.read() if isinstance(value, Blob) else value
                    for key, value in document.items()
                }
                if found != expected[document.id]:
                    return f"{name}/{document.id} is another"
        return ""


Operation = Callable[[Database, Model, Path], None]


def seed(db: Database, model: Model) -> None:
    items = {f"seed-{n:02}": {"n": n, "text": "y" * 100} for n in range(SEED_COUNT)}
    db.default_collection.save_many(items.items())
    model.documents["_default"] |= items
    db.default_collection["picture"] = {"image": Blob.from_bytes(PICTURE)}
    model.documents["_default"]["picture"] = {"image": PICTURE}


def save(db: Database, model: Model, _: Path) -> None:
    body = {"text": model.filler, "turn": model.turn}
    db.default_collection["saved"] = body
    model.documents["_default"]["saved"] = body


def add(db: Database, model: Model, _: Path) -> None:
    body = {"text": model.filler}
    document = db.default_collection.add(body)
    model.documents["_default"][document.id] = body


def save_over(db: Database, model: Model, _: Path) -> None:
    document = db.default_collection["seed-00"]
    document["turn"] = model.turn
    document["text"] = model.filler
    db.default_collection.save(document, on_conflict="fail")
    model.documents["_default"]["seed-00"] = dict(document)


def save_many(db: Database, model: Model, _: Path) -> None:
    items = {f"many-{n}": {"text": model.filler, "turn": model.turn} for n in range(5)}
    db.default_collection.save_many(items.items())
    model.documents["_default"] |= items


def save_with_blob(db: Database, model: Model, _: Path) -> None:
    content = b"%d" % model.turn * model.bytes_each
    db.default_collection["with-blob"] = {"image": Blob.from_bytes(content)}
    model.documents["_default"]["with-blob"] = {"image": content}


def save_blob(db: Database, model: Model, _: Path) -> None:
    blob = db.save_blob(Blob.from_bytes(b"alone%d" % model.turn * model.bytes_each))
    assert blob.read() == b"alone%d" % model.turn * model.bytes_each


def transaction(db: Database, model: Model, _: Path) -> None:
    bodies = {f"together-{n}": {"text": model.filler, "turn": model.turn} for n in range(2)}
    with db.transaction():
        for doc_id, body in bodies.items():
            db.default_collection[doc_id] = body
    model.documents["_default"] |= bodies


def expire(db: Database, model: Model, _: Path) -> None:
    later = datetime.timedelta(days=1 + model.turn)
    db.default_collection.expire("seed-01", later)


def delete(db: Database, model: Model, _: Path) -> None:
    doc_id = f"seed-{2 + model.turn:02}"
    db.default_collection.delete(doc_id)
    del model.documents["_default"][doc_id]


def purge(db: Database, model: Model, _: Path) -> None:
    doc_id = f"seed-{10 + model.turn:02}"
    db.default_collection.purge(doc_id)
    del model.documents["_default"][doc_id]


def create_collection(db: Database, model: Model, _: Path) -> None:
    name = f"made-{model.turn}"
    db.collection(name, create=True)
    model.documents[name] = {}


def delete_collection(db: Database, model: Model, _: Path) -> None:
    name = f"made-{model.turn}"
    try:
        db.delete_collection(name)
    except NotFoundError:
        assert name not in model.documents
        return
    del model.documents[name]


def compact(db: Database, _: Model, __: Path) -> None:
    db.compact()


def reindex(db: Database, _: Model, __: Path) -> None:
    db.reindex()


def optimize(db: Database, _: Model, __: Path) -> None:
    db.optimize(full=True)


def copy(db: Database, model: Model, place: Path) -> None:
    target = place / f"copy-{model.turn}.settee"
    try:
        Database.copy(db, target)
    finally:
        if Database.exists(target):
            with Database(target) as made:
                assert model.differs(made) == ""
            Database.delete(target)
        assert not target.exists(), "half a copy was left"


def make_another(_: Database, model: Model, place: Path) -> None:
    target = place / f"another-{model.turn}.settee"
    try:
        with Database(target) as made:
            made.default_collection["a"] = {"text": model.filler}
    finally:
        if target.exists():
            Database.delete(target) if Database.exists(target) else target.rmdir()


OPERATIONS: dict[str, Operation] = {
    "save": save,
    "add": add,
    "save over": save_over,
    "save many": save_many,
    "save with blob": save_with_blob,
    "save blob": save_blob,
    "transaction": transaction,
    "expire": expire,
    "delete": delete,
    "purge": purge,
    "create collection": create_collection,
    "delete collection": delete_collection,
    "compact": compact,
    "reindex": reindex,
    "optimize": optimize,
    "copy": copy,
    "make another": make_another,
}


def reads(db: Database) -> None:
    """Call everything that reads."""
    collection = db.default_collection
    assert collection.get("nobody") is None
    assert Document is type(collection["picture"])
    assert collection["picture"]["image"].read() == PICTURE
    assert collection.last_sequence > 0
    assert db.scopes() == ["_default"]
    with collection.changes(since=0) as changes:
        assert next(changes).document_ids
    assert collection.expiry("picture") is None
    assert db.check() == []
