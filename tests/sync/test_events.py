from __future__ import annotations

import dataclasses
import typing

import pytest

from settee.sync.events import Activity, ActivityChanged, Event, Finished, Progress
from tests.sync.peers import Driven, MemoryStorage, Two, active, passive


@pytest.mark.parametrize("kind", [Progress, *typing.get_args(Event)])
def test_events_can_be_kept_and_can_not_be_changed(kind: type) -> None:
    assert dataclasses.is_dataclass(kind)
    parameters = typing.cast("typing.Any", kind).__dataclass_params__
    assert parameters.frozen


def test_progress_counts_what_moved_and_what_is_on_its_way() -> None:
    left, right = MemoryStorage("a"), MemoryStorage("b", marks=False)
    left.save("up", {"image": left.attach(b"x" * 1000)})
    right.save("down", {})
    a, b = Driven(active(report_documents=True), left), Driven(passive(), right)
    two = Two(a, b)
    a.start()
    assert a.session.progress == Progress()
    two.run(lambda: a.session.progress.pending > 0)
    assert a.session.progress.pending > 0
    two.run()
    size = len(left.docs[0]["up"].body)
    assert a.session.progress == Progress(
        pushed=1, pulled=1, bytes_pushed=size + 1000, bytes_pulled=2
    )
    assert b.session.progress.pulled == 1
    assert b.session.progress.bytes_pulled == size + 1000


def test_documents_are_reported_once_each_and_the_end_last() -> None:
    left, right = MemoryStorage("a"), MemoryStorage("b", marks=False)
    left.fill(3)
    right.save("theirs", None)
    a, b = Driven(active(report_documents=True), left), Driven(passive(), right)
    a.start()
    Two(a, b).run()
    seen = {(e.pushed, d.doc_id, d.deleted) for e in a.documents for d in e.documents}
    assert seen == {
        (True, "doc00000", False),
        (True, "doc00001", False),
        (True, "doc00002", False),
        (False, "theirs", True),
    }
    assert a.finished == Finished(close_code=1000, close_reason="", error=None)
    assert b.documents == []


def test_a_continuous_session_tells_when_it_falls_idle_and_wakes() -> None:
    a = Driven(active(continuous=True), MemoryStorage("a"))
    b = Driven(passive(), MemoryStorage("b", marks=False))
    two = Two(a, b)
    a.start()
    two.run()
    assert a.activities == [Activity.IDLE]
    assert a.session.activity is Activity.IDLE
    a.save("doc", {})
    two.run()
    assert a.activities == [Activity.IDLE, Activity.BUSY, Activity.IDLE]
    assert b.session.activity is Activity.IDLE
    assert ActivityChanged(activity=Activity.IDLE) == ActivityChanged(activity=Activity.IDLE)
