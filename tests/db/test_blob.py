from __future__ import annotations

import gc
import hashlib
import io
import os
import tracemalloc
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from settee.db.blob import Blob, put_blobs
from settee.db.collection import Collection
from settee.db.database import Database
from settee.errors import (
    CorruptDatabaseError,
    InvalidDocumentError,
    NotFoundError,
    UsageError,
)
from settee.ids import digest_text
from settee.limits import BLOB_CHUNK_BYTES

HELLO_DIGEST = "sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00="


@pytest.mark.feature("BLOB-01", "BLOB-05")
def test_bytes_have_length_and_digest_before_any_save() -> None:
    blob = Blob.from_bytes(bytearray(b"hello"), "text/plain")
    assert (blob.length, blob.digest, blob.content_type) == (5, HELLO_DIGEST, "text/plain")
    assert blob.read() == b"hello"
    assert blob.properties == {
        "@type": "blob",
        "content_type": "text/plain",
        "digest": HELLO_DIGEST,
        "length": 5,
    }


@pytest.mark.feature("BLOB-03", "BLOB-05", "BLOB-07")
def test_a_blob_comes_back_wherever_it_lies_in_the_tree(items: Collection) -> None:
    items["d"] = {
        "photo": Blob.from_bytes(b"hello", "image/png"),
        "album": [{"pic": Blob.from_bytes(b"")}, (Blob.from_bytes(b"x"),)],
    }
    read = items["d"]
    assert read["photo"] == Blob.from_bytes(b"hello")
    assert (read["photo"].content_type, read["photo"].length) == ("image/png", 5)
    assert read["photo"].read() == b"hello"
    assert read["album"][0]["pic"].read() == b""
    assert read["album"][1][0].read() == b"x"


@pytest.mark.feature("BLOB-02")
def test_a_file_is_guessed_read_at_the_save_and_known_after_it(
    items: Collection, tmp_path: Path
) -> None:
    path = tmp_path / "apples.jpg"
    path.write_bytes(b"before")
    blob = Blob.from_file(path)
    assert (blob.content_type, blob.digest, blob.length) == ("image/jpeg", None, None)
    assert blob.read() == b"before"
    path.write_bytes(b"after!")
    items["d"] = {"image": blob}
    path.unlink()
    assert (blob.length, blob.read()) == (6, b"after!")
    assert items["d"]["image"] == blob


def test_a_file_that_is_not_there_is_told_when_the_blob_is_made_or_saved(
    items: Collection, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        Blob.from_file(tmp_path / "none.png")
    path = tmp_path / "gone.png"
    path.write_bytes(b"x")
    blob = Blob.from_file(path)
    path.unlink()
    with pytest.raises(NotFoundError, match="gone"):
        items["d"] = {"image": blob}
    assert "d" not in items


class OnlyReads:
    """A stream that can't seek and gives what it likes, like a pipe."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)
        self.largest = 0

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "nobody may ask for all of it"
        self.largest = max(self.largest, size)
        return self._stream.read(min(size, 10_000))


@pytest.mark.feature("BLOB-02")
def test_a_stream_is_read_once_in_pieces_and_saved_as_often_as_wanted(items: Collection) -> None:
    content = os.urandom(300_000)
    stream = OnlyReads(content)
    blob = Blob.from_stream(cast(BinaryIO, stream), "application/x-test")
    assert (blob.length, blob.digest) == (None, None)
    with pytest.raises(UsageError, match="only after"):
        blob.read()
    items["one"] = {"b": blob}
    items["two"] = {"b": [blob, blob]}
    assert stream.largest <= BLOB_CHUNK_BYTES
    assert blob.digest == digest_text(hashlib.sha1(content).digest())
    assert items["two"]["b"][1].read() == content


@pytest.mark.feature("BLOB-02")
def test_a_large_stream_is_never_whole_in_memory(items: Collection) -> None:
    class Endless:
        left = 16 * 2**20

        def read(self, size: int) -> bytes:
            count = min(size, self.left)
            self.left -= count
            return bytes(count)

    items["warm"] = {"b": Blob.from_bytes(b"up")}
    tracemalloc.start()
    try:
        items["d"] = {"b": Blob.from_stream(cast(BinaryIO, Endless()))}
        assert items["d"]["b"].length == 16 * 2**20
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def test_a_text_stream_is_refused_saying_how_to_open_it(items: Collection) -> None:
    blob = Blob.from_stream(cast(BinaryIO, io.StringIO("text")))
    with pytest.raises(InvalidDocumentError, match="open it 'rb'"):
        items["d"] = {"b": blob}


def test_what_is_too_large_is_refused_and_leaves_nothing(
    items: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("settee.store.blob_files.BLOB_BYTES_MAX", 1000)
    monkeypatch.setattr("settee.db.blob.BLOB_BYTES_MAX", 1000)
    Blob.from_bytes(bytes(1000))
    with pytest.raises(InvalidDocumentError, match="1001 bytes"):
        Blob.from_bytes(bytes(1001))
    small = Blob.from_bytes(b"staged before the other fails")
    with pytest.raises(InvalidDocumentError, match="larger than 1000"):
        items["d"] = {"a": small, "b": Blob.from_stream(io.BytesIO(bytes(1001)))}
    left = [each for each in items.database.path.rglob("blobs/**/*") if each.is_file()]
    assert [each.suffix for each in left] in ([], [".lock"])
    items["d"] = {"a": small}
    assert items["d"]["a"].read() == b"staged before the other fails"


@pytest.mark.feature("BLOB-04")
def test_content_streams_out_and_can_seek(items: Collection) -> None:
    content = bytes(range(256)) * 1000
    items["d"] = {"b": Blob.from_bytes(content)}
    with items["d"]["b"].open() as stream:
        assert stream.read(3) == b"\x00\x01\x02"
        assert stream.seek(-2, os.SEEK_END) == len(content) - 2
        assert stream.read() == b"\xfe\xff"
        stream.seek(0)
        assert stream.read() == content
    assert stream.closed


def test_save_to_writes_the_whole_file_or_none(items: Collection, tmp_path: Path) -> None:
    items["d"] = {"b": Blob.from_bytes(b"hello" * 50_000)}
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    blob = items["d"]["b"]
    blob.save_to(target)
    assert target.read_bytes() == b"hello" * 50_000
    stored = next(
        each for each in items.database.path.rglob("blobs/*") if each.is_file() and not each.suffix
    )
    stored.write_bytes(b"jello" * 50_000)
    target.write_bytes(b"old")
    with pytest.raises(CorruptDatabaseError):
        blob.save_to(target)
    assert target.read_bytes() == b"old"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["inline.settee", "out.bin"]
    with pytest.raises(CorruptDatabaseError):
        blob.read()


@pytest.mark.feature("BLOB-03")
def test_content_that_is_gone_is_an_error_that_says_so(items: Collection) -> None:
    items["d"] = {"b": Blob.from_bytes(b"hello")}
    blob = items["d"]["b"]
    for each in items.database.path.glob("blobs/*"):
        if each.is_file():
            each.unlink()
    for call in (blob.read, blob.open):
        with pytest.raises(NotFoundError, match=HELLO_DIGEST.replace("+", r"\+")):
            call()


def test_a_json_object_that_names_a_blob_must_find_its_content(items: Collection) -> None:
    properties = Blob.from_bytes(b"hello").properties
    with pytest.raises(InvalidDocumentError, match="not in this database"):
        items["d"] = {"b": properties}
    items["e"] = {"b": Blob.from_bytes(b"hello")}
    items["d"] = {"b": properties}
    assert items["d"]["b"].read() == b"hello"


@pytest.mark.feature("BLOB-07")
def test_a_dict_that_only_looks_like_a_blob_stays_a_dict(items: Collection) -> None:
    for fake in ({"@type": "blob"}, {"@type": "blob", "digest": "sha1-../../etc/passwd"}):
        items["d"] = {"b": fake, "real": Blob.from_bytes(b"x")}
        assert items["d"]["b"] == fake


def test_further_properties_survive_a_save(items: Collection) -> None:
    items["e"] = {"b": Blob.from_bytes(b"hello")}
    properties = {**Blob.from_bytes(b"hello").properties, "encoding": "gzip", "x": [1]}
    items["d"] = {"b": properties}
    items.save(items["d"])
    assert items["d"].to_dict()["b"] == properties


def test_a_document_with_blobs_can_be_saved_into_another_database(open_inline: object) -> None:
    opener = cast("type[Database]", open_inline)
    one, two = opener("one").default_collection, opener("two").default_collection
    one["d"] = {"b": Blob.from_bytes(b"hello", "text/plain")}
    source = one["d"]
    two["d"] = source
    two["again"] = source
    assert two["d"] == source
    assert two["d"]["b"].read() == b"hello"
    assert two["d"]["b"].content_type == "text/plain"
    assert source["b"].read() == b"hello"


def test_new_content_is_kept_while_its_object_lives(db: Database) -> None:
    blobs = db._store.blobs
    blob = Blob.from_bytes(b"hello")
    put_blobs(blobs, [blob, blob])
    assert HELLO_DIGEST in blobs._counted_leases()
    del blob
    gc.collect()
    assert HELLO_DIGEST not in blobs._counted_leases()


@pytest.mark.feature("BLOB-09")
def test_equality_is_by_content_and_a_blob_has_no_hash(tmp_path: Path) -> None:
    assert Blob.from_bytes(b"a", "text/plain") == Blob.from_bytes(b"a", "image/png")
    assert Blob.from_bytes(b"a") != Blob.from_bytes(b"b")
    one, two = Blob.from_stream(io.BytesIO(b"a")), Blob.from_stream(io.BytesIO(b"a"))
    same = one
    assert one == same
    assert one != two
    assert one != "a"
    with pytest.raises(TypeError):
        hash(one)


def test_what_is_no_bytes_is_refused() -> None:
    with pytest.raises(InvalidDocumentError, match="not str"):
        Blob.from_bytes("text")  # type: ignore[arg-type]
    with pytest.raises(InvalidDocumentError, match="content type"):
        Blob.from_bytes(b"", 5)  # type: ignore[arg-type]
