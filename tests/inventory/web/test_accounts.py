"""Users and roles of a device."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from settee import HashedUsers, StoreError
from settee_inventory.web.accounts import EDIT, LOOK, Accounts


def test_a_user_is_known_after_a_restart_and_no_password_is_in_the_files(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    assert accounts.empty
    accounts.add("bob", "pass word", LOOK)
    again = Accounts(tmp_path)
    assert again.check("bob", "pass word")
    assert not again.check("bob", "other")
    assert again.roles() == [("bob", LOOK)]
    assert not any(b"pass word" in file.read_bytes() for file in tmp_path.iterdir())


def test_who_may_only_look_may_not_write(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    accounts.add("bob", "x")
    assert accounts.may_write("bob")
    accounts.set_role("bob", LOOK)
    assert not accounts.may_write("bob")
    accounts.set_role("bob", EDIT)
    assert accounts.may_write("bob")
    assert not accounts.may_write(None)


def test_users_added_by_the_command_line_are_seen_at_once(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    accounts.add("bob", "x")
    table = HashedUsers.load(tmp_path / "users.json")
    table.add("ann", "y")
    table.save(tmp_path / "users.json")
    os.utime(tmp_path / "users.json", ns=(1, 1))  # However coarse the file system's clock is.
    assert accounts.check("ann", "y")


def test_a_removed_user_is_gone_with_the_role(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    accounts.add("bob", "x", LOOK)
    accounts.remove("bob")
    accounts.remove("bob")
    assert accounts.empty
    accounts.add("bob", "x")
    assert accounts.may_write("bob")


def test_a_damaged_table_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "users.json").write_text("{")
    (tmp_path / "users.json").chmod(0o600)
    with pytest.raises(StoreError):
        Accounts(tmp_path).check("bob", "x")
