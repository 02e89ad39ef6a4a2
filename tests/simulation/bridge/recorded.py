"""Recorded scenarios for the models of Couchbase Lite: who edited what before each connection.

The revisions' names are the recorded ones. A recording writes the author of an edit as ``*``; who
that was shows in the traffic.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from tests.captures import load
from tests.replay.recording import Dialog, Said
from tests.simulation.bridge.engine import State

_PEER = re.compile(r"--- peer (put|rm) \S+-(srv|cli) (\S+) ?(.*)")
_LIVE = re.compile(r"--- (server|client)-side: (put|rm) (\S+) ?(.*)")
_NAMED = re.compile(r"(?:\[ *[\d.]+\] local (?:put|rm) )?(\S+) (\d+-[0-9a-f]+|[0-9a-f]+@\S+)")


class Edit(NamedTuple):
    side: str
    """``"srv"`` or ``"cli"``."""
    doc_id: str
    state: State
    name: str


class Meeting(NamedTuple):
    """A connection, and what was edited before it."""

    edits: list[Edit]
    dialog: Dialog


def meetings(name: str) -> list[Meeting]:
    """Return the connections of a scenario in which nobody edits while connected."""
    capture = load(name)
    dialogs = [Dialog(connection) for connection in capture.connections]
    edits: list[list[Edit]] = [[]]
    lines = iter(capture.log.splitlines())
    for line in lines:
        if line.startswith("--- sync"):
            edits.append([])
            continue
        side, verb, doc_id, text = "", "", "", ""
        if match := _PEER.fullmatch(line):
            verb, side, doc_id, text = match.groups()
        elif match := _LIVE.fullmatch(line):
            side, verb, doc_id, text = match.groups()
            side = {"server": "srv", "client": "cli"}[side]
        else:
            continue
        named = _NAMED.match(next(lines))
        assert named is not None, f"no revision after {line!r}"
        assert named[1] == doc_id, f"the revision of {named[1]} after {line!r}"
        state = State(verb == "rm", text.encode() if verb == "put" else b"{}")
        edits[-1].append(Edit(side, doc_id, state, _whole(named[2], dialogs)))
    return [Meeting(*one) for one in zip(edits, dialogs, strict=False)]


def _whole(name: str, dialogs: list[Dialog]) -> str:
    """Return a version with its author; one that never travelled has an author of no interest."""
    if not name.endswith("@*"):
        return name
    pattern = re.compile(re.escape(name[:-1]).encode() + rb"[A-Za-z0-9+/]{22}")
    for dialog in dialogs:
        for item in dialog.items:
            if isinstance(item, Said):
                said = json.dumps(item.properties).encode() + item.body
                if match := pattern.search(said):
                    return match[0].decode()
    return name[:-1] + "AAAAAAAAAAAAAAAAAAAAAQ"
