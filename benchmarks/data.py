"""Imports, lists and exports real data and a million documents with the command line.

``python -m benchmarks.data [--documents 1000000] [--body-bytes 200]``

The real data are those in the package `vega_datasets` (airports, temperatures, cars, prices: some
25,000 documents in 17 collections). Install it with ``pip install vega_datasets``, or ``pip install
--no-deps vega_datasets``: only its files are read, nothing of it is imported. Without it that part
is left out, and says so.

Each step is a `settee` command in a process of its own. Printed are documents a second, both inside
the command and with the start of Python, and the process's peak memory; what is exported must be
what was imported, and the memory of a million documents that of a third of them.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

GROWTH_MIB_MAX = 16.0
"""Between a third of the documents and all. (Until some 200,000 SQLite's page caches fill up.)"""

_COUNTRIES = ("Austria", "Brazil", "Canada", "Denmark", "Egypt", "Finland", "Ghana", "Hungary")


class Ran(NamedTuple):
    """One command that ran."""

    elapsed_s: float
    cpu_s: float
    peak_mib: float
    said: str
    """The last line of standard output; of `ls` and `export` standard error."""
    sha256: str
    """Of standard output."""
    line_count: int


def run(*arguments: str, cwd: Path) -> Ran:
    """Run a `settee` command; its output is hashed and counted, not kept."""
    began_s = time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "settee", *arguments],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        assert process.stdout is not None
        digest, count, tail = hashlib.sha256(), 0, b""
        while chunk := process.stdout.read(1 << 18):
            digest.update(chunk)
            count += chunk.count(b"\n")
            tail = (tail + chunk)[-4096:]
        process.stdout.close()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        said_there = errors.read().decode()
    elapsed_s = time.perf_counter() - began_s
    assert process.returncode == 0, f"{arguments}: {said_there}"
    peak = used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    last = (tail.decode(errors="replace").splitlines() or [""])[-1]
    return Ran(elapsed_s, used.ru_utime + used.ru_stime, peak, last, digest.hexdigest(), count)


def show(what: str, count: int, ran: Ran, inside_s: float | None = None) -> None:
    """Print one line of figures."""
    inside = "" if not inside_s else f" ({count / inside_s:,.0f}/s inside)"
    print(
        f"{what:<34} {count:>9,} documents in {ran.elapsed_s:6.2f} s = "
        f"{count / ran.elapsed_s:>8,.0f}/s{inside} · CPU {ran.cpu_s:.2f} s · "
        f"peak {ran.peak_mib:.0f} MiB",
        flush=True,
    )


# --- real data ------------------------------------------------------------------------------------


def vega_files() -> list[Path]:
    """Return the data files of `vega_datasets` that hold rows; none if it isn't installed."""
    found = importlib.util.find_spec("vega_datasets")
    if found is None or found.origin is None:
        return []
    folder = Path(found.origin).with_name("_data")
    return sorted(each for each in folder.iterdir() if each.suffix in (".csv", ".json"))


def rows_of(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a file as documents, with numbers as numbers; [] if it holds none."""
    if file.suffix == ".json":
        value = json.loads(file.read_text(encoding="utf-8"))
        is_rows = isinstance(value, list) and all(isinstance(each, dict) for each in value)
        return value if is_rows else []
    with file.open(encoding="utf-8", newline="") as source:
        return [{k: _typed(v) for k, v in row.items()} for row in csv.DictReader(source)]


def _typed(text: str) -> Any:
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if str(value) == text else text
    return text


def real_data(root: Path) -> None:
    """Import each file into a collection of its own, list and export it, and compare."""
    files = vega_files()
    if not files:
        print("vega_datasets is not installed; its part is left out (see --help)")
        return
    total, collections = 0, 0
    imports, lists, exports = 0.0, 0.0, 0.0
    peak_mib = 0.0
    for file in files:
        rows = rows_of(file)
        if not rows:
            continue
        documents = {f"{n:05}": row for n, row in enumerate(rows)}
        source = root / f"{file.stem}.json"
        array = [{"_id": doc_id, **row} for doc_id, row in documents.items()]
        source.write_text(json.dumps(array, indent=1), encoding="utf-8")
        collection = f"vega.{file.stem}"
        imported = run("import", "vega", str(source), "-c", collection, "--json", cwd=root)
        listed = run("ls", "vega", "-c", collection, cwd=root)
        target = root / f"{file.stem}.jsonl"
        exported = run("export", "vega", str(target), "-c", collection, "--json", cwd=root)
        assert json.loads(imported.said)["imported"] == listed.line_count == len(rows), file
        back = {}
        for text in target.read_text(encoding="utf-8").splitlines():
            document = json.loads(text)
            back[document.pop("_id")] = document
        assert back == documents, f"{file.name} did not come back as it went in"
        total, collections = total + len(rows), collections + 1
        imports += imported.elapsed_s
        lists += listed.elapsed_s
        exports += exported.elapsed_s
        peak_mib = max(peak_mib, imported.peak_mib, exported.peak_mib)
    print(
        f"vega_datasets: {total:,} documents of {collections} files, export equals import · "
        f"import {imports:.1f} s, list {lists:.1f} s, export {exports:.1f} s "
        f"({collections} processes each) · peak {peak_mib:.0f} MiB",
        flush=True,
    )


# --- many documents -------------------------------------------------------------------------------


def synthetic(count: int, body_bytes: int) -> Iterator[str]:
    """Yield lines of documents as `export` writes them, in the order of their IDs."""
    filler = "x" * max(0, body_bytes - 150)
    for n in range(count):
        yield (
            f'{{"_id":"order::{n:08}","type":"order","number":{n},'
            f'"customer":{{"name":"Customer {n % 9973}","country":"{_COUNTRIES[n % 8]}"}},'
            f'"total":{n % 1000}.25,"paid":{"true" if n % 3 else "false"},'
            f'"tags":["a{n % 7}","b{n % 11}"],"note":"{filler}"}}\n'
        )


def many(count: int, body_bytes: int, root: Path) -> float:
    """Import, list and export `count` documents; return the greatest peak memory in MiB."""
    source = root / f"orders-{count}.jsonl"
    digest = hashlib.sha256()
    with source.open("wb") as sink:
        for text in synthetic(count, body_bytes):
            raw = text.encode()
            digest.update(raw)
            sink.write(raw)
    name = f"orders-{count}"
    imported = run("import", name, str(source), "--json", cwd=root)
    told = json.loads(imported.said)
    assert told["imported"] == count, told
    source.unlink()
    show("import", count, imported, told["elapsed_s"])
    listed = run("ls", name, cwd=root)
    assert listed.line_count == count
    show("ls", count, listed)
    exported = run("export", name, "--quiet", cwd=root)
    assert exported.sha256 == digest.hexdigest(), "the export is not what was imported"
    show("export (equal, byte for byte)", count, exported)
    return max(imported.peak_mib, listed.peak_mib, exported.peak_mib)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--body-bytes", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        real_data(root)
        third_mib = many(max(1, options.documents // 3), options.body_bytes, root)
        all_mib = many(options.documents, options.body_bytes, root)
        print(f"peak memory: {third_mib:.0f} MiB for a third, {all_mib:.0f} MiB for all")
        assert all_mib < third_mib + GROWTH_MIB_MAX, "memory grows with the number of documents"


if __name__ == "__main__":
    main()
