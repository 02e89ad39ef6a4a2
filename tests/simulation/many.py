"""Runs many seeds in processes; goes on where an interrupted run stopped."""

from __future__ import annotations

import concurrent.futures
import hashlib
import multiprocessing
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Final

from tests.simulation.fleet import Outcome, Violation, run
from tests.simulation.plan import draw
from tests.unfinished import Unfinished

__all__ = ["known_seeds", "one", "simulate"]

KNOWN: Final = Path(__file__).with_name("seeds.txt")
_PORTION: Final = 50
_ROOM: Final = Path("/dev/shm") if Path("/dev/shm").is_dir() else None


def one(seed: int, *, tell: bool = False, twice: bool = False) -> Outcome:
    """Run a seed, in a directory that is gone afterwards."""
    plan = draw(seed)
    with tempfile.TemporaryDirectory(dir=_ROOM) as made:
        outcome = run(plan, Path(made), tell=tell)
    if twice and outcome.violation is None:
        with tempfile.TemporaryDirectory(dir=_ROOM) as made:
            again = run(plan, Path(made))
        outcome.cpu_s += again.cpu_s
        if again.trace != outcome.trace:
            outcome.violation = Violation("I9", "-", 0.0, "two runs left two traces")
    return outcome


def known_seeds() -> list[int]:
    """Return the seeds that were red once."""
    lines = KNOWN.read_text(encoding="utf-8").splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


def _portion(seeds: list[int]) -> dict[str, Any]:
    """Run some seeds; return what is worth keeping, as JSON can hold it."""
    outcomes = [one(seed, twice=seed % 10 == 0) for seed in seeds]
    done: Counter[str] = Counter()
    pairs: Counter[str] = Counter()
    for outcome in outcomes:
        done.update(outcome.done)
        happened = sorted(outcome.done)
        pairs.update(f"{a} {b}" for a in happened for b in happened if a != b)
    traces = "".join(outcome.trace for outcome in outcomes)
    return {
        "seeds": len(seeds),
        "red": [outcome.line for outcome in outcomes if outcome.violation is not None],
        "cpu_s": sum(outcome.cpu_s for outcome in outcomes),
        "chunks": sum(outcome.chunks for outcome in outcomes),
        "done": dict(done),
        "pairs": dict(pairs),
        "trace": hashlib.sha256(traces.encode()).hexdigest(),
    }


def simulate(seeds: list[int], *, workers: int, unfinished: Unfinished | None) -> dict[str, Any]:
    """Run seeds in processes; tell of red ones as they come; go on where a run was interrupted."""
    size = max(1, min(_PORTION, len(seeds) // (4 * workers)))
    portions = {str(seeds[n]): seeds[n : n + size] for n in range(0, len(seeds), size)}
    results: dict[str, dict[str, Any]] = {} if unfinished is None else dict(unfinished.done)
    left = {name: portion for name, portion in portions.items() if name not in results}
    if len(left) < len(portions):
        print(f"{len(portions) - len(left)} of {len(portions)} portions are done already")
    with concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        running = {pool.submit(_portion, portion): name for name, portion in left.items()}
        for future in concurrent.futures.as_completed(running):
            result = results[running[future]] = future.result()
            for line in result["red"]:
                print(line, flush=True)
            if unfinished is not None:
                unfinished.note(running[future], result)
    total: dict[str, Any] = {"done": Counter(), "pairs": Counter(), "red": []}
    total |= {"seeds": 0, "cpu_s": 0.0, "chunks": 0}
    traces = ""
    for name in portions:
        for key, value in results[name].items():
            if key in ("done", "pairs"):
                total[key].update(value)
            elif key == "trace":
                traces += value
            else:
                total[key] += value
    total["trace"] = hashlib.sha256(traces.encode()).hexdigest()
    return total
