"""cp: between databases, files and peers."""

from __future__ import annotations

import json

import pytest

from settee import Database, ListenerPasswordAuthenticator, TLSIdentity, URLEndpointListener

pytestmark = pytest.mark.feature("CLI-05")


def test_a_database_is_copied_with_all_its_collections(run):
    run("put", "van", "a", '{"n": 1}')
    run("put", "van", "b", "{}", "-c", "shop.items")
    ran = run("cp", "van", "bus")
    assert ran.code == 0
    assert ran.out.startswith("Copied 2 documents to ")
    assert run("cat", "bus", "a", "--json").out == '{"n":1}\n'
    assert run("ls", "bus", "-c", "shop.items").out == "b\n"
    assert json.loads(run("cp", "van", "car", "--json").out)["documents"] == 2


def test_files_are_exported_to_and_imported_from(run, tmp_path):
    run("put", "van", "a", '{"n": 1}')
    assert run("cp", "van", "x.jsonl").code == 0
    assert (tmp_path / "x.jsonl").read_text() == '{"_id":"a","n":1}\n'
    assert run("cp", "van", "x.json").code == 0
    assert json.loads((tmp_path / "x.json").read_text()) == [{"_id": "a", "n": 1}]
    assert run("cp", "x.json", "bus", "-c", "items").code == 0
    assert run("cat", "bus", "a", "-c", "items", "--json").out == '{"n":1}\n'


def test_a_peer_is_pushed_to_and_pulled_from(run, tmp_path, monkeypatch):
    monkeypatch.setenv("SETTEE_PASSWORD", "secret")
    run("put", "van", "a", '{"n": 1}')
    with (
        Database("kitchen", directory=tmp_path) as db,
        URLEndpointListener(
            db,
            host="127.0.0.1",
            tls_identity=TLSIdentity.anonymous(),
            authenticator=ListenerPasswordAuthenticator(lambda *_: True),
        ) as listener,
    ):
        access = ["--user", "bob", "--pin", listener.tls_identity.fingerprint, "--quiet"]
        pushed = run("cp", "van", listener.urls[0], *access)
        assert pushed.code == 0
        assert pushed.out.startswith("Pushed 1 document ")
        assert "a" in db.default_collection
        pulled = run("cp", listener.urls[0], "bus", *access, "--json")
        assert json.loads(pulled.out)["pulled"] == 1
    assert run("ls", "bus").out == "a\n"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["cp", "gone", "bus"], 3),
        (["cp", "van", "van"], 2),
        (["cp", "van", "bus", "-c", "items"], 2),
        (["cp", "van", "bus", "--user", "bob"], 2),
        (["cp", "wss://a/x", "wss://b/x"], 2),
        (["cp", "x.json", "wss://b/x"], 2),
        (["cp", "x.json", "y.json"], 2),
        (["cp", "gone.json", "bus"], 3),
        (["cp", "van", "x.json", "-c", "a", "-c", "b"], 2),
        (["cp", "gone", "wss://127.0.0.1:1/x"], 3),
        (["cp", "van"], 2),
        (["cp", "van", "a b"], 2),
    ],
)
def test_places_that_don_t_go_together_are_sentences(run, tmp_path, command, code):
    run("put", "van", "a", "{}")
    ran = run(*command)
    assert ran.code == code
    assert "Traceback" not in ran.err
    assert not (tmp_path / "bus.settee").exists()
