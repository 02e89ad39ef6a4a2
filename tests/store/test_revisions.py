from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settee.clock import InlineWorkers
from settee.doc import conflict, revision
from settee.doc.records import (
    DELETED,
    HAS_BLOBS,
    Applied,
    ConflictPolicy,
    Held,
    Outcome,
    RevisionIn,
    RevisionOut,
)
from settee.doc.version import RTE, Vector, Version, format_vector, parse_vector
from settee.errors import CorruptDatabaseError
from settee.limits import CLOCK_AHEAD_S_MAX
from settee.store import Store, documents, feed, marks, revisions
from settee.store.documents import Edit
from tests.prop import examples
from tests.store.conftest import NOW_NS, FakeClock, Opener

A = "wnucF2LvT2yMhMGFY0x7jQ"
REFUSE, RESOLVE = ConflictPolicy.REFUSE, ConflictPolicy.RESOLVE


def _rev(
    doc_id: str,
    tid: str,
    history: str = "",
    body: bytes = b"{}",
    *,
    deleted: bool = False,
    vector: str = "",
    blobs: tuple[str, ...] = (),
) -> RevisionIn:
    return RevisionIn(doc_id, tid, history, deleted, body, vector, blobs)


def _apply(
    store: Store,
    *items: RevisionIn,
    remote: int | None = None,
    policy: ConflictPolicy = RESOLVE,
) -> list[Applied]:
    return store.write(lambda w: revisions.apply(w, 1, items, remote=remote, policy=policy))


def _body(store: Store, doc_id: str = "a") -> bytes:
    with store.reader() as reader:
        found = documents.get(reader, 1, doc_id)
    assert found is not None
    return found.body


def _held(store: Store, doc_id: str = "a", remote: int | None = None) -> Held:
    with store.reader() as reader:
        found = revisions.held(reader, 1, [doc_id], remote)[0]
    assert found is not None
    return found


def _derived(seconds: float = -60, height: int = 1, source: str = A) -> str:
    return revision.name(height, Version(NOW_NS + int(seconds * 1e9), source))


def _save(store: Store, doc_id: str, body: bytes = b"{}", deleted: bool = False) -> str:
    return store.write(lambda w: documents.save(w, 1, [Edit(doc_id, body, deleted)]))[0].tid


# --- new documents ------------------------------------------------------------------------------


def test_new_documents_are_stored_as_they_came(store: Store) -> None:
    derived = _derived()
    answers = _apply(
        store,
        _rev("a", "1-aa", body=b'{ "x": 1 }'),
        _rev("b", derived, deleted=True),
        _rev("c", "3-cc", "2-bb,1-aa", b'{"y":2}'),
    )
    assert answers == [
        Applied(Outcome.STORED, 1, "1-aa"),
        Applied(Outcome.STORED, 2, derived),
        Applied(Outcome.STORED, 3, "3-cc"),
    ]
    with store.reader() as reader:
        found = revisions.read(reader, 1, ["c", "a", "x", "b"])
        assert documents.count(reader, 1) == 2
    text = revision.version_text_of(derived)
    assert found == [
        RevisionOut("c", 3, "3-cc", "2-bb,1-aa", False, f"3cc00000000@{RTE}", b'{"y":2}'),
        RevisionOut("a", 1, "1-aa", "", False, f"1aa00000000@{RTE}", b'{ "x": 1 }'),
        None,
        RevisionOut("b", 2, derived, "", True, text, b"{}"),
    ]


@pytest.mark.parametrize(
    "tid",
    ["1-aa", "7-" + "ab" * 20, "1-faded00012", _derived(), _derived(height=4), "2-fe" + "0" * 52],
)
@pytest.mark.parametrize("told", [False, True])
def test_the_short_way_says_what_the_rule_says(store: Store, tid: str, told: bool) -> None:
    vector = revision.version_text_of(tid) if told else ""
    state = conflict.adopt(None, tid, (), parse_vector(vector) if told else None, False)
    answer = _apply(store, _rev("a", tid, vector=vector))[0]
    held = _held(store)
    assert answer.tid == held.tid == state.tid
    assert held.vector == format_vector(state.vector)
    assert (held.aka, held.history) == (",".join(state.aka), ",".join(state.history))


def test_a_vector_that_says_more_than_the_name_is_kept(store: Store) -> None:
    other = Version(NOW_NS - 10**12, "UAw43SNtT+Kfr2eFge5bKw")
    cv = Version(NOW_NS - 10**9, A)
    text = format_vector(Vector(cv, (), (other,)))
    _apply(store, _rev("a", revision.name(2, cv), revision.name(1, other), vector=text))
    assert _held(store).vector == text


@pytest.mark.sec("SEC-18")
@pytest.mark.parametrize(
    ("tid", "history", "vector"),
    [
        ("", "", ""),
        ("0-aa", "", ""),
        ("1-AA", "", ""),
        ("1-a", "", ""),
        ("3-aa", "1-bb", ""),
        ("2-aa", "2-bb", ""),
        ("2-aa", "nonsense", ""),
        ("4294967296-aa", "", ""),
        ("1-aa", "", "nonsense"),
        ("1-aa", "", "1@short"),
        (_derived(), "", f"5@{A}, 4@{A}; 3@{A}"),
    ],
)
def test_what_can_not_be_is_malformed_and_harms_no_neighbour(
    store: Store, tid: str, history: str, vector: str
) -> None:
    answers = _apply(
        store, _rev("a", "1-aa"), _rev("b", tid, history, vector=vector), _rev("c", "1-cc")
    )
    assert [row.outcome for row in answers] == [Outcome.STORED, Outcome.MALFORMED, Outcome.STORED]
    assert answers[1] == Applied(Outcome.MALFORMED, 0, "")
    assert _apply(store, _rev("a", tid, history, b'{"x":1}', vector=vector))[0].outcome in (
        Outcome.MALFORMED,
        Outcome.SAME,
    )
    assert _body(store) == b"{}"


@pytest.mark.sec("SEC-18")
def test_a_version_too_far_ahead_is_put_off_and_one_at_the_limit_is_taken(
    store: Store, clock: FakeClock
) -> None:
    at_limit = revision.name(1, Version(NOW_NS + CLOCK_AHEAD_S_MAX * 10**9, A))
    beyond = revision.name(1, Version(NOW_NS + CLOCK_AHEAD_S_MAX * 10**9 + 1, A))
    items = [
        _rev("a", beyond),
        _rev("b", "2-aa", beyond),
        _rev("c", "1-aa", vector=f"1aa00000000@{RTE}; {revision.version_text_of(beyond)}"),
    ]
    assert _apply(store, *items) == [Applied(Outcome.AHEAD, 0, "")] * 3
    assert _apply(store, _rev("d", at_limit))[0].outcome is Outcome.STORED
    assert _save(store, "e") > f"1-ff{NOW_NS + CLOCK_AHEAD_S_MAX * 10**9:016x}"
    clock.advance(1)
    assert [row.outcome for row in _apply(store, *items)] == [Outcome.STORED] * 3


# --- known documents ----------------------------------------------------------------------------


@pytest.mark.sec("SEC-18")
def test_what_is_there_is_the_same_and_never_gets_another_body(store: Store) -> None:
    remote = store.write(lambda w: marks.remote_id(w, "r"))
    _apply(store, _rev("a", "1-aa", body=b'{"true":1}'))
    answer = _apply(store, _rev("a", "1-aa", body=b'{"false":1}'), remote=remote)
    assert answer == [Applied(Outcome.SAME, 1, "1-aa")]
    assert _body(store) == b'{"true":1}'
    assert _held(store, remote=remote).mark == "1-aa"
    twice = _apply(store, _rev("b", "1-bb", body=b"{}"), _rev("b", "1-bb", body=b'{"x":1}'))
    assert [row.outcome for row in twice] == [Outcome.STORED, Outcome.SAME]
    assert _body(store, "b") == b"{}"


def test_a_descendant_replaces_and_an_ancestor_does_not(store: Store) -> None:
    _apply(store, _rev("a", "1-aa"), _rev("b", "1-aa"))
    answers = _apply(
        store, _rev("a", "3-cc", "2-bb,1-aa", b'{"n":3}'), _rev("a", "2-bb", "1-aa", b'{"n":2}')
    )
    assert answers == [Applied(Outcome.STORED, 3, "3-cc"), Applied(Outcome.OLD, 3, "3-cc")]
    assert _body(store) == b'{"n":3}'
    with store.reader() as reader:
        assert [row.doc_id for row in feed.changes(reader, 1, 0, 10).rows] == ["b", "a"]
        assert feed.last_seq(reader, 1) == 3


def test_a_batch_takes_one_documents_revisions_in_order(store: Store) -> None:
    remote = store.write(lambda w: marks.remote_id(w, "r"))
    digest = store.blobs.put(b"x")
    told = []
    store.on_commit(told.append)
    answers = _apply(
        store,
        _rev("a", "1-aa", blobs=(digest,)),
        _rev("a", "2-bb", "1-aa", b'{"n":2}'),
        _rev("b", "1-bb"),
        _rev("a", "3-cc", "2-bb,1-aa", b'{"n":3}', blobs=(digest,)),
        remote=remote,
    )
    assert [row.seq for row in answers] == [1, 2, 3, 4]
    assert _body(store) == b'{"n":3}'
    assert (_held(store, "a", remote).mark, _held(store, "b", remote).mark) == ("3-cc", "1-bb")
    with store.reader() as reader:
        assert [row.seq for row in feed.changes(reader, 1, 0, 10).rows] == [3, 4]
        assert reader.rows("SELECT digest, doc FROM blob_refs") == [
            (digest, reader.rows("SELECT doc FROM docs_1 WHERE id = 'a'")[0][0])
        ]
        assert documents.count(reader, 1) == 2
    assert told[0].changes == {1: ["a", "b"]}


def test_flags_and_the_count_follow_deletion_and_blobs(store: Store) -> None:
    _apply(store, _rev("a", "1-aa", blobs=("d1", "d2")))
    with store.reader() as reader:
        assert feed.changes(reader, 1, 0, 1).rows[0].flags == HAS_BLOBS
    _apply(store, _rev("a", "2-bb", "1-aa", deleted=True))
    with store.reader() as reader:
        assert feed.changes(reader, 1, 0, 1).rows[0].flags == DELETED
        assert documents.count(reader, 1) == 0
        assert reader.rows("SELECT * FROM blob_refs") == []
    _apply(store, _rev("a", "3-cc", "2-bb,1-aa"))
    with store.reader() as reader:
        assert documents.count(reader, 1) == 1


def test_another_spelling_of_the_same_version_is_learned_without_a_sequence(store: Store) -> None:
    low, high = _derived(), _derived(height=5)
    _apply(store, _rev("a", low, body=b'{"x":1}'))
    told = []
    store.on_commit(told.append)
    assert _apply(store, _rev("a", high)) == [Applied(Outcome.SAME, 1, high)]
    assert _held(store).tid == high
    assert _body(store) == b'{"x":1}'
    assert _apply(store, _rev("a", low)) == [Applied(Outcome.SAME, 1, high)]
    assert told == []
    both = _apply(store, _rev("b", low), _rev("b", high))
    assert both == [Applied(Outcome.STORED, 2, low), Applied(Outcome.SAME, 2, high)]
    assert _held(store, "b").tid == high


# --- conflicts ----------------------------------------------------------------------------------


def test_a_conflict_is_refused_or_resolved_as_the_policy_says(store: Store) -> None:
    remote = store.write(lambda w: marks.remote_id(w, "r"))
    _apply(store, _rev("a", "2-bb", "1-aa", b'{"mine":1}'))
    theirs = _rev("a", "2-cc", "1-aa", b'{"theirs":1}')
    assert _apply(store, theirs, policy=REFUSE, remote=remote) == [
        Applied(Outcome.REFUSED, 1, "2-bb")
    ]
    assert _body(store) == b'{"mine":1}'
    answer = _apply(store, theirs, policy=RESOLVE, remote=remote)[0]
    assert (answer.outcome, answer.seq) == (Outcome.RESOLVED, 2)
    assert _body(store) == b'{"theirs":1}'
    held = _held(store, remote=remote)
    assert held.mark == "2-cc"
    assert "2-bb" in held.history
    assert held.vector.startswith(revision.version_text_of("2-cc"))
    # Theirs is below the result now: it does not come up again.
    assert _apply(store, theirs)[0].outcome in (Outcome.SAME, Outcome.OLD)


def test_when_mine_wins_body_and_blobs_stay_and_the_result_is_offered(store: Store) -> None:
    _apply(store, _rev("a", "2-cc", "1-aa", b'{"mine":1}', blobs=("d1",)))
    answer = _apply(store, _rev("a", "2-bb", "1-aa", b'{"theirs":1}', blobs=("d2",)))[0]
    assert (answer.outcome, answer.seq) == (Outcome.RESOLVED, 2)
    assert _body(store) == b'{"mine":1}'
    with store.reader() as reader:
        assert reader.rows("SELECT digest FROM blob_refs") == [("d1",)]
        assert feed.changes(reader, 1, 0, 1).rows[0].flags == HAS_BLOBS


def test_a_conflict_within_one_batch_is_resolved_with_the_body_that_came_before(
    store: Store,
) -> None:
    answers = _apply(
        store,
        _rev("a", "2-cc", "1-aa", b'{"first":1}'),
        _rev("a", "2-bb", "1-aa", b'{"second":1}'),
    )
    assert [row.outcome for row in answers] == [Outcome.STORED, Outcome.RESOLVED]
    assert _body(store) == b'{"first":1}'


def test_a_new_root_over_a_tombstone_is_taken_where_conflicts_are_refused(store: Store) -> None:
    _apply(store, _rev("a", "2-bb", "1-aa", deleted=True))
    answer = _apply(store, _rev("a", "1-dd", body=b'{"again":1}'), policy=REFUSE)[0]
    assert answer.outcome is Outcome.STORED
    assert _body(store) == b'{"again":1}'
    with store.reader() as reader:
        assert documents.count(reader, 1) == 1


def test_a_new_root_and_a_tombstone_are_a_conflict_where_conflicts_are_resolved(
    store: Store,
) -> None:
    _apply(store, _rev("a", "2-bb", "1-aa", deleted=True))
    answer = _apply(store, _rev("a", "1-dd", body=b'{"again":1}'))[0]
    assert (answer.outcome, answer.seq) == (Outcome.RESOLVED, 2)
    with store.reader() as reader:
        assert documents.count(reader, 1) == 0


def test_a_refused_root_over_a_live_document_changes_nothing(store: Store) -> None:
    _apply(store, _rev("a", "2-bb", "1-aa"))
    assert _apply(store, _rev("a", "1-dd"), policy=REFUSE)[0].outcome is Outcome.REFUSED


def test_a_local_edit_and_a_peers_edit_of_the_same_revision_are_a_conflict(
    store: Store, clock: FakeClock
) -> None:
    _apply(store, _rev("a", _derived(), body=b'{"base":1}'))
    _save(store, "a", b'{"mine":1}')
    later = _derived(seconds=1, height=2)
    answer = _apply(store, _rev("a", later, _derived(), b'{"theirs":1}'))[0]
    assert answer.outcome is Outcome.RESOLVED
    assert _body(store) == b'{"theirs":1}'
    clock.advance(2)
    assert _save(store, "a").startswith("4-ff")


@pytest.mark.property(number=1)
@examples(15)
@given(st.data())
def test_two_stores_that_exchange_what_they_have_end_alike(tmp_path_factory, data) -> None:
    place = tmp_path_factory.mktemp("pair")
    clock = FakeClock()
    stores = [
        Store.open(
            place / name, durability="memory", clock=FakeClock(name), workers=InlineWorkers()
        )
        for name in ("one", "two")
    ]
    try:
        steps = data.draw(
            st.lists(
                st.sampled_from(["edit0", "edit1", "del0", "del1", "0to1", "1to0"]), max_size=9
            )
        )
        for number, step in enumerate([*steps, "0to1", "1to0", "0to1", "1to0"]):
            if step[1:3] == "to":
                _hand_over(stores[int(step[0])], stores[int(step[3])])
            else:
                body = b'{"n":%d}' % number
                _save(stores[int(step[-1])], "a", body, deleted=step.startswith("del"))
        found = []
        for store in stores:
            with store.reader() as reader:
                found.append(documents.get(reader, 1, "a"))
                row = documents.current_rows(reader, 1, ["a"]).get("a")
            if row is not None:
                conflict.assert_sound(documents.state_of(row))
        assert (found[0] is None) == (found[1] is None)
        if found[0] is not None and found[1] is not None:
            assert found[0].body == found[1].body
            assert parse_vector(found[0].vector).cv == parse_vector(found[1].vector).cv
    finally:
        for store in stores:
            store.close()
    assert clock.now_ns == NOW_NS


def _hand_over(giver: Store, taker: Store) -> None:
    with giver.reader() as reader:
        out = revisions.read(reader, 1, ["a"])[0]
    if out is not None:
        item = RevisionIn("a", out.tid, out.history, out.deleted, out.body, out.vector, ())
        assert _apply(taker, item)[0].outcome in (
            Outcome.STORED,
            Outcome.SAME,
            Outcome.OLD,
            Outcome.RESOLVED,
        )


# --- what is held -------------------------------------------------------------------------------


def test_held_answers_in_the_order_asked(store: Store) -> None:
    _apply(store, _rev("a", "1-aa"), _rev("b", "2-bb", "1-aa", deleted=True))
    with store.reader() as reader:
        assert revisions.held(reader, 1, ["x", "y"], 1) == [None, None]
        assert revisions.held(reader, 1, [], None) == []
        found = revisions.held(reader, 1, ["b", "x", "a"], None)
    assert found == [
        Held("2-bb", True, f"2bb00000000@{RTE}", "", "1-aa", "", 2),
        None,
        Held("1-aa", False, f"1aa00000000@{RTE}", "", "", "", 1),
    ]
    assert isinstance(found[0], Held)


def test_an_empty_batch_changes_nothing(store: Store) -> None:
    assert _apply(store) == []


def test_what_was_taken_in_outlives_closing(open_store: Opener) -> None:
    store = open_store(durability="full")
    _apply(store, _rev("a", "2-bb", "1-aa", b'{"x":1}'))
    store.close()
    store = open_store()
    assert _body(store) == b'{"x":1}'
    assert _apply(store, _rev("b", "1-aa"))[0].seq == 2


def test_a_damaged_row_is_told_as_damage(store: Store) -> None:
    _apply(store, _rev("a", "2-bb", "1-aa"))
    store.write(lambda w: w.run("UPDATE docs_1 SET history = 'zzz'"))
    with pytest.raises(CorruptDatabaseError, match="'a'"):
        _apply(store, _rev("a", "3-dd", "2-cc,1-aa"))


# --- revisions that came as versions --------------------------------------------------------------

B = "UAw43SNtT+Kfr2eFge5bKw"


def _time(seconds: float) -> int:
    return NOW_NS + int(seconds * 1e9)


def _vector(*versions: tuple[float, str]) -> str:
    cv, *others = (Version(_time(seconds), source) for seconds, source in versions)
    return format_vector(Vector(cv, (), tuple(others)))


def test_a_version_without_a_tree_name_is_given_one(store: Store) -> None:
    (applied,) = _apply(store, _rev("a", "", vector=_vector((-60, A))))
    assert applied == Applied(Outcome.STORED, 1, _derived(-60))
    assert _held(store).vector == _vector((-60, A))


def test_a_version_with_ancestors_stands_above_them(store: Store) -> None:
    vector = _vector((-50, A), (-60, B))
    (applied,) = _apply(store, _rev("a", "", vector=vector))
    assert applied.tid == _derived(-50, 2)
    assert _held(store).history == _derived(-60, 1, B)
    conflict.assert_sound(documents_state(store))


def documents_state(store: Store) -> conflict.State:
    held = _held(store)
    names = [tuple(filter(None, text.split(","))) for text in (held.aka, held.history)]
    return conflict.State(held.tid, held.deleted, parse_vector(held.vector), *names)


def test_versions_decide_what_is_newer_older_and_in_conflict(store: Store) -> None:
    _apply(store, _rev("a", "", vector=_vector((-60, A)), body=b'{"n":1}'))
    newer = _rev("a", "", vector=_vector((-50, B), (-60, A)), body=b'{"n":2}')
    assert _apply(store, newer, policy=REFUSE)[0].outcome is Outcome.STORED
    older = _rev("a", "", vector=_vector((-60, A)), body=b'{"n":1}')
    assert _apply(store, older, policy=REFUSE)[0].outcome is Outcome.OLD
    same = _rev("a", "", vector=_vector((-50, B)), body=b'{"n":2}')
    assert _apply(store, same, policy=REFUSE)[0].outcome is Outcome.SAME
    rival = _rev("a", "", vector=_vector((-40, A)), body=b'{"n":3}')
    assert _apply(store, rival, policy=REFUSE)[0].outcome is Outcome.REFUSED
    assert _body(store) == b'{"n":2}'


def test_what_comes_again_takes_no_new_sequence(store: Store) -> None:
    """Else each peer would announce it anew to all that it knows, and these to it."""
    of_trees = _rev("a", "2-bb", "1-aa")
    of_versions = _rev("b", "", vector=_vector((-50, A), (-60, B)))
    _apply(store, of_trees, of_versions)
    for again in (of_trees, of_versions, _rev("a", "2-bb")):
        assert _apply(store, again)[0].outcome is Outcome.SAME
        with store.reader() as reader:
            rows = [(row.doc_id, row.seq) for row in feed.changes(reader, 1, 0, 10).rows]
        assert rows == [("a", 1), ("b", 2)]


def test_two_that_contain_each_other_are_resolved_where_conflicts_are_refused_too(
    store: Store,
) -> None:
    _apply(store, _rev("a", "", vector=_vector((-60, A), (-50, B)), body=b'{"n":1}'))
    other = _rev("a", "", vector=_vector((-50, B), (-60, A)), body=b'{"n":2}')
    assert _apply(store, other, policy=REFUSE)[0].outcome is Outcome.RESOLVED
    assert parse_vector(_held(store).vector).cv.source not in (A, B), "over both"


def test_what_a_peer_knows_besides_of_the_same_version_is_learnt(store: Store) -> None:
    _apply(store, _rev("a", "", vector=_vector((-50, A))))
    _apply(store, _rev("a", "", vector=_vector((-50, A), (-60, B))))
    assert _held(store).vector == _vector((-50, A), (-60, B))


def test_a_mark_is_the_version_that_the_remote_told(store: Store) -> None:
    remote = store.write(lambda w: marks.remote_id(w, "a peer"))
    _apply(store, _rev("a", "", vector=_vector((-50, A), (-60, B))), remote=remote)
    assert _held(store, remote=remote).mark == _derived(-50, 2)
    _apply(store, _rev("a", "", vector=_vector((-60, B))), remote=remote)
    assert _held(store, remote=remote).mark == _derived(-60, 1, B)


def test_a_document_reborn_at_a_remote_that_knew_its_deletion_is_taken(store: Store) -> None:
    remote = store.write(lambda w: marks.remote_id(w, "a peer"))
    _apply(store, _rev("a", "", vector=_vector((-60, A)), deleted=True), remote=remote)
    reborn = _rev("a", "", vector=_vector((-50, B)), body=b'{"n":1}')
    (applied,) = _apply(store, reborn, remote=remote)
    assert applied.outcome is Outcome.STORED
    assert _body(store) == b'{"n":1}'


def test_a_document_made_by_a_remote_that_did_not_know_of_its_deletion_stays_deleted(
    store: Store,
) -> None:
    remote = store.write(lambda w: marks.remote_id(w, "a peer"))
    _apply(store, _rev("a", "", vector=_vector((-60, A)), deleted=True))
    made = _rev("a", "", vector=_vector((-50, B)), body=b'{"n":1}')
    assert _apply(store, made, remote=remote)[0].outcome is Outcome.RESOLVED
    assert _held(store).deleted


def test_an_encoded_name_that_settee_made_is_read_as_its_version(store: Store) -> None:
    """A database that was upgraded from trees encodes the name that it knew."""
    _apply(store, _rev("a", _derived(-60, 3), body=b'{"n":1}'))
    encoded = revision.encode_tree(_derived(-60, 3))
    vector = format_vector(Vector(Version(_time(-50), B), (), (encoded,)))
    (applied,) = _apply(store, _rev("a", "", vector=vector, body=b'{"n":2}'), policy=REFUSE)
    assert applied.outcome is Outcome.STORED
    assert _held(store).vector == _vector((-50, B), (-60, A))


@pytest.mark.parametrize("vector", ["", "nonsense", "1@" + A, _vector((-60, A)) + "; x"])
def test_a_revision_without_a_name_or_a_usable_vector_is_malformed(
    store: Store, vector: str
) -> None:
    assert _apply(store, _rev("a", "", vector=vector))[0].outcome is Outcome.MALFORMED
    assert _apply(store, _rev("b", "", vector=_vector((999, A))))[0].outcome is Outcome.AHEAD


# --- names ----------------------------------------------------------------------------------------


def test_a_name_that_a_peer_uses_is_learnt_without_a_new_sequence(store: Store) -> None:
    remote = store.write(lambda w: marks.remote_id(w, "a peer"))
    _apply(store, _rev("a", _derived(-60, 2)))
    names = [("a", _derived(-60, 7)), ("nobody", "1-aa")]
    store.write(lambda w: revisions.learn(w, 1, names, remote=remote))
    held = _held(store, remote=remote)
    assert (held.tid, held.mark, held.seq) == (_derived(-60, 7), _derived(-60, 7), 1)


def test_a_name_that_is_to_be_announced_anew_takes_a_new_sequence(store: Store) -> None:
    _apply(store, _rev("a", _derived(-60, 2), body=b'{"n":1}'))
    names = [("a", _derived(-60, 7))]
    store.write(lambda w: revisions.learn(w, 1, names, remote=None, renumber=True))
    assert (_held(store).tid, _held(store).seq) == (_derived(-60, 7), 2)
    assert _body(store) == b'{"n":1}'


def test_a_document_is_saved_once_more_over_itself(store: Store) -> None:
    _apply(store, _rev("a", _derived(-60, 2), body=b'{"n":1}'))
    store.write(lambda w: revisions.renew(w, 1, "a", _derived(-60, 5)))
    held = _held(store)
    assert held.seq == 2
    assert parse_vector(held.vector).pv == (Version(_time(-60), A),)
    assert _body(store) == b'{"n":1}'


def test_a_document_that_changed_meanwhile_is_not_saved_once_more(store: Store) -> None:
    _apply(store, _rev("a", _derived(-60, 2)))
    store.write(lambda w: revisions.renew(w, 1, "a", _derived(-70, 2)))
    store.write(lambda w: revisions.renew(w, 1, "nobody", _derived(-60, 2)))
    assert _held(store).seq == 1


# --- what a revision was allowed over -------------------------------------------------------------


def test_a_revision_is_written_over_what_it_was_allowed_over_and_nothing_else(store: Store) -> None:
    first = _rev("a", "1-aa", body=b'{"n":1}')._replace(over="")
    assert _apply(store, first)[0].outcome is Outcome.STORED
    late = _rev("a", "2-bb", "1-aa", b'{"n":2}')
    assert _apply(store, late._replace(over=""))[0] == Applied(Outcome.CHANGED, 1, "1-aa")
    assert _apply(store, late._replace(over="1-cc"))[0].outcome is Outcome.CHANGED
    assert _apply(store, _rev("b", "1-aa")._replace(over="1-cc"))[0].outcome is Outcome.CHANGED
    assert _body(store) == b'{"n":1}'
    assert _apply(store, late._replace(over="1-aa"))[0].outcome is Outcome.STORED


def test_another_name_of_what_it_was_allowed_over_is_the_same(store: Store) -> None:
    _apply(store, _rev("a", _derived(-60, 3)))
    newer = _rev("a", "4-bb", _derived(-60, 3))._replace(over=_derived(-60, 1))
    assert _apply(store, newer)[0].outcome is Outcome.STORED


@pytest.mark.parametrize("author", [A, "UAw43SNtT+Kfr2eFge5bKw"])
def test_a_plain_edit_is_written_as_the_long_way_writes_it(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, author: str
) -> None:
    blob = "sha1-" + "A" * 27 + "="
    first, second = Version(NOW_NS, A), Version(NOW_NS + 5, author)
    over = conflict.saved(conflict.saved(None, first, False), second, False)
    tids = [revision.name(1, first), over.tid]
    came = [
        _rev("a", tids[0], vector=format_vector(Vector(first)), blobs=(blob,)),
        _rev("a", tids[1], tids[0], b'{"n":1}', vector=format_vector(over.vector)),
    ]
    gone = conflict.saved(over, Version(NOW_NS + 9, author), True)
    came.append(_rev("a", gone.tid, over.tid, deleted=True, vector=format_vector(gone.vector)))

    def written(directory: str) -> list[object]:
        store = open_store(tmp_path / directory)
        remote = store.write(lambda w: marks.remote_id(w, "peer"))
        applied = _apply(store, *came[:2], remote=remote) + _apply(store, came[2], remote=remote)
        with store.reader() as reader:
            tables = ("docs_1", "blob_refs", "marks", "collections")
            rows = [reader.rows(f"SELECT * FROM {table}") for table in tables]
        return [applied, *rows]

    short = written("short.settee")
    assert [outcome for outcome, _, _ in short[0]] == [Outcome.STORED] * 3  # type: ignore[attr-defined]
    monkeypatch.setattr(conflict, "plain_edit", lambda *_: None)
    assert written("long.settee") == short


def test_a_plain_edit_from_the_future_is_not_taken(store: Store) -> None:
    first = Version(NOW_NS, A)
    ahead = Version(NOW_NS + (CLOCK_AHEAD_S_MAX + 1) * 10**9, A)
    tid = revision.name(1, first)
    _apply(store, _rev("a", tid, vector=format_vector(Vector(first))))
    edit = _rev("a", revision.name(2, ahead), tid, vector=format_vector(Vector(ahead)))
    assert _apply(store, edit) == [Applied(Outcome.AHEAD, 1, tid)]


def test_a_plain_edit_is_not_taken_while_what_lies_below_it_is_in_the_future(
    store: Store, clock: FakeClock
) -> None:
    first, second = Version(NOW_NS, A), Version(NOW_NS - 290 * 10**9, "UAw43SNtT+Kfr2eFge5bKw")
    tid = revision.name(1, first)
    _apply(store, _rev("a", tid, vector=format_vector(Vector(first))))
    clock.now_ns -= 300 * 10**9
    vector = format_vector(Vector(second, (), (first,)))
    edit = _rev("a", revision.name(2, second), tid, vector=vector)
    assert _apply(store, edit) == [Applied(Outcome.AHEAD, 1, tid)]


@pytest.mark.parametrize("damage", ["history = '0-x,y,z'", "vector = 'zzz'", "vector = 7"])
def test_damage_below_a_plain_edit_is_told_as_damage(store: Store, damage: str) -> None:
    first, second = Version(NOW_NS, A), Version(NOW_NS + 1, A)
    tid = revision.name(1, first)
    _apply(store, _rev("a", tid, vector=format_vector(Vector(first))))
    store.write(lambda w: w.run(f"UPDATE docs_1 SET {damage}"))
    edit = _rev("a", revision.name(2, second), tid, vector=format_vector(Vector(second)))
    with pytest.raises(CorruptDatabaseError, match="'a'"):
        _apply(store, edit)
