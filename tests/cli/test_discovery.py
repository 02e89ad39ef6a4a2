"""browse."""

from __future__ import annotations

import json

import pytest

from settee import PeerFound, PeerGone
from settee.cli import discovery

FOUND = PeerFound(
    name="Kitchen\x1b[2J",
    host="kitchen.local",
    addresses=("192.0.2.5", "2001:db8::5"),
    port=4984,
    path="/inventory",
    tls=True,
    id="00112233445566ff",
)


@pytest.mark.feature("CLI-23")
def test_a_peer_found_is_one_line_with_all_its_addresses(capsys):
    discovery._show(FOUND, as_json=False)
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "\x1b" not in said
    assert "wss://192.0.2.5:4984/inventory wss://[2001:db8::5]:4984/inventory" in said
    assert "00112233445566ff" in said


def test_a_peer_gone_is_one_line(capsys):
    discovery._show(PeerGone("Kitchen"), as_json=False)
    assert capsys.readouterr().out == "gone   Kitchen\n"


def test_json_lines_carry_the_same(capsys):
    discovery._show(FOUND, as_json=True)
    discovery._show(PeerGone("Kitchen"), as_json=True)
    found, gone = map(json.loads, capsys.readouterr().out.splitlines())
    assert found["event"] == "found"
    assert found["name"] == FOUND.name
    assert found["urls"] == FOUND.urls
    assert (found["id"], found["tls"]) == ("00112233445566ff", True)
    assert gone == {"event": "gone", "name": "Kitchen"}


def test_browsing_ends_after_the_time_given(run):
    ran = run("browse", "--seconds", "0.1", "--json")
    assert ran.code == 0
    for told in ran.out.splitlines():
        assert json.loads(told)["event"] in ("found", "gone")
