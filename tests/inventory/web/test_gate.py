"""The gate: Host, Origin, token, cookie, bounds and headers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from settee_inventory.web.gate import BODY_BYTES_MAX, Gate

TOKEN = "t0ken"
HOST = "127.0.0.1:8080"
ORIGIN = f"http://{HOST}"


async def inner(scope: Any, receive: Any, send: Any) -> None:
    """Take the whole body; answer with its length and the session."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    taken, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        taken += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(taken).encode()})


def gate(**options: Any) -> Gate:
    return Gate(inner, token=TOKEN, secret="secret", cookie="inventory", **options)


def ask(
    which: Gate,
    path: str = "/",
    *,
    method: str = "GET",
    kind: str = "http",
    host: str = HOST,
    origin: str | None = None,
    cookie: str = "",
    body: tuple[bytes, ...] = (b"",),
    length: int | None = None,
) -> list[dict[str, Any]]:
    """Send one request; return the messages of the answer."""
    path, _, query = path.partition("?")
    headers = [(b"host", host.encode())]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    if cookie:
        headers.append((b"cookie", cookie.encode()))
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": headers,
    }
    messages = [
        {"type": "http.request", "body": part, "more_body": n + 1 < len(body)}
        for n, part in enumerate(body)
    ]
    answer: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        answer.append(dict(message))

    asyncio.run(which(scope, receive, send))
    return answer


def header(answer: list[dict[str, Any]], name: str) -> str:
    return dict(answer[0]["headers"]).get(name.encode(), b"").decode()


def cookie_of(which: Gate) -> str:
    return header(ask(which, f"/?token={TOKEN}"), "set-cookie").partition(";")[0]


def test_the_token_is_changed_for_a_cookie_and_leaves_the_address() -> None:
    which = gate()
    answer = ask(which, f"/browser?token={TOKEN}&x=1")
    assert answer[0]["status"] == 303
    assert header(answer, "location") == "/browser?x=1"
    set_cookie = header(answer, "set-cookie")
    assert "HttpOnly" in set_cookie
    assert "SameSite=Strict" in set_cookie
    assert ask(which, cookie=set_cookie.partition(";")[0])[0]["status"] == 200


def test_a_location_never_leads_to_another_server() -> None:
    answer = ask(gate(), f"//evil.example/x?token={TOKEN}")
    assert header(answer, "location") == "/evil.example/x"


@pytest.mark.parametrize("path", ["/", "/?token=", "/?token=wrong", "/?token=t0ken2"])
def test_without_the_token_nothing_is_shown(path: str) -> None:
    answer = ask(gate(), path)
    assert answer[0]["status"] == 403
    assert b"printed" in answer[1]["body"]


def test_a_cookie_that_was_not_given_here_is_none() -> None:
    which = gate()
    good = cookie_of(which)
    sid, _, signature = good.partition("=")[2].partition(".")
    other = Gate(inner, token=TOKEN, secret="other", cookie="inventory")
    for bad in (
        f"inventory={sid}.",
        f"inventory=x.{signature}",
        "inventory=",
        "x=y",
        cookie_of(other),
    ):
        assert ask(which, cookie=bad)[0]["status"] == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "", "localhost.evil.example"]
)
def test_a_strange_host_is_refused_even_with_the_cookie(host: str) -> None:
    which = gate()
    assert ask(which, host=host, cookie=cookie_of(which))[0]["status"] == 400


@pytest.mark.parametrize("host", ["localhost:8080", "[::1]:8080", "192.168.1.7:8080", "shop.local"])
def test_addresses_and_own_names_are_hosts(host: str) -> None:
    which = gate(hosts=("Shop.local",))
    assert ask(which, host=host, cookie=cookie_of(which))[0]["status"] == 200


def test_another_pages_requests_are_refused() -> None:
    which = gate()
    cookie = cookie_of(which)
    assert ask(which, origin="http://evil.example", cookie=cookie)[0]["status"] == 403
    assert ask(which, origin="null", cookie=cookie)[0]["status"] == 403
    assert ask(which, origin="http://127.0.0.1:8081", cookie=cookie)[0]["status"] == 403
    assert ask(which, method="POST", cookie=cookie)[0]["status"] == 403
    assert ask(which, method="POST", origin=ORIGIN, cookie=cookie)[0]["status"] == 200


def test_the_socket_passes_the_same_gate() -> None:
    which = gate()
    cookie = cookie_of(which)

    def answered(**request: Any) -> str:
        return str(ask(which, kind="websocket", **request)[0]["type"])

    assert answered(origin=ORIGIN, cookie=cookie) == "websocket.accept"
    assert answered(origin="http://evil.example", cookie=cookie) == "websocket.close"
    assert answered(cookie=cookie) == "websocket.close"
    assert answered(origin=ORIGIN) == "websocket.close"
    assert answered(origin=ORIGIN, cookie=cookie, host="evil.example") == "websocket.close"


def test_a_body_is_bounded_whether_it_says_its_length_or_not() -> None:
    which = gate()
    cookie = cookie_of(which)
    large = ask(which, method="POST", origin=ORIGIN, cookie=cookie, length=BODY_BYTES_MAX + 1)
    assert large[0]["status"] == 413
    part = b"x" * (BODY_BYTES_MAX // 2 + 1)
    silent = ask(which, method="POST", origin=ORIGIN, cookie=cookie, body=(part, part))
    assert silent == []


def test_every_answer_says_who_may_frame_it_and_that_nothing_comes_from_elsewhere() -> None:
    alone, framed = gate(), gate(framed_by="http://127.0.0.1:9000")
    policy = header(ask(alone, cookie=cookie_of(alone)), "content-security-policy")
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'self'" in policy
    assert "object-src 'none'" in policy
    policy = header(ask(framed), "content-security-policy")
    assert "frame-ancestors 'self' http://127.0.0.1:9000" in policy
    assert header(ask(alone), "x-content-type-options") == "nosniff"
