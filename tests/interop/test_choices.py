"""What peers choose or agree on: filters, channels, resolvers, deltas, the protocol's level."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import pytest

from settee import Document, DocumentFlags
from tests.interop.choices import Choices, resolve_async
from tests.interop.content import BlobSpec, Body, differences, numbered
from tests.interop.counting import MessageCount
from tests.interop.pairs import CouchbaseLitePair, Pair, Side, SyncGatewayPair, check_same
from tests.interop.table import SYNC_GATEWAY

DIRECTIONS = pytest.mark.parametrize("direction", ["in", "out", "both"])
LEVEL_2: Final = "BLIP_3+CBMobile_2"


# --- filters --------------------------------------------------------------------------------------


def coloured() -> dict[str, Body]:
    return {
        **numbered(10, "red", colour="red", blob=BlobSpec(2000, 5)),
        **numbered(10, "blue", colour="blue", blob=BlobSpec(3000, 6)),
    }


def begins(side: Side, prefix: str) -> int:
    return sum(id.startswith(prefix) for id in side.dump())


def sides(pair: Pair, way: str) -> tuple[Side, Side, str]:
    """Return who writes, who reads, and the direction of a push or a pull of the active peer."""
    writer, reader = (pair.active, pair.passive) if way == "push" else (pair.passive, pair.active)
    return writer, reader, "in" if reader is pair.ours else "out"


WAYS = pytest.mark.parametrize("way", ["push", "pull"])


@pytest.mark.scenario("filters and channels")
@WAYS
def test_a_filter_lets_through_what_it_accepts(pair: Pair, way: str) -> None:
    writer, reader, direction = sides(pair, way)
    only = Choices(**{f"{way}_filter": "red"})
    writer.save(coloured())
    pair.sync(direction, choices=only)
    assert (begins(reader, "red"), begins(reader, "blue")) == (10, 0)
    writer.save({"blue-00001": {"colour": "red"}, "red-00002": {"colour": "blue"}})
    pair.sync(direction, choices=only)
    seen = reader.dump()
    assert len(seen) == 11
    assert seen["blue-00001"].body == {"colour": "red"}
    assert seen["red-00002"].body["colour"] == "red"  # It was not told of the change.


@pytest.mark.scenario("filters and channels")
@WAYS
@pytest.mark.parametrize(("rule", "left"), [("red", 10), ("red or deleted", 9)])
def test_a_filter_is_told_of_deletions(pair: Pair, way: str, rule: str, left: int) -> None:
    writer, reader, direction = sides(pair, way)
    only = Choices(**{f"{way}_filter": rule})
    writer.save(coloured())
    pair.sync(direction, choices=only)
    writer.delete(["red-00003"])
    pair.sync(direction, choices=only)
    assert reader.count() == left


@pytest.mark.scenario("filters and channels")
def test_both_filters_hold_at_once(pair: Pair) -> None:
    pair.active.save({f"a {id}": body for id, body in coloured().items()})
    pair.passive.save({f"b {id}": body for id, body in coloured().items()})
    pair.sync("both", choices=Choices(push_filter="red", pull_filter="red"))
    for side, mine, others in ((pair.active, "a", "b"), (pair.passive, "b", "a")):
        assert begins(side, mine) == 20
        assert begins(side, f"{others} red") == 10
        assert begins(side, f"{others} blue") == 0


@pytest.mark.scenario("filters and channels")
@DIRECTIONS
def test_only_the_documents_that_are_named_come_over(pair: Pair, direction: str) -> None:
    pair.save(numbered(20, "theirs", blob=BlobSpec(100, 2)))
    pair.ours.save(numbered(20, "ours"))
    ids = ["theirs-00003", "theirs-00007", "ours-00004", "nowhere"]
    pair.sync(direction, choices=Choices(document_ids=ids))
    assert pair.ours.count() == (20 if direction == "out" else 22)
    assert pair.count() == (20 if direction == "in" else 21)
    pair.sync(direction)  # Without them, all come.
    assert pair.ours.count() == (20 if direction == "out" else 40)
    assert pair.count() == (20 if direction == "in" else 40)


# --- channels -------------------------------------------------------------------------------------


def in_channels(pair: SyncGatewayPair, names: Iterable[str]) -> None:
    pair.process.give_channels(pair.db, names)


def fill_channels(pair: SyncGatewayPair) -> None:
    for name in ("red", "blue", "green"):
        pair.save(numbered(5, name, channels=[name], blob=BlobSpec(500, 3)))


def held(pair: SyncGatewayPair) -> dict[str, int]:
    return {name: n for name in ("red", "blue", "green") if (n := begins(pair.ours, name))}


@pytest.mark.scenario("filters and channels", peer=SYNC_GATEWAY)
def test_a_user_gets_what_is_in_its_channels(pair: SyncGatewayPair) -> None:
    in_channels(pair, ["red", "blue"])
    fill_channels(pair)
    pair.sync("both")
    assert held(pair) == {"red": 5, "blue": 5}


@pytest.mark.scenario("filters and channels", peer=SYNC_GATEWAY)
def test_of_its_channels_a_user_may_choose_some(pair: SyncGatewayPair) -> None:
    in_channels(pair, ["red", "blue"])
    fill_channels(pair)
    pair.sync("in", channels=["red"])
    assert held(pair) == {"red": 5}
    pair.sync("in", channels=["red", "blue"])
    assert held(pair) == {"red": 5, "blue": 5}
    pair.sync("in", channels=["blue", "green"])  # The last is not its own.
    assert held(pair) == {"red": 5, "blue": 5}


def user_loses_channel(pair: SyncGatewayPair) -> None:
    in_channels(pair, ["red"])


def documents_leave_channel(pair: SyncGatewayPair) -> None:
    pair.save(numbered(5, "blue", channels=["green"]))


LOSSES = pytest.mark.parametrize(
    "lose",
    [user_loses_channel, documents_leave_channel],
    ids=["user loses channel", "documents leave channel"],
)
Loss = Callable[[SyncGatewayPair], None]


@pytest.fixture
def sharing(pair: SyncGatewayPair) -> SyncGatewayPair:
    """A user of two channels who holds what is in both."""
    in_channels(pair, ["red", "blue"])
    fill_channels(pair)
    pair.sync("both")
    return pair


@pytest.mark.scenario("filters and channels", peer=SYNC_GATEWAY)
@LOSSES
def test_what_a_user_may_not_see_any_more_is_purged(sharing: SyncGatewayPair, lose: Loss) -> None:
    lose(sharing)
    sharing.sync("both")
    assert held(sharing) == {"red": 5}
    assert sharing.count() == 15  # Purged here, not deleted there.
    in_channels(sharing, ["red", "blue", "green"])
    sharing.sync("both")
    assert held(sharing) == {"red": 5, "blue": 5, "green": 5}
    check_same(sharing)


@pytest.mark.scenario("filters and channels", peer=SYNC_GATEWAY)
@LOSSES
def test_without_auto_purge_it_is_kept(sharing: SyncGatewayPair, lose: Loss) -> None:
    lose(sharing)
    sharing.sync("both", auto_purge=False)
    assert held(sharing) == {"red": 5, "blue": 5}


@pytest.mark.scenario("filters and channels", peer=SYNC_GATEWAY)
@LOSSES
def test_the_pull_filter_may_keep_it(sharing: SyncGatewayPair, lose: Loss) -> None:
    lost = []

    def keep_two(document: Document, flags: DocumentFlags) -> bool:
        if DocumentFlags.ACCESS_REMOVED not in flags:
            return True
        lost.append(document.id)
        return document.id not in ("blue-00001", "blue-00002")

    lose(sharing)
    sharing.sync("both", pull_filter=keep_two)
    assert sorted(lost) == [f"blue-{n:05}" for n in range(5)]
    assert held(sharing) == {"red": 5, "blue": 2}


# --- conflict resolvers ---------------------------------------------------------------------------

OLD: Final[Body] = {"by": "nobody"}
LOCAL: Final[Body] = {"by": "local", "local": [1], "picture": BlobSpec(800, 1)}
REMOTE: Final[Body] = {"by": "remote", "remote": {"n": 2}, "film": BlobSpec(900, 2)}
RESOLVERS: Final = ("local", "remote", "merge", "delete")


def converge(pair: Pair, choices: Choices, **options: Any) -> None:
    for _ in range(3):
        pair.sync("both", conflicts=True, choices=choices, **options)
        if not differences(pair.ours.dump(), pair.dump()):
            return
    check_same(pair)


def write(side: Side, body: Body | None, edits: int) -> None:
    """Make some edits, of which `body` is the last; None deletes."""
    for n in range(edits - 1):
        side.save({"doc": {"edit": n}})
    if body is None:
        side.delete(["doc"])
    else:
        side.save({"doc": body})


def check_resolved(pair: Pair, rule: str, local: Body | None, remote: Body | None) -> None:
    """Look whether both sides hold what the rule makes of the two."""
    seen = pair.dump().get("doc")
    if rule == "merge" and local and remote:
        assert seen is not None
        assert (seen.body["by"], seen.body["merged"]) == ("local", True)
        assert seen.body.keys() == local.keys() | remote.keys() | {"merged"}
        assert len(seen.blobs) == 2
        return
    choice = {"local": local, "remote": remote, "merge": local or remote, "delete": None}[rule]
    assert (seen and seen.body["by"]) == (choice and choice["by"])
    assert seen is None or len(seen.blobs) == 1


def go_on(pair: Pair, choices: Choices) -> None:
    """Look whether both sides go on from there, with nothing left to resolve."""
    pair.passive.save({"doc": {"and": "then"}})
    pair.sync("both", choices=choices)
    assert pair.dump()["doc"].body == {"and": "then"}
    check_same(pair)


@pytest.mark.scenario("conflicts, custom resolver")
@pytest.mark.parametrize("rule", RESOLVERS)
@pytest.mark.parametrize(
    ("local_edits", "remote_edits"),
    [(1, 1), (3, 1), (1, 3)],
    ids=["one edit each", "local deeper", "remote deeper"],
)
def test_the_resolver_of_the_active_peer_decides_for_both(
    pair: Pair, rule: str, local_edits: int, remote_edits: int
) -> None:
    choices = Choices(resolver=rule)
    pair.save({"doc": OLD, "other": {}})
    pair.sync("both")
    write(pair.active, LOCAL, local_edits)
    write(pair.passive, REMOTE, remote_edits)
    converge(pair, choices)
    check_resolved(pair, rule, LOCAL, REMOTE)
    go_on(pair, choices)


@pytest.mark.scenario("conflicts, custom resolver")
@pytest.mark.parametrize("rule", RESOLVERS)
@pytest.mark.parametrize("deleted", ["local", "remote"])
def test_the_resolver_decides_about_a_deletion(pair: Pair, rule: str, deleted: str) -> None:
    choices = Choices(resolver=rule)
    local, remote = (None, REMOTE) if deleted == "local" else (LOCAL, None)
    pair.save({"doc": OLD, "other": {}})
    pair.sync("both")
    write(pair.active, local, 1)
    write(pair.passive, remote, 1)
    converge(pair, choices)
    check_resolved(pair, rule, local, remote)
    go_on(pair, choices)


@pytest.mark.scenario("conflicts, custom resolver")
@pytest.mark.parametrize("rule", RESOLVERS)
def test_the_resolver_decides_about_documents_of_one_id(pair: Pair, rule: str) -> None:
    choices = Choices(resolver=rule)
    pair.active.save({"doc": LOCAL})
    pair.passive.save({"doc": REMOTE})
    converge(pair, choices)
    check_resolved(pair, rule, LOCAL, REMOTE)
    go_on(pair, choices)


@pytest.mark.scenario("conflicts, custom resolver", peer=SYNC_GATEWAY)
def test_an_async_resolver_decides_too(pair: SyncGatewayPair) -> None:
    pair.ours.save({"doc": LOCAL})
    pair.save({"doc": REMOTE})
    converge(pair, Choices(), conflict_resolver=partial(resolve_async, "merge"))
    check_resolved(pair, "merge", LOCAL, REMOTE)


# --- deltas ---------------------------------------------------------------------------------------

TEXT: Final = "The quick brown fox jumps over the lazy dog. " * 40
BEFORE: Final[dict[str, Body]] = {
    "a number": {"text": TEXT, "n": 1},
    "a key gone": {"text": TEXT, "n": 1, "gone": [1, 2, 3]},
    "a key come": {"text": TEXT},
    "the type of a value": {"text": TEXT, "value": "one"},
    "to null": {"text": TEXT, "value": "one"},
    "inside": {"text": TEXT, "deep": {"er": {"n": 1, "m": [1, {"k": "v"}]}, "same": True}},
    "a list grows": {"text": TEXT, "list": list(range(50))},
    "a list shrinks": {"text": TEXT, "list": list(range(50))},
    "one of a list": {"text": TEXT, "list": [{"n": n, "name": f"item {n}"} for n in range(50)]},
    "inside a text": {"text": TEXT, "n": 1},
    "inside an odd text": {"text": "äöü 🦊 \u0000 \\" * 60, "n": 1},
    "a blob": {"text": TEXT, "blob": BlobSpec(5000, 1), "other": BlobSpec(300, 4)},
    "beside a blob": {"text": TEXT, "blob": BlobSpec(5000, 2), "n": 1},
}
AFTER: Final[dict[str, Body]] = {
    "a number": {"text": TEXT, "n": 2},
    "a key gone": {"text": TEXT, "n": 1},
    "a key come": {"text": TEXT, "come": {"deep": [1]}},
    "the type of a value": {"text": TEXT, "value": ["one"]},
    "to null": {"text": TEXT, "value": None},
    "inside": {"text": TEXT, "deep": {"er": {"n": 1, "m": [1, {"k": "w"}]}, "same": True}},
    "a list grows": {"text": TEXT, "list": list(range(52))},
    "a list shrinks": {"text": TEXT, "list": list(range(48))},
    "one of a list": {
        "text": TEXT,
        "list": [{"n": n, "name": f"item {n if n != 7 else 'x'}"} for n in range(50)],
    },
    "inside a text": {"text": TEXT[:500] + "slowly " + TEXT[500:], "n": 1},
    "inside an odd text": {"text": "äöü 🦊 \u0000 \\" * 30 + "ß" + "äöü 🦊 \u0000 \\" * 30, "n": 1},
    "a blob": {"text": TEXT, "blob": BlobSpec(5001, 3), "other": BlobSpec(300, 4)},
    "beside a blob": {"text": TEXT, "blob": BlobSpec(5000, 2), "n": 2},
}


@pytest.mark.scenario("deltas")
@pytest.mark.parametrize(("direction", "arrow"), [("in", "<"), ("out", ">")])
def test_revisions_travel_as_what_changed(
    pair: CouchbaseLitePair, direction: str, arrow: str, messages: MessageCount
) -> None:
    pair.listen_again(delta_sync=True)
    writer: Side = pair if direction == "in" else pair.ours
    writer.save(BEFORE)
    pair.sync("both")
    assert messages.deltas == {}
    for edited, times in ((AFTER, 1), (BEFORE, 2)):  # There, and back again.
        writer.save(edited)
        pair.sync("both")
        check_same(pair)
        assert set(messages.deltas) == {f"{arrow} rev"}
        # Couchbase Lite sends the whole revision where a delta would not be shorter.
        assert messages.deltas[f"{arrow} rev"] >= times * (len(AFTER) - 1)


@pytest.mark.scenario("deltas")
def test_a_conflict_of_deltas_ends_with_one_winner(
    pair: CouchbaseLitePair, messages: MessageCount
) -> None:
    pair.listen_again(delta_sync=True)
    pair.ours.save(BEFORE)
    pair.sync("both")
    pair.ours.save(AFTER)
    pair.save({id: {**body, "by": "theirs"} for id, body in BEFORE.items()})
    converge(pair, Choices(resolver="merge"))
    assert messages.deltas
    check_same(pair)


@pytest.mark.scenario("deltas")
def test_a_deletion_after_deltas_comes_over(pair: CouchbaseLitePair) -> None:
    pair.listen_again(delta_sync=True)
    pair.ours.save(BEFORE)
    pair.sync("both")
    pair.ours.delete(["a number", "a blob"])
    pair.delete(["inside", "beside a blob"])
    pair.sync("both")
    assert pair.count() == len(BEFORE) - 4
    check_same(pair)
    pair.ours.save({"a number": AFTER["a number"], "inside": AFTER["inside"]})
    pair.sync("both")
    check_same(pair)


@pytest.mark.scenario("deltas")
def test_a_listener_without_delta_sync_sends_and_gets_whole_revisions(
    pair: CouchbaseLitePair, messages: MessageCount
) -> None:
    pair.ours.save(BEFORE)
    pair.sync("both")
    pair.ours.save({"inside": AFTER["inside"]})
    pair.save({"a number": AFTER["a number"]})
    pair.sync("both")
    check_same(pair)
    assert messages.deltas == {}


# --- protocol level 2 -----------------------------------------------------------------------------


@pytest.fixture
def level_2(trees_only: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have settee speak level 2 only, on either side."""

    def choose(offered: tuple[str, ...]) -> str | None:
        return LEVEL_2 if LEVEL_2 in offered else None

    monkeypatch.setattr("settee.peer.active.SUBPROTOCOLS", (LEVEL_2,))
    monkeypatch.setattr("settee.peer.passive.choose_subprotocol", choose)


@pytest.mark.scenario("protocol level 2")
@pytest.mark.usefixtures("level_2")
@pytest.mark.parametrize("count", [0, 1, 1000])
def test_documents_come_over_at_level_2(pair: Pair, count: int) -> None:
    pair.save(numbered(count, "theirs"))
    pair.ours.save(numbered(count, "ours"))
    pair.sync("both")
    assert pair.ours.count() == 2 * count
    check_same(pair)


@pytest.mark.scenario("protocol level 2")
@pytest.mark.usefixtures("level_2")
def test_blobs_and_deletions_come_over_at_level_2(pair: Pair) -> None:
    pair.save(numbered(5, "theirs", blob=BlobSpec(70_000, 2)))
    pair.ours.save(numbered(5, "ours", blob=BlobSpec(0), other=BlobSpec(70_000, 3)))
    pair.sync("both")
    check_same(pair)
    pair.delete(["theirs-00001", "ours-00002"])
    pair.ours.delete(["theirs-00003", "ours-00004"])
    pair.sync("both")
    assert pair.ours.count() == 6
    check_same(pair)


@pytest.mark.scenario("protocol level 2")
@pytest.mark.usefixtures("level_2")
def test_a_conflict_ends_with_one_winner_at_level_2(pair: Pair) -> None:
    pair.save({"doc": OLD})
    pair.sync("both")
    pair.save({"doc": LOCAL})
    pair.ours.save({"doc": REMOTE})
    converge(pair, Choices())
    go_on(pair, Choices())
