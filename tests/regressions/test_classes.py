"""Each class of mistakes has a test, and each mark names a class that there is."""

from __future__ import annotations

import pytest

from tests.conftest import REGRESSIONS
from tests.regressions.classes import CLASSES


def problems(marked: dict[str, object], classes: dict[str, str]) -> list[str]:
    """Return what is in one of the two and not in the other."""
    return [
        *(f"no test for {name!r}" for name in classes if name not in marked),
        *(f"{name!r} is no class" for name in marked if name not in classes),
    ]


def test_each_class_has_a_test_and_each_mark_a_class(pytestconfig: pytest.Config) -> None:
    marked = pytestconfig.stash.get(REGRESSIONS, None)
    if marked is None:
        pytest.skip("only some of the tests were collected")
    assert problems(marked, CLASSES) == []
    assert len(CLASSES) == 24


def test_what_is_missing_on_either_side_is_a_problem() -> None:
    assert problems({"a": 1}, {"a": ""}) == []
    assert problems({}, {"a": ""}) == ["no test for 'a'"]
    assert problems({"a": 1, "b": 1}, {"a": ""}) == ["'b' is no class"]
