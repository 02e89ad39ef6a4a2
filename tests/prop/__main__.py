"""All properties at length: ``python -m tests.prop [NUMBER…] [--share]``; 2,000 examples of each.

Each property is one run of pytest, and two run side by side. A run that was interrupted goes on
with the properties that are left. ``--share`` is 100 examples of each. The exit code is 1 if one
doesn't hold; the lines above it say with what example, and how to see it again.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from tests import figures
from tests.prop import PROPERTIES
from tests.unfinished import Unfinished

ROOT = Path(__file__).resolve().parent.parent.parent
TESTS = ROOT / "tests"
EXAMPLES = {"share": 100, "night": 2_000}
"""Profile of `tests/conftest.py` -> how many examples it tries."""


def run(number: int, profile: str) -> tuple[bool, float]:
    """Try one property; tell whether it held, and how many seconds that took."""
    began = time.monotonic()
    marked = f"property(number={number})"
    files = [str(path) for path in TESTS.rglob("test_*.py") if marked in path.read_text("utf-8")]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", marked, *files],
        cwd=ROOT,
        env={**os.environ, "SETTEE_HYPOTHESIS": profile},
        capture_output=True,
        text=True,
        check=False,
    )
    took_s = time.monotonic() - began
    counted = re.search(r"(\d+) passed", ran.stdout)
    tests = int(counted[1]) if counted else 0
    good = ran.returncode == 0 and tests > 0
    told = "" if good else "\n" + ran.stdout[-6000:] + ran.stderr[-2000:]
    verdict = "ok " if good else "BAD"
    print(f"  {verdict} {number:2} {PROPERTIES[number]}: {tests} tests, {took_s:.0f} s{told}")
    sys.stdout.flush()
    return good, took_s


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="tests.prop", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("numbers", nargs="*", type=int, choices=[[], *PROPERTIES], default=[])
    parser.add_argument("--share", action="store_true", help="100 examples of each")
    options = parser.parse_args(arguments)
    profile = "share" if options.share else "night"
    unfinished = Unfinished("properties", [profile, options.numbers])
    began = time.monotonic()
    left = [n for n in options.numbers or PROPERTIES if str(n) not in unfinished.done]
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        futures = {pool.submit(run, number, profile): number for number in left}
        for future in concurrent.futures.as_completed(futures):
            unfinished.note(str(futures[future]), future.result())
    unfinished.finish()
    bad = [number for number, (good, _) in unfinished.done.items() if not good]
    minutes = (time.monotonic() - began) / 60
    count, examples = len(unfinished.done), EXAMPLES[profile]
    told = f"{count} properties, {examples:,} examples of each, {len(bad)} do not hold"
    print(f"{told}, {minutes:.1f} min")
    if not options.share and not options.numbers:
        figures.record(
            "properties",
            commits=unfinished.commits,
            properties=count,
            examples_of_each=examples,
            red=len(bad),
        )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
