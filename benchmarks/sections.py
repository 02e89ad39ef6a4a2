"""The parts of a run: what is measured, in which order, and what it is held against."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks import crowd, limits, local
from benchmarks import latency as edits
from benchmarks.limits import Limit
from benchmarks.results import (
    Goal,
    Section,
    limits_table,
    median_rate,
    samples_table,
    spread,
    table,
)
from benchmarks.sync import Sample, Way, Work, real_data, run

__all__ = [
    "blobs",
    "clients",
    "deltas",
    "large",
    "latency",
    "local_operations",
    "medium",
    "real",
    "sizes",
    "small",
]

ROUNDS: Final = 3

ENGINE_PER_S: Final = {"push": 5700, "pull": 6000, "medium": 4000, "blobs": 254}
"""What Couchbase Lite 3.1's C++ engine did over wss, release build, on the machine for which the
goals were set: two cores, both peers on it. Rates are held against these on that machine only."""

MEDIUM_PER_S_MIN: Final = 12_000
SMALL_PER_S_MIN: Final = 23_000
CPU_MS_PER_1000_MAX: Final = 80.0
OF_LIMIT_MIN: Final = 0.30
BLOBS_OF_STORE_MIN: Final = 0.50
NOTHING_S_MAX: Final = 0.150
MIB_MAX: Final = 120e6 / 2**20
SIZE_RATE_MIN: Final = 0.85
LAST_S_MAX: Final = 1.0
MIB_PER_CLIENT_MAX: Final = 0.5


def _rounds(quick: bool) -> int:
    return 1 if quick else ROUNDS


def _run(work: Work, place: Path | None = None) -> dict[str, Sample]:
    """Replicate, and remove both databases; with a `place` leave them there."""
    if place is not None:
        return run(work, Path(tempfile.mkdtemp(dir=place)))
    with tempfile.TemporaryDirectory() as root:
        return run(work, Path(root))


def _ratio(mine: Sequence[float], other: Sequence[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(mine, other, strict=True))


# --- documents ------------------------------------------------------------------------------------


def small(quick: bool) -> Section:
    """100,000 documents of 210 B each way, over wss and ws, beside the limits; and again."""
    count = 3_000 if quick else 100_000
    then = ("pull", "nothing", "hundredth")
    works = {
        "push, wss": Work("small", count, 210, "push", then=then),
        "pull, wss": Work("small", count, 210, "pull", then=then),
        "both ways, wss": Work("small", count, 210, "push_and_pull"),
        "push, ws": Work("small", count, 210, "push", tls=False),
        "pull, ws": Work("small", count, 210, "pull", tls=False),
    }
    found: dict[str, list[dict[str, Sample]]] = {name: [] for name in works}
    bare: dict[str, list[Limit]] = {"push": [], "pull": []}
    blocks: dict[str, list[Limit]] = {}
    measured: dict[str, Callable[[], Limit]] = {
        "SQLite alone, rows": lambda: limits.sqlite_alone("small", count, 210),
        "deflate with its checksum, documents": lambda: limits.deflate("small", count, 210),
        "inflate with its checksum, documents": lambda: limits.inflate("small", count, 210),
        "JSON read, documents": lambda: limits.parse("small", count, 210),
        "TLS over loopback, MB": lambda: limits.tls_loopback(10**7 if quick else 10**9),
    }
    for _ in range(_rounds(quick)):
        for name, measure in measured.items():
            blocks.setdefault(name, []).append(measure())
        for name, work in works.items():
            if name in ("push, wss", "pull, wss"):
                bare[work.way].append(limits.bare_pair("small", count, 210))
            found[name].append(_run(work))
    in_a_row = [limits.in_a_row(parts, 210) for parts in zip(*blocks.values(), strict=True)]
    firsts = {name: [each["first"] for each in rounds] for name, rounds in found.items()}
    again = [(f"{n}, again", found[n]) for n in ("push, wss", "pull, wss")]
    hundredths = [
        (f"{name}: a hundredth changed", [each["hundredth"] for each in rounds])
        for name, rounds in again
    ]
    waits = [
        [
            f"nothing to do after a {way} of {count:,}",
            spread([1000 * each["nothing"].wall_s for each in found[f"{way}, wss"]]),
            spread([1000 * each["pull"].wall_s for each in found[f"{way}, wss"]]),
        ]
        for way in ("push", "pull")
    ]
    text = "\n\n".join(
        [
            f"{count:,} documents of 210 B, one process on each side. The bare pair moves the same "
            "documents between two SQLite files with the same libraries and no protocol. All in a "
            "row is one document's way through the five limits above it, one after the other.",
            samples_table([*firsts.items(), *hundredths]),
            table(["re-sync over wss, ms", "same direction", "both ways, the first time"], waits),
            limits_table(
                [
                    *((n, 1e6 if "MB" in n else 1, each) for n, each in blocks.items()),
                    ("all in a row, documents", 1, in_a_row),
                    ("the bare pair, documents", 1, [*bare["push"], *bare["pull"]]),
                ]
            ),
        ]
    )
    return Section("Small documents", text, _small_goals(found, firsts, in_a_row, bare))


def _small_goals(
    found: dict[str, list[dict[str, Sample]]],
    firsts: dict[str, list[Sample]],
    in_a_row: list[Limit],
    bare: dict[str, list[Limit]],
) -> list[Goal]:
    goals = []
    for way in ("push", "pull"):
        samples = firsts[f"{way}, wss"]
        rate = median_rate(samples)
        cpu_ms = statistics.median(sample.cpu_ms_per_1000 for sample in samples)
        rates = [each.rate for each in samples]
        share = _ratio(rates, [each.per_s for each in in_a_row])
        of_pair = _ratio(rates, [each.per_s for each in bare[way]])
        times = rate / ENGINE_PER_S[way]
        nothing_s = statistics.median(each["nothing"].wall_s for each in found[f"{way}, wss"])
        goals += [
            Goal(
                f"{way}, 210 B",
                f"≥ {SMALL_PER_S_MIN:,}/s on the goals' machine (4 times the engine)",
                f"{rate:,.0f}/s ({times:.1f} times)",
                rate >= SMALL_PER_S_MIN,
            ),
            Goal(
                f"{way}, 210 B, CPU of both",
                f"≤ {CPU_MS_PER_1000_MAX:.0f} ms per 1,000",
                f"{cpu_ms:.1f} ms",
                cpu_ms <= CPU_MS_PER_1000_MAX,
            ),
            Goal(
                f"{way}, 210 B, any machine",
                f"≥ {OF_LIMIT_MIN:.0%} of all in a row",
                f"{share:.0%}",
                share >= OF_LIMIT_MIN,
            ),
            Goal(f"{way}, 210 B, beside the bare pair", "none", f"{of_pair:.0%}", None),
            Goal(
                f"re-sync with nothing to do, after a {way}",
                f"≤ {1000 * NOTHING_S_MAX:.0f} ms",
                f"{1000 * nothing_s:.0f} ms",
                nothing_s <= NOTHING_S_MAX,
            ),
        ]
    return goals


def medium(quick: bool) -> Section:
    """10,000 documents of 1.9 KB each way."""
    count = 500 if quick else 10_000
    rows: dict[str, list[Sample]] = {"push, wss": [], "pull, wss": []}
    bare: list[Limit] = []
    alone: list[Limit] = []
    for _ in range(_rounds(quick)):
        alone.append(limits.sqlite_alone("small", count, 1900))
        for name, way in (("push, wss", "push"), ("pull, wss", "pull")):
            bare.append(limits.bare_pair("small", count, 1900))
            rows[name].append(_run(Work("small", count, 1900, _way(way)))["first"])
    text = "\n\n".join(
        [
            f"{count:,} documents of 1.9 KB.",
            samples_table(rows.items()),
            limits_table([("the bare pair, documents", 1, bare), ("SQLite alone, rows", 1, alone)]),
        ]
    )
    engine = ENGINE_PER_S["medium"]
    goals = [
        Goal(
            f"{name.partition(',')[0]}, 1.9 KB",
            f"≥ {MEDIUM_PER_S_MIN:,}/s on the goals' machine (3 times the engine)",
            f"{median_rate(samples):,.0f}/s ({median_rate(samples) / engine:.1f} times)",
            median_rate(samples) >= MEDIUM_PER_S_MIN,
        )
        for name, samples in rows.items()
    ]
    return Section("Documents of 1.9 KB", text, goals)


def _way(name: str) -> Way:
    ways: dict[str, Way] = {"push": "push", "pull": "pull"}
    return ways[name]


def blobs(quick: bool) -> Section:
    """1,000 documents with a blob of 100 KB each way, beside the blob store alone.

    Nothing is removed in between: where files were removed in the last minutes, ext4 looks long for
    a number for a new one (`docs/performance.md`).
    """
    count = 40 if quick else 1_000
    rows: dict[str, list[Sample]] = {"push, wss": [], "pull, wss": []}
    alone: list[Limit] = []
    with tempfile.TemporaryDirectory() as root:
        place = Path(root)
        for _ in range(_rounds(quick)):
            for name, way in (("push, wss", "push"), ("pull, wss", "pull")):
                alone.append(limits.blob_store(count, 100_000, place))
                rows[name].append(_run(Work("blob", count, 100_000, _way(way)), place)["first"])
    text = "\n\n".join(
        [
            f"{count:,} documents with a blob of 100 KB each.",
            samples_table(rows.items()),
            limits_table([("the blob store alone, blobs", 1, alone)]),
        ]
    )
    goals = []
    for start, (name, samples) in enumerate(rows.items()):
        rate = median_rate(samples)
        share = _ratio([each.rate for each in samples], [each.per_s for each in alone[start::2]])
        work = f"{name.partition(',')[0]}, 100 KB blobs"
        engine = ENGINE_PER_S["blobs"]
        goals += [
            Goal(
                work,
                f"≥ {4 * engine:,}/s on the goals' machine (4 times the engine)",
                f"{rate:,.0f}/s ({rate / engine:.1f} times)",
                rate >= 4 * engine,
            ),
            Goal(
                f"{work}, any machine",
                f"≥ {BLOBS_OF_STORE_MIN:.0%} of the blob store alone",
                f"{share:.0%}",
                share >= BLOBS_OF_STORE_MIN,
            ),
        ]
    return Section("Blobs of 100 KB", text, goals)


def large(quick: bool) -> Section:
    """20 documents with a blob of 50 MB each."""
    count, size = (2, 2 * 10**6) if quick else (20, 50 * 10**6)
    alone: list[Limit] = []
    rows: list[Sample] = []
    for _ in range(_rounds(quick)):
        with tempfile.TemporaryDirectory() as root:
            alone.append(limits.blob_store(count, size, Path(root)))
        rows.append(_run(Work("blob", count, size, "push"))["first"])
    rates = [count * size / each.wall_s / 1e6 for each in rows]
    text = "\n\n".join(
        [
            f"{count} documents with a blob of {size // 10**6} MB each; push, wss: "
            f"{spread(rates)} MB/s, the blob store alone "
            f"{spread([each.per_s * size / 1e6 for each in alone])} MB/s.",
            samples_table([("push, wss", rows)]),
        ]
    )
    return Section("Large blobs", text)


def deltas(quick: bool) -> Section:
    """Documents of 10 KB with one of forty fields changed, as deltas."""
    count = 200 if quick else 5_000
    rows: dict[str, list[Sample]] = {}
    for _ in range(_rounds(quick)):
        for way in ("push", "pull"):
            found = _run(Work("fields", count, 10_000, _way(way), then=("field",)))
            rows.setdefault(f"{way} of whole documents", []).append(found["first"])
            rows.setdefault(f"{way} of one changed field each", []).append(found["field"])
    sent = [
        [name, spread([each.sent_bytes / each.documents for each in samples])]
        for name, samples in rows.items()
        if name.startswith("push")  # Of what is pulled the bodies count as they are stored.
    ]
    text = "\n\n".join(
        [
            f"{count:,} documents of 10 KB; then one field of each changes.",
            samples_table(rows.items()),
            table(["over wss", "bytes of body sent per document"], sent),
        ]
    )
    return Section("Deltas", text)


def real(quick: bool) -> Section:
    """The rows of a public collection of data sets, a collection for each."""
    rows: dict[str, list[Sample]] = {}
    for _ in range(_rounds(quick)):
        with tempfile.TemporaryDirectory() as root:
            for way, sample in real_data(Path(root)).items():
                rows.setdefault(f"{way}, wss", []).append(sample)
    if not rows:
        return Section("Real data", "`vega_datasets` is not installed: not measured.")
    count = rows["push, wss"][0].documents
    text = f"The {count:,} rows of `vega_datasets`, each file's in a collection of its own."
    return Section("Real data", f"{text}\n\n{samples_table(rows.items())}")


def sizes(quick: bool) -> Section:
    """From a thousand documents to a million: rate and memory."""
    counts = (100, 1_000) if quick else (1_000, 10_000, 100_000, 1_000_000)
    rows: list[tuple[str, list[Sample]]] = []
    goals = []
    for way in ("push", "pull"):
        before: list[Sample] = []
        for count in counts:
            before.append(_run(Work("small", count, 210, _way(way)))["first"])
            rows.append((f"{way}, {count:,}", [before[-1]]))
        most = before[-1]
        beside = [before[-2], _run(Work("small", counts[-2], 210, _way(way)))["first"]]
        rows.append((f"{way}, {counts[-2]:,} again", [beside[1]]))
        share = most.rate / median_rate(beside)
        peak_mib = max(most.peak_mib)
        goals += [
            Goal(
                f"{way} of {counts[-1]:,}, rate",
                f"≥ {SIZE_RATE_MIN:.0%} of that at {counts[-2]:,}",
                f"{share:.0%}",
                share >= SIZE_RATE_MIN,
            ),
            Goal(
                f"{way} of {counts[-1]:,}, memory of each process",
                f"≤ 120 MB ({MIB_MAX:.0f} MiB)",
                f"{peak_mib:.0f} MiB",
                peak_mib <= MIB_MAX,
            ),
        ]
    text = (
        "Documents of 210 B over wss, once each; the last but one size before and after the last."
    )
    return Section(
        "From a thousand documents to a million", f"{text}\n\n{samples_table(rows)}", goals
    )


# --- people waiting -------------------------------------------------------------------------------


def latency(quick: bool) -> Section:
    """One edit to the other peer's change listener: alone, beside a flood, beside computing."""
    count, flood = (20, 5_000) if quick else (200, 150_000)
    kinds: tuple[edits.Beside, ...] = ("nothing", "flood", "computing")
    found: dict[edits.Beside, list[edits.Latency]] = {kind: [] for kind in kinds}
    for _ in range(_rounds(quick)):
        for kind in kinds:
            with tempfile.TemporaryDirectory() as root:
                found[kind].append(edits.measure(count, kind, Path(root), flood=flood))
    lines = []
    for kind, rounds in found.items():
        for way, name in (
            ("to_passive_ms", "active → passive"),
            ("to_active_ms", "passive → active"),
        ):
            values = [getattr(each, way) for each in rounds]
            lines.append(
                [
                    f"beside {kind}",
                    name,
                    str(sum(map(len, values))),
                    spread([statistics.median(each) for each in values], 1),
                    spread([edits.percentile(each, 0.99) for each in values], 1),
                ]
            )
    alone = [ms for each in found["nothing"] for ms in each.all_ms]
    beside = [ms for each in found["flood"] for ms in each.all_ms]
    p50, p99 = statistics.median(alone), edits.percentile(alone, 0.99)
    p99_beside = edits.percentile(beside, 0.99)
    goals = [
        Goal("one edit, save → listener", "p50 ≤ 5 ms", f"{p50:.1f} ms", p50 <= 5),
        Goal("one edit, save → listener", "p99 ≤ 25 ms", f"{p99:.1f} ms", p99 <= 25),
        Goal(
            "one edit beside a link that syncs flat out",
            "p99 ≤ 100 ms",
            f"{p99_beside:.1f} ms",
            p99_beside <= 100,
        ),
    ]
    text = (
        "Milliseconds from before the save to the other peer's change listener, durability full on "
        "both sides, wss. *Computing*: a thread of each program computes in pure Python all along."
    )
    head = ["ms", "direction", "edits", "p50 of a round", "p99 of a round"]
    return Section("One edit", f"{text}\n\n{table(head, lines)}", goals)


def clients(quick: bool) -> Section:
    """1, 10, 50 and 200 clients on one listener."""
    counts = (1, 5) if quick else (1, 10, 50, 200)
    found: dict[int, list[crowd.Crowd]] = {count: [] for count in counts}
    for _ in range(_rounds(quick)):
        for count in counts:
            found[count].append(crowd.measure(count, 500 if quick else crowd.DOCUMENTS))
    lines = [
        [
            str(count),
            spread([1000 * each.last_s for each in rounds]),
            spread([each.mib_per_client for each in rounds], 2),
            spread([each.rate for each in rounds]),
        ]
        for count, rounds in found.items()
    ]
    most = found[counts[-1]]
    last_s = statistics.median(each.last_s for each in most)
    mib = statistics.median(each.mib_per_client for each in most)
    goals = [
        Goal(
            f"{counts[-1]} idle clients, one write",
            "the last has it within 1 s",
            f"{last_s:.2f} s",
            last_s <= LAST_S_MAX,
        ),
        Goal(
            f"{counts[-1]} idle clients, memory of the listener",
            f"≤ {MIB_PER_CLIENT_MAX} MiB per client",
            f"{mib:.2f} MiB",
            mib <= MIB_PER_CLIENT_MAX,
        ),
    ]
    text = (
        "All clients are real replicators on one event loop of one process, which has the most to "
        f"do. At the end all of them push at once, {crowd.DOCUMENTS:,} documents of 1 kB together."
    )
    head = ["idle clients", "the last has a write, ms", "listener's MiB per client"]
    head += ["all push, documents a second"]
    return Section("Many clients", f"{text}\n\n{table(head, lines)}", goals)


# --- without a peer -------------------------------------------------------------------------------


def local_operations(quick: bool) -> Section:
    """The embedded database beside bare apsw, sqlite3 and TinyDB."""
    found = local.compare(500 if quick else 20_000, 200, 1 if quick else 5)
    head, rows = local.rows_of_table(found)
    goals = [
        Goal(
            f"local: {task}",
            f"≤ {local.FACTOR_MAX} times bare apsw",
            f"{local.factor(found, task, 0):.2f} times",
            local.factor(found, task, 0) <= local.FACTOR_MAX,
        )
        for task in local.PROMISED
    ]
    text = "Fresh files in each round; `python -m benchmarks.local` says what each contestant does."
    return Section("Local operations", f"{text}\n\n{table(head, rows)}", goals)
