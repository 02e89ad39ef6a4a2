"""The list of one device: search, sort, pictures by drop and paste."""

from __future__ import annotations

import base64
import io
import re

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.app import Screen

pytestmark = pytest.mark.browser

DROPPED = """([data, kind]) => {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], "picture.png", { type: "image/png" }));
    const place = document.querySelector("dialog .picture-row");
    const event = kind === "drop"
        ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true })
        : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true });
    place.dispatchEvent(event);
}"""


def png(colour: str) -> str:
    out = io.BytesIO()
    Image.new("RGBA", (30, 30), colour).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def names(page: Page) -> list[str]:
    return page.locator(".item .name").all_inner_texts()


def test_search_sort_and_what_is_low(screen: Screen) -> None:
    page = screen.page
    expect(page.locator(".page-head")).to_contain_text("42 items")
    screen.item("Brussels Sprouts").locator(".open").click()
    page.get_by_label("Warn me under").fill("5")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Close", exact=True).click()
    # A device that is alone says what waits; the number is low all the same.
    expect(page.locator(".page-head")).to_contain_text("42 items, 1 change waits for a network")
    expect(screen.item("Brussels Sprouts").locator(".number")).to_have_class(re.compile("low"))
    page.get_by_role("button", name="Low first").click()
    expect(page.locator(".item .name").first).to_have_text("Brussels Sprouts")
    expect(screen.item("Brussels Sprouts").locator(".under")).to_be_visible()
    screen.step("Broccoli", 1)
    page.get_by_role("button", name="Latest").click()
    expect(page.locator(".item .name").first).to_have_text("Broccoli")
    page.get_by_label("Search items").fill("ber")
    assert names(page) == ["Blueberries", "Cucumbers", "Raspberries", "Strawberries"]
    page.get_by_label("Search items").fill("lek")
    expect(page.get_by_text("No item like")).to_be_visible()
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("dialog").get_by_label("Name")).to_have_value("lek")


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(screen: Screen, way: str) -> None:
    page = screen.page
    screen.item("Apples").locator(".open").click()
    image = page.get_by_role("dialog").locator(".tile img")
    before = image.get_attribute("src")
    page.evaluate(DROPPED, [png("red"), way])
    expect(image).not_to_have_attribute("src", str(before))
    expect(page.get_by_text("or drop or paste a picture here")).to_be_visible()
    page.evaluate(DROPPED, [base64.b64encode(b"no picture").decode(), way])
    expect(page.get_by_role("alert")).to_contain_text("not a picture")


def test_what_was_removed_comes_back_by_the_toast(screen: Screen) -> None:
    page = screen.page
    screen.item("Beets").locator(".open").click()
    page.get_by_role("button", name="Remove item").click()
    expect(screen.item("Beets")).to_have_count(0)
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(screen.item("Beets")).to_have_count(1)


def test_back_closes_the_sheet(screen: Screen) -> None:
    page = screen.page
    screen.item("Apples").locator(".open").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.url.endswith("/item/item%3A%3Aapples")
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_less_than_nothing_is_not_to_be_had(screen: Screen) -> None:
    screen.quantity("Apples").click()
    screen.page.keyboard.type("1")
    screen.page.keyboard.press("Enter")
    screen.step("Apples", -1)
    expect(screen.quantity("Apples")).to_have_text("0")
    less = screen.page.get_by_role("button", name="One less Apples", exact=True)
    expect(less).to_be_disabled()


def test_a_button_that_is_held_counts_on(screen: Screen) -> None:
    more = screen.page.get_by_role("button", name="One more Apples", exact=True)
    more.hover()
    screen.page.mouse.down()
    expect(screen.quantity("Apples")).to_have_text(re.compile(r"^(1[3-9]|[2-9]\d|\d{3,})$"))
    screen.page.mouse.up()
