"""Which interfaces discovery speaks on, and what it does when some of them refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from settee.errors import ConnectionFailedError
from settee.net import multicast
from settee.net.interfaces import InterfaceAddress
from settee.net.multicast import Network, _choice

LO = InterfaceAddress("lo", 1, "127.0.0.1")
WIFI4 = InterfaceAddress("wlan0", 3, "192.168.1.5")
WIFI6 = InterfaceAddress("wlan0", 3, "fd00::2")
WIFI_LINK = InterfaceAddress("wlan0", 3, "fe80::1")
TUNNEL6 = InterfaceAddress("tun0", 7, "fd00::9")


class Sockets:
    """In place of zeroconf: writes down what was opened, and follows changes."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.opened: list[list[str | int]] = []
        self.updated: list[list[str | int]] = []
        self.update_error: OSError | None = None
        self.closed = 0

    def __call__(self, *, interfaces: list[str | int]) -> Sockets:
        self.opened.append(interfaces)
        return self

    async def async_update_interfaces(self, interfaces: list[str | int]) -> None:
        if self.update_error is not None:
            raise self.update_error
        self.updated.append(interfaces)

    async def async_close(self) -> None:
        self.closed += 1

    def try_out(self, one: InterfaceAddress) -> None:
        if one.address in self.refused:
            raise OSError(19, "No such device")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[InterfaceAddress]:
    """The addresses that the machine has; a test may change the list."""
    has: list[InterfaceAddress] = [WIFI4, WIFI6, WIFI_LINK]

    def listed(*, loopback: bool = False) -> list[InterfaceAddress]:
        return [*has, LO] if loopback or not has else list(has)

    monkeypatch.setattr(multicast, "interface_addresses", listed)
    return has


def sockets(monkeypatch: pytest.MonkeyPatch, *refused: str) -> Sockets:
    made = Sockets()
    made.refused |= set(refused)
    monkeypatch.setattr(multicast, "AsyncZeroconf", made)
    monkeypatch.setattr(multicast, "_try_out", made.try_out)
    return made


async def until(condition: Callable[[], bool]) -> None:
    while True:
        if condition():
            return
        await asyncio.sleep(0)


def run(scenario: Any) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(5):
            await scenario()

    asyncio.run(bounded())


def test_ipv4_is_chosen_by_address_and_ipv6_by_interface() -> None:
    assert _choice([WIFI4, WIFI6, WIFI_LINK]) == ["192.168.1.5", 3]
    assert _choice([WIFI4, TUNNEL6]) == ["192.168.1.5", 7]
    assert _choice([WIFI_LINK, WIFI_LINK._replace(address="fe80::2")]) == [3]


def test_all_interfaces_but_loopback_are_used(
    machine: list[InterfaceAddress], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sockets(monkeypatch)

    async def scenario() -> None:
        network = Network()
        assert network.open() is network.open()
        assert made.opened == [["192.168.1.5", 3]]
        assert network.addresses == ["192.168.1.5", "fd00::2", "fe80::1%3"]
        assert not network.is_loopback
        await network.close()
        await network.close()
        assert made.closed == 1

    run(scenario)


def test_given_addresses_are_used_and_no_others(
    machine: list[InterfaceAddress], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sockets(monkeypatch)

    async def scenario() -> None:
        network = Network(["127.0.0.1"])
        network.open()
        assert made.opened == [["127.0.0.1"]]
        assert network.addresses == ["127.0.0.1"]
        assert network.is_loopback
        await network.close()

    run(scenario)


def test_a_machine_without_a_network_keeps_to_loopback(
    machine: list[InterfaceAddress], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.clear()
    made = sockets(monkeypatch)

    async def scenario() -> None:
        network = Network()
        network.open()
        assert made.opened == [["127.0.0.1"]]
        await network.close()

    run(scenario)


def test_loopback_is_not_announced_beside_a_network(
    machine: list[InterfaceAddress], monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets(monkeypatch)

    async def scenario() -> None:
        network = Network(["127.0.0.1", "192.168.1.5"])
        network.open()
        assert network.addresses == ["192.168.1.5"]
        assert network.is_loopback
        await network.close()

    run(scenario)


@pytest.mark.parametrize(
    ("refused", "opened"),
    [
        (("fd00::2", "fe80::1"), ["192.168.1.5"]),
        (("192.168.1.5",), [3]),
        (("192.168.1.5", "fd00::2", "fe80::1"), ["127.0.0.1"]),
    ],
    ids=["no IPv6", "no IPv4", "neither"],
)
def test_an_interface_that_refuses_takes_no_other_down(
    machine: list[InterfaceAddress],
    monkeypatch: pytest.MonkeyPatch,
    refused: tuple[str, ...],
    opened: list[str | int],
) -> None:
    made = sockets(monkeypatch, *refused)

    async def scenario() -> None:
        network = Network()
        network.open()
        assert made.opened == [opened]
        await network.close()

    run(scenario)


def test_when_nothing_opens_the_error_says_why_of_each(
    machine: list[InterfaceAddress], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sockets(monkeypatch, "192.168.1.5", "fe80::1", "fd00::2", "127.0.0.1")

    async def scenario() -> None:
        network = Network()
        for _ in range(2):
            with pytest.raises(ConnectionFailedError) as caught:
                network.open()
            for address in ("192.168.1.5", "fd00::2", "fe80::1"):
                assert f"{address}: No such device" in str(caught.value)
        assert made.opened == []
        await network.close()

    run(scenario)


def test_an_address_that_is_not_ours_is_refused_by_the_real_socket() -> None:
    with pytest.raises(OSError, match=r".+"):
        multicast._try_out(InterfaceAddress("", 0, "203.0.113.99"))


def test_a_change_of_addresses_is_followed_and_told(
    machine: list[InterfaceAddress], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multicast, "INTERFACES_POLL_S", 0.001)
    made = sockets(monkeypatch)

    async def scenario() -> None:
        network = Network()
        network.open()
        told = asyncio.Event()
        unwatch = network.on_change(told.set)
        machine[:] = [TUNNEL6]
        await told.wait()
        assert made.updated == [[7]]
        assert network.addresses == ["fd00::9"]

        unwatch()
        unwatch()
        told.clear()
        machine[:] = [WIFI4]
        await until(lambda: network.addresses == ["192.168.1.5"])
        assert not told.is_set()
        await network.close()

    run(scenario)


def test_a_machine_that_stays_as_it_is_is_left_alone(
    machine: list[InterfaceAddress], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multicast, "INTERFACES_POLL_S", 0.001)
    made = sockets(monkeypatch)
    listed, looks = multicast.interface_addresses, 0

    def counted(*, loopback: bool = False) -> list[InterfaceAddress]:
        nonlocal looks
        looks += 1
        return listed(loopback=loopback)

    monkeypatch.setattr(multicast, "interface_addresses", counted)

    async def scenario() -> None:
        network = Network()
        network.open()
        await until(lambda: looks > 5)
        assert made.updated == []
        machine[:] = [TUNNEL6]
        await until(lambda: looks > 15)
        assert made.updated == [[7]]
        await network.close()

    run(scenario)


def test_a_change_that_cannot_be_followed_is_warned_of_and_tried_again(
    machine: list[InterfaceAddress],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(multicast, "INTERFACES_POLL_S", 0.001)
    made = sockets(monkeypatch)

    async def scenario() -> None:
        network = Network()
        network.open()
        made.update_error = OSError(19, "No such device")
        machine[:] = [TUNNEL6]
        await until(lambda: bool(caplog.records))
        assert "can't follow the change of addresses" in caplog.text
        assert network.addresses == ["192.168.1.5", "fd00::2", "fe80::1%3"]
        made.update_error = None
        await until(lambda: network.addresses == ["fd00::9"])
        await network.close()

    run(scenario)


def test_real_sockets_open_on_loopback_and_close() -> None:
    async def scenario() -> None:
        network = Network(["127.0.0.1"])
        network.open()
        await network.close()

    run(scenario)
