"""A disk on which the n-th operation fails; every so many n. Bugs planted are found.

Slow: each n is a run with a database of its own. ``python -m tests.crash faults`` has all.
"""

from __future__ import annotations

import pytest

from settee.errors import StoreError
from settee.store import blob_files
from tests.crash import faults

pytestmark = pytest.mark.slow


@pytest.mark.feature("DB-03")
@pytest.mark.parametrize("scenario", faults.SCENARIOS)
def test_a_failure_of_the_disk_is_told_and_loses_nothing(scenario: str) -> None:
    for mode in faults.MODES:
        result = faults.run(f"{scenario}/{mode}", 13)
        assert result["found"] == []
        assert result["runs"] > 1


def test_an_error_that_is_not_ours_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_files, "translated_os", lambda exc, path: exc)
    assert any("OSError" in line for line in faults.run("blobs/broken", 3)["found"])


def test_an_error_of_another_kind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        blob_files, "translated_os", lambda exc, path: StoreError("something is wrong")
    )
    assert any("no space is told as" in line for line in faults.run("blobs/full", 1)["found"])
