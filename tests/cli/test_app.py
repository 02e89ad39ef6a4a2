"""The command line as a whole: help, usage errors, and its ends."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from settee.cli import app as app_module
from tools import commands

COMMANDS = [
    *("demo", "listen", "browse", "sync", "push", "pull"),
    *("ls", "cat", "put", "rm", "revs", "expire", "watch"),
    *("import", "export", "cp", "info", "collections", "mkcoll", "rmcoll"),
    *("check", "compact", "reindex"),
]
GROUPS = {"cert": ["make", "show", "list", "delete", "export"], "user": ["add", "remove", "list"]}


def test_version(run):
    assert run("--version") == (0, f"settee {metadata.version('settee')}\n", "")


@pytest.mark.feature("CLI-09")
def test_the_help_names_every_command_and_the_exit_codes(run):
    ran = run("--help")
    assert ran.code == 0
    for command in COMMANDS:
        assert command in ran.out
    assert "Exit codes" in ran.out


@pytest.mark.feature("CLI-09")
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_a_sentence_for_each_option(run, command):
    ran = run(command, "--help")
    assert ran.code == 0
    assert "Usage" in ran.out
    click_command = app_module.command().commands[command]
    assert click_command.help, command
    for parameter in click_command.params:
        assert getattr(parameter, "help", None), f"{command} {parameter.name} has no help"


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["ls"], ["ls", "van", "--nonsense"], ["listen", "van", "--port", "70000"]],
)
def test_wrong_usage_is_exit_code_2(run, arguments):
    ran = run(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert "Traceback" not in ran.err


def test_a_bug_is_one_sentence_unless_more_is_asked_for(run, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("settee.cli.documents.opened", broken)
    ran = run("ls", "van")
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert "bug" in ran.err
    assert "Traceback" in run("-v", "ls", "van").err


def test_ctrl_c_is_exit_code_130_and_no_traceback(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("settee.cli.documents.opened", interrupted)
    ran = run("ls", "van")
    assert ran.code == 130
    assert "Traceback" not in ran.err


@pytest.mark.skipif(os.name != "posix", reason="pipes end otherwise on Windows")
def test_a_reader_that_leaves_is_no_error(run, tmp_path):
    run("put", "van", "a", "{}")
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [sys.executable, "-m", "settee", "ls", "van"],
        stdout=write,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        check=False,
    )
    os.close(write)
    assert ended.stderr == b""


def test_the_module_ends_with_the_exit_code(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "settee", "info", "nowhere"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert ended.returncode == 3
    assert ended.stdout == ""
    assert "nowhere" in ended.stderr


def test_a_pipe_that_is_not_utf_8_gets_utf_8(run, tmp_path):
    run("put", "van", "möhren-→", '{"sign": "✓ 🥕"}')
    ended = subprocess.run(
        [sys.executable, "-m", "settee", "cat", "van", "möhren-→"],
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "✓ 🥕" in ended.stdout.decode("utf-8")


def test_no_command_is_left_out_here():
    tree = app_module.command()
    assert set(tree.commands) == {*COMMANDS, *GROUPS}
    assert {name: list(tree.commands[name].commands) for name in GROUPS} == GROUPS


@pytest.mark.parametrize(
    ("group", "command"), [(group, each) for group, all_ in GROUPS.items() for each in all_]
)
def test_each_command_of_a_group_has_help(run, group, command):
    assert run(group, command, "--help").code == 0
    parameters = app_module.command().commands[group].commands[command].params
    assert all(getattr(each, "help", None) for each in parameters)


def test_help_fits_80_columns_and_breaks_lines_where_the_terminal_does(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for command in COMMANDS:
        shown = run(command, "--help").out.splitlines()
        assert max(map(len, shown)) <= 80, command
    assert "\n" not in app_module.command().commands["import"].help.split("\n\n")[1]


def test_the_page_of_commands_is_what_their_help_says():
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    assert page == commands.page(), "run tools/docs.py cli"
