"""A long run with Couchbase Lite: ``python -m tests.interop.soak --minutes 20 --seed 1``.

Couchbase Lite for Java replicates continuously, both ways, with settee's listener, over a wire that
is cut now and then. Both sides write, delete and hang blobs on documents; either goes away and
comes back. At the end, when all is quiet, both must hold the same documents and blobs, settee must
have logged no error, and its process must not have grown.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import logging
import random
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final, NamedTuple

from settee import NotFoundError, TLSIdentity
from tests.interop.authority import Authority
from tests.interop.content import BlobSpec, Body, differences
from tests.interop.couchbase_lite import CouchbaseLite, make_trust_store
from tests.interop.pairs import CouchbaseLitePair, until
from tests.interop.place import java_peer_files
from tests.interop.relay import Relay

GROWTH_MIB_MAX: Final = 16
QUIET_TIMEOUT_S: Final = 180
IDS: Final = 400
STEPS_PER_S: Final = 25
SAMPLE_S: Final = 2
REPORT_S: Final = 30
DISTURBANCE_S: Final = 8
"""Mean time between two disturbances."""


class Sample(NamedTuple):
    """What the two processes held in memory at one moment, in MiB."""

    at_s: float
    ours: float
    theirs: float


class SoakError(Exception):
    """The run shows something that must not be."""


def resident_mib(pid: int | str) -> float:
    """Return what a process holds in memory; 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields.get("VmRSS", "0 kB").split()[0]) / 1024


def growth_mib(samples: list[Sample], length_s: float) -> float:
    """Return how much settee's process grew from the end of the first third to the end."""
    early = [each.ours for each in samples if 0.25 <= each.at_s / length_s <= 0.4]
    late = [each.ours for each in samples if each.at_s / length_s >= 0.9]
    return statistics.median(late) - statistics.median(early)


class Errors(logging.Handler):
    """Keeps what settee logs as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: Final[list[str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


class Soak:
    """One run."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._random: Final = random.Random(seed)
        self._directory: Final = directory
        self._files: Final = java_peer_files()
        self._roots: Final = directory / "roots"
        make_trust_store(self._roots, Authority().pem)
        self.counts: Final[collections.Counter[str]] = collections.Counter()
        self.samples: Final[list[Sample]] = []
        self._pair: Final = CouchbaseLitePair(
            self._start_java, self._start_java(), "theirs", directory, TLSIdentity.anonymous()
        )
        self._relay: Final = Relay(self._pair.listener.port)
        self._connect()

    def _start_java(self) -> CouchbaseLite:
        return CouchbaseLite(self._files, self._directory / "java", self._roots)

    def _connect(self) -> None:
        self._pair.start("both", port=self._relay.port)

    def close(self) -> None:
        """End all."""
        self._pair.process.close()
        self._relay.close()
        self._pair.ours.db.close()

    # --- what happens -----------------------------------------------------------------------------

    def run(self, length_s: float) -> None:
        """Write and disturb for this long."""
        began = time.monotonic()
        pace = threading.Event()  # Never set: it waits.
        sampled = reported = 0.0
        while (at := time.monotonic() - began) < length_s:
            self._write()
            if self._random.random() < 1 / (DISTURBANCE_S * STEPS_PER_S):
                self._disturb()
            if at - sampled >= SAMPLE_S:
                sampled = at
                java = resident_mib(self._pair.process.pid)
                self.samples.append(Sample(at, resident_mib("self"), java))
            if at - reported >= REPORT_S:
                reported = at
                self._report()
            pace.wait(1 / STEPS_PER_S)

    def _report(self) -> None:
        at, ours, theirs = self.samples[-1]
        counts = ", ".join(f"{name} {n}" for name, n in sorted(self.counts.items()))
        held = f"{self._pair.ours.count()} documents here, {self._pair.count()} there"
        say(f"{at:6.0f} s: settee {ours:.1f} MiB, java {theirs:.1f} MiB; {held}; {counts}")

    def _write(self) -> None:
        chance = self._random
        here = chance.random() < 0.5
        who = "ours" if here else "theirs"
        what = chance.choices(["edit", "blob", "delete", "batch"], [70, 12, 15, 3])[0]
        self.counts[f"{what} at {who}"] += 1
        if what == "delete":
            id = self._any_id()
            if here:
                with contextlib.suppress(NotFoundError):
                    self._pair.ours.delete([id])
            else:
                self._pair.process.delete(self._pair.db, [id], if_there=True)
            return
        count = chance.randint(20, 100) if what == "batch" else 1
        documents = {self._any_id(): self._body(who, what == "blob") for _ in range(count)}
        (self._pair.ours if here else self._pair).save(documents)

    def _any_id(self) -> str:
        return f"doc-{self._random.randrange(IDS):03}"

    def _body(self, who: str, blob: bool) -> Body:
        chance = self._random
        body: dict[str, object] = {
            "by": who,
            "n": chance.randrange(2**40),
            "text": "ä" * chance.randrange(300),
            "list": [chance.random() < 0.5 for _ in range(chance.randrange(5))],
        }
        if blob:
            size = chance.choice([0, 1, 1000, 30_000, 200_000])
            body["blob"] = BlobSpec(size, chance.randrange(50))
        return body

    def _disturb(self) -> None:
        what = self._random.choices(
            ["cut", "java ends", "java killed", "listener again", "database again"],
            [50, 15, 10, 15, 10],
        )[0]
        self.counts[what] += 1
        pair = self._pair
        if what == "cut":
            self._relay.cut()
        elif what == "listener again":
            pair.listen_again()
        elif what == "database again":
            pair.restart_ours()
        else:
            if what == "java ends":
                pair.stop()
                pair.process.close()
            else:
                pair.process.kill()
            pair.process = self._start_java()
            pair.process.open(pair.db)
            self._connect()

    # --- how it ends ------------------------------------------------------------------------------

    def check(self, length_s: float, errors: list[str]) -> None:
        """Wait until both sides are the same. Raises SoakError for what is wrong."""
        self._report()
        growth = growth_mib(self.samples, length_s)
        pair = self._pair
        began = time.monotonic()
        until(lambda: not differences(pair.ours.dump(), pair.dump()), QUIET_TIMEOUT_S)
        found = differences(pair.ours.dump(), pair.dump())
        quiet_s = time.monotonic() - began
        say(f"quiet after {quiet_s:.1f} s; {pair.count()} documents; settee grew {growth:+.1f} MiB")
        wrong = [f"different: {each}" for each in found]
        if growth > GROWTH_MIB_MAX:
            wrong.append(f"settee grew by {growth:.1f} MiB, more than {GROWTH_MIB_MAX}")
        wrong += [f"logged: {each}" for each in errors]
        pair.stop()
        pair.sync("both", conflicts=True)  # One more says whether that was really all.
        wrong += [f"later: {each}" for each in differences(pair.ours.dump(), pair.dump())]
        if wrong:
            raise SoakError("\n".join(wrong))


def say(text: str) -> None:
    """Print a line at once: it is followed in a file."""
    print(text, flush=True)


def main(arguments: list[str]) -> int:
    """Run; return 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="tests.interop.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args(arguments)
    seed = random.randrange(2**32) if options.seed is None else options.seed
    say(f"seed {seed}, {options.minutes:g} minutes")
    errors = Errors()
    logging.getLogger("settee").addHandler(errors)
    with tempfile.TemporaryDirectory(prefix="settee-soak-", ignore_cleanup_errors=True) as name:
        soak = Soak(Path(name), seed)
        try:
            soak.run(options.minutes * 60)
            soak.check(options.minutes * 60, errors.found)
        except SoakError as exc:
            say(f"FAILED (seed {seed})\n{exc}")
            return 1
        finally:
            soak.close()
    say("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
