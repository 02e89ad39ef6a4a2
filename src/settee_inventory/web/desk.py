"""What the process knows: the device, who is logged in, the inventory, the network, open pages.

One object per process, on one asyncio loop. Pages are views: each is sent the state when it opens,
and from then on the parts that change.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from settee import PeerFound, SetteeError, TLSIdentity
from settee.aio import Browser, browse
from settee_inventory.book import Device, Inventory, ListChange, Start
from settee_inventory.book.sharing import DEVICES
from settee_inventory.links.encryption import device_identity
from settee_inventory.links.link import Login
from settee_inventory.links.listening import Doors
from settee_inventory.links.logins import Logins
from settee_inventory.links.network import Network
from settee_inventory.links.remembered import Remembered
from settee_inventory.web import settings as files
from settee_inventory.web import view
from settee_inventory.web.accounts import LOOK, Accounts
from settee_inventory.web.diagnostics import versions

__all__ = ["Desk", "LogInError"]

_log: Final = logging.getLogger("settee_inventory")
_ERRORS_SHOWN: Final = 50
_READ_S: Final = 0.2
_GATHER_S: Final = 0.03
"""Changes of the network within this time are shown as one."""

Send = Callable[[dict[str, Any]], None]


class LogInError(Exception):
    """Nobody could be logged in; the message is a sentence for the person."""


class Desk:
    """The device, on this machine."""

    def __init__(self, directory: Path, *, loopback: bool = False) -> None:
        self.directory: Final = directory
        self.loopback: Final = loopback
        self.settings = files.load(directory)
        self.accounts = Accounts(directory)
        self.identity: TLSIdentity | None = None
        self.book: Inventory | None = None
        self.network: Network | None = None
        self.remembered: Remembered | None = None
        self.user = ""
        self.always_open = False
        """Whether whoever passed the gate counts as logged in: led by another program."""
        self.on_change: Callable[[ListChange], None] = lambda change: None
        self.on_network: Callable[[], None] = lambda: None
        self._sessions: set[str] = set()
        self._views: dict[object, tuple[str, Send]] = {}
        self._shown: dict[str, Any] = {}
        self._waits: set[str] = set()
        self._entries = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gathering: asyncio.TimerHandle | None = None
        self._nearby: Browser | None = None
        self._stops: list[Callable[[], None]] = []
        self._entering = asyncio.Lock()
        self._notes: set[asyncio.Task[Any]] = set()

    # --- begin and end ----------------------------------------------------------------------------

    async def open(self) -> None:
        """Make or load the device's identity; before the first log in, look who is near."""
        self._loop = asyncio.get_running_loop()
        directory = self.directory / "identities"
        self.identity = await asyncio.to_thread(device_identity, directory)
        if not self.settings.ready:
            self._nearby = browse(interfaces=["127.0.0.1"] if self.loopback else None)
            loop = self._loop
            self._nearby.on_event(lambda _: loop.call_soon_threadsafe(self._changed))
            await self._nearby.__aenter__()

    async def close(self) -> None:
        """Log out and end."""
        await self.log_out()
        if self._nearby is not None:
            await self._nearby.close()

    @property
    def key(self) -> str:
        """The first digits of this device's certificate, by which others find it."""
        assert self.identity is not None, "opened first"
        return self.identity.fingerprint[:16]

    # --- users ------------------------------------------------------------------------------------

    def is_in(self, session: str) -> bool:
        """Tell whether this browser is logged in."""
        return self.book is not None and (self.always_open or session in self._sessions)

    async def log_in(self, session: str, user: str, password: str, start: Start | None) -> None:
        """Check the user and open his inventory; `start` counts the first time only.

        Raises LogInError.
        """
        async with self._entering:
            if self.book is not None and user != self.user:
                raise LogInError(f"{self.user} is logged in on this device. Log out there first.")
            if await asyncio.to_thread(lambda: self.accounts.empty):
                await asyncio.to_thread(self.accounts.add, user, password)
            elif not await asyncio.to_thread(self.accounts.check, user, password):
                raise LogInError(
                    "User and password don't match. Ask the person who made your account, or run "
                    "`settee user add`."
                )
            if self.book is None:
                try:
                    await self._enter(user, password, start)
                except SetteeError as error:
                    raise LogInError(f"The inventory can't be opened: {error}") from error
            self._sessions.add(session)
        self.show_all()

    async def _enter(self, user: str, password: str, start: Start | None) -> None:
        settings = self.settings
        device = Device(settings.name, settings.icon, settings.colour)
        book = await Inventory.open(
            self.directory / "users", user, start=start or "join", device=device
        )
        if self._nearby is not None:
            await self._nearby.close()
            self._nearby = None
        self.book, self.user = book, user
        self._stops = [
            book.on_change(self._listed),
            book.on_activity(lambda entry: self._logged()),
            (await book.db.collection(DEVICES)).on_change(self._met).remove,
        ]
        self.remembered = Remembered(book.directory / "devices.json")
        self.network = Network(
            book.db,
            collections=lambda original: (
                book.replicated_with_original() if original else book.replicated()
            ),
            listener_collections=book.COLLECTIONS,
            options=settings.options,
            doors=Doors(
                settings.name,
                self.accounts.check,
                self.accounts.may_write,
                self.directory / "identities",
                self.loopback,
            ),
            login=Login(user, password),
            device_id=book.device_id,
            key=self.key,
            remembered=self.remembered,
            logins=Logins(book.directory / "logins.json"),
            on_change=self._changed,
            note=self._note,
        )
        if book.mirrors != settings.mirror:
            await book.set_mirrors(settings.mirror)
        await self.network.open()
        # Afterwards, with the port that it listens on: others come back to that.
        settings.user, settings.ready = user, True
        await self.save()

    async def log_out(self) -> None:
        """Stop listening, hang up, close the inventory; what waits is sent after the next time."""
        async with self._entering:
            self._sessions.clear()
            network, self.network = self.network, None
            book, self.book = self.book, None
            if network is not None:
                await network.close()
            if book is not None:
                for stop in self._stops:
                    stop()
                await book.close()
            self.user = ""
            self._shown.clear()
        self.show_all()

    @property
    def waiting(self) -> int:
        """How many items were changed here that no other device has yet."""
        return len(self._waits)

    @property
    def may_edit(self) -> bool:
        """Whether the user here may change the list."""
        return self.accounts.may_write(self.user)

    # --- the pages --------------------------------------------------------------------------------

    def attach(self, session: str, send: Send) -> Callable[[], None]:
        """Let a page be told; return the function that ends it."""
        key = object()
        self._views[key] = (session, send)
        return lambda: (self._views.pop(key, None), None)[1]

    def state(self, session: str) -> dict[str, Any]:
        """Return all that a page shows."""
        if self.is_in(session):
            return {"screen": "app", "items": self._items(), **self._parts()}
        first = not self.settings.ready
        nearby = [{"name": each.name, "icon": "help", "colour": "grey"} for each in self._near()]
        return {
            "screen": "first" if first else "login",
            "items": {},
            "me": {
                "id": "",
                "name": self.settings.name,
                "icon": self.settings.icon,
                "colour": self.settings.colour,
                "user": self.user or self.settings.user,
            },
            "nearby": nearby if first else [],
            "founding": self.accounts.empty,
        }

    def show_all(self) -> None:
        """Send every page its whole state: somebody came or went."""
        for session, send in list(self._views.values()):
            send({"whole": True, **self.state(session)})

    def _near(self) -> list[PeerFound]:
        return self._nearby.peers if self._nearby is not None else []

    def _items(self) -> dict[str, Any]:
        assert self.book is not None, "logged in"
        return {
            each.id: view.item_of(each, each.id in self._waits) for each in self.book.items.values()
        }

    def _parts(self) -> dict[str, Any]:
        assert self.book is not None, "logged in"
        assert self.network is not None, "logged in"
        parts = view.parts_of(self.book, self.network, self.settings, self.user, len(self._waits))
        parts["me"]["role"] = "edit" if self.may_edit else LOOK
        parts["logged"] = self._entries
        parts["users"] = [
            {"name": name, "role": role, "here": name == self.user}
            for name, role in self.accounts.roles()
        ]
        return parts

    def _changed(self) -> None:
        """Something about the network or the log is new: look soon, once for many."""
        if self._gathering is None:
            loop = asyncio.get_running_loop()
            self._gathering = loop.call_later(_GATHER_S, self.show_changes)

    def _logged(self) -> None:
        self._entries += 1
        self._changed()

    def _met(self, _: Any) -> None:
        """A device has described itself, told on a thread; the book reads it meanwhile."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(lambda: loop.call_later(_READ_S, self._changed))

    def show_changes(self) -> None:
        """Send the parts that differ from what the pages were sent last."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        if self.book is None or self.network is None:
            self.show_all()
            return
        if view.synced_with(self.network) and self._waits:
            self._forget_waits()
        parts = self._parts()
        new = {key: value for key, value in parts.items() if self._shown.get(key) != value}
        self._shown = parts
        if new:
            self._send(new)
        self.on_network()

    def _forget_waits(self) -> None:
        assert self.book is not None, "logged in"
        ids, self._waits = self._waits, set()
        items = {id: self.book.items.get(id) for id in ids}
        self._send({"items": {id: view.item_of(it, False) for id, it in items.items() if it}})

    def _listed(self, change: ListChange) -> None:
        """The list has changed, by whomever: tell the pages at once."""
        assert self.book is not None, "callbacks end before the book closes"
        assert self.network is not None, "callbacks end before the book closes"
        alone = not view.synced_with(self.network)
        for each in change.items:
            if each.remote or not alone:
                self._waits.discard(each.id)
            else:
                self._waits.add(each.id)
        self._send(view.change_of(change, self.book, self._waits))
        self._changed()
        self.on_change(change)

    def _send(self, patch: dict[str, Any]) -> None:
        for session, send in list(self._views.values()):
            if self.is_in(session):
                send(patch)

    # --- what is kept -----------------------------------------------------------------------------

    async def save(self) -> None:
        """Write the settings."""
        await asyncio.to_thread(files.save, self.directory, self.settings)

    def _note(self, kind: str, who: str, text: str) -> None:
        """Put something about the network into the log."""
        if self.book is None:
            return
        task = asyncio.get_running_loop().create_task(self._noted(kind, who, text))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _noted(self, kind: str, who: str, text: str) -> None:
        book = self.book
        if book is not None:
            with contextlib.suppress(Exception):
                await book.note(kind, who=who, text=text)

    async def diagnosis(self) -> dict[str, Any]:
        """Return what goes into the diagnostics file: no secrets, no documents."""
        parts = self._parts() if self.book is not None else {}
        kept = ("peers", "pill", "links", "listener", "browser", "options")
        state = {"versions": versions(), **{name: parts.get(name) for name in kept}}
        if self.book is not None:
            entries = await self.book.activity()
            state["counts"] = {
                "items": len(self.book.items),
                "devices": len(self.book.devices),
                "conflicts": len(self.book.conflicts()),
                "activity": len(entries),
            }
            told = [(each.ms, each.kind, each.detail.get("text")) for each in entries]
            state["last_errors"] = [each for each in told if each[2]][:_ERRORS_SHOWN]
        return state
