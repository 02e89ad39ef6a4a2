"""Where passwords come from."""

from __future__ import annotations

import io
import sys

import pytest

from settee.cli.credentials import BUNDLE_PASSWORD_VARIABLE, bundle_password, password_of
from settee.errors import ConfigError


@pytest.fixture(autouse=True)
def _no_terminal_and_no_variable(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from stdin\r\nmore\n")))
    monkeypatch.delenv("SETTEE_PASSWORD", raising=False)
    monkeypatch.delenv(BUNDLE_PASSWORD_VARIABLE, raising=False)


def test_the_file_s_first_line_is_the_password(tmp_path):
    file = tmp_path / "secret"
    file.write_bytes("pässword \nsecond line\n".encode())
    assert password_of("bob", given=None, file=str(file)) == "pässword "


def test_a_dash_reads_standard_input():
    assert password_of("bob", given=None, file="-") == "from stdin"


def test_the_variable_is_used_if_nothing_is_given(monkeypatch):
    monkeypatch.setenv("SETTEE_PASSWORD", "from env")
    assert password_of("bob", given=None, file=None) == "from env"
    assert password_of("bob", given="typed", file=None) == "typed"


def test_without_a_terminal_nobody_is_asked_and_the_error_says_what_to_do():
    with pytest.raises(ConfigError, match=r"'bob'.*SETTEE_PASSWORD.*--password-file"):
        password_of("bob", given=None, file=None)


def test_two_sources_at_once_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="not both"):
        password_of("bob", given="a", file=str(tmp_path / "b"))


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\nlater\n"])
def test_an_empty_password_is_refused(tmp_path, content):
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="empty"):
        password_of("bob", given=None, file=str(file))


def test_the_length_is_bounded_and_the_bound_itself_is_taken(tmp_path):
    file = tmp_path / "secret"
    file.write_bytes(b"x" * 4096 + b"\n")
    assert len(password_of("bob", given=None, file=str(file))) == 4096
    file.write_bytes(b"x" * 4097)
    with pytest.raises(ConfigError, match="wrong file"):
        password_of("bob", given=None, file=str(file))


def test_a_file_that_is_no_text_is_refused(tmp_path):
    file = tmp_path / "picture"
    file.write_bytes(b"\xff\xfe\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        password_of("bob", given=None, file=str(file))


def test_a_bundle_may_have_an_empty_password(monkeypatch, tmp_path):
    monkeypatch.setenv(BUNDLE_PASSWORD_VARIABLE, "")
    assert bundle_password(tmp_path / "a.p12") == ""


def test_a_bundle_without_password_and_terminal_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=BUNDLE_PASSWORD_VARIABLE):
        bundle_password(tmp_path / "a.p12")
