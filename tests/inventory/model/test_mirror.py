"""The original's list: items written into it, edits of it booked, each once."""

from __future__ import annotations

import base64
import copy
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settee_inventory.model import changes, mirror
from settee_inventory.model import item as items
from settee_inventory.model import quantity as counters
from settee_inventory.model.item import NAME, PICTURE, REMOVED, State
from settee_inventory.model.stamp import NEVER, Stamp, milliseconds
from tests.inventory.model.mirroring import BLANK, Mirroring, Originals
from tests.inventory.model.states import JSON

AUTHOR = "0" * 31 + "1"
SEED = Stamp(NEVER, "seed")
APPLE = {"@type": "blob", "digest": "sha1-VVVVVVVVVVVVVVVVVVVVVVVVVVU=", "length": 5}
SAMPLE = {"item::apples": ("Apples", 10), "item::beets": ("Beets", 4)}
STATES = {
    "item::beets": items.new({NAME: "Beets"}, 4, SEED),
    "item::apples": items.new({NAME: "Apples", PICTURE: {"image": APPLE}}, 10, SEED),
}


def original(**changed: Any) -> dict[str, Any]:
    """Return the list as the original saves it after an edit of its first line."""
    body = copy.deepcopy(mirror.mirror(STATES, BLANK, AUTHOR, ""))
    body["items"][0] |= changed
    return body


def booked(body: dict[str, Any], revision: str) -> dict[str, State]:
    found = mirror.edits(body, revision, SAMPLE)
    states = dict(STATES)
    if found:
        for id, edit in found.items.items():
            states[id] = mirror.applied(states.get(id), edit, found)
    return states


def total(states: dict[str, State], id: str = "item::apples") -> int:
    return counters.total(states[id].quantity)


def test_the_list_is_what_the_original_reads() -> None:
    body = mirror.mirror(STATES, BLANK, AUTHOR, "")
    assert body["type"] == "list"
    assert body["items"] == [
        {"key": "Apples", "value": 10, "image": APPLE},
        {"key": "Beets", "value": 4, "image": BLANK},
    ]


def test_devices_that_know_the_same_write_the_same_list() -> None:
    turned = dict(reversed(STATES.items()))
    assert mirror.mirror(turned, BLANK, AUTHOR, "") == mirror.mirror(STATES, BLANK, AUTHOR, "")
    other = mirror.mirror(turned, BLANK, "f" * 32, "")
    assert mirror.is_same_list(other, mirror.mirror(STATES, BLANK, AUTHOR, ""))
    assert not mirror.is_same_list(original(value=11), mirror.mirror(STATES, BLANK, AUTHOR, ""))


def test_each_list_that_is_written_is_an_edition_of_its_own() -> None:
    names = {
        mirror.mirror(STATES, BLANK, author, over)["edition"]["id"]
        for author in (AUTHOR, "f" * 32)
        for over in ("", "1-ab", "2-cd")
    }
    assert len(names) == 6


def test_a_removed_item_is_not_in_the_list() -> None:
    gone = items.put(STATES["item::beets"], REMOVED, True, Stamp("0" * 15 + "1", "van"))
    body = mirror.mirror(STATES | {"item::beets": gone}, BLANK, AUTHOR, "")
    assert [line["key"] for line in body["items"]] == ["Apples"]


def test_a_list_that_nobody_edited_holds_nothing_to_book() -> None:
    assert mirror.edits(original(), f"1-ff{10**18:016x}{AUTHOR}", SAMPLE) is None


def test_an_absolute_number_is_a_count_from_the_one_that_was_seen() -> None:
    states = booked(original(value=12), "2-" + "ab" * 20)
    assert total(states) == 12
    counted = items.count(STATES["item::apples"], -3, Stamp("0" * 15 + "1", "van"))
    assert counters.total(items.merged(states["item::apples"], counted).quantity) == 9


def test_an_edit_is_booked_once_by_however_many_devices_and_however_often() -> None:
    one = booked(original(value=12), "2-" + "ab" * 20)["item::apples"]
    other = booked(original(value=12), "2-" + "ab" * 20)["item::apples"]
    assert items.merged(one, other) == one
    found = mirror.edits(original(value=12), "2-" + "ab" * 20, SAMPLE)
    assert found
    assert mirror.applied(one, found.items["item::apples"], found) == one
    ((actor, _),) = one.quantity.logs.items()
    assert mirror.is_mirror(actor)


def test_a_later_edit_of_the_same_edition_takes_the_place_of_the_earlier() -> None:
    first = booked(original(value=12), "2-" + "ab" * 20)["item::apples"]
    later = booked(original(value=15), "3-" + "01" * 20)["item::apples"]
    assert counters.total(items.merged(first, later).quantity) == 15
    assert counters.total(items.merged(later, first).quantity) == 15


def register(body: dict[str, Any], revision: str) -> dict[str, mirror.Register]:
    found = mirror.edits(body, revision, SAMPLE)
    assert found
    return {found.stamp.by: mirror.register_of(found)}


def test_an_edit_that_was_taken_back_counts_no_more() -> None:
    first = booked(original(value=12), "2-" + "ab" * 20)
    assert booked(original(), "3-" + "01" * 20) == STATES
    back = register(original(), "3-" + "01" * 20)
    assert total(first | mirror.superseded(first, back)) == 10


def test_an_edit_of_another_line_takes_the_first_back_where_it_is_not_in_it() -> None:
    first = booked(original(value=12), "2-" + "ab" * 20)
    other = original()
    other["items"][1]["value"] = 9
    second = booked(other, "3-" + "01" * 20)
    together = {id: items.merged(first[id], second[id]) for id in STATES}
    assert total(together) == 12
    registers = register(other, "3-" + "01" * 20)
    swept = mirror.superseded(together, registers)
    assert list(swept) == ["item::apples"]
    assert total(together | swept) == 10
    assert total(together | swept, "item::beets") == 9
    assert mirror.superseded(together | swept, registers) == {}


def test_a_part_of_an_edit_that_arrives_alone_makes_the_rest_no_nothing() -> None:
    body = original(value=12)
    body["items"][1]["value"] = 9
    old, (new_name, new) = booked(body, "2-" + "ab" * 20), ("3-" + "01" * 20, original(value=15))
    new["items"][1]["value"] = 9
    mixed = old | {"item::apples": booked(new, new_name)["item::apples"]}
    swept = mixed | mirror.superseded(mixed, register(new, new_name))
    assert (total(swept), total(swept, "item::beets")) == (15, 9)
    assert swept == booked(new, new_name)


def test_only_a_stranger_s_revision_is_an_edit_where_nothing_differs() -> None:
    device = f"3-ff{10**18:016x}{'d' * 32}"
    assert mirror.edits(original(), device, SAMPLE, {"d" * 16}) is None
    found = mirror.edits(original(), device, SAMPLE, {"e" * 16})
    assert found
    assert mirror.register_of(found).counts == {}


def test_registers_merge_to_the_later_one() -> None:
    one, other = mirror.Register("0" * 16, {"a": 1}), mirror.Register("1" * 16, {})
    assert mirror.later(one, other) == mirror.later(other, one) == other
    assert mirror.read_register(mirror.write_register(one)) == one
    assert mirror.read_register({"at": 5, "counts": {"a": "x"}}) == ("0" * 16, {})


def test_an_edit_of_couchbase_lite_4_has_its_own_time() -> None:
    ms = 1_800_000_000_000
    states = booked(original(value=12), f"2-ff{ms * 10**6:016x}{'e' * 32}")
    item = items.item_of("item::apples", states["item::apples"])
    assert item.changed_ms == ms


@pytest.mark.parametrize("behind_s", [-10, 0, 10, 3_600, 86_399, 50 * 86_400, 364 * 86_400])
def test_edits_keep_their_order_however_far_the_original_s_clock_is_behind(behind_s: int) -> None:
    now_ms = 1_800_000_000_000
    stamp = items.stamped(None, now_ms, "van")
    states = {"item::apples": items.new({NAME: "Apples"}, 10, stamp)}
    times = []
    for step in range(3):
        body = mirror.mirror(states, BLANK, AUTHOR, "")
        body["items"][0]["value"] += 1 + step
        gap_ms = 1 if behind_s < 86_399 else 1_001
        ns = (now_ms - behind_s * 1000 + step * gap_ms) * 10**6
        found = mirror.edits(body, f"2-ff{ns:016x}{'e' * 32}", SAMPLE)
        assert found
        times.append(found.stamp.at)
    assert stamp.at < times[0] < times[1] < times[2]
    assert milliseconds(times[2]) < now_ms + max(-behind_s * 1000, 0) + 2_500


def test_a_revision_has_one_time_and_author_however_settee_spells_it() -> None:
    tree = "3-" + "ab" * 20
    version = (3 << 40) | int("ab" * 5, 16)
    spelled = f"17-ff{version:016x}" + base64.b64decode("Revision+Tree+Encoding==").hex()
    vector = f"{version:x}@Revision+Tree+Encoding; {10**18:x}@4QBjls3De1LRuLZgB8Pziw"
    one = mirror.edits(original(value=12), tree, SAMPLE)
    assert one
    assert one == mirror.edits(original(value=12), spelled, SAMPLE)
    assert one == mirror.edits(original(value=12), vector, SAMPLE)
    assert milliseconds(one.stamp.at) == 0

    author = base64.b64decode("4QBjls3De1LRuLZgB8Pziw==").hex()
    name, vector = f"2-ff{10**18:016x}{author}", f"{10**18:x}@4QBjls3De1LRuLZgB8Pziw"
    newer = mirror.edits(original(value=12), name, SAMPLE)
    assert newer
    assert newer == mirror.edits(original(value=12), vector, SAMPLE)
    assert mirror.edits(original(), vector, SAMPLE, {author[:16]}) is None
    assert mirror.edits(original(), vector, SAMPLE)


def test_a_name_and_a_picture_are_written_over_what_the_edition_knew() -> None:
    states = booked(original(key="Red apples", image=BLANK), "2-" + "ab" * 20)
    item = items.item_of("item::apples", states["item::apples"])
    assert item.name == "Red apples"
    assert item.picture
    assert item.picture.digest == BLANK["digest"]
    assert changes.conflicts(states["item::apples"]) == ()


def test_a_name_given_meanwhile_by_a_device_is_kept_beside_it() -> None:
    found = mirror.edits(original(key="Red apples"), "2-" + "ab" * 20, SAMPLE)
    assert found
    renamed = items.put(STATES["item::apples"], NAME, "Green", Stamp("0" * 12 + "1000", "van"))
    state = mirror.applied(renamed, found.items["item::apples"], found)
    (conflict,) = changes.conflicts(state)
    assert (conflict.shown.value, conflict.others[0].value) == ("Green", "Red apples")
    decided = items.put(state, NAME, "Green", items.stamped(state, 0, "van"))
    assert mirror.applied(decided, found.items["item::apples"], found) == decided


def test_lines_that_the_original_added_or_dropped_are_items_added_and_removed() -> None:
    body = original()
    del body["items"][0]
    body["items"] += [{"key": "Corn", "value": 3, "image": APPLE}, {"key": "Kale", "value": 2}]
    states = booked(body, "2-" + "ab" * 20)
    new = {
        items.item_of(id, state).name: counters.total(state.quantity)
        for id, state in states.items()
    }
    assert new["Corn"] == 3
    assert new["Kale"] == 2
    assert items.is_removed(states["item::apples"])
    assert not items.is_removed(states["item::beets"])
    assert booked(body, "2-" + "ab" * 20) == states


def test_lines_that_the_original_destroyed_are_left_alone() -> None:
    for broken in ({}, {"key": "", "value": 12}, {"key": "Apples", "value": "12"}, None, 5):
        body = original()
        body["items"][0] = broken
        body["items"][1]["value"] = 9
        states = booked(body, "2-" + "ab" * 20)
        assert states["item::apples"] == STATES["item::apples"] or total(states) == 12
        assert total(states, "item::beets") == 9


def test_a_list_without_an_edition_began_with_the_sample_s_numbers() -> None:
    plain = {
        "items": [
            {"key": "Apples", "value": 12, "image": BLANK},
            {"key": "Beets", "value": 4, "image": BLANK},
        ]
    }
    states = booked(plain, "2-" + "ab" * 20)
    assert total(states) == 12
    assert states["item::beets"] == STATES["item::beets"]
    picture = items.item_of("a", states["item::apples"]).picture
    assert picture
    assert picture.digest == APPLE["digest"], "its pictures are not edits"


def test_a_device_without_items_can_begin_with_the_original_s() -> None:
    plain = {
        "items": [{"key": "Apples", "value": 12, "image": APPLE}, {"key": "Beets", "value": 1}]
    }
    founded = mirror.founded(plain, SAMPLE, SEED)
    assert list(founded) == ["item::apples"]
    assert counters.total(founded["item::apples"].quantity) == 10
    assert founded["item::apples"] == STATES["item::apples"]
    assert mirror.founded(original(), SAMPLE, SEED) == {}


def test_of_two_lists_in_conflict_an_edited_one_stands() -> None:
    edited, name = original(value=12), "2-" + "ab" * 20
    newer = mirror.mirror(
        STATES | {"item::beets": items.count(STATES["item::beets"], 1, Stamp("1" * 16, "van"))},
        BLANK,
        AUTHOR,
        "",
    )
    made = f"2-ff{10**18:016x}{AUTHOR}"
    assert mirror.choose(edited, name, newer, made, SAMPLE)
    assert not mirror.choose(newer, made, edited, name, SAMPLE)
    assert mirror.choose(newer, made, original(), made, SAMPLE)
    assert not mirror.choose(original(), made, newer, made, SAMPLE)


@given(
    st.fixed_dictionaries(
        {}, optional={"items": JSON | st.lists(JSON | st.just({"key": "Apples", "value": 7}))}
    ),
    st.sampled_from(["lines", "id", "at", "by"]),
    JSON,
)
def test_no_list_however_damaged_makes_reading_fail(body: Any, key: str, damage: Any) -> None:
    for edition in (original()["edition"] | {key: damage}, damage):
        mirror.edits(body | {"edition": edition}, "2-ab", SAMPLE)
        mirror.edits(original() | {"edition": edition}, "no name", SAMPLE)
    mirror.founded(body, SAMPLE, SEED)
    mirror.is_same_list(body, original())


@pytest.mark.parametrize("version", [3, 4])
@given(seed=st.integers(0, 2**32))
def test_two_that_mirror_and_one_absolute_writer_arrive_at_exact_sums(
    version: int, seed: int
) -> None:
    play(seed, version, steps=60)


def play(seed: int, version: int, steps: int) -> None:
    world = Originals(seed, "xy", version)
    for _ in range(steps):
        world.step()
    world.finish()
    wanted = {id: world.wanted(id) for id in "ab"}
    for device in world.devices:
        assert {id: device.total(id) for id in "ab"} == wanted
        assert isinstance(device, Mirroring)
        assert device.held
        assert mirror.is_same_list(device.held.body, world.original.body)
    assert world.shown() == wanted


@pytest.mark.slow  # 50 longer runs of the simulation.
@pytest.mark.parametrize("version", [3, 4])
def test_many_longer_runs_with_an_absolute_writer_are_exact_too(version: int) -> None:
    chance = random.Random(6)
    for _ in range(25):
        play(chance.randrange(2**32), version, steps=400)
