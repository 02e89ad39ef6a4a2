"""What needs minutes: ``python -m tests.attack [PART…]``; all parts in turn without words.

    connects  a thousand connections that say nothing, then 60 s of connecting and resetting
    slow      60 s of 60 clients that say a byte a second, beside honest ones
    clock     200 logins of known and of unknown users: they take the same time
    drill     each defence is taken out, and its test fails

A run that was interrupted goes on with the parts that are left. The exit code is 1 if a part shows
what must not be.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from settee import BasicAuthenticator, Database, HashedUsers, ListenerPasswordAuthenticator
from settee import URLEndpointListener as Listener
from tests.attack import drill
from tests.attack.raw import ask, said
from tests.load.__main__ import BUSY_S, Figure, Scene, all_idle, written
from tests.unfinished import Unfinished

STORM_S: Final = 60.0


async def connects(scene: Scene) -> list[Figure]:
    """Connections that say nothing, and connections that are reset."""
    port = scene.listener.port
    before = await scene.listener.tell("state")
    with contextlib.ExitStack() as stack:
        for n in range(1000):
            source = (f"127.0.{1 + n % 40}.7", 0)
            sock = socket.create_connection(("127.0.0.1", port), 5, source_address=source)
            stack.enter_context(sock)
        held = await scene.listener.tell("state")
    end = time.monotonic() + STORM_S
    while time.monotonic() < end:
        for n in range(20):
            sock = socket.create_connection(("127.0.0.1", port), 5)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if n % 2:
                with contextlib.suppress(OSError):
                    sock.send(b"\x16\x03\x01")
            sock.close()
        await asyncio.sleep(0.1)
    after = await scene.listener.tell("state")
    waited = 0.0
    while after["fds"] > before["fds"] + 2 and waited < 60:
        await asyncio.sleep(1)
        waited += 1
        after = await scene.listener.tell("state")
    return [
        Figure("handles while 1,000 are connected", held["fds"] - before["fds"], 2 * 64 + 10, ""),
        Figure("growth", after["rss_mib"] - before["rss_mib"], 20, "MiB"),
        Figure("handles are back after", waited, 20, "s"),
        Figure("threads more than before", after["threads"] - before["threads"], 2, ""),
    ]


async def slow(scene: Scene) -> list[Figure]:
    """Clients that say a byte a second, in the TLS hello."""
    for _ in range(10):
        await scene.peer(continuous=True, replicator_type="push").peer.start()
    await all_idle(scene.peers, 60)
    before = await scene.listener.tell("state")
    calm = await written(scene.peers, STORM_S / 3, "calm")

    async def drip(number: int) -> None:
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 1000
        while True:
            source = (f"127.0.{100 + number // 30}.1", 0)
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", scene.listener.port, local_addr=source
                )
                with contextlib.closing(writer):
                    for byte in hello:
                        writer.write(bytes((byte,)))
                        with contextlib.suppress(TimeoutError):
                            if await asyncio.wait_for(reader.read(100), 1) == b"":
                                break
            await asyncio.sleep(0.1)

    tasks = [asyncio.create_task(drip(n)) for n in range(60)]
    await asyncio.sleep(1)
    dripped = await written(scene.peers, STORM_S, "dripped")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(20)
    after = await scene.listener.tell("state")
    print(f"  p99 of the honest: {calm * 1000:.0f} ms before, {dripped * 1000:.0f} ms beside")
    if calm > BUSY_S:
        print("  this machine has too much else to do for its times to be compared")
        calm = dripped
    return [
        Figure("honest p99, times that without", dripped / calm, 2, ""),
        Figure("handles more than before", after["fds"] - before["fds"], 2, ""),
        Figure("threads more than before", after["threads"] - before["threads"], 2, ""),
    ]


def clock() -> list[Figure]:
    """Logins of known and of unknown users."""
    table = HashedUsers()
    count = 100
    for n in range(count // 4):
        table.add(f"known-{n}", "password")
    times: dict[str, list[float]] = {"known": [], "unknown": []}
    with (
        tempfile.TemporaryDirectory() as directory,
        Database("clock", directory=Path(directory)) as db,
        Listener(db, host="127.0.0.1", authenticator=ListenerPasswordAuthenticator(table)) as made,
    ):
        for n in range(count):
            for kind, taken in times.items():
                # Four failures each, which cost no wait.
                user = f"{kind}-{n // 4}"
                ((_, value),) = BasicAuthenticator(user, "guess").headers()
                request = ask("/clock/_blipsync", Authorization=value)
                began = time.perf_counter()
                answer = said(made.port, request)
                taken.append(time.perf_counter() - began)
                assert answer.startswith(b"HTTP/1.1 401"), answer
    known, unknown = (statistics.median(taken) for taken in times.values())
    print(f"  medians: {known * 1000:.2f} ms known, {unknown * 1000:.2f} ms unknown")
    return [Figure("apart", 100 * abs(known - unknown) / known, 5, "%")]


def storm(play: Callable[[Scene], Awaitable[list[Figure]]]) -> list[Figure]:
    """Play one against a listener in a process of its own."""

    async def with_scene(directory: Path) -> list[Figure]:
        scene = Scene(directory, share=False)
        try:
            return await play(scene)
        finally:
            await scene.close()

    with tempfile.TemporaryDirectory(prefix="settee-storm-") as directory:
        return asyncio.run(with_scene(Path(directory)))


def drilled() -> list[Figure]:
    """Each defence is taken out."""
    idle = drill.drill(drill.load())
    return [Figure("defences without which nothing fails", len(idle), 0, "")]


PARTS: Final[dict[str, Callable[[], list[Figure]]]] = {
    "connects": lambda: storm(connects),
    "slow": lambda: storm(slow),
    "clock": clock,
    "drill": drilled,
}


def run(name: str) -> bool:
    """Run one part; tell whether all is as it has to be."""
    print(f"{name}:", flush=True)
    figures = PARTS[name]()
    for figure in figures:
        print(f"  {'ok ' if figure.holds(1) else 'BAD'} {figure.line}", flush=True)
    return all(figure.holds(1) for figure in figures)


def main() -> int:
    """Run what was asked for; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="tests.attack", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"parts are {', '.join(PARTS)}")
    unfinished = Unfinished("attack", options.parts)
    for name in options.parts or PARTS:
        if name in unfinished.done:
            print(f"{name}: done by the run that was interrupted")
        else:
            unfinished.note(name, run(name))
    unfinished.finish()
    bad = [name for name, good in unfinished.done.items() if not good]
    print(
        f"{len(unfinished.done)} parts, {len(bad)} not as they have to be {' '.join(bad)}".rstrip()
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
