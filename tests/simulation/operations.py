"""What applications do to their databases in a simulated life."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from settee.db.blob import Blob
from settee.store.copying import copy_database
from tests.simulation import invariants
from tests.simulation.device import Device
from tests.simulation.model import Key, Seen, Write
from tests.simulation.plan import DOCUMENTS, PRIVATE, PURGED, Event, LinkPlan

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet

__all__ = ["perform"]

_PEERS_MAX: Final = 8


async def perform(fleet: Fleet, event: Event) -> None:
    """Do one operation, if there is somebody who can."""
    device = fleet.device(event.who)
    if device is None:
        return
    chance = random.Random(event.seed)
    if event.kind in _WRITES:
        _WRITES[event.kind](fleet, device, chance)
    else:
        await _OTHERS[event.kind](fleet, device, chance)


# --- writing --------------------------------------------------------------------------------------


def _key(fleet: Fleet, chance: random.Random) -> Key:
    ids = chance.choices((DOCUMENTS, PURGED, PRIVATE), (8, 1, 1))[0]
    return chance.choice(fleet.plan.collections), chance.choice(ids)


def _find(
    fleet: Fleet, device: Device, chance: random.Random, wanted: Callable[[Seen | None], bool]
) -> tuple[Key, Seen | None] | None:
    """Return a document of the wanted kind."""
    for _ in range(6):
        key = _key(fleet, chance)
        row = device.row(*key)
        seen = None if row is None else row.seen
        if wanted(seen):
            return key, seen
    return None


def _is_live(seen: Seen | None) -> bool:
    return seen is not None and not seen.deleted


def save(
    fleet: Fleet, device: Device, key: Key, chance: random.Random, *, blob: str = "keep"
) -> bool:
    """Write a document on top of what is there: its list gets one more token."""
    row = device.row(*key)
    write, body = _prepare(fleet, device, key, chance, blob)
    collection = device.collections[key[0]]
    if row is not None and not row.state.deleted:
        document = collection[key[1]]
        for name in set(document) - body.keys():
            del document[name]
        for name, value in body.items():
            document[name] = value
        done = device.try_write(lambda: collection.save(document))
    else:
        done = device.try_write(lambda: collection.put(key[1], body))
    if done:
        _acknowledge(fleet, device, write)
    return done


def _prepare(
    fleet: Fleet, device: Device, key: Key, chance: random.Random, blob: str
) -> tuple[Write, dict[str, Any]]:
    row = device.row(*key)
    live = row is not None and not row.state.deleted
    write = fleet.model.begin(device.name, key, None if row is None else row.seen, deletes=False)
    body: dict[str, Any] = {"log": [], "pad": hashlib.sha512(key[1].encode()).hexdigest() * 3}
    if live:
        body = dict(device.collections[key[0]][key[1]])
    body["log"] = [*body["log"], write.token]
    body["quantity"] = chance.randrange(100)
    if blob == "add":
        size = chance.choice((0, 1, 100, 3000, 3000, 70_000))
        content = chance.randbytes(size) + write.token.encode()
        fleet.model.images[write.token] = content
        body["image"] = Blob.from_bytes(content, "image/png")
        body["image_of"] = write.token
    elif blob == "remove":
        body.pop("image", None)
        body.pop("image_of", None)
    return write, body


def _acknowledge(fleet: Fleet, device: Device, write: Write) -> None:
    seen = fleet.model.seen[device.name].get(write.key)
    row = device.row(*write.key)
    if row is None or seen is None:
        fleet.fail("I2", device.name, f"{write.key} is not there after it was written")
        return
    if row.seen != seen:
        fleet.fail("I8", device.name, f"{write.key} is not what the change listener was told")
    fleet.model.acknowledge(write, row.seen.name)
    if write.deletes != row.state.deleted or (not write.deletes and row.seen.log != write.log):
        fleet.fail("I2", device.name, f"{write.key} is not what was written")


def _put(fleet: Fleet, device: Device, chance: random.Random) -> None:
    found = _find(fleet, device, chance, lambda seen: seen is None) or (_key(fleet, chance), None)
    if save(fleet, device, found[0], chance):
        fleet.happened("put")


def _update(fleet: Fleet, device: Device, chance: random.Random) -> None:
    found = _find(fleet, device, chance, _is_live)
    if found is not None and save(fleet, device, found[0], chance):
        fleet.happened("update")


def _delete(fleet: Fleet, device: Device, chance: random.Random) -> None:
    found = _find(fleet, device, chance, _is_live)
    if found is None:
        return
    key, seen = found
    write = fleet.model.begin(device.name, key, seen, deletes=True)
    if device.try_write(lambda: device.collections[key[0]].delete(key[1])):
        _acknowledge(fleet, device, write)
        fleet.happened("delete")


def _resurrect(fleet: Fleet, device: Device, chance: random.Random) -> None:
    found = _find(fleet, device, chance, lambda seen: seen is not None and seen.deleted)
    if found is not None and save(fleet, device, found[0], chance):
        fleet.happened("resurrect")


def _purge(fleet: Fleet, device: Device, chance: random.Random) -> None:
    key = (chance.choice(fleet.plan.collections), chance.choice(PURGED))
    if device.row(*key) is None:
        return
    fleet.model.mortal.add(key)

    def job() -> None:
        device.collections[key[0]].purge(key[1])

    if device.try_write(job):
        fleet.happened("purge")


def _blob(kind: str, how: str, has: bool) -> Callable[[Fleet, Device, random.Random], None]:
    def work(fleet: Fleet, device: Device, chance: random.Random) -> None:
        def wanted(seen: Seen | None) -> bool:
            return seen is not None and not seen.deleted and bool(seen.image) == has

        found = _find(fleet, device, chance, wanted)
        if found is not None and save(fleet, device, found[0], chance, blob=how):
            fleet.happened(kind)

    return work


def _batch(fleet: Fleet, device: Device, chance: random.Random) -> None:
    """Write several documents in one transaction: all or none."""
    name = chance.choice(fleet.plan.collections)
    ids = chance.sample(DOCUMENTS, chance.randint(2, 5))
    collection = device.collections[name]
    prepared = [_prepare(fleet, device, (name, doc_id), chance, "keep") for doc_id in ids]

    def job() -> None:
        with device.db.transaction():
            for write, body in prepared:
                collection.put(write.key[1], body)

    if device.try_write(job):
        for write, _ in prepared:
            _acknowledge(fleet, device, write)
        fleet.happened("batch")
    elif not device.incarnation.dead:
        there = [
            row is not None and write.token in row.seen.log
            for write, _ in prepared
            for row in (device.row(*write.key),)
        ]
        if any(there):
            fleet.fail("batch", device.name, f"a transaction that failed left {sum(there)} writes")


def _conflict(fleet: Fleet, device: Device, chance: random.Random) -> None:
    """Have two peers or more write one document at the same moment."""
    key = (chance.choice(fleet.plan.collections), chance.choice(DOCUMENTS))
    up = [each for each in fleet.devices if each.is_up]
    if len(up) < 2:
        return
    for each in chance.sample(up, chance.randint(2, len(up))):
        save(fleet, each, key, chance, blob=chance.choice(("keep", "keep", "add")))
    fleet.happened("conflict")


# --- reading, and what is done to a whole database ------------------------------------------------


async def _query(fleet: Fleet, device: Device, chance: random.Random) -> None:
    """Compare what the live view shows with what a look at everything finds."""
    invariants.live_view(fleet, device)
    fleet.happened("query")


async def _listen(fleet: Fleet, device: Device, chance: random.Random) -> None:
    """Listen to one document for a moment, and see a change of it."""
    key = _key(fleet, chance)
    told: list[str] = []
    collection = device.collections[key[0]]
    with collection.on_document_change(key[1], lambda change: told.append(change.document_id)):
        done = save(fleet, device, key, chance)
    if done and told != [key[1]]:
        fleet.fail("I8", device.name, f"a listener to {key} was told {told}")
    fleet.happened("listen")


async def _sync(fleet: Fleet, device: Device, chance: random.Random) -> None:
    """Run one of the replicators that run once."""
    numbers = [n for n, link in enumerate(fleet.links) if not link.plan.continuous]
    if numbers:
        await fleet.run_link(chance.choice(numbers))
        fleet.happened("sync")


async def _away(fleet: Fleet, device: Device, chance: random.Random) -> None:
    """Stop to listen for a while, or begin to again."""
    device.listening = not device.listening
    if not device.listening and device.passive is not None:
        for connection in device.passive.connections:
            device.passive.disconnect(connection, final=False)
    fleet.happened("away")


async def _compact(fleet: Fleet, device: Device, chance: random.Random) -> None:
    if device.try_write(device.db.compact):
        fleet.happened("compact")
        invariants.blobs(fleet, device)


async def _reset(fleet: Fleet, device: Device, chance: random.Random) -> None:
    """Stop a replicator and let it begin without its checkpoint."""
    numbers = [n for n, link in enumerate(fleet.links) if link.is_there and link.active.is_up]
    if not numbers:
        return
    number = chance.choice(numbers)
    active = fleet.links[number].active.actives.get(number)
    if active is not None:
        await active.stop()
    await fleet.run_link(number, reset=True)
    fleet.happened("reset")


async def _snapshot(fleet: Fleet, device: Device, chance: random.Random) -> None:
    """Copy a database away, as a backup of the whole machine does."""
    path = fleet.directory / f"snapshot-{fleet.done['snapshot']}"
    device.copy_files(path)
    device.snapshots.append(path)
    fleet.happened("snapshot")


async def _restore(fleet: Fleet, device: Device, chance: random.Random) -> None:
    """Put a database back to what it was."""
    owners = [each for each in fleet.devices if each.is_up and each.snapshots]
    if owners:
        device = chance.choice(owners)
        await _begin_anew(fleet, device, chance.choice(device.snapshots))
        fleet.happened("restore")


async def _wipe(fleet: Fleet, device: Device, chance: random.Random) -> None:
    """Delete a database; a new one comes in its place."""
    await _begin_anew(fleet, device, None)
    device.snapshots.clear()
    fleet.happened("wipe")


async def _begin_anew(fleet: Fleet, device: Device, source: Any) -> None:
    await device.close()
    fleet.model.forget(device.name, entirely=True)
    if source is not None:
        fleet.model.put_back.add(device.name)
    device.begin_anew(source)
    device.open()
    await fleet.start(device)


async def _clone(fleet: Fleet, device: Device, chance: random.Random) -> None:
    """Make a copy of a database, and let a new peer begin with it."""
    if len(fleet.devices) >= _PEERS_MAX:
        return
    new = fleet.add(device.clock.skew_s)
    new.path = fleet.directory / f"{new.name}-0.settee"
    fleet.paths.add((device.name, new.name))
    if not device.try_write(lambda: copy_database(device.path, new.path, clock=new.clock)):
        fleet.devices.remove(new)
        shutil.rmtree(new.path, ignore_errors=True)  # Whole or not: the next one has its name.
        return
    await _join(fleet, new, device, chance)
    fleet.happened("clone")


async def _add(fleet: Fleet, device: Device, chance: random.Random) -> None:
    if len(fleet.devices) < _PEERS_MAX:
        await _join(fleet, fleet.add(device.clock.skew_s), device, chance)
        fleet.happened("add")


async def _join(fleet: Fleet, new: Device, other: Device, chance: random.Random) -> None:
    new.open()
    like = chance.choice(fleet.plan.links)
    plan = LinkPlan(
        active=0,
        passive=0,
        level=like.level,
        deltas=like.deltas,
        merges=like.merges,
        collections=fleet.plan.collections,
    )
    ends = (new, other) if chance.random() < 0.7 else (other, new)
    link = fleet.connect(*ends, plan)
    await fleet.run_link(fleet.links.index(link))


async def _remove(fleet: Fleet, device: Device, chance: random.Random) -> None:
    """Have a peer leave for good."""
    if len([each for each in fleet.devices if not each.is_gone]) < 3:
        return
    await device.close()
    device.is_gone = True
    fleet.model.forget(device.name, entirely=True)
    for link in fleet.links:
        number = fleet.links.index(link)
        if link.passive is device and number in link.active.actives:
            await link.active.actives.pop(number).stop()
    fleet.happened("remove")


_WRITES: Final[dict[str, Callable[[Fleet, Device, random.Random], None]]] = {
    "put": _put,
    "update": _update,
    "delete": _delete,
    "resurrect": _resurrect,
    "purge": _purge,
    "blob_add": _blob("blob_add", "add", False),
    "blob_swap": _blob("blob_swap", "add", True),
    "blob_remove": _blob("blob_remove", "remove", True),
    "batch": _batch,
    "conflict": _conflict,
}

_OTHERS: Final[dict[str, Callable[[Fleet, Device, random.Random], Coroutine[Any, Any, None]]]] = {
    "query": _query,
    "listen": _listen,
    "sync": _sync,
    "away": _away,
    "compact": _compact,
    "reset": _reset,
    "snapshot": _snapshot,
    "restore": _restore,
    "wipe": _wipe,
    "clone": _clone,
    "add": _add,
    "remove": _remove,
}
