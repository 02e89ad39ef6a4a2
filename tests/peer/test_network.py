"""Replicating over IPv6, from and to chosen interfaces, and through a proxy."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from settee import (
    AuthenticationError,
    BasicAuthenticator,
    ConfigError,
    ConnectionFailedError,
    Database,
    ListenerPasswordAuthenticator,
    RefusedError,
    Replicator,
)
from settee.net.interfaces import interface_addresses
from tests.peer.scene import IDENTITY, LittleProxy, serving

PIN = {"pinned_server_certificate": IDENTITY.fingerprint, "max_attempts": 1}
LOOPBACK = [one for one in interface_addresses(loopback=True) if one.is_loopback]
LINK_LOCAL = [one for one in interface_addresses() if one.is_ipv6 and one.is_link_local]
BOB = BasicAuthenticator("bob", "canary")
PASSWORDS = ListenerPasswordAuthenticator(lambda user, password: password == "canary")


def has_ipv6() -> bool:
    return any(one.is_ipv6 for one in LOOPBACK)


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def kitchen(tmp_path: Path) -> Iterator[Database]:
    with Database("kitchen", directory=tmp_path, durability="memory") as db:
        db.default_collection["apples"] = {"n": 1}
        yield db


@pytest.fixture
def van(tmp_path: Path) -> Iterator[Database]:
    with Database("van", directory=tmp_path, durability="memory") as db:
        yield db


@needs_ipv6
@pytest.mark.feature("END-01", "LIS-12")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_a_listener_on_ipv6_has_a_url_with_brackets_that_can_be_dialled(
    kitchen: Database, van: Database, host: str
) -> None:
    with serving(kitchen, host=host) as (url, requests):
        assert url.startswith("wss://[::1]:")
        assert van.replicate(url, **PIN).pulled == 1
        port = url.split(":")[-1].split("/")[0]
        assert requests[0]["host"] == f"[::1]:{port}"
        trusted = {"trusted_roots": IDENTITY.certificate_pem, "max_attempts": 1}
        assert van.replicate(url, **trusted).errors == (), "the address is in the certificate"


@pytest.mark.skipif(not LINK_LOCAL, reason="this machine has no link-local IPv6 address")
def test_a_link_local_address_is_dialled_with_its_scope(kitchen: Database, van: Database) -> None:
    one = LINK_LOCAL[0]
    with serving(kitchen, host=one.scoped) as (url, _):
        assert f"[{one.address}%25{one.interface_index}]" in url
        assert van.replicate(url, **PIN).pulled == 1
        named = url.replace(f"%25{one.interface_index}]", f"%25{one.interface}]")
        replicator = Replicator(van, named, continuous=True, **PIN)
        with replicator:
            assert replicator.wait_for("idle", timeout=10)
        no_scope = url.replace(f"%25{one.interface_index}]", "]")
        with pytest.raises(ConnectionFailedError):
            van.replicate(no_scope, **PIN)


@pytest.mark.feature("LIS-04")
def test_a_listener_is_bound_to_the_addresses_of_one_interface(
    kitchen: Database, van: Database
) -> None:
    name = LOOPBACK[0].interface
    with serving(kitchen, host=name, tls=False) as (_, requests):
        # No warning: all of its addresses are loopback.
        pass
    with serving(kitchen, host=name) as (url, requests):
        assert van.replicate(url, **PIN).pulled == 1
        assert len(requests) == 1
    from settee import URLEndpointListener

    with URLEndpointListener(kitchen, host=name, allow_anonymous=True) as listener:
        hosts = {url.split("//")[1].rpartition(":")[0] for url in listener.urls}
        assert hosts == {f"[{a.address}]" if a.is_ipv6 else a.address for a in LOOPBACK}
    nowhere = URLEndpointListener(kitchen, host="no-such0", allow_anonymous=True)
    with pytest.raises(ConfigError, match="no network interface"):
        nowhere.start()
    nowhere.stop()


@pytest.mark.feature("REP-21")
def test_a_replicator_dials_from_the_address_or_interface_that_it_was_told(
    kitchen: Database, van: Database
) -> None:
    with serving(kitchen) as (url, _):
        assert van.replicate(url, local_address="127.0.0.1", **PIN).pulled == 1
        assert van.replicate(url, local_address=LOOPBACK[0].interface, **PIN).errors == ()
        for wrong in ("192.0.2.99", "no-such0"):
            with pytest.raises(ConfigError, match="local_address"):
                van.replicate(url, local_address=wrong, **PIN)
    with serving(kitchen) as (url, _), pytest.raises(ConnectionFailedError, match="same kind"):
        van.replicate(url, local_address="::1", **PIN)


@pytest.mark.feature("REP-20", "NET-04")
@pytest.mark.parametrize("tls", [True, False])
def test_replication_goes_through_a_proxy_which_sees_none_of_it(
    kitchen: Database, van: Database, tls: bool
) -> None:
    options = dict(PIN) if tls else {"max_attempts": 1}
    with (
        LittleProxy() as proxy,
        serving(kitchen, tls=tls, authenticator=PASSWORDS) as (url, requests),
    ):
        through = proxy.url.replace("//", "//carl:proxy-canary@")
        result = van.replicate(url, proxy=through, authenticator=BOB, **options)
        assert result.pulled == 1
        (head,) = proxy.heads
        target = url.split("//")[1].split("/")[0].encode()
        assert head.startswith(b"CONNECT " + target + b" HTTP/1.1\r\nHost: " + target + b"\r\n")
        assert head.count(b"Authorization") == 1
        assert b"Proxy-Authorization: Basic Y2FybDpwcm94eS1jYW5hcnk=" in head
        assert "proxy-authorization" not in requests[0], "the peer sees nothing of the proxy's"
        if tls:
            assert b"Authorization" not in proxy.passed
            assert b"apples" not in proxy.passed
        van.replicate(url, authenticator=BOB, **options)
        assert len(proxy.heads) == 1, "without proxy= there is none"


@pytest.mark.feature("REP-20", "NET-04")
def test_the_environment_names_a_proxy_for_those_who_ask(
    kitchen: Database, van: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LittleProxy() as proxy, serving(kitchen) as (url, _):
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        van.replicate(url, **PIN)
        assert len(proxy.heads) == 0
        van.replicate(url, proxy="env", **PIN)
        assert len(proxy.heads) == 1
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        van.replicate(url, proxy="env", **PIN)
        assert len(proxy.heads) == 1


@pytest.mark.feature("REP-20")
def test_what_a_proxy_refuses_is_told_with_its_name_and_without_passwords(
    kitchen: Database, van: Database
) -> None:
    answers = [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", AuthenticationError, "credentials"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", RefusedError, "403: Forbidden"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", RefusedError, "503"),
    ]
    for answer, kind, says in answers:
        with LittleProxy(lambda head, answer=answer: answer) as proxy, serving(kitchen) as (url, _):
            through = proxy.url.replace("//", "//carl:canary@")
            with pytest.raises(kind, match=f"the proxy 127.0.0.1:{proxy.port} .*{says}") as caught:
                van.replicate(url, proxy=through, **PIN)
            assert "canary" not in str(caught.value)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectionFailedError, match=f"the proxy 127.0.0.1:{port}"):
        van.replicate("wss://127.0.0.1:1/x", proxy=f"http://127.0.0.1:{port}", **PIN)
