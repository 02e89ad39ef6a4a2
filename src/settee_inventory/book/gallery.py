"""The pictures of an inventory: stored as blobs of its database, and handed out to browsers."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, Final

from settee.aio import Blob, Database
from settee_inventory.book import pictures
from settee_inventory.book.errors import PictureError
from settee_inventory.book.values import Content
from settee_inventory.model import Picture

__all__ = ["Gallery", "pictured"]

THUMBS_KEPT_MAX: Final = 256


class Gallery:
    """The pictures that lie in `db`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._thumbs: OrderedDict[str, Content] = OrderedDict()

    async def content(self, digest: str) -> Content | None:
        """Return the picture of a digest, None if it is not here."""
        if not digest.startswith("sha1-"):
            return None
        blob = await self._db.get_blob(digest)
        if blob is None:
            return None
        data = await blob.read()
        return Content(data, pictures.content_type_of(data))

    async def thumbnail(self, picture: Picture) -> Content | None:
        """Return the small one: as stored, else made now, and kept for a while."""
        if picture.has_thumb:
            return await self.content(picture.thumb)
        held = self._thumbs.get(picture.digest)
        if held is not None:
            self._thumbs.move_to_end(picture.digest)
            return held
        whole = await self.content(picture.digest)
        if whole is None:
            return None
        try:
            made = Content(*await asyncio.to_thread(pictures.thumbnail, whole.data))
        except PictureError:
            return None
        self._thumbs[picture.digest] = made
        if len(self._thumbs) > THUMBS_KEPT_MAX:
            self._thumbs.popitem(last=False)
        return made


async def pictured(data: bytes) -> tuple[dict[str, Any], list[Blob]]:
    """Return the value of the field `PICTURE` for a file, and the blobs that it names.

    Raises PictureError.
    """
    made = await asyncio.to_thread(pictures.prepare, data)
    image = Blob.from_bytes(made.image, made.content_type)
    thumb = Blob.from_bytes(made.thumb, made.thumb_type)
    return {"image": image.properties, "thumb": thumb.properties}, [image, thumb]
