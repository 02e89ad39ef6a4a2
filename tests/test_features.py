"""docs/features.md is up to date and true: each row that is built has a test which runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import PROOFS
from tools import docs, features
from tools.features import Proof, Row, Table

ROOT = Path(__file__).resolve().parent.parent
EMBEDDED = ("DB", "DOC", "BLOB", "COLL", "CL", "TX", "EXP", "PRE", "MNT", "LOG", "CLI")
"""The groups of the embedded database."""


def test_the_page_is_up_to_date_and_each_row_has_a_test_that_runs(
    pytestconfig: pytest.Config,
) -> None:
    proofs = pytestconfig.stash.get(PROOFS, None)
    if proofs is None:  # A few tests only were asked for: have all of them collected.
        checked = subprocess.run(
            [sys.executable, "tools/docs.py", "--check", "features"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
        return
    table = features.load()
    assert features.problems(table, proofs) == []
    assert docs.stale("features", docs.Page(features.page(table, proofs))) == ""


def test_the_table_has_the_groups_of_the_embedded_database() -> None:
    table = features.load()
    assert set(EMBEDDED) <= set(table.groups)
    assert len({row.id for row in table.rows}) == len(table.rows)


def test_every_must_of_the_embedded_database_is_built() -> None:
    """The one that is put off needs a peer with channels."""
    put_off = [
        row.id
        for row in features.load().rows
        if row.later and row.priority == "M" and row.id.rpartition("-")[0] in EMBEDDED
    ]
    assert put_off in ([], ["EXP-04"])


# --- the tool finds what it is for ----------------------------------------------------------------

TABLE = Table({"X": "Things"}, [Row("X-01", "M", "A thing.", "`thing`", "")])
PROOF = Proof("tests/test_x.py", "test_a_thing", skipped=False)


def test_a_row_without_a_test_is_a_problem() -> None:
    assert features.problems(TABLE, {"X-01": {PROOF}}) == []
    assert features.problems(TABLE, {}) == ["X-01 has no test that runs: A thing."]
    skipped = {"X-01": {PROOF._replace(skipped=True)}}
    assert features.problems(TABLE, skipped) == ["X-01 has no test that runs: A thing."]


def test_a_mark_without_a_row_is_a_problem() -> None:
    (found,) = features.problems(TABLE, {"X-01": {PROOF}, "X-02": {PROOF}})
    assert found.startswith("X-02 is marked in tests/test_x.py")


def test_a_mark_of_a_group_that_is_planned_is_none() -> None:
    planned = TABLE._replace(planned=["Y"])
    assert features.problems(planned, {"X-01": {PROOF}, "Y-07": {PROOF}}) == []
    assert len(features.problems(planned, {"X-01": {PROOF}, "Z-07": {PROOF}})) == 1
    assert "Y-07" not in features.page(planned, {"X-01": {PROOF}, "Y-07": {PROOF}})


def test_a_row_that_is_put_off_needs_no_test_and_must_have_none() -> None:
    later = TABLE._replace(rows=[TABLE.rows[0]._replace(later="no time")])
    assert features.problems(later, {}) == []
    assert features.problems(later, {"X-01": {PROOF}}) == [
        "X-01 is put off (no time), and has a test"
    ]
    assert "later: no time" in features.page(later, {})


def test_the_page_names_the_tests_by_their_words() -> None:
    page = features.page(TABLE, {"X-01": {PROOF, PROOF._replace(name="test_another")}})
    assert "| Things (X) | 1 | 1 | 0 | 0 | 0 |" in page
    assert (
        "| X-01 | M | A thing. | `thing` | [test_x.py](../tests/test_x.py): a thing; another |"
    ) in page


@pytest.mark.parametrize(
    "row",
    [
        'priority = "X"\ntext = "A."\nspelled = "a"',
        'priority = "M"\ntext = "No stop"\nspelled = "a"',
        'priority = "M"\ntext = "A."\nspelled = ""',
    ],
)
def test_a_row_that_is_not_whole_is_refused(tmp_path: Path, row: str) -> None:
    path = tmp_path / "features.toml"
    path.write_text(f'[X]\ntitle = "Things"\n[X.01]\n{row}\n')
    with pytest.raises(ValueError, match="X-01"):
        features.load(path)


class Mark(NamedTuple):
    name: str
    args: tuple[object, ...]


class Item:
    """What of pytest's item is looked at."""

    def __init__(self, nodeid: str, *marks: Mark) -> None:
        path, _, self.name = nodeid.partition("::")
        self.nodeid, self.path, self.marks = nodeid, ROOT / path, marks
        self.originalname = self.name.partition("[")[0]

    def iter_markers(self, name: str) -> list[Mark]:
        return [mark for mark in self.marks if mark.name == name]

    def get_closest_marker(self, name: str) -> Mark | None:
        return next(iter(self.iter_markers(name)), None)


def test_marks_are_gathered_once_a_function_with_what_is_skipped() -> None:
    marked = Mark("feature", ("X-01", "X-02"))
    items: list[Any] = [
        Item("tests/a.py::test_one[1]", marked),
        Item("tests/a.py::test_one[2]", marked),
        Item("tests/a.py::test_two", Mark("feature", ("X-01",)), Mark("skipif", (True,))),
        Item("tests/a.py::test_three", Mark("feature", ("X-03",)), Mark("skipif", (False,))),
        Item("tests/a.py::test_four", Mark("feature", ("X-04",)), Mark("skip", ())),
        Item("tests/a.py::test_five"),
    ]
    one = Proof("tests/a.py", "test_one", skipped=False)
    assert features.proofs_of(items) == {
        "X-01": {one, Proof("tests/a.py", "test_two", skipped=True)},
        "X-02": {one},
        "X-03": {Proof("tests/a.py", "test_three", skipped=False)},
        "X-04": {Proof("tests/a.py", "test_four", skipped=True)},
    }


def test_a_feature_whose_tests_were_all_skipped_while_running_is_found() -> None:
    items: list[Any] = [
        Item("a::1", Mark("feature", ("X-01",))),
        Item("a::2", Mark("feature", ("X-01", "X-02"))),
    ]
    assert features.never_run(items, set()) == []
    assert features.never_run(items, {"a::2"}) == ["X-02"]
    assert features.never_run(items, {"a::1", "a::2"}) == ["X-01", "X-02"]
