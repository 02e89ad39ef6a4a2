"""Two processes over TLS: documents pushed, pulled, both; then nothing, a hundredth, deltas.

``python -m benchmarks.sync [--documents 100000] [--body-bytes 200] [--durability full]
[--kind small] [--plain] [--only push|pull|push_and_pull]``

Prints documents a second, CPU milliseconds per 1,000 documents, bytes into SQLite's logs and peak
memory of both processes. Each side runs in a process of its own that did not make the documents;
both databases are fully durable unless told otherwise. Times are of the whole replication, from
`replicate()` called to returned, everything committed and the checkpoint saved on both sides.
`python -m benchmarks` runs the rows of this module beside the limits.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from benchmarks.data import rows_of, vega_files
from benchmarks.peers import Peer

__all__ = ["Sample", "Work", "real_data", "replicate", "run", "two_peers"]

Durability = Literal["full", "normal", "memory"]
Way = Literal["push", "pull", "push_and_pull"]


class Work(NamedTuple):
    """Documents to be replicated once."""

    kind: str
    """As `benchmarks.peers.body_of` makes them."""
    documents: int
    body_bytes: int
    way: Way
    tls: bool = True
    durability: Durability = "full"
    then: tuple[str, ...] = ()
    """What is measured after it: "nothing", "pull", "hundredth", "field"."""


class Sample(NamedTuple):
    """What one replication took. Of each pair the active peer's comes first."""

    documents: int
    """Documents that moved; for a replication with nothing to do those that are there."""
    wall_s: float
    cpu_s: tuple[float, float]
    wal_bytes: tuple[float, float]
    peak_mib: tuple[float, float]
    """Of the processes until then."""
    sent_bytes: int
    """Bodies and blobs, as they lie on the wire before they are deflated."""

    @property
    def rate(self) -> float:
        """Documents a second."""
        return self.documents / self.wall_s

    @property
    def cpu_ms_per_1000(self) -> float:
        """CPU milliseconds of both peers for 1,000 documents."""
        return 1e6 * sum(self.cpu_s) / max(1, self.documents)


@contextlib.contextmanager
def two_peers(root: Path, durability: Durability, tls: bool) -> Iterator[tuple[Peer, Peer, Any]]:
    """Open the databases ``active`` and ``passive`` in two processes; the second listens."""
    with Peer() as active, Peer() as passive:
        active.ask("open", name="active", directory=str(root), durability=durability)
        passive.ask("open", name="passive", directory=str(root), durability=durability)
        where = passive.ask("listen", tls=tls)
        yield active, passive, where
        active.ask("close")


def replicate(
    active: Peer, passive: Peer, where: dict[str, Any], way: Way, **options: Any
) -> tuple[Sample, dict[str, Any]]:
    """Replicate once; return what it took, and what the active peer says was done."""
    before = passive.ask("usage")
    done = active.ask("replicate", **where, type=way, **options)
    after, mine = passive.ask("usage"), active.ask("usage")
    sample = Sample(
        done["pushed"] + done["pulled"],
        done["wall_s"],
        (done["cpu_s"], after["cpu_s"] - before["cpu_s"]),
        (done["wal_bytes"], after["wal_bytes"] - before["wal_bytes"]),
        (mine["peak_mib"], after["peak_mib"]),
        done["bytes"],
    )
    return sample, {**done, "documents": (mine["documents"], after["documents"])}


def fill(work: Work, root: Path) -> None:
    """Make the documents, in a process that ends; of both ways each side has half of them."""
    sides = {"push": ("active",), "pull": ("passive",)}.get(work.way, ("active", "passive"))
    with Peer() as filler:
        for side in sides:
            filler.ask("open", name=side, directory=str(root), durability=work.durability)
            half = work.documents // len(sides)
            first = half if side == "passive" and len(sides) > 1 else 0
            filler.ask("fill", kind=work.kind, count=half, body_bytes=work.body_bytes, first=first)
            filler.ask("close")


def run(work: Work, root: Path) -> dict[str, Sample]:
    """Replicate, check that all is there, then do what is to be done after it."""
    fill(work, root)
    samples: dict[str, Sample] = {}
    with two_peers(root, work.durability, work.tls) as (active, passive, where):
        sample, done = replicate(active, passive, where, work.way)
        assert sample.documents == work.documents, done
        assert done["documents"] == (work.documents, work.documents), done
        samples["first"] = sample
        for step in work.then:
            way: Way = "push_and_pull" if step == "pull" else work.way
            expected = 0
            if step in ("hundredth", "field"):
                stride = 100 if step == "hundredth" else 1
                where_from = passive if work.way == "pull" else active
                expected = len(range(0, work.documents, stride))
                where_from.ask(
                    "change",
                    kind=work.kind,
                    count=work.documents,
                    body_bytes=work.body_bytes,
                    step=stride,
                )
            sample, done = replicate(active, passive, where, way)
            assert sample.documents == expected, (step, done)
            samples[step] = sample._replace(documents=expected or work.documents)
    return samples


def real_data(root: Path) -> dict[str, Sample]:
    """Push, then pull, the rows of `vega_datasets`, a collection for each of its files.

    Empty if the package is not there.
    """
    collections: dict[str, str] = {}
    for file in vega_files():
        rows = rows_of(file)
        if rows:
            path = root / f"{file.stem}.json"
            path.write_text(json.dumps(rows), encoding="utf-8")
            collections[f"vega.{file.stem}"] = str(path)
    if not collections:
        return {}
    samples: dict[str, Sample] = {}
    for way, source in (("push", "active"), ("pull", "passive")):
        place = root / way
        place.mkdir()
        with Peer() as filler:
            filler.ask("open", name=source, directory=str(place))
            count = filler.ask("fill_rows", collections=collections)["count"]
            filler.ask("close")
            other = "passive" if source == "active" else "active"
            filler.ask("open", name=other, directory=str(place))
            filler.ask("create", collections=list(collections))
            filler.ask("close")
        with two_peers(place, "full", True) as (active, passive, where):
            names = list(collections)
            sample, done = replicate(active, passive, where, way, collections=names)  # type: ignore[arg-type]
            assert sample.documents == count, done
            samples[way] = sample
    return samples


def line_of(what: str, sample: Sample) -> str:
    """Say what a replication took."""
    count = max(1, sample.documents)
    return (
        f"{what}: {sample.documents} documents in {sample.wall_s:.2f} s = "
        f"{sample.rate:,.0f} docs/s · "
        f"CPU per 1,000: active {1e6 * sample.cpu_s[0] / count:.1f} ms, passive "
        f"{1e6 * sample.cpu_s[1] / count:.1f} ms · WAL per document: active "
        f"{sample.wal_bytes[0] / count:,.0f} B, passive {sample.wal_bytes[1] / count:,.0f} B · "
        f"peak memory: active {sample.peak_mib[0]:.0f} MiB, passive {sample.peak_mib[1]:.0f} MiB"
    )


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sync", description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--body-bytes", type=int, default=200)
    parser.add_argument("--durability", choices=["full", "normal", "memory"], default="full")
    parser.add_argument("--kind", choices=["small", "flat", "fields", "blob"], default="small")
    parser.add_argument("--plain", action="store_true", help="without TLS")
    parser.add_argument("--then", nargs="*", default=["nothing"])
    ways: tuple[Way, ...] = ("push", "pull", "push_and_pull")
    parser.add_argument("--only", choices=ways)
    options = parser.parse_args()
    for way in ways[:2] if options.only is None else (options.only,):
        work = Work(
            options.kind,
            options.documents,
            options.body_bytes,
            way,
            not options.plain,
            options.durability,
            tuple(options.then),
        )
        with tempfile.TemporaryDirectory() as root:
            for step, sample in run(work, Path(root)).items():
                if step in ("nothing", "pull"):
                    print(f"  {step}: nothing to do in {1000 * sample.wall_s:.0f} ms", flush=True)
                else:
                    print(line_of(f"{way}, {step}", sample), flush=True)


if __name__ == "__main__":
    main()
