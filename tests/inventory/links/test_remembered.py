"""The devices that are known here."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from settee_inventory.links.remembered import Acquaintance, Remembered, write_whole


def test_a_device_is_still_known_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "devices.json"
    Remembered(file).keep(Acquaintance("k", "Van", fingerprint="ab", seen_at_ms=5))
    again = Remembered(file)
    assert again.get("k") == Acquaintance("k", "Van", fingerprint="ab", seen_at_ms=5)
    again.forget("k")
    assert "k" not in Remembered(file)
    again.forget("k")


def test_who_is_kept_out_is_so_until_let_in_over_restarts(tmp_path: Path) -> None:
    file = tmp_path / "devices.json"
    Remembered(file).keep_out("ab12")
    again = Remembered(file)
    again.keep(Acquaintance("k", "Van"))
    assert Remembered(file).kept_out == {"ab12"}
    again.let_in("ab12")
    again.let_in("ab12")
    assert Remembered(file).kept_out == frozenset()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"devices": 3}', '{"devices": [{"name": 1}]}'])
def test_a_damaged_file_is_a_device_that_knows_nobody(tmp_path: Path, text: str) -> None:
    file = tmp_path / "devices.json"
    file.write_text(text)
    assert list(Remembered(file)) == []


def test_fields_of_a_newer_version_do_not_disturb(tmp_path: Path) -> None:
    file = tmp_path / "devices.json"
    file.write_text('{"devices": [{"key": "k", "name": "Van", "mood": "good"}]}')
    assert [each.name for each in Remembered(file)] == ["Van"]


@pytest.mark.skipif(os.name == "nt", reason="modes are of POSIX")
def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "devices.json"
    Remembered(file).keep(Acquaintance("k", "Van"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    write_whole(file, {"a": 1})
    with pytest.raises(TypeError):
        write_whole(file, {"a": object()})
    assert file.read_text() == '{\n  "a": 1\n}\n'
    assert [each.name for each in tmp_path.iterdir()] == ["x.json"]
