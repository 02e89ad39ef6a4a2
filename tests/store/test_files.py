"""The machine's files, as blobs use them."""

from __future__ import annotations

from pathlib import Path

import pytest

from settee.store.files import FILES


def test_a_file_is_made_written_synced_and_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with FILES.create(path) as file:
        assert FILES.write(file, memoryview(b"hello")) == 5
        assert FILES.write(file, memoryview(b"!")) == 1
    FILES.sync(path, 5_000_000_000)
    assert path.stat().st_mtime == 5
    FILES.sync_folder(tmp_path)
    buffer = bytearray(4)
    with FILES.open(path) as file:
        assert FILES.read(file, memoryview(buffer)) == 4
        assert FILES.read(file, memoryview(buffer)) == 2
        assert FILES.read(file, memoryview(buffer)) == 0
    assert bytes(buffer) == b"o!ll"


def test_a_file_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        FILES.create(tmp_path / "a")
    with pytest.raises(FileExistsError):
        FILES.make_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        FILES.open(tmp_path / "b")


def test_names_are_changed_in_one_step_and_removed_once(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old")
    new.write_bytes(b"new")
    FILES.link(old, tmp_path / "second")
    FILES.rename(old, new)
    assert new.read_bytes() == (tmp_path / "second").read_bytes() == b"old"
    FILES.stamp(new, 7_000_000_000)
    assert (tmp_path / "second").stat().st_mtime == 7
    FILES.unlink(new)
    FILES.unlink(new)
    assert not new.exists()
    with pytest.raises(FileNotFoundError):
        FILES.stamp(new, 0)


def test_a_folder_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    FILES.make_folder(tmp_path / "a")
    (tmp_path / "a" / "b").write_bytes(b"")
    FILES.remove_folder(tmp_path / "a")
    FILES.remove_folder(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
