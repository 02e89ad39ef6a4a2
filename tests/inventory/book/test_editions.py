"""The registers of the original's edits."""

from __future__ import annotations

from pathlib import Path

from settee import Conflict, Document
from settee_inventory.book.editions import resolve_register
from settee_inventory.model.mirror import Register, read_register, write_register
from tests.inventory.book.scene import fleet, opened, run, sync

ACTOR = "edition-" + "0" * 24
EARLY, LATE = Register("0" * 16, {"a": 1}), Register("0" * 15 + "1", {"b": 2})


def test_the_latest_register_stays_and_is_there_after_a_restart(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path) as book:
            await book._editions.put(ACTOR, LATE)
            await book._editions.put(ACTOR, EARLY)
            assert book._editions.registers == {ACTOR: LATE}
        async with opened(tmp_path) as book:
            assert book._editions.registers == {ACTOR: LATE}

    run(scene)


def test_registers_reach_other_devices_whichever_was_stored_last(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path, ["kitchen", "van"]) as (kitchen, van):
            await kitchen._editions.put(ACTOR, LATE)
            await van._editions.put(ACTOR, EARLY)
            for _ in range(3):
                await sync(kitchen, van)
            for book in (kitchen, van):
                stored = await (await book.db.collection("shop.editions"))[ACTOR]
                assert read_register(stored) == LATE

    run(scene)


def test_of_two_registers_the_later_is_made_newer_than_both() -> None:
    def conflict(one: Register, other: Register) -> Conflict:
        local, remote = (Document(ACTOR, write_register(each)) for each in (one, other))
        return Conflict(document_id=ACTOR, collection="shop.editions", local=local, remote=remote)

    for both in (conflict(EARLY, LATE), conflict(LATE, EARLY)):
        assert resolve_register(both) == write_register(LATE)
    gone = Conflict(
        document_id=ACTOR, collection="shop.editions", local=None, remote=Document(ACTOR, {})
    )
    assert resolve_register(gone) is gone.remote
