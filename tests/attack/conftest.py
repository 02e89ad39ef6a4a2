"""Counts the cells of the TLS and authentication matrix that were run."""

from __future__ import annotations

from typing import Any

import pytest

CELLS = 139
"""12 of what a listener speaks, 64 of whom a dialler trusts, 63 of whom a listener lets in."""


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many cells are as the table has them."""
    stats = terminalreporter.stats
    passed = sum("matrix" in report.keywords for report in stats.get("passed", ()))
    failed = sum("matrix" in report.keywords for report in stats.get("failed", ()))
    if passed or failed:
        terminalreporter.write_line(
            f"TLS and authentication matrix: {passed} of {CELLS} cells as tabled, {failed} not"
        )
