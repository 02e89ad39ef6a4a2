"""Chromium, and three devices that know each other."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.app import App, Screen

if importlib.util.find_spec("playwright") is None:
    # `make test` collects everything, on machines that have no browser too.
    collect_ignore_glob = ["test_*.py"]


def chromium() -> str:
    """Return where Debian's Chromium lies, or whatever CHROMIUM names."""
    for name in (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name) if name else None
        if found:
            return found
    raise AssertionError("no Chromium here: apt-get install chromium, or set CHROMIUM")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield running
        running.close()


@pytest.fixture(scope="session")
def table() -> Iterator[str]:
    """The address of what ``make demo`` opens; it ends cleanly after all tests."""
    from tests.browser.app import environment, printed

    process = subprocess.Popen(
        [sys.executable, "-m", "settee_inventory.table", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        yield printed(process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()
    assert process.returncode == 0


@pytest.fixture
def device(tmp_path: Path) -> Iterator[App]:
    """One device before its first run."""
    from tests.browser.app import App, unique

    with App(tmp_path / "device", unique("Shop")) as app:
        yield app


@pytest.fixture
def screen(browser: Browser, device: App) -> Iterator[Screen]:
    """The page of `device`, logged in, with the sample list."""
    from tests.browser.app import Screen

    shown = Screen(browser, device)
    shown.first_run()
    yield shown
    shown.close()
    assert shown.errors == []
