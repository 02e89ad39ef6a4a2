"""Filters and conflict resolvers of the application, in a replication on virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from settee import Blob, CollectionConfig, Conflict, DocumentFlags, SetteeError
from settee.db.document import Document
from tests.simulation.world import SimPeer, World, world


def ids(peer: SimPeer) -> set[str]:
    return set(peer.db.default_collection)


def three(w: World, name: str) -> SimPeer:
    peer = w.peers[name]
    for n in range(3):
        peer.db.default_collection[f"{name}{n}"] = {"n": n, "by": name}
    return peer


@pytest.mark.feature("REP-06")
def test_document_ids_limit_both_directions(tmp_path: Path) -> None:
    with world(tmp_path, 1) as w:
        w.peer("a"), w.peer("b")
        a, b = three(w, "a"), three(w, "b")
        config = CollectionConfig(collection="_default", document_ids=("a1", "b2", "nothing"))
        replicator = a.dial(b, config=config)
        w.sync(replicator)
        assert ids(a) == {"a0", "a1", "a2", "b2"}
        assert ids(b) == {"b0", "b1", "b2", "a1"}
        w.sync(a.dial(b))
        assert a.contents() == b.contents()


@pytest.mark.feature("REP-07")
def test_the_push_filter_sees_documents_and_deletions_and_keeps_back_what_it_rejects(
    tmp_path: Path,
) -> None:
    seen: list[tuple[str, DocumentFlags, Any]] = []

    def push_filter(document: Document, flags: DocumentFlags) -> bool:
        seen.append((document.id, flags, document.get("n")))
        return flags is DocumentFlags.NONE and document["n"] != 1

    with world(tmp_path, 2) as w:
        w.peer("a"), w.peer("b")
        a, b = three(w, "a"), three(w, "b")
        del a.db.default_collection["a2"]
        config = CollectionConfig(collection="_default", push_filter=push_filter)
        replicator = a.dial(b, config=config)
        w.sync(replicator)
        assert ids(b) == {"b0", "b1", "b2", "a0"}
        assert ("a2", DocumentFlags.DELETED, None) in seen
        assert ids(a) >= {"a0", "a1", "b0"}
        assert replicator.errors == []
        count = len(seen)
        w.sync(replicator)
        assert len(seen) - count <= 3, "what was pulled is looked at once, nothing else again"


@pytest.mark.feature("REP-08")
def test_the_pull_filter_skips_documents_and_says_so(tmp_path: Path) -> None:
    def pull_filter(document: Document, flags: DocumentFlags) -> bool:
        return document.get("n") != 1

    with world(tmp_path, 3) as w:
        w.peer("a"), w.peer("b")
        a, b = three(w, "a"), three(w, "b")
        b.db.default_collection["b1"] = {"n": 1, "image": Blob.from_bytes(b"never fetched")}
        config = CollectionConfig(collection="_default", pull_filter=pull_filter)
        replicator = a.dial(b, config=config)
        w.sync(replicator)
        assert ids(a) == {"a0", "a1", "a2", "b0", "b2"}
        assert [(e.doc_id, e.pushed) for e in replicator.errors] == [("b1", False)]
        assert "pull filter" in str(replicator.errors[0].error)
        w.sync(replicator)
        assert replicator.errors == []


def test_a_filter_that_raises_ends_the_session_and_nothing_is_skipped(tmp_path: Path) -> None:
    broken = True

    def push_filter(document: Document, flags: DocumentFlags) -> bool:
        if broken:
            raise ZeroDivisionError("the application's")
        return True

    with world(tmp_path, 4) as w:
        w.peer("a"), w.peer("b")
        a, b = three(w, "a"), three(w, "b")
        replicator = a.dial(
            b, config=CollectionConfig(collection="_default", push_filter=push_filter)
        )
        with pytest.raises(SetteeError, match="ZeroDivisionError"):
            w.sync(replicator)
        broken = False
        w.sync(replicator)
        assert a.contents() == b.contents()


def in_conflict(w: World) -> tuple[SimPeer, SimPeer]:
    a, b = w.peer("a"), w.peer("b")
    a.db.default_collection["shared"] = {"n": 0}
    w.sync(a.dial(b))
    a.db.default_collection["shared"] = {"n": "a", "a": 1}
    w.elapse(1)
    b.db.default_collection["shared"] = {"n": "b", "b": 2}
    return a, b


def resolved(tmp_path: Path, resolver: Any, *, foreign: bool = False) -> tuple[Any, Any, list[Any]]:
    with world(tmp_path, 5) as w:
        a, b = in_conflict(w)
        config = CollectionConfig(collection="_default", conflict_resolver=resolver)
        agent = "couchbase-lite-core/3.1.11 (0)" if foreign else "settee/sim"
        replicator = a.dial(b, config=config, user_agent=agent, server=agent)
        w.sync(replicator)
        w.sync(replicator)
        collections = [peer.db.default_collection for peer in (a, b)]
        values = [dict(each["shared"]) if "shared" in each else None for each in collections]
        return values[0], values[1], [str(e.error) for e in replicator.errors]


@pytest.mark.feature("CR-03", "REP-09")
@pytest.mark.parametrize("foreign", [True, False])
@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("local", {"n": "a", "a": 1}),
        ("remote", {"n": "b", "b": 2}),
        ("merge", {"n": "a", "a": 1, "b": 2}),
        ("delete", None),
    ],
)
def test_the_resolvers_choice_stands_on_both_sides(
    tmp_path: Path, choice: str, expected: Any, foreign: bool
) -> None:
    def resolver(conflict: Conflict) -> Any:
        assert conflict.document_id == "shared"
        assert conflict.local is not None
        assert conflict.remote is not None
        assert (conflict.local["n"], conflict.remote["n"]) == ("a", "b")
        return {
            "local": conflict.local,
            "remote": conflict.remote,
            "merge": {**conflict.remote, **conflict.local},
            "delete": None,
        }[choice]

    mine, theirs, errors = resolved(tmp_path, resolver, foreign=foreign)
    assert (mine, theirs, errors) == (expected, expected, [])


@pytest.mark.feature("CR-03")
@pytest.mark.parametrize("choice", ["remote", "merge"])
def test_a_blob_waits_for_the_resolver_whatever_is_compacted_meanwhile(
    tmp_path: Path, choice: str
) -> None:
    """Seed 0 of the simulation: nothing named the blob between its arrival and the decision."""
    with world(tmp_path, 6) as w:
        a, b = in_conflict(w)
        b.db.default_collection["shared"] = {"n": "b", "image": Blob.from_bytes(b"pear" * 100)}

        def resolver(conflict: Conflict) -> Any:
            a.db.compact()
            assert conflict.local is not None
            assert conflict.remote is not None
            merged = {**conflict.local, "image": conflict.remote["image"]}
            return conflict.remote if choice == "remote" else merged

        config = CollectionConfig(collection="_default", conflict_resolver=resolver)
        replicator = a.dial(b, config=config)
        w.sync(replicator)
        assert [str(e.error) for e in replicator.errors] == []
        assert a.db.default_collection["shared"]["image"].read() == b"pear" * 100
        assert a.db.check() == []
        del a.db.default_collection["shared"]
        assert a.db.compact().blobs_removed == 1, "nobody keeps it any more"


@pytest.mark.feature("CR-03")
def test_a_resolver_is_asked_about_what_both_sides_change_while_they_are_connected(
    tmp_path: Path,
) -> None:
    """A listener that settled them by the default rule would lose the edits of one side."""

    def both(conflict: Conflict) -> Any:
        assert conflict.local is not None
        assert conflict.remote is not None
        return {"by": sorted({*conflict.local["by"], *conflict.remote["by"]})}

    with world(tmp_path, 9) as w:
        a, b = w.peer("a"), w.peer("b")
        config = CollectionConfig(collection="_default", conflict_resolver=both)
        w.start(a.dial(b, config=config, continuous=True))
        w.settle()
        here, there = a.db.default_collection, b.db.default_collection
        conflicts = []
        for number in range(100):
            here[f"{number}"] = {"by": ["a"]}
            w.elapse(number % 20 / 1000)
            if f"{number}" not in there:
                there[f"{number}"] = {"by": ["b"]}
                conflicts.append(f"{number}")
        w.settle()
        assert a.contents() == b.contents()
        assert len(conflicts) > 20
        assert [id for id in conflicts if here[id]["by"] != ["a", "b"]] == []


def test_a_resolver_that_fails_leaves_the_conflict_open_until_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    def resolver(conflict: Conflict) -> Any:
        calls.append(conflict.document_id)
        if len(calls) == 1:
            raise ValueError("not today")
        return conflict.local

    with world(tmp_path, 6) as w:
        a, b = in_conflict(w)
        config = CollectionConfig(collection="_default", conflict_resolver=resolver)
        agent = "couchbase-lite-core/3.1.11 (0)"
        pull = a.dial(b, config=config, replicator_type="pull", server=agent, user_agent=agent)
        w.sync(pull)
        assert "not today" in str(pull.errors[0].error)
        assert a.db.default_collection["shared"]["n"] == "a"
        w.sync(pull)
        assert pull.errors == []
        assert len(calls) == 2
        w.sync(a.dial(b, config=config, server=agent, user_agent=agent))
        assert b.db.default_collection["shared"]["n"] == "a"


def test_a_result_of_another_id_or_kind_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mine, theirs, errors = resolved(
        tmp_path / "1", lambda conflict: Document("other", {"n": "merged"}), foreign=True
    )
    assert (mine, theirs, errors) == ({"n": "merged"}, {"n": "merged"}, [])
    assert "'other'" in caplog.text
    mine, theirs, errors = resolved(tmp_path / "2", lambda conflict: 3, foreign=True)
    assert (mine["n"], theirs["n"]) == ("a", "b")
    assert "returned a int" in errors[0]


def test_a_document_that_changes_while_the_resolver_thinks_is_asked_about_again(
    tmp_path: Path,
) -> None:
    with world(tmp_path, 7) as w:
        a, b = in_conflict(w)
        seen: list[Any] = []

        def resolver(conflict: Conflict) -> Any:
            assert conflict.local is not None
            seen.append(conflict.local["n"])
            if len(seen) == 1:
                a.db.default_collection["shared"] = {"n": "a, meanwhile"}
            return conflict.local

        config = CollectionConfig(collection="_default", conflict_resolver=resolver)
        agent = "couchbase-lite-core/3.1.11 (0)"
        replicator = a.dial(b, config=config, server=agent, user_agent=agent)
        w.sync(replicator)
        w.sync(replicator)
        assert seen[:2] == ["a", "a, meanwhile"]
        assert a.db.default_collection["shared"]["n"] == "a, meanwhile"
        assert a.contents() == b.contents()


@pytest.mark.feature("CR-04")
def test_equal_bodies_and_two_deletions_are_no_conflict_for_an_application(
    tmp_path: Path,
) -> None:
    def resolver(conflict: Conflict) -> Any:
        pytest.fail("nothing to decide")

    with world(tmp_path, 8) as w:
        a, b = w.peer("a"), w.peer("b")
        for peer in (a, b):
            peer.db.default_collection["same"] = {"n": 1}
            peer.db.default_collection["gone"] = {"n": 1}
            del peer.db.default_collection["gone"]
        config = CollectionConfig(collection="_default", conflict_resolver=resolver)
        replicator = a.dial(b, config=config, replicator_type="pull")
        w.sync(replicator)
        w.sync(a.dial(b, config=config))
        assert a.contents() == b.contents()
        assert replicator.errors == []
