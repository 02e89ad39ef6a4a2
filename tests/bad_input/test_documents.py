"""Rows of docs/bad-input.md about values, names and calls: each is tried by every way in."""

from __future__ import annotations

import datetime
import decimal
import io
import uuid
from typing import Any

import pytest

from settee import Blob, Collection, Database, Document
from settee.doc import body as bodies
from settee.limits import DOCUMENT_BODY_BYTES_MAX

Error = type[Exception]


def refused(items: Collection, body: Any, error: Error) -> None:
    """No way of saving takes `body`; what stood beside it in a batch isn't stored either."""
    database: Database = items.database
    with pytest.raises(error):
        items["new"] = body
    with pytest.raises(error):
        items.add(body)
    with pytest.raises(error):
        items.save_many([("good", {"n": 1}), ("new", body)])
    with pytest.raises(error):
        items.save_many([body])
    document = items["item-1"]
    if isinstance(body, dict):
        document.update(body)
        with pytest.raises(error):
            items.save(document)
    with pytest.raises(error):
        save_two(database, items, body)


def save_two(database: Database, items: Collection, body: Any) -> None:
    with database.transaction():
        items["beside"] = {"n": 1}
        items["new"] = body


def refused_json(text: str | bytes, error: Error) -> None:
    with pytest.raises(error):
        Document.from_json(text)


def test_too_many_containers(
    items: Collection, expected: Error, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "JSON_CONTAINERS_MAX", 1000)
    refused(items, {"a": [{}] * 999}, expected)
    refused_json(f'{{"a": [{", ".join(["{}"] * 999)}]}}', expected)


@pytest.mark.feature("DOC-24")
def test_reserved_key(items: Collection, expected: Error) -> None:
    for key in ("_id", "_rev", "_deleted", "_attachments", "_anything", "_"):
        refused(items, {"n": 1, key: 1}, expected)


def test_not_a_number(items: Collection, expected: Error) -> None:
    for number in (float("nan"), float("inf"), float("-inf")):
        refused(items, {"a": {"b": [1, number]}}, expected)
    for text in ('{"a": NaN}', '{"a": -Infinity}', '{"a": 1e999}'):
        refused_json(text, expected)


@pytest.mark.feature("DOC-12")
def test_integer_too_large(items: Collection, expected: Error) -> None:
    for number in (2**64, -(2**63) - 1, 10**400):
        refused(items, {"a": number}, expected)
        refused_json('{"a": %d}' % number, expected)  # noqa: UP031
    assert Document.from_json('{"a": %d}' % (2**64 - 1))["a"] == 2**64 - 1  # noqa: UP031


def nested(levels: int) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for _ in range(levels - 1):
        body = {"a": body}
    return body


def test_nesting_too_deep(items: Collection, expected: Error) -> None:
    refused(items, nested(101), expected)
    refused(items, nested(100_000), expected)
    refused(items, {"a": eval("[" * 50 + "1" + "]" * 50), "b": nested(101)}, expected)
    refused_json('{"a":' * 101 + "1" + "}" * 101, expected)
    Document("fits", nested(100)).to_json()


def test_wrong_utf8(place: object, expected: Error) -> None:
    for raw in (b'{"a": "\xff"}', b'{"\xc3": 1}', b'{"a": "\xed\xa0\x80"}', b'{"a": "\xc0\xaf"}'):
        refused_json(raw, expected)


def test_lone_surrogate(items: Collection, expected: Error) -> None:
    refused(items, {"a": "x\ud800"}, expected)
    refused(items, {"x\udc00": 1}, expected)
    refused_json('{"a": "\\ud800"}', expected)
    refused_json('{"a": "\ud800"}', expected)


def test_duplicate_key(place: object, expected: Error) -> None:
    for text in ('{"a": 1, "a": 1}', '{"x": {"a": 1, "\\u0061": 2}}', '[{"a": 1, "a": 2}]'):
        refused_json(text, expected)


def test_malformed_json(place: object, expected: Error) -> None:
    for text in ("", "{", '{"a": 1', '{"a": 1}}', "{'a': 1}", '{"a": 01}', "[]", "1", "null", "x"):
        refused_json(text, expected)


def test_document_too_large(items: Collection, expected: Error) -> None:
    fits = {"a": "x" * (DOCUMENT_BODY_BYTES_MAX - len('{"a":""}'))}
    Document("fits", fits)
    with pytest.raises(expected):
        items["new"] = {"a": fits["a"] + "x"}
    with pytest.raises(expected):
        items.save_many([("good", {"n": 1}), ("new", {"a": fits["a"] + "x"})])


def test_blob_too_large(
    items: Collection, expected: Error, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a limit of a MiB in place of a GiB, to spare the disk."""
    monkeypatch.setattr("settee.store.blob_files.BLOB_BYTES_MAX", 2**20)
    monkeypatch.setattr("settee.db.blob.BLOB_BYTES_MAX", 2**20)
    with pytest.raises(expected):
        Blob.from_bytes(bytes(2**20 + 1))
    refused(items, {"image": Blob.from_stream(io.BytesIO(bytes(2**23)))}, expected)
    with pytest.raises(expected):
        items.database.save_blob(Blob.from_stream(io.BytesIO(bytes(2**20 + 1))))
    assert items.database.save_blob(Blob.from_bytes(bytes(2**20))).length == 2**20
    assert not list(items.database.path.glob("blobs/staging/*/*"))


def test_key_not_text(items: Collection, expected: Error) -> None:
    for key in (1, None, True, b"a", ("a",)):
        refused(items, {"a": {key: 1}}, expected)


def test_unsupported_type(items: Collection, expected: Error) -> None:
    values = ({1}, b"x", bytearray(b"x"), decimal.Decimal(1), 1j, uuid.UUID(int=1), object(), print)
    for value in values:
        refused(items, {"a": [value]}, expected)


def test_naive_datetime(items: Collection, expected: Error) -> None:
    naive = datetime.datetime(2026, 1, 1)  # noqa: DTZ001
    refused(items, {"when": naive}, expected)
    with pytest.raises(expected):
        items.expire("item-1", naive)


def test_cycle(items: Collection, expected: Error) -> None:
    body: dict[str, Any] = {}
    body["self"] = body
    refused(items, body, expected)
    ring: list[Any] = []
    ring.append(ring)
    refused(items, {"ring": ring}, expected)


def test_body_not_a_mapping(items: Collection, expected: Error) -> None:
    for body in ([1], 1, "text", None):
        with pytest.raises(expected):
            items["new"] = body  # type: ignore[assignment]
        with pytest.raises(expected):
            items.save_many([("good", {}), ("new", body)])  # type: ignore[list-item]


def test_missing_blob(items: Collection, expected: Error) -> None:
    digest = "sha1-" + "A" * 26 + "8="
    stranger = {"@type": "blob", "digest": Blob.from_bytes(b"never stored").digest, "length": 12}
    assert len(digest) == 33
    refused(items, {"image": stranger}, expected)


@pytest.mark.feature("DOC-02")
def test_document_id(items: Collection, expected: Error) -> None:
    for doc_id in (
        "",
        "_x",
        "a\nb",
        "a\x00",
        "\x7f",
        "x" * 241,
        "ü" * 121,
        "\ud800",
        5,
        None,
        b"a",
    ):
        with pytest.raises(expected):
            items[doc_id] = {"n": 1}  # type: ignore[index]
        if doc_id is not None:
            with pytest.raises(expected):
                items.save_many([("good", {"n": 1}), (doc_id, {"n": 1})])  # type: ignore[list-item]


@pytest.mark.feature("COLL-01")
def test_collection_name(db: Database, expected: Error) -> None:
    for name in ("_x", "%x", "a b", "a.b.c", "", ".", "a.", ".a", "ü", "x" * 252, "a/b", "a\n"):
        with pytest.raises(expected):
            db.collection(name, create=True)
    with pytest.raises(expected):
        db.delete_collection("_default")


@pytest.mark.feature("DB-01")
def test_database_name(place: Any, expected: Error) -> None:
    for name in ("", ".", "..", ".hidden", "x" * 129, "a b", "ü", "a\n", "a\x00b", "a:b", "a*"):
        with pytest.raises(expected):
            Database(name, directory=place)
        with pytest.raises(expected):
            Database.exists(name, place)
    assert [each.name for each in place.iterdir()] == ["app.settee"]


def test_name_with_separators(place: Any, expected: Error) -> None:
    for name in ("../out", "a/b", "/tmp/out", "./app"):
        with pytest.raises(expected):
            Database(name, directory=place)
    assert [each.name for each in place.iterdir()] == ["app.settee"]


def test_unknown_option(place: Any, expected: Error) -> None:
    with pytest.raises(expected):
        Database("app", directory=place, durability="mostly")  # type: ignore[arg-type]
    with Database("app", directory=place) as db:
        items = db.collection("shop.items")
        with pytest.raises(expected):
            items.save(items["item-1"], on_conflict="ask")  # type: ignore[arg-type]
        with pytest.raises(expected):
            items.changes(since=-1)


def test_call_inside_transaction(db: Database, items: Collection, expected: Error) -> None:
    with db.transaction() as transaction:
        items["new"] = {"n": 1}
        for call in (db.close, db.compact, db.optimize, lambda: db.replicate("wss://x/y")):
            with pytest.raises(expected):
                call()
        transaction.rollback()


@pytest.mark.feature("DB-06")
def test_use_after_close(place: Any, expected: Error) -> None:
    with Database("app", directory=place) as db:
        items = db.collection("shop.items")
        document = items["item-1"]
        image = db.default_collection["picture"]["image"]
    body = {"n": 1}
    calls: list[Any] = [
        lambda: items["item-1"], lambda: items.get("x"), lambda: len(items), lambda: list(items),
        lambda: list(items.documents()), lambda: "x" in items, lambda: items.put("x", body),
        lambda: items.add(body), lambda: items.save(document),
        lambda: items.save_many([("x", body)]),
        lambda: items.delete("item-1"), lambda: items.purge("item-1"),
        lambda: items.expire("item-1", None), lambda: items.expiry("item-1"),
        lambda: items.changes(), lambda: items.on_change(print), lambda: items.last_sequence,
        lambda: db.collection("x", create=True), db.collections, db.transaction, db.changes,
        lambda: db.on_change(print), lambda: db.delete_collection("shop.items"), db.compact,
        db.check, db.reindex, db.optimize, lambda: db.save_blob(Blob.from_bytes(b"x")),
        lambda: db.replicate("wss://127.0.0.1:1/x"),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(expected):
            call()
    assert document["n"] == 1
    assert "blob" in repr(image).lower()


def test_nothing_there(db: Database, items: Collection, place: Any, expected: Error) -> None:
    calls: list[Any] = [
        lambda: items["nobody"], lambda: items.delete("nobody"), lambda: items.purge("nobody"),
        lambda: items.expire("nobody", None), lambda: db.collection("nowhere"),
        lambda: db.delete_collection("nowhere"), lambda: Blob.from_file(place / "no.jpg"),
        lambda: Database("none", directory=place, create=False),
        lambda: Database.delete("none", place), lambda: Database.copy(place / "none", place / "to"),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(expected):
            call()
    assert [each.name for each in place.iterdir()] == ["app.settee"]
