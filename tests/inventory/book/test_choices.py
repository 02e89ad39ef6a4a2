"""What could not merge: shown, restored, settled."""

from __future__ import annotations

from pathlib import Path

import pytest

from settee import NotFoundError
from tests.inventory.book.scene import APPLES, fleet, image, run, sync


def test_two_names_at_once_are_shown_and_the_other_can_be_restored(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path, ["kitchen", "van"]) as (kitchen, van):
            await kitchen.rename(APPLES, "Red")
            await van.rename(APPLES, "Green")
            await sync(kitchen, van)
            assert kitchen.items[APPLES].conflicts == ("name",)
            (conflict,) = kitchen.conflicts()
            assert {conflict.shown.value, conflict.others[0].value} == {"Red", "Green"}
            assert conflict.item.name == conflict.shown.value
            other = conflict.others[0]
            restored = await kitchen.restore(APPLES, "name", other.version)
            assert (restored.name, restored.conflicts) == (other.value, ())
            await sync(kitchen, van)
            assert van.items[APPLES].name == other.value
            assert van.conflicts() == []
            with pytest.raises(NotFoundError):
                await van.restore(APPLES, "name", other.version)
            assert [e.kind for e in await kitchen.activity()][:2] == ["edited", "decided"]

    run(scene)


def test_two_pictures_at_once_are_kept_and_one_can_be_settled_for(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path, ["kitchen", "van"]) as (kitchen, van):
            await kitchen.set_picture(APPLES, image(colour="red"))
            await van.set_picture(APPLES, image(colour="green"))
            await sync(kitchen, van)
            (conflict,) = van.conflicts()
            assert conflict.field == "picture"
            for choice in (conflict.shown, *conflict.others):
                content = await van.picture(choice.value.digest)
                assert content
                assert content.content_type == "image/jpeg"
            await van.keep(APPLES, "picture")
            await sync(kitchen, van)
            assert kitchen.conflicts() == van.conflicts() == []
            picture = kitchen.items[APPLES].picture
            assert picture == conflict.shown.value

    run(scene)


def test_an_item_removed_here_and_counted_there_can_be_brought_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(
            tmp_path, ["kitchen", "van"], now=lambda n: lambda: 1_800_000_000.0 + (n == "van")
        ) as (kitchen, van):
            await kitchen.remove(APPLES)
            await van.change_quantity(APPLES, -1)
            await sync(kitchen, van)
            assert APPLES not in van.items
            (conflict,) = van.conflicts()
            assert (conflict.field, conflict.shown.by) == ("removed", kitchen.device_id)
            await van.restore(APPLES, "removed", conflict.others[0].version)
            await sync(kitchen, van)
            assert kitchen.items[APPLES].quantity == 9
            assert kitchen.conflicts() == []

    run(scene)


def test_what_came_while_one_was_typing_is_a_conflict_that_can_be_restored(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path, ["kitchen", "van"]) as (kitchen, van):
            await van.rename(APPLES, "Red apples")
            await sync(kitchen, van)
            # Typed on, letter by letter, by somebody who began when it was called Apples.
            await kitchen.rename(APPLES, "Apples f", seen=["Apples"])
            await kitchen.rename(APPLES, "Apples for Ann", seen=["Apples"])
            await sync(kitchen, van)
            for book in (kitchen, van):
                (conflict,) = book.conflicts()
                assert book.items[APPLES].name == conflict.shown.value == "Apples for Ann"
                assert [each.value for each in conflict.others] == ["Red apples"]
            kinds = [each.kind for each in await kitchen.activity()]
            assert kinds.count("conflict") == 1
            await van.restore(APPLES, "name", conflict.others[0].version)
            await sync(kitchen, van)
            assert kitchen.items[APPLES].name == "Red apples"
            assert kitchen.conflicts() == van.conflicts() == []

    run(scene)


def test_what_the_writer_has_seen_is_no_conflict(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path, ["kitchen", "van"]) as (kitchen, van):
            await van.rename(APPLES, "Red apples")
            await van.set_unit(APPLES, "kg")
            await van.set_warn_under(APPLES, 5)
            await sync(kitchen, van)
            await kitchen.rename(APPLES, "Reddish apples", seen=["Apples", "Red apples"])
            await kitchen.set_unit(APPLES, "t", seen=["kg"])
            await kitchen.set_warn_under(APPLES, 6, seen=[5])
            assert kitchen.conflicts() == []
            await van.set_unit(APPLES, "g")
            await van.set_warn_under(APPLES, 7)
            await sync(kitchen, van)
            await kitchen.set_unit(APPLES, "t", seen=["kg"])
            await kitchen.set_warn_under(APPLES, None, seen=[5])
            assert {each.field for each in kitchen.conflicts()} == {"unit", "warn_under"}

    run(scene)


def test_undo_of_what_was_typed_leaves_the_other_version_to_be_restored(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path, ["kitchen", "van"]) as (kitchen, van):
            await van.rename(APPLES, "Red apples")
            await sync(kitchen, van)
            await kitchen.rename(APPLES, "Apples f", seen=["Apples"])
            await kitchen.rename(APPLES, "Apples for Ann", seen=["Apples"])
            await kitchen.undo()
            (conflict,) = kitchen.conflicts()
            assert kitchen.items[APPLES].name == "Apples f"
            assert [each.value for each in conflict.others] == ["Red apples"]
            await kitchen.undo()
            assert kitchen.items[APPLES].name == "Red apples"
            assert kitchen.conflicts() == []

    run(scene)
