"""The multicast sockets that discovery speaks through, on the right interfaces.

One set of sockets serves all that announces and browses on a loop. It follows the machine as it
changes networks, and makes do with what there is: a bad interface takes no other one down.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Final

from zeroconf import Error as ZeroconfError
from zeroconf.asyncio import AsyncZeroconf

from settee.errors import ConnectionFailedError
from settee.limits import GOODBYE_S, INTERFACES_POLL_S
from settee.logs import printable, room_log
from settee.net.interfaces import InterfaceAddress, interface_addresses

__all__ = ["NETWORK_ERRORS", "Network"]

_log: Final = room_log("net")

NETWORK_ERRORS: Final = (OSError, ZeroconfError, TimeoutError, RuntimeError)
"""What zeroconf and the sockets below it raise for a network that does not play along."""

_LOOPBACK: Final = InterfaceAddress("lo", 0, "127.0.0.1")
# Multicast DNS: the port and the groups.
_PORT: Final = 5353
_GROUP_IPV4: Final = "224.0.0.251"
_GROUP_IPV6: Final = "ff02::fb"


class Network:
    """Multicast sockets on the interfaces to use, shared by what announces and what browses.

    With `interfaces` None these are all but loopback, or loopback where there is nothing else, and
    they are looked at again every ten seconds. Else exactly the given addresses, such as
    ``["127.0.0.1"]`` to keep to this machine. Opens with the first use; needs a running loop.
    """

    def __init__(self, interfaces: Sequence[str] | None = None) -> None:
        self._given: Final = None if interfaces is None else tuple(interfaces)
        self._zeroconf: AsyncZeroconf | None = None
        self._seen: list[InterfaceAddress] = []
        self._current: list[InterfaceAddress] = []
        self._poll: asyncio.TimerHandle | None = None
        self._updating: asyncio.Task[None] | None = None
        self._watchers: list[Callable[[], None]] = []
        self._closed = False

    @property
    def addresses(self) -> list[str]:
        """The addresses in use, as they are announced: loopback only if there is nothing else."""
        reachable = [one for one in self._current if not one.is_loopback]
        return [one.scoped for one in reachable or self._current]

    @property
    def is_loopback(self) -> bool:
        """Whether this machine's loopback is among the interfaces in use."""
        return any(one.is_loopback for one in self._current)

    def open(self) -> AsyncZeroconf:
        """Return the open sockets; raises ConnectionFailedError if there can't be any."""
        assert not self._closed, "the network was closed"
        if self._zeroconf is not None:
            return self._zeroconf
        listed = self._listed()
        chosen, problems = _speaking(listed)
        if not chosen and self._given is None:
            chosen, _ = _speaking([_LOOPBACK])
        try:
            if not chosen:
                raise OSError("; ".join(problems))
            self._zeroconf = AsyncZeroconf(interfaces=_choice(chosen))
        except (*NETWORK_ERRORS, ValueError) as exc:
            raise ConnectionFailedError(
                f"peers can't be discovered here: no multicast socket opens ({exc})",
                domain="Network",
            ) from exc
        self._seen, self._current = listed, chosen
        if self._given is None:
            self._watch()
        return self._zeroconf

    def on_change(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call `watcher` after the addresses changed; returns a function that ends this."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher) if watcher in self._watchers else None

    async def close(self) -> None:
        """Close the sockets, within a second. Idempotent."""
        self._closed = True
        if self._poll is not None:
            self._poll.cancel()
        if self._updating is not None:
            self._updating.cancel()
            await asyncio.gather(self._updating, return_exceptions=True)
        zeroconf, self._zeroconf = self._zeroconf, None
        if zeroconf is not None:
            try:
                async with asyncio.timeout(GOODBYE_S):
                    await zeroconf.async_close()
            except NETWORK_ERRORS as exc:
                _log.debug("= discovery closed with %s", printable(repr(exc)))

    def _listed(self) -> list[InterfaceAddress]:
        if self._given is None:
            return interface_addresses()
        known = {one.address: one for one in interface_addresses(loopback=True)}
        return [known.get(one, InterfaceAddress("", 0, one)) for one in self._given]

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        self._poll = loop.call_later(INTERFACES_POLL_S, self._look)

    def _look(self) -> None:
        listed = self._listed()
        if listed != self._seen and (self._updating is None or self._updating.done()):
            self._updating = asyncio.get_running_loop().create_task(self._update(listed))
        self._watch()

    async def _update(self, listed: list[InterfaceAddress]) -> None:
        assert self._zeroconf is not None, "only an open network is watched"
        wanted = _speaking(listed)[0] or [_LOOPBACK]
        try:
            await self._zeroconf.async_update_interfaces(_choice(wanted))
        except (*NETWORK_ERRORS, ValueError) as exc:
            _log.warning("discovery can't follow the change of addresses: %s", exc)
            return
        self._seen = listed
        _log.info("discovery now uses %s", ", ".join(one.address for one in wanted))
        self._current = wanted
        for watcher in tuple(self._watchers):
            watcher()


def _choice(chosen: list[InterfaceAddress]) -> list[str | int]:
    """As zeroconf takes it: IPv4 by address, IPv6 by the index of its interface, each once."""
    return list(
        dict.fromkeys(
            one.interface_index if one.is_ipv6 and one.interface_index else one.address
            for one in chosen
        )
    )


def _speaking(
    listed: list[InterfaceAddress],
) -> tuple[list[InterfaceAddress], list[str]]:
    """Sort out, with a reason each, what takes no multicast: a tunnel, IPv6 switched off.

    One that refuses would take all the others down, and zeroconf leaves its sockets open then.
    """
    chosen: list[InterfaceAddress] = []
    problems: list[str] = []
    for one in listed:
        try:
            _try_out(one)
        except OSError as exc:
            problems.append(f"{one.address}: {exc.strerror or exc}")
        else:
            chosen.append(one)
    return chosen, problems


def _try_out(one: InterfaceAddress) -> None:
    """Open a socket as zeroconf will, join the group on this interface, and close it."""
    family = socket.AF_INET6 if one.is_ipv6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        tried.bind(("", _PORT))
        if one.is_ipv6:
            group = socket.inet_pton(family, _GROUP_IPV6) + struct.pack("@I", one.interface_index)
            tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        else:
            group = socket.inet_aton(_GROUP_IPV4) + socket.inet_aton(one.address)
            tried.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
