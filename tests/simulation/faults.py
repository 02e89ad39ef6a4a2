"""What goes wrong in a simulated life, and how it is made good again."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from settee.errors import SetteeError, StoreError
from tests.simulation import invariants
from tests.simulation.device import Device
from tests.simulation.plan import Event
from tests.simulation.slow import SlowRuntime

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet

__all__ = ["begin", "excuses", "explains", "heal", "may_fail", "perform"]


def begin(fleet: Fleet) -> None:
    """Make the first peers, with the faults that last from the beginning."""
    plan = fleet.plan
    chance = random.Random(f"faults {plan.seed}")
    skewed = "skew" in plan.faults
    for _ in range(plan.peers):
        fleet.add(chance.uniform(-3600, 3600) if skewed else chance.uniform(-40, 40))
    if skewed:
        fleet.happened("skew")
    if "latency" in plan.faults:
        fleet.network.latency_s = chance.choice((0.05, 0.3, 1.0))
        fleet.happened("latency")
    if "slow_peer" in plan.faults:
        fleet.network.rates[chance.choice(fleet.devices).name] = chance.choice((3e3, 20e3, 100e3))
        fleet.happened("slow_peer")
    if "slow_disk" in plan.faults:
        fleet.happened("slow_disk")


async def perform(fleet: Fleet, event: Event) -> None:
    """Let one thing go wrong, if it can."""
    if await _FAULTS[event.kind](fleet, event.who, random.Random(event.seed)):
        fleet.happened(event.kind)


async def heal(fleet: Fleet) -> None:
    """Make everything good again: the network, the clocks, the disks; start who is down."""
    fleet.network.heal()
    if fleet.disks is not None:
        fleet.disks.heal()
    highest_s = max(device.skew_high_s for device in fleet.devices)
    for device in fleet.devices:
        _start_again(fleet, device)
        device.listening = True
        device.clock.skew_s = highest_s
        if device.is_up and isinstance(device.runtime, SlowRuntime):
            device.runtime.is_slow = False


# --- what explains an error -----------------------------------------------------------------------


def may_fail(fleet: Fleet, device: Device, error: SetteeError) -> bool:
    """Tell whether a write of the application's may be refused just now."""
    return isinstance(error, StoreError) and device.disk is not None and device.disk.hits > 0


def explains(fleet: Fleet, error: SetteeError) -> bool:
    """Tell whether what went wrong explains that a continuous replicator stopped for good."""
    return "callback" in fleet.plan.faults and "mistake" in str(error)


def excuses(fleet: Fleet, heard: list[str]) -> bool:
    """Tell whether what went wrong explains what settee logged as an error."""
    return False


# --- the network ----------------------------------------------------------------------------------


async def _cut(fleet: Fleet, who: int, chance: random.Random) -> bool:
    """Break a connection after so many more bytes."""
    connections = fleet.network.open_connections()
    if not connections:
        return False
    stream = connections[who % len(connections)].streams[chance.randrange(2)]
    stream.cut_at = stream.arrived_bytes + int(10 ** chance.uniform(0, 4))
    return True


async def _one_way(fleet: Fleet, who: int, chance: random.Random) -> bool:
    """Let nothing through from one peer to another, for a while."""
    links = [link for link in fleet.links if link.is_there]
    if not links:
        return False
    link = links[who % len(links)]
    ends = [link.active.name, link.passive.name]
    chance.shuffle(ends)
    fleet.network.block(ends[0], ends[1], chance.choice((1.0, 20.0, 70.0, 200.0)))
    return True


async def _black_hole(fleet: Fleet, who: int, chance: random.Random) -> bool:
    """Let a connection die without telling anybody."""
    connections = fleet.network.open_connections()
    if not connections:
        return False
    connections[who % len(connections)].swallow()
    return True


async def _duplicate(fleet: Fleet, who: int, chance: random.Random) -> bool:
    """Let a second replicator run beside the one that there is."""
    links = [link for link in fleet.links if link.is_there and link.active.is_up]
    if not links:
        return False
    link = links[who % len(links)]
    active = link.active.replicator(link.plan, link.passive, continuous=chance.random() < 0.3)
    link.active.extras.append(active)
    await fleet.begin(link.active, active)
    return True


# --- clocks ---------------------------------------------------------------------------------------


async def _jump(fleet: Fleet, who: int, chance: random.Random) -> bool:
    """Set a peer's clock."""
    device = fleet.devices[who % len(fleet.devices)]
    if "restore" in fleet.done:  # Put back in time twice, an author's times could come twice.
        return False
    device.set_clock(device.clock.skew_s + chance.uniform(-3600, 3600))
    return True


# --- processes ------------------------------------------------------------------------------------


async def _crash(fleet: Fleet, who: int, chance: random.Random) -> bool:
    """Kill a peer's process; it is started again after a while, on what it left on the disk."""
    return await _end(fleet, who, chance, power=False)


async def _power(fleet: Fleet, who: int, chance: random.Random) -> bool:
    """Cut a peer's power: what was not synced is lost, or some of it."""
    return await _end(fleet, who, chance, power=True)


async def _end(fleet: Fleet, who: int, chance: random.Random, *, power: bool) -> bool:
    device = fleet.device(who)
    if device is None:
        return False
    delay_s = chance.choice((0.01, 2.0, 30.0, 120.0))

    def then() -> None:
        fleet.loop.call_later(delay_s, _start_again, fleet, device)

    if device.disk is not None and chance.random() < 0.6:  # In the middle of something.
        device.end_in(int(10 ** chance.uniform(0, 2.5)), power=power, then=then)
    else:
        await device.die(power=power)
        then()
    return True


def _start_again(fleet: Fleet, device: Device) -> None:
    if not device.is_up and not device.is_gone and not device.is_ending:
        with fleet.disturbed(False):
            device.open()
            invariants.blobs(fleet, device)
        fleet.spawn(fleet.start(device))


# --- disks ----------------------------------------------------------------------------------------


async def _broken_disk(fleet: Fleet, who: int, chance: random.Random) -> bool:
    """Let one of the next operations of a disk fail."""
    device = fleet.device(who)
    if device is None or device.disk is None:
        return False
    device.disk.fails_in = int(10 ** chance.uniform(0, 2.3))
    return True


async def _full_disk(fleet: Fleet, who: int, chance: random.Random) -> bool:
    """Let a disk be full for a while."""
    device = fleet.device(who)
    if device is None or device.disk is None:
        return False
    device.disk.lacks_space = True
    fleet.loop.call_later(chance.choice((1.0, 20.0, 100.0, 400.0)), device.disk.empty)
    return True


_FAULTS: Final[dict[str, Callable[[Fleet, int, random.Random], Coroutine[Any, Any, bool]]]] = {
    "cut": _cut,
    "one_way": _one_way,
    "black_hole": _black_hole,
    "duplicate": _duplicate,
    "jump": _jump,
    "crash": _crash,
    "power": _power,
    "broken_disk": _broken_disk,
    "full_disk": _full_disk,
}
