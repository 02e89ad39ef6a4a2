"""The command of the table: what it says when it can't start."""

from __future__ import annotations

import socket

import pytest

from settee_inventory.table.process import _port, main


def test_a_taken_port_is_told_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["--port", str(taken.getsockname()[1])]) == 3
    said = capsys.readouterr().err
    assert "can't start" in said
    assert "Traceback" not in said


def test_without_a_wish_there_is_always_a_port() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
        except OSError:
            pass  # Somebody else has it, which is as good.
        assert _port(None) not in (0, 8080)
