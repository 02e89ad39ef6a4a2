"""Each bug that is planted in a copy of the source is found, and without one all is green."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.planted.__main__ import main
from tests.planted.bugs import BUGS, Bug, commands
from tests.planted.drill import DrillError, Ran, copy_source, find, patch_of, plant, run, why_missed

ASSERTED = "FAILED tests/x.py::test_it - assert 1 == 2"


def test_there_are_25_bugs_and_each_says_what_is_broken_and_who_finds_it() -> None:
    assert list(BUGS) == [f"M{n:02d}" for n in range(1, 26)]
    assert {path.stem for path in patch_of("M01").parent.glob("*.patch")} == set(BUGS)
    for name, bug in BUGS.items():
        title, empty, first = patch_of(name).read_text(encoding="utf-8").splitlines()[:3]
        assert title.endswith("."), f"{name} does not say what is broken"
        assert (empty, first[:14]) == ("", "--- a/src/sett"), f"{name} is of another form"
        assert bug.shown, f"anything at all would count as {name} found"


@pytest.mark.parametrize(
    ("ran", "why"),
    [
        (Ran(1, ASSERTED, 0.1), ""),
        (Ran(0, ASSERTED, 0.1), "everything stayed green"),
        (Ran(4, ASSERTED, 0.1), "the command could not be run: exit code 4"),
        (Ran(1, "ImportError: no name\n" + ASSERTED, 0.1), "the copy does not even run"),
        (Ran(1, "FAILED tests/x.py::test_it", 0.1), "it failed, but shows nothing of ['1 == 2']"),
    ],
)
def test_a_bug_counts_as_found_for_the_right_reason_only(ran: Ran, why: str) -> None:
    assert why_missed(Bug(("pytest", "tests/x.py"), ("test_it", "1 == 2")), ran) == why


def test_a_bug_of_no_such_name_is_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["M26"])
    assert "there is no M26" in capsys.readouterr().err


@pytest.mark.slow
def test_another_source_than_the_copy_is_noticed(tmp_path: Path) -> None:
    """Slow: starts Python."""
    (tmp_path / "src").mkdir()  # Without settee in it: the installed one would be tried.
    with pytest.raises(DrillError, match="settee is imported from"):
        run(("pytest", "--version"), tmp_path)


@pytest.mark.slow
def test_a_patch_that_fits_no_more_is_told_as_such(tmp_path: Path) -> None:
    """Slow: copies the source, as all that follow."""
    copy_source(tmp_path)
    plant("M01", tmp_path)
    with pytest.raises(DrillError, match="M01 does not apply"):
        plant("M01", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("command", commands(BUGS), ids=" ".join)
def test_what_is_to_find_the_bugs_is_green_without_them(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Slow: runs lives of fleets, and all the tests that find a bug."""
    copy_source(tmp_path)
    ran = run(command, tmp_path)
    assert ran.code == 0, ran.output


@pytest.mark.slow
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(tmp_path: Path, name: str) -> None:
    """Slow: starts what finds it, which takes some seconds."""
    missed, ran = find(name, tmp_path)
    assert not missed, f"{name}: {missed}\n{ran.output}"
