"""What Tab offers, asked for as a shell asks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from settee import TLSIdentity
from settee.cli import app as app_module


@pytest.fixture
def offered(run, monkeypatch, capfd):
    """``offered("settee ls v")`` returns what bash is offered there."""

    def offers(typed: str) -> list[str]:
        monkeypatch.setenv("_SETTEE_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", typed)
        monkeypatch.setenv("COMP_CWORD", str(len(typed.split(" ")) - 1))
        ran = run()
        monkeypatch.delenv("_SETTEE_COMPLETE")
        assert ran.err == ""
        return ran.out.split()

    return offers


@pytest.fixture
def van(run, tmp_path):
    text = "".join(f'{{"_id":"item::{n:04}"}}\n' for n in range(1200))
    run("import", "van", "-c", "shop.items", stdin=text)
    run("put", "van", "note", "{}")
    run("put", "vat", "x", "{}")
    (tmp_path / "sub").mkdir()
    run("put", "sub/deep", "x", "{}")


def test_commands_are_offered(offered):
    assert offered("settee ex") == ["expire", "export"]


def test_databases_are_offered_without_their_ending(van, offered):
    assert offered("settee ls va") == ["van", "vat"]
    assert offered("settee ls sub/") == ["sub/deep"]
    assert offered("settee ls nowhere/") == []


def test_collections_of_the_database_are_offered(van, offered):
    assert offered("settee ls van -c s") == ["shop.items"]
    assert "_default" in offered("settee ls van -c _")
    assert offered("settee rmcoll van sh") == ["shop.items"]
    assert offered("settee ls gone -c s") == []


def test_document_ids_are_offered_but_not_a_thousand(van, offered):
    assert offered("settee cat van no") == ["note"]
    ten = [f"item::{n:04}" for n in range(10)]
    assert offered("settee cat van -c shop.items item::000") == ten
    assert len(offered("settee cat van -c shop.items item::")) == 200
    assert offered("settee rm van -c shop.items item::1199") == ["item::1199"]
    assert offered("settee cat van -c shop.items z") == []


def test_labels_are_offered(run, offered):
    TLSIdentity.self_signed("kitchen")
    assert offered("settee cert show k") == ["kitchen"]


def test_nothing_is_made_and_nothing_said_about_what_is_missing(offered, tmp_path):
    assert offered("settee cat gone x") == []
    assert list(tmp_path.glob("*.settee")) == []


def test_the_installed_script_answers_the_shell(van, tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", "from settee.cli import main; main()"],
        env={
            **os.environ,
            "_SETTEE_COMPLETE": "complete_bash",
            "COMP_WORDS": "settee cat van n",
            "COMP_CWORD": "3",
        },
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert (ended.stdout.split(), ended.stderr) == (["note"], "")


def test_every_command_that_takes_a_database_offers_them():
    commands = app_module.command().commands
    for name, command in commands.items():
        for parameter in command.params if not hasattr(command, "commands") else ():
            if parameter.name == "name":
                assert parameter._custom_shell_complete is not None, name
