from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settee.clock import InlineWorkers
from settee.doc import conflict, revision
from settee.doc.conflict import State
from settee.doc.records import DELETED, HAS_BLOBS
from settee.doc.version import Version, parse_vector
from settee.errors import ConflictError, CorruptDatabaseError, NotFoundError
from settee.limits import HISTORY_NAMES_MAX
from settee.store import Store, documents, feed
from settee.store.documents import Edit, Saved
from tests.store.conftest import FakeClock, Opener

EMPTY = b"{}"


def _save(store: Store, *edits: Edit) -> list[Saved]:
    return store.write(lambda w: documents.save(w, 1, edits))


def _get(store: Store, doc_id: str) -> documents.StoredDocument | None:
    with store.reader() as reader:
        return documents.get(reader, 1, doc_id)


def _count(store: Store) -> int:
    with store.reader() as reader:
        return documents.count(reader, 1)


# --- saving and getting -------------------------------------------------------------------------


def test_what_was_saved_is_got_to_the_byte(store: Store) -> None:
    body = ' {"b" : 1.50, "a":"\u00e4\\u0000\U0001f6cb", "a2":1e3 }'.encode()
    saved = _save(store, Edit("id", body))[0]
    found = _get(store, "id")
    assert found == documents.StoredDocument(
        "id", 1, saved.tid, 0, f"{store_time(found):x}@{store.source}", body, None
    )
    assert _get(store, "other") is None


def store_time(found: documents.StoredDocument | None) -> int:
    assert found is not None
    return revision.version_of(found.tid).time


@settings(max_examples=12, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1),
        st.text(st.characters(exclude_categories=["Cs"])),
        max_size=5,
    )
)
def test_any_id_and_any_text_come_back(tmp_path_factory, texts: dict[str, str]) -> None:
    directory = tmp_path_factory.mktemp("any") / "x.settee"
    with Store.open(
        directory, durability="memory", clock=FakeClock(), workers=InlineWorkers()
    ) as store:
        bodies = {
            doc_id: json.dumps({"t": text}, ensure_ascii=len(text) % 2 == 0).encode()
            for doc_id, text in texts.items()
        }
        _save(store, *(Edit(doc_id, body) for doc_id, body in bodies.items()))
        with store.reader() as reader:
            found = documents.get_many(reader, 1, list(bodies))
            assert {row.doc_id: row.body for row in found if row} == bodies
            assert documents.ids(reader, 1) == sorted(bodies, key=str.encode)


def test_a_new_documents_names_are_those_that_the_pure_rule_gives(store: Store) -> None:
    saved = _save(store, Edit("a", EMPTY), Edit("b", EMPTY, deleted=True))
    for row in saved:
        found = _get(store, row.doc_id)
        assert found is not None
        version = revision.version_of(row.tid)
        deleted = bool(found.flags & DELETED)
        state = conflict.saved(None, version, deleted)
        assert version.source == store.source
        assert state == State(row.tid, deleted, parse_vector(found.vector), (), ())


def test_an_edit_is_a_child_of_what_was_there(store: Store) -> None:
    first = _save(store, Edit("a", b'{"n":1}'))[0]
    second = _save(store, Edit("a", b'{"n":2}'))[0]
    assert (first.seq, second.seq) == (1, 2)
    assert second.tid.startswith("2-ff")
    with store.reader() as reader:
        row = documents.current_rows(reader, 1, ["a"])["a"]
        state = documents.state_of(row)
        assert feed.changes(reader, 1, 0, 10).rows[0].seq == 2
    assert state.history == (first.tid,)
    conflict.assert_sound(state)
    found = _get(store, "a")
    assert found is not None
    assert found.body == b'{"n":2}'


def test_one_document_may_occur_often_in_one_batch(store: Store) -> None:
    digest = store.blobs.put(b"x")
    saved = _save(
        store,
        Edit("a", b'{"n":1}', blobs=(digest,)),
        Edit("b", EMPTY),
        Edit("a", b'{"n":2}', deleted=True),
        Edit("a", b'{"n":3}', blobs=(digest,)),
    )
    assert [row.seq for row in saved] == [1, 2, 3, 4]
    assert [row.tid[:2] for row in saved] == ["1-", "1-", "2-", "3-"]
    with store.reader() as reader:
        rows = feed.changes(reader, 1, 0, 10).rows
        assert [(row.seq, row.doc_id) for row in rows] == [(2, "b"), (4, "a")]
        refs = reader.rows("SELECT digest, collection, doc FROM blob_refs")
        docs = dict(reader.rows("SELECT id, doc FROM docs_1"))
    assert refs == [(digest, 1, docs["a"])]
    assert _count(store) == 2
    _save(store, Edit("b", EMPTY), Edit("a", EMPTY))
    with store.reader() as reader:
        assert dict(reader.rows("SELECT id, doc FROM docs_1")) == docs


def test_a_deletion_leaves_a_tombstone_that_is_not_counted_or_listed(store: Store) -> None:
    _save(store, Edit("a", EMPTY), Edit("b", EMPTY))
    _save(store, Edit("a", EMPTY, deleted=True))
    found = _get(store, "a")
    assert found is not None
    assert found.flags == DELETED
    assert _count(store) == 1
    with store.reader() as reader:
        assert documents.ids(reader, 1) == ["b"]
        assert [row.doc_id for row in documents.iterate(reader, 1)] == ["b"]
    _save(store, Edit("a", EMPTY))
    assert _count(store) == 2


def test_which_blobs_a_document_names_follows_its_body(store: Store) -> None:
    one, two = store.blobs.put(b"1"), store.blobs.put(b"2")

    def refs() -> list[str]:
        with store.reader() as reader:
            return sorted(row[0] for row in reader.rows("SELECT digest FROM blob_refs"))

    _save(store, Edit("a", EMPTY, blobs=(one, two, one)))
    found = _get(store, "a")
    assert found is not None
    assert found.flags == HAS_BLOBS
    assert refs() == sorted([one, two])
    _save(store, Edit("a", EMPTY, blobs=(two,)))
    assert refs() == [two]
    _save(store, Edit("a", EMPTY))
    assert refs() == []


def test_an_empty_batch_changes_nothing(store: Store) -> None:
    assert _save(store) == []
    with store.reader() as reader:
        assert feed.last_seq(reader, 1) == 0


# --- concurrency control ------------------------------------------------------------------------


def test_an_edit_of_the_revision_that_is_there_is_saved(store: Store) -> None:
    first = _save(store, Edit("a", EMPTY, expect_tid=""))[0]
    second = _save(store, Edit("a", b'{"x":1}', expect_tid=first.tid))[0]
    assert second.seq == 2


@pytest.mark.parametrize("expected", ["", "1-ffee", "2-ab"])
def test_an_edit_of_another_revision_is_refused_and_nothing_is_written(
    store: Store, expected: str
) -> None:
    first = _save(store, Edit("a", EMPTY))[0]
    with pytest.raises(ConflictError, match="'a'"):
        _save(store, Edit("b", EMPTY), Edit("a", EMPTY, expect_tid=expected))
    assert _get(store, "b") is None
    found = _get(store, "a")
    assert found is not None
    assert found.tid == first.tid
    assert _save(store, Edit("c", EMPTY))[0].seq == 2


def test_an_edit_of_a_purged_document_is_refused(store: Store) -> None:
    first = _save(store, Edit("a", EMPTY))[0]
    store.write(lambda w: documents.purge(w, 1, ["a"]))
    with pytest.raises(ConflictError, match="purged"):
        _save(store, Edit("a", EMPTY, expect_tid=first.tid))


def test_a_tombstone_does_not_count_as_being_there(store: Store) -> None:
    _save(store, Edit("a", EMPTY))
    _save(store, Edit("a", EMPTY, deleted=True))
    assert _save(store, Edit("a", EMPTY, expect_tid=""))[0].tid.startswith("3-")


def test_a_revision_is_known_by_its_other_names_too(store: Store) -> None:
    first = _save(store, Edit("a", EMPTY))[0]
    digest = revision.digest(first.tid)
    lifted = f"5-{digest}"
    store.write(
        lambda w: w.run(
            "UPDATE docs_1 SET tid = ?, aka = '2-abcd,3-abce' WHERE id = 'a'", (lifted,)
        )
    )
    with pytest.raises(ConflictError):
        _save(store, Edit("a", EMPTY, expect_tid="2-ab"))
    assert _save(store, Edit("a", EMPTY, expect_tid=first.tid))[0].tid.startswith("6-")


@pytest.mark.parametrize("name", ["2-abcd", "3-abce"])
def test_a_revision_is_known_by_its_native_names(store: Store, name: str) -> None:
    _save(store, Edit("a", EMPTY))
    store.write(lambda w: w.run("UPDATE docs_1 SET aka = '2-abcd,3-abce' WHERE id = 'a'"))
    assert _save(store, Edit("a", EMPTY, expect_tid=name))[0].seq == 2


# --- pages --------------------------------------------------------------------------------------


def test_pages_by_id_hold_each_document_once_in_order(store: Store) -> None:
    names = [f"{i:02d}" for i in range(25)] + ["ä", "z", "\U0001f6cb"]
    _save(store, *(Edit(name, EMPTY) for name in reversed(names)))
    _save(store, Edit("07", EMPTY, deleted=True))
    names.remove("07")
    found: list[str] = []
    listed: list[str] = []
    with store.reader() as reader:
        while page := documents.iterate(reader, 1, found[-1] if found else "", 10):
            found += [row.doc_id for row in page]
        while ids := documents.ids(reader, 1, listed[-1] if listed else "", 10):
            listed += ids
    assert found == listed == sorted(names, key=str.encode)


def test_many_are_got_in_the_order_asked(store: Store) -> None:
    _save(store, Edit("a", EMPTY), Edit("b", EMPTY))
    with store.reader() as reader:
        found = documents.get_many(reader, 1, ["b", "x", "a", "b"])
        assert documents.get_many(reader, 1, []) == []
    assert [row and row.doc_id for row in found] == ["b", None, "a", "b"]


# --- purge and expiry ---------------------------------------------------------------------------


def test_a_purge_forgets_all_and_its_sequence_never_comes_back(
    open_store: Opener,
) -> None:
    store = open_store()
    digest = store.blobs.put(b"x")
    _save(store, Edit("a", EMPTY), Edit("b", EMPTY, blobs=(digest,)), Edit("c", EMPTY, True))
    assert store.write(lambda w: documents.purge(w, 1, ["b", "c", "unknown"])) == 2
    assert store.write(lambda w: documents.purge(w, 1, ["b"])) == 0
    assert (_get(store, "b"), _count(store)) == (None, 1)
    with store.reader() as reader:
        assert reader.rows("SELECT * FROM blob_refs") == []
        assert feed.last_seq(reader, 1) == 3
        docs = {row[0] for row in reader.rows("SELECT doc FROM docs_1")}
    store.write(lambda w: documents.purge(w, 1, ["a"]))
    store.close()
    store = open_store()
    assert _save(store, Edit("b", EMPTY))[0].seq == 4
    with store.reader() as reader:
        assert docs.isdisjoint(row[0] for row in reader.rows("SELECT doc FROM docs_1"))


def test_a_purge_is_told_to_listeners(store: Store) -> None:
    _save(store, Edit("a", EMPTY))
    told = []
    store.on_commit(told.append)
    store.write(lambda w: documents.purge(w, 1, ["a"]))
    assert [(commit.changes, commit.last_seqs) for commit in told] == [({1: ["a"]}, {1: 1})]


def test_expiry_is_set_found_and_taken_back_without_a_sequence(store: Store) -> None:
    _save(store, Edit("a", EMPTY), Edit("b", EMPTY), Edit("c", EMPTY))
    with store.reader() as reader:
        assert documents.next_expiry(reader) is None
    store.write(lambda w: documents.expire(w, 1, "a", 2000))
    store.write(lambda w: documents.expire(w, 1, "b", 1000))
    with store.reader() as reader:
        assert documents.next_expiry(reader) == 1000
        assert documents.due(reader, 1, 999) == []
        assert documents.due(reader, 1, 1000) == ["b"]
        assert documents.due(reader, 1, 5000) == ["b", "a"]
        assert documents.due(reader, 1, 5000, limit=1) == ["b"]
        assert feed.last_seq(reader, 1) == 3
    found = _get(store, "a")
    assert found is not None
    assert found.expires == 2000
    _save(store, Edit("a", b'{"x":1}'))
    store.write(lambda w: documents.expire(w, 1, "b", None))
    with store.reader() as reader:
        assert documents.due(reader, 1, 5000) == ["a"]


def test_only_a_live_document_can_expire(store: Store) -> None:
    _save(store, Edit("a", EMPTY, deleted=True))
    for doc_id in ("a", "unknown"):
        with pytest.raises(NotFoundError, match=doc_id):
            store.write(lambda w: documents.expire(w, 1, doc_id, 1))  # noqa: B023


# --- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    ["vector = 'nonsense'", "tid = '1-ff18eb76e60a9300zz818acb700a05928376cee31447f0fcf0'"],
)
def test_a_damaged_row_is_told_as_damage(store: Store, change: str) -> None:
    _save(store, Edit("a", EMPTY))
    store.write(lambda w: w.run(f"UPDATE docs_1 SET {change}"))
    with pytest.raises(CorruptDatabaseError, match="'a'"):
        _save(store, Edit("a", EMPTY))


def test_a_row_from_the_future_of_its_own_clock_is_told_as_damage(store: Store) -> None:
    _save(store, Edit("a", EMPTY))
    ahead = Version(FakeClock().wall_ns() * 2, store.source)
    store.write(
        lambda w: w.run("UPDATE docs_1 SET vector = ?", (f"{ahead.time:x}@{store.source}",))
    )
    with pytest.raises(CorruptDatabaseError, match="clock"):
        _save(store, Edit("a", EMPTY))


def test_the_quick_way_to_save_again_names_revisions_as_the_rule_does(
    open_store: Opener, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over fifty times, with deletions and blobs between, on two stores with the same clock."""

    def rows(name: str) -> list[tuple[object, ...]]:
        store = open_store(directory.with_name(name), clock=FakeClock("twins"))
        digest = store.blobs.put(b"content")
        found = []
        for n in range(HISTORY_NAMES_MAX + 5):
            edit = Edit("a", b'{"n":%d}' % n, n % 7 == 3, (digest,) if n % 5 == 2 else ())
            store.write(
                lambda w, edit=edit: documents.save(w, 1, [edit, edit._replace(doc_id="b")])
            )
            with store.reader() as reader:
                found += reader.rows("SELECT * FROM docs_1 ORDER BY id")
                found += reader.rows("SELECT * FROM blob_refs ORDER BY doc")
                found += reader.rows("SELECT live_count, last_seq FROM collections")
        return found

    quick = rows("quick.settee")
    assert any(row[5].count(",") == HISTORY_NAMES_MAX - 1 for row in quick if len(row) > 5)
    monkeypatch.setattr(documents, "_names_of_own", lambda *_: None)
    assert rows("slow.settee") == quick


def test_new_documents_of_one_batch_keep_their_flags_and_blobs(store: Store) -> None:
    digest = store.blobs.put(b"content")
    edits = [Edit("a", b"{}"), Edit("b", b"{}", True), Edit("c", b"{}", False, (digest,))]
    saved = store.write(lambda w: documents.save(w, 1, edits))
    assert [each.seq for each in saved] == [1, 2, 3]
    with store.reader() as reader:
        flags = [documents.get(reader, 1, each.doc_id).flags for each in saved]
        assert documents.count(reader, 1) == 2
        assert reader.rows("SELECT digest, doc FROM blob_refs") == [(digest, 3)]
    assert flags == [0, DELETED, HAS_BLOBS]


def test_a_new_document_that_was_to_be_there_is_a_conflict(store: Store) -> None:
    with pytest.raises(ConflictError):
        store.write(lambda w: documents.save(w, 1, [Edit("a", b"{}", expect_tid="1-abc")]))
    store.write(lambda w: documents.save(w, 1, [Edit("a", b"{}", expect_tid="")]))
