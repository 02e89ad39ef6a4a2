"""What the book hands out."""

from __future__ import annotations

import pytest

from settee_inventory.book import Device


def test_a_device_is_read_from_its_profile() -> None:
    body = {"name": "Van", "icon": "local_shipping", "colour": "amber"}
    assert Device.read(body) == Device("Van", "local_shipping", "amber")


@pytest.mark.parametrize("damage", [None, 5, "<b>", "a b", "x" * 50, "", "../x"])
def test_what_a_stranger_put_into_a_profile_is_left_out(damage: object) -> None:
    device = Device.read({"name": 5, "icon": damage, "colour": damage})
    assert device == Device("", "", "")
    assert Device.read({"name": "x" * 500}).name == "x" * 60
