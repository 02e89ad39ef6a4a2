"""Places that can't be written, for root too: a read-only mount, directory and file.

Everything that reads works, everything that writes raises ReadOnlyError.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.disk import namespace
from tests.disk.operations import OPERATIONS
from tests.disk.readonly import OWN_PLACE


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mount", "directory", "file"])
def test_where_nothing_can_be_written_one_reads(tmp_path: Path, kind: str) -> None:
    """Starts two processes."""
    namespace.run("readonly", "make", mount="", place=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    found = namespace.run_read_only(kind, tmp_path)
    assert found["read_only"]
    outcomes = found["outcomes"]
    for name in OPERATIONS:
        if name in OWN_PLACE and kind != "mount":
            assert outcomes[name] == "done", name
        else:
            assert outcomes[name] == "ReadOnlyError", (name, outcomes[name])
    if kind != "file":  # Beside a file that can't be written the sync lease still can.
        assert outcomes["replicate"] == "ReadOnlyError"
    if kind == "mount":
        assert outcomes["delete database"] == "ReadOnlyError"
        assert found["exists"]
        assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
