"""Finding peers on the local network: DNS service discovery over multicast.

A listener announces itself as Couchbase's sample app does, a browser lists who is there. Everything
runs on the running event loop. What is found is a *hint*: anybody on the network can announce
anything. Who a peer is shows its certificate alone; nothing here is trusted, and all is bounded.

Nothing here fails a listener: what goes wrong is logged, told to a callback, and tried again.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from zeroconf import ServiceInfo, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo

from settee.clock import Clock, SystemClock
from settee.errors import ConfigError, ConnectionFailedError
from settee.limits import (
    ANNOUNCE_RETRY_S,
    ANNOUNCED_TTL_S,
    GOODBYE_S,
    PEER_ADDRESSES_MAX,
    PEER_ASK_S,
    PEERS_ASKED_AT_ONCE_MAX,
    PEERS_FOUND_MAX,
    TXT_BYTES_MAX,
)
from settee.logs import printable, room_log
from settee.net.interfaces import address_rank
from settee.net.multicast import NETWORK_ERRORS, Network

__all__ = [
    "SERVICE_TYPE",
    "Advertiser",
    "Browser",
    "PeerEvent",
    "PeerFound",
    "PeerGone",
    "device_name",
]

_log: Final = room_log("net")

SERVICE_TYPE: Final = "_cblistservicesync._tcp"
"""The type that Couchbase's peer-to-peer sample app announces."""

# Instance names hold 63 bytes; a number is appended when another peer has the same name.
_NAME_BYTES_MAX: Final = 58
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TYPE: Final = re.compile(r"_[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?\._(?:tcp|udp)\Z")
_PATH: Final = re.compile(r"/[A-Za-z0-9_$()+/.~!*',;:@&=%-]{0,240}\Z")
_UNSPECIFIED: Final = frozenset(["", "0.0.0.0", "::"])  # noqa: S104 (recognised, not bound)
_ID: Final = re.compile(r"[0-9a-f]{16}\Z")


@dataclass(frozen=True, slots=True)
class PeerFound:
    """A peer announces itself, or announces something new about itself. A hint, not a fact."""

    name: str
    """The name that it goes by, for people to read; unique on the network at one time."""
    host: str
    """Its host name in DNS."""
    addresses: tuple[str, ...]
    """Its addresses, most useful first; link-local IPv6 ones with their scope if it is known."""
    port: int
    """TCP port of its listener."""
    path: str = ""
    """The path that its database is served under, such as ``/inventory``; empty if not told."""
    tls: bool | None = None
    """Whether it wants TLS; None if not told (then Couchbase's default holds: it does)."""
    id: str | None = None
    """First 16 hex digits of its certificate's SHA-256; None if not told."""

    @property
    def urls(self) -> list[str]:
        """Where to dial, best first; without a path if the peer did not tell one."""
        scheme = "ws" if self.tls is False else "wss"
        return [
            f"{scheme}://{_in_url(address)}:{self.port}{self.path}"
            for address in self.addresses
            if address_rank(address) != 4  # Link-local, and on which link nobody knows.
        ]


@dataclass(frozen=True, slots=True)
class PeerGone:
    """A peer said goodbye, or was not heard of for two minutes."""

    name: str
    """The name that it was found by."""


PeerEvent = PeerFound | PeerGone


def _in_url(address: str) -> str:
    return f"[{address.replace('%', '%25')}]" if ":" in address else address


# --- announcing -----------------------------------------------------------------------------------


class Advertiser:
    """Announces one listener for as long as it runs.

    `name` True gives the device's own name, ``"private"`` a random one and no TXT record, any other
    text itself (cut to 58 bytes; ConfigError if it is empty or has control characters). `path`,
    `tls` and `identity` (the certificate's fingerprint; 16 digits of it are told) go into the TXT
    record. `addresses` None, or one that stands for all (``0.0.0.0``, ``::``), announces the
    network's own; a listener that is bound to one address gives that.

    `on_problem` is called, on the loop, with a sentence for whatever keeps the announcement away.
    """

    def __init__(
        self,
        network: Network,
        *,
        port: int,
        name: str | bool = True,
        path: str = "",
        tls: bool = True,
        identity: str | None = None,
        addresses: Sequence[str] | None = None,
        service_type: str = SERVICE_TYPE,
        on_problem: Callable[[str], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self._network: Final = network
        self._port: Final = port
        self._type: Final = _full_type(service_type)
        self._given: Final = addresses
        self._everywhere: Final = addresses is None or bool(_UNSPECIFIED & set(addresses))
        self._on_problem: Final = on_problem
        private = name == "private"
        self._wanted: Final = clock.random_bytes(6).hex() if private else _name(name)
        self._txt: Final = {} if private else _txt(path, tls, identity)
        self._host: Final = f"settee-{clock.random_bytes(8).hex()}.local"
        self._info: ServiceInfo | None = None
        self._task: asyncio.Task[None] | None = None
        self._settled: Final = asyncio.Event()
        self._registered = False
        self._unwatch: Callable[[], None] | None = None

    @property
    def name(self) -> str:
        """The name announced; it may get a number while registering, if another peer has it."""
        return _instance(self._info.name, self._type) if self._info else self._wanted

    @property
    def host(self) -> str:
        """A random host name, by which a `Browser` knows this announcement as its own side's."""
        return self._host

    def start(self) -> None:
        """Begin to announce, in the background: others see it after about a second."""
        assert self._task is None, "an advertiser starts once"
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def registered(self) -> bool:
        """Wait until the name is settled and the first announcement is out.

        Returns False if it was stopped before that.
        """
        await self._settled.wait()
        return self._registered

    async def stop(self) -> None:
        """Say goodbye, within a second. Idempotent."""
        if self._unwatch is not None:
            self._unwatch()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        info, self._info = self._info, None
        registered, self._registered = self._registered, False
        self._settled.set()
        if info is None or not registered:
            return
        try:
            async with asyncio.timeout(GOODBYE_S):
                await (await self._network.open().async_unregister_service(info))
        except (*NETWORK_ERRORS, ConnectionFailedError) as exc:
            _log.debug("= no goodbye from %r: %s", info.name, exc)

    async def _run(self) -> None:
        done = await self._register()
        while not done:
            await asyncio.sleep(ANNOUNCE_RETRY_S)
            done = await self._register()
        self._unwatch = self._network.on_change(self._addresses_changed)

    async def _register(self) -> bool:
        try:
            zeroconf = self._network.open()
            info = self._service()
            self._info = info
            # Returns when the name is settled; the rest is the announcement, said three times.
            announcing = await zeroconf.async_register_service(
                info, allow_name_change=True, strict=False
            )
            self._registered = True
            self._settled.set()
            await announcing
        except (*NETWORK_ERRORS, ConnectionFailedError) as exc:
            self._info = None
            self._tell(f"{self._wanted!r} is not announced on the network yet: {exc or repr(exc)}")
            return False
        _log.info("= announced as %r on %s", info.name, ", ".join(self._reachable()))
        return True

    def _service(self) -> ServiceInfo:
        addresses = self._reachable()
        if not addresses:
            raise ConnectionFailedError(
                "it has no address that others could reach: it listens on loopback, or on a name",
                domain="Network",
            )
        return ServiceInfo(
            self._type,
            f"{self._wanted}.{self._type}",
            port=self._port,
            properties=self._txt,
            server=f"{self._host}.",
            host_ttl=ANNOUNCED_TTL_S,
            other_ttl=ANNOUNCED_TTL_S,
            parsed_addresses=addresses,
        )

    def _reachable(self) -> list[str]:
        """Scopes are ours and mean nothing to others; loopback only where all of us is there."""
        network = self._network.addresses
        wanted = (
            network
            if self._everywhere
            else ["127.0.0.1" if one == "localhost" else one for one in self._given or ()]
        )
        useless = (5, 6) if any(address_rank(one) != 6 for one in network) else (5,)
        return [one.partition("%")[0] for one in wanted if address_rank(one) not in useless]

    def _addresses_changed(self) -> None:
        if self._info is None or not self._everywhere:
            return
        self._task = asyncio.get_running_loop().create_task(self._announce_change(self._info))

    async def _announce_change(self, info: ServiceInfo) -> None:
        try:
            info.addresses = [
                socket.inet_pton(socket.AF_INET6 if ":" in one else socket.AF_INET, one)
                for one in self._reachable()
            ]
            await (await self._network.open().async_update_service(info))
        except (*NETWORK_ERRORS, ConnectionFailedError) as exc:
            self._tell(f"the new addresses of {info.name!r} are not announced: {exc or repr(exc)}")

    def _tell(self, problem: str) -> None:
        _log.warning("%s", problem)
        if self._on_problem is not None:
            self._on_problem(problem)


def _full_type(service_type: str) -> str:
    bare = service_type.removesuffix(".").removesuffix(".local")
    if not _TYPE.match(bare):
        raise ConfigError(
            "service_type", f"{printable(service_type)!r} is no service type such as '_name._tcp'"
        )
    return f"{bare}.local."


def _instance(full_name: str, full_type: str) -> str:
    return full_name.removesuffix(f".{full_type}")


def _name(given: str | bool) -> str:
    if given is True or given is False:
        return device_name()
    if not given.strip() or _CONTROL.search(given):
        raise ConfigError("advertise", f"{printable(given)!r} can't be announced as a name")
    return _cut(given)


def device_name() -> str:
    """Return what this machine calls itself, as it is announced."""
    device = _CONTROL.sub("", socket.gethostname()).removesuffix(".local")
    return _cut(device) or "settee"


def _cut(name: str) -> str:
    return name.encode()[:_NAME_BYTES_MAX].decode("utf-8", "ignore").strip()


def _txt(path: str, tls: bool, identity: str | None) -> dict[str, str]:
    txt = {"v": "1", "tls": "1" if tls else "0"}
    if identity is not None:
        txt["id"] = re.sub(r"[^0-9a-f]", "", identity.lower())[:16]
    if path:
        if not _PATH.match(path):
            raise ConfigError(
                "path", f"{printable(path)!r} can't be announced: '/' and up to 240 characters"
            )
        txt["path"] = path
    size_bytes = sum(len(key) + len(value) + 2 for key, value in txt.items())
    assert size_bytes <= TXT_BYTES_MAX, "the parts of the TXT record are bounded"
    return txt


# --- browsing -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Entry:
    """A name that was heard, and what is known of it."""

    peer: PeerFound | None = None
    asking: asyncio.Task[None] | None = None
    again: bool = False


class Browser:
    """Calls `on_event`, on the loop, with each peer found, changed and gone.

    `is_own` is asked with a host name (see `Advertiser.host`); announcements of which it says True
    are left out. At most 1,000 names are kept; more are not looked at until some are gone.
    """

    def __init__(
        self,
        network: Network,
        on_event: Callable[[PeerEvent], None],
        *,
        is_own: Callable[[str], bool] | None = None,
        service_type: str = SERVICE_TYPE,
    ) -> None:
        self._network: Final = network
        self._on_event: Final = on_event
        self._is_own: Final = is_own
        self._type: Final = _full_type(service_type)
        self._entries: Final[dict[str, _Entry]] = {}
        self._asking: Final = asyncio.Semaphore(PEERS_ASKED_AT_ONCE_MAX)
        self._browser: AsyncServiceBrowser | None = None
        self._crowded = False
        self._stopped = False

    def start(self) -> None:
        """Begin to listen and to ask; raises ConnectionFailedError if no socket opens."""
        assert self._browser is None, "a browser starts once"
        zeroconf = self._network.open().zeroconf
        self._browser = AsyncServiceBrowser(zeroconf, self._type, handlers=[self._heard])

    @property
    def peers(self) -> list[PeerFound]:
        """Who is there now, by name."""
        found = [entry.peer for entry in self._entries.values() if entry.peer is not None]
        return sorted(found, key=lambda peer: peer.name)

    async def stop(self) -> None:
        """Stop listening; no event comes after this was called. Idempotent."""
        self._stopped = True
        browser, self._browser = self._browser, None
        if browser is not None:
            await browser.async_cancel()
        tasks = [entry.asking for entry in self._entries.values() if entry.asking is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._entries.clear()

    def _heard(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        """Called by zeroconf, for whatever anybody announces: cheap, and bounded."""
        if self._stopped:
            return
        if state_change is ServiceStateChange.Removed:
            self._gone(name)
            return
        entry = self._entries.get(name)
        if entry is None:
            if len(self._entries) >= PEERS_FOUND_MAX:
                if not self._crowded:
                    _log.warning("over %d names announced; the rest is left out", PEERS_FOUND_MAX)
                self._crowded = True
                return
            entry = self._entries[name] = _Entry()
        if entry.asking is not None:
            entry.again = True
            return
        entry.asking = asyncio.get_running_loop().create_task(self._ask(name, entry))

    def _gone(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        if entry is None:
            return
        if entry.asking is not None:
            entry.asking.cancel()
        if len(self._entries) < PEERS_FOUND_MAX // 2:
            self._crowded = False
        if entry.peer is not None:
            self._on_event(PeerGone(entry.peer.name))

    async def _ask(self, name: str, entry: _Entry) -> None:
        """Ask for port, addresses and TXT; tell if there is something new."""
        try:
            while True:
                entry.again = False
                info = AsyncServiceInfo(self._type, name)
                zeroconf = self._network.open().zeroconf
                # Most peers send all of it along with their name.
                if not info.load_from_cache(zeroconf):
                    async with self._asking:
                        await info.async_request(zeroconf, PEER_ASK_S * 1000)
                peer = peer_from(
                    info, _instance(name, self._type), loopback=self._network.is_loopback
                )
                if peer is not None and peer != entry.peer and not self._owns(peer):
                    entry.peer = peer
                    self._on_event(peer)
                if not entry.again:
                    break
        except (*NETWORK_ERRORS, ValueError) as exc:
            _log.debug("< %s is announced and can't be read: %s", printable(name), exc)
        finally:
            entry.asking = None
        if entry.peer is None and self._entries.get(name) is entry:
            # Nothing to dial: makes room. Whatever is announced later of it brings it back.
            del self._entries[name]

    def _owns(self, peer: PeerFound) -> bool:
        return self._is_own is not None and self._is_own(peer.host)


def peer_from(info: ServiceInfo, name: str, *, loopback: bool) -> PeerFound | None:
    """Read what a peer announces; None if it can't be dialled. Bounded, and nothing is believed.

    What has not the form that it should have counts as not told. Loopback addresses count only if
    `loopback` is true: announced from elsewhere they would have us dial ourselves.
    """
    port = info.port or 0
    if not 0 < port <= 65535:
        return None
    useless = (5,) if loopback else (5, 6)
    addresses = [a for a in info.parsed_scoped_addresses() if address_rank(a) not in useless]
    addresses = sorted(dict.fromkeys(addresses), key=address_rank)[:PEER_ADDRESSES_MAX]
    if not addresses:
        return None
    txt = info.properties
    path = (txt.get(b"path") or b"").decode("ascii", "replace")
    identity = (txt.get(b"id") or b"").decode("ascii", "replace")
    return PeerFound(
        name=printable(name),
        host=printable((info.server or "").removesuffix(".")),
        addresses=tuple(addresses),
        port=port,
        path=path if _PATH.match(path) else "",
        tls={b"1": True, b"0": False}.get(txt.get(b"tls") or b""),
        id=identity if _ID.match(identity) else None,
    )
