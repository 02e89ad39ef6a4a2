"""Crashes, power cuts and broken disks: ``python -m tests.crash [PART…] [--night]``.

    images  disk images as a power cut may leave them: 5,000, at night 500,000
    kills   a process is killed at random moments: 150 times, at night 5,000
    points  and at each named point: once, at night ten times with other work
    faults  the n-th write, sync, read or rename fails: every 7th n, at night every n

All parts in turn without words. ``--run N`` repeats one run of one part, as its failure says. A
night run goes on where it was interrupted, and writes its figures to docs/promises.md. The exit
code is 1 if anything was found.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from tests import figures
from tests.crash import faults, images, kills, points
from tests.unfinished import Unfinished

AT_ONCE: Final = max(2, os.cpu_count() or 2)
SHOWN_MAX: Final = 20
_NAMED: Final = {
    "images": "disk images",
    "resumed": "of them synced again",
    "acknowledged": "acknowledged writes",
    "found": "red",
}
"""What a page calls a figure."""


class Part(NamedTuple):
    """A kind of test, in runs that are independent of each other."""

    run: Callable[..., dict[str, Any]]
    """Does one run; returns figures that can be added, and "found": a list of lines."""
    share: Callable[[], list[tuple[Any, ...]]]
    """The arguments of the runs of a CI share."""
    night: Callable[[], list[tuple[Any, ...]]]
    """And of a night."""
    goal: str = ""
    """Figure at which a night has enough; "" for all runs."""
    enough: int = 0


PARTS: Final[dict[str, Part]] = {
    "images": Part(
        images.run,
        # Each of the kinds of workload, and each durability.
        share=lambda: [(number, 420, 1) for number in (0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15)],
        night=lambda: [(number, None, 2) for number in range(100, 600)],
        goal="images",
        enough=500_000,
    ),
    "kills": Part(
        kills.run,
        share=lambda: [(number, 15) for number in range(10)],
        night=lambda: [(number, 50) for number in range(100, 200)],
    ),
    "points": Part(
        points.run,
        share=lambda: [(name, 1) for name in points.POINTS],
        night=lambda: [(name, 10) for name in points.POINTS],
    ),
    "faults": Part(
        faults.run,
        share=lambda: [(name, 7) for name in faults.names()],
        night=lambda: [(name, 1) for name in faults.names()],
    ),
}


def whole(name: str, *, night: bool) -> Counter[str]:
    """Do all runs of a part, several at a time; return its figures."""
    part = PARTS[name]
    began = time.monotonic()
    unfinished = Unfinished(f"crash-{name}", "night") if night else None
    done: dict[str, dict[str, Any]] = {} if unfinished is None else unfinished.done
    runs = part.night() if night else part.share()
    left = [run for run in runs if str(run[0]) not in done]
    for result in done.values():
        show(result)
    for arguments, result in each(part, left, lambda: enough(part, done.values(), night)):
        show(result)
        done[str(arguments[0])] = result
        if unfinished is not None:
            unfinished.note(str(arguments[0]), result)
    if unfinished is not None:
        unfinished.finish()
    total: Counter[str] = Counter()
    for result in done.values():
        for key, value in result.items():
            total[key] += len(value) if key == "found" else value
    said = ", ".join(f"{value:,} {key}" for key, value in total.items())
    print(f"{name}: {said}; {time.monotonic() - began:.0f} s", flush=True)
    if unfinished is not None:
        figures.record(
            f"crash {name}",
            commits=unfinished.commits,
            **{_NAMED.get(key, key): n for key, n in total.items()},
        )
    return total


def enough(part: Part, results: Any, night: bool) -> bool:
    """Tell whether a night has reached its goal."""
    return night and part.goal != "" and sum(one[part.goal] for one in list(results)) >= part.enough


def each(
    part: Part, runs: list[tuple[Any, ...]], stop: Callable[[], bool]
) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Do runs in processes of their own, `AT_ONCE` at a time, until `stop`."""
    waiting = iter(runs)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(AT_ONCE, context) as pool:
        running: dict[Any, tuple[Any, ...]] = {}
        while True:
            while len(running) < AT_ONCE and not stop():
                arguments = next(waiting, None)
                if arguments is None:
                    break
                running[pool.submit(part.run, *arguments)] = arguments
            if not running:
                return
            ready, _ = concurrent.futures.wait(
                running, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in ready:
                yield running.pop(future), future.result()


def show(result: dict[str, Any]) -> None:
    """Say what a run found."""
    for line in result["found"][:SHOWN_MAX]:
        print(f"crash FAIL {line}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="tests.crash", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--night", action="store_true", help="as much as a night has time for")
    parser.add_argument("--run", help="one run of one part")
    options = parser.parse_args(arguments)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"parts are {', '.join(PARTS)}")
    if options.run is not None:
        if len(options.parts) != 1:
            parser.error("--run goes with one part")
        part = PARTS[options.parts[0]]
        named = {str(run[0]): run for run in [*part.night(), *part.share()]}
        if options.run not in named:
            parser.error(f"{options.parts[0]} has no run {options.run}")
        result = part.run(*named[options.run])
        show(result)
        print({key: value for key, value in result.items() if key != "found"})
        return 1 if result["found"] else 0
    found = sum(whole(name, night=options.night)["found"] for name in options.parts or PARTS)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
