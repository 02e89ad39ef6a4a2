"""What every test runs under: repeatable chance, and nothing of the user's own in reach."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples in each run: a red test is red for everybody. `make night` looks further.
settings.register_profile(
    "steady",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("night", deadline=None, max_examples=2000, print_blob=True)
settings.load_profile(os.environ.get("SETTEE_HYPOTHESIS", "steady"))


@pytest.fixture(autouse=True, scope="session")
def no_home_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Identities made without a directory go to a place that is thrown away."""
    place = str(tmp_path_factory.mktemp("home"))
    changed = {"XDG_DATA_HOME": place, "LOCALAPPDATA": place, "HOME": place}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changed.items():
            patch.setenv(name, value)
        yield Path(place)
