"""What every test runs under: repeatable chance, and nothing of the user's own in reach.

Also what keeps docs/features.md true: the marks of all tests are gathered here, and a whole run
fails in which every test of a feature was skipped.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tools import features

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


# --- the proofs of features -----------------------------------------------------------------------

PROOFS: pytest.StashKey[features.Proofs] = pytest.StashKey()
"""The marks of all tests; there if all were collected."""

SECURITY: pytest.StashKey[features.Proofs] = pytest.StashKey()
"""The same of attacks."""

REGRESSIONS: pytest.StashKey[features.Proofs] = pytest.StashKey()
"""The same of mistakes that others made."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Gather the marks before `-m` and `-k` take tests out."""
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        config.stash[PROOFS] = features.proofs_of(items)
        config.stash[SECURITY] = features.proofs_of(items, kind="sec")
        config.stash[REGRESSIONS] = features.proofs_of(items, kind="regression")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Turn a green run red in which a feature had tests and all of them were skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus or reporter is None or PROOFS not in session.config.stash:
        return
    skipped = {report.nodeid for report in reporter.stats.get("skipped", ())}
    if idle := features.never_run(session.items, skipped):
        reporter.write_line(f"\nno test ran that proves: {', '.join(idle)}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


# --- the matrix -----------------------------------------------------------------------------------

MATRIX_CELLS = 139
"""12 of what a listener speaks, 64 of whom a dialler trusts, 63 of whom a listener lets in."""


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many cells of the TLS and authentication matrix are as they are tabled."""
    stats = terminalreporter.stats
    passed = sum("matrix" in report.keywords for report in stats.get("passed", ()))
    failed = sum("matrix" in report.keywords for report in stats.get("failed", ()))
    if passed or failed:
        terminalreporter.write_line(
            f"TLS and authentication matrix: {passed} of {MATRIX_CELLS} cells as tabled, "
            f"{failed} not"
        )
