"""The diagnostics file."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from settee_inventory.web.diagnostics import bundle, versions


def test_it_holds_the_state_and_the_end_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"early\n" * 100_000 + b"the last line\n")
    archive = zipfile.ZipFile(io.BytesIO(bundle({"links": 2}, log)))
    assert '"links": 2' in archive.read("state.json").decode()
    text = archive.read("app.log").decode()
    assert text.endswith("the last line\n")
    assert len(text) < 300_000


def test_no_token_is_in_it(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("GET /?token=abcDEF-123 200")
    archive = zipfile.ZipFile(io.BytesIO(bundle({"url": "http://x/?token=abcDEF-123"}, log)))
    for name in archive.namelist():
        assert b"abcDEF" not in archive.read(name)


def test_a_missing_log_is_no_error(tmp_path: Path) -> None:
    archive = zipfile.ZipFile(io.BytesIO(bundle({}, tmp_path / "none.log")))
    assert archive.namelist() == ["state.json"]


def test_it_says_what_runs_here() -> None:
    assert {"python", "settee", "nicegui"} <= versions().keys()
