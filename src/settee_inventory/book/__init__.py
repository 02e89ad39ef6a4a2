"""The inventory of one user: what the pages show and do, over a settee database.

``Inventory`` keeps the list of a user's database in memory, in step with the database, and does
every edit at once and on disk. All of it runs on one asyncio loop; callbacks come on that loop. ::

    device = Device("Kitchen", icon="restaurant", colour="teal")
    async with await Inventory.open("data", "bob", start="sample", device=device) as book:
        stop = book.on_change(lambda change: print(change.items))
        apples = next(each for each in book.items.values() if each.name == "Apples")
        await book.change_quantity(apples.id, -2)        # a count: adds up with those of others
        await book.set_quantity(apples.id, 12)           # a stock-taking: later counts go on top
        await book.set_picture(apples.id, jpeg_bytes)    # turned, scaled, checked; PictureError
        await book.undo()                                # of the last 20 edits made here

Opening: ``await Inventory.open(directory, user, start=..., device=...)``. Each user has a database
of their own, all with the name ``userdb``, in a directory made of the user's name. `start` counts
the first time only: ``"sample"`` (the 42 items of the sample list), ``"empty"``, or ``"join"``
(nothing: another device's inventory is to arrive by sync).

The list: ``book.items`` is a read-only mapping from ID to `Item`, without the removed ones;
``book.item(id)`` one of them, removed or not. Sort and search them as you like. ``book.on_change``
calls back with a `ListChange`: for each `ItemChange` the ID, the item as it is now (None: removed
or gone), what has changed (`Change`: field, by which device, when, amount) and whether it came from
another device (`remote`). ``book.history(id)`` are the changes that the item still knows, newest
first.

Edits, each awaited until it is on disk, each returning the `Item` after it: ``change_quantity``,
``set_quantity``, ``rename``, ``set_unit``, ``set_warn_under``, ``set_picture``, ``remove_picture``,
``add``, ``remove``, ``bring_back``. ``undo`` returns an `Undone`, or None if there is nothing to
undo (``can_undo``). Wrong input raises `InputError` with a sentence for the person; a file that is
no picture raises `PictureError`, which is one.

Pictures: ``item.picture`` tells the digests; ``await book.picture(digest)`` the bytes and type for
an HTTP answer; ``await book.thumbnail(id)`` a small one, made here if nobody made one before.

Conflicts: ``book.conflicts()`` lists what could not merge (`Conflict`: the item, the field, the
version shown, the others, each a `Choice`). ``restore(id, field, choice.version)`` shows another
version, ``keep(id, field)`` settles for the one that is shown; both are edits like others. Who
types into a field while another device changes it says with ``rename(id, name, seen=[...])`` which
names he had before him: the other one becomes a conflict too, instead of being written over unseen.

Devices: ``book.device_id`` is this one's; ``book.devices`` maps IDs to `Device` (name, icon,
colour) of all that ever wrote here; ``save_device`` changes this one's. An author of changes that
`is_mirror` is the original app, through its list.

Activity, kept on this device only: ``await book.activity()`` returns the latest `Entry` objects;
``await book.note(kind, ...)`` adds one, such as an error of a link. Changes that arrive, merges and
conflicts are noted by the book itself; ``book.on_activity`` calls back.

Sync: give ``book.replicated()`` as `collections` to a `Replicator` (they carry the resolvers that
merge) and ``book.COLLECTIONS`` to a `URLEndpointListener`. Never None, which would send what is
this device's own business.

The original app's list: ``book.mirrors``, and ``await book.set_mirrors(True)``. The original
connects to the listener like any device. To connect to an original that listens, which has nothing
but its list, give the `Replicator` ``book.replicated_with_original()``.
"""

from __future__ import annotations

from settee_inventory.book.choices import Choice as Choice
from settee_inventory.book.choices import Conflict as Conflict
from settee_inventory.book.errors import InputError as InputError
from settee_inventory.book.errors import PictureError as PictureError
from settee_inventory.book.inventory import Inventory as Inventory
from settee_inventory.book.inventory import Start as Start
from settee_inventory.book.values import Content as Content
from settee_inventory.book.values import Device as Device
from settee_inventory.book.values import Entry as Entry
from settee_inventory.book.values import ItemChange as ItemChange
from settee_inventory.book.values import ListChange as ListChange
from settee_inventory.book.values import Undone as Undone
from settee_inventory.model import Change as Change
from settee_inventory.model import Item as Item
from settee_inventory.model import Picture as Picture
from settee_inventory.model.mirror import is_mirror as is_mirror

__all__ = [
    "Change",
    "Choice",
    "Conflict",
    "Content",
    "Device",
    "Entry",
    "InputError",
    "Inventory",
    "Item",
    "ItemChange",
    "ListChange",
    "Picture",
    "PictureError",
    "Start",
    "Undone",
    "is_mirror",
]
