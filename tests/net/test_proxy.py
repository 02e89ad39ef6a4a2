"""Which proxy is taken, and what it is told."""

from __future__ import annotations

import asyncio
import socket

import pytest

from settee import (
    AuthenticationError,
    ConfigError,
    ConnectionFailedError,
    NotAPeerError,
    RefusedError,
    SyncError,
)
from settee.net.proxy import Proxies, Proxy, open_tunnel

pytestmark = pytest.mark.feature("REP-20", "NET-04")


@pytest.mark.parametrize(
    ("url", "host", "port", "credentials"),
    [
        ("http://proxy:3128", "proxy", 3128, None),
        ("http://proxy", "proxy", 80, None),
        ("proxy:3128", "proxy", 3128, None),
        ("http://bob:p%40ss%3A@proxy:3128/", "proxy", 3128, ("bob", "p@ss:")),
        ("http://bob@proxy", "proxy", 80, ("bob", "")),
        ("http://[::1]:3128", "::1", 3128, None),
    ],
)
def test_a_proxy_is_read_from_its_url(
    url: str, host: str, port: int, credentials: tuple[str, str] | None
) -> None:
    assert Proxy.parse(url) == Proxy(host, port, credentials)
    assert Proxies.parse(url).for_target(secure=True, host="x", port=1) == Proxy.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://u:canary@proxy",
        "socks5://u:canary@proxy",
        "http://u:canary@proxy/path",
        "http://u:canary@proxy:99999",
        "http://u:canary@",
        "",
    ],
)
def test_what_is_no_http_proxy_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError, match="proxy") as caught:
        Proxies.parse(url)
    assert "canary" not in str(caught.value)


def test_a_password_is_in_no_repr() -> None:
    assert "canary" not in repr(Proxies.parse("http://bob:canary@proxy"))


def test_the_environment_is_read_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    env = Proxies.parse("env")
    assert env.for_target(secure=True, host="peer", port=1) is None
    monkeypatch.setenv("https_proxy", "http://secure:1")
    monkeypatch.setenv("all_proxy", "http://all:2")
    monkeypatch.setenv("no_proxy", "localhost, .lan,10.0.0.5,peer.example:4984")
    assert Proxies.parse(None).for_target(secure=True, host="peer", port=1) is None
    assert env.for_target(secure=True, host="peer", port=1) == Proxy("secure", 1)
    assert env.for_target(secure=False, host="peer", port=1) == Proxy("all", 2)
    for host in ("localhost", "kitchen.lan", "LAN", "10.0.0.5"):
        assert env.for_target(secure=True, host=host, port=1) is None, host
    assert env.for_target(secure=True, host="peer.example", port=4984) is None
    assert env.for_target(secure=True, host="peer.example", port=4985) is not None
    assert env.for_target(secure=True, host="xlan", port=1) is not None
    monkeypatch.setenv("no_proxy", "*")
    assert env.for_target(secure=True, host="peer", port=1) is None
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("https_proxy", "socks5://x")
    with pytest.raises(ConfigError, match="https_proxy"):
        env.for_target(secure=True, host="peer", port=1)


def tunnelled(answer: bytes, proxy: Proxy, host: str = "peer") -> bytes:
    """Ask for a tunnel, answer it, and return what was asked."""

    async def main() -> bytes:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.sendall(answer)
            theirs.shutdown(socket.SHUT_WR)
            await open_tunnel(ours, proxy, host=host, port=4984)
            return theirs.recv(65536)

    return asyncio.run(main())


def test_the_proxy_gets_its_own_credentials_and_the_target_only() -> None:
    asked = tunnelled(b"HTTP/1.1 200 OK\r\n\r\n", Proxy("proxy", 1, ("bob", "p:w")), "fe80::1")
    assert asked == (
        b"CONNECT [fe80::1]:4984 HTTP/1.1\r\nHost: [fe80::1]:4984\r\n"
        b"Proxy-Authorization: Basic Ym9iOnA6dw==\r\n\r\n"
    )
    asked = tunnelled(b"HTTP/1.0 204 \r\n\r\n", Proxy("proxy", 1))
    assert asked == b"CONNECT peer:4984 HTTP/1.1\r\nHost: peer:4984\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "kind", "code", "transient", "says"),
    [
        (b"HTTP/1.1 407 No\r\n\r\n", AuthenticationError, 407, False, "wants a user"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", RefusedError, 403, False, "peer:4984.*403: Forbidden"),
        (b"HTTP/1.1 502 Bad\r\n\r\n", RefusedError, 502, True, "502"),
        (b"HTTP/1.1 504 Late\r\n\r\n", RefusedError, 504, True, "504"),
        (b"SSH-2.0-OpenSSH\r\n", NotAPeerError, 400, False, "no HTTP proxy"),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", NotAPeerError, 400, False, "of its own"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000, NotAPeerError, 400, False, "no HTTP proxy"),
        (b"", ConnectionFailedError, 18, True, "without an answer"),
        (b"HTTP/1.1 200", ConnectionFailedError, 18, True, "without an answer"),
    ],
)
def test_each_refusal_says_what_it_means(
    answer: bytes, kind: type[SyncError], code: int, transient: bool, says: str
) -> None:
    with pytest.raises(kind, match=f"proxy:1.*{says}|proxy proxy:1.*{says}") as caught:
        tunnelled(answer, Proxy("proxy", 1))
    assert (caught.value.code, caught.value.transient) == (code, transient)
    with pytest.raises(AuthenticationError, match="does not accept"):
        tunnelled(b"HTTP/1.1 407 No\r\n\r\n", Proxy("proxy", 1, ("bob", "x")))
