"""Each property has a test, each mark a property, and the number of examples is the profile's."""

from __future__ import annotations

import pytest

from tests.conftest import PROPERTY_NUMBERS
from tests.prop import PROPERTIES, examples


def test_each_property_has_a_test_and_each_mark_a_property(pytestconfig: pytest.Config) -> None:
    numbers = pytestconfig.stash.get(PROPERTY_NUMBERS, None)
    if numbers is None:
        pytest.skip("only some of the tests were collected")
    assert sorted(PROPERTIES) == sorted(numbers) == list(range(1, 13))


@pytest.mark.parametrize(
    ("profile", "most", "count"),
    [
        ("", None, 7),
        ("steady", None, 7),
        ("share", None, 100),
        ("night", None, 2000),
        ("night", 300, 300),
        ("", 300, 7),
    ],
)
def test_the_profile_says_how_many_examples(
    monkeypatch: pytest.MonkeyPatch, profile: str, most: int | None, count: int
) -> None:
    monkeypatch.setenv("SETTEE_HYPOTHESIS", profile)
    assert examples(7, most).max_examples == count
