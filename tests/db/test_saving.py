from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from settee.db import saving
from settee.db.blob import Blob
from settee.db.collection import Collection
from settee.db.database import Database
from settee.db.document import Document
from settee.errors import (
    ConfigError,
    ConflictError,
    InvalidDocumentError,
    NotFoundError,
)
from settee.limits import SAVE_BATCH_REVISIONS_MAX


@pytest.mark.feature("DOC-05")
def test_the_last_write_wins_unless_told_otherwise(items: Collection) -> None:
    items["a"] = {"n": 1}
    mine, theirs = items["a"], items["a"]
    theirs["n"] = 2
    items.save(theirs)
    mine["n"] = 3
    saved = items.save(mine)
    assert saved is mine
    assert items["a"]["n"] == 3
    assert saved.revision == items["a"].revision
    assert saved.revision.startswith("3-")


@pytest.mark.feature("DOC-06")
def test_fail_stores_nothing_if_the_document_was_changed(items: Collection) -> None:
    items["a"] = {"n": 1}
    mine = items["a"]
    items["a"] = {"n": 2}
    mine["n"] = 3
    with pytest.raises(ConflictError, match="'a'"):
        items.save(mine, "fail")
    assert items["a"]["n"] == 2
    fresh = items["a"]
    fresh["n"] = 4
    items.save(fresh, on_conflict="fail")
    items.save(fresh, on_conflict="fail")  # What a save returned is what it now stands on.
    assert items["a"]["n"] == 4


def test_fail_lets_a_new_document_be_made_only_where_none_is(items: Collection) -> None:
    items.save(Document("a", {"n": 1}), "fail")
    with pytest.raises(ConflictError):
        items.save(Document("a", {"n": 2}), "fail")
    del items["a"]
    items.save(Document("a", {"n": 3}), "fail")
    assert items["a"]["n"] == 3


@pytest.mark.feature("DOC-06")
def test_fail_finds_a_deletion_and_a_purge(items: Collection) -> None:
    for doc_id, remove in (("a", items.delete), ("b", items.purge)):
        items[doc_id] = {"n": 1}
        mine = items[doc_id]
        remove(doc_id)
        with pytest.raises(ConflictError):
            items.save(mine, "fail")
        assert doc_id not in items


@pytest.mark.feature("DOC-07", "CR-07")
def test_a_handler_merges_and_its_result_is_stored(items: Collection) -> None:
    items["a"] = {"n": 1}
    mine = items["a"]
    items["a"] = {"n": 5}
    mine["n"] += 1
    calls: list[int] = []

    def merge(document: Document, current: Document | None) -> bool:
        assert current is not None
        calls.append(current["n"])
        document["n"] += current["n"]
        return True

    items.save(mine, merge)
    assert calls == [5]
    assert items["a"]["n"] == 7
    assert items["a"].revision.startswith("3-")


def test_a_handler_is_not_called_without_a_conflict(items: Collection) -> None:
    items["a"] = {"n": 1}

    def never(document: Document, current: Document | None) -> bool:
        raise AssertionError("no conflict")

    items.save(items["a"], never)
    items.save(Document("new", {}), never)
    items.delete(items["a"], never)


def test_a_handler_is_asked_again_if_others_were_faster(items: Collection) -> None:
    items["a"] = {"n": 0}
    mine = items["a"]
    items["a"] = {"n": 1}
    seen: list[int] = []

    def merge(document: Document, current: Document | None) -> bool:
        assert current is not None
        seen.append(current["n"])
        if len(seen) < 3:
            items["a"] = {"n": len(seen) + 1}
        return True

    mine["n"] = 10
    items.save(mine, merge)
    assert seen == [1, 2, 3]
    assert items["a"]["n"] == 10


def test_a_handler_that_never_wins_is_stopped(
    items: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "_ATTEMPTS_MAX", 5)
    items["a"] = {"n": 0}
    mine = items["a"]
    items["a"] = {"n": 1}
    count = 0

    def merge(document: Document, current: Document | None) -> bool:
        nonlocal count
        count += 1
        items["a"] = {"n": count}
        return True

    for call in (lambda: items.save(mine, merge), lambda: items.delete(mine, merge)):
        with pytest.raises(ConflictError, match="5 times"):
            call()
    assert count == 10


@pytest.mark.feature("DOC-07", "CR-07")
def test_a_handler_may_give_up_and_sees_none_for_a_deleted_document(items: Collection) -> None:
    items["a"] = {"n": 1}
    mine = items["a"]
    del items["a"]
    seen: list[object] = []

    def decline(document: Document, current: Document | None) -> bool:
        seen.append(current)
        return False

    with pytest.raises(ConflictError, match="gave up"):
        items.save(mine, decline)
    assert seen == [None]
    assert "a" not in items
    items.save(mine, lambda document, current: True)
    assert items["a"]["n"] == 1


def test_an_exception_in_a_handler_reaches_the_caller(items: Collection) -> None:
    items["a"] = {"n": 1}
    mine = items["a"]
    items["a"] = {"n": 2}

    def broken(document: Document, current: Document | None) -> bool:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        items.save(mine, broken)
    assert items["a"]["n"] == 2


@pytest.mark.feature("DOC-08")
def test_deletion_may_be_held_to_the_revision_that_was_read(items: Collection) -> None:
    items["a"] = {"n": 1}
    mine = items["a"]
    items["a"] = {"n": 2}
    with pytest.raises(ConflictError):
        items.delete(mine, "fail")
    assert "a" in items
    items.delete(items["a"], "fail")
    assert "a" not in items


@pytest.mark.feature("DOC-08")
def test_a_deleted_document_knows_it_and_can_be_saved_again(items: Collection) -> None:
    document = items.put("a", {"n": 1})
    items.delete(document)
    assert document.deleted
    with pytest.raises(NotFoundError):
        items.delete(document)
    items.save(document, "fail")
    assert not document.deleted
    assert items["a"]["n"] == 1


def test_what_was_never_saved_cannot_be_deleted(items: Collection) -> None:
    for thing in (Document(None, {}), Document("x", {}), "x"):
        with pytest.raises(NotFoundError):
            items.delete(thing)


def test_wrong_arguments_are_told(items: Collection) -> None:
    with pytest.raises(ConfigError, match="on_conflict"):
        items.save(Document("a"), "merge")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="needs a Document"):
        items.delete("a", "fail")
    with pytest.raises(ConfigError, match="add"):
        items.save({"a": 1})
    with pytest.raises(ConfigError, match="has its own"):
        items.save(Document("a"), id="b")
    with pytest.raises(InvalidDocumentError, match="not int"):
        items.save(5, id="a")  # type: ignore[arg-type]
    with pytest.raises(InvalidDocumentError, match="not int"):
        items.delete(5)  # type: ignore[arg-type]
    with pytest.raises(InvalidDocumentError, match="not int"):
        items.save_many([5])  # type: ignore[list-item]


# --- many -----------------------------------------------------------------------------------------


@pytest.mark.feature("DOC-28")
@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 999, 1000, 1001, 2500])
def test_save_many_stores_every_item_at_batch_edges(items: Collection, count: int) -> None:
    assert items.save_many({"n": n} for n in range(count)) == count
    assert len(items) == count
    assert sorted(each["n"] for each in items.documents()) == list(range(count))


@pytest.mark.feature("DOC-28")
def test_save_many_takes_documents_pairs_and_bodies(items: Collection) -> None:
    items["known"] = {"n": 0}
    known, new = items["known"], Document(None, {"n": 2})
    known["n"] = 1
    assert items.save_many([known, new, ("pair", {"n": 3}), {"n": 4}, ("copy", known)]) == 5
    assert items["known"]["n"] == items["copy"]["n"] == 1
    assert known.revision.startswith("2-")
    assert new.id in items
    assert new.collection is items
    assert items["pair"]["n"] == 3


def test_the_same_document_twice_is_saved_in_order(items: Collection) -> None:
    assert items.save_many([("a", {"n": 1}), ("a", {"n": 2})]) == 2
    assert items["a"]["n"] == 2
    assert items["a"].revision.startswith("2-")


def test_save_many_takes_from_an_iterator_as_it_goes(items: Collection) -> None:
    ahead: list[int] = []

    def source() -> Iterator[dict[str, Any]]:
        for n in range(3 * SAVE_BATCH_REVISIONS_MAX):
            ahead.append(n + 1 - len(items))
            yield {"n": n}

    items.save_many(source())
    assert max(ahead) <= 2 * SAVE_BATCH_REVISIONS_MAX


def test_a_large_batch_is_cut_by_its_bytes(
    db: Database, items: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "SAVE_BATCH_BYTES_MAX", 10_000)
    sizes: list[int] = []
    db._store.on_commit(lambda commit: sizes.extend(map(len, commit.changes.values())))
    items.save_many({"text": "x" * 200} for _ in range(250))
    assert sizes == [100, 100, 50]


def test_batches_before_a_bad_item_are_stored_and_told(items: Collection) -> None:
    documents = [Document(f"{n:05}", {"n": n}) for n in range(SAVE_BATCH_REVISIONS_MAX)]

    def source() -> Iterator[Document]:
        yield from documents
        yield Document("bad", {"n": float("nan")})

    with pytest.raises(InvalidDocumentError, match="'bad': n:"):
        items.save_many(source())
    assert len(items) == SAVE_BATCH_REVISIONS_MAX
    assert all(each.sequence for each in documents)


def test_an_exception_of_the_iterator_reaches_the_caller(items: Collection) -> None:
    def source() -> Iterator[dict[str, Any]]:
        yield {"n": 1}
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        items.save_many(source())
    assert len(items) == 0


def test_save_many_in_a_transaction_is_all_or_nothing(db: Database, items: Collection) -> None:
    with pytest.raises(InvalidDocumentError), db.transaction():
        items.save_many([*({"n": n} for n in range(1500)), {"n": float("nan")}])
    assert len(items) == 0


def test_blobs_of_a_batch_share_one_durability_point(
    db: Database, items: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    put_many = db._store.blobs.put_many

    def counted(staged: Any) -> None:
        calls.append(len(staged))
        put_many(staged)

    monkeypatch.setattr(db._store.blobs, "put_many", counted)
    items.save_many(
        (f"{n:03}", {"b": Blob.from_bytes(b"%d" % n), "s": Blob.from_stream(io.BytesIO(b"same"))})
        for n in range(100)
    )
    assert calls == [200]
    assert [each["b"].read() for each in items.documents()] == [b"%d" % n for n in range(100)]
    assert not db._store.blobs._counted_leases()


def test_a_failed_save_gives_its_leases_back(db: Database, items: Collection) -> None:
    items["a"] = {"b": Blob.from_bytes(b"x")}
    mine = items["a"]
    items["a"] = {"n": 1}
    with pytest.raises(ConflictError):
        items.save(mine, "fail")
    assert not db._store.blobs._counted_leases()


# --- threads --------------------------------------------------------------------------------------


@pytest.mark.feature("DB-16")
def test_threads_that_count_with_fail_lose_no_step(threaded: Database) -> None:
    counter = threaded.default_collection
    counter["c"] = {"n": 0}
    errors: list[BaseException] = []

    def count() -> None:
        try:
            done = 0
            while done < 25:
                document = counter["c"]
                document["n"] += 1
                try:
                    counter.save(document, "fail")
                except ConflictError:
                    continue
                done += 1
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not errors
    assert counter["c"]["n"] == 100
