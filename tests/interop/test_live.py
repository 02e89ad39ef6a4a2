"""Both sides write: conflicts, continuous syncs, and peers that go away in the middle."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.interop.content import BlobSpec, differences, numbered
from tests.interop.ours import Ours
from tests.interop.pairs import Pair, check_same, until

ONE_WAY = pytest.mark.parametrize("direction", ["in", "out"])
Change = Callable[[Pair | Ours], None]


def converge(pair: Pair) -> None:
    """Sync until both sides are equal; three rounds are enough for any conflict."""
    for _ in range(3):
        pair.sync("both", conflicts=True)
        if not differences(pair.ours.dump(), pair.dump()):
            return
    check_same(pair)


def edits(count: int, who: str) -> Change:
    def change(side: Pair | Ours) -> None:
        for n in range(count):
            side.save({"doc": {"by": who, "edit": n, "blob": BlobSpec(100 + n, len(who))}})

    return change


def deletion(side: Pair | Ours) -> None:
    side.delete(["doc"])


def edit_and_deletion(side: Pair | Ours) -> None:
    side.save({"doc": {"last": "words"}})
    side.delete(["doc"])


@pytest.mark.scenario("conflicts, default resolver")
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (edits(1, "theirs"), edits(1, "ours")),
        (edits(3, "theirs"), edits(1, "ours")),
        (edits(1, "theirs"), edits(3, "ours")),
        (deletion, edits(1, "ours")),
        (edits(1, "theirs"), deletion),
        (deletion, edits(3, "ours")),
        (edits(3, "theirs"), deletion),
        (deletion, deletion),
        (edit_and_deletion, deletion),
    ],
    ids=[
        "one edit each",
        "theirs deeper",
        "ours deeper",
        "theirs deleted",
        "ours deleted",
        "theirs deleted, ours deeper",
        "ours deleted, theirs deeper",
        "both deleted",
        "both deleted, theirs deeper",
    ],
)
def test_a_conflict_ends_with_one_winner_on_both_sides(
    pair: Pair, theirs: Change, ours: Change
) -> None:
    pair.save({"doc": {"by": "nobody"}, "other": {}})
    pair.sync("both")
    check_same(pair)
    theirs(pair)
    ours(pair.ours)
    converge(pair)
    pair.ours.save({"doc": {"and": "then"}})  # Both go on from there.
    pair.sync("both")
    assert pair.dump()["doc"].body == {"and": "then"}
    check_same(pair)


@pytest.mark.scenario("conflicts, default resolver")
def test_documents_made_on_both_sides_under_one_id(pair: Pair) -> None:
    pair.save({"doc": {"by": "theirs"}, "same": {"n": 1}})
    pair.ours.save({"doc": {"by": "ours"}, "same": {"n": 1}})
    converge(pair)


@pytest.mark.scenario("continuous, 200 edits")
def test_edits_on_both_sides_come_over_as_they_are_made(pair: Pair) -> None:
    pair.start("both")
    for n in range(100):
        pair.ours.save({f"ours-{n % 25:02}": {"edit": n, "by": "ours"}})
        pair.save({f"theirs-{n % 25:02}": {"edit": n, "by": "theirs"}})
        if n == 10:
            pair.ours.save({"blob": {"b": BlobSpec(30_000, 1)}})
            pair.save({"their blob": {"b": BlobSpec(30_000, 2)}})
        if n == 60:
            pair.ours.delete(["ours-03"])
            pair.delete(["theirs-04"])
    assert until(lambda: not differences(pair.ours.dump(), pair.dump()))
    assert pair.ours.count() == 52
    pair.stop()


@pytest.mark.scenario("restart of settee")
@ONE_WAY
def test_a_continuous_sync_goes_on_after_settee_was_away(pair: Pair, direction: str) -> None:
    writer, reader = (pair, pair.ours) if direction == "in" else (pair.ours, pair)
    writer.save(numbered(5000))
    pair.start("both")
    assert until(lambda: reader.count() > 0)
    pair.restart_ours()
    pair.ours.save({"after": {"the": "restart"}})
    assert until(lambda: pair.ours.count() == pair.count() == 5001)
    assert until(lambda: not differences(pair.ours.dump(), pair.dump()))
    pair.stop()


@pytest.mark.scenario("death of the active peer")
@ONE_WAY
def test_a_sync_cut_short_is_made_good_by_the_next(pair: Pair, direction: str) -> None:
    writer = pair if direction == "in" else pair.ours
    writer.save(numbered(5000))
    pair.kill_active_midway(direction)
    pair.sync(direction)
    assert pair.ours.count() == pair.count() == 5000
    check_same(pair)
