"""The disk that loses power: what is synced stays, of the rest anything may go."""

from __future__ import annotations

import random

from tests.crash.disk import SECTOR, Disk, Image, Log


def images_of(log: Log, count: int = 300) -> list[Image]:
    disk = Disk()
    for entry in log.entries:
        disk.take(entry)
    return [disk.image(random.Random(n)) for n in range(count)]


def test_what_is_synced_stays_and_what_is_not_may_go_in_any_part() -> None:
    log = Log()
    node = log.make("a")
    log.write(node, 0, b"1" * SECTOR * 2)
    log.sync(node)
    log.sync_folder("")
    log.write(node, 0, b"2" * SECTOR * 2)
    log.write(node, SECTOR * 2, b"3")
    found = {image["a"] for image in images_of(log)}
    whole, old, new = SECTOR * 2, b"1" * SECTOR, b"2" * SECTOR
    assert all(content is not None and len(content) in (whole, whole + 1) for content in found)
    assert {old + old, new + new + b"3", old + new, new + old, old + old + b"3"} <= found


def test_a_name_stays_once_its_folder_is_synced() -> None:
    log = Log()
    node = log.make("folder/a")
    log.write(node, 0, b"content")
    log.sync(node)
    assert {} in images_of(log)
    log.sync_folder("")
    assert {"folder": None} in images_of(log)
    log.sync_folder("folder")
    assert all(image == {"folder": None, "folder/a": b"content"} for image in images_of(log))


def test_a_rename_is_one_step_and_may_go_back() -> None:
    log = Log()
    node = log.make("a")
    log.write(node, 0, b"content")
    log.sync(node)
    log.sync_folder("")
    log.rename("a", "b")
    found = [tuple(image) for image in images_of(log)]
    assert set(found) == {("a",), ("b",)}


def test_a_removed_folder_takes_all_below_it_and_a_link_is_a_second_name() -> None:
    log = Log()
    log.write(log.make("x/a"), 0, b"content")
    log.link("x/a", "b")
    log.remove("x")
    everything = next(image for image in images_of(log) if "b" in image and "x" not in image)
    assert everything["b"] in (b"content", b"", b"\0" * 7) or everything["b"]
