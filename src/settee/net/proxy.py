"""HTTP proxies: which one a connection goes through, and the tunnel that it opens there.

A tunnel (``CONNECT``) is asked for with ``ws`` as with ``wss``. The proxy is shown its own
credentials and the name of the target, nothing that is meant for the peer. The environment is read
only where that was asked for.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import urllib.request
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from settee.errors import (
    AuthenticationError,
    ConfigError,
    ConnectionFailedError,
    NotAPeerError,
    RefusedError,
)
from settee.logs import printable
from settee.net.http1 import ResponseHead, ResponseReader

__all__ = ["FROM_ENVIRONMENT", "Proxies", "Proxy", "open_tunnel"]

FROM_ENVIRONMENT: Final = "env"
"""Asks for the proxy that the environment names."""

_TRANSIENT: Final = frozenset({408, 429, 502, 503, 504})
_READ_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Proxy:
    """One HTTP proxy."""

    host: str
    port: int
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    """User and password for the proxy itself."""

    @property
    def where(self) -> str:
        """Host and port, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{printable(host)}:{self.port}"

    @classmethod
    def parse(cls, url: str, *, named_by: str = "proxy") -> Proxy:
        """Read ``http://user:password@host:port``; `named_by` is what a ConfigError names.

        The message never repeats the URL, which may hold a password.
        """
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port
        except ValueError:
            raise ConfigError(named_by, "is not a URL such as http://host:3128") from None
        if parts.scheme != "http":
            raise ConfigError(
                named_by,
                f"{printable(parts.scheme)}:// proxies can't be used, only http:// ones (what goes "
                "through is encrypted end to end all the same with wss://)",
            )
        if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ConfigError(named_by, "is not a URL such as http://host:3128")
        credentials = None
        if parts.username is not None:
            credentials = (unquote(parts.username), unquote(parts.password or ""))
        return cls(unquote(parts.hostname), port or 80, credentials)


@dataclass(frozen=True, slots=True)
class Proxies:
    """Which proxy is used for which target."""

    always: Proxy | None = None
    """For all targets."""
    from_environment: bool = False
    """Whether the environment is asked, each time."""

    @classmethod
    def parse(cls, given: str | None) -> Proxies:
        """Read the option ``proxy=``: a URL, ``"env"`` or None."""
        if given is None:
            return cls()
        if not isinstance(given, str) or not given:
            raise ConfigError("proxy", 'must be a URL such as http://host:3128, or "env"')
        if given == FROM_ENVIRONMENT:
            return cls(from_environment=True)
        return cls(Proxy.parse(given))

    def for_target(self, *, secure: bool, host: str, port: int) -> Proxy | None:
        """Return the proxy for a target, or None to connect to it directly.

        Raises ConfigError, naming the variable, if the environment has one that can't be used.
        """
        if not self.from_environment:
            return self.always
        named = urllib.request.getproxies_environment()
        bare = host.strip("[]").partition("%")[0]
        if _is_direct(bare, port, named.get("no", "")):
            return None
        scheme = "https" if secure else "http"
        for name in (scheme, "all"):
            if named.get(name):
                return Proxy.parse(named[name], named_by=f"{name}_proxy")
        return None


def _is_direct(host: str, port: int, without: str) -> bool:
    """Whether ``no_proxy`` names a host: itself, with its port, or a domain above it."""
    host = host.lower().rstrip(".")
    for item in without.split(","):
        name = item.strip().lower().lstrip(".")
        if name == "*":
            return True
        if name and (host == name or f"{host}:{port}" == name or host.endswith("." + name)):
            return True
    return False


async def open_tunnel(sock: socket.socket, proxy: Proxy, *, host: str, port: int) -> None:
    """Have a proxy, to which `sock` is connected, connect that on to a host.

    Raises AuthenticationError (407), RefusedError, NotAPeerError (no proxy answers there) or
    ConnectionFailedError.
    """
    bracketed = f"[{host}]" if ":" in host else host
    target = f"{bracketed}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.credentials is not None:
        pair = ":".join(proxy.credentials).encode()
        lines.append("Proxy-Authorization: Basic " + base64.b64encode(pair).decode())
    request = "\r\n".join([*lines, "", ""]).encode("ascii", "replace")
    loop = asyncio.get_running_loop()
    reader = ResponseReader()
    head: ResponseHead | None = None
    try:
        await loop.sock_sendall(sock, request)
        while head is None:
            data = await loop.sock_recv(sock, _READ_BYTES)
            if not data:
                raise ConnectionFailedError(
                    f"the proxy {proxy.where} ended the connection without an answer",
                    domain="Network",
                    code=18,
                )
            head = reader.feed(data)
    except OSError:
        raise ConnectionFailedError(
            f"the connection to the proxy {proxy.where} was lost", domain="Network", code=18
        ) from None
    except NotAPeerError:
        raise NotAPeerError(
            f"what answers at {proxy.where} is no HTTP proxy", domain="WebSocket", code=400
        ) from None
    _judge(head, proxy, target)
    if reader.rest:
        raise NotAPeerError(
            f"the proxy {proxy.where} sent something of its own through the tunnel",
            domain="WebSocket",
            code=400,
        )


def _judge(head: ResponseHead, proxy: Proxy, target: str) -> None:
    """Raise what an answer to CONNECT means, unless the tunnel is open."""
    if 200 <= head.status < 300:
        return
    said = f": {printable(head.phrase)}" if head.phrase else ""
    if head.status == 407:
        problem = (
            "does not accept these credentials"
            if proxy.credentials is not None
            else "wants a user and a password (http://user:password@host:port)"
        )
        raise AuthenticationError(
            f"the proxy {proxy.where} {problem}{said}", domain="WebSocket", code=407
        )
    raise RefusedError(
        f"the proxy {proxy.where} can't or won't connect to {printable(target)}: status "
        f"{head.status}{said}",
        domain="WebSocket",
        code=head.status,
        transient=head.status in _TRANSIENT,
    )
