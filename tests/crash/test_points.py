"""Deaths at named points. The table is true: each function is there, and each point is reached."""

from __future__ import annotations

import pytest

from tests.crash import points


@pytest.mark.parametrize("name", points.POINTS)
def test_a_point_names_a_function_that_is_there(name: str) -> None:
    point = points.POINTS[name]
    assert callable(points.found(point.target)[2])
    assert point.when in ("before", "after")


@pytest.mark.slow
@pytest.mark.feature("DB-03")
@pytest.mark.parametrize(
    "name",
    ["after a blob is named", "between commit and answer", "between commit and acknowledgement"],
)
def test_who_dies_at_a_point_loses_nothing(name: str) -> None:
    """Slow: three processes each. ``python -m tests.crash points`` has all points."""
    result = points.run(name)
    assert result["found"] == []
    assert result["deaths"] == 1


@pytest.mark.slow
def test_a_point_that_is_never_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow: it lets a whole script run."""
    unused = points.Point("settee.store.trust:__name__", "before")
    monkeypatch.setitem(points.POINTS, "nowhere", unused)
    monkeypatch.setattr(points, "plant", lambda point, k: None)
    assert any("not reached" in line for line in points.run("nowhere")["found"])
