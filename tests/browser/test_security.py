"""The running server, asked as other pages and other programs would ask it."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.app import App, Screen

pytestmark = pytest.mark.browser

SOCKET = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def status(app: App, path: str, **headers: str) -> int:
    """Ask without a browser; return the status."""
    address = urlsplit(app.origin)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
    try:
        connection.putrequest("GET", path, skip_host=True)
        all_headers = {"Host": address.netloc, **headers}
        for name, value in all_headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def test_page_and_socket_ask_for_host_origin_and_cookie(screen: Screen) -> None:
    app = screen.app
    cookies = screen.context.cookies()
    cookie = "; ".join(f"{each['name']}={each['value']}" for each in cookies)
    assert status(app, "/", Cookie=cookie) == 200
    assert status(app, "/") == 403
    assert status(app, "/", Cookie=cookie, Host="evil.example") == 400
    assert status(app, "/", Cookie=cookie, Origin="http://evil.example") == 403
    own = {**UPGRADE, "Cookie": cookie, "Origin": app.origin}
    assert status(app, SOCKET, **own) == 101
    assert status(app, SOCKET, **{**own, "Origin": "http://evil.example"}) == 403
    assert status(app, SOCKET, **{**own, "Host": "evil.example"}) == 403
    assert status(app, SOCKET, **{**own, "Cookie": ""}) == 403


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(screen: Screen) -> None:
    (cookie,) = screen.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert screen.page.evaluate("document.cookie") == ""
    assert "token" not in screen.page.url


def test_nothing_is_loaded_from_anywhere_else(browser: Browser, device: App) -> None:
    screen = Screen(browser, device)
    asked: list[str] = []
    screen.page.on("request", lambda request: asked.append(request.url))
    screen.first_run()
    for tab in ("Browser", "Listener", "Activity", "Settings", "List"):
        screen.tab(tab)
    screen.page.reload()
    expect(screen.page.locator("h1").first).to_be_visible()
    own = (device.origin, device.origin.replace("http", "ws"), "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []
    assert asked
    screen.close()


def test_another_page_cannot_frame_it(screen: Screen) -> None:
    page = screen.context.new_page()
    with page.expect_event("console") as told:
        page.set_content(f"<iframe src='{screen.app.origin}/'></iframe>")
    assert "frame-ancestors 'none'" in told.value.text
    assert page.frames[1].url.startswith("chrome-error:")
    page.close()


def test_a_wrong_password_is_told_and_lets_nobody_in(screen: Screen) -> None:
    screen.tab("Settings")
    screen.page.get_by_role("button", name="Log out").click()
    screen.enter("bob", "wrong")
    expect(screen.page.get_by_role("alert")).to_contain_text("User and password don't match")
    expect(screen.page.get_by_label("Password", exact=True)).to_have_value("")
    screen.enter("mallory", "wrong")
    expect(screen.page.get_by_role("alert")).to_contain_text("User and password don't match")
    screen.log_in()


def test_the_next_user_sees_nothing_of_the_former(screen: Screen) -> None:
    page = screen.page
    screen.tab("Settings")
    page.get_by_role("button", name="Add user").click()
    form = page.get_by_role("dialog")
    form.get_by_label("User", exact=True).fill("ann")
    form.get_by_label("Password", exact=True).fill("another secret")
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    page.get_by_role("button", name="Log out").click()
    screen.log_in("ann", "another secret")
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    expect(page.locator(".item")).to_have_count(0)
