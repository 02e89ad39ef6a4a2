from __future__ import annotations

import pytest

from settee.store import Store, checkpoints
from tests.store.conftest import FakeClock, Opener


def test_our_own_checkpoint_is_kept_replaced_and_deleted(open_store: Opener) -> None:
    store = open_store()
    with store.reader() as reader:
        assert checkpoints.own(reader, "cp-a") is None
    store.write(lambda w: checkpoints.save_own(w, "cp-a", b'{"local":1}'))
    store.write(lambda w: checkpoints.save_own(w, "cp-a", b'{"local":2}\x00\xff'))
    store.close()
    store = open_store()
    with store.reader() as reader:
        assert checkpoints.own(reader, "cp-a") == b'{"local":2}\x00\xff'
        assert checkpoints.peer(reader, "cp-a") is None
    store.write(lambda w: checkpoints.delete_own(w, "cp-a"))
    with store.reader() as reader:
        assert checkpoints.own(reader, "cp-a") is None


def test_a_peers_checkpoint_counts_its_revisions(store: Store) -> None:
    for number, rev in enumerate(["", "1-cc", "2-cc"], 1):
        body = b"%d" % number
        new = store.write(lambda w: checkpoints.set_peer(w, "cp-p", rev, body))  # noqa: B023
        assert new == f"{number}-cc"
        with store.reader() as reader:
            assert checkpoints.peer(reader, "cp-p") == (new, body)


@pytest.mark.parametrize(("stored", "given"), [(0, "1-cc"), (1, ""), (1, "2-cc"), (2, "1-cc")])
def test_a_wrong_revision_stores_nothing(store: Store, stored: int, given: str) -> None:
    rev = ""
    for _ in range(stored):
        rev = store.write(lambda w: checkpoints.set_peer(w, "cp-p", rev, b"old"))  # noqa: B023
    assert store.write(lambda w: checkpoints.set_peer(w, "cp-p", given, b"new")) is None
    with store.reader() as reader:
        assert checkpoints.peer(reader, "cp-p") == ((rev, b"old") if stored else None)


def test_beyond_the_limit_those_unused_for_longest_go(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "PEER_CHECKPOINTS_MAX", 3)

    def put(name: str, rev: str = "") -> None:
        clock.advance(1)
        assert store.write(lambda w: checkpoints.set_peer(w, name, rev, b"{}"))

    def kept() -> list[str]:
        with store.reader() as reader:
            return [name for name in "abcde" if checkpoints.peer(reader, name)]

    put("a"), put("b"), put("c")
    assert kept() == ["a", "b", "c"]
    put("a", "1-cc"), put("d")
    assert kept() == ["a", "c", "d"]


def test_a_checkpoint_changes_with_the_data_or_not_at_all(store: Store) -> None:
    def fail() -> None:
        with store.transaction() as writer:
            checkpoints.save_own(writer, "cp-a", b"1")
            checkpoints.set_peer(writer, "cp-b", "", b"1")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with store.reader() as reader:
        assert checkpoints.own(reader, "cp-a") is None
        assert checkpoints.peer(reader, "cp-b") is None
