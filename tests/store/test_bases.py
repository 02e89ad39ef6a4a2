from __future__ import annotations

import pytest

from settee.store import Store, bases, documents, marks
from settee.store.documents import Edit

LONG = b'{"text":"' + b"x" * 300 + b'%d"}'


def save(store: Store, doc_id: str, body: bytes, *, deleted: bool = False) -> str:
    (saved,) = store.write(lambda w: documents.save(w, 1, [Edit(doc_id, body, deleted)]))
    return saved.tid


def held(store: Store, doc_id: str, *tids: str) -> tuple[str, bytes] | None:
    with store.reader() as reader:
        return bases.read(reader, 1, [(doc_id, tids)])[0]


def test_the_current_body_is_a_base_without_being_kept(store: Store) -> None:
    tid = save(store, "a", b"{}")
    assert held(store, "a", tid) == (tid, b"{}")
    assert held(store, "a", "1-aa") is None
    assert held(store, "b", tid) is None


@pytest.mark.sec("SEC-21")
def test_bodies_are_read_up_to_a_number_of_bytes_but_one_at_least(store: Store) -> None:
    tids = [save(store, f"d{n}", LONG % n) for n in range(4)]
    size = len(LONG % 0)
    wanted = [(f"d{n}", (tid,)) for n, tid in enumerate(tids)]

    def count(bytes_max: int | None) -> int:
        with store.reader() as reader:
            return len(bases.read(reader, 1, wanted, bytes_max=bytes_max))

    assert [count(n) for n in (1, size, 2 * size - 1, 2 * size, 4 * size, None)] == [
        1, 1, 1, 2, 4, 4,
    ]  # fmt: skip
    store.write(bases.enable)
    save(store, "d0", b"{}")  # Its earlier body counts: it may be the one that is meant.
    assert count(size) == 1


def test_nothing_is_kept_before_deltas_are_in_use(store: Store) -> None:
    first = save(store, "a", LONG % 1)
    save(store, "a", LONG % 2)
    assert held(store, "a", first) is None


def test_the_last_bodies_are_kept_and_those_that_a_remote_has(store: Store) -> None:
    store.write(bases.enable)
    store.write(bases.enable)
    tids = [save(store, "a", LONG % 0)]
    remote = store.write(lambda w: marks.remote_id(w, "kitchen"))
    store.write(lambda w: marks.record(w, remote, 1, [("a", tids[0])]))
    tids += [save(store, "a", LONG % n) for n in range(1, 6)]
    kept = [held(store, "a", tid) for tid in tids]
    assert [one is not None for one in kept] == [True, False, False, True, True, True]
    assert kept[0] == (tids[0], LONG % 0)
    assert held(store, "a", "9-ffff", tids[4], tids[3]) == (tids[4], LONG % 4)


def test_another_height_of_the_same_version_is_the_same_base(store: Store) -> None:
    store.write(bases.enable)
    first = save(store, "a", LONG % 1)
    save(store, "a", LONG % 2)
    lifted = "7-" + first.partition("-")[2]
    assert held(store, "a", lifted) == (lifted, LONG % 1)


def test_small_bodies_and_tombstones_are_no_bases(store: Store) -> None:
    store.write(bases.enable)
    small = save(store, "a", b'{"n":1}')
    tombstone = save(store, "a", b"{}", deleted=True)
    assert held(store, "a", tombstone) is None
    save(store, "a", b'{"n":3}')
    assert held(store, "a", small) is None
    assert held(store, "a", tombstone) is None


def test_a_purge_forgets_the_bases_and_they_stay_off_for_a_reopened_store_that_never_used_them(
    store: Store,
) -> None:
    store.write(bases.enable)
    first = save(store, "a", LONG % 1)
    save(store, "a", LONG % 2)
    store.write(lambda w: documents.purge(w, 1, ["a"]))
    with store.reader() as reader:
        assert reader.row("SELECT count(*) FROM bases") == (0,)
        assert bases.is_enabled(reader)
    save(store, "a", LONG % 3)
    assert held(store, "a", first) is None
