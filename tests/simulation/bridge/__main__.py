"""``python -m tests.simulation.bridge [--seeds N] [--mode MODE] [--crossing] …``."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter

from tests.simulation.bridge.life import Mode, Report, run
from tests.simulation.bridge.stories import STORIES, tell
from tests.simulation.bridge.topology import parse


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.bridge", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds (200)")
    parser.add_argument("--first", type=int, default=0, help="the first one (0)")
    parser.add_argument("--seed", type=int, help="just this one, with all its messages")
    parser.add_argument("--mode", choices=["sequential", "concurrent"], help="just this one")
    parser.add_argument(
        "--crossing", action=argparse.BooleanOptionalAction, help="several links at once, or one"
    )
    parser.add_argument("--kinds", default="TVB", help="peers: T 3.x, V 4.x, B settee (TVB)")
    parser.add_argument("--bridges", type=int, default=3, help="settee peers at most (3)")
    parser.add_argument("--tree-links", action="store_true", help="links between 3.x peers, too")
    parser.add_argument(
        "--vector-links", action=argparse.BooleanOptionalAction, help="links between 4.x peers"
    )
    parser.add_argument(
        "--settee-level", type=int, default=4, help="of the protocol between settee peers (4)"
    )
    parser.add_argument(
        "--refuses", action="store_true", help="settee refuses conflicts with 3.x peers"
    )
    parser.add_argument("--steps", type=int, help="steps of each life (4 to 30)")
    parser.add_argument("--story", help="words of the title of one story, told with all messages")
    parser.add_argument("--fleet", help="links of one fleet, such as 'T1>B0 B0>T2'")
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)  # Lost connections are part of this.
    try:
        if options.story is not None:
            return _tell(options.story)
        return max(
            _simulate(options, sequential, crossing)
            for crossing in (False, True)
            for sequential in (True, False)
            if options.mode in (None, "sequential" if sequential else "concurrent")
            and options.crossing in (None, crossing)
        )
    finally:
        logging.disable(logging.NOTSET)


def _tell(words: str) -> int:
    failures = []
    for story in STORIES:
        if words in story.title:
            print(story.title)
            failures += tell(story, write=print)
    for failure in failures:
        print("RED", failure)
    return 1 if failures else 0


def _simulate(options: argparse.Namespace, sequential: bool, crossing: bool) -> int:
    mode = Mode(
        sequential=sequential,
        crossing=crossing,
        kinds=options.kinds,
        bridges_max=options.bridges,
        tree_links=options.tree_links,
        vector_links=options.vector_links,
        refuses=options.refuses,
        settee_level=options.settee_level,
        steps=options.steps,
        fleet=None if options.fleet is None else parse(options.fleet),
    )
    if options.seed is not None:
        return 1 if run(options.seed, mode, print).failures else 0
    began_s = time.perf_counter()
    reports = [run(seed, mode) for seed in range(options.first, options.first + options.seeds)]
    print(summary(reports, mode, time.perf_counter() - began_s), flush=True)
    return 1 if any(report.failures for report in reports) else 0


def summary(reports: list[Report], mode: Mode, took_s: float) -> str:
    """Say in a few lines what many seeds showed."""
    red = [report for report in reports if report.failures]
    kinds: dict[str, list[int]] = {}
    for report in red:
        for kind in report.kinds_of_failure:
            kinds.setdefault(kind, []).append(report.seed)
    counts: Counter[str] = Counter()
    for report in reports:
        counts.update(report.counts)
    name = ("sequential" if mode.sequential else "concurrent") + ", crossing" * mode.crossing
    lines = [f"{name}, {mode.kinds}: {len(reports)} seeds, {len(red)} red, {took_s:.1f} s"]
    for kind, seeds in sorted(kinds.items()):
        lines.append(f"  {kind}: {len(seeds)} (seeds {', '.join(map(str, seeds[:8]))})")
    said = ", ".join(f"{counts[key]} {key}" for key in sorted(counts))
    lines.append(f"  at most {max(r.rounds for r in reports)} rounds; {said}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
