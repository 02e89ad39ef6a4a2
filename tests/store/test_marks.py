from __future__ import annotations

from settee.doc.records import Held
from settee.store import Store, documents, feed, marks, revisions
from settee.store.documents import Edit
from tests.store.conftest import FakeClock, Opener


def _marks(store: Store, remote: int) -> dict[str, str]:
    with store.reader() as reader:
        rows = feed.changes(reader, 1, 0, 100, remote=remote).rows
    return {row.doc_id: row.mark for row in rows if row.mark}


def test_a_remote_keeps_its_number_whatever_happens(open_store: Opener, clock: FakeClock) -> None:
    store = open_store()
    one = store.write(lambda w: marks.remote_id(w, "sha256:aa/db"))
    clock.advance(5)
    two = store.write(lambda w: marks.remote_id(w, "ws://there/db"))
    assert one != two
    store.close()
    store = open_store()
    clock.advance(5)
    assert store.write(lambda w: marks.remote_id(w, "sha256:aa/db")) == one
    with store.reader() as reader:
        found = marks.remotes(reader)
    assert [(number, key) for number, key, _used in found] == [
        (one, "sha256:aa/db"),
        (two, "ws://there/db"),
    ]
    assert found[0][2] == clock.wall_ns() // 1_000_000


def test_marks_are_kept_per_remote_replaced_and_forgotten_without_a_sequence(store: Store) -> None:
    store.write(lambda w: documents.save(w, 1, [Edit(name, b"{}") for name in "abc"]))
    one, two = (store.write(lambda w, n=n: marks.remote_id(w, n)) for n in ("one", "two"))
    store.write(lambda w: marks.record(w, one, 1, [("a", "1-aa"), ("x", "1-bb"), ("b", "1-cc")]))
    store.write(lambda w: marks.record(w, two, 1, [("a", "1-dd")]))
    store.write(lambda w: marks.record(w, one, 1, [("a", "2-ee"), ("c", "1-ff")]))
    assert _marks(store, one) == {"a": "2-ee", "b": "1-cc", "c": "1-ff"}
    assert _marks(store, two) == {"a": "1-dd"}
    store.write(lambda w: marks.forget(w, one, 1, ["a", "x"]))
    assert _marks(store, one) == {"b": "1-cc", "c": "1-ff"}
    store.write(lambda w: marks.forget(w, one, 1))
    assert (_marks(store, one), _marks(store, two)) == ({}, {"a": "1-dd"})
    with store.reader() as reader:
        assert feed.last_seq(reader, 1) == 3


def test_a_mark_stays_when_the_document_changes_and_goes_when_it_is_purged(store: Store) -> None:
    first = store.write(lambda w: documents.save(w, 1, [Edit("a", b"{}")]))[0]
    one = store.write(lambda w: marks.remote_id(w, "one"))
    store.write(lambda w: marks.record(w, one, 1, [("a", first.tid)]))
    second = store.write(lambda w: documents.save(w, 1, [Edit("a", b"{}")]))[0]
    with store.reader() as reader:
        held = revisions.held(reader, 1, ["a"], one)[0]
    assert isinstance(held, Held)
    assert (held.tid, held.mark) == (second.tid, first.tid)
    store.write(lambda w: documents.purge(w, 1, ["a"]))
    store.write(lambda w: documents.save(w, 1, [Edit("a", b"{}")]))
    assert _marks(store, one) == {}


def test_a_forgotten_remote_is_gone_with_its_marks_and_its_number(store: Store) -> None:
    store.write(lambda w: documents.save(w, 1, [Edit("a", b"{}")]))
    one = store.write(lambda w: marks.remote_id(w, "one"))
    store.write(lambda w: marks.record(w, one, 1, [("a", "1-aa")]))
    store.write(lambda w: marks.forget_remote(w, one))
    assert _marks(store, one) == {}
    with store.reader() as reader:
        assert marks.remotes(reader) == []
    assert store.write(lambda w: marks.remote_id(w, "one")) != one
