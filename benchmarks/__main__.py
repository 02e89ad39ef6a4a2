"""All figures that settee publishes: ``python -m benchmarks [--quick] [--all] [--only NAME …]``.

Measures settee and the limits of the machine beside it, at most 20 minutes, and writes
`benchmarks/results.md`, with a verdict on each goal at its end. ``--all`` measures other products,
too (`benchmarks.others`). ``--only`` runs parts and prints them; ``--quick`` takes small sizes, to
see whether everything runs: its figures are no results, and it prints them, too.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks import sections
from benchmarks.results import Section, document

RESULTS: Final = Path(__file__).with_name("results.md")

PARTS: Final[dict[str, Callable[[bool], Section]]] = {
    "small": sections.small,
    "medium": sections.medium,
    "blobs": sections.blobs,
    "large": sections.large,
    "deltas": sections.deltas,
    "real": sections.real,
    "latency": sections.latency,
    "clients": sections.clients,
    "sizes": sections.sizes,
    "local": sections.local_operations,
}


def others(quick: bool) -> Section:
    """Measure the other products that can be had."""
    from benchmarks import others as products  # Its peers come from the interop tests.

    return products.section(quick)


def main() -> int:
    """Read the command line, run, write or print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [*PARTS, "others"]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="small sizes; no results")
    parser.add_argument("--all", action="store_true", help="other products, too")
    parser.add_argument("--write", type=Path, help=f"where to (all of it goes to {RESULTS.name})")
    options = parser.parse_args()
    chosen = options.only or [*PARTS, *(["others"] if options.all else [])]
    target = options.write
    if target is None and not (options.quick or options.only):
        target = RESULTS
    began_s = time.monotonic()
    done: dict[str, Section] = {}
    for name in sorted(chosen, key=lambda name: name != "blobs"):  # Those before files are removed.
        part_began_s = time.monotonic()
        print(f"{name} …", file=sys.stderr, flush=True)
        done[name] = {**PARTS, "others": others}[name](options.quick)
        print(f"{name}: {time.monotonic() - part_began_s:.0f} s", file=sys.stderr, flush=True)
    before = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    minutes = (time.monotonic() - began_s) / 60
    parts = [done[name] for name in chosen]
    text = document(parts, before, is_quick=options.quick, minutes=minutes)
    if target is None:
        print(text)
    else:
        target.write_text(text, encoding="utf-8")
    missed = [goal.work for part in parts for goal in part.goals if goal.is_met is False]
    for work in missed:
        print(f"goal not met: {work}", file=sys.stderr)
    return 1 if missed and not options.quick else 0


if __name__ == "__main__":
    sys.exit(main())
