"""What must hold, always or in the end: I1 to I10.

I1 convergence, I2 no acknowledged write is lost, I3 what is deleted stays so, I4 no checkpoint is
ahead of the data, I5 blobs are whole, I6 what is held is bounded, I7 silence when there is nothing
to say, I8 time runs forward, I9 the same seed gives the same trace (`tests.simulation.__main__`),
I10 nobody gets what is kept from them.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
from typing import TYPE_CHECKING, Final

from settee.doc.version import contains
from settee.errors import SetteeError
from settee.limits import INBOUND_BYTES_MAX
from settee.store import checkpoints as stored
from settee.sync.checkpoint import combine
from settee.sync.events import Activity
from tests.simulation.device import Device, Row
from tests.simulation.model import Key, Seen
from tests.simulation.streams import Stream

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet, Link

__all__ = [
    "access",
    "always",
    "at_rest",
    "blobs",
    "checkpoints",
    "in_the_end",
    "lets",
    "live_view",
    "load",
    "quiet",
]

_WAL_BYTES_MAX: Final = 64 * 2**20
Rows = dict[str, dict[Key, Row]]


def lets(fleet: Fleet, link: Link, source: Device, target: Device, doc_id: str) -> bool:
    """Tell whether a link lets a document pass from one of its ends to the other."""
    plan, pushes = link.plan, source is link.active
    if plan.type == ("pull" if pushes else "push"):
        return False
    if not doc_id.startswith("private::"):
        return True
    if plan.filter == "ids" or fleet.plan.listener_authorizes:
        return False
    return plan.filter != ("push" if pushes else "pull")


def _must_arrive(fleet: Fleet, link: Link, source: Device, target: Device, key: Key) -> bool:
    """Tell whether what one end has must reach the other, conflicts included."""
    if key[0] not in link.plan.collections or not lets(fleet, link, source, target, key[1]):
        return False
    if source is link.active and not lets(fleet, link, target, source, key[1]):
        # A conflict is refused for the active side to resolve, which can't see the other branch.
        refuses = link.plan.level < 4 and not fleet.plan.listener_resolves
        return not (refuses or link.plan.merges)
    return True


# --- always ---------------------------------------------------------------------------------------


def access(fleet: Fleet, device: Device, key: Key, seen: Seen) -> None:
    """I10: a private document came by ways that are open to it."""
    if not key[1].startswith("private::"):
        return
    for token in seen.log:
        author = token.partition(".")[2]
        if not _reaches(fleet, author, device.name):
            fleet.fail("I10", device.name, f"{key} with {token} passed a filter")


def _reaches(fleet: Fleet, source: str, target: str) -> bool:
    reached, fresh = {source}, [source]
    while fresh:
        at = fresh.pop()
        for a, b in fleet.paths:
            if a == at and b not in reached:
                reached.add(b)
                fresh.append(b)
    return target in reached


def always(fleet: Fleet) -> None:
    """I6 and I8, as far as they can be looked up at any moment."""
    for device in fleet.devices:
        if not device.is_up:
            continue
        assert device.passive is not None
        drivers = [each._driver for each in device.passive.connections]
        drivers += [each._driver for each in device.actives.values() if each._driver is not None]
        for driver in drivers:
            session = driver.session
            if session.held_bytes > INBOUND_BYTES_MAX:
                fleet.fail("I6", device.name, f"a session holds {session.held_bytes} bytes")
            if min(session.revs_out, session.rev_bytes_out, session.inbound_bytes) < 0:
                fleet.fail("I7", device.name, "a count of what is under way is negative")
        for name, collection in device.collections.items():
            last = collection.last_sequence
            if last < device.sequences.get(name, 0):
                fleet.fail("I8", device.name, f"the sequence of {name} fell to {last}")
            device.sequences[name] = last


def live_view(fleet: Fleet, device: Device) -> None:
    """I8: what change listeners told is what a look at everything finds."""
    rows = device.rows()
    found = {key: row.seen.log for key, row in rows.items() if not row.state.deleted}
    if found != device.live:
        keys = sorted(found.keys() | device.live.keys())
        wrong = [key for key in keys if found.get(key) != device.live.get(key)]
        fleet.fail("I8", device.name, f"the live view differs from the data in {wrong[:3]}")
    count = sum(len(collection) for collection in device.collections.values())
    if count != len(found):
        fleet.fail("I8", device.name, f"{count} documents are counted, and {len(found)} are there")


def checkpoints(fleet: Fleet) -> None:
    """I4: what a checkpoint covers is stored at the other side, or was refused there."""
    rows: Rows = {each.name: each.rows() for each in fleet.devices if each.is_up}
    for number, link in enumerate(fleet.links):
        active, passive = link.active, link.passive
        replicator = active.actives.get(number) if active.is_up and passive.is_up else None
        if replicator is None:
            continue
        remote = f"{hashlib.sha256(passive.name.encode()).hexdigest()}/db"
        for name, id_ in zip(
            link.plan.collections, replicator._checkpoint_ids(remote), strict=True
        ):
            with active.db._store.reader() as reader:
                own = stored.own(reader, id_)
            with passive.db._store.reader() as reader:
                peers = stored.peer(reader, id_)
            completed, since = combine(own, None if peers is None else peers[1])
            ends = ((active, passive), (passive, active))
            for source, target in ends:
                for key, row in rows[source.name].items():
                    covered = (
                        row.seq in completed
                        if source is active
                        else since.isdigit() and row.seq <= int(since)
                    )
                    if key[0] == name and covered and not key[1].startswith("local::"):
                        _covered(fleet, link, source, target, key, row, rows[target.name].get(key))


def _covered(
    fleet: Fleet, link: Link, source: Device, target: Device, key: Key, row: Row, its: Row | None
) -> None:
    if not _must_arrive(fleet, link, source, target, key):
        return
    if its is not None:
        if contains(its.state.vector, row.state.vector.cv):
            return
        if not contains(row.state.vector, its.state.vector.cv):
            return  # A conflict that is still open.
    what = "nothing" if its is None else "an older revision"
    fleet.fail(
        "I4", target.name, f"the checkpoint covers {key} of {source.name}, and there is {what}"
    )


def blobs(fleet: Fleet, device: Device) -> None:
    """I5: every blob that a document names is there, with its content."""
    for key, row in device.rows().items():
        if not row.seen.image:
            continue
        image = device.collections[key[0]][key[1]]["image"]
        try:
            content = image.read()
        except SetteeError as exc:
            fleet.fail("I5", device.name, f"the blob of {key} can't be read: {exc}")
            continue
        if content != fleet.model.images[row.seen.image]:
            fleet.fail("I5", device.name, f"the blob of {key} is another one")


# --- in the end -----------------------------------------------------------------------------------


def at_rest(fleet: Fleet) -> None:
    """I7: nobody is busy any more."""
    for device in fleet.devices:
        if not device.is_up:
            continue
        for number, active in device.actives.items():
            status = active.status.value
            if status.activity not in (Activity.IDLE, Activity.STOPPED):
                other = fleet.links[number].passive.name
                text = f"its replicator to {other} is {status.activity.value}: {status.error!r}"
                fleet.fail("I7", device.name, text)
            elif status.error is not None:
                fleet.fail("I7", device.name, f"its replicator ends with {status.error!r}")


def load(fleet: Fleet) -> tuple[int, int]:
    """Return how many tasks and timers there are, beside the bytes that are on a wire just now."""
    timers = [timer for timer in fleet.loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
    ours = [t for t in timers if not isinstance(getattr(t._callback, "__self__", None), Stream)]
    return len(asyncio.all_tasks(fleet.loop)), len(ours)


def quiet(fleet: Fleet, before: tuple[int, int], talk: int) -> None:
    """I6 and I7: nothing was said but heartbeats, nothing grew."""
    if talk:
        fleet.fail("I7", "-", f"{talk} messages were sent while there was nothing to say")
    tasks, timers = load(fleet)
    if tasks != before[0] or timers > before[1] + 2:
        fleet.fail("I6", "-", f"tasks and timers went from {before} to {(tasks, timers)} at rest")


def in_the_end(fleet: Fleet) -> None:
    """Everything that holds once the peers have come to rest."""
    up = [device for device in fleet.devices if device.is_up]
    for device in up:
        live_view(fleet, device)
        blobs(fleet, device)
        log = device.db._store.directory / "db.sqlite3-wal"
        if log.exists() and log.stat().st_size > _WAL_BYTES_MAX:
            fleet.fail("I6", device.name, f"its log has {log.stat().st_size} bytes")
    checkpoints(fleet)
    rows: Rows = {device.name: device.rows() for device in up}
    _converged(fleet, up, rows)
    _nothing_lost(fleet, up, rows)
    gc.collect()  # A `Blob` that is garbage in a cycle still keeps its content.
    for device in up:
        _no_orphans(fleet, device)
        problems = device.db.check()
        if problems:
            fleet.fail("I5", device.name, f"a check finds {problems[0]}")


def _nothing_lost(fleet: Fleet, up: list[Device], rows: Rows) -> None:
    """I2: each write is in what a document has become, for who wrote it."""
    merges = fleet.plan.merges and all(
        link.plan.merges and link.plan.type == "push_and_pull" and link.plan.filter == "none"
        for link in fleet.links
    )
    for device in up:
        mine = rows[device.name]
        lost = fleet.model.lost_by(
            device.name, {key: row.seen for key, row in mine.items()}, merges=merges
        )
        if lost is not None:
            fleet.fail("I2", device.name, lost)
        for write in fleet.model.mine.get(device.name, {}).values():
            row = mine.get(write.key)
            if row is None or write.key[1].startswith("local::"):
                continue
            time, _, source = write.name.partition("@")
            if dict(_entries(row)).get(source, 0) < int(time, 16):
                text = f"the vector of {write.key} does not know of {write.token}"
                fleet.fail("I2", device.name, text)


def _entries(row: Row) -> list[tuple[str, int]]:
    from settee.doc.version import entries

    return list(entries(row.state.vector).items())


def _converged(fleet: Fleet, up: list[Device], rows: Rows) -> None:
    """I1: who must get something from another has it, or what came after it."""
    keys = sorted({key for each in rows.values() for key in each})
    for key in keys:
        ways: set[tuple[str, str]] = set()
        for link in fleet.links:
            for source, target in ((link.active, link.passive), (link.passive, link.active)):
                if not (source in up and target in up):
                    continue
                if not _must_arrive(fleet, link, source, target, key):
                    continue
                ways.add((source.name, target.name))
                _arrived(fleet, source, target, key, rows)
        if not fleet.plan.merges:
            # What the rule makes of a conflict keeps the winner's name: who has the winner already
            # is not told what it has won over. So a circle of one-way links is not enough.
            ways = {(a, b) for a, b in ways if (b, a) in ways}
        for a in sorted(rows):
            for b in sorted(rows):
                if a < b and _both_ways(ways, a, b):
                    _alike(fleet, a, b, key, rows)


def _arrived(fleet: Fleet, source: Device, target: Device, key: Key, rows: Rows) -> None:
    row, its = rows[source.name].get(key), rows[target.name].get(key)
    if row is None or key[1].startswith("local::"):
        return
    if its is None:
        fleet.fail("I1", target.name, f"lacks {key} of {source.name}")
    elif not contains(its.state.vector, row.state.vector.cv):
        fleet.fail(
            "I1",
            target.name,
            f"has {its.seen.name} of {key}, and {source.name} has {row.seen.name}",
        )


def _alike(fleet: Fleet, a: str, b: str, key: Key, rows: Rows) -> None:
    one, other = rows[a].get(key), rows[b].get(key)
    if one is None or other is None or key[1].startswith("local::"):
        return
    if (one.state.deleted, one.body) != (other.state.deleted, other.body):
        text = f"has {_short(one)} for {key}, and {b} has {_short(other)}"
        fleet.fail("I1", a, text)


def _short(row: Row) -> str:
    return "a tombstone" if row.state.deleted else f"{row.body.get('log', [])[-3:]}"


def _both_ways(ways: set[tuple[str, str]], a: str, b: str) -> bool:
    return _path(ways, a, b) and _path(ways, b, a)


def _path(ways: set[tuple[str, str]], source: str, target: str) -> bool:
    reached, fresh = {source}, [source]
    while fresh:
        at = fresh.pop()
        for a, b in ways:
            if a == at and b not in reached:
                reached.add(b)
                fresh.append(b)
    return target in reached


def _no_orphans(fleet: Fleet, device: Device) -> None:
    """I5 and I10: after a compaction only blobs that are named are left, and those are whole."""
    device.db.compact()
    blobs(fleet, device)
    named = {
        hashlib.sha1(fleet.model.images[row.seen.image]).hexdigest()
        for row in device.rows().values()
        if row.seen.image
    }
    there = {each.name for each in device.db._store.blobs.directory.iterdir() if each.is_file()}
    if there != named:
        text = f"{len(there - named)} blobs are left that nothing names, {len(named - there)} lack"
        fleet.fail("I5", device.name, text)
    for token, content in fleet.model.images.items():
        write = fleet.model.writes[token]
        if (
            write.key[1].startswith("private::")
            and hashlib.sha1(content).hexdigest() in there
            and not _reaches(fleet, write.peer, device.name)
        ):
            fleet.fail("I10", device.name, f"the blob of {write.key} passed a filter")
