from __future__ import annotations

from pathlib import Path

from tests.unfinished import Unfinished


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    run = Unfinished("x", {"seconds": 5}, place=tmp_path / "night")
    assert run.done == {}
    run.note("a", [1, "one"])
    run.note("b", None)
    assert Unfinished("x", {"seconds": 5}, place=tmp_path / "night").done == {
        "a": [1, "one"],
        "b": None,
    }
    assert Unfinished("y", {"seconds": 5}, place=tmp_path / "night").done == {}


def test_a_run_with_other_options_begins_anew(tmp_path: Path) -> None:
    Unfinished("x", 5, place=tmp_path).note("a", 1)
    assert Unfinished("x", 6, place=tmp_path).done == {}


def test_a_run_after_a_whole_one_begins_anew(tmp_path: Path) -> None:
    run = Unfinished("x", place=tmp_path)
    run.note("a", 1)
    run.finish()
    assert Unfinished("x", place=tmp_path).done == {}


def test_a_file_that_was_cut_short_counts_as_none(tmp_path: Path) -> None:
    Unfinished("x", place=tmp_path).note("a", 1)
    (tmp_path / "x.json").write_text('{"kind": nu')
    assert Unfinished("x", place=tmp_path).done == {}
