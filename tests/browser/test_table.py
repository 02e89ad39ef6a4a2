"""What ``make demo`` opens."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, FrameLocator, expect

from tests.browser.app import SOON_MS

pytestmark = pytest.mark.browser


def phone(frame: FrameLocator, name: str, label: str) -> None:
    frame.get_by_role("button", name=f"{label} {name}", exact=True).click()


def test_three_devices_sync_are_cut_and_merge(browser: Browser, table: str) -> None:
    walk(browser, table)


def test_on_a_phone_one_phone_is_in_sight_and_scrolling_sideways_brings_the_next(
    browser: Browser, table: str
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.goto(table)
    frames = page.locator(".phones iframe")
    expect(frames).to_have_count(3, timeout=2 * SOON_MS)
    kitchen, shop, van = (
        page.get_by_role("button", name=f"Show {n}") for n in ("Kitchen", "Shop", "Van")
    )
    expect(kitchen).to_have_attribute("aria-pressed", "true")
    # What a swipe does too: the row of phones scrolls sideways and snaps to one of them.
    phones = page.get_by_role("group", name="Phones")
    phones.focus()
    page.keyboard.press("ArrowRight")
    expect(shop).to_have_attribute("aria-pressed", "true")
    expect(frames.nth(1)).to_be_in_viewport(ratio=0.3)
    van.click()
    expect(frames.nth(2)).to_be_in_viewport(ratio=0.3)
    expect(frames.nth(1)).not_to_be_in_viewport()
    wide, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    context.close()
    assert wide <= inner


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
        re.compile(r"^\d+ ms from Van to Kitchen and Shop$")
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
