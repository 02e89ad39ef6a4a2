"""Pictures of items, whole and small."""

from __future__ import annotations

from pathlib import Path

from settee_inventory.data import picture
from tests.inventory.book.scene import APPLES, image, opened, run


def test_a_picture_is_stored_with_a_small_one(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as book:
            item = await book.set_picture(APPLES, image(800, 400))
            assert item.picture
            assert item.picture.has_thumb
            whole, small = await book.picture(item.picture.digest), await book.thumbnail(APPLES)
            assert whole
            assert small
            assert small == await book.picture(item.picture.thumb)
            assert whole.content_type == small.content_type == "image/jpeg"
        async with opened(tmp_path) as book:
            assert await book.picture(item.picture.digest) == whole

    run(scene)


def test_an_item_that_came_without_a_small_picture_gets_one_here(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as book:
            assert await book.picture("sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA=") is None
            assert await book.picture("../../x") is None
            whole = await book.picture(book.items[APPLES].picture.digest)  # type: ignore[union-attr]
            assert whole
            assert whole.data == picture("apples")
            small = await book.thumbnail(APPLES)
            assert small
            assert small != whole
            assert await book.thumbnail(APPLES) is small
            assert await book.thumbnail((await book.add("Corn")).id) is None

    run(scene)
