"""The parser of the recorded logs."""

from __future__ import annotations

import json

import pytest

from settee.doc.version import source_text
from tests import captures
from tests.replay.log import (
    Dumped,
    Edit,
    Failed,
    Key,
    Log,
    LogError,
    Replicated,
    Sync,
    canonical,
    parse_log,
)
from tests.replay.recording import scenario

ONE = "1-6b1ccd815504bdc118033214b67018360704b84f"
TWO = "2-dbc5c4cb598332124f7fa1be5ecbb89c6bae8954"
THREE = "3-cc539ff627c6053128e60ec7123ac011a064f8ab"

DUMPS = f"""--- final dump x-srv
{{"id":"a","rev":"{ONE}","deleted":false,"seq":1,"revs":[["{ONE}","2"]],"body":{{"n":1}}}}
--- final dump x-cli
"""

RESULT = "RESULT elapsed=0.2s docs={} docErrors={} error=none (domain 0 code 0)\n"


def read(name: str) -> Log:
    return parse_log(captures.load(name).log)


def syncs(log: Log) -> list[Sync]:
    return [step for step in log.steps if isinstance(step, Sync)]


def edits(log: Log) -> list[Edit]:
    return [step for step in log.steps if isinstance(step, Edit)]


# --- the recorded ones ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in captures.scenarios() if not n.startswith("mixed/")])
def test_a_recorded_log_tells_of_one_sync_per_connection_and_of_all_revisions(name: str) -> None:
    log = read(name)
    assert len(syncs(log)) == len(captures.load(name).connections)
    made = {edit.key for edit in edits(log)}
    made |= {edit.key for sync in syncs(log) for edit in sync.live_edits}
    for side in ("srv", "cli"):
        for (collection, doc_id), dumped in log.final[side].items():
            assert dumped.tree[0] == dumped.tid
            assert made.issuperset(Key(collection, doc_id, tid) for tid in dumped.tree)
            assert canonical(log.bodies[Key(collection, doc_id, dumped.tid)]) == dumped.body


def test_commands_before_a_sync_say_what_was_made_where_and_how_it_was_named() -> None:
    first, _, _, last = edits(read("3.1/pushpull"))
    alice = {"type": "person", "name": "Alice", "age": 31}
    tid = "1-6ad1a319fddc14102709df479ab7fe8dcd8d59a0"
    assert first == Edit("srv", "_default", "alice", tid, False, alice)
    assert (last.side, last.doc_id, last.body) == ("cli", "from-client", {"n": 1})


def test_a_put_may_name_a_collection() -> None:
    places = [(edit.side, edit.collection, edit.doc_id) for edit in edits(read("3.1/collections"))]
    expected = [("srv", "inv.hotels", "h1"), ("srv", "inv.airlines", "a1")]
    assert places == [*expected, ("cli", "inv.hotels", "h2")]
    assert read("3.1/collections").final["srv"].keys() == {
        ("inv.hotels", "h1"),
        ("inv.hotels", "h2"),
        ("inv.airlines", "a1"),
    }


def test_an_attachment_makes_a_revision_whose_body_names_the_blob() -> None:
    made = edits(read("3.1/blob-push"))
    assert [edit.tid[:6] for edit in made] == ["1-7960", "2-a28b", "3-1fcf", "1-7c88"]
    assert made[0].body == {"type": "pic"}
    assert made[2].body["photo"]["digest"] == "sha1-MD0u27Hz7mAxaPIN0ygTQZMWZJA="


def test_removals_at_either_end_are_tombstones() -> None:
    gone = [edit for edit in edits(read("3.1/deletion")) if edit.deleted]
    assert [(edit.side, edit.doc_id, edit.body) for edit in gone] == [
        ("cli", "d1", {}),
        ("srv", "d2", {}),
    ]
    assert all(dumped.deleted for dumped in read("3.1/deletion").final["cli"].values())


def test_a_loaded_file_is_the_documents_that_the_dump_shows_in_their_order() -> None:
    loaded = edits(read("3.1/push450"))
    assert len(loaded) == 450
    assert {edit.side for edit in loaded} == {"cli"}
    assert [edit.doc_id for edit in loaded[::149]] == ["doc-000", "doc-149", "doc-298", "doc-447"]


def test_edits_between_syncs_stand_between_them() -> None:
    order = [
        "sync" if isinstance(step, Sync) else f"{step.side} {step.doc_id}"
        for step in read("3.1/checkpoint").steps
    ]
    assert order[3:] == ["sync", "sync", "srv new1", "cli mine", "sync", "sync"]


def test_edits_during_a_sync_belong_to_it_with_bodies_from_the_dump_if_need_be() -> None:
    (sync,) = syncs(read("3.1/continuous"))
    assert sync.continuous
    assert [(edit.side, edit.doc_id, edit.tid[:2]) for edit in sync.live_edits] == [
        ("srv", "live-s", "1-"),
        ("cli", "live-c", "1-"),
        ("srv", "alice", "2-"),
        ("cli", "alice", "3-"),
    ]
    assert [edit.body.get("age", edit.body.get("from")) for edit in sync.live_edits] == [
        "server",
        "client",
        32,
        33,
    ]


def test_a_sync_tells_its_directions_its_documents_and_its_error() -> None:
    first, second, third, fourth = syncs(read("3.1/conflict"))
    assert [(s.push, s.pull) for s in (first, second, third, fourth)] == [
        (True, False),
        (True, False),
        (False, True),
        (True, True),
    ]
    mine, theirs = TWO, "2-49cd8b82b526d090568f02e44a24b94607aab73d"
    assert first.replicated == {Replicated("push", "c1", ONE)}
    assert second.failed == {Failed("push", "c1", mine, "WebSocket/409")}
    assert second.replicated == set()
    # Pulled into a conflict: both.
    assert third.failed == {Failed("pull", "c1", theirs, "LiteCore/8")}
    assert third.replicated == {Replicated("pull", "c1", theirs)}
    # Told of again, not pulled again.
    assert fourth.failed == {Failed("pull", "c1", mine, "LiteCore/8")}
    assert fourth.replicated == set()
    assert [s.error for s in syncs(read("3.1/auth"))] == [(6, 401), (6, 401), None]
    assert syncs(read("4-revtree/collections"))[1].error == (6, 404)
    assert [syncs(read(f"4-vv/{name}"))[0].deltas for name in ("delta", "nodelta")] == [True, False]


def test_a_dump_shows_the_tree_and_whether_it_is_in_conflict() -> None:
    final = read("3.1/conflict").final
    theirs = "2-49cd8b82b526d090568f02e44a24b94607aab73d"
    body = '{"v":2,"who":"client"}'
    assert final["cli"]["_default", "c1"] == Dumped(TWO, False, body, (TWO, theirs, ONE), True)
    assert not final["srv"]["_default", "c1"].conflicted


@pytest.mark.slow
def test_a_version_of_its_own_database_has_the_author_whom_the_peer_calls_itself() -> None:
    """Slow: it decodes every recording of a 4.x engine."""
    names = [n for n in captures.scenarios() if n.startswith("4-vv/")]
    told = {}
    for name in names:
        uuid = next(d for d in scenario(name).dialogs if d.requests).requests["c2s", 1]
        told[name] = source_text(uuid.properties["uuid"].replace("-", ""))
    wrote = {name: author for name in names if (author := read(name).authors.get("cli"))}
    assert len(wrote) == 14, "in five scenarios it only reads"
    assert wrote == {name: told[name] for name in wrote}
    for name in names:
        for edit in edits(read(name)):
            assert edit.tid.endswith(f"@{read(name).authors[edit.side]}")


def test_a_dump_shows_the_versions_in_a_vector_and_that_of_a_branch() -> None:
    final = read("4-vv/conflict").final
    mine, theirs = (
        "18ea99b9be990001@Z2wryaWAQPutR18tz1+jcg",
        "18ea99b9b4e50000@UAw43SNtT+Kfr2eFge5bKw",
    )
    first = "18ea99b9960b0000@Z2wryaWAQPutR18tz1+jcg"
    place = "_default", "c1"
    assert final["srv"][place].tree == (theirs, first)
    assert (final["cli"][place].tree, final["cli"][place].conflicted) == ((mine, theirs), True)


def test_a_document_that_was_pushed_while_connected_is_told_of_with_its_whole_vector() -> None:
    (sync,) = syncs(read("4-vv/continuous"))
    assert Replicated("push", "alice", "18ea99bd4b820000@P9qZbG4SQ3qJX24rVchRwg") in sync.replicated


# --- made-up ones ---------------------------------------------------------------------------------


def test_a_log_without_dumps_is_refused() -> None:
    with pytest.raises(LogError, match="not of both databases"):
        parse_log(f'--- peer put x-srv a {{"n":1}}\na {ONE}\n')


def test_a_sync_without_a_result_is_refused() -> None:
    with pytest.raises(LogError, match="no RESULT"):
        parse_log("--- sync --push\n" + DUMPS)


def test_a_result_that_counts_other_events_than_were_told_of_is_refused() -> None:
    event = f"[   0.2] active push doc a {ONE} flags=2 seq=1\n"
    parse_log("--- sync --push\n" + event + RESULT.format(1, 0) + DUMPS)
    with pytest.raises(LogError, match="were told of"):
        parse_log("--- sync --push\n" + event + RESULT.format(2, 0) + DUMPS)


def test_a_result_without_a_sync_is_refused() -> None:
    with pytest.raises(LogError, match="of no use"):
        parse_log(RESULT.format(0, 0) + DUMPS)


def test_a_command_without_the_revision_that_it_made_is_refused() -> None:
    with pytest.raises(LogError, match="no revision ID after"):
        parse_log(f'--- peer put x-srv a {{"n":1}}\nb {ONE}\n' + DUMPS)


def test_an_edit_of_another_document_than_the_command_named_is_refused() -> None:
    text = f'--- server-side: put a {{"n":1}}\n[   1.0] local put b {ONE}\n'
    with pytest.raises(LogError, match="put b after the command"):
        parse_log(text + DUMPS)


def test_an_edit_whose_body_nobody_tells_is_refused() -> None:
    text = f"--- sync --push\n[   1.0] local put a {THREE}\n"
    with pytest.raises(LogError, match="no body of"):
        parse_log(text + RESULT.format(0, 0) + DUMPS)


@pytest.mark.parametrize("line", ["--- wave", "--- peer sing x-srv a", "--- final dump x"])
def test_an_unknown_command_is_refused(line: str) -> None:
    with pytest.raises(LogError):
        parse_log(f"{line}\na {ONE}\n{DUMPS}")


def test_an_event_outside_a_sync_is_refused() -> None:
    with pytest.raises(LogError, match="no sync runs"):
        parse_log(f"[   0.2] active push doc a {ONE} flags=2 seq=1\n" + DUMPS)


MINE, OTHER = "H1m0jUqWQsGzsgIHV8s8iA", "wnucF2LvT2yMhMGFY0x7jQ"


def version_row(doc_id: str, own: str, author: str) -> str:
    row = {"id": doc_id, "rev": own, "deleted": True, "seq": 1, "revs": [[own, "1"]]}
    named = own.replace("*", author)
    return json.dumps({**row, "global": named, "vector": own, "body": None}) + "\n"


def test_an_author_is_known_from_the_other_end_if_the_database_was_made_anew() -> None:
    made = "--- peer rm x-cli a\na 18ea@* deleted\n--- final dump x-srv\n"
    log = parse_log(made + version_row("a", f"18ea@{MINE}", "") + "--- final dump x-cli\n")
    assert log.authors == {"cli": MINE}
    assert log.steps == (Edit("cli", "_default", "a", f"18ea@{MINE}", True, {}),)


def test_a_version_whose_author_nobody_tells_is_refused() -> None:
    with pytest.raises(LogError, match=r"nothing tells who wrote '18ea@\*' at srv"):
        parse_log(
            "--- peer rm x-srv a\na 18ea@* deleted\n--- final dump x-srv\n--- final dump x-cli\n"
        )


def test_a_database_of_two_authors_is_refused() -> None:
    rows = version_row("a", "18ea@*", MINE) + version_row("b", "18eb@*", OTHER)
    with pytest.raises(LogError, match=f"srv is {MINE} and {OTHER}"):
        parse_log("--- final dump x-srv\n" + rows + "--- final dump x-cli\n")
