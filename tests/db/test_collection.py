from __future__ import annotations

import datetime

import pytest

from settee.clock import InlineWorkers
from settee.db.collection import Collection
from settee.db.database import Database
from settee.db.document import Document
from settee.errors import ClosedError, ConfigError, InvalidNameError, NotFoundError
from settee.limits import PAGE_ROWS
from tests.db.conftest import ManualClock, Opener

UTC = datetime.UTC


@pytest.mark.feature("DOC-02", "DOC-03", "DOC-09", "DOC-11")
def test_the_mapping_reads_saves_deletes_and_counts(items: Collection) -> None:
    items["a"] = {"n": 1}
    items["b"] = {"n": 2}
    assert items["a"]["n"] == 1
    assert "a" in items
    assert len(items) == items.count() == 2
    del items["a"]
    assert "a" not in items
    assert not items.contains("a")
    assert len(items) == 1
    with pytest.raises(NotFoundError, match="'a'"):
        items["a"]
    with pytest.raises(KeyError):
        del items["a"]


def test_an_empty_collection_is_true(items: Collection) -> None:
    assert len(items) == 0
    assert items


@pytest.mark.feature("DOC-03")
def test_get_gives_the_default_for_what_is_not_there(items: Collection) -> None:
    items["a"] = {"n": 1}
    del items["a"]
    assert items.get("a") is None
    assert items.get("never", 5) == 5
    assert items.get("", "d") == "d"


@pytest.mark.parametrize("wrong", [5, None, b"a", ["a"]])
def test_an_id_that_is_no_text_is_an_error(items: Collection, wrong: object) -> None:
    assert wrong not in items
    with pytest.raises(InvalidNameError, match="must be a str"):
        items[wrong]  # type: ignore[index]
    with pytest.raises(InvalidNameError, match="must be a str"):
        items.purge(wrong)  # type: ignore[arg-type]


@pytest.mark.feature("DOC-01")
def test_add_gives_each_document_an_id_of_its_own(items: Collection) -> None:
    made = {items.add({"n": n}).id for n in range(20)}
    assert len(made) == 20
    assert set(items) == made
    assert all(len(each) == 36 for each in made)


def test_put_replaces_the_whole_body(items: Collection) -> None:
    items.put("a", {"n": 1, "m": 2})
    saved = items.put("a", {"n": 3})
    assert saved.revision.startswith("2-")
    assert dict(items["a"]) == {"n": 3}


@pytest.mark.feature("DOC-27")
@pytest.mark.parametrize("count", [0, 1, PAGE_ROWS - 1, PAGE_ROWS, PAGE_ROWS + 1, 2 * PAGE_ROWS])
def test_iteration_gives_every_document_once_in_order(items: Collection, count: int) -> None:
    assert items.save_many((f"{n:05}", {"n": n}) for n in range(count)) == count
    assert list(items) == [f"{n:05}" for n in range(count)]
    assert [document["n"] for document in items.documents()] == list(range(count))


@pytest.mark.feature("DOC-27")
def test_iteration_goes_on_while_documents_change(items: Collection) -> None:
    items.save_many((f"{n:05}", {}) for n in range(PAGE_ROWS + 10))
    seen = []
    for doc_id in items:
        seen.append(doc_id)
        del items[doc_id]
    assert len(seen) == len(set(seen)) == PAGE_ROWS + 10
    assert len(items) == 0


@pytest.mark.feature("DOC-11", "EXP-03")
def test_iteration_leaves_out_deleted_and_expired(items: Collection, clock: ManualClock) -> None:
    items.save_many((doc_id, {}) for doc_id in "abcd")
    del items["b"]
    items.expire("c", datetime.timedelta(seconds=5))
    clock.now_s += 5
    assert list(items) == [each.id for each in items.documents()] == ["a", "d"]
    assert len(items) == 2


@pytest.mark.feature("DOC-10")
def test_purge_leaves_no_trace_and_its_sequence_does_not_come_back(items: Collection) -> None:
    items["a"] = {"n": 1}
    items["b"] = {"n": 1}
    before = items.last_sequence
    items.purge("b")
    assert items.last_sequence == before
    assert "b" not in items
    assert items.put("b", {"n": 2}).revision.startswith("1-")
    assert items["b"].sequence == before + 1
    with pytest.raises(NotFoundError):
        items.purge("never")


@pytest.mark.feature("COLL-08")
def test_names_are_told_with_and_without_scope(db: Database, items: Collection) -> None:
    assert (items.scope, items.name, items.full_name) == ("shop", "items", "shop.items")
    assert items.database is db
    default = db.default_collection
    assert (default.scope, default.name, default.full_name) == (
        "_default",
        "_default",
        "_default._default",
    )
    assert db.collection(default.full_name) is default
    assert "shop.items" in repr(items)


# --- expiry ---------------------------------------------------------------------------------------


@pytest.mark.feature("EXP-01", "EXP-02", "EXP-03")
def test_a_document_is_gone_at_its_time_and_not_before(
    items: Collection, clock: ManualClock
) -> None:
    at = datetime.datetime.fromtimestamp(clock.now_s, UTC) + datetime.timedelta(seconds=10)
    items["a"] = {"n": 1}
    items.expire("a", at)
    assert items.expiry("a") == at
    clock.now_s += 9.999
    assert "a" in items
    clock.now_s += 0.001
    assert "a" not in items
    assert items.get("a") is None
    assert len(items) == 0
    with pytest.raises(NotFoundError):
        items.expiry("a")
    with pytest.raises(NotFoundError):
        items.delete("a")
    with pytest.raises(NotFoundError):
        items.expire("a", None)


def test_expiry_purges_rows_when_polled_or_saved_over(
    db: Database, items: Collection, clock: ManualClock
) -> None:
    items["a"] = {"n": 1}
    items["b"] = {"n": 1}
    for doc_id in "ab":
        items.expire(doc_id, datetime.timedelta(seconds=1))
    clock.now_s += 2
    assert items.put("a", {"n": 2}).revision.startswith("1-")  # It was gone: this is a new one.
    assert items.expiry("a") is None
    db._poll()
    clock.now_s += 100
    db._poll()
    assert list(items) == ["a"]
    assert db._expiry.next_ms is None


@pytest.mark.feature("EXP-01", "EXP-02")
def test_an_expiry_can_be_taken_back_and_outlives_a_save(
    items: Collection, clock: ManualClock
) -> None:
    items["a"] = {"n": 1}
    items.expire("a", datetime.timedelta(hours=1))
    items["a"] = {"n": 2}
    assert items.expiry("a") is not None
    sequence = items.last_sequence
    items.expire("a", None)
    assert items.expiry("a") is None
    assert items.last_sequence == sequence
    clock.now_s += 7200
    assert "a" in items


def test_a_deletion_does_not_expire_for_peers_must_hear_of_it(
    db: Database, items: Collection, clock: ManualClock
) -> None:
    items["a"] = {"n": 1}
    items.expire("a", datetime.timedelta(seconds=1))
    del items["a"]
    clock.now_s += 2
    db._poll()
    changes = items._source(0)
    page = changes.next_page()
    changes.close()
    assert page is not None
    assert page.document_ids == ("a",)


@pytest.mark.feature("EXP-03")
def test_documents_that_expired_while_nobody_had_it_open_are_purged_at_open(
    open_inline: Opener, clock: ManualClock
) -> None:
    first = open_inline("app")
    first.default_collection["a"] = {}
    first.default_collection.expire("a", datetime.timedelta(seconds=1))
    first.close()
    clock.now_s += 10
    second = open_inline("app")
    assert "a" not in second.default_collection
    second._poll()
    assert second._expiry.next_ms is None


@pytest.mark.parametrize("at", ["tomorrow", 5, datetime.datetime(2030, 1, 1)])  # noqa: DTZ001
def test_an_expiry_that_says_no_moment_is_refused(items: Collection, at: object) -> None:
    items["a"] = {}
    with pytest.raises(ValueError, match="expiry"):
        items.expire("a", at)  # type: ignore[arg-type]
    assert items.expiry("a") is None


# --- after the end --------------------------------------------------------------------------------


@pytest.mark.feature("COLL-11")
def test_a_closed_database_or_deleted_collection_says_so(db: Database, items: Collection) -> None:
    db.collection("other", create=True)
    items["a"] = {}
    db.delete_collection("shop.items")
    for call in (
        lambda: items["a"],
        lambda: items.put("a", {}),
        lambda: list(items),
        lambda: len(items),
        lambda: items.save_many([{}]),
        lambda: items.changes(),
        lambda: items.on_change(print),
        lambda: items.last_sequence,
    ):
        with pytest.raises(ClosedError, match="was deleted"):
            call()
    other = db.collection("other")
    db.close()
    for call in (lambda: other["a"], lambda: other.put("a", {}), lambda: other.changes()):
        with pytest.raises(ClosedError, match="is closed"):
            call()


def test_since_must_be_a_sequence(items: Collection) -> None:
    for wrong in (-1, "5", 1.0):
        with pytest.raises(ConfigError, match="since"):
            items.changes(since=wrong)  # type: ignore[arg-type]


@pytest.mark.feature("DOC-23")
def test_a_document_of_another_collection_is_not_saved_by_mistake(
    db: Database, items: Collection
) -> None:
    items["a"] = {"n": 1}
    document = items["a"]
    other = db.collection("other", create=True)
    for call in (
        lambda: other.save(document),
        lambda: other.save_many([document]),
        lambda: other.delete(document),
    ):
        with pytest.raises(ConfigError, match="belongs to"):
            call()
    other["a"] = document
    assert other["a"] == document


def test_the_workers_of_a_simulation_are_inline(db: Database) -> None:
    assert isinstance(db._workers, InlineWorkers)
    assert Document("x").collection is None
