"""push, pull and sync, against a listener in this process."""

from __future__ import annotations

import json
import socket

import pytest

from settee import (
    Blob,
    Database,
    ListenerPasswordAuthenticator,
    TLSIdentity,
    URLEndpointListener,
)


class _Kitchen:
    def __init__(self, db, listener):
        self.db = db
        self.items = db.collection("shop.items")
        self.url = f"wss://127.0.0.1:{listener.port}/kitchen"
        self.pin = listener.tls_identity.fingerprint


@pytest.fixture
def kitchen(tmp_path):
    """A listening database with two items, one of them with a picture."""
    with Database("kitchen", directory=tmp_path / "elsewhere") as db:
        items = db.collection("shop.items", create=True)
        items["apples"] = {"quantity": 10, "image": Blob.from_bytes(b"png" * 1000)}
        items["beets"] = {"quantity": 4}
        with URLEndpointListener(
            db,
            host="127.0.0.1",
            tls_identity=TLSIdentity.anonymous(),
            authenticator=ListenerPasswordAuthenticator(lambda u, p: (u, p) == ("bob", "secret")),
        ) as listener:
            yield _Kitchen(db, listener)


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "secret"
    file.write_text("secret\n")
    return file


def _login(kitchen, secret):
    return ["--user", "bob", "--password-file", secret, "--pin", kitchen.pin, "-c", "shop.items"]


@pytest.mark.feature("BLOB-10", "CLI-05")
def test_pull_makes_the_database_and_brings_documents_and_blobs(run, kitchen, secret, tmp_path):
    ran = run("pull", "van", kitchen.url, *_login(kitchen, secret))
    assert ran.code == 0
    assert "pulled 2 documents" in ran.out
    assert "Made the database van" in ran.err
    assert json.loads(run("cat", "van", "apples", "-c", "shop.items").out)["quantity"] == 10
    assert run("cat", "van", "apples", "-c", "shop.items", "--blob", "image").out == "png" * 1000


@pytest.mark.feature("CLI-05")
def test_push_sends_what_the_peer_lacks(run, kitchen, secret):
    run("put", "van", "corn", '{"quantity": 3}', "-c", "shop.items")
    ran = run("push", "van", kitchen.url, *_login(kitchen, secret), "--quiet")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("Pushed 1 document (")
    assert kitchen.items["corn"]["quantity"] == 3


def test_sync_does_both_and_tells_it_as_json(run, kitchen, secret, monkeypatch):
    monkeypatch.setenv("SETTEE_PASSWORD", "secret")
    run("put", "van", "corn", "{}", "-c", "shop.items")
    ran = run(
        *["sync", "van", kitchen.url, "--user", "bob", "--pin", kitchen.pin],
        *["-c", "shop.items", "--json"],
    )
    assert ran.code == 0
    told = json.loads(ran.out)
    assert (told["pushed"], told["pulled"], told["refused"], told["error"]) == (1, 2, [], None)
    assert told["bytes_pulled"] > 3000
    again = run("sync", "van", kitchen.url, *_login(kitchen, secret), "--json")
    assert (json.loads(again.out)["pushed"], json.loads(again.out)["pulled"]) == (0, 0)


def test_a_wrong_password_is_refused_in_words_with_exit_code_4(run, kitchen, tmp_path):
    (tmp_path / "wrong").write_text("guess")
    ran = run("pull", "van", kitchen.url, *_login(kitchen, tmp_path / "wrong"), "--quiet")
    assert ran.code == 4
    assert "settee: " in ran.err
    assert "guess" not in ran.err + ran.out
    assert "Traceback" not in ran.err


def test_another_certificate_than_the_pinned_one_is_exit_code_4(run, kitchen, secret):
    login = _login(kitchen, secret)
    login[login.index(kitchen.pin)] = "ab" * 32
    ran = run("pull", "van", kitchen.url, *login)
    assert ran.code == 4
    assert kitchen.pin in ran.err.replace(":", "").lower()


def test_a_self_signed_certificate_needs_to_be_accepted(run, kitchen, secret):
    login = ["--user", "bob", "--password-file", secret, "-c", "shop.items"]
    assert run("pull", "van", kitchen.url, *login).code == 4
    ran = run("pull", "van", kitchen.url, *login, "--self-signed")
    assert ran.code == 0
    assert "Warning" in ran.err


def test_where_nobody_listens_is_exit_code_5_at_once(run):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ran = run("pull", "van", f"wss://127.0.0.1:{port}/kitchen", "--self-signed")
    assert ran.code == 5
    assert ran.err.count("settee: ") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["http://127.0.0.1:1/x"],
        ["wss://127.0.0.1:1"],
        ["wss://127.0.0.1:1/x", "--pin", "nonsense"],
        ["wss://127.0.0.1:1/x", "--pin", "ab" * 32, "--self-signed"],
        ["wss://127.0.0.1:1/x", "--user", "bob"],
        ["wss://127.0.0.1:1/x", "--password", "secret"],
        ["wss://127.0.0.1:1/x", "-c", "a.b.c"],
    ],
)
def test_options_that_cannot_be_are_exit_code_2(run, arguments):
    ran = run("pull", "van", *arguments)
    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert "secret" not in ran.err


def test_pulling_all_into_a_new_database_says_what_all_is(run, kitchen, secret):
    login = _login(kitchen, secret)[:-2]
    assert "--collection" in run("pull", "van", kitchen.url, *login).err
    assert "--collection" not in run("pull", "van", kitchen.url, *login).err


def test_push_makes_no_database(run, tmp_path):
    assert run("push", "nowhere", "wss://127.0.0.1:1/x").code == 3
    assert not (tmp_path / "nowhere.settee").exists()


def test_a_name_that_nobody_announces_is_not_found(run, monkeypatch):
    monkeypatch.setattr("settee.cli.discovery._FIND_S", 0.05)
    ran = run("pull", "van", "Nobody In Particular")
    assert ran.code == 3
    assert "wss://" in ran.err, "it says what to give instead"
