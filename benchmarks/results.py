"""How figures are written down: tables of medians with their spread, and the verdicts.

Nothing here measures.
"""

from __future__ import annotations

import datetime
import os
import platform
import ssl
import statistics
import sys
import zlib
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import apsw

from benchmarks.limits import Limit
from benchmarks.sync import Sample

__all__ = [
    "Goal",
    "Section",
    "document",
    "limits_table",
    "machine",
    "samples_table",
    "spread",
    "table",
    "verdicts_table",
]

OTHERS_TITLE = "## Other products"


class Goal(NamedTuple):
    """A promise beside what was measured."""

    work: str
    goal: str
    measured: str
    is_met: bool | None
    """None: not to be judged by this run."""


class Section(NamedTuple):
    """A part of the results."""

    title: str
    text: str
    """Tables and what has to be said about them, as Markdown."""
    goals: Sequence[Goal] = ()


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Return the median, with the least and the greatest if there are several."""
    middle = f"{statistics.median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def median_rate(samples: Sequence[Sample]) -> float:
    """Return the median of documents a second."""
    return statistics.median(sample.rate for sample in samples)


def samples_table(rows: Iterable[tuple[str, Sequence[Sample]]]) -> str:
    """Write replications down. Of each pair the active peer's figure comes first."""
    head = ["work", "documents a second", "CPU ms per 1,000, both"]
    head += ["active + passive", "WAL bytes per document", "peak MiB"]
    lines = []
    for what, samples in rows:
        count = samples[0].documents
        pairs = [
            [
                statistics.median(getattr(sample, name)[side] for sample in samples)
                for side in (0, 1)
            ]
            for name in ("cpu_s", "wal_bytes", "peak_mib")
        ]
        cpu, wal, peak = pairs
        lines.append(
            [
                what,
                spread([sample.rate for sample in samples]),
                spread([sample.cpu_ms_per_1000 for sample in samples], 1),
                f"{1e6 * cpu[0] / count:.1f} + {1e6 * cpu[1] / count:.1f}",
                f"{wal[0] / count:,.0f} + {wal[1] / count:,.0f}",
                f"{peak[0]:.0f} + {peak[1]:.0f}",
            ]
        )
    return table(head, lines)


def limits_table(rows: Iterable[tuple[str, float, Sequence[Limit]]]) -> str:
    """Write limits down: what it is, what a unit of it counts, and what was measured."""
    lines = [
        [
            what,
            spread([each.per_s / unit for each in limits]),
            f"{statistics.median(1e6 * unit * each.cpu_each_s for each in limits):,.2f}",
        ]
        for what, unit, limits in rows
    ]
    return table(["limit", "a second", "CPU µs each"], lines)


def verdicts_table(goals: Iterable[Goal]) -> str:
    """Write the verdicts down."""
    words = {True: "met", False: "**not met**", None: "not judged"}
    rows = [[each.work, each.goal, each.measured, words[each.is_met]] for each in goals]
    return table(["work over wss", "goal", "measured", "verdict"], rows)


# --- the whole ------------------------------------------------------------------------------------


def machine() -> str:
    """Say on what and with what it was measured."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line for line in lines if line.startswith("model name")).partition(":")[2]
    except (OSError, StopIteration):
        pass
    load = f", load {os.getloadavg()[0]:.1f} before" if hasattr(os, "getloadavg") else ""
    rows = [
        ["date", datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")],
        ["machine", f"{os.cpu_count()} of {model.strip()}, {platform.system()}{load}"],
        ["Python", f"{platform.python_version()} {sys.implementation.name}"],
        ["SQLite", f"{apsw.sqlite_lib_version()} through apsw {apsw.apsw_version()}"],
        ["OpenSSL · zlib", f"{ssl.OPENSSL_VERSION} · {zlib.ZLIB_RUNTIME_VERSION}"],
    ]
    for name in ("settee", "orjson", "uvloop", "websockets", "zlib-ng", "tinydb", "vega_datasets"):
        try:
            rows.append([name, version(name)])
        except PackageNotFoundError:
            rows.append([name, "not installed"])
    return table(["what", "which"], rows)


def document(sections: Sequence[Section], before: str, *, is_quick: bool, minutes: float) -> str:
    """Return the whole document; what an older one says of other products stays until renewed."""
    parts = [
        "# Results",
        "Made by `python -m benchmarks`; not to be edited. Where three figures stand, they are the "
        "median and, in brackets, the lowest and highest of the rounds. Both sides of a ratio ran "
        "in turn, and the ratio is the median of the rounds' ratios. CPU time and WAL bytes hold "
        "on a busy machine, rates do not.",
    ]
    if is_quick:
        parts.append("**A quick run of small sizes: these figures are no results.**")
    parts += [machine(), f"The run took {minutes:.0f} minutes."]
    for section in sections:
        parts += [f"## {section.title}", section.text]
    if not any(f"## {section.title}" == OTHERS_TITLE for section in sections):
        older = before.partition(f"\n{OTHERS_TITLE}\n")[2].partition("\n## ")[0].strip()
        if older:
            parts += [OTHERS_TITLE, older]
    goals = [goal for section in sections for goal in section.goals]
    if goals:
        parts += ["## Goals", verdicts_table(goals)]
    return "\n\n".join(parts) + "\n"
