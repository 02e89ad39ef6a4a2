"""The machine's own addresses: where a listener can be reached, where discovery speaks.

Python's library lists interface names but not their addresses; `ifaddr`, which `zeroconf` is built
on, does.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

import ifaddr

__all__ = [
    "InterfaceAddress",
    "address_rank",
    "addresses_of_interface",
    "interface_addresses",
]


class InterfaceAddress(NamedTuple):
    """One address of one network interface."""

    interface: str
    """The interface's name, such as ``eth0``."""
    interface_index: int
    """The interface's number; an IPv6 link-local address is of no use without it."""
    address: str
    """IPv4 or IPv6, without a scope."""

    @property
    def is_ipv6(self) -> bool:
        """Whether it is an IPv6 address."""
        return ":" in self.address

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.address).is_loopback

    @property
    def is_link_local(self) -> bool:
        """Whether it is good on its own link only."""
        return ipaddress.ip_address(self.address).is_link_local

    @property
    def scoped(self) -> str:
        """The address with its scope where it needs one: ``fe80::1%4``."""
        needs = self.is_ipv6 and self.is_link_local and self.interface_index
        return f"{self.address}%{self.interface_index}" if needs else self.address


def interface_addresses(*, loopback: bool = False) -> list[InterfaceAddress]:
    """List the machine's addresses, the most useful first.

    IPv4 and global IPv6 come before addresses that are good on one link only. Loopback addresses
    are listed if `loopback` is true, or if there are no others (a machine without a network). Never
    raises: a machine that can't be asked has only 127.0.0.1.
    """
    try:
        adapters = list(ifaddr.get_adapters())
    except OSError:
        adapters = []
    found = [
        InterfaceAddress(
            adapter.nice_name, adapter.index or 0, ip.ip[0] if isinstance(ip.ip, tuple) else ip.ip
        )
        for adapter in adapters
        for ip in adapter.ips
    ]
    found.sort(key=lambda one: address_rank(one.address))
    if not found:
        found = [InterfaceAddress("lo", 0, "127.0.0.1")]
    others = [one for one in found if not one.is_loopback]
    return found if loopback or not others else others


def addresses_of_interface(name: str) -> list[InterfaceAddress]:
    """Return the addresses of the network interface with this name; none if there is none."""
    return [one for one in interface_addresses(loopback=True) if one.interface == name]


def address_rank(address: str) -> int:
    """Tell how soon an address is worth a try; lower is sooner. Scopes are allowed.

    0 IPv4, 1 IPv6, 2 IPv4 link-local, 3 IPv6 link-local with its scope, 4 without (it can't be
    dialled), 5 what is no address of a machine, 6 loopback.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return 5
    if ip.is_loopback:
        return 6
    if ip.is_unspecified or ip.is_multicast:
        return 5
    if isinstance(ip, ipaddress.IPv4Address):
        return 2 if ip.is_link_local else 0
    if ip.is_link_local:
        return 3 if ip.scope_id else 4
    return 1
