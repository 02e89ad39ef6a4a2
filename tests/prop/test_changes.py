"""What feeds and listeners tell, against comparing everything after each step."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settee.clock import InlineWorkers
from settee.db.database import Database
from tests.db.conftest import ManualClock
from tests.prop import examples

IDS = [f"doc-{n}" for n in range(5)]
STEPS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(["put", "put", "delete", "purge", "batch"]),
        st.integers(0, len(IDS) - 1),
    ),
    max_size=25,
)


@pytest.mark.property(number=11)
@examples(6)
@given(STEPS)
def test_listeners_and_feeds_tell_what_comparing_everything_would(
    steps: list[tuple[int, str, int]],
) -> None:
    clock = ManualClock()
    with tempfile.TemporaryDirectory(prefix="settee-prop-") as place:
        handles = [
            Database._open(
                Path(place) / "one.settee",
                clock=clock,
                workers=InlineWorkers(),
                durability="memory",
            )
            for _ in range(2)
        ]
        items = [db.default_collection for db in handles]
        mirrors: list[dict[str, int]] = [{}, {}]
        watched: list[int | None] = []

        def keep(mirror: dict[str, int], which: int) -> Any:
            def told(change: Any) -> None:
                for id in change.document_ids:
                    document = items[which].get(id)
                    if document is None:
                        mirror.pop(id, None)
                    else:
                        mirror[id] = document["n"]

            return told

        for which, mirror in enumerate(mirrors):
            items[which].on_change(keep(mirror, which))

        def one_seen(_: Any) -> None:
            document = items[0].get(IDS[0])
            watched.append(None if document is None else document["n"])

        items[0].on_document_change(IDS[0], one_seen)
        changed_at: dict[str, int] = {}
        truth: dict[str, int] = {}
        sinces: set[int] = {0}
        for n, (which, what, at) in enumerate(steps):
            id = IDS[at]
            before = truth.get(IDS[0])
            if what == "put":
                items[which][id] = {"n": n}
                truth[id] = n
            elif what == "batch":
                items[which].save_many((each, {"n": n}) for each in IDS[at:])
                truth.update(dict.fromkeys(IDS[at:], n))
            elif id in truth:
                getattr(items[which], what)(id)
                del truth[id]
            else:
                continue
            for db in handles:
                db._poll()
            touched = IDS[at:] if what == "batch" else [id]
            for each in touched:
                if what == "purge":
                    changed_at.pop(each, None)
                else:
                    changed_at[each] = items[which].last_sequence
            if what == "batch":  # Each has a sequence of its own, in order.
                last = items[which].last_sequence
                changed_at.update(
                    {each: last - back for back, each in enumerate(reversed(touched))}
                )
            sinces.add(items[which].last_sequence)
            if what == "purge":  # It leaves no trace for another handle to be told of.
                mirrors[1 - which].pop(id, None)
            assert mirrors == [truth, truth]
            if truth.get(IDS[0]) != before and (what, which) != ("purge", 1):
                assert watched[-1] == truth.get(IDS[0])
        for since in sinces:
            expected = {id for id, at in changed_at.items() if at > since}
            told: set[str] = set()
            with items[0].changes(since=since) as changes:
                while told != expected:
                    change = next(changes)
                    assert set(change.document_ids) <= expected, since
                    told.update(change.document_ids)
        assert {d.id: d["n"] for d in items[1].documents()} == truth
        assert list(items[0].ids()) == sorted(truth)
        for db in handles:
            db.close()
