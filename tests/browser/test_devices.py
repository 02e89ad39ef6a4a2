"""Three devices: met, in sync, edited, cut off, refused, restarted."""

from __future__ import annotations

import contextlib
import io
import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.browser.app import PASSWORD, SOON_MS, USER, App, Screen, unique, words_of

pytestmark = pytest.mark.browser

JOURNEYS = 5
GOAL_S = 1.0


class Trio:
    """Shop listens; Kitchen and Van have compared its words, and joined its inventory."""

    def __init__(self, browser: Browser, directory: Path) -> None:
        names = ("Shop", "Kitchen", "Van")
        self._end = contextlib.ExitStack()
        with self._end as end:
            apps = [App(directory / name.lower(), unique(name)) for name in names]
            screens = [Screen(browser, end.enter_context(app)) for app in apps]
            for screen in screens:
                end.callback(screen.close)
            self.shop, self.kitchen, self.van = self.screens = tuple(screens)
            self._end = end.pop_all()

    def close(self) -> None:
        self._end.close()

    def at_the_list(self) -> None:
        for screen in self.screens:
            screen.tab("List")

    def everywhere(self, name: str, quantity: int) -> None:
        for screen in self.screens:
            expect(screen.quantity(name)).to_have_text(str(quantity))


@pytest.fixture(scope="module")
def trio(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    three = Trio(browser, tmp_path_factory.mktemp("trio"))
    shop, kitchen, van = three.screens
    shop.first_run()
    shop.listen()
    shown = words_of(shop.page)
    for screen in (kitchen, van):
        screen.first_run("The inventory of another device")
        assert screen.trust(shop.app) == shown, "the words are those that the listener shows"
        screen.expect_state(shop.app, "In sync")
        screen.tab("List")
        expect(screen.quantity("Apples")).to_have_text("10")
    yield three
    three.close()


def test_an_edit_on_one_is_seen_on_the_two_others_within_a_second(trio: Trio) -> None:
    trio.at_the_list()
    trio.everywhere("Apples", 10)
    times = []
    for number in range(1, JOURNEYS + 1):
        began = time.perf_counter()
        trio.van.step("Apples", 1)
        for screen in (trio.shop, trio.kitchen):
            expect(screen.quantity("Apples")).to_have_text(str(10 + number))
        times.append(time.perf_counter() - began)
    median = statistics.median(times)
    print(f"\nedit to both others, in the DOM: median {median * 1000:.0f} ms of {JOURNEYS}")
    assert median < GOAL_S
    under = trio.shop.item("Apples").locator(".under")
    expect(under).to_have_text(re.compile(rf"^{trio.van.app.name} \+1, "))


def test_a_remote_change_never_steals_the_field_that_is_typed_in(trio: Trio) -> None:
    trio.at_the_list()
    shop = trio.shop.page
    trio.shop.item("Beets").locator(".open").click()
    field = shop.get_by_label("Name", exact=True)
    field.focus()
    field.press("End")
    trio.van.item("Beets").locator(".open").click()
    other = trio.van.page.get_by_label("Name", exact=True)
    other.fill("Red beets")
    other.blur()
    strip = shop.get_by_role("dialog").locator(".strip")
    expect(strip).to_contain_text(f"{trio.van.app.name} changed this to Red beets")
    expect(field).to_be_focused()
    expect(field).to_have_value("Beets")
    strip.get_by_role("button", name="Use it").click()
    expect(field).to_have_value("Red beets")
    for screen in (trio.shop, trio.van):
        screen.page.get_by_role("button", name="Close", exact=True).click()
        expect(screen.item("Red beets")).to_be_visible()


def test_typing_on_keeps_mine_and_the_other_version_can_be_restored(trio: Trio) -> None:
    trio.at_the_list()
    shop = trio.shop.page
    trio.shop.item("Chard").locator(".open").click()
    field = shop.get_by_label("Name", exact=True)
    field.focus()
    field.press("End")
    trio.van.item("Chard").locator(".open").click()
    other = trio.van.page.get_by_label("Name", exact=True)
    other.fill("Swiss chard")
    other.blur()
    sheet = shop.get_by_role("dialog")
    expect(sheet.locator(".strip")).to_contain_text("Swiss chard")
    field.press_sequentially(" for Ann")
    expect(sheet).to_contain_text(f"What {trio.van.app.name} wrote is under Activity")
    expect(field).to_have_value("Chard for Ann")
    for screen in (trio.shop, trio.van):
        screen.page.get_by_role("button", name="Close", exact=True).click()
        expect(screen.item("Chard for Ann")).to_be_visible()
        screen.tab("Activity")
        card = screen.page.get_by_role("region", name="Chard for Ann: two names")
        expect(card).to_contain_text("Swiss chard")
    card.get_by_role("button", name="Restore").click()
    expect(card).to_have_count(0)
    trio.at_the_list()
    for screen in trio.screens:
        expect(screen.item("Swiss chard")).to_be_visible()


def test_a_number_that_was_only_looked_at_is_not_set_over_what_others_counted(trio: Trio) -> None:
    trio.at_the_list()
    shop = trio.shop.page
    before = int(trio.shop.quantity("Kale").inner_text())
    trio.shop.quantity("Kale").click()
    expect(shop.get_by_label("Set Kale to")).to_be_focused()
    trio.van.step("Kale", -1)
    expect(trio.kitchen.quantity("Kale")).to_have_text(str(before - 1))
    shop.get_by_label("Search items").focus()
    trio.everywhere("Kale", before - 1)
    trio.shop.item("Kale").locator(".open").click()
    entry = shop.get_by_role("dialog").get_by_label("Set Kale to")
    entry.focus()
    trio.van.step("Kale", -1)
    expect(trio.kitchen.quantity("Kale")).to_have_text(str(before - 2))
    entry.blur()
    shop.get_by_role("button", name="Close", exact=True).click()
    # Were it set, the van would be told within this change.
    trio.shop.step("Kale", 1)
    trio.everywhere("Kale", before - 1)


def test_a_new_picture_appears_on_the_others(trio: Trio, tmp_path: Path) -> None:
    trio.at_the_list()
    # Stored lying on its side, as phones do, with the turn in its EXIF.
    picture = Image.new("RGB", (600, 400), (200, 30, 30))
    exif = Image.Exif()
    exif[274] = 6
    picture.save(tmp_path / "photo.jpg", exif=exif)
    before = trio.kitchen.item("Corn").locator("img").get_attribute("src")
    trio.van.item("Corn").locator(".open").click()
    trio.van.page.get_by_label("Picture file").set_input_files(tmp_path / "photo.jpg")
    trio.van.page.get_by_role("button", name="Close", exact=True).click()
    for screen in (trio.shop, trio.kitchen):
        shown = screen.item("Corn").locator("img")
        expect(shown).not_to_have_attribute("src", str(before))
        source = shown.get_attribute("src")
        answer = screen.page.request.get(screen.app.origin + str(source))
        assert answer.headers["content-type"] == "image/jpeg"
        width, height = Image.open(io.BytesIO(answer.body())).size
        assert height > width, "it was turned"
        assert max(width, height) <= 128, "it is small"


def test_stopping_warns_with_names_and_cancel_changes_nothing(trio: Trio) -> None:
    shop = trio.shop
    shop.tab("Listener")
    expect(shop.page.locator("[data-client]")).to_have_count(2)
    shop.page.get_by_role("button", name="Stop", exact=True).click()
    dialog = shop.page.get_by_role("dialog")
    for screen in (trio.kitchen, trio.van):
        expect(dialog).to_contain_text(screen.app.name)
    expect(dialog).to_contain_text(USER)
    keep = dialog.get_by_role("button", name="Keep listening")
    expect(keep).to_be_focused()
    keep.click()
    expect(shop.page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    expect(shop.page.locator("[data-client]")).to_have_count(2)


def test_who_is_connected_is_a_table_on_a_wide_page_and_a_list_on_a_phone(trio: Trio) -> None:
    shop, van = trio.shop, trio.van
    shop.tab("Listener")
    table = shop.page.get_by_role("region", name="Connected now").get_by_role("table")
    row = table.get_by_role("row").filter(has_text=van.app.name)
    expect(table.get_by_role("columnheader")).to_have_text(
        [
            "Device",
            "User",
            "Address",
            "Since",
            "Documents in",
            "Documents out",
            "State",
            "Disconnect",
        ]
    )
    cells = row.get_by_role("cell")
    expect(cells.nth(1)).to_have_text(USER)
    expect(cells.nth(2)).to_have_text(re.compile(r"^127\.0\.0\.1:\d+$"))
    expect(cells.nth(3)).to_have_text(re.compile(r"^\d\d:\d\d$"))
    for n in (4, 5):
        expect(cells.nth(n)).to_have_text(re.compile(r"^\d+ \(\d+(\.\d)? k?M?B\)$"))
    shop.page.set_viewport_size({"width": 390, "height": 844})
    expect(table).to_have_count(0)
    expect(shop.page.locator(".client").filter(has_text=van.app.name)).to_contain_text("Documents:")
    shop.page.set_viewport_size({"width": 1280, "height": 800})
    expect(row).to_be_visible()


def test_who_is_blocked_stays_out_after_a_log_out_until_let_in(trio: Trio) -> None:
    shop, van = trio.shop, trio.van
    shop.tab("Listener")
    shop.page.get_by_role("button", name=f"Disconnect {van.app.name}").click()
    shop.page.locator(".toast").get_by_role("button", name="Block it").click()
    van.tab("Browser")
    van.expect_state(shop.app, "Refused")
    shop.tab("Settings")
    shop.page.get_by_role("button", name="Log out").click()
    shop.log_in()
    shop.tab("Listener")
    expect(shop.page.get_by_text(f"{van.app.name} is blocked here.")).to_be_visible()
    shop.page.get_by_role("button", name="Let it in again").click()
    van.peer(shop.app).get_by_role("button", name="Retry now").click()
    van.expect_state(shop.app, "In sync")
    trio.kitchen.tab("Browser")
    trio.kitchen.expect_state(shop.app, "In sync")


def test_edits_made_apart_add_up_and_clients_come_back_to_the_same_port(trio: Trio) -> None:
    shop = trio.shop
    trio.at_the_list()
    trio.everywhere("Carrots", 14)
    shop.tab("Listener")
    address = shop.page.locator(".address .mono").first.inner_text()
    shop.page.get_by_role("button", name="Stop", exact=True).click()
    shop.page.get_by_role("dialog").get_by_role("button", name="Stop and disconnect 2").click()
    for screen in (trio.kitchen, trio.van):
        screen.tab("Browser")
        screen.expect_state(shop.app, r"Retry in \d+ s|Trying")
    trio.at_the_list()
    shop.step("Carrots", 3)
    trio.van.step("Carrots", -2)
    trio.kitchen.step("Carrots", 1)
    expect(shop.quantity("Carrots")).to_have_text("17")
    expect(trio.van.quantity("Carrots")).to_have_text("12")
    expect(trio.van.page.locator(".page-head")).to_contain_text("1 change waits for a network")
    shop.listen()
    assert shop.page.locator(".address .mono").first.inner_text() == address
    for screen in (trio.kitchen, trio.van):
        screen.tab("Browser")
        retry = screen.peer(shop.app).get_by_role("button", name="Retry now")
        if retry.is_visible():
            retry.click()
        screen.expect_state(shop.app, "In sync")
    trio.at_the_list()
    trio.everywhere("Carrots", 16)


def test_two_pictures_made_apart_are_a_conflict_that_can_be_restored(
    trio: Trio, tmp_path: Path
) -> None:
    shop, van = trio.shop, trio.van
    van.tab("Browser")
    van.peer(shop.app).locator("summary").click()
    van.peer(shop.app).get_by_role("button", name="Disconnect").click()
    van.expect_state(shop.app, "Off")
    trio.at_the_list()
    sources = {}
    for screen, colour in ((shop, "blue"), (van, "green")):
        Image.new("RGB", (40, 40), colour).save(tmp_path / f"{colour}.png")
        screen.item("Plums").locator(".open").click()
        before = screen.item("Plums").locator("img").get_attribute("src")
        screen.page.get_by_label("Picture file").set_input_files(tmp_path / f"{colour}.png")
        expect(screen.item("Plums").locator("img")).not_to_have_attribute("src", str(before))
        sources[colour] = screen.item("Plums").locator("img").get_attribute("src")
        screen.page.get_by_role("button", name="Close", exact=True).click()
    van.tab("Browser")
    van.peer(shop.app).get_by_role("button", name="Connect").click()
    van.expect_state(shop.app, "In sync")
    shop.tab("Activity")
    card = shop.page.get_by_role("region", name="Plums: two pictures")
    expect(card).to_contain_text(f"{van.app.name}")
    card.get_by_role("button", name="Restore").click()
    expect(card).to_have_count(0)
    trio.at_the_list()
    for screen in trio.screens:
        expect(screen.item("Plums").locator("img")).to_have_attribute("src", str(sources["blue"]))


def test_a_wrong_user_is_refused_with_the_reason_and_another_login_works(trio: Trio) -> None:
    shop, van = trio.shop, trio.van
    van.tab("Browser")
    peer = van.peer(shop.app)
    peer.locator("summary").click()
    peer.get_by_role("button", name="Use another login").click()
    form = van.page.get_by_role("dialog")
    form.get_by_label("User").fill("mallory")
    form.get_by_label("Password").fill("guess")
    form.get_by_role("button", name="Connect").click()
    van.expect_state(shop.app, "Refused")
    expect(peer).to_contain_text("it does not know “mallory”")
    expect(van.page.locator(".foot")).to_contain_text("refuses")
    peer.get_by_role("button", name="Use another login").click()
    form.get_by_label("User").fill(USER)
    form.get_by_label("Password").fill(PASSWORD)
    form.get_by_role("button", name="Connect").click()
    van.expect_state(shop.app, "In sync")
    shop.tab("Activity")
    expect(shop.page.locator(".log")).to_contain_text("was turned away")


def test_encryption_is_switched_while_it_runs(trio: Trio) -> None:
    """Generated, anonymous, none, and generated again, as the others see it."""
    shop, van = trio.shop, trio.van
    shop.tab("Listener")
    van.tab("Browser")
    van.expect_state(shop.app, "In sync")
    listener = shop.page

    listener.get_by_role("radio", name="Anonymous").check()
    expect(listener.locator(".words")).to_have_count(0)
    found = van.page.locator(".peer[data-state=new]").filter(has_text=shop.app.name)
    expect(found.get_by_role("button", name="Check")).to_be_visible()

    listener.get_by_role("radio", name="No encryption").check()
    expect(listener.locator(".address .mono").first).to_have_text(re.compile("^ws://"))
    expect(found).to_contain_text("It does not encrypt")

    listener.get_by_role("radio", name="Generated identity").check()
    expect(listener.locator(".words li")).to_have_count(6)
    known = van.page.locator(".peer[data-state='in sync']").filter(has_text=shop.app.name)
    expect(known).to_have_count(1, timeout=2 * SOON_MS)


def test_nothing_is_lost_by_a_reload_and_a_restart(trio: Trio) -> None:
    van = trio.van
    van.tab("List")
    van.step("Garlic", 1)
    expect(van.quantity("Garlic")).to_have_text("25")
    van.page.reload()
    expect(van.quantity("Garlic")).to_have_text("25")
    van.app.stop()
    van.app.start()
    van.page.goto(van.app.origin)
    expect(van.page.get_by_role("heading", name="Welcome back")).to_be_visible()
    van.page.get_by_label("Password").fill(PASSWORD)
    van.page.get_by_role("button", name="Log in").click()
    expect(van.quantity("Garlic")).to_have_text("25")
    # The device is the one that the words were compared for: it comes back by itself.
    van.tab("Browser")
    van.expect_state(trio.shop.app, "In sync")


def test_logging_out_ends_the_connections(trio: Trio) -> None:
    van, shop = trio.van, trio.shop
    shop.tab("Listener")
    expect(shop.page.locator("[data-client]").filter(has_text=van.app.name)).to_have_count(1)
    van.tab("Settings")
    van.page.get_by_role("button", name="Log out").click()
    expect(van.page.get_by_role("heading", name="Welcome back")).to_be_visible()
    expect(shop.page.locator("[data-client]").filter(has_text=van.app.name)).to_have_count(0)
    van.log_in()
    van.tab("Browser")
    van.expect_state(shop.app, "In sync")


def test_no_page_had_an_error(trio: Trio) -> None:
    assert [screen.errors for screen in trio.screens] == [[], [], []]
