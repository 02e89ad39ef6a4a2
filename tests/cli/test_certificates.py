"""cert: identities."""

from __future__ import annotations

import json
import stat

import pytest

from settee import TLSIdentity


def test_an_identity_is_made_shown_listed_exported_and_deleted(run, tmp_path):
    made = run("cert", "make", "kitchen")
    identity = TLSIdentity.load("kitchen")
    assert identity.fingerprint in made.out
    assert run("cert", "show", "kitchen").out == made.out
    assert json.loads(run("cert", "show", "kitchen", "--json").out)["label"] == "kitchen"
    run("cert", "make", "Büro 2")
    rows = [json.loads(each) for each in run("cert", "list", "--json").out.splitlines()]
    assert sorted(row["label"] for row in rows) == ["Büro 2", "kitchen"]
    assert identity.fingerprint in run("cert", "list").out
    assert run("cert", "export", "kitchen").out == identity.certificate_pem.decode()
    assert run("cert", "delete", "kitchen", "--yes") == (0, "", "")
    assert run("cert", "show", "kitchen").code == 3


def test_the_private_key_goes_to_a_closed_file_only(run, tmp_path):
    run("cert", "make", "kitchen")
    assert "PRIVATE" not in run("cert", "export", "kitchen").out
    assert run("cert", "export", "kitchen", "--key").code == 2
    assert run("cert", "export", "kitchen", "-o", "open.pem").code == 0
    assert b"PRIVATE" not in (tmp_path / "open.pem").read_bytes()
    assert run("cert", "export", "kitchen", "--key", "-o", "key.pem").code == 0
    data = (tmp_path / "key.pem").read_bytes()
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    assert TLSIdentity.from_pem(data) == TLSIdentity.load("kitchen")


def test_the_label_of_listen_is_the_one_shown_unless_another_is_named(run):
    run("cert", "make", "settee")
    assert run("cert", "show").code == 0
    assert run("cert", "export").out.startswith("-----BEGIN CERTIFICATE")


def test_nothing_is_listed_where_nothing_is_kept(run):
    ran = run("cert", "list")
    assert ran.code == 0
    assert ran.out.split() == ["Label", "Good", "until", "Fingerprint"]
    assert run("cert", "list", "--json").out == ""


def test_a_damaged_identity_is_told_and_the_others_are_listed(run, tmp_path):
    run("cert", "make", "a")
    run("cert", "make", "b")
    (tmp_path / "data/settee/identities/a.pem").write_text("nonsense")
    ran = run("cert", "list", "--json")
    assert [json.loads(each)["label"] for each in ran.out.splitlines()] == ["b"]
    assert "a.pem" in ran.err
    assert run("cert", "show", "a").code == 1


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["cert", "show", "gone"], 3),
        (["cert", "export", "gone"], 3),
        (["cert", "delete", "gone", "--yes"], 3),
        (["cert", "make", ""], 2),
        (["cert", "make", "x" * 65], 2),
        (["cert", "make", "kitchen"], 2),
        (["cert", "delete", "kitchen"], 2),
        (["cert"], 2),
        (["cert", "make"], 2),
    ],
)
def test_what_can_t_be_is_a_sentence(run, command, code):
    run("cert", "make", "kitchen")
    ran = run(*command)
    assert ran.code == code
    assert "Traceback" not in ran.err
    assert TLSIdentity.load("kitchen")
