"""Fuzzes one target in this process: ``python -m tests.fuzz.one TARGET SECONDS PLACE``.

Ends with an error for the first input that breaks something, which is kept. Apart from what a
target checks itself, an input may take one second of this process's time (five by the clock, for a
busy machine) and the process may not grow beyond `RSS_MB`.
"""

from __future__ import annotations

import hashlib
import random
import sys
import time
from pathlib import Path
from typing import Any, Final

try:
    import atheris
except ImportError:
    atheris = None  # type: ignore[assignment]

CPU_S_MAX: Final = 1.0
RSS_MB: Final = 768
"""The interpreter with all modules, their coverage counters and the corpus take some 250."""


class TooSlow(Exception):
    """An input took longer than any may."""


def watched(target: Any) -> Any:
    """Have a target fail if it takes too long."""

    def run(data: bytes) -> None:
        began = time.process_time()
        target(data)
        took = time.process_time() - began
        if took > CPU_S_MAX:
            raise TooSlow(f"{took:.1f} s for {len(data)} bytes")

    return run


def guided(name: str, seconds: float, place: Path) -> None:
    """Mutate what reaches new code."""
    with atheris.instrument_imports(include=["settee"], enable_loader_override=False):
        from tests.fuzz.seeds import seeds
        from tests.fuzz.targets import TARGETS

        target = TARGETS[name]
        first = seeds(name)
        target(first[0])  # Imports what it imports late, instrumented too.
    corpus, begin = place / "corpus" / name, place / "seeds" / name
    for folder in (corpus, begin):
        folder.mkdir(parents=True, exist_ok=True)
    for data in first:
        (begin / hashlib.sha1(data).hexdigest()).write_bytes(data)
    arguments = [
        "fuzz",
        f"-max_total_time={int(seconds)}",
        "-timeout=5",
        f"-rss_limit_mb={RSS_MB}",
        "-max_len=16384",
        "-print_final_stats=1",
        f"-artifact_prefix={place / 'finds'}/{name}-",
        str(corpus),
        str(begin),
    ]
    atheris.Setup(arguments, watched(target))
    atheris.Fuzz()


def blind(name: str, seconds: float, place: Path) -> None:
    """Mutate the seeds without looking."""
    from tests.fuzz.mutations import mutated
    from tests.fuzz.seeds import seeds
    from tests.fuzz.targets import TARGETS

    target, first = watched(TARGETS[name]), seeds(name)
    chance = random.Random(time.time_ns())
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        data = mutated(chance, first)
        count += 1
        try:
            target(data)
        except BaseException:
            kept = place / "finds" / f"{name}-crash-{hashlib.sha1(data).hexdigest()}"
            kept.write_bytes(data)
            print(f"executions: {count}")
            raise
    print(f"executions: {count}")


def main() -> None:
    """Fuzz as the command line says."""
    name, seconds, place = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])
    (place / "finds").mkdir(parents=True, exist_ok=True)
    (guided if atheris is not None else blind)(name, seconds, place)


if __name__ == "__main__":
    main()
