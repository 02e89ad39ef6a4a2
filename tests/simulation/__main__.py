"""Whole lives of fleets: ``python -m tests.simulation [--seeds N] [--seed N --trace] [--night]``.

Each seed draws peers, links, operations and faults (`tests.simulation.plan`), lets them happen to
real peers on virtual time, heals everything, and checks I1 to I10 (`tests.simulation.invariants`).
Every tenth seed runs twice and must leave the same trace. The seeds of ``seeds.txt``, which were
red once, run first. A red seed is told in one line that runs it again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Final

from tests.figures import record
from tests.simulation.many import known_seeds, one, simulate
from tests.simulation.plan import draw
from tests.simulation.shrink import shrink
from tests.unfinished import Unfinished

__all__ = ["main"]

NIGHT: Final = 10_000


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds (200)")
    parser.add_argument("--first", type=int, default=0, help="the first one (0)")
    parser.add_argument("--seed", type=int, help="just this one, twice")
    parser.add_argument("--trace", action="store_true", help="tell what happens, with --seed")
    parser.add_argument("--shrink", action="store_true", help="with --seed: a shorter life, if red")
    parser.add_argument("--night", action="store_true", help=f"{NIGHT:,} seeds, resumable")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args(arguments)
    if options.seed is not None:
        outcome = one(options.seed, tell=options.trace, twice=True)
        green = f"seed {options.seed} is green: {outcome.chunks} chunks, trace {outcome.trace[:16]}"
        print(outcome.line if outcome.violation else green)
        if outcome.violation is not None and options.shrink:
            shorter = shrink(outcome.plan, outcome.violation.invariant)
            print(
                f"{len(shorter.events)} events, {', '.join(sorted(shorter.faults)) or 'no'} faults"
            )
            for event in shorter.events:
                print(f"  {event}")
        return 1 if outcome.violation else 0
    began = time.monotonic()
    count = NIGHT if options.night else options.seeds
    seeds = list(range(options.first, options.first + count))
    unfinished = None
    if options.night:  # Not those that were red once before all others: portions keep their place.
        seeds = list(dict.fromkeys([*seeds, *known_seeds()]))
        unfinished = Unfinished("simulation", [options.first, count, draw(options.first).options])
    else:
        seeds = list(dict.fromkeys([*known_seeds(), *seeds]))
    total = simulate(seeds, workers=options.workers, unfinished=unfinished)
    if unfinished is not None:
        unfinished.finish()
        record(
            "simulation",
            commits=unfinished.commits,
            lives=total["seeds"],
            operations_and_faults=sum(total["done"].values()),
            red=len(total["red"]),
        )
    print(
        f"simulation: {total['seeds'] - len(total['red'])} of {total['seeds']} seeds are green, "
        f"{total['cpu_s'] / total['seeds']:.2f} s CPU a seed, {time.monotonic() - began:.0f} s, "
        f"{total['chunks']:,} chunks, {sum(total['done'].values()):,} operations and faults, "
        f"trace {total['trace'][:16]}"
    )
    return 1 if total["red"] else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # The order of a set of texts is part of a trace.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    sys.exit(main())
