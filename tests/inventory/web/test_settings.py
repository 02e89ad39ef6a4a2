"""What is set for a device."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from settee_inventory.web.settings import DeviceSettings, load, save, secret


def test_settings_come_back(tmp_path: Path) -> None:
    settings = DeviceSettings(name="Van", icon="local_shipping", colour="plum", ready=True)
    settings.options.mode, settings.options.port = "none", 1234
    save(tmp_path, settings)
    assert load(tmp_path) == settings


def test_a_new_device_has_a_name(tmp_path: Path) -> None:
    assert load(tmp_path).name
    assert not load(tmp_path).ready


@pytest.mark.parametrize(
    "value",
    [
        "",
        "[]",
        "{",
        json.dumps({"icon": "<script>", "colour": 3, "options": {"mode": "rot13", "port": "x"}}),
    ],
)
def test_damaged_settings_are_defaults(tmp_path: Path, value: str) -> None:
    (tmp_path / "device.json").write_text(value)
    settings = load(tmp_path)
    assert (settings.icon, settings.colour) == ("storefront", "blue")
    assert (settings.options.mode, settings.options.port) == ("generated", 4984)


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    first = secret(tmp_path, "token")
    assert len(first) >= 40
    assert secret(tmp_path, "token") == first != secret(tmp_path, "cookie")


@pytest.mark.skipif(os.name == "nt", reason="modes are of POSIX")
def test_only_the_owner_may_read_a_secret(tmp_path: Path) -> None:
    secret(tmp_path, "token")
    assert stat.S_IMODE((tmp_path / "token.json").stat().st_mode) == 0o600
