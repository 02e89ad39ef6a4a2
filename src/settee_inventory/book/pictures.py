"""Pictures that people give: checked, turned, scaled down. The only user of Pillow in the book."""

from __future__ import annotations

import io
import warnings
from typing import Final, NamedTuple

from PIL import Image, ImageOps, UnidentifiedImageError

from settee_inventory.book.errors import PictureError

__all__ = [
    "FILE_BYTES_MAX",
    "PICTURE_PIXELS_MAX",
    "SIDE_MAX",
    "THUMB_SIDE",
    "Prepared",
    "content_type_of",
    "prepare",
    "thumbnail",
]

FILE_BYTES_MAX: Final = 25 * 2**20
"""A larger file is refused before anything looks into it."""

PICTURE_PIXELS_MAX: Final = 100_000_000
"""A picture of more pixels is refused before it is decoded, which could take all memory."""

STORED_BYTES_MAX: Final = 2 * 2**20
SIDE_MAX: Final = 1600
THUMB_SIDE: Final = 128
QUALITIES: Final = (85, 70, 50)

_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO")
_UNREADABLE: Final = "This file is not a picture that can be read. Use JPEG, PNG or WebP."
_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


class Prepared(NamedTuple):
    """A picture ready to be stored."""

    image: bytes
    content_type: str
    width: int
    height: int
    thumb: bytes
    thumb_type: str


def prepare(data: bytes) -> Prepared:
    """Return the picture in a file, turned as its EXIF says, at most `SIDE_MAX` pixels a side.

    What the file claims to be does not matter. Nothing but pixels is kept: no place, no camera. One
    with see-through parts becomes a PNG, others JPEG. Takes up to a second: not for an event loop.
    Raises PictureError.
    """
    if len(data) > FILE_BYTES_MAX:
        raise PictureError(
            f"This picture is too large: {len(data) / 2**20:.0f} MB. "
            f"Use one of at most {FILE_BYTES_MAX // 2**20} MB."
        )
    turned = _decoded(data, SIDE_MAX)
    image, kind = _encoded(turned)
    small = turned.copy()
    small.thumbnail((THUMB_SIDE, THUMB_SIDE), Image.Resampling.LANCZOS)
    thumb, thumb_kind = _encoded(small)
    return Prepared(image, kind, *turned.size, thumb, thumb_kind)


def thumbnail(data: bytes) -> tuple[bytes, str]:
    """Return a small copy of a stored picture and its type. Raises PictureError."""
    small = _decoded(data, THUMB_SIDE)
    return _encoded(small)


def content_type_of(data: bytes) -> str:
    """Return the type of a picture, told from its bytes; what is none of the web's is no picture.

    For answers to a browser: another device may have stored anything under any type.
    """
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return "application/octet-stream"


def _decoded(data: bytes, side: int) -> Image.Image:
    """Return the first frame, turned and at most `side` pixels wide and high."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of odd files; the limit is checked here.
            with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
                width, height = opened.size
                if width * height > PICTURE_PIXELS_MAX:
                    raise PictureError(
                        f"This picture has {width:,} x {height:,} pixels, which is too many. "
                        "Use a smaller one."
                    )
                opened.draft("RGB", (side, side))  # A JPEG is decoded at the size it needs.
                turned = ImageOps.exif_transpose(opened)
                turned = turned.convert("RGBA" if _see_through(turned) else "RGB")
                turned.thumbnail((side, side), Image.Resampling.LANCZOS)
    except PictureError:
        raise
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, EOFError) as exc:
        raise PictureError(_UNREADABLE) from exc
    except (Image.DecompressionBombError, MemoryError, OverflowError) as exc:
        raise PictureError("This picture is too large. Use a smaller one.") from exc
    except Exception as exc:  # Pillow's plugins raise whatever a damaged file leads them into.
        raise PictureError(_UNREADABLE) from exc
    return turned


def _see_through(image: Image.Image) -> bool:
    if image.mode in ("RGBA", "LA", "PA"):
        low, _ = image.getchannel("A").getextrema()
        return isinstance(low, int) and low < 255
    return image.mode == "P" and "transparency" in image.info


def _encoded(image: Image.Image) -> tuple[bytes, str]:
    if image.mode == "RGBA":
        stream = io.BytesIO()
        image.save(stream, "PNG", optimize=True)
        if stream.tell() <= STORED_BYTES_MAX:
            return stream.getvalue(), "image/png"
        ground = Image.new("RGB", image.size, "white")
        ground.paste(image, mask=image.getchannel("A"))
        image = ground
    for quality in QUALITIES:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality, optimize=True, progressive=True)
        if stream.tell() <= STORED_BYTES_MAX:
            break
    return stream.getvalue(), "image/jpeg"
