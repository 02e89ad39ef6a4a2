"""The command `demo`; the scene itself is tested in tests/inventory/demo."""

from __future__ import annotations


def test_a_directory_that_is_in_use_is_refused_and_left_alone(run, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "mine").write_text("x")
    ran = run("demo", "--fast", "--keep", "kept")
    assert ran.code == 1
    assert "not empty" in ran.err
    assert [file.name for file in (tmp_path / "kept").iterdir()] == ["mine"]


def test_a_directory_that_cannot_be_is_a_sentence(run, tmp_path):
    (tmp_path / "file").touch()
    ran = run("demo", "--fast", "--keep", "file/inside")
    assert ran.code == 1
    assert ran.err.startswith("settee demo: ")
    assert "Traceback" not in ran.err
