from __future__ import annotations

import pytest

from settee.errors import TransactionError
from settee.limits import TRANSACTION_S_MAX
from settee.store import Commit, Store, documents, feed
from settee.store.documents import Edit
from tests.store.conftest import FakeClock, Opener


def test_a_commit_says_what_changed_once_and_in_order(store: Store) -> None:
    commits: list[Commit] = []
    store.on_commit(commits.append)
    store.write(
        lambda w: documents.save(w, 1, [Edit("b", b"{}"), Edit("a", b"{}"), Edit("b", b"{}")])
    )
    assert commits == [Commit({1: ["b", "a"]}, {1: 3}, external=False)]


def test_a_commit_without_a_change_of_documents_tells_nobody(store: Store) -> None:
    commits: list[Commit] = []
    store.on_commit(commits.append)
    store.write(lambda w: w.run("INSERT INTO checkpoints(id, body) VALUES ('a', x'00')"))
    assert commits == []


def test_times_rise_though_the_clock_stands_still_or_goes_back(
    store: Store, clock: FakeClock
) -> None:
    times = store.write(lambda w: w.take_times(3))
    clock.advance(-3600)
    times += store.write(lambda w: w.take_times(2))
    assert times == sorted(set(times))
    assert times[0] <= FakeClock().wall_ns()


def test_times_rise_over_a_restart(open_store: Opener, clock: FakeClock) -> None:
    first = open_store()
    last = first.write(lambda w: w.take_times(5))[-1]
    first.close()
    clock.advance(-60)
    assert open_store().write(lambda w: w.take_times(1))[0] > last


def test_a_time_of_a_peer_moves_the_clock(store: Store, clock: FakeClock) -> None:
    ahead = clock.wall_ns() + 60 * 10**9
    store.write(lambda w: w.observe_time(ahead))
    assert store.write(lambda w: w.take_times(1)) == [ahead + 1]


def test_what_a_failed_attempt_did_is_undone_and_no_more(store: Store) -> None:
    with store.transaction() as writer:
        documents.save(writer, 1, [Edit("kept", b"{}")])

        def job(inner: object) -> None:
            documents.save(writer, 1, [Edit("undone", b"{}"), Edit("kept", b'{"x":1}')])
            raise KeyError("no")

        with pytest.raises(KeyError):
            writer.attempt(job)
        assert [row.body for row in documents.iterate(writer, 1)] == [b"{}"]
        saved = documents.save(writer, 1, [Edit("after", b"{}")])
    assert saved[0].seq == 2
    with store.reader() as reader:
        assert documents.count(reader, 1) == 2
        assert [row.doc_id for row in feed.changes(reader, 1, 0, 9).rows] == ["kept", "after"]


def test_many_rows_are_written_whatever_their_number(store: Store) -> None:
    for number in (1, 7, 8, 9, 49, 50, 51, 58, 59, 150):
        edits = [Edit(f"{number}-{i}", b"{}") for i in range(number)]
        saved = store.write(lambda w: documents.save(w, 1, edits))  # noqa: B023
        assert [row.doc_id for row in saved] == [edit.doc_id for edit in edits]
        with store.reader() as reader:
            found = documents.get_many(reader, 1, [edit.doc_id for edit in edits])
            assert [row and row.seq for row in found] == [row.seq for row in saved]


def test_a_transaction_open_for_too_long_can_only_be_rolled_back(
    store: Store, clock: FakeClock
) -> None:
    def commit_late() -> None:
        with store.transaction() as writer:
            documents.save(writer, 1, [Edit("a", b"{}")])
            clock.advance(TRANSACTION_S_MAX + 1)

    def write_late() -> None:
        with store.transaction() as writer:
            clock.advance(TRANSACTION_S_MAX + 1)
            documents.save(writer, 1, [Edit("a", b"{}")])

    for late in (commit_late, write_late):
        with pytest.raises(TransactionError, match="30 s"):
            late()
        with store.reader() as reader:
            assert documents.count(reader, 1) == 0
    store.write(lambda w: documents.save(w, 1, [Edit("b", b"{}")]))


def test_a_transaction_just_within_its_limit_is_committed(store: Store, clock: FakeClock) -> None:
    with store.transaction() as writer:
        documents.save(writer, 1, [Edit("a", b"{}")])
        clock.advance(TRANSACTION_S_MAX)
    with store.reader() as reader:
        assert documents.count(reader, 1) == 1
