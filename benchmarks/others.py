"""Other products, with the same documents on the same machine: ``python -m benchmarks --all``.

Each needs what is not part of settee, fetched when it is run: Couchbase Lite for Java (by the
interop tests' own means, from Maven), PouchDB and its server (npm, into `.settee-benchmarks` in the
checkout), Sync Gateway (only if SETTEE_SYNC_GATEWAY names its program). What can't be had is left
out, and the results say why.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.peers import PASSWORD, Peer, documents
from benchmarks.results import Section, table
from settee import TLSIdentity
from tests.interop.couchbase_lite import CouchbaseLite, CouchbaseLiteError, make_trust_store
from tests.interop.place import COUCHBASE_LITE_VERSION, PeerMissingError, java_peer_files
from tests.interop.sync_gateway import PROGRAM, USER, SyncGateway

__all__ = ["section"]

ROOT: Final = Path(__file__).resolve().parent.parent
POUCHDB: Final = Path(__file__).with_name("pouchdb")
CACHE: Final = ROOT / ".settee-benchmarks"
BODY_BYTES: Final = 210
SAVED_AT_ONCE: Final = 1000
TIMEOUT_S: Final = 600

Row = tuple[str, int, float, str]
"""What was done, documents, seconds, CPU milliseconds per 1,000 documents and of whom."""


class MissingError(Exception):
    """A product can't be had here; the message says why."""


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of another process (0 where /proc is not there)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- Couchbase Lite for Java ----------------------------------------------------------------------


@contextlib.contextmanager
def _couchbase_lite(root: Path) -> Iterator[CouchbaseLite]:
    try:
        files = java_peer_files()
    except PeerMissingError as exc:
        raise MissingError(str(exc)) from exc
    roots = root / "roots"
    make_trust_store(roots, TLSIdentity.anonymous().certificate_pem)
    java = CouchbaseLite(files, root / "java", roots)
    try:
        yield java
    finally:
        java.close()


def _fill(java: CouchbaseLite, db: str, count: int) -> None:
    java.open(db)
    gathered: dict[str, Any] = {}
    for doc_id, body in documents("small", range(count), BODY_BYTES):
        gathered[doc_id] = body
        if len(gathered) == SAVED_AT_ONCE:
            java.save(db, gathered)
            gathered = {}
    if gathered:
        java.save(db, gathered)


def _replicated(java: CouchbaseLite, db: str, url: str, type: str, **options: Any) -> float:
    """Run one replication of Couchbase Lite's to its end; return the seconds."""
    began_s = time.perf_counter()
    java.start(db, url, type=type, **options)
    try:
        java.wait(db, timeout_s=TIMEOUT_S)
    except CouchbaseLiteError as exc:
        raise MissingError(f"Couchbase Lite failed: {exc}") from exc
    return time.perf_counter() - began_s


def with_java(count: int) -> list[Row]:
    """Couchbase Lite for Java pushes to settee's listener, then another of its databases pulls."""
    with (
        tempfile.TemporaryDirectory() as directory,
        _couchbase_lite(Path(directory)) as java,
        Peer() as passive,
    ):
        passive.ask("open", name="passive", directory=directory)
        url = passive.ask("listen")["url"]
        pin = base64.b64decode(passive.ask("certificate")["der"])
        _fill(java, "source", count)
        java.open("copy")
        rows: list[Row] = []
        for type, db in (("PUSH", "source"), ("PULL", "copy")):
            before = cpu_s(java.pid), passive.ask("usage")["cpu_s"]
            credentials = ("benchmark", PASSWORD)
            took_s = _replicated(java, db, url, type, pin=pin, credentials=credentials)
            assert java.count(db) == passive.ask("usage")["documents"] == count
            theirs, ours = cpu_s(java.pid) - before[0], passive.ask("usage")["cpu_s"] - before[1]
            cpu = f"Java {1e6 * theirs / count:.0f}, settee {1e6 * ours / count:.0f}"
            what = f"Couchbase Lite Java {COUCHBASE_LITE_VERSION}, {type.lower()}, settee listens"
            rows.append((what, count, took_s, cpu))
        return rows


def java_with_gateway(count: int) -> list[Row]:
    """Couchbase Lite for Java pushes to Sync Gateway, then another of its databases pulls."""
    if not PROGRAM:
        raise MissingError("SETTEE_SYNC_GATEWAY names no program")
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        identity = TLSIdentity.create("gateway", hosts=["127.0.0.1"])
        gateway = SyncGateway(PROGRAM, root / "gateway", identity)
        with contextlib.closing(gateway), _couchbase_lite(root) as java:
            name = gateway.create()
            _fill(java, "source", count)
            java.open("copy")
            rows: list[Row] = []
            for type, db in (("PUSH", "source"), ("PULL", "copy")):
                began_s = cpu_s(java.pid)
                took_s = _replicated(
                    java,
                    db,
                    gateway.url(name),
                    type,
                    pin=identity.certificate_der,
                    credentials=USER,
                )
                assert java.count(db) == count
                cpu = f"Java {1e6 * (cpu_s(java.pid) - began_s) / count:.0f}"
                what = f"Couchbase Lite Java {COUCHBASE_LITE_VERSION}, {type.lower()}, "
                rows.append((f"{what}Sync Gateway {gateway.version} in memory", count, took_s, cpu))
            return rows


# --- PouchDB --------------------------------------------------------------------------------------


def _pouchdb() -> Path:
    """Install PouchDB unless it is there; return where."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise MissingError(f"{program} is not installed")
    home = CACHE / "pouchdb"
    home.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "peer.js"):
        shutil.copy(POUCHDB / name, home / name)
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MissingError(f"{' '.join(command)}: {(done.stdout + done.stderr)[-500:]}")
    return home


def with_pouchdb(count: int) -> list[Row]:
    """PouchDB by itself, then with its server over HTTP without TLS, both on LevelDB."""
    home = _pouchdb()
    version = json.loads((home / "node_modules/pouchdb/package.json").read_text())["version"]
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for name in ("server", "client"):
            (root / name).mkdir()
        source = root / "documents.json"
        rows = [
            {"_id": doc_id, **body} for doc_id, body in documents("small", range(count), BODY_BYTES)
        ]
        source.write_text(json.dumps(rows), encoding="utf-8")
        with subprocess.Popen(
            ["node", "peer.js", "serve", str(root / "server")],
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as server:
            assert server.stdout is not None
            assert server.stdin is not None
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}/target"
            client = ["node", "peer.js", "run", str(root / "client"), url, str(source)]
            done = subprocess.run(client, cwd=home, capture_output=True, text=True, check=False)
            server.stdin.close()
        if done.returncode != 0:
            raise MissingError(f"PouchDB failed: {done.stderr[-500:]}")
        found = json.loads(done.stdout.splitlines()[-1])
    return [
        (
            f"PouchDB {version}, {task}" + (" (http)" if task in ("push", "pull") else ""),
            count,
            taken["wall_s"],
            f"client {1e6 * taken['cpu_s'] / count:.0f}",
        )
        for task, taken in found.items()
        if not task.startswith("again")
    ]


# --- all ------------------------------------------------------------------------------------------

PRODUCTS: Final[dict[str, tuple[Callable[[int], list[Row]], int]]] = {
    "Couchbase Lite Java and settee": (with_java, 20_000),
    "Couchbase Lite Java and Sync Gateway": (java_with_gateway, 20_000),
    "PouchDB and its server": (with_pouchdb, 10_000),
}


def section(quick: bool) -> Section:
    """Measure what can be had, once each."""
    lines: list[list[str]] = []
    missing: list[str] = []
    for name, (measure, count) in PRODUCTS.items():
        try:
            rows = measure(300 if quick else count)
        except MissingError as exc:
            missing.append(f"- {name}: not measured. {exc}")
            continue
        for what, documents_count, took_s, cpu in rows:
            rate = f"{documents_count / took_s:,.0f}"
            lines.append([what, f"{documents_count:,}", rate, cpu])
    head = ["work, 210 B", "documents", "a second", "CPU ms per 1,000"]
    text = "\n\n".join(
        [
            f"Measured on {datetime.datetime.now(datetime.UTC):%Y-%m-%d}, once each, from the "
            "start of a replicator to its end; over wss unless it says http.",
            table(head, lines),
            "\n".join(missing),
        ]
    ).rstrip()
    return Section("Other products", text)
