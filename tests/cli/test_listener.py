"""listen: what it refuses to do, and a whole life of it in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from settee import BasicAuthenticator, Database, Replicator


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--anonymous"),
        (["--anonymous", "--user", "bob"], "not both"),
        (["--user", "bob"], "SETTEE_PASSWORD"),
        (["--no-tls", "--user", "bob", "--password", "x"], "TLS"),
        (["--anonymous", "--identity", ""], "label"),
    ],
)
def test_what_cannot_be_is_exit_code_2_and_says_what_to_do(run, arguments, said):
    ran = run("listen", "kitchen", *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_missing_file_of_users_is_exit_code_3(run):
    assert run("listen", "kitchen", "--users", "nobody.json").code == 3


class _Listening:
    """``settee listen`` in a process of its own; what it says comes as JSON lines."""

    def __init__(self, directory, *arguments):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "settee", "listen", "kitchen", "--json", *arguments],
            cwd=directory,
            env={**os.environ, "XDG_DATA_HOME": str(directory / "data"), "SETTEE_PASSWORD": "pw"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def next(self):
        return json.loads(self._process.stdout.readline())

    def end(self):
        self._process.send_signal(signal.SIGTERM)
        rest, _ = self._process.communicate(timeout=10)
        return self._process.returncode, [json.loads(line) for line in rest.splitlines()]


@pytest.mark.feature("CLI-22")
@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM to send")
def test_a_listener_tells_who_came_and_keeps_port_and_certificate(run, tmp_path, monkeypatch):
    """Slow: it starts two processes, and waits for their look at who is connected."""
    arguments = ["--user", "bob", "--host", "127.0.0.1"]
    listening = _Listening(tmp_path, *arguments)
    begun = listening.next()
    assert begun["event"] == "listening"
    [url] = begun["urls"]
    assert url == f"wss://127.0.0.1:{begun['port']}/kitchen"

    run("put", "van", "a", "{}")
    login = ["--user", "bob", "--pin", begun["fingerprint"]]
    monkeypatch.setenv("SETTEE_PASSWORD", "guess")
    assert run("push", "van", url, *login).code == 4
    refused = listening.next()
    assert refused["event"] == "refused"
    assert refused["address"] == "127.0.0.1"
    assert "guess" not in refused["more"]

    with (
        Database("van", directory=tmp_path) as db,
        Replicator(
            db,
            url,
            continuous=True,
            authenticator=BasicAuthenticator("bob", "pw"),
            pinned_server_certificate=begun["fingerprint"],
        ) as replicator,
    ):
        assert replicator.wait_for("idle", 10)
        connected = listening.next()
        assert (connected["event"], connected["user"]) == ("connected", "bob")
    gone = listening.next()
    assert (gone["event"], gone["more"]) == ("disconnected", "sent 0, received 1")
    assert listening.end() == (0, [])

    again = _Listening(tmp_path, *arguments)
    begun_again = again.next()
    assert again.end()[0] == 0
    assert begun_again == begun
    assert run("ls", "kitchen").out == "a\n"
