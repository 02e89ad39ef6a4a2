"""What ``make demo`` opens."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time

import pytest
from playwright.sync_api import Browser, FrameLocator, expect

from tests.browser.app import environment, printed

pytestmark = pytest.mark.browser


def phone(frame: FrameLocator, name: str, label: str) -> None:
    frame.get_by_role("button", name=f"{label} {name}", exact=True).click()


def test_three_devices_sync_are_cut_and_merge(browser: Browser) -> None:
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "settee_inventory.table", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        address = printed(process)
        print(f"\nmake demo, from the command to the address: {time.monotonic() - began:.1f} s")
        walk(browser, address)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()
    assert process.returncode == 0


def walk(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    kitchen, shop, van = (
        page.frame_locator(f"iframe[title={n}]") for n in ("Kitchen", "Shop", "Van")
    )
    for frame in (kitchen, shop, van):
        expect(frame.get_by_role("heading", name="In season")).to_be_visible(timeout=30_000)
    chip = page.locator(".over .chip")
    expect(chip).to_contain_text("All three connected", timeout=30_000)
    # The table shows what was measured, not a picture of it.
    phone(van, "Arugula", "One less")
    expect(page.locator("[data-journey]")).to_have_text(
        re.compile(r"^\d+ ms from Van to Kitchen and Shop$"), timeout=15_000
    )
    print(f"the last journey: {page.locator('[data-journey]').inner_text()}")
    network = page.get_by_role("switch", name="Network of Van")
    network.uncheck()
    expect(page.locator("[data-device=Van] .chip")).to_contain_text("No network")
    expect(page.locator(".try")).to_contain_text("Step 2 of 3")
    phone(van, "Apples", "One less")
    phone(van, "Apples", "One less")
    for _ in range(3):
        phone(shop, "Apples", "One more")
    expect(page.locator(".try")).to_contain_text("Step 3 of 3")
    expect(page.locator(".over")).to_have_class(re.compile("l-cut"))
    network.check()
    expect(page.locator(".try")).to_contain_text(
        "Shop +3 and Van \N{MINUS SIGN}2 became +1 everywhere: Apples.", timeout=30_000
    )
    for frame in (kitchen, shop, van):
        item = frame.locator(".item").filter(has_text="Apples")
        expect(item.locator(".number")).to_have_text("11")
    context.close()
    assert errors == []
