"""Nested transactions; what is about one alone is in `test_database`."""

from __future__ import annotations

import pytest

from settee.db.collection import Collection
from settee.db.database import Database
from settee.errors import ClosedError, NotFoundError, TransactionError
from settee.limits import TRANSACTION_S_MAX
from tests.db.conftest import ManualClock

pytestmark = pytest.mark.feature("TX-01")


def _fail(db: Database, items: Collection, *ids: str) -> None:
    with db.transaction():
        for each in ids:
            items[each] = {}
        raise RuntimeError("mine")


def test_an_inner_transaction_commits_with_the_outer_one(db: Database, items: Collection) -> None:
    told: list[tuple[str, ...]] = []
    items.on_change(lambda change: told.append(change.document_ids))
    with db.transaction():
        items["a"] = {}
        with db.transaction():
            items["b"] = {}
            with db.transaction():
                items["c"] = {}
        assert told == []
        items["d"] = {}
    assert list(items) == ["a", "b", "c", "d"]
    assert told == [("a", "b", "c", "d")]


def test_an_outer_rollback_undoes_the_inner_ones(db: Database, items: Collection) -> None:
    with db.transaction() as outer:
        with db.transaction():
            items["a"] = {}
        outer.rollback()
    assert list(items) == []


def test_an_inner_failure_undoes_only_itself(db: Database, items: Collection) -> None:
    told: list[tuple[str, ...]] = []
    items.on_change(lambda change: told.append(change.document_ids))
    items["x"] = {"n": 1}
    del told[:]
    with db.transaction():
        items["a"] = {}
        with pytest.raises(RuntimeError, match="mine"):
            _fail(db, items, "b", "x")
        with db.transaction() as inner:
            items["c"] = {}
            inner.rollback()
        items["d"] = {}
        assert items["d"].sequence == 3, "sequences that were undone are free again"
    assert list(items) == ["a", "d", "x"]
    assert items["x"]["n"] == 1
    assert told == [("a", "d")]


def test_rollback_of_the_outer_one_from_inside_leaves_both(db: Database, items: Collection) -> None:
    with db.transaction() as outer, db.transaction():
        items["a"] = {}
        outer.rollback()
    assert list(items) == []
    items["b"] = {}
    assert list(items) == ["b"]


def test_two_databases_do_not_nest(db: Database, threaded: Database) -> None:
    with db.transaction(), threaded.transaction() as inner:
        db.default_collection["a"] = {}
        threaded.default_collection["a"] = {}
        inner.rollback()
    assert list(db.default_collection) == ["a"]
    assert list(threaded.default_collection) == []


def test_an_inner_one_does_not_lengthen_the_outer_one(db: Database, clock: ManualClock) -> None:
    def too_long() -> None:
        with db.transaction():
            clock.now_s += TRANSACTION_S_MAX + 1
            with db.transaction():
                raise AssertionError("not reached")

    with pytest.raises(TransactionError, match="more than"):
        too_long()
    db.default_collection["a"] = {}


def test_parts_that_end_in_the_wrong_order_are_refused(db: Database, items: Collection) -> None:
    """Two tasks that nest in one transaction: undoing one would undo what the other wrote."""

    def crossed() -> None:
        with db.transaction():
            first, second = db.transaction(), db.transaction()
            first.__enter__()
            second.__enter__()
            items["a"] = {}
            first.__exit__(None, None, None)

    with pytest.raises(TransactionError, match="another task"):
        crossed()
    assert list(items) == []
    items["b"] = {}


@pytest.mark.parametrize("nested", [False, True])
def test_a_collection_made_in_what_was_undone_is_gone(db: Database, nested: bool) -> None:
    """Its key is given to the next one: who kept the old object must not write into that."""

    def undone() -> Collection:
        with db.transaction() as transaction:
            made = db.collection("shop.old", create=True)
            made["a"] = {}
            transaction.rollback()
        return made

    if nested:
        with db.transaction():
            old = undone()
            new = db.collection("shop.new", create=True)
    else:
        old = undone()
        new = db.collection("shop.new", create=True)
    assert old._key == new._key
    with pytest.raises(ClosedError, match="deleted"):
        old["b"] = {}
    with pytest.raises(NotFoundError):
        db.collection("shop.old")
    assert list(new) == []
    assert db.collection("shop.new") is new


def test_a_collection_deleted_in_what_was_undone_is_there_again(db: Database) -> None:
    db.collection("shop.items", create=True)["a"] = {}
    with db.transaction():
        with db.transaction() as inner:
            db.delete_collection("shop.items")
            inner.rollback()
        db.collection("shop.items")["b"] = {}
    assert list(db.collection("shop.items")) == ["a", "b"]
