from __future__ import annotations

import gc
import io
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from settee.db.blob import Blob
from settee.db.database import Database
from settee.db.document import Document
from settee.db.expiry import Expiry
from settee.errors import (
    ClosedError,
    ConfigError,
    ConflictError,
    ExistsError,
    InvalidDocumentError,
    InvalidNameError,
    NotADatabaseError,
    NotFoundError,
    TransactionError,
)
from tests.db.conftest import ManualClock, Opener
from tests.disk import namespace

# --- opening and closing --------------------------------------------------------------------------


@pytest.mark.feature("DB-01", "DB-11", "DB-12")
def test_a_database_is_made_closed_and_found_again(tmp_path: Path) -> None:
    with Database("app", directory=tmp_path) as db:
        assert (db.name, db.path, db.durability) == ("app", tmp_path / "app.settee", "full")
        assert not db.read_only
        db.default_collection["a"] = {"n": 1}
    with Database(tmp_path / "app.settee", create=False) as db:
        assert db.default_collection["a"]["n"] == 1


@pytest.mark.feature("DB-01")
def test_without_create_there_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="create=True"):
        Database("app", directory=tmp_path, create=False)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_durability_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="durability"):
        Database("app", directory=tmp_path, durability="some")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_something_else_in_its_place_is_left_alone(tmp_path: Path) -> None:
    place = tmp_path / "app.settee"
    place.mkdir()
    (place / "db.sqlite3").write_bytes(b"my diary, not a database")
    with pytest.raises(NotADatabaseError):
        Database("app", directory=tmp_path)
    assert (place / "db.sqlite3").read_bytes() == b"my diary, not a database"


@pytest.mark.slow
def test_a_place_that_cannot_be_written_opens_for_reading(tmp_path: Path) -> None:
    """Starts two processes, the second with a read-only mount of its own; see tests/disk/."""
    namespace.run("readonly", "make", mount="", place=tmp_path)
    found = namespace.run_read_only("directory", tmp_path)
    assert found["read_only"]
    assert found["outcomes"]["save"] == "ReadOnlyError"


@pytest.mark.feature("DB-06")
def test_close_is_idempotent_and_everything_after_it_says_closed(db: Database) -> None:
    db.close()
    db.close()
    assert "closed" in repr(db)
    for call in (
        lambda: db.collection("x"),
        lambda: db.default_collection,
        db.collections,
        db.scopes,
        db.transaction,
        db.changes,
        lambda: db.on_change(print),
        lambda: db.delete_collection("x"),
        lambda: "x" in db,
        lambda: db.replicate("wss://x/y"),
        lambda: db._on_close(print),
        lambda: db.get_blob("sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00="),
        lambda: db.save_blob(Blob.from_bytes(b"")),
        db.compact,
        db.reindex,
        db.check,
        db.optimize,
    ):
        with pytest.raises(ClosedError):
            call()
    db._poll()


@pytest.mark.feature("DB-06")
def test_close_stops_what_registered_last_first_and_goes_on_after_a_failure(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    order: list[str] = []

    def broken() -> None:
        order.append("broken")
        raise RuntimeError("no")

    db._on_close(lambda: order.append("first"))
    db._on_close(broken)
    unregister = db._on_close(lambda: order.append("never"))
    db._on_close(lambda: order.append("last"))
    unregister()
    unregister()
    db.close()
    assert order == ["last", "broken", "first"]
    assert "closing goes on" in caplog.text


def test_close_waits_for_what_was_begun(tmp_path: Path) -> None:
    db = Database("app", directory=tmp_path)
    threads = [
        threading.Thread(target=db.default_collection.put, args=(f"{n}", {"n": n}))
        for n in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    db.close()
    with Database("app", directory=tmp_path) as db:
        assert len(db.default_collection) == 8


def test_a_database_that_was_not_closed_warns(tmp_path: Path) -> None:
    db = Database("app", directory=tmp_path)
    with pytest.warns(ResourceWarning, match="was not closed"):
        db.__del__()
    db.close()
    db.__del__()  # No second warning: warnings are errors here.


def test_a_failed_opening_leaves_nothing_to_warn_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no")

    with monkeypatch.context() as patched:
        patched.setattr(Expiry, "look", broken)
        with pytest.raises(RuntimeError, match="no"):
            Database("app", directory=tmp_path)
    Database.delete("app", tmp_path)


# --- collections ----------------------------------------------------------------------------------


@pytest.mark.feature("COLL-01", "COLL-02", "COLL-03", "COLL-04", "COLL-05")
def test_collections_are_made_listed_and_deleted(db: Database) -> None:
    assert [each.full_name for each in db.collections()] == ["_default._default"]
    assert db.default_collection is db.collection("_default")
    with pytest.raises(NotFoundError, match="create=True"):
        db.collection("shop.items")
    items = db.collection("shop.items", create=True)
    assert db.collection("shop.items", create=True) is items is db.collection("shop.items")
    db.collection("plain", create=True)
    assert [each.full_name for each in db.collections()] == [
        "_default._default",
        "shop.items",
        "_default.plain",
    ]
    assert db.scopes() == ["_default", "shop"]
    assert "shop.items" in db
    assert "shop.none" not in db
    assert 5 not in db
    items["a"] = {}
    db.delete_collection("shop.items")
    assert "shop.items" not in db
    assert db.scopes() == ["_default"]
    again = db.collection("shop.items", create=True)
    assert again is not items
    assert len(again) == 0
    with pytest.raises(NotFoundError):
        db.delete_collection("none")
    with pytest.raises(InvalidNameError, match="default"):
        db.delete_collection("_default")


@pytest.mark.feature("COLL-07")
@pytest.mark.parametrize("name", ["", "_x", "a.", ".a", "a.b.c", "a b", "%a", "x" * 252, "é"])
def test_a_collection_name_that_cannot_be_is_refused(db: Database, name: str) -> None:
    with pytest.raises(InvalidNameError):
        db.collection(name, create=True)


# --- transactions ---------------------------------------------------------------------------------


@pytest.mark.feature("TX-01")
def test_a_transaction_reads_its_own_writes_and_commits_all(db: Database) -> None:
    items = db.default_collection
    with db.transaction():
        items["a"] = {"n": 1}
        assert items["a"]["n"] == 1
        items["a"] = {"n": 2}
        assert len(items) == 1
        assert list(items) == ["a"]
        document = items["a"]
        document["n"] = 3
        items.save(document, "fail")
        assert items.save_many([("b", {}), ("c", {})]) == 2
        del items["b"]
    assert items["a"]["n"] == 3
    assert list(items) == ["a", "c"]


@pytest.mark.feature("TX-01")
def test_an_exception_undoes_all_of_a_transaction(db: Database) -> None:
    items = db.default_collection
    items["a"] = {"n": 1}

    def fail_in_the_middle() -> None:
        with db.transaction():
            items["a"] = {"n": 2}
            items["b"] = {}
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fail_in_the_middle()
    assert items["a"]["n"] == 1
    assert list(items) == ["a"]


@pytest.mark.feature("TX-01")
def test_rollback_leaves_the_block_without_an_error(db: Database) -> None:
    items = db.default_collection
    with db.transaction() as transaction:
        items["a"] = {}
        transaction.rollback()
        raise AssertionError("not reached")
    assert len(items) == 0
    items["b"] = {}


def test_a_caught_failure_inside_undoes_only_itself(db: Database) -> None:
    items = db.default_collection
    items["c"] = {}
    stale = items["c"]
    items["c"] = {"n": 1}
    with db.transaction():
        items["a"] = {}
        for bad in (
            lambda: items.save(stale, "fail"),
            lambda: items.put("x", {"n": float("nan")}),
            lambda: items.purge("none"),
        ):
            with pytest.raises((ConflictError, InvalidDocumentError, NotFoundError)):
                bad()
        items["b"] = {}
    assert list(items) == ["a", "b", "c"]


def test_what_would_wait_for_itself_is_refused_inside(db: Database) -> None:
    with db.transaction():
        for call in (
            db.close,
            lambda: db.replicate("wss://x/y"),
        ):
            with pytest.raises(TransactionError):
                call()
    db.default_collection["a"] = {}


def test_callbacks_are_told_once_and_after_the_commit(db: Database) -> None:
    items = db.default_collection
    told: list[tuple[str, ...]] = []
    items.on_change(lambda change: told.append(change.document_ids))
    with db.transaction():
        items["a"] = {}
        items["b"] = {}
        assert told == []
    assert told == [("a", "b")]
    with db.transaction() as transaction:
        items["c"] = {}
        transaction.rollback()
    assert told == [("a", "b")]


@pytest.mark.feature("TX-02")
def test_another_threads_writes_wait_and_its_reads_do_not_see(threaded: Database) -> None:
    items = threaded.default_collection
    items["a"] = {"n": 1}
    seen: list[Any] = []
    inside, read = threading.Event(), threading.Event()

    def other() -> None:
        inside.wait()
        seen.append(items["a"]["n"])
        read.set()
        document = items["a"]
        document["other"] = True
        items.save(document)

    thread = threading.Thread(target=other)
    thread.start()
    with threaded.transaction():
        items["a"] = {"n": 2}
        inside.set()
        assert read.wait(10)
        items["b"] = {}
    thread.join()
    assert seen == [1]
    assert items["a"].get("other") is True
    assert "b" in items


# --- replication ----------------------------------------------------------------------------------


def test_replicate_asks_the_room_above(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Above:
        def replicate(self, db: Database, target: Any, **options: Any) -> Any:
            asked.append((db, target, options))
            return "result"

    monkeypatch.setattr(Database, "_replication", Above())
    assert db.replicate("wss://h/d", continuous=False) == "result"
    assert asked == [(db, "wss://h/d", {"continuous": False})]


# --- blobs by themselves --------------------------------------------------------------------------


@pytest.mark.feature("BLOB-08")
def test_a_blob_is_saved_before_any_document_names_it(db: Database) -> None:
    blob = Blob.from_stream(io.BytesIO(b"picture"), "image/png")
    assert db.save_blob(blob) is blob
    assert blob.length == 7
    for reference in (blob.digest, blob.properties):
        assert reference is not None
        found = db.get_blob(reference)
        assert found is not None
        assert (found.read(), found.length, found) == (b"picture", 7, blob)
    found = db.get_blob(blob.properties)
    assert found is not None
    assert found.content_type == "image/png"
    db.default_collection["a"] = {"image": blob.properties}
    image = db.default_collection["a"]["image"]
    assert image.read() == b"picture"


def test_get_blob_knows_what_is_not_here_and_what_is_no_reference(db: Database) -> None:
    assert db.get_blob("sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00=") is None
    for bad in ("", "sha1-x", "../../etc/passwd", {}, {"digest": "sha1-x"}, None, 5):
        with pytest.raises(InvalidDocumentError, match="names no blob"):
            db.get_blob(bad)  # type: ignore[arg-type]
    with pytest.raises(InvalidDocumentError, match="not bytes"):
        db.save_blob(b"picture")  # type: ignore[arg-type]


@pytest.mark.feature("BLOB-08", "MNT-01")
def test_compacting_keeps_saved_blobs_while_their_objects_live(db: Database) -> None:
    blob = db.save_blob(Blob.from_bytes(b"kept"))
    digest = blob.digest
    assert digest is not None
    assert db.compact().blobs_removed == 0
    del blob
    gc.collect()
    done = db.compact()
    assert (done.blobs_removed, done.blob_bytes) == (1, 4)
    assert db.get_blob(digest) is None


# --- maintenance ----------------------------------------------------------------------------------


@pytest.mark.feature("MNT-01")
def test_compacting_waits_an_hour_only_for_others(open_inline: Opener, clock: ManualClock) -> None:
    one, two = open_inline("app"), open_inline("app")
    one.default_collection["a"] = {"image": Blob.from_bytes(b"picture")}
    del one.default_collection["a"]
    gc.collect()
    assert one.compact().blobs_removed == 0, "the other handle might be about to name it"
    clock.now_s += 3601
    assert one.compact().blobs_removed == 1
    one.default_collection["a"] = {"image": Blob.from_bytes(b"picture")}
    one.default_collection.purge("a")
    gc.collect()
    two.close()
    assert one.compact().blobs_removed == 1


@pytest.mark.feature("MNT-02", "MNT-03", "MNT-04")
def test_a_database_is_checked_mended_and_optimised(db: Database) -> None:
    items = db.default_collection
    items["a"] = {"image": Blob.from_bytes(b"picture")}
    assert db.check() == db.check(blobs=False) == []
    db._store.write(lambda writer: writer.run("DELETE FROM blob_refs"))
    assert [each.kind for each in db.check()] == ["reference"]
    db.reindex()
    db.optimize()
    db.optimize(full=True)
    assert db.check() == []
    assert items["a"]["image"].read() == b"picture"


def test_maintenance_is_refused_inside_a_transaction(db: Database) -> None:
    with db.transaction():
        for call in (db.compact, db.reindex, db.optimize):
            with pytest.raises(TransactionError, match="after its end"):
                call()
        assert db.check() == []


# --- copies ---------------------------------------------------------------------------------------


@pytest.mark.feature("DB-10", "DB-14", "PRE-01")
def test_a_database_is_copied_by_name_by_path_and_while_it_is_open(tmp_path: Path) -> None:
    with Database("app", directory=tmp_path, durability="memory") as db:
        db.default_collection["a"] = {"image": Blob.from_bytes(b"picture")}
        assert Database.copy(db, "one", directory=tmp_path) == tmp_path / "one.settee"
        assert Database.copy("app", tmp_path / "sub" / "two", directory=tmp_path).exists()
        assert Database.copy(db.path, tmp_path / "three.settee").exists()
        uuids = {db.uuid}
    for name in ("one", "three"):
        with Database(name, directory=tmp_path) as copy:
            assert copy.default_collection["a"]["image"].read() == b"picture"
            uuids.add(copy.uuid)
    assert len(uuids) == 3
    with Database("app", directory=tmp_path) as db:
        assert db.uuid in uuids, "the original keeps its own"
    with pytest.raises(ExistsError):
        Database.copy("app", "one", directory=tmp_path)
    with pytest.raises(NotFoundError, match="to copy"):
        Database.copy("none", "four", directory=tmp_path)
    with pytest.raises(InvalidNameError):
        Database.copy("app", "..", directory=tmp_path)


@pytest.mark.feature("PRE-01")
def test_a_prebuilt_database_is_copied_once(tmp_path: Path) -> None:
    prebuilt = tmp_path / "program" / "prebuilt.settee"
    with Database(prebuilt, durability="memory") as db:
        db.default_collection["a"] = {"n": 1}
        original = db.uuid
    home = tmp_path / "home"
    with Database.open_prebuilt("app", prebuilt, directory=home) as db:
        assert db.default_collection["a"]["n"] == 1
        assert db.uuid != original
        assert db.path == home / "app.settee"
        assert db.durability == "full"
        mine = db.uuid
        db.default_collection["a"] = {"n": 2}
    Database.delete(prebuilt)
    with Database.open_prebuilt("app", prebuilt, directory=home, durability="memory") as db:
        assert (db.uuid, db.default_collection["a"]["n"]) == (mine, 2)
    with pytest.raises(NotFoundError, match="to copy"):
        Database.open_prebuilt("other", prebuilt, directory=home)
    assert sorted(each.name for each in home.iterdir()) == ["app.settee"]


@pytest.mark.slow
@pytest.mark.feature("PRE-01")
@pytest.mark.parametrize(
    "step",
    ["copying._become_another", "copying._bring_blobs", "files.MachineFiles.sync_folder"],
)
def test_a_first_run_that_is_killed_leaves_nothing_half_made(tmp_path: Path, step: str) -> None:
    """Slow: it starts a Python process, which dies while it copies."""
    with Database("prebuilt", directory=tmp_path, durability="memory") as db:
        db.default_collection["a"] = {"image": Blob.from_bytes(b"picture")}
    code = (
        "import os, signal, sys\n"
        "from settee import Database\n"
        "from settee.store import copying, files\n"
        f"{step} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Database.open_prebuilt('app', sys.argv[1], directory=sys.argv[2])\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, db.path, tmp_path], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert not Database.exists("app", tmp_path)
    with Database.open_prebuilt("app", db.path, directory=tmp_path) as app:
        assert app.check() == []
        assert app.default_collection["a"]["image"].read() == b"picture"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["app.settee", "prebuilt.settee"]


@pytest.mark.feature("PRE-01")
def test_two_first_runs_at_once_make_one_database(tmp_path: Path) -> None:
    with Database("prebuilt", directory=tmp_path, durability="memory") as db:
        db.default_collection.save_many({"n": n} for n in range(500))
    found: list[Any] = []

    def first_run() -> None:
        with Database.open_prebuilt("app", db.path, directory=tmp_path) as mine:
            found.append((mine.uuid, len(mine.default_collection)))

    threads = [threading.Thread(target=first_run) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert found[0][1] == 500


# --- two that share a directory -------------------------------------------------------------------


@pytest.mark.feature("DB-13")
def test_two_handles_on_one_database_see_each_other(open_inline: Opener) -> None:
    one, two = open_inline("app"), open_inline("app")
    one.default_collection["a"] = {"n": 1}
    assert two.default_collection["a"]["n"] == 1
    stale = one.default_collection["a"]
    two.default_collection["a"] = {"n": 2}
    with pytest.raises(ConflictError):
        one.default_collection.save(stale, "fail")
    one.collection("x.y", create=True)
    assert [each.full_name for each in two.collections()][-1] == "x.y"


def test_a_collection_made_anew_by_another_handle_is_found(open_inline: Opener) -> None:
    one, two = open_inline("app"), open_inline("app")
    one.collection("x", create=True)["a"] = {}
    old = two.collection("x")
    one.delete_collection("x")
    with pytest.raises(NotFoundError, match="deleted"):
        old["a"]
    one.collection("x", create=True)["b"] = {}
    new = next(each for each in two.collections() if each.name == "x")
    assert list(new) == ["b"]
    assert two.collection("x") is new
    with pytest.raises(ClosedError):
        old.save(Document("c"))
