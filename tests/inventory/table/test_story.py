"""What happened on the table."""

from __future__ import annotations

from typing import Any

from settee_inventory.table.story import MINUS, Story


def links(story: Story, **online: bool) -> None:
    for name, on in online.items():
        story.told(name, "links", {"online": on})


def counted(story: Story, name: str, count: int, quantity: int, stamp: str, at_ms: int = 0) -> None:
    _change(story, name, stamp, at_ms, quantity, count, remote=False)


def arrived(story: Story, name: str, quantity: int, stamp: str, at_ms: int = 0) -> None:
    _change(story, name, stamp, at_ms, quantity, None, remote=True)


def _change(
    story: Story,
    name: str,
    stamp: str,
    at_ms: int,
    quantity: int,
    count: int | None,
    *,
    remote: bool,
) -> None:
    fields: dict[str, Any] = {
        "id": "apples",
        "name": "Apples",
        "stamp": stamp,
        "at_ns": at_ms * 1_000_000,
        "quantity": quantity,
        "count": count,
        "remote": remote,
    }
    story.told(name, "change", fields)


def test_a_journey_is_measured_to_the_last_device_that_has_it() -> None:
    story = Story()
    counted(story, "Van", -2, 8, "v1", at_ms=1000)
    arrived(story, "Shop", 8, "v1", at_ms=1040)
    arrived(story, "Kitchen", 8, "v1", at_ms=1084)
    assert story.journey == {
        "ms": 84,
        "origin": "Van",
        "places": ["Kitchen", "Shop"],
        "what": f"Apples {MINUS}2",
        "at": 1000,
    }


def test_what_was_never_seen_to_begin_is_no_journey() -> None:
    story = Story()
    arrived(story, "Shop", 8, "unknown")
    assert story.journey is None


def test_the_time_that_a_change_waits_for_a_network_is_no_journey() -> None:
    story = Story()
    links(story, Shop=True, Van=True)
    links(story, Van=False)
    counted(story, "Van", -2, 8, "v1", at_ms=1000)
    links(story, Van=True)
    arrived(story, "Shop", 8, "v1", at_ms=9000)
    assert story.journey is None


def test_the_three_steps_tick_themselves_off() -> None:
    story = Story()
    links(story, Kitchen=True, Shop=True, Van=True)
    assert story.step == 1
    links(story, Van=False)
    assert story.step == 2
    counted(story, "Van", -2, 8, "v1")
    assert story.step == 2
    counted(story, "Shop", 3, 13, "s1")
    assert story.step == 3
    arrived(story, "Kitchen", 13, "s1")
    links(story, Van=True)
    arrived(story, "Van", 11, "s1")
    arrived(story, "Shop", 11, "v1")
    assert story.result == ""
    arrived(story, "Kitchen", 11, "v1")
    assert story.result == f"Shop +3 and Van {MINUS}2 became +1 everywhere: Apples."
    assert story.step == 4


def test_a_cut_without_changes_on_both_sides_goes_back_to_the_first_step() -> None:
    story = Story()
    links(story, Kitchen=True, Shop=True, Van=True)
    links(story, Van=False)
    counted(story, "Van", 1, 11, "v1")
    links(story, Van=True)
    assert story.step == 1


def test_a_second_cut_begins_the_steps_again() -> None:
    story = Story()
    links(story, Kitchen=True, Van=True)
    links(story, Van=False)
    counted(story, "Van", 1, 11, "v1")
    counted(story, "Kitchen", 1, 11, "k1")
    links(story, Van=True)
    arrived(story, "Van", 12, "k1")
    arrived(story, "Kitchen", 12, "v1")
    assert story.step == 4
    links(story, Kitchen=False)
    assert (story.step, story.result) == (2, "")
