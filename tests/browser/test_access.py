"""By keys alone, by axe, at 320 pixels, and with names that mean harm."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.app import SOON_MS, App, Screen, unique

pytestmark = pytest.mark.browser

PAGES = ("/", "/item/item::apples", "/browser", "/listener", "/activity", "/settings")
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
RULES = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }
}
HOSTILE = "<img src=x onerror=alert(1)>{{ 7 * 7 }}"
ARABIC = "\N{RIGHT-TO-LEFT OVERRIDE}تفاح \N{PEACH}"


def violations(page: Page) -> list[str]:
    """What axe finds, with where."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found]


@pytest.fixture(scope="module")
def listening(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    """A device that listens, with another one connected to it."""
    directory = tmp_path_factory.mktemp("access")
    with (
        App(directory / "shop", unique("Shop")) as shop,
        App(directory / "van", unique("Van")) as van,
        App(directory / "stall", unique("Stall")) as stall,
    ):
        screen, other, third = (Screen(browser, each) for each in (shop, van, stall))
        screen.first_run()
        screen.listen()
        other.first_run("The inventory of another device")
        other.trust(shop)
        other.expect_state(shop, "In sync")
        # One that is found, and whose words nobody has compared yet.
        third.first_run("An empty list")
        third.listen()
        screen.tab("Browser")
        expect(screen.peer(stall)).to_be_visible()
        screen.stranger = stall
        yield screen
        third.close()
        screen.close()
        other.close()


def opened(screen: Screen, browser: Browser, theme: str, size: str) -> Page:
    """The same device and session in another size and theme."""
    width, height = SIZES[size]
    context = browser.new_context(
        storage_state=screen.context.storage_state(),
        viewport={"width": width, "height": height},
        color_scheme=theme,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    return context.new_page()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(
    listening: Screen, browser: Browser, theme: str, size: str
) -> None:
    page = opened(listening, browser, theme, size)
    found = {}
    for path in PAGES:
        page.goto(listening.app.origin + path)
        expect(page.locator("h1").first).to_be_visible()
        page.evaluate("document.fonts.ready")
        found[path] = violations(page)
    for name, open_dialog in DIALOGS.items():
        open_dialog(page, listening)
        expect(page.get_by_role("dialog")).to_be_visible()
        found[name] = violations(page)
    page.context.close()
    assert {where: what for where, what in found.items() if what} == {}


def open_stop(page: Page, screen: Screen) -> None:
    page.goto(screen.app.origin + "/listener")
    page.get_by_role("button", name="Stop", exact=True).click()


def open_add(page: Page, screen: Screen) -> None:
    page.goto(screen.app.origin + "/")
    page.get_by_role("button", name="Add", exact=True).click()


def open_user(page: Page, screen: Screen) -> None:
    page.goto(screen.app.origin + "/settings")
    page.get_by_role("button", name="Add user").click()


def stranger(page: Page, screen: Screen) -> Locator:
    """The Browser's row of the device that nobody has compared words with."""
    page.goto(screen.app.origin + "/browser")
    assert screen.stranger is not None
    name = re.compile(f"^{re.escape(screen.stranger.name)}$")
    return page.locator(".peer").filter(has=page.locator(".strong", has_text=name))


def open_trust(page: Page, screen: Screen) -> None:
    row = stranger(page, screen)
    row.get_by_role("button", name="Check").click()
    expect(page.get_by_role("dialog").locator(".words li")).to_have_count(6)


def open_login(page: Page, screen: Screen) -> None:
    row = stranger(page, screen)
    row.locator("summary").click()
    row.get_by_role("button", name="Use another login").click()


def open_item(page: Page, screen: Screen) -> None:
    page.goto(screen.app.origin + "/")
    page.locator(".item .open").first.click()


def open_own(page: Page, screen: Screen) -> None:
    page.goto(screen.app.origin + "/listener")
    page.get_by_role("radio", name="Own certificate file").click()


def open_qr(page: Page, screen: Screen) -> None:
    page.goto(screen.app.origin + "/listener")
    page.get_by_role("button", name="QR code of the address").click()


DIALOGS: dict[str, Callable[[Page, Screen], None]] = {
    "trust": open_trust,
    "login": open_login,
    "stop": open_stop,
    "item": open_item,
    "add": open_add,
    "user": open_user,
    "own certificate": open_own,
    "qr": open_qr,
}
"""What opens each dialog."""


@pytest.mark.parametrize("name", DIALOGS)
def test_a_dialog_holds_the_focus_and_gives_it_back(
    listening: Screen, browser: Browser, name: str
) -> None:
    """By keys: Tab goes round inside, Escape closes, the focus is where it was."""
    page = opened(listening, browser, "light", "desktop")
    page.goto(listening.app.origin + "/")
    DIALOGS[name](page, listening)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    outside = []
    for _ in range(20):
        page.keyboard.press("Tab")
        where = page.evaluate(
            "document.activeElement === document.body || "
            "!!document.activeElement.closest('dialog') || document.activeElement.outerHTML"
        )
        if where is not True:
            outside.append(where)
    assert outside == []
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    back = page.evaluate("document.activeElement.outerHTML")
    page.context.close()
    assert not back.startswith("<body"), "the focus is back at what opened it"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_the_table(
    table: str, browser: Browser, theme: str, size: str
) -> None:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=theme,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(table)
    chip = page.locator(".over .chip")
    expect(chip).to_contain_text("All three connected", timeout=4 * SOON_MS)
    together = violations(page)
    page.get_by_role("switch", name="Network of Van").uncheck()
    expect(chip).to_contain_text("Cut")
    apart = violations(page)
    page.get_by_role("switch", name="Network of Van").check()
    context.close()
    assert (together, apart) == ([], [])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_before_the_log_in(browser: Browser, tmp_path: Path, theme: str) -> None:
    with App(tmp_path / "device", unique("Shop")) as app:
        screen = Screen(browser, app, color_scheme=theme)
        assert violations(screen.page) == []
        screen.close()


@pytest.mark.parametrize("path", PAGES)
def test_nothing_scrolls_sideways_at_320_pixels(
    listening: Screen, browser: Browser, path: str
) -> None:
    page = opened(listening, browser, "light", "phone")
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(listening.app.origin + path)
    expect(page.locator("h1").first).to_be_visible()
    wide, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    page.context.close()
    assert wide <= inner


def test_an_item_is_counted_opened_removed_and_brought_back_by_keys(screen: Screen) -> None:
    page = screen.page
    page.keyboard.press("/")
    expect(page.get_by_label("Search items")).to_be_focused()
    page.keyboard.type("corn")
    expect(page.locator(".item")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".item").nth(1)).to_be_visible()
    screen.item("Apples").locator(".open").focus()
    page.keyboard.press("+")
    page.keyboard.press("+")
    page.keyboard.press("-")
    expect(screen.quantity("Apples")).to_have_text("11")
    page.keyboard.press("ArrowRight")
    expect(screen.item("Arugula").locator(".open")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Arugula")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(screen.item("Arugula").locator(".open")).to_be_focused()
    page.keyboard.press("Delete")
    expect(screen.item("Arugula")).to_have_count(0)
    page.keyboard.press("Control+z")
    expect(screen.item("Arugula")).to_have_count(1)


def test_a_number_is_typed_and_what_is_none_is_refused(screen: Screen) -> None:
    page = screen.page
    screen.quantity("Apples").click()
    entry = page.get_by_label("Set Apples to")
    expect(entry).to_be_focused()
    page.keyboard.type("37")
    page.keyboard.press("Enter")
    expect(screen.quantity("Apples")).to_have_text("37")
    screen.quantity("Apples").click()
    page.keyboard.type("many")
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text("Type a whole number")
    expect(screen.quantity("Apples")).to_have_text("37")
    screen.quantity("Apples").click()
    page.keyboard.type("99")
    page.keyboard.press("Escape")
    expect(screen.quantity("Apples")).to_have_text("37")


def test_every_control_shows_its_focus(screen: Screen) -> None:
    """Walk by Tab: each control that has the focus has a ring of three pixels."""
    page = screen.page
    bare = []
    for path in ("/", "/browser", "/listener", "/settings"):
        page.goto(screen.app.origin + path)
        expect(page.locator("h1").first).to_be_visible()
        for _ in range(25):
            page.keyboard.press("Tab")
            name, ring = page.evaluate(
                "(() => { const e = document.activeElement, s = getComputedStyle(e);"
                " return [e.outerHTML.slice(0, 120), s.outlineStyle + ' ' + s.outlineWidth]; })()"
            )
            if not name.startswith("<body") and ring != "solid 3px":
                bare.append((path, name, ring))
    assert bare == []


def test_names_that_mean_harm_are_only_text(screen: Screen) -> None:
    page = screen.page
    page.on("dialog", lambda dialog: pytest.fail(f"a script of a name ran: {dialog.message}"))
    for name in (HOSTILE, ARABIC):
        page.get_by_role("button", name="Add", exact=True).click()
        form = page.get_by_role("dialog")
        form.get_by_label("Name").fill(name)
        form.get_by_role("button", name="Add", exact=True).click()
        expect(form).to_have_count(0)
    page.get_by_label("Search items").fill("<img")
    expect(page.locator(".item .name")).to_have_text(HOSTILE)
    expect(page.locator(".item .name img")).to_have_count(0)
    # Whatever direction a name has, it stays in its own place.
    assert page.locator(".item .name bdi").count() == 1
    page.locator(".item .open").click()
    expect(page.get_by_role("dialog").locator("h2")).to_have_text(HOSTILE)
    page.keyboard.press("Escape")
    screen.tab("Activity")
    expect(page.locator(".log")).to_contain_text("changed")
    assert page.locator("img[src=x]").count() == 0


def test_a_long_name_is_clipped_and_whole_in_its_title(screen: Screen) -> None:
    page = screen.page
    name = "Very " * 19 + "long"
    page.get_by_role("button", name="Add", exact=True).click()
    form = page.get_by_role("dialog")
    form.get_by_label("Name").fill(name)
    form.get_by_label("Quantity").fill("100000")
    form.get_by_role("button", name="Add", exact=True).click()
    expect(form).to_have_count(0)
    page.get_by_label("Search items").fill("very very")
    shown = page.locator(".item .name bdi")
    expect(shown).to_have_attribute("title", name)
    expect(shown).to_have_text(re.compile("…$"))
    expect(page.locator(".item .number")).to_have_text("100000")
    wide, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= inner
