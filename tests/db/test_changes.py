from __future__ import annotations

import threading

import pytest

from settee.db.collection import Collection
from settee.db.database import Database
from settee.db.observer import Batch, CollectionChange, DocumentChange
from settee.limits import PAGE_ROWS
from tests.db.conftest import Opener


@pytest.mark.feature("CL-01")
def test_changes_are_given_as_they_come(items: Collection) -> None:
    items["before"] = {}
    with items.changes() as changes:
        items["a"] = {}
        assert next(changes) == CollectionChange(items, ("a",), 2)
        items["b"] = {}
        items["c"] = {}
        items["b"] = {}
        assert next(changes) == CollectionChange(items, ("b", "c"), 5)
        items.purge("a")
        assert next(changes) == CollectionChange(items, ("a",), 5)


@pytest.mark.feature("CL-04")
def test_since_gives_the_past_first_and_then_the_present(items: Collection) -> None:
    items.save_many((f"{n:05}", {}) for n in range(PAGE_ROWS + 5))
    with items.changes(since=3) as changes:
        first = next(changes)
        assert first.document_ids[0] == "00003"
        assert (len(first.document_ids), first.sequence) == (PAGE_ROWS, 3 + PAGE_ROWS)
        items["new"] = {}
        second = next(changes)
        assert second.document_ids[-1] == "new"
        sequence = second.sequence
        assert sequence == PAGE_ROWS + 6 == items.last_sequence
        items["newer"] = {}
        third = next(changes)
        assert "newer" in third.document_ids
        assert third.sequence == PAGE_ROWS + 7
        assert not changes._source.behind
    with items.changes(since=sequence) as changes:
        assert next(changes).document_ids == ("newer",)


@pytest.mark.feature("COLL-10", "CL-04")
def test_every_sequence_that_is_given_is_one_to_go_on_from(items: Collection) -> None:
    live = items.changes()
    for n in range(10):
        items[f"{n}"] = {}
        change = next(live)
        del items[f"{n}"]
        with items.changes(since=change.sequence) as resumed:
            assert next(resumed).document_ids == (f"{n}",)
        next(live)
    live.close()


def test_a_commit_that_is_told_late_does_not_take_the_sequence_back(items: Collection) -> None:
    items.save_many([("a", {}), ("b", {})])
    with items.changes(since=0) as changes:
        assert next(changes).sequence == 2
        changes._source._put(Batch(items._key, {"a": None}, 1))
        assert next(changes) == CollectionChange(items, ("a",), 2)


def test_a_database_gives_the_changes_of_all_collections(db: Database, items: Collection) -> None:
    with db.changes() as changes:
        items["a"] = {}
        db.default_collection["b"] = {}
        items["c"] = {}
        assert next(changes) == CollectionChange(items, ("a", "c"), 2)
        assert next(changes) == CollectionChange(db.default_collection, ("b",), 1)


@pytest.mark.feature("CL-02")
def test_a_document_gives_its_own_changes(items: Collection) -> None:
    with items.document_changes("a") as changes:
        items["b"] = {}
        items["a"] = {}
        assert next(changes) == DocumentChange(items, "a")


@pytest.mark.feature("DB-17")
def test_an_iterator_waits_until_there_is_something(threaded: Database) -> None:
    items = threaded.default_collection
    found: list[CollectionChange] = []
    waiting = threading.Event()

    def iterate() -> None:
        with items.changes() as changes:
            waiting.set()
            found.extend(change for _, change in zip(range(1), changes, strict=False))

    thread = threading.Thread(target=iterate)
    thread.start()
    assert waiting.wait(10)
    items["a"] = {}
    thread.join(10)
    assert not thread.is_alive()
    assert [each.document_ids for each in found] == [("a",)]


@pytest.mark.feature("CL-03")
def test_close_ends_an_iterator_that_waits(threaded: Database) -> None:
    for end in ("iterator", "collection", "database"):
        items = threaded.collection("x", create=True)
        changes = items.changes()
        found: list[CollectionChange] = []
        thread = threading.Thread(target=lambda c=changes, f=found: f.extend(c))
        thread.start()
        if end == "iterator":
            changes.close()
            changes.close()
        elif end == "collection":
            threaded.delete_collection("x")
        else:
            threaded.close()
        thread.join(10)
        assert not thread.is_alive()
        assert found == []
        assert list(changes) == []


def test_a_closed_iterator_is_forgotten(db: Database, items: Collection) -> None:
    with items.changes():
        assert len(db._sources) == 1
        assert db._observer.active
    assert not db._sources
    assert not db._observer.active


def test_another_handles_changes_reach_the_iterator(open_inline: Opener) -> None:
    one, two = open_inline("app"), open_inline("app")
    with one.default_collection.changes() as changes:
        two.default_collection["theirs"] = {}
        one._poll()
        assert next(changes).document_ids == ("theirs",)
