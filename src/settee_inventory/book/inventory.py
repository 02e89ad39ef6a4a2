"""The inventory of one user: `Inventory`. The package's docstring tells how it is used."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, ClassVar, Final, Literal

from settee import CollectionConfig, NotFoundError
from settee.aio import Blob, Database
from settee_inventory.book import entered
from settee_inventory.book.activity import Activity
from settee_inventory.book.callbacks import Callbacks
from settee_inventory.book.choices import Conflict, conflict_of, decided
from settee_inventory.book.editions import Editions
from settee_inventory.book.gallery import Gallery, pictured
from settee_inventory.book.ledger import Ledger, Step
from settee_inventory.book.mirroring import Mirroring
from settee_inventory.book.notes import Notes
from settee_inventory.book.profiles import Profiles
from settee_inventory.book.seeds import seeds
from settee_inventory.book.sharing import DEVICES, EDITIONS, ITEMS, LISTS, configurations
from settee_inventory.book.undo import Done, Undo, taken_back
from settee_inventory.book.values import Content, Device, Entry, ItemChange, ListChange, Undone
from settee_inventory.model import Change, Item, State, changes
from settee_inventory.model import fields as registers
from settee_inventory.model import item as items
from settee_inventory.model import quantity as counters
from settee_inventory.model.item import NAME, PICTURE, REMOVED, UNIT, WARN_UNDER
from settee_inventory.model.mirror import Edits
from settee_inventory.model.stamp import NEVER, Stamp

__all__ = ["Inventory", "Start"]

Start = Literal["sample", "empty", "join"]

_DATABASE: Final = "userdb"
_SETTINGS: Final = "local.settings"
_ACTIVITY: Final = "local.activity"
_ABOUT: Final = "inventory"


class Inventory:
    """The inventory of one user on this device; made by `open`."""

    COLLECTIONS: ClassVar[tuple[str, ...]] = (ITEMS, DEVICES, EDITIONS, LISTS)
    """What a `URLEndpointListener` shares of the database."""

    db: Database
    directory: Path
    """The user's: the database lies in it, and what else belongs to the user may."""
    user: str

    def __init__(self, db: Database, directory: Path, user: str, now: Callable[[], float]) -> None:
        self.db, self.directory, self.user = db, directory, user
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._items: dict[str, Item] = {}
        self._troubled: dict[str, tuple[changes.Conflict, ...]] = {}
        self._listeners = Callbacks[ListChange]()
        self._activity_listeners = Callbacks[Entry]()
        self._undo = Undo()
        self._gallery = Gallery(db)
        self._author = db.uuid.hex
        self._mirrors = False

    # --- life -------------------------------------------------------------------------------------

    @classmethod
    async def open(
        cls,
        directory: str | Path,
        user: str,
        *,
        start: Start = "join",
        device: Device | None = None,
        durability: Literal["full", "normal", "memory"] = "full",
        now: Callable[[], float] = time.time,
    ) -> Inventory:
        """Open the inventory of a user; the first time, make it.

        Args:
            directory: Where the inventories of all users lie; made if missing.
            user: Whose it is.
            start: What is in a new one: ``"sample"``, ``"empty"``, or ``"join"`` for nothing, since
                it is to come from another device. Later it has no meaning.
            device: How others see this device; None leaves what was saved.
            durability: What a power cut may take, as of `Database`; by default nothing.
            now: Seconds since 1970.

        Raises InputError for a user who has no name, and what opening a `Database` raises.
        """
        place = Path(directory) / entered.directory_of(user)
        await asyncio.to_thread(place.mkdir, parents=True, exist_ok=True)
        db = await Database(_DATABASE, directory=place, durability=durability)
        try:
            made = cls(db, place, user, now)
            await made._begin(start, device)
        except BaseException:
            await db.close()
            raise
        return made

    async def _begin(self, start: Start, device: Device | None) -> None:
        self._settings = await self.db.collection(_SETTINGS, create=True)
        self._profiles = Profiles(
            await self.db.collection(DEVICES, create=True),
            lambda: self._listeners.tell(ListChange(())),
        )
        stored = await self.db.collection(ITEMS, create=True)
        self._activity = Activity(
            await self.db.collection(_ACTIVITY, create=True), self._activity_listeners.tell
        )
        await self._activity.open()
        self._notes = Notes(self._activity, self.device_id, self._name_of, self._ms)
        self._ledger = Ledger(stored, self._stepped)
        await self._ledger.open()
        for id, state in self._ledger.states.items():
            self._look(id, state)
        self._editions = Editions(await self.db.collection(EDITIONS, create=True), self._mirror_due)
        await self._editions.open()
        self._mirror = Mirroring(
            self._ledger,
            self._editions,
            self.db.default_collection,
            self._author,
            lambda: self._profiles.devices,
            self._mirror_booked,
        )
        self._replicated = configurations(self._loop, self._notes.merged, self._mirror.book)
        await self._profiles.open()
        if device is not None and device != self._profiles.devices.get(self.device_id):
            await self.save_device(device)
        about = await self._settings.get(_ABOUT)
        if about is None:
            if start == "sample":
                await self.seed()
            await self._settings.put(_ABOUT, {"start": start, "mirror": False})
        elif about.get("mirror") is True:
            self._mirrors = True
            await self._mirror.start()

    async def close(self) -> None:
        """Close: what was begun is on disk then. Idempotent."""
        self._profiles.close()
        await self._mirror.stop()
        await self._editions.close()
        await self._ledger.close()
        await self._activity.close()
        await self.db.close()

    async def __aenter__(self) -> Inventory:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def seed(self) -> int:
        """Put the sample list in where its items are missing; return how many were."""
        states, blobs = await asyncio.to_thread(seeds)
        missing = {id: state for id, state in states.items() if id not in self._ledger.states}
        if missing:
            await self._ledger.put(missing, blobs)
        return len(missing)

    # --- the list ---------------------------------------------------------------------------------

    @property
    def items(self) -> Mapping[str, Item]:
        """The items that are there, by ID, in no order; a live view."""
        return MappingProxyType(self._items)

    def item(self, id: str) -> Item:
        """Return an item, removed ones too. Raises NotFoundError."""
        return self._items.get(id) or items.item_of(id, self._state(id))

    async def caught_up(self) -> None:
        """Wait until what is stored now, such as by a sync that has ended, is in `items`."""
        await self._ledger.caught_up()

    def history(self, id: str) -> list[Change]:
        """Return the edits that an item still knows, newest first. Raises NotFoundError."""
        return list(changes.history(self._state(id)))

    def on_change(self, callback: Callable[[ListChange], object]) -> Callable[[], None]:
        """Call back on the loop with each change of the list; returns a function that ends it.

        Without items if only `devices` are others: then names and colours are to be shown anew.
        """
        return self._listeners.add(callback)

    def _state(self, id: str) -> State:
        try:
            return self._ledger.states[id]
        except KeyError:
            raise NotFoundError(f"there is no item {id!r} in this inventory") from None

    def _name_of(self, id: str) -> str | None:
        return self.item(id).name if id in self._ledger.states else None

    def _look(self, id: str, state: State | None) -> Item | None:
        """Make an item's view anew; return it, None if it is removed or gone."""
        self._items.pop(id, None)
        self._troubled.pop(id, None)
        if state is None:
            return None
        found = changes.conflicts(state)
        if found:
            self._troubled[id] = found
        item = items.item_of(id, state, tuple(each.field for each in found))
        if item.removed:
            return None
        self._items[id] = item
        return item

    def _stepped(self, steps: Sequence[Step]) -> None:
        """The ledger has other states than before."""
        told, troubles = [], []
        for step in steps:
            troubled = {each.field for each in self._troubled.get(step.id, ())}
            item = self._look(step.id, step.after)
            edits = () if step.after is None else changes.diff(step.before, step.after)
            edits = tuple(each for each in edits if each.at > NEVER)  # Seeding is no news.
            remote = step.remote and not (edits and all(e.by == self.device_id for e in edits))
            told.append(ItemChange(step.id, item, edits, remote))
            troubles += [
                (step.id, each)
                for each in self._troubled.get(step.id, ())
                if each.field not in troubled
            ]
        for id, conflict in troubles:
            self._notes.add("conflict", conflict.others[0].by, [id], {"field": conflict.field})
        self._notes.received(told)
        self._mirror_due()
        self._listeners.tell(ListChange(tuple(told)))

    # --- edits ------------------------------------------------------------------------------------

    async def change_quantity(self, id: str, by: int, *, floor: int | None = 0) -> Item:
        """Count an item up or down: it adds up with what others count.

        Counting down ends at `floor`, as this device sees the number; None: nowhere. Raises
        InputError, NotFoundError, and what saving raises; so do all edits.
        """
        state, by = self._state(id), entered.step(by)
        if floor is not None and by < 0:
            by = min(max(by, floor - counters.total(state.quantity)), 0)
        if by == 0:
            return self.item(id)
        stamp = self._stamp(state)
        return await self._edit(
            Done(id, changes.QUANTITY, stamp, by), items.count(state, by, stamp)
        )

    async def set_quantity(self, id: str, to: int) -> Item:
        """Set an item's number, as after counting the shelf: earlier counts are dropped."""
        state, to = self._state(id), entered.amount(to)
        stamp = self._stamp(state)
        done = Done(id, changes.QUANTITY, stamp, to - counters.total(state.quantity))
        return await self._edit(done, items.set_quantity(state, to, stamp))

    async def rename(self, id: str, name: str, *, seen: Collection[str] | None = None) -> Item:
        """Give an item another name.

        Args:
            id: Which one.
            name: The new name.
            seen: The names that whoever typed this one had before him. One that another device
                has given meanwhile, and that is not among them, is no more shown and yet kept: a
                conflict, that can be restored. None: he has seen all there is.
        """
        return await self._write(id, NAME, entered.name(name), seen=seen)

    async def set_unit(self, id: str, unit: str, *, seen: Collection[str] | None = None) -> Item:
        """Say what an item is counted in, such as "kg"; "" for nothing. `seen` as in `rename`."""
        value = entered.text(unit, entered.UNIT_CHARACTERS_MAX, "unit")
        return await self._write(id, UNIT, value, seen=seen)

    async def set_warn_under(
        self, id: str, number: int | None, *, seen: Collection[int | None] | None = None
    ) -> Item:
        """Say from where an item counts as low; None: never. `seen` as in `rename`."""
        value = None if number is None else entered.amount(number, "number to warn under")
        return await self._write(id, WARN_UNDER, value, seen=seen)

    async def set_picture(self, id: str, data: bytes) -> Item:
        """Give an item the picture in `data`: a JPEG, PNG, WebP, GIF, BMP or TIFF file.

        It is turned as its EXIF says and scaled down, off the loop. Raises PictureError.
        """
        self._state(id)
        value, blobs = await pictured(data)
        return await self._write(id, PICTURE, value, blobs)

    async def remove_picture(self, id: str) -> Item:
        """Leave an item without a picture."""
        return await self._write(id, PICTURE, None)

    async def add(
        self,
        name: str,
        *,
        quantity: int = 0,
        unit: str = "",
        warn_under: int | None = None,
        picture: bytes | None = None,
    ) -> Item:
        """Add an item; its ID is random, so two devices may add one of the same name."""
        values: dict[str, Any] = {
            NAME: entered.name(name),
            UNIT: entered.text(unit, entered.UNIT_CHARACTERS_MAX, "unit"),
        }
        if warn_under is not None:
            values[WARN_UNDER] = entered.amount(warn_under, "number to warn under")
        quantity = entered.amount(quantity)
        blobs: list[Blob] = []
        if picture is not None:
            values[PICTURE], blobs = await pictured(picture)
        id, stamp = f"item::{uuid.uuid4().hex}", self._stamp(None)
        return await self._edit(
            Done(id, REMOVED, stamp, True), items.new(values, quantity, stamp), blobs
        )

    async def remove(self, id: str) -> Item:
        """Remove an item; `undo` and `bring_back` have it back with all that it was."""
        return await self._write(id, REMOVED, True)

    async def bring_back(self, id: str) -> Item:
        """Have a removed item back."""
        return await self._write(id, REMOVED, False)

    def _stamp(self, state: State | None) -> Stamp:
        return items.stamped(state, self._ms(), self.device_id)

    def _ms(self) -> int:
        return int(self._now() * 1000)

    async def _write(
        self,
        id: str,
        field: str,
        value: Any,
        blobs: Sequence[Blob] = (),
        seen: Collection[Any] | None = None,
    ) -> Item:
        state = self._state(id)
        shown = registers.shown(state.fields, field)
        before = shown.value if shown else None
        stamp = self._stamp(state)
        if (before == value or (not before and not value)) and not changes.conflicts(state):
            return self.item(id)
        beside: Sequence[registers.Version] = ()
        if seen is not None:
            beside = registers.unseen(state.fields, field, (*seen, value), self.device_id)
        return await self._edit(
            Done(id, field, stamp, before, shown and shown.stamp),
            items.put(state, field, value, stamp, beside),
            blobs,
        )

    async def _edit(self, done: Done, state: State, blobs: Sequence[Blob] = ()) -> Item:
        self._undo.add(done)
        stored = self._ledger.put({done.id: state}, blobs)
        self._notes.add("edited", self.device_id, [done.id], {}, fold=True)
        await stored
        return self.item(done.id)

    async def undo(self) -> Undone | None:
        """Take back the last edit of the last 20 made here; None if there is none left.

        Undoing is an edit itself, which others get like any. What another device wrote into the
        field meanwhile stays (`Undone.done` is False then).
        """
        done = self._undo.pop()
        if done is None:
            return None
        state = self._state(done.id)
        stamp = self._stamp(state)
        back = taken_back(state, done, stamp)
        if back is None:
            shown = registers.shown(state.fields, done.field)
            return Undone(self.item(done.id), done.field, False, shown.by if shown else "")
        self._undo.stands_for(done.over, stamp)
        stored = self._ledger.put({done.id: back})
        self._notes.add("edited", self.device_id, [done.id], {}, fold=True)
        await stored
        return Undone(self.item(done.id), done.field, True, "")

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return len(self._undo) > 0

    # --- conflicts --------------------------------------------------------------------------------

    def conflicts(self) -> list[Conflict]:
        """Return what could not merge and waits for a decision, the latest first."""
        found = [
            conflict_of(self.item(id), each)
            for id, several in self._troubled.items()
            for each in several
        ]
        return sorted(found, key=lambda each: each.shown.ms, reverse=True)

    async def restore(self, id: str, field: str, version: str) -> Item:
        """Show another version of a field (`Choice.version`), and drop the rest.

        Raises NotFoundError if that version is not there any more.
        """
        return await self._decide(id, field, version)

    async def keep(self, id: str, field: str) -> Item:
        """Settle for the version of a field that is shown; the others are dropped."""
        return await self._decide(id, field, None)

    async def _decide(self, id: str, field: str, version: str | None) -> Item:
        state = self._state(id)
        shown, chosen = decided(state, field, version)
        stamp = self._stamp(state)
        done = Done(id, field, stamp, shown.value, shown.stamp)
        self._notes.add("decided", self.device_id, [id], {"field": field})
        return await self._edit(done, items.put(state, field, chosen.value, stamp))

    # --- pictures ---------------------------------------------------------------------------------

    async def picture(self, digest: str) -> Content | None:
        """Return the picture of a digest (`Picture.digest`, `Picture.thumb`), None if not here."""
        return await self._gallery.content(digest)

    async def thumbnail(self, id: str) -> Content | None:
        """Return a small picture of an item: the stored one, or one made now; None if it has none.

        Raises NotFoundError if there is no such item.
        """
        picture = self.item(id).picture
        return None if picture is None else await self._gallery.thumbnail(picture)

    # --- devices ----------------------------------------------------------------------------------

    @property
    def device_id(self) -> str:
        """What names this device, with this user, as the author of edits: 16 hex digits.

        It is of the database's UUID: a copy of the database is another device.
        """
        return self._author[:16]

    @property
    def devices(self) -> Mapping[str, Device]:
        """The devices that ever shared in this inventory, by ID, this one too; a live view."""
        return MappingProxyType(self._profiles.devices)

    async def save_device(self, device: Device) -> None:
        """Say how others see this device. Raises InputError for an impossible name."""
        device = device._replace(name=entered.name(device.name))
        await self._profiles.save(self.device_id, device, self._ms())

    # --- sync -------------------------------------------------------------------------------------

    def replicated(self) -> tuple[CollectionConfig, ...]:
        """Return what a `Replicator` to another device is given as `collections`.

        They carry the resolvers that merge. The original app's list is not among them: each device
        that mirrors makes its own.
        """
        return self._replicated[:-1]

    def replicated_with_original(self) -> tuple[CollectionConfig, ...]:
        """Return what a `Replicator` to the original app is given as `collections`: its list."""
        return self._replicated[-1:]

    @property
    def mirrors(self) -> bool:
        """Whether this device keeps the original app's list in step with the items."""
        return self._mirrors

    async def set_mirrors(self, on: bool) -> None:
        """Keep the original app's list in step with the items from now on, or no more."""
        self._mirrors = on
        if on:
            await self._mirror.start()
        else:
            await self._mirror.stop()
        about = await self._settings.get(_ABOUT)
        assert about is not None, "written at opening"
        about["mirror"] = on
        await self._settings.save(about)

    async def mirrored(self) -> None:
        """Wait until the original's list is in step with the items; at once if it isn't kept so."""
        await self._mirror.idle()

    def _mirror_due(self) -> None:
        if self._mirrors:
            self._mirror.items_changed()

    def _mirror_booked(self, edited: Edits) -> None:
        self._notes.add("received", edited.stamp.by, list(edited.items), {})

    # --- activity ---------------------------------------------------------------------------------

    async def activity(self, count: int = 200) -> list[Entry]:
        """Return the latest entries, newest first; 500 are kept."""
        return self._activity.latest(count)

    async def note(self, kind: str, *, who: str = "", text: str = "", **detail: Any) -> None:
        """Put an entry into the activity, such as ``note("error", who="Van", text="…")``.

        `who`, `text` and all else are its detail: JSON values.
        """
        self._notes.add(kind, "", [], {"who": who, "text": text, **detail})

    def on_activity(self, callback: Callable[[Entry], object]) -> Callable[[], None]:
        """Call back on the loop with each entry that is new or has grown; returns how to end it."""
        return self._activity_listeners.add(callback)
