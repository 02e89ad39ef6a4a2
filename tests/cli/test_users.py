"""user: the file of users that a listener lets in."""

from __future__ import annotations

import json
import stat

import pytest

from settee import HashedUsers


def test_users_are_added_listed_and_removed(run, tmp_path):
    ran = run("user", "add", "users.json", "bob", "--password-file", "-", stdin="secret\n")
    assert (ran.code, ran.out) == (0, "")
    assert "Added bob" in ran.err
    assert run("user", "add", "users.json", "ann", "--password-file", "-", stdin="x\n").code == 0
    assert run("user", "list", "users.json").out == "ann\nbob\n"
    assert json.loads(run("user", "list", "users.json", "--json").out) == ["ann", "bob"]
    assert HashedUsers.load(tmp_path / "users.json").check("bob", "secret")
    assert stat.S_IMODE((tmp_path / "users.json").stat().st_mode) == 0o600
    assert run("user", "remove", "users.json", "bob") == (0, "", "")
    assert run("user", "list", "users.json").out == "ann\n"


def test_adding_again_gives_a_new_password(run, tmp_path, monkeypatch):
    monkeypatch.setenv("SETTEE_PASSWORD", "one")
    run("user", "add", "users.json", "bob")
    monkeypatch.setenv("SETTEE_PASSWORD", "two")
    assert "new password" in run("user", "add", "users.json", "bob").err
    users = HashedUsers.load(tmp_path / "users.json")
    assert users.check("bob", "two")
    assert not users.check("bob", "one")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["user", "list", "gone.json"], 3),
        (["user", "remove", "gone.json", "bob"], 3),
        (["user", "add", "users.json", "bob"], 2),
        (["user", "add", "users.json", "b:b", "--password-file", "-"], 2),
        (["user", "add", "users.json", "bob", "--password-file", "gone"], 3),
        (["user", "list", "bad.json"], 1),
        (["user", "remove", "bad.json", "bob"], 1),
        (["user", "add", "bad.json", "bob", "--password-file", "-"], 1),
        (["user"], 2),
        (["user", "nonsense"], 2),
    ],
)
def test_what_can_t_be_is_a_sentence(run, tmp_path, command, code):
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "bad.json").chmod(0o600)
    ran = run(*command, stdin="secret\n")
    assert ran.code == code
    assert "Traceback" not in ran.err
    assert not (tmp_path / "users.json").exists()


def test_removing_who_is_not_there_is_exit_code_3(run):
    run("user", "add", "users.json", "bob", "--password-file", "-", stdin="x\n")
    assert run("user", "remove", "users.json", "ann").code == 3
