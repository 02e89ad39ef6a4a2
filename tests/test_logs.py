from __future__ import annotations

import logging

import pytest

from settee.logs import peer_log, printable, room_log


def test_rooms_log_under_settee_and_a_program_without_logging_hears_nothing() -> None:
    assert room_log("store").name == "settee.store"
    handlers = logging.getLogger("settee").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)


def test_sessions_are_told_apart_by_their_tag(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "settee"):
        peer_log("sync", peer="10.0.0.5:4984", session=3).info("started, push=%s", True)
    assert caplog.messages == ["[10.0.0.5:4984/3] started, push=True"]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain", "plain"),
        ("two\nlines", "two\\x0alines"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("ü \u202e", "ü \\x202e"),
        ("x" * 300, "x" * 200 + "…"),
    ],
)
def test_a_peers_words_stay_on_one_line(text: str, safe: str) -> None:
    assert printable(text) == safe
