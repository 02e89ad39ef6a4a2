from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from settee.db.collection import Collection
from settee.db.database import Database
from settee.db.observer import CollectionChange, DocumentChange
from tests.db.conftest import ManualClock, Opener


@pytest.mark.feature("CL-01")
def test_a_collections_callback_hears_of_every_kind_of_change(
    db: Database, items: Collection, clock: ManualClock
) -> None:
    told: list[CollectionChange] = []
    items["before"] = {}
    items.on_change(told.append)
    items["a"] = {"n": 1}
    items["a"] = {"n": 2}
    del items["a"]
    items.purge("before")
    items["e"] = {}
    items.purge("e")
    items["x"] = {}
    import datetime

    items.expire("x", datetime.timedelta(seconds=1))
    clock.now_s += 1
    db._poll()
    assert [each.document_ids for each in told] == [
        ("a",),
        ("a",),
        ("a",),
        ("before",),
        ("e",),
        ("e",),
        ("x",),
        ("x",),
    ]
    assert [each.sequence for each in told] == [2, 3, 4, 4, 5, 5, 6, 6]
    assert all(each.collection is items for each in told)


def test_one_commit_is_one_change_with_each_document_once(items: Collection) -> None:
    told: list[CollectionChange] = []
    items.on_change(told.append)
    items.save_many([("b", {}), ("a", {}), ("b", {"n": 2})])
    assert told == [CollectionChange(items, ("b", "a"), 3)]


@pytest.mark.feature("CL-01")
def test_other_collections_are_not_heard_but_a_database_hears_all(
    db: Database, items: Collection
) -> None:
    told: list[CollectionChange] = []
    everything: list[tuple[str, tuple[str, ...]]] = []
    items.on_change(told.append)
    db.on_change(lambda each: everything.append((each.collection.full_name, each.document_ids)))
    db.default_collection["d"] = {}
    items["a"] = {}
    made_later = db.collection("later", create=True)
    made_later["l"] = {}
    assert [each.document_ids for each in told] == [("a",)]
    assert everything == [
        ("_default._default", ("d",)),
        ("shop.items", ("a",)),
        ("_default.later", ("l",)),
    ]


@pytest.mark.feature("CL-02")
def test_a_documents_callback_hears_of_that_document_only(items: Collection) -> None:
    told: list[DocumentChange] = []
    items.on_document_change("a", told.append)
    items["b"] = {}
    assert told == []
    items.save_many([("c", {}), ("a", {})])
    items.purge("a")
    assert told == [DocumentChange(items, "a")] * 2


@pytest.mark.feature("CL-03")
def test_a_removed_subscription_hears_nothing_more(items: Collection) -> None:
    told: list[CollectionChange] = []
    subscription = items.on_change(told.append)
    items["a"] = {}
    subscription.remove()
    subscription.remove()
    items["b"] = {}
    with items.on_change(told.append):
        items["c"] = {}
    items["d"] = {}
    assert [each.document_ids for each in told] == [("a",), ("c",)]
    assert not items._database._observer.active


@pytest.mark.feature("CL-01")
def test_the_last_who_listens_may_stop_in_the_middle_of_a_commit(
    db: Database, items: Collection
) -> None:
    told: list[CollectionChange] = []

    def once(change: CollectionChange) -> None:
        told.append(change)
        subscription.remove()

    subscription = db.on_change(once)
    with db.transaction():
        items["a"] = {"n": 1}
        db.default_collection["b"] = {"n": 2}
    assert len(told) == 1
    db.on_change(told.append)
    items["c"] = {"n": 3}
    assert told[-1].document_ids == ("c",)


@pytest.mark.feature("CL-01")
def test_an_exception_in_a_callback_is_logged_and_the_others_are_told(
    items: Collection, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[CollectionChange] = []

    def broken(change: CollectionChange) -> None:
        raise RuntimeError("mine")

    items.on_change(broken)
    items.on_change(told.append)
    items["a"] = {}
    items["b"] = {}
    assert [each.document_ids for each in told] == [("a",), ("b",)]
    assert "mine" in caplog.text


def test_callbacks_run_on_a_worker_of_their_own_and_may_write(threaded: Database) -> None:
    items = threaded.default_collection
    names: list[str] = []
    done = threading.Event()

    def copy(change: CollectionChange) -> None:
        names.append(threading.current_thread().name)
        if "a" in change.document_ids:
            items["copy"] = items["a"]
        if "copy" in change.document_ids:
            done.set()

    items.on_change(copy)
    items["a"] = {"n": 1}
    assert done.wait(10)
    assert set(names) == {"settee-callbacks"}
    assert items["copy"]["n"] == 1


def test_what_is_committed_while_a_callback_runs_is_told_as_one(threaded: Database) -> None:
    items = threaded.default_collection
    told: list[tuple[str, ...]] = []
    entered, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def slow(change: CollectionChange) -> None:
        told.append(change.document_ids)
        entered.set()
        assert go_on.wait(10)
        if change.sequence == 5:
            done.set()

    items.on_change(slow)
    items["0"] = {}
    assert entered.wait(10)
    for n in (1, 2, 3, 1):
        items[str(n)] = {}
    # The last commit is noted when a job after it runs.
    threaded._store.write(lambda writer: None)
    go_on.set()
    assert done.wait(10)
    assert told == [("0",), ("1", "2", "3")]


def test_who_begins_to_listen_is_not_told_what_came_before(threaded: Database) -> None:
    items = threaded.default_collection
    for n in range(20):
        told: list[CollectionChange] = []
        done = threading.Event()
        items[f"before-{n}"] = {}
        subscription = items.on_change(told.append)
        last = items.on_document_change("end", lambda _, done=done: done.set())  # type: ignore[misc]
        items["end"] = {"n": n}
        assert done.wait(10)
        subscription.remove()
        last.remove()
        assert [each.document_ids for each in told] == [("end",)]


class HeldWorker:
    """Runs its jobs when told to: a callbacks worker that is late."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []

    def submit(self, job: Callable[[], None]) -> None:
        self.jobs.append(job)

    def run(self) -> None:
        while self.jobs:
            self.jobs.pop(0)()

    def close(self) -> None:
        self.jobs.clear()

    def is_current(self) -> bool:
        return False


def test_a_late_worker_tells_each_listener_its_own_part(
    db: Database, items: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = HeldWorker()
    monkeypatch.setattr(db._observer, "_make_worker", lambda: worker)
    first: list[tuple[str, ...]] = []
    second: list[tuple[str, ...]] = []
    items.on_change(lambda change: first.append(change.document_ids))
    items["before"] = {}
    items.on_change(lambda change: second.append(change.document_ids))
    items["after"] = {}
    items["more"] = {}
    assert first == []
    worker.run()
    assert second == [("after",), ("more",)]
    assert first == [("before",), *second]
    items["x"] = {}
    items["y"] = {}
    worker.run()
    assert first[-1] == second[-1] == ("x", "y")


def test_a_callback_may_close_the_database(threaded: Database) -> None:
    closed = threading.Event()

    def close(_: CollectionChange) -> None:
        threaded.close()
        closed.set()

    threaded.default_collection.on_change(close)
    threaded.default_collection["a"] = {}
    assert closed.wait(10)


def test_changes_of_another_handle_are_told_when_polled(open_inline: Opener) -> None:
    one, two = open_inline("app"), open_inline("app")
    mine, theirs = one.default_collection, two.default_collection
    theirs["before"] = {}
    told: list[CollectionChange] = []
    mine.on_change(told.append)
    theirs["a"] = {}
    theirs["b"] = {}
    assert told == []
    one._poll()
    assert [(each.document_ids, each.sequence) for each in told][-1] == (("a", "b"), 3)
    theirs["c"] = {}
    mine["d"] = {}  # A commit of ours finds theirs, too, and tells it first.
    assert [each.document_ids for each in told][-2:] == [("c",), ("d",)]
    count = len(told)
    one._poll()
    assert len(told) == count


@pytest.mark.feature("CL-01")
def test_changes_of_another_handle_are_told_by_themselves_where_there_are_threads(
    threaded: Database,
) -> None:
    told: list[tuple[str, ...]] = []
    done = threading.Event()

    def tell(change: CollectionChange) -> None:
        told.append(change.document_ids)
        done.set()

    with Database(threaded.path, durability="memory") as other:
        threaded.default_collection.on_change(tell)
        other.default_collection["theirs"] = {}
        assert done.wait(10)
    assert told == [("theirs",)]
