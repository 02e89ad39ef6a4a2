"""The password table: what gets in, what doesn't, and how long a refusal takes."""

from __future__ import annotations

import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settee.errors import ConfigError, NotFoundError, StoreError
from settee.identity import users as users_module
from settee.identity.users import HashedUsers
from settee.limits import PASSWORD_BYTES_MAX, USER_NAME_BYTES_MAX


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that take no time; what they cost in earnest has tests of its own."""
    monkeypatch.setattr(users_module, "_COST", users_module._Cost(1, 1, 1))


pytestmark = pytest.mark.usefixtures("cheap")


def test_only_the_right_password_of_a_known_user_gets_in() -> None:
    users = HashedUsers()
    users.add("bob", "password")
    users.add("eve", "other")
    assert users.check("bob", "password")
    assert not users.check("bob", "Password")
    assert not users.check("bob", "password ")
    assert not users.check("bob", "other")
    assert not users.check("bob", "")
    assert not users.check("Bob", "password")
    assert not users.check("", "password")
    assert not users.check("mallory", "password")


def test_an_empty_table_lets_nobody_in() -> None:
    assert not HashedUsers().check("bob", "password")
    assert not HashedUsers().check("", "")
    assert not HashedUsers().check("", "x")


def test_a_new_password_replaces_the_old_one() -> None:
    users = HashedUsers()
    users.add("bob", "old")
    users.add("bob", "new")
    assert users.check("bob", "new")
    assert not users.check("bob", "old")
    assert list(users) == ["bob"]


def test_a_removed_user_is_out() -> None:
    users = HashedUsers()
    users.add("bob", "password")
    assert users.remove("bob")
    assert not users.remove("bob")
    assert not users.check("bob", "password")
    assert len(users) == 0
    assert "bob" not in users


def test_equal_passwords_have_different_hashes(tmp_path: Path) -> None:
    users = HashedUsers()
    users.add("bob", "same")
    users.add("eve", "same")
    users.save(tmp_path / "users.json")
    table = json.loads((tmp_path / "users.json").read_text())["users"]
    assert len(set(table.values())) == 2


def test_composed_and_decomposed_letters_are_the_same_word() -> None:
    users = HashedUsers()
    users.add("Zo\u00eb", "caf\u00e9")
    assert users.check("Zoe\u0308", "cafe\u0301")
    assert "Zoe\u0308" in users
    assert users.remove("Zoe\u0308")


def test_colons_and_any_script_are_fine_in_a_password() -> None:
    users = HashedUsers()
    users.add("bob", "a:b: пароль 鍵 🔑")
    assert users.check("bob", "a:b: пароль 鍵 🔑")


@pytest.mark.parametrize(
    ("user", "password", "field", "problem"),
    [
        ("", "x", "user", "is empty"),
        ("a:b", "x", "user", "colon"),
        ("a\nb", "x", "user", "control"),
        ("a\x85b", "x", "user", "control"),
        ("\ud800", "x", "user", "surrogate"),
        ("u" * (USER_NAME_BYTES_MAX + 1), "x", "user", "longer than 255 bytes"),
        ("é" * 128, "x", "user", "longer than 255 bytes"),
        ("bob", "", "password", "is empty"),
        ("bob", "secret\x00", "password", "control"),
        ("bob", "secret\ud800", "password", "surrogate"),
        ("bob", "p" * (PASSWORD_BYTES_MAX + 1), "password", "longer than 1024 bytes"),
        (None, "x", "user", "must be a str, not NoneType"),
        ("bob", b"secret", "password", "must be a str, not bytes"),
    ],
)
def test_what_basic_cannot_carry_is_refused(
    user: Any, password: Any, field: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        HashedUsers().add(user, password)
    assert caught.value.field == field
    assert "secret" not in str(caught.value)


def test_names_and_passwords_may_be_as_long_as_the_limits() -> None:
    users = HashedUsers()
    user, password = "u" * USER_NAME_BYTES_MAX, "é" * (PASSWORD_BYTES_MAX // 2)
    users.add(user, password)
    assert users.check(user, password)
    assert not users.check(user, password + "x")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_a_check_never_raises_for_what_a_peer_sends(user: str, password: str) -> None:
    users = HashedUsers()
    users.add("bob", "password")
    assert users.check(user, password) is (user == "bob" and password == "password")


def test_a_megabyte_or_a_lone_surrogate_is_just_wrong() -> None:
    users = HashedUsers()
    users.add("bob", "password")
    assert not users.check("bob", "x" * 2**20)
    assert not users.check("x" * 2**20, "password")
    assert not users.check("bob", "\ud800")
    assert not users.check("\ud800", "password")


@pytest.mark.parametrize("password", ["", "x" * (PASSWORD_BYTES_MAX + 1), "\ud800"])
def test_what_is_hashed_in_place_of_an_impossible_password_opens_nothing(password: str) -> None:
    users = HashedUsers()
    users.add("bob", "x")
    assert users.check("bob", "x")
    assert not users.check("bob", password)


# --- as a file ------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="mode bits are POSIX")
def test_a_saved_table_is_ours_alone_and_loads_again(tmp_path: Path) -> None:
    users = HashedUsers()
    users.add("bob", "password")
    users.add("Zoë", "other")
    path = tmp_path / "users.json"
    users.save(path)
    users.save(str(path))

    assert path.stat().st_mode & 0o777 == 0o600
    assert "password" not in path.read_text()
    loaded = HashedUsers.load(path)
    assert list(loaded) == list(users) == ["Zoë", "bob"]
    assert loaded.check("bob", "password")
    assert loaded.check("Zoë", "other")
    assert not loaded.check("bob", "other")

    path.chmod(0o644)
    with pytest.raises(StoreError, match="mode 0644"):
        HashedUsers.load(path)


def test_the_text_of_a_hash_is_the_common_one(tmp_path: Path) -> None:
    # scrypt, N = 2, r = 8, p = 1; computed by hashlib alone.
    import base64
    import hashlib

    salt = bytes(range(16))
    digest = hashlib.scrypt(b"password", salt=salt, n=2, r=8, p=1, dklen=32)
    text = "$scrypt$ln=1,r=8,p=1${}${}".format(
        *(base64.b64encode(part).decode().rstrip("=") for part in (salt, digest))
    )
    path = tmp_path / "users.json"
    path.write_text(json.dumps({"settee-users": 1, "users": {"bob": text}}))
    path.chmod(0o600)
    users = HashedUsers.load(path)
    assert users.check("bob", "password")
    users.save(path)
    assert json.loads(path.read_text())["users"] == {"bob": text}


GOOD_HASH = "$scrypt$ln=1,r=8,p=1$" + "A" * 22 + "$" + "A" * 43


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "can't be read"),
        ("[]", 'no "settee-users": 1'),
        ("{}", 'no "settee-users": 1'),
        ('{"settee-users": 2, "users": {}}', 'no "settee-users": 1'),
        ('{"settee-users": 1}', 'no object "users"'),
        ('{"settee-users": 1, "users": []}', 'no object "users"'),
        ('{"settee-users": 1, "users": {"bob": 7}}', "'bob' is no scrypt hash"),
        ('{"settee-users": 1, "users": {"bob": "password"}}', "'bob' is no scrypt hash"),
        (
            json.dumps({"settee-users": 1, "users": {"bob": GOOD_HASH[:-1]}}),
            "'bob' is no scrypt hash",
        ),
        (
            json.dumps({"settee-users": 1, "users": {"bob": GOOD_HASH.replace("ln=1", "ln=18")}}),
            "cost out of bounds",
        ),
        (
            json.dumps({"settee-users": 1, "users": {"bob": GOOD_HASH.replace("r=8", "r=99")}}),
            "cost out of bounds",
        ),
        (
            json.dumps({"settee-users": 1, "users": {"bob": GOOD_HASH.replace("p=1", "p=0")}}),
            "cost out of bounds",
        ),
    ],
)
def test_a_damaged_table_is_told(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "users.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(StoreError, match=problem):
        HashedUsers.load(path)


def test_a_missing_table_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="user table"):
        HashedUsers.load(tmp_path / "none.json")


def test_a_table_shows_no_hash() -> None:
    users = HashedUsers()
    users.add("bob", "password")
    assert repr(users) == "<HashedUsers: 1 users>"


# --- the time that it takes -----------------------------------------------------------------------


@pytest.mark.sec("SEC-07")
def test_an_unknown_user_costs_as_much_as_the_dearest_known_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dear = GOOD_HASH.replace("ln=1,r=8,p=1", "ln=3,r=2,p=2")
    path = tmp_path / "users.json"
    path.write_text(json.dumps({"settee-users": 1, "users": {"a": GOOD_HASH, "b": dear}}))
    path.chmod(0o600)
    users = HashedUsers.load(path)
    costs: list[object] = []
    digest = users_module._digest

    def recorded(password: str, salt: bytes, cost: Any) -> bytes:
        costs.append(cost)
        return digest(password, salt, cost)

    monkeypatch.setattr(users_module, "_digest", recorded)
    users.check("b", "wrong")
    users.check("nobody", "wrong")
    users.check("nobody", "x" * 2**20)
    assert costs == [users_module._Cost(3, 2, 2)] * 3


@pytest.mark.sec("SEC-07")
@pytest.mark.slow
def test_refusals_of_known_and_unknown_users_take_the_same_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slow: 200 checks at a tenth of the real cost."""
    monkeypatch.setattr(users_module, "_COST", users_module._Cost(11, 8, 1))
    users = HashedUsers()
    users.add("bob", "password")
    times: dict[str, list[float]] = {"bob": [], "mallory": []}
    for _ in range(100):
        for user, taken in times.items():
            before = time.process_time()
            users.check(user, "wrong")
            taken.append(time.process_time() - before)
    known, unknown = (statistics.median(taken) for taken in times.values())
    assert known == pytest.approx(unknown, rel=0.1)


def test_the_real_cost_is_sixteen_mebibytes_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    cost = users_module._COST
    assert 128 * cost.r * 2**cost.ln == 16 * 2**20
    users = HashedUsers()
    users.add("bob", "password")
    assert users.check("bob", "password")
    assert not users.check("bob", "wrong")
