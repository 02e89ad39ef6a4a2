from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path

import pytest

from settee import Blob as BlockingBlob
from settee.aio import Blob, Database
from settee.errors import UsageError
from tests.aio.conftest import Play


def test_blobs_go_in_and_come_out_awaited(play: Play, tmp_path: Path) -> None:
    content = os.urandom(200_000)
    (tmp_path / "a.png").write_bytes(content)

    async def scene(db: Database) -> None:
        items = db.default_collection
        await items.put(
            "d",
            {
                "bytes": Blob.from_bytes(content, "image/png"),
                "file": [Blob.from_file(tmp_path / "a.png")],
                "stream": {"x": Blob.from_stream(io.BytesIO(content), "image/png")},
            },
        )
        document = await items["d"]
        for blob in (document["bytes"], document["file"][0], document["stream"]["x"]):
            assert isinstance(blob, Blob)
            assert (blob.length, blob.content_type) == (200_000, "image/png")
            assert await blob.read() == content
        blob = document["bytes"]
        assert blob == Blob.from_bytes(content) == BlockingBlob.from_bytes(content)
        assert blob != Blob.from_bytes(b"")
        assert blob.properties == document["file"][0].properties
        assert blob.digest is not None
        assert blob.digest in repr(blob)
        async with blob.open() as stream:
            assert await stream.read(10) == content[:10]
            assert await stream.seek(-5, os.SEEK_END) == stream.tell() == 199_995
            assert await stream.read() == content[-5:]
        with pytest.raises(ValueError, match="async with"):
            await stream.read()
        await blob.save_to(tmp_path / "out.png")
        await items.save(document)
        assert document.to_dict()["bytes"] == blob.properties

    play(scene)
    assert (tmp_path / "out.png").read_bytes() == content


def test_a_stream_can_be_read_only_after_its_save() -> None:
    blob = Blob.from_stream(io.BytesIO(b"x"))
    with pytest.raises(UsageError):
        asyncio.run(blob.read())
    with pytest.raises(TypeError):
        hash(blob)
