from __future__ import annotations

import datetime
import json
from collections.abc import MutableMapping

import pytest

from settee.db.blob import Blob
from settee.db.collection import Collection
from settee.db.document import Document
from settee.errors import ConfigError, InvalidDocumentError, InvalidNameError


@pytest.mark.feature("DOC-19")
def test_a_new_document_knows_nothing_of_a_database() -> None:
    document = Document("d", {"a": 1})
    assert isinstance(document, MutableMapping)
    assert (document.id, document.sequence, document.revision) == ("d", 0, "")
    assert document.collection is None
    assert not document.deleted
    assert Document().id == ""


@pytest.mark.feature("DOC-04", "DOC-17")
def test_a_document_is_a_dict_with_a_name(items: Collection) -> None:
    items["d"] = {"a": 1, "b": {"c": [1, 2]}}
    document = items["d"]
    document["b"]["c"].append(3)
    document["new"] = None
    del document["a"]
    assert document.pop("new") is None
    assert "a" not in document
    assert list(document) == ["b"]
    assert len(document) == 1
    items.save(document)
    assert dict(items["d"]) == {"b": {"c": [1, 2, 3]}}


@pytest.mark.feature("DOC-04")
def test_changes_in_memory_are_not_stored_before_the_save(items: Collection) -> None:
    items["d"] = {"a": [1]}
    items["d"]["a"].append(2)
    assert items["d"]["a"] == [1]


def test_a_document_does_not_share_the_mapping_it_was_made_of() -> None:
    body = {"a": 1}
    document = Document("d", body)
    document["a"] = 2
    assert body == {"a": 1}


def test_documents_are_equal_by_value_and_not_hashable() -> None:
    assert Document("a", {"x": 1}) == Document("b", {"x": 1}) == {"x": 1}
    assert Document("a", {"x": 1}) != Document("a", {"x": 2})
    with pytest.raises(TypeError):
        hash(Document())


@pytest.mark.feature("DOC-19", "DOC-20", "DOC-23")
def test_where_it_came_from_is_told(items: Collection) -> None:
    items["d"] = {"a": 1}
    document = items["d"]
    assert document.collection is items
    assert document.sequence == 1
    assert document.revision.startswith("1-")
    assert "'" not in repr(document)
    items.save(document)
    assert document.sequence == 2
    assert document.revision.startswith("2-")


@pytest.mark.feature("DOC-13")
def test_a_date_is_read_back_from_memory_and_from_disk(items: Collection) -> None:
    moment = datetime.datetime(2026, 11, 23, 8, tzinfo=datetime.UTC)
    document = Document("d", {"when": moment, "null": None, "n": 5})
    assert document.date("when") == moment
    items.save(document)
    read = items["d"]
    assert read.date("when") == moment
    assert read.date("null") is None
    assert read.date("missing") is None
    with pytest.raises(InvalidDocumentError, match=r"^n: int is not a date"):
        read.date("n")


@pytest.mark.feature("DOC-14")
def test_null_is_stored_and_is_not_the_same_as_missing(items: Collection) -> None:
    items["d"] = {"nothing": None}
    read = items["d"]
    assert "nothing" in read
    assert read["nothing"] is None
    assert "missing" not in read
    assert read.get("missing", "default") == "default"
    with pytest.raises(KeyError):
        read["missing"]
    assert read.to_json() == '{"nothing":null}'


@pytest.mark.feature("DOC-15", "DOC-16", "BLOB-06")
def test_json_goes_in_and_out(items: Collection) -> None:
    document = Document.from_json('{"a": [1, 2.5, "é"]}', "d")
    document["b"] = Blob.from_bytes(b"hello", "text/plain")
    expected = {
        "a": [1, 2.5, "é"],
        "b": {
            "@type": "blob",
            "content_type": "text/plain",
            "digest": "sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00=",
            "length": 5,
        },
    }
    assert json.loads(document.to_json()) == expected
    items.save(document)
    assert items["d"].to_dict() == expected
    assert Document.from_json(b"{}") == {}


@pytest.mark.feature("DOC-15")
@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"a":1,"a":2}', '{"a":NaN}', b"\xff", '{"a":"\ud800"}', '"x"']
)
def test_json_that_peers_would_not_agree_on_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidDocumentError):
        Document.from_json(text)


@pytest.mark.feature("DOC-02")
@pytest.mark.parametrize("bad", ["", "_x", "a\x00", "x" * 241, "\ud800", "é" * 121])
def test_an_id_that_cannot_be_is_refused(bad: str, items: Collection) -> None:
    with pytest.raises(InvalidNameError):
        Document(bad)
    with pytest.raises(InvalidNameError):
        items[bad] = {}
    with pytest.raises(InvalidNameError):
        items.save_many([(bad, {})])
    assert bad not in items
    assert items.get(bad) is None


@pytest.mark.feature("DOC-02")
@pytest.mark.parametrize("good", ["x", "x" * 240, "é" * 120, "a/b c:~", "item::apples"])
def test_an_id_at_the_limit_is_taken(good: str, items: Collection) -> None:
    items[good] = {"a": 1}
    assert list(items) == [good]


def test_a_body_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(InvalidDocumentError, match="must be a mapping or a dataclass, not list"):
        Document("d", [1])  # type: ignore[arg-type]


# --- paths ----------------------------------------------------------------------------------------


@pytest.mark.feature("DOC-18")
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", {"b": [1, {"c": None}], "": 5}),
        ("a.b[0]", 1),
        ("a.b[-1].c", None),
        ("grid[1][0]", 3),
        ("x\\.y", 7),
        ("x\\.y\\[0\\]", 8),
        ("é.ü", 9),
    ],
)
def test_at_follows_a_path(path: str, value: object) -> None:
    document = Document(
        None,
        {
            "a": {"b": [1, {"c": None}], "": 5},
            "grid": [[1, 2], [3]],
            "x.y": 7,
            "x.y[0]": 8,
            "é": {"ü": 9},
        },
    )
    assert document.at(path, "nothing") == value


@pytest.mark.parametrize(
    "path", ["b", "a.x", "a.l[2]", "a.l[-3]", "a[0]", "a.l.x", "a.t.x", "t[0]"]
)
def test_at_gives_the_default_where_nothing_is(path: str) -> None:
    document = Document(None, {"a": {"l": [1, 2], "t": "text"}, "t": "text"})
    assert document.at(path) is None
    assert document.at(path, 5) == 5


@pytest.mark.parametrize(
    "path", ["", ".", "a.", ".a", "a..b", "a[", "a[]", "a[x]", "[0]", "a]", None]
)
def test_at_refuses_what_is_no_path(path: object) -> None:
    with pytest.raises(ConfigError, match="path"):
        Document(None, {"a": [1]}).at(path)  # type: ignore[arg-type]
