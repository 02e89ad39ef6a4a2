"""A full disk, for real: a tmpfs of 8 MiB (a log of 2 MiB and more is usual).

Each operation of the public API is either done or raises DiskFullError; what was there is there;
after space is back work goes on in the same open database.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.disk import namespace
from tests.disk.operations import OPERATIONS

TMPFS = 'mount -t tmpfs -o size=8m settee "$PLACE"'
NEEDS_SPACE = {
    "save", "add", "save over", "save many", "save with blob", "save blob", "transaction", "copy",
    "make another",
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    place = tmp_path_factory.mktemp("full")
    if namespace.unshare():
        return namespace.run("full", "tmpfs", mount=TMPFS, place=place)
    print("no mount namespace may be made here: RLIMIT_FSIZE stands in for a full tmpfs")
    return namespace.run("full", "limit", mount="", place=place)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_done_or_says_that_the_disk_is_full(
    found: dict[str, Any], name: str
) -> None:
    """The first of these starts a process that runs the whole scenario."""
    assert found["full"][name] in (("full",) if name in NEEDS_SPACE else ("full", "done"))
    assert found["after"][name] == "done"


@pytest.mark.slow
def test_a_listener_on_a_full_disk_says_503_and_recovers(found: dict[str, Any]) -> None:
    """Runs in the same process."""
    push = found["push"]
    # Without a namespace the active peer, in the same process, can't write either.
    alone = [] if namespace.unshare() else [["DiskFullError", 0]]
    assert push["told"] in [["errors", [503]], *alone]
    assert push["stored"] < 12
    assert push["after"] == 12 - push["stored"]
    assert push["errors"] == 0


@pytest.mark.slow
def test_nothing_is_damaged_and_nothing_is_left_lying_about(found: dict[str, Any]) -> None:
    """Runs in the same process."""
    assert found["problems"] == []
    assert found["left"] == ["full.settee"]
