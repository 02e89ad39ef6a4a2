"""What of expiry is between two handles of a database; the rest is in `test_collection`."""

from __future__ import annotations

import datetime

import pytest

from settee.db.database import Database
from tests.db.conftest import ManualClock, Opener


@pytest.mark.feature("EXP-03")
def test_an_expiry_that_another_handle_set_is_kept(open_inline: Opener, clock: ManualClock) -> None:
    one, two = open_inline("app"), open_inline("app")
    items, others = one.default_collection, two.default_collection
    items["a"], items["b"] = {"n": 1}, {"n": 1}
    for each in ("a", "b"):
        others.expire(each, datetime.timedelta(seconds=5))
    clock.now_s += 6
    assert list(items) == [each.id for each in items.documents()] == []
    assert len(items) == 0
    items["a"] = {"n": 2}
    two._poll()
    assert items["a"]["n"] == 2, "a new document, which does not expire with the old one"
    assert items.expiry("a") is None


@pytest.mark.feature("EXP-03")
def test_an_expiry_that_another_handle_set_is_waited_for(
    open_inline: Opener, clock: ManualClock
) -> None:
    one, two = open_inline("app"), open_inline("app")
    told: list[tuple[str, ...]] = []
    one.default_collection["a"] = {}
    one.default_collection.on_change(lambda change: told.append(change.document_ids))
    two.default_collection.expire("a", datetime.timedelta(seconds=5))
    two.close()
    one._poll()
    clock.now_s += 6
    one._poll()
    assert told == [("a",)]
    with one._reading() as reader:
        assert reader.row("SELECT count(*) FROM docs_1") == (0,)


def test_inside_a_transaction_nothing_is_purged(db: Database, clock: ManualClock) -> None:
    items = db.default_collection
    items["a"] = {}
    items.expire("a", datetime.timedelta(seconds=5))
    with db.transaction():
        clock.now_s += 6
        db._poll()
        assert "a" not in items
        assert db._expiry.next_ms is not None
    db._poll()
    assert db._expiry.next_ms is None


def test_after_a_rollback_the_next_look_knows(db: Database, clock: ManualClock) -> None:
    items = db.default_collection
    items["a"] = {}
    with db.transaction() as transaction:
        items.expire("a", datetime.timedelta(seconds=5))
        transaction.rollback()
    clock.now_s += 6
    db._poll()
    assert "a" in items
    assert db._expiry.next_ms is None
