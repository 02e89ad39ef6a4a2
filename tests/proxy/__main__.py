"""A network that does harm: ``python -m tests.proxy [--plan plan.json] [--sweep N] [--share]``.

Plays the scenes of a plan (``tests/proxy/plan.json`` without a word), each with two fresh peers
that replicate through a wire which is late, slow, cut, silent, doubled or wrong. After each, the
peers replicate once more over a sound wire: both must be equal then, nothing that was acknowledged
may be lost, nothing of ours may be logged as an error, and no task, socket or file may be left.

``--sweep N`` does it to every N-th byte of a whole recorded connection: cut there in four ways, and
turned over there, in both directions, with and without TLS. Without words all of this for every
byte; such a run goes on where it was interrupted. ``--share`` is the plan and every 97th byte.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Final

from tests import figures
from tests.proxy.plan import HOWS, Plan, PlanError, Scene, load
from tests.proxy.sweeps import chunks, played
from tests.unfinished import Unfinished

PLAN: Final = Path(__file__).resolve().parent / "plan.json"
SHARE_STRIDE: Final = 97


def run(work: list[tuple[str, list[Scene]]], seed: int, unfinished: Unfinished) -> list[str]:
    """Play all on as many processes as there are cores; return what was wrong."""
    left = [(name, scenes) for name, scenes in work if name not in unfinished.done]
    if len(left) < len(work):
        print(f"{len(work) - len(left)} parts were done by the run that was interrupted")
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        futures = {pool.submit(played, scenes, seed): (name, scenes) for name, scenes in left}
        for future in concurrent.futures.as_completed(futures):
            name, scenes = futures[future]
            wrong = future.result()
            print(f"  {'BAD' if wrong else 'ok '} {name}: {len(scenes)} connections", flush=True)
            for line in wrong:
                print(f"      {line}", flush=True)
            unfinished.note(name, [len(scenes), wrong])
    return [line for _, wrong in unfinished.done.values() for line in wrong]


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; return the exit code: 1 if harm was done, 2 for a wrong plan."""
    parser = argparse.ArgumentParser(prog="tests.proxy", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--plan", type=Path, help="scenes to play, and nothing else")
    parser.add_argument("--sweep", type=int, metavar="N", help="every N-th byte, and nothing else")
    parser.add_argument("--share", action="store_true", help="the small part of every check")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    whole = options.plan is None and options.sweep is None and not options.share
    try:
        plan = load(options.plan or PLAN)
    except PlanError as exc:
        print(f"settee: {exc}", file=sys.stderr)
        return 2
    work = _work(plan, options, whole)
    unfinished = Unfinished("proxy", arguments if arguments is not None else sys.argv[1:])
    wrong = run(work, plan.seed, unfinished)
    unfinished.finish()
    count = sum(len(scenes) for _, scenes in work)
    minutes = (time.monotonic() - began) / 60
    print(f"{count} connections harmed, {len(wrong)} did harm, {minutes:.1f} min")
    if whole:
        figures.record(
            "proxy", commits=unfinished.commits, connections_harmed=count, red=len(wrong)
        )
    return 1 if wrong else 0


def _work(plan: Plan, options: argparse.Namespace, whole: bool) -> list[tuple[str, list[Scene]]]:
    work: list[tuple[str, list[Scene]]] = []
    if options.sweep is None:
        scenes = list(plan.scenes)
        step = 10
        work += [
            (f"plan {n // step + 1}", scenes[n : n + step]) for n in range(0, len(scenes), step)
        ]
    if options.share:
        work += chunks(("rotate", "turn"), SHARE_STRIDE)
    elif whole or options.sweep is not None:
        work += chunks((*HOWS, "turn"), options.sweep or 1)
    return work


if __name__ == "__main__":
    sys.exit(main())
