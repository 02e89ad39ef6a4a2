"""The machine's addresses, in the order in which they are worth a try."""

from __future__ import annotations

from types import SimpleNamespace

import ifaddr
import pytest

from settee.net.interfaces import InterfaceAddress, address_rank, interface_addresses


def machine(monkeypatch: pytest.MonkeyPatch, **adapters: list[object]) -> None:
    listed = [
        SimpleNamespace(nice_name=name, index=i, ips=[SimpleNamespace(ip=ip) for ip in ips])
        for i, (name, ips) in enumerate(adapters.items(), start=3)
    ]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: listed)


LOOPBACK = ["127.0.0.1", ("::1", 0, 0)]
WIFI = [("fe80::1", 0, 4), ("fd00::2", 0, 0), "169.254.1.1", "192.168.1.5"]


def test_addresses_that_work_everywhere_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, lo=LOOPBACK, wlan0=WIFI)
    assert [one.scoped for one in interface_addresses()] == [
        "192.168.1.5",
        "fd00::2",
        "169.254.1.1",
        "fe80::1%4",
    ]


def test_loopback_is_listed_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, lo=LOOPBACK, wlan0=WIFI[-1:])
    listed = interface_addresses(loopback=True)
    assert [one.address for one in listed] == ["192.168.1.5", "127.0.0.1", "::1"]
    assert [one.interface for one in listed] == ["wlan0", "lo", "lo"]


def test_loopback_is_listed_when_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, lo=LOOPBACK)
    assert [one.address for one in interface_addresses()] == ["127.0.0.1", "::1"]


def test_a_machine_that_cannot_be_asked_has_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(ifaddr, "get_adapters", refuse)
    assert interface_addresses() == [InterfaceAddress("lo", 0, "127.0.0.1")]


def test_the_real_machine_answers() -> None:
    assert any(one.is_loopback for one in interface_addresses(loopback=True))


@pytest.mark.parametrize(
    ("address", "rank"),
    [
        ("192.168.1.5", 0),
        ("8.8.8.8", 0),
        ("2001:db8::1", 1),
        ("fd00::1", 1),
        ("169.254.7.7", 2),
        ("fe80::1%eth0", 3),
        ("fe80::1%4", 3),
        ("fe80::1", 4),
        ("0.0.0.0", 5),
        ("::", 5),
        ("224.0.0.251", 5),
        ("ff02::fb", 5),
        ("kitchen.local", 5),
        ("", 5),
        ("127.0.0.1", 6),
        ("127.8.8.8", 6),
        ("::1", 6),
    ],
)
def test_each_kind_of_address_has_its_rank(address: str, rank: int) -> None:
    assert address_rank(address) == rank


def test_only_a_link_local_address_carries_its_scope() -> None:
    assert InterfaceAddress("eth0", 4, "fe80::1").scoped == "fe80::1%4"
    assert InterfaceAddress("eth0", 4, "fd00::1").scoped == "fd00::1"
    assert InterfaceAddress("eth0", 4, "169.254.1.1").scoped == "169.254.1.1"
