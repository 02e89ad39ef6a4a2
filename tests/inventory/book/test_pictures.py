"""Pictures that people give: checked, turned, scaled down."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from settee_inventory.book import PictureError, pictures
from tests.inventory.book.scene import image


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_a_photo_is_turned_as_its_exif_says_and_keeps_nothing_else() -> None:
    made = pictures.prepare(image(40, 20, turned=6))
    assert (made.width, made.height) == (20, 40)
    assert opened(made.image).size == (20, 40)
    assert not opened(made.image).getexif()
    assert made.content_type == "image/jpeg"


def test_a_large_one_is_scaled_down_with_a_small_one_beside_it() -> None:
    made = pictures.prepare(image(4000, 1000))
    assert opened(made.image).size == (1600, 400)
    assert opened(made.thumb).size == (128, 32)


def test_a_narrow_one_keeps_at_least_one_pixel() -> None:
    made = pictures.prepare(image(1, 3000, "PNG"))
    assert opened(made.image).size == (1, 1600)
    assert opened(made.thumb).size == (1, 128)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_many_kinds_are_read_whatever_they_are_called(kind: str) -> None:
    made = pictures.prepare(image(30, 30, kind))
    assert opened(made.image).size == (30, 30)
    assert pictures.content_type_of(made.image) == made.content_type


def test_see_through_parts_stay_see_through() -> None:
    stream = io.BytesIO()
    Image.new("RGBA", (10, 10), (255, 0, 0, 0)).save(stream, "PNG")
    made = pictures.prepare(stream.getvalue())
    assert made.content_type == "image/png"
    assert opened(made.image).getpixel((0, 0)) == (255, 0, 0, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg onload='x'/>",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        image()[:200],
        b"GIF89a",
    ],
)
def test_what_is_no_picture_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(PictureError, match="Use JPEG, PNG or WebP"):
        pictures.prepare(data)


def test_a_picture_that_would_fill_the_memory_is_refused_before_it_is_decoded() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 1, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99)))
    with pytest.raises(PictureError, match=r"too many|too large"):
        pictures.prepare(bomb)


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "FILE_BYTES_MAX", 2 * 2**20)
    with pytest.raises(PictureError, match=r"3 MB\. Use one of at most 2 MB"):
        pictures.prepare(bytes(3 * 2**20))


def test_a_picture_that_stays_large_is_stored_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = Image.effect_noise((300, 300), 100).convert("RGBA")
    noise.putalpha(100)
    stream = io.BytesIO()
    noise.save(stream, "PNG")
    whole = pictures.prepare(stream.getvalue())
    assert whole.content_type == "image/png"
    monkeypatch.setattr(pictures, "STORED_BYTES_MAX", 40_000)
    made = pictures.prepare(stream.getvalue())
    assert made.content_type == "image/jpeg"
    assert len(made.image) < len(whole.image)


def test_a_stored_picture_gets_a_small_one() -> None:
    data, kind = pictures.thumbnail(image(500, 250))
    assert opened(data).size == (128, 64)
    assert kind == "image/jpeg"
    with pytest.raises(PictureError):
        pictures.thumbnail(b"nothing")


@pytest.mark.parametrize("data", [b"", b"<html>", b"<svg>", b"RIFF----WAVE", b"%PDF-1.4"])
def test_what_another_device_stored_as_a_picture_is_none_to_the_browser(data: bytes) -> None:
    assert pictures.content_type_of(data) == "application/octet-stream"
