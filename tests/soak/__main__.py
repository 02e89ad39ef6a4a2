"""A long life of several peers: ``python -m tests.soak --peers 5 --minutes 45 --seed 1``.

Each peer is a process with a database, a listener with TLS, and a replicator to the next one, so
that all stand in a ring. Each does ten document operations a second, with blobs of 1 kB to 5 MB.
Once a minute one of them (never the first) is ended or killed and comes back; one link is cut every
few seconds for the first half of each minute. When time is over all must come to hold the same,
every document that a peer was told is saved must be there, and what the processes held in memory,
handles, threads, their logs and their lags must be within their bounds. The exit code is 1 if not;
``--share`` is three peers for a minute, where times may be five times as long.
"""

from __future__ import annotations

import argparse
import json
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from tests import figures
from tests.interop.relay import Relay
from tests.soak.judge import Judge, Life, taken_back

ROOT: Final = Path(__file__).resolve().parent.parent.parent
SAMPLE_S: Final = 2.0
CALM_AFTER_S: Final = 15.0
ANSWER_S: Final = 120
EQUAL_S: Final = 180
REPORT_S: Final = 60.0


class SoakError(Exception):
    """The run shows something that must not be."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Process:
    """A peer's process: it is told a line, and answers one."""

    def __init__(self, directory: Path, name: str, port: int, seed: int, life: Life) -> None:
        self.life: Final = life
        self._name: Final = name
        self._log: Final = (directory / f"{name}.log").open("a", encoding="utf-8")
        self._process: Final = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.peer", str(directory), name, str(port), str(seed)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.pin: Final[str] = self._answer()["pin"]

    def _answer(self) -> dict[str, Any]:
        stdout = self._process.stdout
        assert stdout is not None
        ready, _, _ = select.select([stdout], [], [], ANSWER_S)
        line = stdout.readline() if ready else ""
        if not line:
            raise SoakError(f"{self._name} {'died' if ready else 'does not answer'}")
        return json.loads(line)  # type: ignore[no-any-return]

    def tell(self, *words: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self, *, kill: bool) -> None:
        """End it: in good order, or dead at once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if kill:
            self._process.send_signal(signal.SIGKILL)
        self._process.stdin.close()
        try:
            self._process.wait(ANSWER_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise SoakError(f"{self._name} does not end") from None
        finally:
            self._process.stdout.close()
            self._log.close()


class Soak:
    """One run."""

    def __init__(self, directory: Path, peers: int, minutes: float, seed: int) -> None:
        self._directory: Final = directory
        self._chance: Final = random.Random(seed)
        self._length_s: Final = minutes * 60
        self.judge: Final = Judge(minutes)
        self.names: Final = [f"peer{n}" for n in range(peers)]
        self._ports: Final = [free_port() for _ in self.names]
        self._relay: Final = Relay(self._ports[0])
        """The link that flaps: from the last peer to the first."""
        self._pins: list[str] = []
        self.peers: Final = [self._started(n) for n in range(peers)]
        self._pins = [peer.pin for peer in self.peers]
        for number in range(peers):
            self._dial(number)
        self.restarts = self.kills = self.cuts = 0

    def _started(self, number: int) -> Process:
        name, seed = self.names[number], self._chance.randrange(2**32)
        life = self.judge.life(name)
        return Process(self._directory, name, self._ports[number], seed, life)

    def _dial(self, number: int) -> None:
        to = (number + 1) % len(self.names)
        port = self._relay.port if to == 0 else self._ports[to]
        self.peers[number].tell("dial", f"wss://127.0.0.1:{port}/soak", self._pins[to])
        self.peers[number].tell("write")

    def close(self) -> None:
        for peer in self.peers:
            peer.end(kill=False)
        self._relay.close()

    def run(self) -> None:
        """Let them live."""
        pace = threading.Event()  # Never set: it waits.
        began = time.monotonic()
        minute, cut_at, disturbed, reported = -1, 0.0, 0.0, 0.0
        calm = False
        while (at := time.monotonic() - began) < self._length_s:
            if int(at // 60) > minute:
                minute = int(at // 60)
                self._tell_all("loud")
                self._restart()
                disturbed, calm = at, False
            if at % 60 < 30 and at >= cut_at:
                self.cuts += self._relay.cut()
                cut_at = at + self._chance.uniform(1, 30)
                self._tell_all("loud")
                disturbed, calm = at, False
            if not calm and at - disturbed > CALM_AFTER_S:
                calm = True
                self._tell_all("quiet")
            for peer in self.peers:
                self.judge.take(peer.life, at, peer.tell("state"), calm=calm)
            if at - reported >= REPORT_S:
                reported = at
                self._report(at)
            pace.wait(SAMPLE_S)

    def _tell_all(self, word: str) -> None:
        for peer in self.peers:
            peer.tell(word)

    def _restart(self) -> None:
        number = self._chance.randrange(1, len(self.peers))
        kill = self._chance.random() < 0.5
        self.kills += kill
        self.restarts += 1
        self.peers[number].end(kill=kill)
        self.peers[number] = self._started(number)
        self._dial(number)

    def _report(self, at: float) -> None:
        last = [peer.life.rss[-1][1] if peer.life.rss else 0 for peer in self.peers]
        memory = ", ".join(f"{mib:.0f}" for mib in last)
        say(f"{at:6.0f} s: {memory} MiB; restarts {self.restarts}, cuts {self.cuts}")

    # --- how it ends ---

    def check(self) -> list[str]:
        """Wait until all hold the same; return what is wrong."""
        self._tell_all("rest")
        wrong: list[str] = []
        began = time.monotonic()
        pace = threading.Event()
        while True:
            contents = [peer.tell("contents") for peer in self.peers]
            if len({each["digest"] for each in contents}) == 1:
                took_s, count = time.monotonic() - began, contents[0]["documents"]
                say(f"equal after {took_s:.1f} s, {count} documents")
                break
            if time.monotonic() - began > EQUAL_S:
                counts = ", ".join(str(each["documents"]) for each in contents)
                wrong.append(f"not equal after {EQUAL_S} s: {counts} documents")
                break
            pace.wait(1)
        for name in self.names:
            journal = (self._directory / f"{name}.journal").read_text(encoding="utf-8")
            lost = taken_back(map(json.loads, journal.splitlines()), contents[0]["own"])
            wrong += [f"{name} was told that {id} is saved: it is not there" for id in lost[:5]]
        return wrong

    def logged(self) -> list[str]:
        """Return the tracebacks that peers left."""
        return [
            f"{name} left a traceback: {text[text.index('Traceback') :][:2000]}"
            for name in self.names
            if "Traceback" in (text := (self._directory / f"{name}.log").read_text("utf-8"))
        ]


def say(text: str) -> None:
    """Print a line at once: it is followed in a file."""
    print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run; return 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="tests.soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--peers", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--share", action="store_true", help="three peers for one minute")
    options = parser.parse_args(arguments)
    peers, minutes = (3, 1.0) if options.share else (options.peers, options.minutes)
    if peers < 2 or minutes <= 0:
        parser.error("a soak needs two peers and some time")
    seed = random.randrange(2**32) if options.seed is None else options.seed
    say(f"seed {seed}, {peers} peers, {minutes:g} minutes")
    with tempfile.TemporaryDirectory(prefix="settee-soak-", ignore_cleanup_errors=True) as name:
        soak = Soak(Path(name), peers, minutes, seed)
        try:
            soak.run()
            wrong = soak.check()
        except SoakError as exc:
            wrong = [str(exc)]
        finally:
            soak.close()
        wrong += soak.logged()
    measured = soak.judge.figures()
    for figure in measured:
        holds = figure.holds(5 if options.share else 1)
        say(f"  {'ok ' if holds else 'BAD'} {figure.line}")
        if not holds:
            wrong.append(figure.line)
    operations = sum(soak.judge.operations.values())
    say(
        f"{operations:,} operations, {soak.restarts} restarts, {soak.kills} of them killed, "
        f"{soak.cuts} cuts"
    )
    for line in wrong:
        say(f"WRONG {line}")
    if not options.share and not wrong:
        told = {
            each.what.replace(",", ""): f"{each.value:.3g} {each.unit}".rstrip()
            for each in measured
        }
        figures.record("soak", peers=peers, minutes=minutes, operations=operations, **told)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
