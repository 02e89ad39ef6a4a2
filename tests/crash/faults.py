"""Broken disks: the n-th write, sync, read, truncation, rename or opening fails, n = 1, 2, 3 …

Until the scenario ends without meeting the fault. Each n is a run of its own: the error that the
caller gets is ours, what was done before is there, what failed happened or did not, and work goes
on in the same open database; then it is closed, opened again, and checked.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any, Final, Literal

import apsw

from settee.clock import InlineWorkers
from settee.db.database import Database
from settee.errors import DiskFullError, SetteeError, StoreError
from settee.store.copying import copy_database
from settee.store.files import MachineFiles
from tests.crash import script, syncing
from tests.crash.images import Found, folder
from tests.crash.script import Step
from tests.simulation.world import world
from tests.store.conftest import FakeClock

Mode = Literal["broken", "full", "short"]
"""The operation fails for ever unknown reasons; for lack of space; after half of a write."""

_CODES: Final = {
    "read": apsw.SQLITE_IOERR_READ,
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "delete": apsw.SQLITE_IOERR_DELETE,
    "open": apsw.SQLITE_CANTOPEN,
}
_NEEDS_SPACE: Final = frozenset({"write", "create", "make_folder", "link"})


class Fault:
    """Lets the n-th operation below a folder fail, once."""

    def __init__(self, root: Path, n: int, mode: Mode) -> None:
        self.root: Final = f"{root}{os.sep}"
        self.mode: Final = mode
        self.left = n
        self.armed = False
        self.hit = ""
        """What failed."""

    def due(self, path: str | os.PathLike[str] | None, what: str) -> bool:
        """Tell whether this operation is the one."""
        if not self.armed or path is None or not os.fspath(path).startswith(self.root):
            return False
        self.left -= 1
        if self.left:
            return False
        self.hit = what
        return True

    @property
    def is_full(self) -> bool:
        """Whether what failed did so for lack of space."""
        return self.mode != "broken" and self.hit.rpartition(" ")[2] in _NEEDS_SPACE

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Count operations inside only."""
        self.armed = True
        try:
            yield
        finally:
            self.armed = False


class FaultyFiles(MachineFiles):
    """The machine's files, of which one operation fails."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._paths: dict[int, Path] = {}

    def _check(self, path: Path | None, what: str) -> None:
        if self._fault.due(path, f"files {what}"):
            full = self._fault.is_full
            number = errno.ENOSPC if full else errno.EIO
            raise OSError(number, os.strerror(number), str(path))

    def create(self, path: Path) -> FileIO:
        self._check(path, "create")
        file = super().create(path)
        self._paths[file.fileno()] = path
        return file

    def open(self, path: Path) -> FileIO:
        self._check(path, "open")
        file = super().open(path)
        self._paths[file.fileno()] = path
        return file

    def write(self, file: FileIO, data: memoryview) -> int:
        path = self._paths.get(file.fileno())
        if self._fault.mode == "short" and len(data) > 1:
            if self._fault.due(path, "files short"):
                return super().write(file, data[: len(data) // 2])
        else:
            self._check(path, "write")
        return super().write(file, data)

    def read(self, file: FileIO, buffer: memoryview) -> int:
        self._check(self._paths.get(file.fileno()), "read")
        return super().read(file, buffer)

    def stamp(self, path: Path, at_ns: int) -> None:
        self._check(path, "stamp")
        super().stamp(path, at_ns)

    def sync(self, path: Path, at_ns: int | None = None) -> None:
        self._check(path, "sync")
        super().sync(path, at_ns)

    def rename(self, path: Path, target: Path) -> None:
        self._check(path, "rename")
        super().rename(path, target)

    def link(self, path: Path, target: Path) -> None:
        self._check(target, "link")
        super().link(path, target)

    def unlink(self, path: Path) -> None:
        self._check(path, "unlink")
        super().unlink(path)

    def make_folder(self, path: Path) -> None:
        self._check(path, "make_folder")
        super().make_folder(path)

    def sync_folder(self, path: Path) -> None:
        self._check(path, "sync_folder")
        super().sync_folder(path)


class FaultyFile(apsw.VFSFile):
    """A file of SQLite's, of which one operation fails."""

    def __init__(self, fault: Fault, path: str, name: Any, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._fault, self._path = fault, path

    def excepthook(self, *_: Any) -> None:
        """Say nothing: the failure is meant."""

    def _check(self, what: str) -> None:
        if self._fault.due(self._path, f"sqlite {what}"):
            code = apsw.SQLITE_FULL if self._fault.is_full else _CODES[what]
            raise apsw.exception_for(code)

    def xRead(self, amount: int, offset: int) -> bytes:
        self._check("read")
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        try:
            self._check("write")
        except apsw.Error:
            if self._fault.mode == "short":
                super().xWrite(bytes(data[: len(data) // 2]), offset)
            raise
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._check("sync")
        super().xSync(flags)

    def xTruncate(self, newsize: int) -> None:
        self._check("truncate")
        super().xTruncate(newsize)


class _FaultyVFS(apsw.VFS):
    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        super().__init__("settee-faults", "unix", makedefault=True)

    def excepthook(self, *_: Any) -> None:
        """Say nothing: the failure is meant."""

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is None or not path.startswith(self._fault.root):
            return apsw.VFSFile("unix", name, flags)
        if self._fault.due(path, "sqlite open"):
            raise apsw.exception_for(_CODES["open"])
        return FaultyFile(self._fault, path, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:
        if self._fault.due(name, "sqlite delete"):
            raise apsw.exception_for(_CODES["delete"])
        super().xDelete(name, syncdir)


@contextlib.contextmanager
def faulty(fault: Fault) -> Iterator[FaultyFiles]:
    """Let SQLite and the blobs of this process run on a disk with this fault."""
    vfs = _FaultyVFS(fault)
    try:
        yield FaultyFiles(fault)
    finally:
        vfs.unregister()


# --- scenarios ------------------------------------------------------------------------------------

PICTURE: Final = b"picture" * 3000
SEEDED: Final = [
    Step("many", bodies={f"doc-{n}": {"n": n, "text": "y" * 900} for n in range(8)}),
    Step("blob", bodies={"picture": {"image": PICTURE}}),
    Step("blob", bodies={"doc-7": {"image": b"old" * 500}}),
    Step("save", bodies={"doc-7": {"n": 7}}),  # Its blob is not needed any more.
    Step("create", "one"),
    Step("save", "one", {"doc-1": {"n": 1}}),
]

STEPS: Final[dict[str, list[Step]]] = {
    "save": [Step("save", bodies={"doc-1": {"text": "x" * size}}) for size in (10, 30_000, 100)],
    "batch": [Step("many", bodies={f"new-{n}": {"text": "x" * 3000} for n in range(20)})],
    "transaction": [
        Step("transaction", bodies={"doc-1": {"n": 0}, "doc-2": None, "new": {"image": PICTURE}})
    ],
    "blobs": [
        Step("blob", bodies={"new": {"image": b"new" * 40_000, "thumb": PICTURE}}),
        Step("blob", bodies={"picture": {"image": b"another" * 100}}),
        Step("lone blob", bodies={"": b"alone" * 100}),
    ],
    "remove": [Step("delete", bodies={"doc-1": None}), Step("purge", bodies={"picture": None})],
    "expire": [
        Step("expire later", bodies={"doc-2": None}),
        Step("expire", bodies={"doc-3": None}),
    ],
    "compact": [Step("purge", bodies={"picture": None}), Step("compact")],
    "collections": [
        Step("create", "two"),
        Step("save", "two", {"a": {"n": 1}}),
        Step("drop", "one"),
    ],
    "reindex": [Step("reindex")],
}
AFTERWARDS: Final = [
    Step("save", bodies={"after": {"text": "z" * 5000}}),
    Step("blob", bodies={"after-blob": {"image": b"after" * 2000}}),
    Step("compact"),
]


def _open(place: Path, files: MachineFiles, **options: Any) -> Database:
    return Database._open(place, clock=FakeClock(), workers=InlineWorkers(), files=files, **options)


def _seed(place: Path) -> script.Contents:
    with _open(place, MachineFiles()) as db:
        for step in SEEDED:
            script.act(db, step)
        return script.contents(db)


def _attempt(fault: Fault, work: Callable[[], object]) -> SetteeError | None:
    """Do it on the faulty disk; return the error of ours, if any. Any other is a find."""
    hit_before = fault.hit
    try:
        with fault.at_work():
            work()
    except SetteeError as exc:
        if not isinstance(exc, StoreError):
            raise Found(f"the error is {type(exc).__name__}: {exc}") from exc
        if not fault.hit or hit_before:
            raise Found(f"without a fault: {type(exc).__name__}: {exc}") from exc
        if fault.is_full and not isinstance(exc, DiskFullError):
            raise Found(f"no space is told as {type(exc).__name__}: {exc}") from exc
        return exc
    except Exception as exc:
        raise Found(f"the error is {type(exc).__name__}: {exc}") from exc
    return None


def _do(fault: Fault, db: Database, step: Step, model: script.Contents) -> script.Contents:
    """Do a step; return what the database holds then."""
    if step.collection not in model and step.kind != "create":
        return model  # It failed to be made.
    after = copy.deepcopy(model)
    script.plan(after, step)
    error = _attempt(fault, lambda: script.act(db, step))
    found = script.contents(db)
    if found == after or (found == model and error is not None):
        return found
    raise Found(f"after {step.kind} ({error or 'done'}) the database holds something else")


def _live(fault: Fault, place: Path, files: FaultyFiles, name: str) -> None:
    """Open, do the steps, close; the fault may be anywhere in it."""
    model = _seed(place)
    db: Database | None = None
    opened: list[Database] = []
    if name == "open":
        with _open(place, MachineFiles()) as other:  # Its log is there, and has to be read.
            script.act(other, AFTERWARDS[0])
            script.plan(model, AFTERWARDS[0])
            living = place.with_name("living.settee")
            shutil.copytree(place, living, ignore=shutil.ignore_patterns("*.lock", "*-shm"))
        shutil.rmtree(place)
        living.rename(place)
        _attempt(fault, lambda: opened.append(_open(place, files)))
    db = opened[0] if opened else _open(place, files)
    try:
        for step in STEPS.get(name, []):
            model = _do(fault, db, step, model)
        for step in AFTERWARDS:
            model = _do(Fault(place, 0, "broken"), db, step, model)
    finally:
        _attempt(fault, db.close)
    _whole(place, model)


def _whole(place: Path, model: script.Contents) -> None:
    """Open again, without faults: all is there, all is sound, and nothing is left over."""
    with _open(place, MachineFiles()) as db:
        if script.contents(db) != model:
            raise Found("opened again, the database holds something else")
        problems = db.check()
        if problems:
            raise Found(f"opened again: {problems[0]}")
        staging = place / "blobs" / "staging"
        if staging.exists() and os.listdir(staging):
            raise Found(f"staged files are left: {os.listdir(staging)}")
    left = set(os.listdir(place)) - {"blobs", "db.sqlite3", "open", "sync.lock"}
    if left:
        raise Found(f"files are left: {sorted(left)}")


def _read(fault: Fault, place: Path, files: FaultyFiles, _: str) -> None:
    """Read all, blobs included: what can't be read is an error, never something else."""
    model = _seed(place)
    with _open(place, files) as db:
        read: list[script.Contents] = []
        error = _attempt(fault, lambda: read.append(script.contents(db)))
        if error is None and read != [model]:
            raise Found("something else was read")
        problems: list[list[object]] = []
        error = _attempt(fault, lambda: problems.append(list(db.check())))
        if error is None and problems[0] and not fault.hit:
            raise Found(f"without a fault: {problems[0][0]}")
        if script.contents(db) != model:
            raise Found("read again, it is something else")
    _whole(place, model)


def _create(fault: Fault, place: Path, files: FaultyFiles, _: str) -> None:
    """Make a database; if that fails, make it again in the same place."""
    opened: list[Database] = []
    _attempt(fault, lambda: opened.append(_open(place, files)))
    db = opened[0] if opened else _open(place, files)
    model: script.Contents = {script.DEFAULT: {}}
    try:
        for step in AFTERWARDS:
            model = _do(Fault(place, 0, "broken"), db, step, model)
    finally:
        _attempt(fault, db.close)
    _whole(place, model)


def _copy(fault: Fault, place: Path, files: FaultyFiles, _: str) -> None:
    """Copy; if that fails, nothing is there, and the next try makes it."""
    model = _seed(place)
    target = place.with_name("copy.settee")

    def make() -> None:
        copy_database(place, target, clock=FakeClock("copy"), files=files)

    error = _attempt(fault, make)
    rest = sorted(set(os.listdir(place.parent)) - {place.name, target.name})
    if rest:
        raise Found(f"a copy left {rest}")
    if error is None or target.exists():
        if not target.exists():
            raise Found("a copy that was made is not there")
    else:
        make()
    _whole(target, model)
    _whole(place, model)


def _sync(fault: Fault, place: Path, files: FaultyFiles, name: str) -> None:
    """Replicate with a faulty disk on one side; then again, until both are alike."""
    faulty_side = "a" if name == "active" else "b"
    with world(place.parent, "faults") as w:
        peers = {
            side: syncing.DurablePeer(
                w, side, files=files if side == faulty_side else MachineFiles()
            )
            for side in "ab"
        }
        for side, peer in peers.items():
            items = peer.db.default_collection
            items.save_many((f"{side}-{n}", {"n": n, "text": "x" * 500}) for n in range(8))
            for n in range(3):
                script.act(
                    peer.db, Step("blob", bodies={f"{side}-b{n}": {"image": b"%d" % n * 9000}})
                )
            script.act(peer.db, Step("save", bodies={"both": {"side": side}}))
        for attempt in range(4):
            dialled = peers["a"].dial(peers["b"], max_attempts=1)
            w.start(dialled)
            with fault.at_work() if attempt == 0 else contextlib.nullcontext():
                w.run(dialled.finished(), syncing.SETTLED_S)
            error = dialled.status.value.error
            if error is not None and ("settee's own" in str(error) or attempt):
                raise Found(f"sync {attempt} ended with {type(error).__name__}: {error}")
            for each in dialled.errors:
                if "settee's own" in str(each.error):
                    raise Found(f"a document's error is {each.error}")
        here, there = peers["a"].contents(), peers["b"].contents()
        if here != there:
            raise Found(f"the peers differ in {sorted(dict(here.items() ^ there.items()))}")
        if len(here) != 23:
            raise Found(f"{len(here)} documents are left of 23")
        w.elapse(5)
        for side, peer in peers.items():
            staging = peer.db.path / "blobs" / "staging"
            left = [
                str(each) for each in staging.rglob("*") if each.is_file() and each.suffix == ""
            ]
            if left:
                raise Found(f"{side} has staged files of a session that is over: {left}")
            problems = peer.db.check()
            if problems:
                raise Found(f"{side}: {problems[0]}")


SCENARIOS: Final[dict[str, Callable[[Fault, Path, FaultyFiles, str], None]]] = {
    "create": _create,
    "open": _live,
    "read": _read,
    **dict.fromkeys(STEPS, _live),
    "copy": _copy,
    "active": _sync,
    "passive": _sync,
}
MODES: Final[tuple[Mode, ...]] = ("broken", "full", "short")


def names() -> list[str]:
    """Return what can be swept: each scenario in each mode."""
    return [f"{scenario}/{mode}" for scenario in SCENARIOS for mode in MODES]


def run(name: str, every: int = 1) -> dict[str, Any]:
    """Sweep one scenario in one mode, ``"save/full"``: every so many n; return figures."""
    scenario, _, word = name.partition("/")
    mode: Mode = next(each for each in MODES if each == word)
    found: list[str] = []
    runs = 0
    n = 1
    while True:
        runs += 1
        with folder() as root:
            fault = Fault(root, n, mode)
            place = root / "a.settee"
            with faulty(fault) as files:
                try:
                    SCENARIOS[scenario](fault, place, files, scenario)
                except Found as exc:
                    found.append(f"faults {name} n={n} ({fault.hit}): {exc}")
                except Exception as exc:
                    found.append(f"faults {name} n={n} ({fault.hit}): {type(exc).__name__}: {exc}")
        if not fault.hit:
            return {"sweeps": 1, "runs": runs, "found": found}
        n += every
