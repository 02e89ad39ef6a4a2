from __future__ import annotations

import errno
import hashlib
import io
from pathlib import Path

import pytest

from settee.errors import (
    ClosedError,
    CorruptDatabaseError,
    DiskFullError,
    InvalidDocumentError,
    StoreError,
)
from settee.ids import digest_text
from settee.store import blob_files
from settee.store.blob_files import BlobReader, BlobWriter
from settee.store.files import MachineFiles

CONTENT = bytes(range(256)) * 1000


def _digest(content: bytes) -> str:
    return digest_text(hashlib.sha1(content).digest())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "blob"


def test_pieces_are_written_and_named_by_their_digest(path: Path) -> None:
    with BlobWriter(path) as writer:
        for start in range(0, len(CONTENT), 1000):
            writer.write(CONTENT[start : start + 1000])
        assert writer.length == len(CONTENT)
        staged = writer.finish(_digest(CONTENT), len(CONTENT))
    assert (staged.digest, staged.length, staged.path) == (_digest(CONTENT), len(CONTENT), path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("piece", [b"ab", bytearray(b"ab"), memoryview(b"ab")])
def test_any_bytes_will_do(path: Path, piece: bytes) -> None:
    with BlobWriter(path) as writer:
        writer.write(piece)
        assert writer.finish().digest == _digest(b"ab")


def test_nothing_is_a_blob_too(path: Path) -> None:
    with BlobWriter(path) as writer:
        staged = writer.finish(expected_length=0)
    assert staged == ("sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=", 0, path)
    with BlobReader(path, staged.digest) as reader:
        assert reader.read() == b""


@pytest.mark.sec("SEC-23")
@pytest.mark.parametrize(
    ("digest", "length"), [(_digest(b"other"), None), ("sha1-../../x", None), (None, 3), (None, 5)]
)
def test_what_is_not_as_promised_is_removed(
    path: Path, digest: str | None, length: int | None
) -> None:
    with BlobWriter(path) as writer:
        writer.write(b"four")
        with pytest.raises(InvalidDocumentError, match="not stored"):
            writer.finish(digest, length)
    assert not path.exists()


def test_leaving_unfinished_removes_the_file(path: Path) -> None:
    with BlobWriter(path) as writer:
        writer.write(b"half")
    assert not path.exists()
    writer.abort()


def test_a_finished_or_aborted_writer_takes_no_more(path: Path) -> None:
    with BlobWriter(path) as writer:
        writer.finish()
        with pytest.raises(ClosedError):
            writer.write(b"more")
        with pytest.raises(ClosedError):
            writer.finish()
    assert path.exists()


def test_the_limit_is_allowed_and_a_byte_more_is_not(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_files, "BLOB_BYTES_MAX", 10)
    with BlobWriter(path) as writer:
        writer.write(b"x" * 10)
        with pytest.raises(InvalidDocumentError, match="larger than 10"):
            writer.write(b"x")
    assert not path.exists()


def test_a_full_disk_removes_the_file(path: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with BlobWriter(path) as writer:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            with pytest.raises(DiskFullError):
                writer.write(CONTENT)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not path.exists()


def test_a_place_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        BlobWriter(tmp_path / "nowhere" / "blob")


def test_reading_works_like_a_file(path: Path) -> None:
    path.write_bytes(CONTENT)
    with BlobReader(path, _digest(CONTENT)) as reader:
        assert reader.length == len(CONTENT)
        assert reader.read(3) == CONTENT[:3]
        assert reader.seek(1000) == reader.tell() == 1000
        assert reader.read(2) == CONTENT[1000:1002]
        assert reader.seek(-1, io.SEEK_END) == len(CONTENT) - 1
        assert reader.read() == CONTENT[-1:]
        reader.seek(0)
        assert io.BufferedReader(reader).read() == CONTENT


@pytest.mark.parametrize("piece", [1000, 4096, 10**6])
def test_a_flipped_bit_is_found_by_reading_to_the_end(path: Path, piece: int) -> None:
    damaged = bytearray(CONTENT)
    damaged[100_000] ^= 1
    path.write_bytes(damaged)

    def read_all(reader: BlobReader) -> None:
        while reader.read(piece):
            pass

    with BlobReader(path, _digest(CONTENT)) as reader:
        with pytest.raises(CorruptDatabaseError, match="damaged"):
            read_all(reader)
        reader.seek(0)
        with pytest.raises(CorruptDatabaseError):
            read_all(reader)


def test_a_blob_cut_short_is_found(path: Path) -> None:
    path.write_bytes(CONTENT[:-1])
    with BlobReader(path, _digest(CONTENT)) as reader, pytest.raises(CorruptDatabaseError):
        reader.readall()


def test_a_read_that_the_disk_refuses_is_an_error_of_ours(path: Path) -> None:
    class Broken(MachineFiles):
        def read(self, file: io.FileIO, buffer: memoryview) -> int:
            raise OSError(errno.EIO, "Input/output error")

    path.write_bytes(CONTENT)
    with (
        BlobReader(path, _digest(CONTENT), Broken()) as reader,
        pytest.raises(StoreError, match="Input/output error"),
    ):
        reader.read(1)
