"""Takes docs/screenshots: every screen of the app, phone and desktop, light and dark.

    python -m tools.screenshots            all
    python -m tools.screenshots list item  only these

Real processes on this machine, driven in Chromium: five devices that find each other, sync,
disagree about a picture and refuse a login. Needs the extra ``browser`` and Debian's Chromium. The
pictures are reduced to 256 colours.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from settee_inventory.data import other_picture, picture
from settee_inventory.web.actions import perform
from settee_inventory.web.desk import Desk
from tests.browser.app import PASSWORD, USER, App, Screen, environment, printed
from tests.browser.conftest import chromium

ROOT = Path(__file__).resolve().parent.parent
SHOTS = ROOT / "docs" / "screenshots"
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
THEMES = ("light", "dark")
LOOKS = {
    "Shop": ("Shop front", "blue"),
    "Kitchen": ("Fork and knife", "amber"),
    "Van": ("Van", "plum"),
    "Back office": ("Computer", "teal"),
    "Market stall": ("Tablet", "brick"),
}
UNITS = {"apples": "pieces", "arugula": "bunches", "asparagus": "bunches", "beets": "pieces"}
UNITS |= {
    "blueberries": "boxes",
    "broccoli": "pieces",
    "brussels-sprouts": "kg",
    "cabbage": "pieces",
}
LIMITS = {"beets": 12, "brussels-sprouts": 10, "leeks": 12, "tomatoes": 15}


def main(wanted: list[str]) -> int:
    """Take the screenshots; return the exit code."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as directory,
        sync_playwright() as playwright,
        contextlib.ExitStack() as end,
    ):
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        end.callback(browser.close)
        if not wanted or set(wanted) - {"table"}:
            Scene(browser, Path(directory), end, wanted).play()
        if not wanted or "table" in wanted:
            table(browser)
    return 0


def kept(page: Page, name: str, size: str, theme: str) -> None:
    """Take one screenshot, in few colours; complain about what scrolls sideways."""
    wide, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    if wide > inner:
        print(f"{name} {size}: {wide} px wide in {inner}", file=sys.stderr)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    small = image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small.save(SHOTS / f"{name}-{size}-{theme}.png", optimize=True)
    print(f"{name}-{size}-{theme}.png")


class Scene:
    """Five devices, and what happens between them."""

    def __init__(
        self, browser: Browser, directory: Path, end: contextlib.ExitStack, wanted: list[str]
    ) -> None:
        self.browser = browser
        self.directory = directory
        self.end = end
        self.wanted = wanted

    def app(self, name: str) -> App:
        """Start a device."""
        return self.end.enter_context(App(self.directory / name.lower().replace(" ", "-"), name))

    def screen(self, app: App) -> Screen:
        """Open its page."""
        screen = Screen(self.browser, app)
        self.end.callback(screen.close)
        return screen

    def pages(self, screen: Screen) -> Iterator[tuple[Page, str, str]]:
        """The same session in each size and theme."""
        for theme in THEMES:
            for size, (width, height) in SIZES.items():
                context = self.browser.new_context(
                    storage_state=screen.context.storage_state(),
                    viewport={"width": width, "height": height},
                    color_scheme=theme,  # type: ignore[arg-type]
                )
                yield context.new_page(), size, theme
                context.close()

    def shoot(
        self,
        name: str,
        screen: Screen,
        path: str,
        before: Callable[[Page], Any] = lambda page: None,
    ) -> None:
        """Take one screen in each size and theme; `before` brings it into the wanted state."""
        if self.wanted and name not in self.wanted:
            return
        for page, size, theme in self.pages(screen):
            page.goto(screen.app.origin + path)
            expect(page.locator("h1").first).to_be_visible()
            page.evaluate("document.fonts.ready")
            before(page)
            page.wait_for_timeout(400)
            kept(page, name, size, theme)

    def play(self) -> None:
        """Let it all happen, with a picture of each screen on the way."""
        # Playwright has a loop in this thread.
        with ThreadPoolExecutor(1) as worker:
            worker.submit(lambda: asyncio.run(furnish(self.directory / "shop"))).result()
        shop = self.screen(self.app("Shop"))
        shop.log_in()
        shop.listen()
        van_app = self.app("Van")
        van = self.screen(van_app)
        expect(van.page.get_by_text("Found nearby: Shop")).to_be_visible(timeout=20_000)
        self.shoot("first-run", van, "/", fill)
        kitchen = self.screen(self.app("Kitchen"))
        for screen in (van, kitchen):
            look(screen)
            screen.first_run("The inventory of another device")
            screen.trust(shop.app)
            screen.expect_state(shop.app, "In sync")
        self.shoot("listener", shop, "/listener")
        self.shoot("stop", shop, "/listener", open_stop)
        conflict(shop, van)
        for name, by in (("Asparagus", -3), ("Carrots", 2)):
            shop.tab("List")
            shop.step(name, by)
        kitchen.tab("List")
        kitchen.step("Blueberries", 1)
        van.tab("List")
        self.shoot("list", shop, "/", lambda page: land(page, van))
        self.shoot("item", shop, "/item/item::apples", lambda page: page.wait_for_timeout(300))
        self.shoot("activity", shop, "/activity")
        self.shoot("settings", shop, "/settings")
        self.others(shop, van, kitchen)

    def others(self, shop: Screen, *friends: Screen) -> None:
        """The Browser with a device of each state."""
        for screen in friends:
            screen.listen()
            shop.tab("Browser")
            shop.expect_state(screen.app, "In sync")
        for name in ("Back office", "Market stall"):
            screen = self.screen(self.app(name))
            look(screen)
            screen.first_run("An empty list")
            screen.listen()
            expect(shop.peer(screen.app)).to_be_visible(timeout=20_000)
        shop.tab("Browser")
        stall = shop.page.locator(".peer").filter(has_text="Market stall")
        stall.get_by_role("button", name="Check").click()
        shop.page.get_by_role("button", name="Same words, trust it").click()
        expect(stall.locator(".chip")).to_contain_text("In sync")
        stall.locator("summary").click()
        stall.get_by_role("button", name="Use another login").click()
        form = shop.page.get_by_role("dialog")
        form.get_by_label("User").fill("priya")
        form.get_by_label("Password").fill("guess")
        form.get_by_role("button", name="Connect").click()
        expect(stall.locator(".chip")).to_contain_text("Refused")
        self.shoot("browser", shop, "/browser")
        self.shoot("trust", shop, "/browser", open_trust)
        self.retrying(friends[0], shop)

    def retrying(self, screen: Screen, gone: Screen) -> None:
        """The Browser of a device while another one, that it knows, does not answer."""
        gone.app.stop()
        screen.tab("Browser")
        screen.expect_state(gone.app, r"Retry in \d+ s")
        self.shoot("retry", screen, "/browser", lambda page: waiting(page, gone.app.name))


async def furnish(directory: Path) -> None:
    """Give the sample list units and limits, and this device some users."""
    desk = Desk(directory, loopback=True)
    desk.settings.options.visible = False
    await desk.open()
    first = {"name": "Shop", "icon": "storefront", "colour": "blue", "start": "sample"}
    await perform(desk, "s", "log_in", {"user": USER, "password": PASSWORD, **first})
    for slug, unit in UNITS.items():
        await perform(desk, "s", "field", {"id": f"item::{slug}", "field": "unit", "text": unit})
    for slug, limit in LIMITS.items():
        fields = {"id": f"item::{slug}", "field": "warn", "text": str(limit)}
        await perform(desk, "s", "field", fields)
    for name, role in (("priya", "edit"), ("jens", "edit"), ("ian", "look")):
        await perform(desk, "s", "user", {"name": name, "password": PASSWORD, "role": role})
    desk.settings.options.visible = True
    await desk.save()
    await desk.close()


def look(screen: Screen) -> None:
    """Choose icon and colour in the first run."""
    icon, colour = LOOKS[screen.app.name]
    page = screen.page
    page.get_by_role("button", name="Icon and colour of this device").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name=icon, exact=True).click()
    dialog.get_by_role("button", name=colour, exact=True).click()
    dialog.get_by_role("button", name="Done").click()


def conflict(shop: Screen, van: Screen) -> None:
    """Two pictures of the plums, made apart."""
    van.tab("Browser")
    peer = van.peer(shop.app)
    peer.locator("summary").click()
    peer.get_by_role("button", name="Disconnect").click()
    van.expect_state(shop.app, "Off")
    for screen, content in ((shop, picture("blueberries")), (van, other_picture("peppers"))):
        screen.tab("List")
        item = screen.item("Plums")
        item.locator(".open").click()
        before = item.locator("img").get_attribute("src")
        file: Any = {"name": "plums.png", "mimeType": "image/png", "buffer": content}
        screen.page.get_by_label("Picture file").set_input_files(file)
        expect(item.locator("img")).not_to_have_attribute("src", str(before))
        screen.page.get_by_role("button", name="Close", exact=True).click()
    van.tab("Browser")
    peer.get_by_role("button", name="Connect").click()
    van.expect_state(shop.app, "In sync")
    shop.tab("Activity")
    expect(shop.page.get_by_role("region", name="Plums: two pictures")).to_be_visible()


def land(page: Page, van: Screen) -> None:
    """A change of the Van's, just now."""
    page.locator(".item").first.wait_for()
    shown = page.locator(".item .number").first.inner_text()
    van.step("Apples", -1)
    expect(page.locator(".item .number").first).not_to_have_text(shown)


def fill(page: Page) -> None:
    """Fill in the first run, as far as the button."""
    page.get_by_label("Name of this device").fill("Van")
    page.get_by_label("User", exact=True).fill(USER)
    page.get_by_label("Password", exact=True).fill(PASSWORD)


def open_stop(page: Page) -> None:
    """Ask to stop the listener."""
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("dialog").wait_for()


def open_trust(page: Page) -> None:
    """Ask for the words of a device that is new."""
    peer = page.locator(".peer").filter(has_text="Back office")
    peer.get_by_role("button", name="Check").click()
    expect(page.get_by_role("dialog").locator(".words li")).to_have_count(6)


def waiting(page: Page, name: str) -> None:
    """Wait until the row of a device counts down to its next attempt."""
    row = page.locator(".peer").filter(has_text=name)
    expect(row.get_by_role("button", name="Retry now")).to_be_visible()
    expect(row.locator(".chip")).to_have_text(re.compile(r"Retry in ([3-9]|\d\d) s"))


def table(browser: Browser) -> None:
    """What ``make demo`` opens: in sync, and with the Van cut off."""
    process = subprocess.Popen(
        [sys.executable, "-m", "settee_inventory.table", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        address = printed(process)
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.goto(address)
        frames = {name: page.frame_locator(f"iframe[title={name}]") for name in ("Shop", "Van")}
        for frame in frames.values():
            expect(frame.locator(".item").first).to_be_visible(timeout=60_000)
        expect(page.locator(".over .chip")).to_contain_text("All three", timeout=60_000)

        def step(name: str, label: str) -> None:
            frames[name].get_by_role("button", name=f"{label} Apples", exact=True).click()

        every(page, "table", lambda: step("Van", "One less"))
        page.get_by_role("switch", name="Network of Van").uncheck()
        expect(page.locator("[data-device=Van] .chip")).to_contain_text("No network")
        step("Van", "One less")
        every(page, "table-cut", lambda: step("Shop", "One more"))
        page.get_by_role("switch", name="Network of Van").check()
        expect(page.locator(".try")).to_contain_text(re.compile("everywhere"), timeout=60_000)
        every(page, "table-merged", lambda: None)
        context.close()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def every(page: Page, name: str, before: Callable[[], Any]) -> None:
    """Take the table in each size and theme; on a desktop something happens just before."""
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        for size, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(300)
            if size == "desktop":
                before()
            page.wait_for_timeout(600)
            kept(page, name, size, theme)
        page.set_viewport_size({"width": 1280, "height": 800})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
