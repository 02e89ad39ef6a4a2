"""What the processes do that are killed, and how what they left is judged.

A child works and writes a line to a pipe after each call that returned: that list is the truth. It
is forked from a process that has settee imported and no database open.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from settee import Blob, Database, SetteeError, URLEndpointListener
from tests.crash import script

TIMEOUT_S: Final = 60.0
LOCAL_STEPS: Final = 25
SYNC_STEPS: Final = 12

Say = Callable[[object], None]


class Child:
    """A forked process, and the lines that it wrote."""

    def __init__(self, work: Callable[[Say], None]) -> None:
        reading, writing = os.pipe()
        sys.stdout.flush()
        with warnings.catch_warnings():
            # A thread of the test runner's own is no danger: the child touches nothing of it.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(reading)
                work(lambda value: _say(writing, value))
                code = 0
            except BaseException:
                with contextlib.suppress(BaseException):
                    _say(writing, {"error": traceback.format_exc()})
            finally:
                os._exit(code)
        os.close(writing)
        self._fd = reading
        self._text = b""
        self.lines: list[Any] = []

    def read(self, timeout_s: float) -> bool:
        """Take what was written, waiting for at most so long; false at its end."""
        ready, _, _ = select.select([self._fd], [], [], timeout_s)
        if not ready:
            return True
        data = os.read(self._fd, 65536)
        self._text += data
        *whole, self._text = self._text.split(b"\n")
        self.lines.extend(json.loads(line) for line in whole)
        return bool(data)

    def until(self, count: int) -> None:
        """Read until there are so many lines, or it has ended."""
        while len(self.lines) < count and self.read(TIMEOUT_S):
            pass

    def kill(self) -> None:
        """End it like the power would, and read what it had written."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """Read to the end; return the exit code, below 0 the signal."""
        while self.read(TIMEOUT_S):
            pass
        os.close(self._fd)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


def _say(fd: int, value: object) -> None:
    os.write(fd, json.dumps(value).encode() + b"\n")


def verified(judge: Callable[[Say], None]) -> list[str]:
    """Judge in a process of its own; return what is wrong."""
    child = Child(judge)
    code = child.wait()
    found = [str(line) for line in child.lines]
    return found or ([] if code == 0 else [f"the judge ended with {code}"])


# --- one database ---------------------------------------------------------------------------------


def live(place: Path, seed: str, say: Say, *, count: int = LOCAL_STEPS) -> None:
    """Do a script; say the number of steps done after each."""
    with Database(place) as db:
        say("open")
        for step in script.script(seed, count):
            script.act(db, step)
            say("step")


def judge_local(
    place: Path, seed: str, lines: list[Any], say: Say, *, count: int = LOCAL_STEPS
) -> None:
    """Say what is wrong with what a killed `live` left."""
    done = lines.count("step")
    states = list(script.models(script.script(seed, count)))
    if not Database.exists(place) and "open" not in lines:
        return
    with Database(place) as db:
        found = script.contents(db)
        if found not in states[done : done + 2]:
            say(f"after {done} steps it holds {'an older state' if found in states else 'a half'}")
    judge_files(place, say)


def judge_files(place: Path, say: Say) -> None:
    """Say what is wrong with a database's files."""
    with Database(place, create=False) as db:
        for problem in db.check():
            say(f"{place.name}: {problem}")
        db._poll()  # What has expired goes now, not meanwhile.
        db.compact()
        assert db._store._writer is not None
        needed = db._store._writer.row("SELECT count(DISTINCT digest) FROM blob_refs")
        blobs = place / "blobs"
        staging = blobs / "staging"
        left = set(os.listdir(blobs)) - {"staging"}
        if needed is None or len(left) != needed[0]:
            say(f"{place.name}: {len(left)} files of blobs, {needed} needed")
        if staging.exists() and os.listdir(staging):
            say(f"{place.name}: staged files are left: {os.listdir(staging)}")
    rest = set(os.listdir(place)) - {"blobs", "db.sqlite3", "open", "sync.lock"}
    if rest:
        say(f"{place.name}: files are left: {sorted(rest)}")


# --- two databases --------------------------------------------------------------------------------


def body(name: str, n: int) -> dict[str, Any]:
    """Return document `n` of a side, most with a picture."""
    value: dict[str, Any] = {"side": name, "n": n, "text": "x" * (n * 97 % 2000)}
    if n % 3:
        value["image"] = Blob.from_bytes(f"{name}{n}".encode() * (n * 371 % 9000))
    return value


def edit(db: Database, name: str, n: int, say: Say) -> None:
    """Make a document, change an earlier one, delete another."""
    items = db.default_collection
    items[f"{name}-{n}"] = body(name, n)
    say([f"{name}-{n}", n])
    if n % 4 == 3:
        items[f"{name}-{n - 1}"] = body(name, n + 100)
        say([f"{name}-{n - 1}", n + 100])
    if n % 6 == 5:
        items.delete(f"{name}-{n - 2}")
        say([f"{name}-{n - 2}", None])


@contextlib.contextmanager
def served(db: Database) -> Iterator[str]:
    """Serve a database on loopback; give the URL."""
    with URLEndpointListener(db, host="127.0.0.1", tls=False, allow_anonymous=True) as listener:
        yield listener.urls[0]


def passive(place: Path, say: Say) -> None:
    """Serve, and edit beside it, until killed."""
    with Database(place) as db, served(db) as url:
        say({"url": url})
        for n in range(SYNC_STEPS):
            edit(db, "b", n, say)
        threading.Event().wait(TIMEOUT_S)


def active(place: Path, url: str, say: Say) -> None:
    """Replicate, and edit in between."""
    with Database(place) as db:
        for n in range(SYNC_STEPS):
            edit(db, "a", n, say)
            if n % 2:
                with contextlib.suppress(SetteeError):  # The other one was killed.
                    db.replicate(url, max_attempts=1)
                    say({"synced": n})


def both(place: Path, say: Say, *, until: str = "") -> None:
    """Both sides in one process, over a real socket."""
    with (
        Database(place / "a.settee") as a,
        Database(place / "b.settee") as b,
        served(b) as url,
    ):
        for n in range(SYNC_STEPS):
            edit(a, "a", n, say)
            edit(b, "b", n, say)
            a.default_collection["both"] = body("a", n + 200)
            b.default_collection["both"] = body("b", n + 200)
            a.replicate(url, max_attempts=1)
            say({"synced": n})
        a.compact()
        Database.copy(a, place / "c.settee")


def judge_sync(place: Path, lines: list[Any], say: Say) -> None:
    """Say what is wrong with two databases of which one or both were killed."""
    told: dict[str, list[Any]] = {}
    for line in lines:
        if isinstance(line, list):
            told.setdefault(line[0], []).append(line[1])
    places = [each for name in "ab" if Database.exists(each := place / f"{name}.settee")]
    for each in places:
        judge_files(each, say)
        with Database(each) as db:
            _judge_own(db, each.name[0], told, say)
    with Database(place / "a.settee") as a, Database(place / "b.settee") as b:
        for _ in range(3):
            result = a.replicate(b)
            for error in result.errors:
                say(f"syncing again: {error}")
        here, there = script.contents(a), script.contents(b)
        if here != there:
            say("syncing again left them different")
        for db, name in ((a, "a"), (b, "b")):
            for side in "ab":
                _judge_own(db, side, told, say)
            for problem in db.check():
                say(f"synced again, {name}: {problem}")


def _judge_own(db: Database, side: str, told: dict[str, list[Any]], say: Say) -> None:
    """Each acknowledged write of a side is there, or the one after it that was in flight."""
    for doc_id, values in told.items():
        if doc_id.startswith(f"{side}-"):
            found = db.default_collection.get(doc_id)
            lives = history(int(doc_id[2:]))
            at = lives.index(values[-1])
            if (None if found is None else _number(found)) not in lives[at : at + 2]:
                say(f"{doc_id} of {db.name} is {found and _number(found)}, acknowledged: {values}")
            elif found is not None:
                _judge_blob(found, say)


def history(n: int) -> list[int | None]:
    """Return what `edit` makes of document `n`, one after the other."""
    values: list[int | None] = [n]
    if (n + 1) % 4 == 3 and n + 1 < SYNC_STEPS:
        values.append(n + 1 + 100)
    if (n + 2) % 6 == 5 and n + 2 < SYNC_STEPS:
        values.append(None)
    return values


def _number(found: Any) -> int:
    return int(found["n"])


def _judge_blob(found: Any, say: Say) -> None:
    expected = body(found["side"], found["n"])
    image = expected.get("image")
    if image is not None and found["image"].read() != image.read():
        say(f"the blob of {found.id} is another")
