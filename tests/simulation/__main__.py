"""``python -m tests.simulation [--seeds N] [--first N] [--topology NAME] [--seed N]``."""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys

from tests.simulation.topologies import TOPOLOGIES, run


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds (200)")
    parser.add_argument("--first", type=int, default=0, help="the first one (0)")
    parser.add_argument("--seed", type=int, help="just this one, twice")
    parser.add_argument("--topology", choices=sorted(TOPOLOGIES), help="just this one")
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)  # Lost connections are what this is about.
    try:
        return simulate(options)
    finally:
        logging.disable(logging.NOTSET)


def simulate(options: argparse.Namespace) -> int:
    """Run the seeds that were asked for; returns the exit code."""
    topologies = [options.topology] if options.topology else list(TOPOLOGIES)
    seeds = [options.seed] if options.seed is not None else None
    red = 0
    traces = hashlib.sha256()
    frames = 0
    for seed in seeds or range(options.first, options.first + options.seeds):
        for topology in topologies:
            try:
                trace, count = run(topology, seed)
                if seed % 10 == 0 or options.seed is not None:
                    again, _ = run(topology, seed)
                    assert again == trace, f"seed {seed} {topology}: two runs, two traces"
            except AssertionError as exc:
                red += 1
                print(
                    f"RED {exc}\n  again: python -m tests.simulation --seed {seed} "
                    f"--topology {topology}",
                    flush=True,
                )
                continue
            frames += count
            traces.update(trace.encode())
    runs = (1 if seeds else options.seeds) * len(topologies)
    print(
        f"simulation: {runs - red} of {runs} runs converged, {frames} frames, "
        f"traces {traces.hexdigest()[:16]}"
    )
    return 1 if red else 0


if __name__ == "__main__":
    sys.exit(main())
