"""What people enter, checked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settee_inventory.book import InputError, entered


def test_spaces_around_and_within_a_name_are_tidied() -> None:
    assert entered.name("  Red \n apples ") == "Red apples"
    assert entered.name("تفاح 🍎") == "تفاح 🍎"


@pytest.mark.parametrize("name", ["", "   ", None, 5, "a" * 101, "a\x00b", "\ud800"])
def test_an_impossible_name_is_refused_with_a_sentence(name: object) -> None:
    with pytest.raises(InputError, match=r"^[A-Z].*\.$"):
        entered.name(name)


@pytest.mark.parametrize("number", [-1, 1.5, True, None, "5", 10**9 + 1])
def test_an_impossible_number_is_refused_with_a_sentence(number: object) -> None:
    with pytest.raises(InputError, match=r"whole number"):
        entered.amount(number)


@pytest.mark.parametrize("number", [1.5, True, None, "5", 10**9 + 1, -(10**9) - 1])
def test_an_impossible_step_is_refused_with_a_sentence(number: object) -> None:
    assert entered.step(-5) == -5
    with pytest.raises(InputError, match=r"whole number"):
        entered.step(number)


@given(st.text(min_size=1), st.text(min_size=1))
def test_each_user_has_a_directory_of_his_own(one: str, other: str) -> None:
    names = [entered.directory_of(user).lower() for user in (one, other)]
    assert (names[0] == names[1]) == (one == other)
    assert all(len(name) < 120 and name.isascii() for name in names)


@pytest.mark.parametrize(
    "user", ["..", "../bob", "/etc", "con", "a/b", "a\\b", "Bob", "a.b", "x" * 300]
)
def test_no_user_gets_out_of_the_directory(user: str) -> None:
    name = entered.directory_of(user)
    assert name.startswith("user-")
    assert not set(name) & set("./\\:")
    with pytest.raises(InputError):
        entered.directory_of("")
