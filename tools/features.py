"""The table of features and its proof: ``tools/features.toml`` against the marks of the tests.

A test that proves a row bears ``@pytest.mark.feature("DB-10")``. What is proven here is that each
row which says it is built has a test that isn't skipped; that the tests pass is for the run of them
to say, and `tests/conftest.py` fails a whole run in which all proofs of a row were skipped.
"""

from __future__ import annotations

import contextlib
import io
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
TABLE: Final = ROOT / "tools" / "features.toml"

PRIORITIES: Final = {"M": "must", "S": "should", "C": "could"}


class Row(NamedTuple):
    """A feature."""

    id: str
    """Such as ``DB-10``; the group stands before the dash."""
    priority: str
    """``M`` must, ``S`` should, ``C`` could."""
    text: str
    """What it is, in a sentence."""
    spelled: str
    """How it is said in settee, as Markdown."""
    later: str
    """Why it isn't built yet; empty if it is."""


class Table(NamedTuple):
    """All features."""

    groups: Mapping[str, str]
    """Short name -> heading, in order."""
    rows: Sequence[Row]
    planned: Sequence[str] = ()
    """Short names of groups whose rows come later: their marks are allowed, and not yet told."""


class Proof(NamedTuple):
    """A test that bears the mark of a feature."""

    path: str
    """From the project's folder, with ``/``."""
    name: str
    """Without parameters."""
    skipped: bool
    """It does not run on this machine."""


Proofs = dict[str, set[Proof]]
"""Feature id -> tests."""


def load(path: Path = TABLE) -> Table:
    """Read the table. Raises ValueError for a row that is not whole."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    planned = data.pop("planned", [])
    groups: dict[str, str] = {}
    rows: list[Row] = []
    for short, group in data.items():
        groups[short] = group.pop("title")
        for number, row in group.items():
            later = row.pop("later", "")
            rows.append(Row(id=f"{short}-{number}", later=later, **row))
    for row in rows:
        if row.priority not in PRIORITIES or not row.text.endswith(".") or not row.spelled:
            raise ValueError(f"{path}: {row.id} needs a priority, a sentence and a spelling")
    return Table(groups, rows, planned)


# --- proofs ---------------------------------------------------------------------------------------


def proofs_of(items: Iterable[Any], root: Path = ROOT, kind: str = "feature") -> Proofs:
    """Gather the marks of one kind of collected tests, pytest's items."""
    proofs: Proofs = {}
    for item in items:
        for mark in item.iter_markers(kind):
            path = item.path.relative_to(root).as_posix()
            proof = Proof(path, getattr(item, "originalname", item.name), _is_skipped(item))
            for feature in mark.args:
                proofs.setdefault(feature, set()).add(proof)
    return proofs


def _is_skipped(item: Any) -> bool:
    if item.get_closest_marker("skip") is not None:
        return True
    return any(bool(mark.args and mark.args[0]) for mark in item.iter_markers("skipif"))


def never_run(items: Iterable[Any], skipped: Collection[str]) -> list[str]:
    """Return the features of which tests were chosen, and every one was skipped (its node ID)."""
    ran: dict[str, bool] = {}
    for item in items:
        for mark in item.iter_markers("feature"):
            for feature in mark.args:
                ran[feature] = ran.get(feature, False) or item.nodeid not in skipped
    return sorted(feature for feature, did in ran.items() if not did)


class _Collector:
    """A plug-in that keeps what pytest collected."""

    def __init__(self, kind: str) -> None:
        self.proofs: Proofs = {}
        self._kind = kind

    def pytest_collection_finish(self, session: Any) -> None:
        self.proofs = proofs_of(session.items, kind=self._kind)


def collect(kind: str = "feature") -> tuple[Proofs, list[str]]:
    """Have pytest collect all tests; return their proofs, and what could not be collected."""
    import pytest

    collector, output = _Collector(kind), io.StringIO()
    arguments = ["--collect-only", "-q", "-p", "no:cacheprovider", str(ROOT / "tests")]
    with contextlib.redirect_stdout(output):
        code = pytest.main([f"--rootdir={ROOT}", *arguments], plugins=[collector])
    failed = [line for line in output.getvalue().splitlines() if line.startswith("ERROR ")]
    return collector.proofs, failed if code else []


def problems(table: Table, proofs: Proofs) -> list[str]:
    """Return what keeps the table from being true, a line each."""
    found = []
    known = {row.id for row in table.rows}
    for row in table.rows:
        if not row.later and not any(not proof.skipped for proof in proofs.get(row.id, ())):
            found.append(f"{row.id} has no test that runs: {row.text}")
        if row.later and row.id in proofs:
            found.append(f"{row.id} is put off ({row.later}), and has a test")
    for feature in sorted(proofs.keys() - known):
        if feature.rpartition("-")[0] in table.planned:
            continue
        where = min(proofs[feature])
        found.append(f"{feature} is marked in {where.path} and is no row of tools/features.toml")
    return found


# --- the page -------------------------------------------------------------------------------------

_HEAD: Final = """\
# Features

*Generated from `tools/features.toml` and the marks of the tests by `tools/docs.py features`;
edit those. A row that is built and has no test which runs makes `make test` red.*

The ids are those of the target table that settee is built against. **M** is a must for a first
release, **S** should be there, **C** could. The tests are named by what they say.
"""


def page(table: Table, proofs: Proofs) -> str:
    """Return docs/features.md."""
    lines = [
        _HEAD,
        "| | must | proven | should, could | proven | later |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for short, title in table.groups.items():
        rows = _rows_of(table, short)
        must = [row for row in rows if row.priority == "M"]
        rest = [row for row in rows if row.priority != "M"]
        counts = [
            len(must),
            _proven(must, proofs),
            len(rest),
            _proven(rest, proofs),
            sum(1 for row in rows if row.later),
        ]
        lines.append(f"| {title} ({short}) | {' | '.join(map(str, counts))} |")
    for short, title in table.groups.items():
        lines += [
            "",
            f"## {title}",
            "",
            "| | | feature | in settee | proven by |",
            "|---|---|---|---|---|",
        ]
        lines += [_line(row, proofs) for row in _rows_of(table, short)]
    return "\n".join(lines) + "\n"


def _rows_of(table: Table, short: str) -> list[Row]:
    return [row for row in table.rows if row.id.rpartition("-")[0] == short]


def _proven(rows: Iterable[Row], proofs: Proofs) -> int:
    return sum(1 for row in rows if proofs.get(row.id))


def _line(row: Row, proofs: Proofs) -> str:
    by_file: dict[str, list[str]] = {}
    for proof in sorted(proofs.get(row.id, ())):
        words = proof.name.removeprefix("test_").replace("_", " ")
        by_file.setdefault(proof.path, []).append(words)
    tests = "<br>".join(
        f"[{path.removeprefix('tests/')}](../{path}): {'; '.join(names)}"
        for path, names in by_file.items()
    )
    if row.later:
        tests = f"later: {row.later}"
    return f"| {row.id} | {row.priority} | {row.text} | {row.spelled} | {tests or '**nothing**'} |"
