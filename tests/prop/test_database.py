"""A database against a dict: two handles, time that passes, and every way to change a document.

Slow: a life of fifty steps, all compared after each, takes tenths of a second.
"""

from __future__ import annotations

import contextlib
import datetime
import tempfile
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from settee import NotFoundError
from settee.clock import InlineWorkers
from settee.db.database import Database
from tests.db.conftest import ManualClock
from tests.prop import examples

NAMES = ["a", "b", "ä" * 120, "0"]
IDS = st.sampled_from(NAMES)
HANDLES = st.integers(0, 1)
NUMBERS = st.integers(-5, 5)


class AgainstADict(RuleBasedStateMachine):
    """`live` is what must be there: the body, and when it goes."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory(prefix="settee-prop-")
        self.clock = ManualClock()
        self.handles = [self.opened(), self.opened()]
        self.live: dict[str, tuple[int, float | None]] = {}
        self.sequence = 0

    def opened(self) -> Database:
        path = Path(self.place.name) / "one.settee"
        return Database._open(path, clock=self.clock, workers=InlineWorkers(), durability="memory")

    def teardown(self) -> None:
        for db in self.handles:
            db.close()
        self.place.cleanup()

    @rule(which=HANDLES, id=IDS, n=NUMBERS)
    def put(self, which: int, id: str, n: int) -> None:
        self.handles[which].default_collection[id] = {"n": n}
        _, expires = self.live.get(id, (0, None))
        self.live[id] = n, expires

    @rule(which=HANDLES, id=IDS, n=NUMBERS, seconds=st.sampled_from([1, 10]))
    def put_for_a_while(self, which: int, id: str, n: int, seconds: int) -> None:
        self.put(which, id, n)
        self.expire(which, id, seconds)

    @rule(which=HANDLES, ids=st.lists(IDS, max_size=6), n=NUMBERS)
    def put_many(self, which: int, ids: list[str], n: int) -> None:
        items = [(id, {"n": n + at}) for at, id in enumerate(ids)]
        assert self.handles[which].default_collection.save_many(items) == len(items)
        for id, body in items:
            self.live[id] = body["n"], self.live.get(id, (0, None))[1]

    @rule(which=HANDLES, id=IDS)
    def delete(self, which: int, id: str) -> None:
        documents = self.handles[which].default_collection
        if id in self.live:
            del documents[id]
            del self.live[id]
        else:
            with pytest.raises(NotFoundError):
                documents.delete(id)

    @rule(which=HANDLES, id=IDS)
    def purge(self, which: int, id: str) -> None:
        documents = self.handles[which].default_collection
        if id in self.live:
            documents.purge(id)
            del self.live[id]
        else:
            with contextlib.suppress(NotFoundError):  # There may be a tombstone.
                documents.purge(id)

    @rule(which=HANDLES, id=IDS, seconds=st.sampled_from([None, 1, 10, 3600]))
    def expire(self, which: int, id: str, seconds: int | None) -> None:
        documents = self.handles[which].default_collection
        at = None if seconds is None else datetime.timedelta(seconds=seconds)
        if id not in self.live:
            with pytest.raises(NotFoundError):
                documents.expire(id, at)
            return
        documents.expire(id, at)
        expires = None if seconds is None else self.clock.now_s + seconds
        self.live[id] = self.live[id][0], expires

    @rule(which=HANDLES, ids=st.lists(IDS, max_size=4), n=NUMBERS, fails=st.booleans())
    def transaction(self, which: int, ids: list[str], n: int, fails: bool) -> None:
        db = self.handles[which]
        with contextlib.suppress(ZeroDivisionError), db.transaction():
            for id in ids:
                db.default_collection[id] = {"n": n}
            if fails:
                raise ZeroDivisionError
        if not fails:
            for id in ids:
                self.live[id] = n, self.live.get(id, (0, None))[1]

    @rule(seconds=st.sampled_from([0.5, 2, 11, 4000]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self.live = {
            id: (n, expires)
            for id, (n, expires) in self.live.items()
            if expires is None or expires > self.clock.now_s
        }

    @rule(which=HANDLES)
    def look(self, which: int) -> None:
        self.handles[which]._poll()

    @rule(which=HANDLES)
    def compact(self, which: int) -> None:
        self.handles[which].compact()

    @rule(which=HANDLES)
    def reopen(self, which: int) -> None:
        self.handles[which].close()
        self.handles[which] = self.opened()

    @precondition(lambda self: self.live)
    @rule(which=HANDLES)
    def check(self, which: int) -> None:
        assert list(self.handles[which].check()) == []

    @invariant()
    def both_are_the_dict(self) -> None:
        expected = {id: n for id, (n, _) in self.live.items()}
        for db in self.handles:
            documents = db.default_collection
            assert {d.id: d["n"] for d in documents.documents()} == expected
            assert list(documents) == sorted(expected, key=lambda id: id.encode())
            assert len(documents) == len(expected)
            for id in NAMES:
                found = documents.get(id)
                assert (None if found is None else found["n"]) == expected.get(id)
                assert (id in documents) is (id in expected)
            assert documents.last_sequence >= self.sequence, "a sequence came back"
            self.sequence = documents.last_sequence


TestADatabaseIsADict = pytest.mark.property(number=9)(AgainstADict.TestCase)
TestADatabaseIsADict = pytest.mark.slow(TestADatabaseIsADict)
TestADatabaseIsADict.settings = examples(15)
