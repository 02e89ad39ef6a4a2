"""What happened, in words."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from settee_inventory.book import Choice, Conflict, Device, Entry, Inventory, Picture
from settee_inventory.web.happenings import conflict_of, device_of, entry_of


def with_book(tmp_path: Path, look: Any) -> None:
    async def scene() -> None:
        async with await Inventory.open(
            tmp_path, "bob", start="sample", device=Device("Shop", "storefront", "blue")
        ) as book:
            await book.save_device(Device("Shop", "storefront", "blue"))
            look(book)

    asyncio.run(scene())


def entry(kind: str, by: str = "", count: int = 1, **detail: Any) -> Entry:
    items = tuple((f"item::{n}", name) for n, name in enumerate(["Apples", "Corn"][:count]))
    return Entry(1000, kind, by, items, count, detail)


def test_lines_of_the_log_are_sentences(tmp_path: Path) -> None:
    def look(book: Inventory) -> None:
        def said(each: Entry) -> str:
            line = entry_of(each, book)
            return f"{line['who']} {line['did']}" + (f" ({line['more']})" if line["more"] else "")

        own = book.device_id
        assert said(entry("edited", own)) == "You changed Apples"
        assert said(entry("edited", own, 2)) == "You changed 2 items (Apples, Corn)"
        assert said(entry("received", "unknown", 9)) == (
            "Another device changed 9 items (Apples, Corn and others)"
        )
        assert said(entry("merged", "x", here=8, there=13, both=11, fields=["quantity"])) == (
            "Apples merged by itself: 8 here and 13 there made 11"
        )
        assert said(entry("merged", "x", fields=["name", "picture"])) == (
            "Apples merged by itself: name, picture"
        )
        assert said(entry("conflict", "x", field="picture")) == (
            "Apples has two versions of its picture"
        )
        assert said(entry("decided", own, field="warn_under")) == "You chose the limit of Apples"
        assert said(entry("refused", count=0, who="Van", text="401")) == (
            "Van refused this device (401)"
        )

    with_book(tmp_path, look)


def test_errors_are_found_under_errors(tmp_path: Path) -> None:
    def look(book: Inventory) -> None:
        kinds = {kind: entry_of(entry(kind), book)["kind"] for kind in ("refused", "lost")}
        assert set(kinds.values()) == {"errors"}
        assert entry_of(entry("conflict"), book)["kind"] == "conflicts"
        assert entry_of(entry("edited"), book)["kind"] == "changes"

    with_book(tmp_path, look)


def test_a_conflict_shows_all_versions_the_shown_one_first(tmp_path: Path) -> None:
    def look(book: Inventory) -> None:
        plums = book.items["item::plums"]
        mine = Choice("2@a", 2000, book.device_id, Picture("sha1-m", "image/png", "sha1-t", True))
        theirs = Choice("1@b", 1000, "b", None)
        shown = conflict_of(Conflict(plums, "picture", mine, (theirs,)), book)
        assert shown["title"] == "Plums: two pictures"
        assert shown["line"].startswith("You and Another device changed it while apart.")
        assert [each["version"] for each in shown["versions"]] == ["2@a", "1@b"]
        assert [each["thumb"] for each in shown["versions"]] == ["sha1-t", None]
        removed = Conflict(
            plums, "removed", Choice("2", 2, "b", True), (Choice("1", 1, "b", False),)
        )
        texts = [each["text"] for each in conflict_of(removed, book)["versions"]]
        assert texts == ["Removed", "Still there"]

    with_book(tmp_path, look)


def test_a_look_that_nobody_drew_is_unknown_and_nothing_else(tmp_path: Path) -> None:
    async def scene() -> None:
        async with await Inventory.open(
            tmp_path, "bob", device=Device("Shop", "skull", "pink")
        ) as b:
            shown = device_of(b, b.device_id)
            assert (shown["icon"], shown["colour"]) == ("help", "grey")
            assert device_of(b, "nobody")["name"] == "Another device"

    asyncio.run(scene())
