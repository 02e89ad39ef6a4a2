"""docs/attacks.md is up to date and true: each attack has a defence in the source, and a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SECURITY
from tools import attacks, docs
from tools.attacks import Attack, Defence
from tools.features import Proof

ROOT = Path(__file__).resolve().parent.parent.parent
WEB = ["SEC-32", "SEC-33", "SEC-34", "SEC-35"]
"""Attacks on an app with a web page."""


def test_the_page_is_up_to_date_and_each_attack_has_a_defence_and_a_test(
    pytestconfig: pytest.Config,
) -> None:
    proofs = pytestconfig.stash.get(SECURITY, None)
    if proofs is None:  # A few tests only were asked for: have all of them collected.
        checked = subprocess.run(
            [sys.executable, "tools/docs.py", "--check", "attacks"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
        return
    table = attacks.load()
    assert attacks.problems(table, proofs) == []
    assert docs.stale("attacks", docs.Page(attacks.page(table, proofs))) == ""


def test_all_forty_attacks_are_there() -> None:
    table = attacks.load()
    assert [attack.id for attack in table] == [f"SEC-{n:02}" for n in range(1, 41)]
    assert [attack.id for attack in table if attack.elsewhere] == WEB


# --- the tool finds what it is for ----------------------------------------------------------------

HERE = "tests/attack/test_table.py"
TAKE = "WEB = [" + '"SEC-32", "SEC-33"'
ROW = Attack(
    "SEC-07", "x", "An attack.", "An answer.", [Defence("it", HERE, TAKE, "", f"{HERE}::a")], ""
)
PROOF = Proof(HERE, "a", skipped=False)


def test_a_defence_that_is_not_in_the_source_is_a_problem() -> None:
    assert attacks.problems([ROW], {"SEC-07": {PROOF}}) == []
    gone = ROW._replace(defences=[ROW.defences[0]._replace(take="nothing of" + " this")])
    (problem,) = attacks.problems([gone], {"SEC-07": {PROOF}})
    assert "stands 0 times" in problem


def test_a_test_without_the_mark_is_a_problem() -> None:
    problems = attacks.problems([ROW], {})
    assert len(problems) == 2
    assert "no test that runs" in problems[0]
    assert "bears no mark" in problems[1]


def test_a_mark_without_a_row_is_a_problem() -> None:
    (problem,) = attacks.problems([ROW], {"SEC-07": {PROOF}, "SEC-99": {PROOF}})
    assert problem.startswith("SEC-99 is marked in")


@pytest.mark.parametrize("row", ['attack = "A."\nanswer = "B."', 'attack = "A"\nanswer = "B."'])
def test_a_row_that_is_not_whole_is_refused(tmp_path: Path, row: str) -> None:
    path = tmp_path / "attacks.toml"
    more = "" if "A." in row else '\nelsewhere = "there"'
    path.write_text(f'[SEC-01]\nfrom = "x"\n{row}{more}\n')
    with pytest.raises(ValueError, match="SEC-01"):
        attacks.load(path)
