"""How errors become exit codes and sentences."""

from __future__ import annotations

import pytest

from settee import errors
from settee.cli.exits import EXIT_CODES_HELP, ExitCode, explain


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotFoundError("no database 'van' here"), ExitCode.NOT_FOUND),
        (errors.ConfigError("port", "70000 is no port"), ExitCode.USAGE),
        (errors.InvalidDocumentError("not JSON"), ExitCode.USAGE),
        (errors.AuthenticationError("wrong password for 'bob'"), ExitCode.REFUSED),
        (errors.RefusedError("no such database"), ExitCode.REFUSED),
        (errors.CertificateError("another certificate than the pinned one"), ExitCode.REFUSED),
        (errors.ConnectionFailedError("connection refused"), ExitCode.UNREACHABLE),
        (errors.NotAPeerError("a web server answers there"), ExitCode.UNREACHABLE),
        (errors.DiskFullError("no space"), ExitCode.FAILED),
        (errors.PeerProtocolError("a reply without a request"), ExitCode.FAILED),
    ],
)
def test_each_error_of_settee_has_its_code_and_keeps_its_sentence(error, code):
    assert explain(error) == (code, str(error))


@pytest.mark.parametrize("name", errors.__all__)
def test_no_error_of_settee_is_called_a_bug(name):
    kind = getattr(errors, name)
    error = kind("port", "is taken") if kind is errors.ConfigError else kind("a sentence")
    assert "bug" not in explain(error)[1]


def test_a_missing_file_is_not_found_and_named():
    code, sentence = explain(FileNotFoundError(2, "No such file or directory", "users.json"))
    assert code is ExitCode.NOT_FOUND
    assert "users.json" in sentence


def test_an_os_error_names_its_file_and_reason():
    code, sentence = explain(PermissionError(13, "Permission denied", "/srv/x"))
    assert (code, sentence) == (ExitCode.FAILED, "/srv/x: Permission denied")


def test_ctrl_c_is_interrupted():
    assert explain(KeyboardInterrupt())[0] is ExitCode.INTERRUPTED


def test_anything_else_is_called_a_bug_with_the_way_to_see_more():
    code, sentence = explain(ZeroDivisionError("division by zero"))
    assert code is ExitCode.FAILED
    assert "bug" in sentence
    assert "--verbose" in sentence


def test_the_help_names_every_code():
    for code in ExitCode:
        assert f"{int(code)} " in EXIT_CODES_HELP
