"""The command ``settee-inventory``: what it says when it can't start."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from settee_inventory.web.process import main


def test_a_taken_port_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["--directory", str(tmp_path), "--port", str(port)]) == 3
    said = capsys.readouterr().err
    assert f"port {port}" in said
    assert "--port" in said
    assert "Traceback" not in said


def test_a_directory_that_cannot_be_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--directory", str(tmp_path / "file" / "below")]) == 3
    said = capsys.readouterr().err
    assert "can't be used" in said
    assert "--directory" in said


def test_a_wrong_option_is_wrong_usage() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--no-such-thing"])
    assert ended.value.code == 2
