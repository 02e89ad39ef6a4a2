"""From a name and a port to a connected socket: all addresses, the quickest wins.

The next address is tried beside one that does not answer within a quarter of a second (RFC 8305),
so that a dead IPv6 route costs no more than that.

Source of the error numbers and of what is transient: wire protocol 9.4.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import deque
from itertools import chain, zip_longest
from typing import Any, Final, NamedTuple

from settee.errors import ConfigError, ConnectionFailedError, SyncError
from settee.limits import DIAL_STAGGER_S
from settee.logs import printable
from settee.net.interfaces import addresses_of_interface
from settee.net.wire import send_at_once

__all__ = ["Route", "connect", "scoped", "waits_for_network"]

_DNS_FAILURE: Final = 1
_UNKNOWN_HOST: Final = 2
_TIMEOUT: Final = 3

_CODES: Final = {
    errno.ETIMEDOUT: _TIMEOUT,
    errno.ENETRESET: 16,
    errno.ECONNABORTED: 17,
    errno.ECONNRESET: 18,
    errno.ECONNREFUSED: 19,
    errno.ENETDOWN: 20,
    errno.ENETUNREACH: 21,
    errno.ENOTCONN: 22,
    errno.EHOSTDOWN: 23,
    errno.EHOSTUNREACH: 24,
    errno.EADDRNOTAVAIL: 25,
    errno.EPIPE: 26,
}
"""The system's errors as Couchbase Lite's of the domain ``"Network"``."""

_TRANSIENT: Final = frozenset({_DNS_FAILURE, _TIMEOUT, 16, 17, 18, 19})
_WAITS: Final = frozenset({_DNS_FAILURE, _UNKNOWN_HOST, _TIMEOUT, *range(20, 28)})

_WORDS: Final = {
    errno.ECONNREFUSED: "nothing listens there",
    errno.ENETUNREACH: "no route to that network",
    errno.EHOSTUNREACH: "no route to that host",
    errno.ETIMEDOUT: "no answer",
}


class Route(NamedTuple):
    """Where to connect to."""

    host: str
    port: int
    connect_s: float
    """For one address to answer."""
    local_address: str | None
    """The own address, or the name of the network interface, to connect from."""
    where: str
    """Host and port, for messages."""


class _Address(NamedTuple):
    family: int
    sockaddr: Any


def scoped(sockaddr: Any) -> str:
    """Return the address of a socket as text; a link-local IPv6 one with its scope."""
    address = str(sockaddr[0])
    scope = sockaddr[3] if len(sockaddr) == 4 else 0
    return f"{address}%{scope}" if scope and "%" not in address else address


def waits_for_network(error: SyncError) -> bool:
    """Whether an error may go away by itself when the network changes.

    A continuous replication goes on trying after these too, transient or not (wire protocol 9.4).
    """
    return error.domain == "Network" and error.code in _WAITS


async def connect(route: Route) -> socket.socket:
    """Return a connected, non-blocking socket to the first address that answers.

    Raises ConnectionFailedError, which tells about every address that was tried, or ConfigError if
    the source address is not of this machine.
    """
    waiting = deque(await _resolve(route))
    tasks: dict[asyncio.Task[socket.socket], _Address] = {}
    failures: list[tuple[_Address, OSError | TimeoutError]] = []
    try:
        while waiting or tasks:
            if waiting:
                address = waiting.popleft()
                tasks[asyncio.create_task(_try(route, address))] = address
            done, _ = await asyncio.wait(
                tasks,
                timeout=DIAL_STAGGER_S if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                address = tasks.pop(task)
                try:
                    return task.result()
                except OSError as exc:
                    failures.append((address, exc))
    finally:
        await _drop(list(tasks))
    raise _failed(route, failures)


async def _try(route: Route, address: _Address) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        send_at_once(sock)
        if route.local_address is not None:
            _bind_source(sock, route.local_address)
        async with asyncio.timeout(route.connect_s):
            await _connect(sock, address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


async def _connect(sock: socket.socket, sockaddr: Any) -> None:
    loop = asyncio.get_running_loop()
    if len(sockaddr) < 4 or not sockaddr[3] or isinstance(loop, asyncio.BaseEventLoop):
        await loop.sock_connect(sock, sockaddr)
        return
    # uvloop would lose the scope, without which a link-local address leads nowhere.
    number = sock.connect_ex(sockaddr)
    if number == errno.EINPROGRESS:
        connected = asyncio.Event()
        loop.add_writer(sock, connected.set)
        try:
            await connected.wait()
        finally:
            loop.remove_writer(sock)
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))


def _bind_source(sock: socket.socket, local: str) -> None:
    is_ipv6 = sock.family == socket.AF_INET6
    for source in _sources(local):
        if (":" in source) == is_ipv6:
            break
    else:
        source = local
    try:
        flags = socket.AI_NUMERICHOST
        found = socket.getaddrinfo(source, 0, type=socket.SOCK_STREAM, flags=flags)
        sock.bind(found[0][4])
    except OSError as exc:
        raise ConfigError(
            "local_address",
            f"{printable(local)} is not an address or interface of this machine that can be used: "
            f"{exc}",
        ) from None


def _sources(local: str) -> list[str]:
    """Return the own addresses that an address or an interface's name stands for."""
    return [one.scoped for one in addresses_of_interface(local)] or [local.strip("[]")]


async def _drop(tasks: list[asyncio.Task[socket.socket]]) -> None:
    """End the attempts that are not needed any more, and those that have won too late."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and task.exception() is None:
            task.result().close()


async def _resolve(route: Route) -> list[_Address]:
    """Return the addresses of a host, families in turn."""
    host = route.host.strip("[]")
    try:
        # An address needs no resolver, and no thread.
        found = socket.getaddrinfo(
            host, route.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except (socket.gaierror, UnicodeError):
        try:
            async with asyncio.timeout(route.connect_s):
                found = await asyncio.get_running_loop().getaddrinfo(
                    host, route.port, type=socket.SOCK_STREAM
                )
        except (OSError, UnicodeError) as exc:
            raise _unresolved(route, exc) from None
    addresses = [_Address(family, sockaddr) for family, _, _, _, sockaddr in found]
    if route.local_address is not None:
        families = {
            socket.AF_INET6 if ":" in source else socket.AF_INET
            for source in _sources(route.local_address)
        }
        addresses = [address for address in addresses if address.family in families]
    first = addresses[0].family if addresses else 0
    pairs = zip_longest(
        [address for address in addresses if address.family == first],
        [address for address in addresses if address.family != first],
    )
    return [address for address in chain.from_iterable(pairs) if address is not None]


def _unresolved(route: Route, exc: Exception) -> ConnectionFailedError:
    name = printable(route.host)
    if isinstance(exc, socket.gaierror) and exc.errno != socket.EAI_AGAIN:
        return ConnectionFailedError(
            f"there is no host {name!r}; check the spelling, or whether it is switched on",
            domain="Network",
            code=_UNKNOWN_HOST,
            transient=False,
        )
    if isinstance(exc, UnicodeError):
        return ConnectionFailedError(
            f"{name!r} can't be the name of a host",
            domain="Network",
            code=_UNKNOWN_HOST,
            transient=False,
        )
    return ConnectionFailedError(
        f"the name {name!r} can't be looked up just now; is there a network?",
        domain="Network",
        code=_DNS_FAILURE,
    )


def _failed(
    route: Route, failures: list[tuple[_Address, OSError | TimeoutError]]
) -> ConnectionFailedError:
    if not failures:
        return ConnectionFailedError(
            f"{route.where} has no address of the same kind as {route.local_address}",
            domain="Network",
            code=25,
            transient=False,
        )
    told, codes = [], []
    for address, exc in failures:
        number = errno.ETIMEDOUT if isinstance(exc, TimeoutError) else exc.errno or 0
        codes.append(_CODES.get(number, 24))
        words = _WORDS.get(number) or exc.strerror or type(exc).__name__
        if number == errno.ETIMEDOUT:
            words += f" within {route.connect_s:g} s"
        told.append(f"{address.sockaddr[0]}: {words}")
    code = next((code for code in codes if code in _TRANSIENT), codes[0])
    return ConnectionFailedError(
        f"can't connect to {route.where} ({'; '.join(told)})",
        domain="Network",
        code=code,
        transient=code in _TRANSIENT,
    )
