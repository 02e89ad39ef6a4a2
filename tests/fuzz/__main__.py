"""Fuzz: ``python -m tests.fuzz TARGET… [--seconds 600]``, or ``--all`` for each target in turn.

Coverage-guided with atheris where that is installed (extra ``fuzz``: CPython on Linux), else by
blind mutations of the same seeds, which the last lines say. Two targets run at a time. What is
learnt lies in ``.settee-fuzz``: a run that was interrupted goes on with what is left, one that is
whole begins anew; what broke something is written there too, to be mended and then moved to
``tests/fuzz/finds``. The exit code is 1 if anything broke.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import importlib.util
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

from tests.fuzz.targets import TARGETS
from tests.unfinished import Unfinished

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PLACE: Final = ROOT / ".settee-fuzz"
AT_ONCE: Final = 2


class Outcome(NamedTuple):
    """How the fuzzing of one target ended."""

    target: str
    executions: int
    seconds: float
    problem: str
    guided: bool

    @property
    def line(self) -> str:
        rate = self.executions / max(self.seconds, 0.001)
        how = "" if self.guided else " (blind: atheris is not installed)"
        return (
            f"{self.target:17} {self.executions:>12,} executions {self.seconds:7.1f} s "
            f"{rate:>10,.0f}/s  {self.problem or 'nothing found'}{how}"
        )


def fuzz(target: str, seconds: float) -> Outcome:
    """Fuzz one target in a process of its own."""
    (PLACE / "finds").mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.one", target, str(seconds), str(PLACE)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    (PLACE / f"{target}.log").write_text(done.stdout)
    counts = re.findall(r"(?:number_of_executed_units:|executions:)\s*(\d+)", done.stdout)
    counts = counts or re.findall(r"^#(\d+)", done.stdout, re.MULTILINE)
    problem = ""
    if done.returncode:
        told = re.search(r"=+ .*|^\w*Error.*|ERROR: libFuzzer.*", done.stdout, re.MULTILINE)
        problem = f"FOUND: {told[0] if told else done.returncode}; see {PLACE / target}.log"
    return Outcome(
        target,
        int(counts[-1]) if counts else 0,
        time.monotonic() - began,
        problem,
        importlib.util.find_spec("atheris") is not None,
    )


def whole_run(targets: list[str], seconds: float) -> list[Outcome]:
    """Fuzz each target; go on where an interrupted run of the same length stopped."""
    unfinished = Unfinished("fuzz", [targets, seconds])
    outcomes = [Outcome(*one) for one in unfinished.done.values()]
    for outcome in outcomes:
        print(outcome.line, "[of the interrupted run]", flush=True)
    left = [target for target in targets if target not in unfinished.done]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        running = {pool.submit(fuzz, target, seconds): target for target in left}
        for future in concurrent.futures.as_completed(running):
            outcome = future.result()
            outcomes.append(outcome)
            print(outcome.line, flush=True)
            unfinished.note(outcome.target, outcome)
    unfinished.finish()
    return outcomes


def main(arguments: list[str] | None = None) -> int:
    """Fuzz what was asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("targets", nargs="*", help=", ".join(TARGETS))
    parser.add_argument("--all", action="store_true", help="all targets")
    parser.add_argument("--seconds", type=float, default=600.0, help="for each (default 600)")
    options = parser.parse_args(arguments)
    targets = list(TARGETS) if options.all else options.targets
    unknown = [name for name in targets if name not in TARGETS]
    if unknown or not targets:
        parser.error(f"targets are {', '.join(TARGETS)}")
    outcomes = whole_run(targets, options.seconds)
    total = sum(outcome.executions for outcome in outcomes)
    bad = [outcome for outcome in outcomes if outcome.problem]
    print(f"{len(outcomes)} targets, {total:,} executions, {len(bad)} with finds")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
