"""Peers that announce themselves and peers that look: two real multicast stacks on loopback."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from zeroconf import ServiceInfo, ServiceStateChange
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from settee.clock import SystemClock
from settee.errors import ConfigError, ConnectionFailedError
from settee.limits import GOODBYE_S, PEER_ADDRESSES_MAX, PEERS_FOUND_MAX
from settee.net import discovery
from settee.net.discovery import (
    SERVICE_TYPE,
    Advertiser,
    Browser,
    PeerEvent,
    PeerFound,
    PeerGone,
    peer_from,
)
from settee.net.multicast import Network

LOOPBACK = ["127.0.0.1"]
FINGERPRINT = "0123456789abcdef" * 4


class SeededClock(SystemClock):
    """Random bytes that are known."""

    def random_bytes(self, count: int) -> bytes:
        return b"\xab" * count


class Watcher:
    """A browser's events, to wait for."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[PeerEvent] = asyncio.Queue()

    async def next(self) -> PeerEvent:
        return await self.events.get()


class Street:
    """A service type of its own on loopback, so that tests don't see each other."""

    def __init__(self) -> None:
        self.type = f"_t{secrets.token_hex(6)}._tcp"
        self.full_type = f"{self.type}.local."
        self._closers: list[Callable[[], Awaitable[None]]] = []

    def network(self) -> Network:
        network = Network(LOOPBACK)
        self._closers.append(network.close)
        return network

    def browser(self, **options: Any) -> tuple[Browser, Watcher]:
        watcher = Watcher()
        browser = Browser(
            self.network(), watcher.events.put_nowait, service_type=self.type, **options
        )
        self._closers.append(browser.stop)
        browser.start()
        return browser, watcher

    def advertiser(self, **options: Any) -> Advertiser:
        network = options.pop("network", None) or self.network()
        advertiser = Advertiser(network, service_type=self.type, port=4984, **options)
        self._closers.append(advertiser.stop)
        return advertiser

    async def foreign(self, name: str, **options: Any) -> tuple[AsyncZeroconf, ServiceInfo]:
        """Some other program's service, announced at once, without asking who has the name."""
        zeroconf = AsyncZeroconf(interfaces=LOOPBACK)
        self._closers.append(zeroconf.async_close)
        options = {"port": 4984, "server": f"{name}.local.", "properties": {}} | options
        info = ServiceInfo(
            self.full_type, f"{name}.{self.full_type}", parsed_addresses=LOOPBACK, **options
        )
        await zeroconf.async_register_service(info, cooperating_responders=True, strict=False)
        return zeroconf, info

    async def close(self) -> None:
        for closer in reversed(self._closers):
            await closer()


def on_a_street(scenario: Callable[[Street], Awaitable[None]]) -> None:
    @asynccontextmanager
    async def street() -> Any:
        made = Street()
        try:
            yield made
        finally:
            await made.close()

    async def bounded() -> None:
        async with asyncio.timeout(10), street() as made:
            await scenario(made)

    asyncio.run(bounded())


# --- finding --------------------------------------------------------------------------------------


def test_a_peer_of_another_make_is_found_changes_and_goes() -> None:
    async def scenario(street: Street) -> None:
        browser, watcher = street.browser()
        zeroconf, info = await street.foreign("Bob's phone", server="bobs-phone.local.")

        found = await watcher.next()
        assert found == PeerFound("Bob's phone", "bobs-phone.local", ("127.0.0.1",), 4984)
        assert isinstance(found, PeerFound)
        assert found.urls == ["wss://127.0.0.1:4984"]
        assert browser.peers == [found]

        changed = ServiceInfo(
            street.full_type,
            info.name,
            port=4984,
            server=info.server,
            parsed_addresses=LOOPBACK,
            properties={"path": "/db", "tls": "0"},
        )
        await zeroconf.async_update_service(changed)
        found = await watcher.next()
        assert isinstance(found, PeerFound)
        assert found.urls == ["ws://127.0.0.1:4984/db"]
        assert browser.peers == [found]

        await zeroconf.async_unregister_service(changed)
        assert await watcher.next() == PeerGone("Bob's phone")
        assert browser.peers == []

    on_a_street(scenario)


def test_a_peer_without_a_port_is_not_found() -> None:
    async def scenario(street: Street) -> None:
        browser, watcher = street.browser()
        await street.foreign("nowhere", port=0)
        await street.foreign("somewhere")
        found = await watcher.next()
        assert isinstance(found, PeerFound)
        assert found.name == "somewhere"
        assert browser.peers == [found]

    on_a_street(scenario)


def test_our_own_announcement_is_left_out() -> None:
    async def scenario(street: Street) -> None:
        browser, watcher = street.browser(is_own=lambda host: host == "ours.local")
        await street.foreign("same name", server="ours.local.")
        await street.foreign("other", server="theirs.local.")
        found = await watcher.next()
        assert isinstance(found, PeerFound)
        assert found.host == "theirs.local"
        assert browser.peers == [found]

    on_a_street(scenario)


def test_no_event_comes_after_stop() -> None:
    async def scenario(street: Street) -> None:
        browser, watcher = street.browser()
        zeroconf, info = await street.foreign("kitchen")
        await watcher.next()
        await browser.stop()
        await browser.stop()
        await zeroconf.async_unregister_service(info)
        zc = browser._network.open().zeroconf
        browser._heard(zc, street.full_type, info.name, ServiceStateChange.Removed)
        browser._heard(zc, street.full_type, info.name, ServiceStateChange.Added)
        assert watcher.events.empty()
        assert not browser._entries

    on_a_street(scenario)


@pytest.mark.sec("SEC-30")
def test_names_are_bounded_and_room_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(street: Street) -> None:
        browser, watcher = street.browser()
        zc = browser._network.open().zeroconf
        heard = [f"{i}.{street.full_type}" for i in range(PEERS_FOUND_MAX + 50)]
        for name in heard:
            browser._heard(zc, street.full_type, name, ServiceStateChange.Added)
        assert len(browser._entries) == PEERS_FOUND_MAX
        assert len(caplog.records) == 1
        assert f"over {PEERS_FOUND_MAX} names" in caplog.text

        for name in heard:
            browser._heard(zc, street.full_type, name, ServiceStateChange.Removed)
        assert not browser._entries
        await street.foreign("real")
        found = await watcher.next()
        assert isinstance(found, PeerFound)
        assert found.name == "real"

    on_a_street(scenario)


def test_a_name_with_nothing_behind_it_makes_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "PEER_ASK_S", 0.01)

    async def scenario(street: Street) -> None:
        browser, watcher = street.browser()
        zc = browser._network.open().zeroconf
        name = f"ghost.{street.full_type}"
        browser._heard(zc, street.full_type, name, ServiceStateChange.Added)
        asking = browser._entries[name].asking
        assert asking is not None
        browser._heard(zc, street.full_type, name, ServiceStateChange.Updated)
        assert browser._entries[name].again
        await asking
        assert not browser._entries
        assert watcher.events.empty()

    on_a_street(scenario)


def test_a_browser_where_no_socket_opens_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(street: Street) -> None:
        network = Network(["203.0.113.99"])
        browser = Browser(network, lambda event: None, service_type=street.type)
        with pytest.raises(ConnectionFailedError, match="can't be discovered here"):
            browser.start()
        await browser.stop()
        await network.close()

    on_a_street(scenario)


# --- announcing -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_peers_find_each_other_and_say_goodbye() -> None:
    """Slow: the standard's probing takes a second, and the second announcement starts after it."""

    async def scenario(street: Street) -> None:
        kitchen_network, van_network = street.network(), street.network()
        kitchen = street.advertiser(
            network=kitchen_network, name="Kitchen", path="/inventory", identity=FINGERPRINT
        )
        van = street.advertiser(network=van_network, name="Van", tls=False)
        from_kitchen, from_van = Watcher(), Watcher()
        browsers = [
            Browser(
                kitchen_network,
                from_kitchen.events.put_nowait,
                is_own=lambda host: host == kitchen.host,
                service_type=street.type,
            ),
            Browser(
                van_network,
                from_van.events.put_nowait,
                is_own=lambda host: host == van.host,
                service_type=street.type,
            ),
        ]
        for part in (*browsers, kitchen, van):
            part.start()
        await asyncio.gather(kitchen.registered(), van.registered())

        assert await from_van.next() == PeerFound(
            "Kitchen",
            kitchen.host,
            ("127.0.0.1",),
            4984,
            path="/inventory",
            tls=True,
            id=FINGERPRINT[:16],
        )
        assert await from_kitchen.next() == PeerFound(
            "Van", van.host, ("127.0.0.1",), 4984, tls=False
        )
        loop = asyncio.get_running_loop()
        before = loop.time()
        await kitchen.stop()
        await kitchen.stop()
        assert loop.time() - before < 1.0
        assert await from_van.next() == PeerGone("Kitchen")
        assert from_kitchen.events.empty()
        for browser in browsers:
            await browser.stop()

    on_a_street(scenario)


@pytest.mark.slow
def test_a_name_that_is_taken_gets_a_number() -> None:
    """Slow: the standard's probing takes a second, once for each name."""

    async def scenario(street: Street) -> None:
        await street.foreign("Kitchen")
        advertiser = street.advertiser(name="Kitchen")
        advertiser.start()
        assert advertiser.name == "Kitchen"
        assert await advertiser.registered()
        assert advertiser.name == "Kitchen-2"

    on_a_street(scenario)


@pytest.mark.slow
def test_an_announcement_follows_the_addresses_of_the_machine() -> None:
    """Slow: the standard's probing takes a second."""

    async def scenario(street: Street) -> None:
        _, watcher = street.browser()
        network = street.network()
        advertiser = street.advertiser(network=network)
        advertiser.start()
        found = await watcher.next()
        assert isinstance(found, PeerFound)
        assert advertiser._task is not None
        await advertiser._task
        network._current.append(network._current[0]._replace(address="127.0.0.9"))
        for watch in network._watchers:
            watch()
        changed = await watcher.next()
        assert isinstance(changed, PeerFound)
        assert set(changed.addresses) == {"127.0.0.1", "127.0.0.9"}

    on_a_street(scenario)


def test_stopping_before_it_is_registered_takes_no_time() -> None:
    async def scenario(street: Street) -> None:
        advertiser = street.advertiser()
        advertiser.start()
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(advertiser.registered())
        before = asyncio.get_running_loop().time()
        await advertiser.stop()
        # Waiting for a goodbye or for the registration would take a second at least.
        assert asyncio.get_running_loop().time() - before < 0.9 * GOODBYE_S
        assert not await waiting

    on_a_street(scenario)


@pytest.mark.parametrize(
    ("interfaces", "addresses", "problem"),
    [
        (["203.0.113.99"], None, "can't be discovered here"),
        (None, ["127.0.0.1"], "no address that others could reach"),
        (None, ["kitchen.local"], "no address that others could reach"),
    ],
    ids=["no socket", "bound to loopback", "bound to a name"],
)
def test_what_keeps_an_announcement_away_is_told_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    interfaces: list[str] | None,
    addresses: list[str] | None,
    problem: str,
) -> None:
    async def scenario(street: Street) -> None:
        network = Network(interfaces)
        if interfaces is None:  # As on a machine with a network.
            monkeypatch.setattr(Network, "open", lambda self: None)
            monkeypatch.setattr(Network, "addresses", ["192.168.1.5", "127.0.0.1"])
        told: asyncio.Queue[str] = asyncio.Queue()
        advertiser = Advertiser(
            network, port=4984, name="Shop", addresses=addresses, on_problem=told.put_nowait
        )
        advertiser.start()
        sentence = await told.get()
        assert sentence.startswith("'Shop' is not announced on the network yet: ")
        assert problem in sentence
        assert problem in caplog.text
        await advertiser.stop()
        await network.close()

    on_a_street(scenario)


def test_an_announcement_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "ANNOUNCE_RETRY_S", 0.001)

    async def scenario(street: Street) -> None:
        network = Network(["203.0.113.99"])
        told: asyncio.Queue[str] = asyncio.Queue()
        advertiser = Advertiser(network, port=4984, on_problem=told.put_nowait)
        advertiser.start()
        for _ in range(3):
            await told.get()
        await advertiser.stop()
        await network.close()

    on_a_street(scenario)


def announced(**options: Any) -> ServiceInfo:
    """What an advertiser would send, without sending it."""
    network = Network(LOOPBACK)
    network._current = network._listed()
    return Advertiser(network, port=4984, clock=SeededClock(), **options)._service()


def test_the_record_holds_version_identity_tls_and_path() -> None:
    colons = ":".join(FINGERPRINT[i : i + 2] for i in range(0, 64, 2)).upper()
    info = announced(name="Kitchen", path="/inventory", identity=colons)
    assert info.type == f"{SERVICE_TYPE}.local."
    assert info.name == f"Kitchen.{SERVICE_TYPE}.local."
    assert info.port == 4984
    assert info.decoded_properties == {
        "v": "1",
        "tls": "1",
        "id": FINGERPRINT[:16],
        "path": "/inventory",
    }
    assert info.host_ttl == info.other_ttl == 120


@pytest.mark.sec("SEC-31")
def test_a_private_announcement_tells_nothing() -> None:
    info = announced(name="private", path="/inventory", identity=FINGERPRINT)
    assert info.name == f"abababababab.{SERVICE_TYPE}.local."
    assert info.server == "settee-abababababababab.local."
    assert info.properties == {}


def test_true_announces_the_devices_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery.socket, "gethostname", lambda: "kitchen-pi.local")
    assert announced(name=True).name == f"kitchen-pi.{SERVICE_TYPE}.local."
    monkeypatch.setattr(discovery.socket, "gethostname", lambda: "")
    assert announced(name=True).name == f"settee.{SERVICE_TYPE}.local."


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Bob's till no. 2", "Bob's till no. 2"),
        ("Küche", "Küche"),
        ("x" * 58, "x" * 58),
        ("x" * 59, "x" * 58),
        ("é" * 40, "é" * 29),
        ("鍵" * 30, "鍵" * 19),
    ],
)
def test_names_may_be_any_text_and_are_cut_between_characters(name: str, expected: str) -> None:
    assert announced(name=name).name == f"{expected}.{SERVICE_TYPE}.local."


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x00", "\x7f", "\ud800"])
def test_names_that_cannot_be_announced_are_refused_at_once(name: str) -> None:
    with pytest.raises(ConfigError, match="can't be announced as a name"):
        announced(name=name)


@pytest.mark.parametrize("path", ["inventory", "/a b", "/a?b", "/a#b", "/é", "/" + "x" * 241])
def test_paths_that_cannot_be_announced_are_refused_at_once(path: str) -> None:
    with pytest.raises(ConfigError, match="can't be announced"):
        announced(name="Kitchen", path=path)


def test_the_longest_path_fits_the_record() -> None:
    info = announced(name="Kitchen", path="/" + "x" * 240, identity=FINGERPRINT)
    assert len(info.text) <= 400


@pytest.mark.parametrize("service_type", ["", "_x", "x._tcp", "_a b._tcp", "_x._tcp.example."])
def test_what_is_no_service_type_is_refused(service_type: str) -> None:
    with pytest.raises(ConfigError, match="is no service type"):
        announced(service_type=service_type)


@pytest.mark.parametrize("ending", ["", ".local", ".local."])
def test_a_service_type_may_name_its_domain(ending: str) -> None:
    assert announced(service_type=f"_x._tcp{ending}").type == "_x._tcp.local."


def test_scopes_and_loopback_are_not_announced_to_a_network() -> None:
    network = Network(["127.0.0.1", "192.168.1.5"])
    network._current = network._listed()
    given = ["192.168.1.5", "fe80::1%4", "127.0.0.1"]
    info = Advertiser(network, port=1, name="x", addresses=given)._service()
    assert info.parsed_addresses() == ["192.168.1.5", "fe80::1"]


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::", ""])
def test_an_address_that_stands_for_all_announces_all(everywhere: str) -> None:
    network = Network(["192.168.1.5", "192.168.1.6"])
    network._current = network._listed()
    info = Advertiser(network, port=1, name="x", addresses=[everywhere])._service()
    assert info.parsed_addresses() == ["192.168.1.5", "192.168.1.6"]


def test_localhost_is_an_address_too() -> None:
    assert announced(name="x", addresses=["localhost"]).parsed_addresses() == LOOPBACK


# --- what others announce -------------------------------------------------------------------------


def info(addresses: list[str], properties: dict[Any, Any] | bytes = b"", **options: Any) -> Any:
    full = f"{SERVICE_TYPE}.local."
    options = {"port": 4984, "server": "x.local."} | options
    return AsyncServiceInfo(
        full, f"x.{full}", parsed_addresses=addresses, properties=properties, **options
    )


@pytest.mark.sec("SEC-30")
def test_addresses_are_sorted_bounded_and_rid_of_what_nobody_can_dial() -> None:
    given = ["fe80::1", "0.0.0.0", "fd00::2", "127.0.0.1", "224.0.0.1", "192.168.1.5"]
    found = peer_from(info(given), "x", loopback=False)
    assert found is not None
    assert found.addresses == ("192.168.1.5", "fd00::2", "fe80::1")
    assert found.urls == ["wss://192.168.1.5:4984", "wss://[fd00::2]:4984"]

    here = peer_from(info(given), "x", loopback=True)
    assert here is not None
    assert here.addresses[-1] == "127.0.0.1"

    many = peer_from(info([f"10.0.{i}.1" for i in range(200)]), "x", loopback=False)
    assert many is not None
    assert len(many.addresses) == PEER_ADDRESSES_MAX


def test_a_scope_is_part_of_the_url() -> None:
    found = PeerFound("x", "x.local", ("fe80::1%4",), 4984, path="/db")
    assert found.urls == ["wss://[fe80::1%254]:4984/db"]


@pytest.mark.parametrize(
    ("addresses", "port"),
    [([], 4984), (["127.0.0.1"], 4984), (["0.0.0.0"], 4984), (["10.0.0.1"], 0)],
)
def test_what_cannot_be_dialled_is_no_peer(addresses: list[str], port: int) -> None:
    assert peer_from(info(addresses, port=port), "x", loopback=False) is None


@pytest.mark.sec("SEC-30")
@pytest.mark.parametrize(
    ("properties", "path", "tls", "identity"),
    [
        (b"", "", None, None),
        ({"path": "/db", "tls": "1", "id": FINGERPRINT[:16]}, "/db", True, FINGERPRINT[:16]),
        ({"tls": "0"}, "", False, None),
        ({"tls": "yes"}, "", None, None),
        ({"tls": None, "path": None, "id": None}, "", None, None),
        ({"path": "db"}, "", None, None),
        ({"path": "/a\r\nX: y"}, "", None, None),
        ({"path": "/" + "x" * 245}, "", None, None),
        ({"path": b"/\xff\xfe"}, "", None, None),
        ({"id": FINGERPRINT}, "", None, None),
        ({"id": FINGERPRINT[:16].upper()}, "", None, None),
        ({"id": "\x1b[31m"}, "", None, None),
        (b"\xff" * 300, "", None, None),
        (b"\x00\x00\x05tls=1", "", True, None),
    ],
)
def test_what_has_not_its_form_counts_as_not_told(
    properties: Any, path: str, tls: bool | None, identity: str | None
) -> None:
    found = peer_from(info(["10.0.0.1"], properties), "x", loopback=False)
    assert found is not None
    assert (found.path, found.tls, found.id) == (path, tls, identity)


@pytest.mark.sec("SEC-38")
def test_names_are_made_safe_to_show() -> None:
    found = peer_from(info(["10.0.0.1"], server="\x1b[2J.local."), "a\nb\x1b[31m", loopback=False)
    assert found is not None
    assert found.name == "a\\x0ab\\x1b[31m"
    assert found.host == "\\x1b[2J.local"
