"""Logins for single devices: kept over restarts, and kept to oneself."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from settee_inventory.links.link import Login
from settee_inventory.links.logins import Logins


def test_a_login_is_there_after_a_restart_until_the_device_is_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "logins.json"
    Logins(file).keep("k", Login("ann", "a secret"))
    again = Logins(file)
    assert again.get("k") == Login("ann", "a secret")
    assert again.get("other") is None
    again.forget("k")
    again.forget("k")
    assert Logins(file).get("k") is None
    assert "secret" not in file.read_text("utf-8")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    file = tmp_path / "logins.json"
    Logins(file).keep("k", Login("ann", "a secret"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", '{"logins": 3}', '{"logins": {"k": {"user": 1}}}'])
def test_a_damaged_file_holds_no_login(tmp_path: Path, text: str) -> None:
    file = tmp_path / "logins.json"
    file.write_text(text)
    assert Logins(file).get("k") is None
