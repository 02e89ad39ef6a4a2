from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from settee.clock import ThreadWorkers, Workers
from settee.doc.records import DELETED
from settee.errors import CorruptDatabaseError, DiskFullError, TransactionError
from settee.ids import CollectionName
from settee.limits import BLOB_LEASE_S, CHECK_PROBLEMS_MAX
from settee.store import Store, Writer, documents, maintenance
from settee.store.documents import Edit
from settee.store.maintenance import Compacted, Problem, check, compact, optimize, reindex
from tests.store.conftest import FakeClock, Opener


def _with_blob(store: Store, doc_id: str, content: bytes) -> str:
    digest = store.blobs.put(content)
    body = b'{"p":{"@type":"blob","digest":"%s"}}' % digest.encode()
    store.write(lambda writer: documents.save(writer, 1, [Edit(doc_id, body, False, (digest,))]))
    return digest


def _fill(store: Store, count: int, size: int = 10) -> None:
    edits = [Edit(f"d{i:05}", b'{"text":"%s"}' % (b"x" * size)) for i in range(count)]
    store.write(lambda writer: documents.save(writer, 1, edits))


def _purge(store: Store, *doc_ids: str) -> None:
    store.write(lambda writer: documents.purge(writer, 1, doc_ids))


def _sql(store: Store, sql: str) -> None:
    store.write(lambda writer: writer.run(sql))


def _kinds(problems: list[Problem]) -> list[str]:
    return [each.kind for each in problems]


# --- compact --------------------------------------------------------------------------------------


@pytest.mark.feature("MNT-01")
def test_compacting_gives_back_gaps_and_blobs_that_nothing_names(
    open_store: Opener, workers: Workers, clock: FakeClock
) -> None:
    store = open_store(workers=workers, durability="normal")
    _fill(store, 300, 3000)
    kept = _with_blob(store, "kept", b"kept")
    gone = _with_blob(store, "gone", b"g" * 1000)
    _purge(store, "gone", *(f"d{i:05}" for i in range(290)))
    clock.advance(BLOB_LEASE_S + 1)
    done = compact(store)
    assert (done.blobs_removed, done.blob_bytes) == (1, 1000)
    assert done.file_bytes > 290 * 3000
    assert done.bytes_freed == done.file_bytes + 1000
    assert store.blobs.has(kept)
    assert not store.blobs.has(gone)
    assert (store.directory / "db.sqlite3-wal").stat().st_size == 0
    assert compact(store) == Compacted(0, 0, 0)
    assert check(store) == []
    _fill(store, 3)
    with store.reader() as reader:
        assert documents.count(reader, 1) == 14


def test_young_and_leased_blobs_stay(store: Store, clock: FakeClock) -> None:
    leased, young = store.blobs.put(b"leased"), store.blobs.put(b"young")
    release = store.blobs.lease([leased])
    assert compact(store).blobs_removed == 0, "another process may be about to name them"
    assert compact(store, unused_since_ns=clock.wall_ns() - 1).blobs_removed == 0
    assert compact(store, unused_since_ns=clock.wall_ns()).blobs_removed == 1
    assert store.blobs.missing([leased, young]) == [young]
    release()
    assert compact(store, unused_since_ns=clock.wall_ns()).blobs_removed == 1


def test_compacting_cleans_up_after_a_process_that_died(store: Store) -> None:
    left = store.directory / "blobs" / "staging" / "0123456789abcdef"
    left.mkdir(parents=True)
    (left / "1").write_bytes(b"half a picture")
    compact(store)
    assert not left.exists()


def test_other_writes_wait_and_reads_go_on(open_store: Opener) -> None:
    store = open_store(workers=ThreadWorkers())
    _fill(store, 5)
    with store.alone():
        future = store.submit(lambda writer: documents.purge(writer, 1, ["d00000"]))
        with store.reader() as reader:
            assert documents.count(reader, 1) == 5
        assert not future.done()
    assert future.result() == 1


def test_it_is_refused_inside_a_transaction(open_store: Opener, workers: Workers) -> None:
    store = open_store(workers=workers)

    def alone(_writer: Writer) -> None:
        with store.alone():
            raise AssertionError("not reached")

    with store.transaction(), pytest.raises(TransactionError, match="after its end"):
        compact(store)
    with pytest.raises(TransactionError, match="after its end"):
        store.write(alone)
    assert compact(store).blobs_removed == 0


def test_without_threads_it_does_not_wait_for_ever(open_store: Opener) -> None:
    """With inline workers another's transaction can't end while we wait."""
    store = open_store()
    outside: list[str] = []

    def other() -> None:
        try:
            with store.alone():
                outside.append("entered")
        except TransactionError as exc:
            outside.append(str(exc))

    with store.transaction():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert outside == ["a transaction is open; this can be done after its end"]


def test_a_full_disk_leaves_everything_as_it_was(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    _fill(store, 50, 1000)
    real = Writer.run

    def full(self: Writer, sql: str, bindings: object = ()) -> None:
        if sql == "VACUUM":
            raise DiskFullError("no space")
        real(self, sql, bindings)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "run", full)
        with pytest.raises(DiskFullError):
            compact(store)
    _fill(store, 60)
    assert check(store) == []
    assert store._writer is not None
    assert store._writer.row("PRAGMA temp_store") == (2,), "memory again"


# --- reindex, optimize ----------------------------------------------------------------------------


@pytest.mark.feature("MNT-02")
def test_reindex_makes_all_that_is_derived_anew(store: Store) -> None:
    digest = _with_blob(store, "p", b"picture")
    _with_blob(store, "q", b"other")
    _fill(store, 1200)
    before = _derived(store)
    _sql(store, "DELETE FROM blob_refs WHERE doc = 1")
    _sql(store, "INSERT INTO blob_refs VALUES ('sha1-x', 1, 77)")
    _sql(store, "INSERT INTO blob_refs VALUES ('sha1-x', 9, 1)")
    _sql(store, "UPDATE docs_1 SET flags = 0 WHERE id = 'p'")
    _sql(store, "UPDATE docs_1 SET flags = 2 WHERE id = 'd00007'")
    _sql(store, "UPDATE collections SET live_count = 7")
    assert set(_kinds(check(store))) == {"reference", "blob"}
    store.write(reindex)
    assert check(store) == []
    assert _derived(store) == before
    assert store.blobs.read(digest) == b"picture"


def _derived(store: Store) -> list[object]:
    with store.reader() as reader:
        return [
            reader.rows("SELECT * FROM blob_refs ORDER BY 1, 2, 3"),
            reader.rows("SELECT * FROM collections"),
            reader.rows("SELECT doc, flags FROM docs_1"),
        ]


def test_reindex_makes_a_lost_index_and_says_so_when_documents_contradict_each_other(
    store: Store,
) -> None:
    _fill(store, 3)
    _sql(store, "DROP INDEX docs_1_id")
    assert [each.message for each in check(store)] == ["has lost its index by id"]
    store.write(reindex)
    assert check(store) == []
    _sql(store, "DROP INDEX docs_1_id")
    _sql(store, "UPDATE docs_1 SET id = 'd00000' WHERE id = 'd00001'")
    with pytest.raises(CorruptDatabaseError):
        store.write(reindex)
    _sql(store, "UPDATE docs_1 SET id = 'd00001' WHERE doc = 2")
    store.write(reindex)
    assert check(store) == []


@pytest.mark.feature("MNT-04", "MNT-05")
@pytest.mark.parametrize("full", [False, True])
def test_optimize_lets_sqlite_know_its_indexes(store: Store, full: bool) -> None:
    _fill(store, 600)
    store.write(lambda writer: optimize(writer, full=full))
    with store.reader() as reader:
        known = {row[0] for row in reader.rows("SELECT idx FROM sqlite_stat1 WHERE tbl = 'docs_1'")}
    assert {"docs_1_id", "docs_1_seq"} <= known
    assert check(store) == []


# --- check ----------------------------------------------------------------------------------------


@pytest.mark.feature("MNT-03")
def test_a_sound_database_has_no_problems(open_store: Opener, workers: Workers) -> None:
    store = open_store(workers=workers)
    assert check(store) == []
    _fill(store, 1100)
    _with_blob(store, "p", b"picture")
    store.write(lambda writer: documents.save(writer, 1, [Edit("d00003", b"{}", True)]))
    _purge(store, "d00004")
    store.collection(CollectionName("shop", "items"), create=True)
    store.collection(CollectionName("shop", "old"), create=True)
    store.delete_collection(CollectionName("shop", "old"))
    assert check(store) == []
    with store.transaction():
        assert check(store) == []


DAMAGES: list[tuple[str, str, str, str]] = [
    ("UPDATE docs_1 SET body = '{' WHERE id = 'd00001'", "document", "_default/d00001", "JSON"),
    ("UPDATE docs_1 SET body = '{\"a\":1,\"a\":2}' WHERE id = 'd00001'", "document", "", "twice"),
    ("UPDATE docs_1 SET tid = '1-' WHERE id = 'd00001'", "document", "", "revision"),
    ("UPDATE docs_1 SET history = '?' WHERE id = 'd00001'", "document", "", "revision"),
    ("UPDATE docs_1 SET vector = 'zz' WHERE id = 'd00001'", "document", "", "damaged revision"),
    ("UPDATE docs_1 SET id = '_x' WHERE id = 'd00001'", "document", "_default/_x", "name"),
    ("UPDATE docs_1 SET flags = 2 WHERE id = 'd00001'", "reference", "", "other blobs"),
    ("UPDATE docs_1 SET seq = 99 WHERE id = 'd00001'", "database", "_default", "sequence 99"),
    ("UPDATE meta SET value = 1 WHERE name = 'hybrid_time'", "document", "", "ahead of"),
    ("UPDATE meta SET value = x'00' WHERE name = 'public_uuid'", "database", "meta", "public_uuid"),
    ("DELETE FROM meta WHERE name = 'hybrid_time'", "database", "meta", "hybrid_time"),
    ("UPDATE collections SET live_count = 3", "reference", "_default", "counts 3 documents"),
    ("INSERT INTO blob_refs VALUES ('sha1-x', 1, 1)", "reference", "", "other blobs"),
    ("INSERT INTO blob_refs VALUES ('sha1-x', 1, 99)", "reference", "_default", "1 references"),
    ("INSERT INTO blob_refs VALUES ('sha1-x', 5, 1)", "reference", "blob_refs", "1 references"),
    ("DROP TABLE docs_1", "file", "", ""),
    ("DROP TABLE meta", "database", "meta", ""),
]


@pytest.mark.feature("MNT-03")
@pytest.mark.parametrize(("sql", "kind", "place", "words"), DAMAGES)
def test_damage_is_found_and_told(
    store: Store, sql: str, kind: str, place: str, words: str
) -> None:
    _fill(store, 5)
    _sql(store, sql)
    found = [each for each in check(store) if each.kind == kind]
    if sql == "DROP TABLE docs_1":  # As after `delete_collection` by another: nothing to read.
        assert not found
        return
    assert found
    assert found[0].place.startswith(place)
    assert words in found[0].message
    assert str(found[0]).startswith(f"{kind}: ")


@pytest.mark.feature("MNT-03")
@pytest.mark.parametrize(
    ("damage", "message", "content_only"),
    [
        (lambda path: path.unlink(), "is missing", False),
        (lambda path: path.write_bytes(b"pixture"), "is damaged", True),
        (lambda path: path.write_bytes(b""), "is damaged", True),
        (lambda path: path.write_bytes(b"picture and more"), "is damaged", True),
    ],
)
def test_damaged_blobs_are_found(
    store: Store, damage: Callable[[Path], object], message: str, content_only: bool
) -> None:
    digest = _with_blob(store, "p", b"picture")
    damage(next(each for each in (store.directory / "blobs").iterdir() if each.is_file()))
    found = check(store)
    assert [(each.kind, each.place) for each in found] == [("blob", digest)]
    assert found[0].message == f"{found[0].message.partition(';')[0]}; _default/p names it"
    assert message in found[0].message
    assert check(store, blobs=False) == ([] if content_only else found)


def test_a_blob_that_went_meanwhile_is_no_problem(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_blob(store, "p", b"picture")
    real = maintenance._in_a_blob

    def purged_meanwhile(store: Store, digest: str, content: bool) -> str | None:
        _purge(store, "p")
        store.write(lambda writer: store.blobs.remove_unneeded(writer, 2**62))
        return real(store, digest, content)

    monkeypatch.setattr(maintenance, "_in_a_blob", purged_meanwhile)
    assert check(store) == []


def test_a_damaged_page_is_found_and_the_rest_is_still_looked_at(
    open_store: Opener, directory: Path
) -> None:
    store = open_store()
    _fill(store, 400, 500)
    digest = _with_blob(store, "p", b"picture")
    store.close()
    path = directory / "db.sqlite3"
    content = bytearray(path.read_bytes())
    at = content.index(b"x" * 400, len(content) // 2) // 8192 * 8192
    content[at : at + 64] = os.urandom(64)
    path.write_bytes(content)
    (next(each for each in (directory / "blobs").iterdir() if each.is_file())).unlink()
    kinds = {each.kind: each.place for each in check(open_store())}
    assert "file" in kinds
    assert kinds["blob"] == digest


def test_a_hopeless_database_does_not_fill_the_memory(store: Store) -> None:
    _fill(store, CHECK_PROBLEMS_MAX + 50)
    _sql(store, "UPDATE docs_1 SET body = '{'")
    assert len(check(store)) == CHECK_PROBLEMS_MAX


def test_tombstones_are_not_counted(store: Store) -> None:
    _fill(store, 2)
    store.write(lambda writer: documents.save(writer, 1, [Edit("d00000", b"{}", True)]))
    store.write(reindex)
    with store.reader() as reader:
        assert documents.count(reader, 1) == 1
        row = documents.get(reader, 1, "d00000")
    assert row is not None
    assert row.flags & DELETED
