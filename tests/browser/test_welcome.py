"""The first run: what the list starts with stays what was chosen, whoever shows up meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.app import PASSWORD, USER, App, Screen

pytestmark = pytest.mark.browser

SAMPLE = "The sample list"
JOIN = "The inventory of another device"
FOUND = """(names) => import("settee-inventory").then(({ patch }) =>
    patch({ nearby: names.map((name) => ({ name, icon: "help", colour: "grey" })) }))"""
"""What the device tells its page when others are found."""
TYPED = """(field, text) => import("settee-inventory").then(({ patch }) => {
    patch({ nearby: [] });
    field.value = text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
})"""
CLICKED = """(choice) => import("settee-inventory").then(({ patch }) => {
    patch({ nearby: [] });
    choice.click();
})"""
"""Both while nobody is near: this device may find another one of this machine at any moment."""


@pytest.fixture
def first(browser: Browser, device: App) -> Iterator[Screen]:
    """The first run of a device that has found nobody yet."""
    shown = Screen(browser, device)
    yield shown
    shown.close()
    assert shown.errors == []


def found(screen: Screen, *names: str) -> None:
    """Let the page know who is near, as the device would."""
    screen.page.evaluate(FOUND, names)
    expect(screen.page.get_by_text(f"Found nearby: {', '.join(names)}")).to_be_visible()


def test_until_somebody_chooses_a_device_that_is_found_is_joined(first: Screen) -> None:
    found(first, "Shop")
    expect(first.page.get_by_role("radio", name=JOIN)).to_be_checked()


def test_a_click_on_the_choice_that_is_shown_already_is_a_choice(first: Screen) -> None:
    first.page.get_by_text(SAMPLE, exact=True).evaluate(CLICKED)
    found(first, "Shop")
    expect(first.page.get_by_role("radio", name=SAMPLE)).to_be_checked()
    expect(first.page.get_by_role("button", name="Log in and start")).to_be_visible()


@pytest.mark.parametrize(("label", "text"), [("User", USER), ("Password", PASSWORD)])
def test_who_has_begun_to_type_keeps_the_choice_that_was_shown(
    first: Screen, label: str, text: str
) -> None:
    first.page.get_by_label(label, exact=True).evaluate(TYPED, text)
    found(first, "Shop")
    expect(first.page.get_by_role("radio", name=SAMPLE)).to_be_checked()
    first.page.get_by_text(JOIN, exact=True).click()
    expect(first.page.get_by_role("button", name="Log in and join")).to_be_visible()


def test_keys_choose_too(first: Screen) -> None:
    first.page.get_by_role("radio", name="An empty list").focus()
    first.page.keyboard.press("Space")
    found(first, "Shop")
    expect(first.page.get_by_role("radio", name="An empty list")).to_be_checked()
