"""Plants 25 bugs and sees that each is found: ``python -m tests.planted [M07 …]``.

Each is a patch beside this file, applied to a copy of the source in a temporary folder; what must
find it is in `tests.planted.bugs`. First the same commands run against a copy as it is, and must be
green. The exit code is 1 if one is not, or a bug was not found.

A life of a fleet goes another way when what peers say changes, and may find its bug no more. Then
``--lives N`` looks for one that does.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import sys
import tempfile
import time
from pathlib import Path

from tests import figures
from tests.planted.bugs import BUGS, commands
from tests.planted.drill import DrillError, copy_source, find, live, patch_of, run

__all__ = ["main"]


def _stays_green(names: list[str], workers: int) -> bool:
    """Run what is to find them against the source as it is; tell whether that is all green."""
    with (
        tempfile.TemporaryDirectory() as made,
        concurrent.futures.ThreadPoolExecutor(workers) as pool,
    ):
        copy_source(Path(made))
        distinct = commands(names)
        for command, ran in zip(
            distinct, pool.map(lambda c: run(c, Path(made)), distinct), strict=True
        ):
            if ran.code:
                print(f"red without any planted bug: {' '.join(command)}\n{ran.output[-2000:]}")
                return False
    return True


def _tell(name: str) -> bool:
    """Look for one bug, and tell how that went."""
    title = patch_of(name).read_text(encoding="utf-8").splitlines()[0]
    with tempfile.TemporaryDirectory() as made:
        try:
            missed, ran = find(name, Path(made))
        except DrillError as exc:
            print(f"{name} FAIL {title}\n    {exc}", flush=True)
            return False
    by = " ".join(BUGS[name].command)
    if missed:
        print(f"{name} FAIL {title}\n    {by}: {missed}\n{ran.output[-2000:]}", flush=True)
        return False
    print(f"{name} found in {ran.took_s:.1f} s: {title}\n    {by}", flush=True)
    return True


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as M07 (all)")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--lives", type=int, default=0, help="show which of N lives find them")
    parser.add_argument("--record", action="store_true", help="write the figures to the promises")
    options = parser.parse_args(arguments)
    names = options.names or list(BUGS)
    unknown = [name for name in names if name not in BUGS]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(BUGS)}")
    if options.lives:
        for name in names:
            with tempfile.TemporaryDirectory() as made:
                print(name, live(name, Path(made), options.lives, options.workers).output, sep="\n")
        return 0
    began = time.monotonic()
    if not _stays_green(names, options.workers):
        return 1
    with concurrent.futures.ThreadPoolExecutor(options.workers) as pool:
        found = sum(pool.map(_tell, names))
    took_s = time.monotonic() - began
    print(f"{found} of {len(names)} planted bugs found, in {took_s:.0f} s")
    if options.record and not options.names:
        figures.record("planted", bugs_planted=len(names), of_them_found=found)
    return 0 if found == len(names) else 1


if __name__ == "__main__":
    sys.exit(main())
