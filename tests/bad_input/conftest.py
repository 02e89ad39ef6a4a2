"""A database with something in it, which must be the same after each row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import settee
from settee import Blob, Collection, Database
from tests.bad_input.table import row_of_test, rows

PICTURE = b"\x89PNG" * 1000


def contents(db: Database) -> dict[str, dict[str, Any]]:
    return {
        collection.full_name: {
            document.id: {
                key: value.read() if isinstance(value, Blob) else value
                for key, value in document.items()
            }
            for document in collection.documents()
        }
        for collection in db.collections()
    }


@pytest.fixture
def expected(request: pytest.FixtureRequest) -> type[Exception]:
    """The error that the page promises for this row."""
    return getattr(settee, rows()[row_of_test(request.node.name)])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Where ``app.settee`` lies, closed; after the test it holds what it held."""
    with Database("app", directory=tmp_path, durability="memory") as db:
        items = db.collection("shop.items", create=True)
        items.save_many((f"item-{n}", {"n": n, "text": "x" * 50}) for n in range(40))
        db.default_collection["picture"] = {"image": Blob.from_bytes(PICTURE)}
        before = contents(db)
    yield tmp_path
    with Database("app", directory=tmp_path, create=False) as db:
        assert contents(db) == before
        assert db.check() == []


@pytest.fixture
def db(place: Path) -> Iterator[Database]:
    """That database, open."""
    with Database("app", directory=place, durability="memory") as db:
        yield db


@pytest.fixture
def items(db: Database) -> Collection:
    return db.collection("shop.items")
