"""Sockets to listen on: IPv4 and IPv6, one port for all."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sys
from typing import Final

from settee.errors import ConfigError
from settee.limits import ACCEPT_BACKLOG
from settee.logs import printable
from settee.net.interfaces import addresses_of_interface

__all__ = ["listen"]

_SAME_PORT_TRIES: Final = 10


async def listen(host: str | None, port: int) -> list[socket.socket]:
    """Return listening sockets, all with the same port.

    `host`: an address or a name of this machine, the name of a network interface (all of whose
    addresses are then listened on), or None for all addresses. `port`: 0 lets the
    system choose. Raises ConfigError: no such address here, the port is taken or not allowed.
    """
    wanted: list[tuple[int, str, int]] = [
        (socket.AF_INET, "0.0.0.0", 0),  # noqa: S104 - the caller asked for all
        (socket.AF_INET6, "::", 0),
    ]
    if host is not None:
        wanted = await _resolve_own(host)
    for attempt in range(_SAME_PORT_TRIES):
        sockets: list[socket.socket] = []
        try:
            for family, address, scope in wanted:
                with contextlib.ExitStack() as undo:
                    sock = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
                    chosen = sockets[0].getsockname()[1] if sockets else port
                    try:
                        _listen(sock, address, chosen, scope)
                    except OSError as exc:
                        if host is None and sockets and exc.errno != errno.EADDRINUSE:
                            continue  # A machine without IPv6.
                        raise
                    undo.pop_all()
                    sockets.append(sock)
        except OSError as exc:
            for sock in sockets:
                sock.close()
            taken = exc.errno == errno.EADDRINUSE
            if taken and port == 0 and attempt < _SAME_PORT_TRIES - 1:
                continue
            raise _not_bound(host, port, exc) from None
        return sockets
    raise AssertionError("the loop returns or raises")


def _listen(sock: socket.socket, address: str, port: int, scope: int) -> None:
    if sys.platform == "win32":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setblocking(False)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port, 0, scope))
    else:
        sock.bind((address, port))
    sock.listen(ACCEPT_BACKLOG)


async def _resolve_own(host: str) -> list[tuple[int, str, int]]:
    interface = addresses_of_interface(host)
    if interface:
        return [
            (
                socket.AF_INET6 if one.is_ipv6 else socket.AF_INET,
                one.address,
                one.interface_index if one.is_ipv6 and one.is_link_local else 0,
            )
            for one in interface
        ]
    bare, flags = host.strip("[]"), socket.AI_PASSIVE
    try:
        try:
            # An address needs no resolver; and uvloop's would lose the scope of a link-local one.
            numeric = flags | socket.AI_NUMERICHOST
            found = socket.getaddrinfo(bare, None, type=socket.SOCK_STREAM, flags=numeric)
        except socket.gaierror:
            found = await asyncio.get_running_loop().getaddrinfo(
                bare, None, type=socket.SOCK_STREAM, flags=flags
            )
    except (OSError, UnicodeError) as exc:
        raise ConfigError(
            "host", f"{printable(host)!r} is no address or name, and no network interface: {exc}"
        ) from None
    return list(
        dict.fromkeys(
            (family, str(address[0]).split("%")[0], int(address[3]) if len(address) == 4 else 0)
            for family, _, _, _, address in found
        )
    )


def _not_bound(host: str | None, port: int, exc: OSError) -> ConfigError:
    if exc.errno == errno.EADDRINUSE:
        return ConfigError("port", f"{port} is in use; take another, or 0 for any free one")
    if exc.errno == errno.EADDRNOTAVAIL:
        return ConfigError("host", f"{host} is not an address of this machine")
    if exc.errno == errno.EACCES:
        return ConfigError("port", f"{port} may not be used by this user; take one above 1023")
    return ConfigError("host", f"can't listen on {host or 'all addresses'}:{port}: {exc.strerror}")
