"""Runs one plan: its peers' lives with all that goes wrong, then healing, then silence."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from settee.errors import SetteeError, StoreError, UsageError
from settee.peer.active import ActivePeer
from settee.sync.events import Activity
from tests.simulation import faults, invariants, operations
from tests.simulation.device import Device
from tests.simulation.disks import Disks
from tests.simulation.loop import VirtualLoop
from tests.simulation.model import Key, Model, Seen
from tests.simulation.network import Network
from tests.simulation.plan import DISK, LinkPlan, Plan

__all__ = ["Fleet", "Link", "Outcome", "Violation", "commit", "run"]

LIVENESS_S: Final = 1800.0
QUIET_S: Final = 600.0
_SUPERVISED_S: Final = 15.0
_ROUND_S: Final = 60.0

_APPLICATIONS: Final = (
    "a callback of the application",
    "a change callback failed",
    "the conflict resolver raised",
    "the application's mistake",
    "an application's mistake",
)
"""What is logged as an error and is one of the application's."""


class Violation(AssertionError):
    """An invariant does not hold."""

    def __init__(self, invariant: str, peer: str, at_s: float, text: str) -> None:
        super().__init__(f"{invariant} peer={peer} t={at_s:.1f}s {text}")
        self.invariant, self.peer, self.at_s, self.text = invariant, peer, at_s, text


@dataclass
class Outcome:
    """How a seed went."""

    plan: Plan
    violation: Violation | None = None
    trace: str = ""
    chunks: int = 0
    cpu_s: float = 0.0
    done: Counter[str] = field(default_factory=Counter)
    """Operations and faults that really happened."""

    @property
    def line(self) -> str:
        """The one line that tells of a failure and runs it again."""
        v = self.violation
        assert v is not None
        return (
            f"sim FAIL seed={self.plan.seed} commit={commit()} {v.invariant} peer={v.peer} "
            f"t={v.at_s:.1f}s opts={{{self.plan.options}}}: {v.text}; rerun: "
            f"python -m tests.simulation --seed {self.plan.seed} --trace"
        )


@cache
def commit() -> str:
    """Return the short name of the commit that is tested."""
    asked = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() or os.environ.get("SETTEE_COMMIT", "unknown")


@dataclass
class Link:
    """Who dials whom, by now."""

    plan: LinkPlan
    active: Device
    passive: Device

    @property
    def is_there(self) -> bool:
        return not (self.active.is_gone or self.passive.is_gone)


class _Ear(logging.Handler):
    """Hears what settee logs as an error of its own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {record.exc_info[1]!r}"
        if not any(each in text for each in _APPLICATIONS):
            self.heard.append(text)


class Fleet:
    """Peers, links, time, and the model beside them."""

    def __init__(self, plan: Plan, directory: Path, *, tell: bool = False) -> None:
        self.plan = plan
        self.directory = directory
        self.loop = VirtualLoop()
        self.network = Network(self.loop, plan.seed, tell=tell)
        levels = {link.level for link in plan.links}
        trees = min(levels, default=4) < 4
        self.model = Model(
            joins_roots=plan.merges or trees,
            loses_names=plan.merges and 2 in levels,
            loses_roots=plan.merges and trees,
        )
        self.devices: list[Device] = []
        self.links: list[Link] = []
        self.paths: set[tuple[str, str]] = set()
        """Ways that a private document may have gone, ever."""
        self.is_healed = False
        self.rounds = False
        """Whether replicators that run once are started again and again."""
        self.done: Counter[str] = Counter()
        self.broken: Violation | None = None
        self.disks = Disks(directory) if plan.faults.intersection(DISK) else None
        self._ear = _Ear()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what happened ----------------------------------------------------------------------------

    def happened(self, what: str) -> None:
        self.done[what] += 1

    def note(self, text: str) -> None:
        self.network.note(text)

    @contextlib.contextmanager
    def disturbed(self, disturbed: bool = True) -> Iterator[None]:
        """Let disks fail inside, where they are to; outside, only the test looks at them."""
        if self.disks is None:
            yield
        else:
            with self.disks.at_work(disturbed and not self.is_healed):
                yield

    def fail(self, invariant: str, peer: str, text: str) -> None:
        """Note the first violation; the run ends at the next step."""
        if self.broken is None:
            self.broken = Violation(invariant, peer, self.loop.time(), text)
            self.note(f"VIOLATION {self.broken}")

    def refused(self, device: Device, error: SetteeError) -> None:
        """A write of the application's raised an error."""
        if not faults.may_fail(self, device, error):
            self.fail("write", device.name, f"a write was refused: {error!r}")

    def shown(self, device: Device, key: Key, new: Seen | None) -> None:
        """A peer told its application of a document."""
        seen = self.model.seen.setdefault(device.name, {})
        problem = self.model.follows(key, seen.get(key), new)
        if problem is not None:
            self.fail(problem[0], device.name, problem[1])
        if new is None:
            if key in seen and not key[1].startswith("local::"):
                self.fail("I2", device.name, f"{key} was purged by nobody")
            seen.pop(key, None)
        else:
            seen[key] = new
            invariants.access(self, device, key, new)

    def looked(self, device: Device, state: dict[Key, Seen]) -> None:
        """A peer's application read everything."""
        seen = self.model.seen.get(device.name, {})
        for key in seen.keys() | state.keys():
            self.shown(device, key, state.get(key))
        lost = self.model.lost_by(device.name, state, merges=False)
        if lost is not None:
            self.fail("I2", device.name, lost)

    # --- peers and links --------------------------------------------------------------------------

    def device(self, number: int) -> Device | None:
        """Return one of the peers whose process runs."""
        up = [each for each in self.devices if each.is_up]
        return up[number % len(up)] if up else None

    def add(self, skew_s: float = 0.0) -> Device:
        device = Device(self, f"p{len(self.devices)}", skew_s)
        self.devices.append(device)
        return device

    def connect(self, active: Device, passive: Device, plan: LinkPlan) -> Link:
        link = Link(plan, active, passive)
        self.links.append(link)
        for source, target in ((active, passive), (passive, active)):
            if invariants.lets(self, link, source, target, "private::0"):
                self.paths.add((source.name, target.name))
        return link

    async def start(self, device: Device) -> None:
        """Start the replicators of a peer whose process has just been started."""
        for number, link in enumerate(self.links):
            if link.active is device and link.is_there and link.plan.continuous:
                await self.run_link(number)

    async def run_link(self, number: int, *, reset: bool = False) -> None:
        """Start a link's replicator, unless it runs."""
        link = self.links[number]
        device = link.active
        if not (device.is_up and link.is_there):
            return
        active = device.actives.get(number)
        if active is None:
            active = device.replicator(link.plan, link.passive, continuous=link.plan.continuous)
            device.actives[number] = active
        await self.begin(device, active, reset=reset)

    async def begin(self, device: Device, active: ActivePeer, *, reset: bool = False) -> None:
        """Start a replicator."""
        try:
            await active.start(reset=reset)
        except StoreError as exc:
            self.refused(device, exc)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside what goes on."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _supervise(self) -> None:
        """Do what an application does: start again what has stopped, if that was to run on."""
        rounds_s = 0.0
        while True:
            await asyncio.sleep(_SUPERVISED_S)
            rounds_s += _SUPERVISED_S
            for number, link in enumerate(self.links):
                active = link.active.actives.get(number) if link.active.is_up else None
                if active is not None:
                    self._look_at(link, active)
                if link.plan.continuous or (self.rounds and rounds_s % _ROUND_S == 0):
                    await self.run_link(number)

    def _look_at(self, link: Link, active: ActivePeer) -> None:
        status = active.status.value
        error = status.error
        if status.activity is not Activity.STOPPED or error is None:
            return
        self.happened("stopped")
        allowed = isinstance(error, UsageError | StoreError) and self.plan.faults
        if link.plan.continuous and not allowed and not faults.explains(self, error):
            self.fail("stopped", link.active.name, f"a replicator stopped for good: {error!r}")

    # --- the run ----------------------------------------------------------------------------------

    def run(self) -> None:
        """Live through the plan. Raises Violation."""
        room = logging.getLogger("settee")
        room.addHandler(self._ear)
        level, propagate = room.level, room.propagate
        room.propagate = False
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(self._loop_error)
        main = self.loop.create_task(self._main())
        try:
            self.loop.run_until_complete(main)
        finally:
            room.removeHandler(self._ear)
            room.setLevel(level)
            room.propagate = propagate
            self._end(main)

    def _loop_error(self, _: Any, context: dict[str, Any]) -> None:
        exc = context.get("exception")
        self.fail("error", "-", f"{context.get('message')}: {exc!r}")

    def _check(self) -> None:
        if self._ear.heard and not faults.excuses(self, self._ear.heard):
            self.fail("error", "-", f"settee logged an error: {self._ear.heard[0]}")
        self._ear.heard.clear()
        if self.broken is not None:
            raise self.broken

    async def _main(self) -> None:
        plan = self.plan
        faults.begin(self)
        for device in self.devices:
            device.open()
        for link in plan.links:
            self.connect(self.devices[link.active], self.devices[link.passive], link)
        for device in self.devices:
            await self.start(device)
        supervisor = self.loop.create_task(self._supervise())
        try:
            for event in plan.events:
                with self.disturbed():
                    await asyncio.sleep(max(0.0, event.at_s - self.loop.time()))
                self.note(f"{event.kind} {event.who}")
                if event.fault:
                    await faults.perform(self, event)
                else:
                    await operations.perform(self, event)
                invariants.always(self)
                self._check()
            with self.disturbed():
                await asyncio.sleep(max(0.0, plan.until_s - self.loop.time()))
            await self._live()
        finally:
            supervisor.cancel()

    async def _live(self) -> None:
        """Heal everything, write no more, and see that the peers come to rest, alike."""
        await faults.heal(self)
        self.is_healed = self.rounds = True
        deadline_s = self.loop.time() + LIVENESS_S
        while self.loop.time() < deadline_s:
            await asyncio.sleep(_ROUND_S)
            invariants.always(self)
            self._check()
        self.rounds = False
        await asyncio.sleep(_ROUND_S)
        invariants.at_rest(self)
        self._check()
        before = invariants.load(self)
        talk = self.network.talk
        await asyncio.sleep(QUIET_S)
        invariants.quiet(self, before, self.network.talk - talk)
        self._check()
        invariants.in_the_end(self)
        self._check()

    def _end(self, main: asyncio.Task[None]) -> None:
        if not main.done():
            main.cancel()
        for device in self.devices:
            device.incarnation.dead = True
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        for device in self.devices:
            device.discard()
        if self.disks is not None:
            self.disks.unregister()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
        asyncio.set_event_loop(None)


def run(plan: Plan, directory: Path, *, tell: bool = False) -> Outcome:
    """Run a plan in a directory of its own; never raises for what the peers do."""
    began = time.process_time()
    fleet = Fleet(plan, directory, tell=tell)
    violation: Violation | None = None
    try:
        fleet.run()
    except Violation as exc:
        violation = exc
    except Exception as exc:
        at = f"{type(exc).__name__} at {_place(exc)}"
        violation = Violation("error", "-", fleet.loop.time(), f"{at}: {exc}")
        if tell:
            raise
    return Outcome(
        plan,
        violation,
        fleet.network.trace,
        fleet.network.chunks,
        time.process_time() - began,
        fleet.done,
    )


def _place(exc: BaseException) -> str:
    trace = exc.__traceback__
    place = "?"
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{Path(code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
