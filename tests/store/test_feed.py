from __future__ import annotations

import pytest

from settee.doc.records import DELETED, HAS_BLOBS
from settee.errors import NotFoundError
from settee.store import Store, documents, feed, marks
from settee.store.documents import Edit


def _save(store: Store, *edits: Edit) -> None:
    store.write(lambda w: documents.save(w, 1, edits))


def _ids(page: object) -> list[str]:
    return [row.doc_id for row in page.rows]  # type: ignore[attr-defined]


def test_a_new_collection_has_an_empty_feed(store: Store) -> None:
    with store.reader() as reader:
        assert feed.changes(reader, 1, 0, 10) == ([], 0)
        assert feed.last_seq(reader, 1) == 0


def test_each_document_stands_once_at_its_latest_change(store: Store) -> None:
    _save(store, Edit("a", b"{}"), Edit("b", b'{"x":"\xc3\xa4"}'), Edit("c", b"{}", blobs=("d",)))
    _save(store, Edit("a", b"{}", deleted=True))
    with store.reader() as reader:
        page = feed.changes(reader, 1, 0, 10)
    assert [(row.seq, row.doc_id, row.flags, row.body_bytes, row.mark) for row in page.rows] == [
        (2, "b", 0, 10, ""),
        (3, "c", HAS_BLOBS, 2, ""),
        (4, "a", DELETED, 2, ""),
    ]
    assert page.last_seq == 4


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 11, 12])
def test_pages_of_any_size_give_every_row_once(store: Store, limit: int) -> None:
    _save(store, *(Edit(f"{i}", b"{}") for i in range(11)))
    since, found = 0, []
    with store.reader() as reader:
        while rows := feed.changes(reader, 1, since, limit).rows:
            assert len(rows) <= limit
            found += [row.seq for row in rows]
            since = rows[-1].seq
    assert found == list(range(1, 12))


def test_after_the_end_there_is_nothing(store: Store) -> None:
    _save(store, Edit("a", b"{}"))
    with store.reader() as reader:
        assert feed.changes(reader, 1, 1, 10) == ([], 1)
        assert feed.changes(reader, 1, 2**40, 10) == ([], 1)


def test_only_chosen_documents_or_live_ones(store: Store) -> None:
    _save(store, *(Edit(name, b"{}", deleted=name == "b") for name in "abcd"))
    with store.reader() as reader:
        assert _ids(feed.changes(reader, 1, 0, 10, active_only=True)) == ["a", "c", "d"]
        chosen = frozenset(["d", "b", "unknown"])
        assert _ids(feed.changes(reader, 1, 0, 10, doc_ids=chosen)) == ["b", "d"]
        assert _ids(feed.changes(reader, 1, 2, 10, doc_ids=chosen)) == ["d"]
        assert _ids(feed.changes(reader, 1, 0, 1, doc_ids=chosen)) == ["b"]
        assert _ids(feed.changes(reader, 1, 0, 10, doc_ids=chosen, active_only=True)) == ["d"]
        assert _ids(feed.changes(reader, 1, 0, 10, doc_ids=frozenset())) == []


def test_marks_are_those_of_the_remote_that_was_named(store: Store) -> None:
    _save(store, Edit("a", b"{}"), Edit("b", b"{}"))
    one, two = (store.write(lambda w, n=n: marks.remote_id(w, n)) for n in ("one", "two"))
    store.write(lambda w: marks.record(w, one, 1, [("a", "1-aa")]))
    store.write(lambda w: marks.record(w, two, 1, [("b", "1-bb")]))
    with store.reader() as reader:
        found = [feed.changes(reader, 1, 0, 10, remote=remote).rows for remote in (one, two, None)]
    assert [[row.mark for row in rows] for rows in found] == [["1-aa", ""], ["", "1-bb"], ["", ""]]


def test_a_deleted_collection_has_no_feed(store: Store) -> None:
    with store.reader() as reader:
        with pytest.raises(NotFoundError):
            feed.last_seq(reader, 9)
        with pytest.raises(NotFoundError):
            feed.changes(reader, 9, 0, 10)
