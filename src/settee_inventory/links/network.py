"""Listener, browser and links together: the one truth that every page shows.

All runs on one asyncio loop. `on_change` is called after anything has changed; `peers` and
`listening` then say how it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from settee import Activity, PeerFound, SetteeError
from settee.aio import Browser, Database, browse
from settee_inventory.links.addresses import DEFAULT_PATH, Address, read_address
from settee_inventory.links.encryption import check_options
from settee_inventory.links.link import Link, Login, shown_fingerprint
from settee_inventory.links.listening import Client, Doors, Listening, caller_name
from settee_inventory.links.logins import Logins
from settee_inventory.links.remembered import Acquaintance, Remembered

__all__ = ["Network", "Options", "Peer"]

_YIELD_S: Final = 2.0
"""Of two devices that know each other, the one with the greater key waits so long for a call."""


@dataclass(slots=True)
class Options:
    """What is set under Settings and Listener."""

    check: str = "first use"
    mode: str = "generated"
    port: int = 4984
    visible: bool = True
    delta: bool = True
    automatic: bool = True
    listening: bool = False
    """Whether the listener is to run: it is started at each log in until it is stopped by hand."""
    pinned_pem: str = ""
    roots_pem: str = ""


@dataclass(slots=True)
class Peer:
    """Another device: what is found of it, known of it, and linked with it."""

    key: str
    name: str
    found: PeerFound | None = None
    known: Acquaintance | None = None
    link: Link | None = None
    clients: list[Client] = field(default_factory=list)
    problem: str = ""

    @property
    def state(self) -> str:
        """The name of its state in `sentences.CHIPS`."""
        if self.known and self.known.blocked:
            return "blocked"
        if self.link is not None:
            return self._dialled()
        if self.clients:
            return "syncing" if any(each.busy for each in self.clients) else "in sync"
        if self.known and self.known.off:
            return "off"
        if self.known and self.known.fingerprint:
            return "connecting" if self.found else "away"
        return "new"

    def _dialled(self) -> str:
        assert self.link is not None, "asked for a device that is dialled"
        match self.link.status.activity:
            case Activity.IDLE:
                return "in sync"
            case Activity.BUSY:
                return "syncing"
            case Activity.CONNECTING:
                return "connecting"
            case Activity.OFFLINE:
                return "retrying" if self.link.error else "connecting"
        return "refused" if self.link.error else "connecting"


class Network:
    """This device among the others."""

    def __init__(
        self,
        db: Database,
        *,
        collections: Callable[[bool], Any],
        listener_collections: Sequence[Any],
        options: Options,
        doors: Doors,
        login: Login,
        device_id: str,
        key: str,
        remembered: Remembered,
        logins: Logins,
        on_change: Callable[[], None],
        note: Callable[[str, str, str], None],
    ) -> None:
        self.options = options
        self.doors = doors
        self.login = login
        self.key: Final = key
        self.online = True
        self.looking_since_ms = 0
        self.moved_at_ms = 0
        self._db = db
        self._collections = collections
        self._device_id = device_id
        self._remembered = remembered
        self._on_change = on_change
        self._note = note
        self._browser: Browser | None = None
        self._stop_hearing: Callable[[], None] = lambda: None
        self._found: dict[str, PeerFound] = {}
        self._links: dict[str, Link] = {}
        self._logins = logins
        self._problems: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._was: dict[str, str] = {}
        self.listening = Listening(
            db,
            listener_collections,
            kept_out=lambda: remembered.kept_out,
            on_change=self._changed,
            on_documents=self._served,
            on_refused=lambda address, reason: note("turned away", address, reason),
        )

    # --- begin and end ----------------------------------------------------------------------------

    async def open(self) -> None:
        """Listen if it is to, look for others, dial those that are known."""
        if self.options.listening:
            await self.start_listening()
        await self._look()
        for known in self._remembered:
            if known.url and self._wanted(known.key):
                await self._dial(known.key)
        self._changed()

    async def close(self) -> None:
        """Hang up, stop listening and looking."""
        await self._blind()
        for task in list(self._tasks):
            task.cancel()
        links, self._links = self._links, {}
        await asyncio.gather(*(link.close() for link in links.values()))
        await self.listening.stop()

    async def cut(self) -> None:
        """Take this device off the network: nobody hears or reaches it."""
        if not self.online:
            return
        self.online = False
        await self._blind()
        await asyncio.gather(*(link.suspend() for link in self._links.values()))
        await self.listening.stop()
        self._changed()

    async def rejoin(self) -> None:
        """Come back from `cut`."""
        if self.online:
            return
        self.online = True
        if self.options.listening:
            await self.start_listening()
        for link in self._links.values():
            link.resume()
        await self._look()
        self._changed()

    # --- the listener -----------------------------------------------------------------------------

    async def start_listening(self) -> bool:
        """Start the listener with the options as they are; tell whether it runs."""
        options = self.options
        options.listening = True
        if not self.online:
            return False
        started = await self.listening.start(
            options.mode, options.port, self.doors, visible=options.visible, delta=options.delta
        )
        if started:
            options.port = self.listening.port
        return started

    async def stop_listening(self) -> None:
        """Stop it, until it is started again."""
        self.options.listening = False
        await self.listening.stop()

    async def restart_listening(self) -> bool:
        """Take up changed options, if it runs. Clients come back by themselves."""
        if self.listening.listener is None:
            return not self.options.listening or await self.start_listening()
        await self.listening.stop()
        return await self.start_listening()

    @property
    def kept_out(self) -> frozenset[str]:
        """The devices that are not let in, by ID."""
        return self._remembered.kept_out

    def keep_out(self, device_id: str) -> None:
        """Disconnect a device, and whenever it connects, until `let_in`."""
        self._remembered.keep_out(device_id)
        self.listening.look_again()

    def let_in(self, device_id: str) -> None:
        """Take back `keep_out`."""
        self._remembered.let_in(device_id)
        self._changed()

    async def rename(self, name: str) -> None:
        """Go by another name; the listener is announced anew."""
        self.doors = dataclasses.replace(self.doors, name=name)
        await self.restart_listening()

    # --- looking ----------------------------------------------------------------------------------

    async def _look(self) -> None:
        browser = browse(interfaces=["127.0.0.1"] if self.doors.loopback else None)
        self._stop_hearing = browser.on_event(lambda event: self._soon(self._heard, event))
        await browser.__aenter__()
        self._browser = browser
        self.looking_since_ms = _now_ms()

    async def _blind(self) -> None:
        self._stop_hearing()
        browser, self._browser = self._browser, None
        if browser is not None:
            await browser.close()
        self._found.clear()

    async def refresh(self) -> None:
        """Ask again who is there; the rows stay."""
        if self.online:
            rows = dict(self._found)
            await self._blind()
            self._found = rows
            await self._look()
            self._changed()

    def _heard(self, event: Any) -> None:
        if self._browser is None:
            return
        if isinstance(event, PeerFound):
            key = event.id or f"name:{event.name}"
            if key in (self.key, self.listening.fingerprint[:16]):
                return
            if event.name == (self.listening.listener and self.listening.listener.advertised_name):
                return
            for other, found in list(self._found.items()):
                if found.name == event.name and other != key:
                    del self._found[other]
            self._found[key] = event
            if self._wanted(key):
                self._task(self._dial_in_turn(key))
        else:
            gone = [key for key, found in self._found.items() if found.name == event.name]
            for key in gone:
                del self._found[key]
        self._changed()

    def _wanted(self, key: str) -> bool:
        known = self._remembered.get(key)
        trusted = bool(known and known.fingerprint and not known.blocked and not known.off)
        return trusted and self.options.automatic

    async def _dial_in_turn(self, key: str) -> None:
        """Dial somebody who was found, unless that device is faster: one link is enough."""
        if self.key > key and self.options.listening:
            await asyncio.sleep(_YIELD_S)
            if any(client.key == key for client in self.listening.clients):
                return
        if self._wanted(key) and key in self._found:
            await self._dial(key)

    # --- dialling ---------------------------------------------------------------------------------

    async def _dial(self, key: str) -> None:
        async with self._turn:
            former = self._links.get(key)
            target = self._target(key)
            if target is None or (former and former.connected and former.target == target):
                return
            if former is not None:
                del self._links[key]
                await former.close()
            self._problems.pop(key, None)
            try:
                link = self._made(key, target)
                self._links[key] = link
                await link.start()
            except LookupError as error:
                self._problems[key] = str(error.args[0])
            except SetteeError as error:
                self._links.pop(key, None)
                self._problems[key] = f"It can't be dialled: {error}"
            if not self.online and key in self._links:
                await self._links[key].suspend()
        self._changed()

    def _made(self, key: str, target: PeerFound | str) -> Link:
        known = self._remembered.get(key)
        plain = target.startswith("ws:") if isinstance(target, str) else target.tls is False
        options: dict[str, Any] = {}
        if not plain:
            options = check_options(
                self.options.check,
                fingerprint=known.fingerprint if known else "",
                pinned=self.options.pinned_pem or None,
                roots=self.options.roots_pem.encode() or None,
            )
        return Link(
            self._db,
            target,
            self._logins.get(key) or self.login,
            collections=self._collections(bool(known and known.original)),
            options={
                "delta_sync": self.options.delta,
                "user_agent": caller_name(self._device_id, self.key),
                **options,
            },
            on_change=self._changed,
            on_documents=lambda pushed, pulled: self._moved(key, pushed, pulled),
        )

    def _target(self, key: str) -> PeerFound | str | None:
        found = self._found.get(key)
        if found is not None and not found.path:
            # The original app announces no path; its database has the tutorial's name.
            return f"{found.urls[0]}/{DEFAULT_PATH}" if found.urls else None
        if found is not None:
            return found
        known = self._remembered.get(key)
        return known.url or None if known else None

    async def probe(self, key: str) -> str | None:
        """Return the SHA-256 of the certificate that a device shows; None if it shows none."""
        target = self._target(key)
        if target is None:
            return None
        return await shown_fingerprint(self._db, target, self._collections(False))

    async def trust(self, key: str, fingerprint: str) -> None:
        """Know a device by this certificate from now on, and dial it."""
        known = self._acquainted(key)
        known.fingerprint, known.blocked, known.off = fingerprint, False, False
        self._remembered.keep(known)
        self._note("trusted", known.name, "")
        await self._redial(key)

    async def block(self, key: str) -> None:
        """Never dial this device: its words differed."""
        known = self._acquainted(key)
        known.blocked, known.fingerprint = True, ""
        self._remembered.keep(known)
        self._note("blocked", known.name, "its words differed")
        await self._hang_up(key)

    async def connect(self, key: str, login: Login | None = None) -> None:
        """Dial a device, with another login if one is given: that one from now on."""
        if login is not None:
            self._logins.keep(key, login)
        known = self._acquainted(key)
        known.off = False
        self._remembered.keep(known)
        await self._redial(key)

    async def as_original(self, key: str) -> None:
        """Take a device for the original app from now on, and dial it so."""
        known = self._acquainted(key)
        known.original = True
        self._remembered.keep(known)
        await self.connect(key)

    async def disconnect(self, key: str) -> None:
        """Hang up, and don't dial until `connect`."""
        known = self._acquainted(key)
        known.off, known.off_at_ms = True, _now_ms()
        self._remembered.keep(known)
        for client in self.listening.clients:
            if client.key == key:
                self.listening.disconnect(client.number)
        await self._hang_up(key)

    async def forget(self, key: str) -> None:
        """Hang up and forget; a device that is still there is new again."""
        await self._hang_up(key)
        self._remembered.forget(key)
        self._logins.forget(key)
        self._changed()

    def retry(self, key: str) -> None:
        """Dial now instead of waiting."""
        if key in self._links:
            self._links[key].resume()

    async def meet(self, text: str) -> str:
        """Take a typed address and return its key. Raises AddressError."""
        address = read_address(text, tls=self.options.mode != "none")
        key = self._key_at(address)
        known = self._remembered.get(key) or Acquaintance(key, address.place)
        known.url, known.off, known.blocked = address.url, False, False
        if address.fingerprint:
            known.fingerprint = address.fingerprint
        self._remembered.keep(known)
        self._changed()
        if known.fingerprint or address.url.startswith("ws:") or self.options.check != "first use":
            await self._redial(key)
        return key

    def _key_at(self, address: Address) -> str:
        """Return the key of whoever was found at this place, else one made of the place."""
        for key, found in self._found.items():
            if any(url.partition("://")[2].startswith(address.place + "/") for url in found.urls):
                return key
        return f"at:{address.place}"

    def _acquainted(self, key: str) -> Acquaintance:
        known = self._remembered.get(key)
        if known is None:
            found = self._found.get(key)
            known = Acquaintance(key, found.name if found else key)
        return known

    async def _redial(self, key: str) -> None:
        await self._hang_up(key)
        await self._dial(key)

    async def _hang_up(self, key: str) -> None:
        async with self._turn:
            link = self._links.pop(key, None)
            self._problems.pop(key, None)
            if link is not None:
                await link.close()
        self._changed()

    async def redial_all(self) -> None:
        """Take up changed options in all links."""
        for key in list(self._links):
            await self._redial(key)

    # --- how it is --------------------------------------------------------------------------------

    @property
    def peers(self) -> list[Peer]:
        """Every device that was found or is known, one entry each."""
        peers: dict[str, Peer] = {}
        for known in self._remembered:
            peers[known.key] = Peer(known.key, known.name, known=known)
        for key, found in self._found.items():
            peer = peers.setdefault(key, Peer(key, found.name))
            peer.found, peer.name = found, found.name
        for key, link in self._links.items():
            peer = peers.setdefault(key, Peer(key, key))
            peer.link = link
        for client in self.listening.clients:
            if client.key in peers:
                peers[client.key].clients.append(client)
        for key, problem in self._problems.items():
            if key in peers:
                peers[key].problem = problem
        return list(peers.values())

    @property
    def unknown_clients(self) -> list[Client]:
        """Who is connected without being in `peers`."""
        keys = {peer.key for peer in self.peers}
        return [client for client in self.listening.clients if client.key not in keys]

    # --- told by the parts ------------------------------------------------------------------------

    def _changed(self) -> None:
        for key, link in self._links.items():
            self._learn(key, link)
        self._on_change()

    def _learn(self, key: str, link: Link) -> None:
        """Note what a link has come to, once per change."""
        known = self._remembered.get(key)
        state = "connected" if link.connected else str(link.error or "")
        if state == self._was.get(key, ""):
            return
        self._was[key] = state
        name = known.name if known else key
        if link.connected and known is not None:
            known.seen_at_ms = _now_ms()
            if key in self._found:
                known.name = self._found[key].name
            self._remembered.keep(known)
            self._note("connected", known.name, "")
        elif link.error is not None:
            fatal = link.status.activity is Activity.STOPPED
            self._note("refused" if fatal else "lost", name, str(link.error))

    def _moved(self, key: str, pushed: int, pulled: int) -> None:
        self.moved_at_ms = _now_ms()
        self._on_change()

    def _served(self, user_agent: str, pushed: int, pulled: int) -> None:
        self.moved_at_ms = _now_ms()
        self._on_change()

    def _soon(self, call: Callable[..., None], *values: Any) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *values)

    def _task(self, work: Any) -> None:
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
