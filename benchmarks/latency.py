"""One edit, from before its save to the change listener of the other peer.

``python -m benchmarks.latency [--edits 200] [--beside nothing|flood|computing]``

Two processes are connected over TLS, both fully durable, and one saves documents one by one with
pauses. *flood*: a third process pushes documents to the same listener, as fast as it can, into
another collection; an edit that was saved after that had ended does not count. *computing*: a
thread of the program's own computes in both processes, without end and in pure Python.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
from pathlib import Path
from typing import Literal, NamedTuple

from benchmarks.peers import EDITS_COLLECTION, Peer

__all__ = ["Latency", "measure", "percentile"]

Beside = Literal["nothing", "flood", "computing"]
PAUSE_S = 0.02


class Latency(NamedTuple):
    """Milliseconds of single edits, by the direction that they went."""

    to_passive_ms: list[float]
    to_active_ms: list[float]

    @property
    def all_ms(self) -> list[float]:
        """Both directions."""
        return self.to_passive_ms + self.to_active_ms


def percentile(values: list[float], share: float) -> float:
    """Return what `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def measure(edits: int, beside: Beside, root: Path, *, flood: int = 100_000) -> Latency:
    """Save `edits` documents on each side in turn; return how long each took to be heard."""
    with Peer() as passive, Peer() as active, Peer() as other:
        passive.ask("open", name="passive", directory=str(root))
        passive.ask("create", collections=[EDITS_COLLECTION])
        where = passive.ask("listen")
        passive.ask("watch")
        active.ask("open", name="active", directory=str(root))
        active.ask("create", collections=[EDITS_COLLECTION])
        active.ask("follow", **where)
        found: list[list[float]] = []
        for number, (saver, hearer) in enumerate(((active, passive), (passive, active))):
            if beside == "flood":
                other.ask("open", name=f"flood-{number}", directory=str(root))
                # Of other names each time, or the second flood would find them there.
                other.ask("fill", kind="small", count=flood, body_bytes=200, first=number * flood)
                other.tell("replicate", **where, type="push")
            elif beside == "computing":
                saver.ask("compute", on=True)
                hearer.ask("compute", on=True)
            hearer.ask("expect", count=edits)
            saver.ask("edits", count=edits, pause_s=PAUSE_S, prefix=f"{beside}-{number}")
            heard = hearer.ask("heard")["heard"]
            if beside == "flood":
                ended_ns = other.answer()["ended_ns"]
                heard = [each for each in heard if each[0] <= ended_ns]
                other.ask("close")
            elif beside == "computing":
                saver.ask("compute", on=False)
                hearer.ask("compute", on=False)
            found.append([took_ms for _, took_ms in heard])
        active.ask("close")
        assert all(found), "the flood was over before the first edit: make it longer"
    return Latency(*found)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--edits", type=int, default=200)
    parser.add_argument("--flood", type=int, default=100_000, help="documents")
    kinds: tuple[Beside, ...] = ("nothing", "flood", "computing")
    parser.add_argument("--beside", choices=kinds)
    options = parser.parse_args()
    for beside in kinds if options.beside is None else (options.beside,):
        with tempfile.TemporaryDirectory() as root:
            found = measure(options.edits, beside, Path(root), flood=options.flood)
        for way, values in zip(found._fields, found, strict=True):
            print(
                f"beside {beside}, {way}: p50 {statistics.median(values):.1f}, "
                f"p99 {percentile(values, 0.99):.1f}, max {max(values):.1f} ms of {len(values)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
