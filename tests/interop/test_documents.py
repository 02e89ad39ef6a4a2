"""Documents and blobs, synced once, in each direction; all compared at the end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.content import BlobSpec, numbered
from tests.interop.counting import MessageCount
from tests.interop.pairs import CouchbaseLitePair, Pair, SyncGatewayPair, check_same
from tests.interop.table import COUCHBASE_LITE, SYNC_GATEWAY

DIRECTIONS = pytest.mark.parametrize("direction", ["in", "out", "both"])
ONE_WAY = pytest.mark.parametrize("direction", ["in", "out"])


def fill(
    pair: Pair, direction: str, documents: dict[str, Any], collection: str = "_default"
) -> int:
    """Save documents where they are to come from, both ways half of them each; return how many."""
    if direction == "in":
        pair.save(documents, collection)
    elif direction == "out":
        pair.ours.save(documents, collection)
    else:
        items = list(documents.items())
        half = (len(items) + 1) // 2
        pair.save(dict(items[:half]), collection)
        pair.ours.save(dict(items[half:]), collection)
    return len(documents)


def carry(pair: Pair, direction: str, documents: dict[str, Any]) -> None:
    """Save documents, sync once, and compare."""
    count = fill(pair, direction, documents)
    pair.sync(direction)
    assert pair.ours.count() == count
    check_same(pair)


@pytest.mark.scenario("no document")
@DIRECTIONS
def test_nothing_is_synced_without_complaint(pair: Pair, direction: str) -> None:
    carry(pair, direction, {})


@pytest.mark.scenario("1 document")
@DIRECTIONS
def test_one_document_comes_over(pair: Pair, direction: str) -> None:
    carry(pair, direction, numbered(1))


@pytest.mark.scenario("1,000 documents")
@DIRECTIONS
def test_a_thousand_documents_come_over(pair: Pair, direction: str) -> None:
    carry(pair, direction, numbered(1000))


@pytest.mark.scenario("20,000 documents")
@ONE_WAY
def test_twenty_thousand_documents_come_over(pair: Pair, direction: str) -> None:
    carry(pair, direction, numbered(20_000))


UNICODE = {
    "ä": {"ü": "Größe"},
    "中文 id": {"日本": ["かな", "한글"], "क": "ि"},
    "😀": {"🎉": "👩‍👩‍👧", "e\u0301 and \u00e9": "e\u0301 is not \u00e9"},
    "a/b?c&d#e%20+f": {"slash": "/", "quote": '"', "back": "\\"},
    "right\u202eleft": {"zero": "\u200b", "bom": "\ufeff", "line": "\u2028"},
    "control": {"tab": "\t", "bell": "\x07", "delete": "\x7f", "newline": "\r\n"},
    "😀" * 60: {"what": "an ID of 240 bytes"},
    "last": {"plane": "\U0010ffff\ufffe", "private": "\ue000"},
}


@pytest.mark.scenario("unicode")
@ONE_WAY
def test_unicode_comes_over_as_it_is(pair: Pair, direction: str) -> None:
    carry(pair, direction, UNICODE)


def nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    return value


EXTREME: dict[str, Any] = {
    "empty": {},
    "nothing": {"null": None, "list": [], "dict": {}, "text": "", "inner": {"": "empty key"}},
    "integers": {
        "small": [0, -1, 127, 128, 255, 256, 2**31, -(2**31)],
        "beyond double": [2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1],
        "long": [2**63 - 1, -(2**63)],
    },
    "floats": {"list": [0.1, 1.5, -2.25, 1e308, 5e-324, 1e-7, 123456789.125, 3.141592653589793]},
    "booleans": {"list": [True, False, 1, 0]},
    "wide": {f"key {n}": n for n in range(2000)},
    "long text": {"text": "x" * 1_000_000},
    "deep": {"nested": nested(40)},
    "names": {"type": "blob", "digest": "no blob", "rev": 1, "id": 2, "deleted": True},
}


@pytest.mark.scenario("extreme documents")
@pytest.mark.parametrize("name", EXTREME)
@ONE_WAY
def test_an_extreme_document_comes_over_as_it_is(pair: Pair, direction: str, name: str) -> None:
    carry(pair, direction, {name: EXTREME[name]})


@pytest.mark.scenario("extreme documents", peer=COUCHBASE_LITE)
def test_what_couchbase_lite_can_not_store_is_refused_alone(pair: CouchbaseLitePair) -> None:
    odd = {"too deep": {"nested": nested(60)}, "no key": {"": "at the top"}}
    pair.ours.save({**numbered(5), **odd})
    pair.sync("out", refused=odd.keys())
    assert pair.count() == 5
    pair.sync("out")  # It does not ask for them again.
    pair.ours.save({id: {"better": True} for id in odd})
    pair.sync("out")
    check_same(pair)


@pytest.mark.scenario("named collections")
@DIRECTIONS
def test_collections_are_kept_apart(make_pair: Any, direction: str) -> None:
    names = ("shop.items", "shop.orders")
    pair = make_pair(*names)
    for name in names:
        fill(pair, direction, numbered(50, collection=name), name)
    pair.sync(direction)
    check_same(pair, names)
    assert all(
        document.body["collection"] == name
        for name in names
        for document in pair.ours.dump(name).values()
    )


@pytest.mark.scenario("named collections")
def test_the_default_collection_beside_a_named_one(make_pair: Any) -> None:
    names = ("_default", "items")  # Sync Gateway has one scope per database.
    pair = make_pair(*names)
    for name in names:
        fill(pair, "both", numbered(20, collection=name), name)
    pair.sync("both")
    check_same(pair, names)


BLOBS = {
    "none": {"blob": BlobSpec(0)},
    "one": {"blob": BlobSpec(1, 7, "text/plain")},
    "picture": {"blob": BlobSpec(100_000, 3, "image/png"), "name": "picture"},
    "several": {"list": [BlobSpec(10, 4), BlobSpec(20_000, 5)], "deep": {"er": BlobSpec(30, 6)}},
    "the same twice": {"a": BlobSpec(5000, 9), "b": BlobSpec(5000, 9)},
    "of another": {"blob": BlobSpec(100_000, 3, "image/png")},
    "text": {"blob": BlobSpec(70_000, 8, "text/plain")},
}


@pytest.mark.scenario("blobs: 0 B, 1 B, 100 KB")
@DIRECTIONS
def test_blobs_come_over_whole(pair: Pair, direction: str) -> None:
    carry(pair, direction, BLOBS)


@pytest.mark.scenario("large blob", peer=COUCHBASE_LITE)
@ONE_WAY
def test_a_blob_of_50_megabytes_comes_over_whole(pair: Pair, direction: str) -> None:
    carry(pair, direction, {"film": {"blob": BlobSpec(50_000_000, 2, "video/mp4")}})


@pytest.mark.scenario("large blob", peer=SYNC_GATEWAY)
@ONE_WAY
def test_the_largest_blob_that_sync_gateway_takes_comes_over_whole(
    pair: Pair, direction: str
) -> None:
    carry(pair, direction, {"film": {"blob": BlobSpec(20 * 2**20, 2, "video/mp4")}})


@pytest.mark.scenario("large blob", peer=SYNC_GATEWAY)
def test_a_blob_that_sync_gateway_refuses_stops_no_other_document(pair: SyncGatewayPair) -> None:
    documents = {**numbered(5), "film": {"blob": BlobSpec(50_000_000, 2, "video/mp4")}}
    pair.ours.save(documents)
    result = pair.ours.db.replicate(pair.process.url(pair.db), **pair.options("both"))
    assert [(each.doc_id, each.error.code) for each in result.errors] == [("film", 413)]
    pair.ours.delete(["film"])
    pair.sync("both")
    check_same(pair)


@pytest.mark.scenario("deletes and resurrections")
@ONE_WAY
def test_deletions_come_over(pair: Pair, direction: str) -> None:
    carry(pair, direction, numbered(20))
    gone = [f"doc-{n:05}" for n in range(0, 20, 2)]
    (pair if direction == "in" else pair.ours).delete(gone)
    pair.sync(direction)
    assert pair.ours.count() == 10
    check_same(pair)


@pytest.mark.scenario("deletes and resurrections")
@ONE_WAY
def test_a_deleted_document_comes_back(pair: Pair, direction: str) -> None:
    writer = pair if direction == "in" else pair.ours
    carry(pair, direction, numbered(3))
    writer.delete(["doc-00001"])
    pair.sync(direction)
    assert pair.ours.count() == pair.count() == 2
    writer.save({"doc-00001": {"back": True}})
    pair.sync(direction)
    assert pair.ours.dump()["doc-00001"].body == {"back": True}
    check_same(pair)


@pytest.mark.scenario("deletes and resurrections")
def test_the_other_side_may_bring_a_document_back(pair: Pair) -> None:
    carry(pair, "both", numbered(4))
    pair.delete(["doc-00000"])
    pair.ours.delete(["doc-00003"])
    pair.sync("both")
    assert pair.ours.count() == pair.count() == 2
    pair.ours.save({"doc-00000": {"back": "at ours"}})
    pair.save({"doc-00003": {"back": "at theirs"}})
    pair.sync("both")
    assert pair.ours.count() == 4
    check_same(pair)


@pytest.mark.scenario("second sync sends nothing")
@DIRECTIONS
def test_a_second_sync_sends_no_document(
    pair: Pair, direction: str, messages: MessageCount
) -> None:
    carry(pair, direction, numbered(300))
    assert messages.documents  # It does count.
    if direction == "both":
        pair.sync("both")  # What came in is known to be there from here on.
    messages.clear()
    pair.sync(direction)
    assert messages.documents == {}
    check_same(pair)
