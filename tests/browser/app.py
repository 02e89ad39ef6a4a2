"""A device of the tests: the real program in a process of its own, and a page that shows it."""

from __future__ import annotations

import os
import re
import secrets
import selectors
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

USER = "bob"
PASSWORD = "a long secret"
START_S = 40.0
SOON_MS = 15_000
"""Bound for what takes a moment; a machine that is busy takes longer."""

expect.set_options(timeout=SOON_MS)


def unique(name: str) -> str:
    """A name that no other run on this machine has: devices find each other by name."""
    return f"{name} {secrets.token_hex(2)}"


class App:
    """One device. A context manager that ends the process."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.name = name
        self.address = ""
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> App:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the program and read the address that it prints."""
        port = re.search(r":(\d+)/", self.address)
        self.process = subprocess.Popen(
            [
                sys.executable,
                *("-m", "settee_inventory", "--loopback"),
                *("--port", port[1] if port else "0", "--directory", str(self.directory)),
            ],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self.address = printed(self.process)

    def stop(self) -> None:
        """End the program as Ctrl+C does."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    @property
    def origin(self) -> str:
        return self.address.partition("/?")[0]


def environment() -> dict[str, str]:
    """What a program is started with: NiceGUI looks whether it is under test, and it is not."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}


def printed(process: subprocess.Popen[str]) -> str:
    """Return the first address that a program prints."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        deadline = time.monotonic() + START_S
        while selector.select(max(0.0, deadline - time.monotonic())):
            line = process.stdout.readline()
            assert line, f"it ended with code {process.wait()} and printed no address"
            found = re.search(r"http://\S+", line)
            if found:
                return found[0]
    raise AssertionError(f"no address within {START_S:.0f} s")


class Screen:
    """The page of a device, in a browser of its own."""

    def __init__(self, browser: Browser, app: App, **options: Any) -> None:
        self.app = app
        self.errors: list[str] = []
        self.context: BrowserContext = browser.new_context(
            **{"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", **options}
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(SOON_MS)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(app.address)
        expect(self.page.locator("h1").first).to_be_visible()

    def close(self) -> None:
        self.context.close()

    # --- what people do ---------------------------------------------------------------------------

    def first_run(self, start: str = "The sample list") -> None:
        """Name the device, make the user, begin with `start`."""
        page = self.page
        page.get_by_label("Name of this device").fill(self.app.name)
        page.get_by_text(start, exact=True).click()
        self.enter(USER, PASSWORD)
        first = "Devices nearby" if "another device" in start else "In season"
        expect(page.get_by_role("heading", name=first)).to_be_visible()

    def log_in(self, user: str = USER, password: str = PASSWORD) -> None:
        self.enter(user, password)
        expect(self.page.get_by_role("heading", name="In season")).to_be_visible()

    def enter(self, user: str, password: str) -> None:
        self.page.get_by_label("User", exact=True).fill(user)
        self.page.get_by_label("Password", exact=True).fill(password)
        self.page.get_by_role("button", name=re.compile("^Log in")).click()

    def tab(self, name: str) -> None:
        self.page.get_by_role("link", name=name).locator("visible=true").first.click()
        expect(self.page.locator("h1").first).to_be_visible()

    def listen(self) -> None:
        """Start the listener, on another port if the usual one is taken."""
        self.tab("Listener")
        self.page.get_by_role("button", name="Start", exact=True).click()
        stop = self.page.get_by_role("button", name="Stop", exact=True)
        other = self.page.get_by_role("button", name="Use another port")
        expect(stop.or_(other)).to_be_visible()
        if other.is_visible():
            other.click()
        expect(stop).to_be_visible()

    def peer(self, app: App) -> Locator:
        name = self.page.locator(".strong", has_text=re.compile(f"^{re.escape(app.name)}$"))
        return self.page.locator(".peer").filter(has=name)

    def trust(self, app: App) -> list[str]:
        """Compare the words of a device that was found; return them."""
        self.tab("Browser")
        self.peer(app).get_by_role("button", name="Check").click()
        dialog = self.page.get_by_role("dialog")
        expect(dialog.locator(".words li")).to_have_count(6)
        words = words_of(dialog)
        dialog.get_by_role("button", name="Same words, trust it").click()
        return words

    def expect_state(self, app: App, state: str) -> None:
        expect(self.peer(app).locator(".chip")).to_have_text(re.compile(state))

    def item(self, name: str) -> Locator:
        return self.page.locator(".item").filter(
            has=self.page.locator(".name", has_text=re.compile(f"^{re.escape(name)}$"))
        )

    def quantity(self, name: str) -> Locator:
        return self.item(name).locator(".number")

    def step(self, name: str, by: int) -> None:
        """Press plus or minus as often as it takes."""
        label = f"One more {name}" if by > 0 else f"One less {name}"
        for _ in range(abs(by)):
            self.page.get_by_role("button", name=label, exact=True).click()


def words_of(place: Page | Locator) -> list[str]:
    """Return the six words that are shown, without their numbers."""
    return [text.lstrip("0123456789 \n") for text in place.locator(".words li").all_inner_texts()]
