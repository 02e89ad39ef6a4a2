"""The models say what the recorded engine said, message by message.

A model is given the edits that one recorded peer had made and is played the other one's recorded
messages; what it answers and sends of itself has to be what was recorded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
import pytest

from settee.blip.connection import Connection
from settee.blip.message import Reply, Request
from settee.net.link import CloseInfo
from tests.replay.recording import Dialog, Said
from tests.simulation.bridge.active import ActiveReplicator
from tests.simulation.bridge.engine import Engine, TreeEngine, VectorEngine
from tests.simulation.bridge.passive import PassiveReplicator
from tests.simulation.bridge.recorded import Edit, meetings
from tests.simulation.bridge.replicator import Replicator

SCENARIOS = [
    f"{family}/{name}"
    for family in ("3.1", "4-vv")
    for name in ("push3", "pull3", "pushpull", "conflict", "conflict-new", "deletion", "checkpoint")
]
_NOT_OF_THE_MODEL = {"deltas", "activeOnly"}
_NOW_NS = 1_800_000_000_000_000_000


class Played:
    """The other end of a model: the recorded peer. Implements `settee.net.link.Link`."""

    def __init__(self, dialog: Dialog, direction: str) -> None:
        self.dialog = dialog
        self.direction = direction
        """Of the messages that are played."""
        self.connection = Connection()
        self.requests: dict[tuple[str, str], Request] = {}
        """Of the model, by profile and document."""
        self.replies: dict[int, Reply] = {}
        """By recorded number of our request."""
        self.events: Any = None

    def attach(self, events: Replicator) -> None:
        self.events = events

    def send(self, frames: Iterable[bytes]) -> None:
        for message in self.connection.receive(list(frames)):
            if isinstance(message, Request):
                self.requests[_key(message.properties, message.body, message.no_reply)] = message
            else:
                assert isinstance(message, Reply)
                assert isinstance(message.token, int)
                self.replies[message.token] = message

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.events.on_closed(CloseInfo(code=code))

    def play(self, item: Said) -> None:
        """Say what was recorded."""
        if item.kind == "MSG":
            self.connection.send_request(
                item.number, item.properties, item.body, no_reply=item.no_reply
            )
        else:
            recorded = self.dialog.request_of(item)
            key = _key(recorded.properties, recorded.body, recorded.no_reply)
            assert key in self.requests, f"the model never said {key}: {list(self.requests)}"
            number = self.requests[key].number
            if item.kind == "RPY":
                self.connection.reply(number, item.properties, item.body)
            else:
                error = item.properties
                self.connection.reply_error(number, error["Error-Domain"], int(error["Error-Code"]))
        self._pass_on()

    def keep_checkpoint(self) -> None:
        """Take a checkpoint: when it is saved is each active peer's own business."""
        request = self.requests.pop(("setCheckpoint", ""), None)
        if request is not None:
            self.connection.reply(request.number, {"rev": "1-cc"})
            self._pass_on()

    def _pass_on(self) -> None:
        self.events.on_frames(self.connection.frames_to_send(1 << 20))


def _key(properties: dict[str, str], body: bytes, no_reply: bool) -> tuple[str, str]:
    profile = properties["Profile"]
    if profile == "setCheckpoint":  # As often as the owner likes: one is like the other.
        return profile, ""
    if profile in ("changes", "proposeChanges"):
        at = 1 if profile == "changes" else 0
        rows = orjson.loads(body) or []
        return profile, "end" if no_reply else ",".join(sorted(row[at] for row in rows))
    return profile, properties.get("id", "")


def _said(properties: dict[str, str], body: bytes) -> tuple[dict[str, str], Any]:
    """Return what of a message the models are about."""
    kept = {k: v for k, v in properties.items() if k not in _NOT_OF_THE_MODEL}
    value = orjson.loads(body) if body else None
    profile = properties.get("Profile", "")
    if profile in ("changes", "proposeChanges"):
        length = 4 if profile == "changes" else 3
        value = sorted(row[:length] for row in value)  # Without the size of the body.
    elif isinstance(value, list):
        value = [{k: v for k, v in e.items() if k != "time"} if isinstance(e, dict) else e
                 for e in value]  # fmt: skip
    elif isinstance(value, dict) and profile != "rev":
        value = {k: v for k, v in value.items() if k != "time"}
    return kept, value


def _engine(name: str, side: str) -> Engine:
    def told(*_: object) -> None:
        raise AssertionError("the recorded program resolved no conflicts")

    if name.startswith("3.1"):
        return TreeEngine(side, told)
    return VectorEngine(side, told, wall_ns=lambda: _NOW_NS)


def _edit(engine: Engine, edits: list[Edit], side: str) -> None:
    for edit in edits:
        if edit.side == side:
            assert engine.edit(edit.doc_id, edit.state, edit.name)


def _unresolved(_: object) -> None:
    """The recorded program left its conflicts open."""


def _compare_requests(played: Played, profiles: set[str]) -> None:
    recorded = {}
    other = "s2c" if played.direction == "c2s" else "c2s"
    for item in played.dialog.items:
        if isinstance(item, Said) and item.direction == other and item.profile in profiles:
            recorded[_key(item.properties, item.body, item.no_reply)] = item
    made = {key: one for key, one in played.requests.items() if key[0] in profiles}
    assert made.keys() == recorded.keys()
    for key, one in made.items():
        given, expected = (_said(m.properties, m.body) for m in (one, recorded[key]))
        assert given == expected, key


def _compare_replies(played: Played, profiles: set[str]) -> int:
    compared = 0
    for number, reply in played.replies.items():
        request = played.dialog.requests[played.direction, number]
        recorded = played.dialog.answers[played.direction, number]
        if request.profile not in profiles:
            continue
        compared += 1
        assert reply.error == (recorded.kind == "ERR"), request
        given, expected = (
            _said(m.properties, b"" if reply.error else m.body) for m in (reply, recorded)
        )
        assert given == expected, request
    return compared


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_passive_model_answers_and_announces_as_recorded(name: str) -> None:
    engine = _engine(name, "srv")
    compared = 0
    for edits, dialog in meetings(name):
        _edit(engine, edits, "srv")
        played = Played(dialog, "c2s")
        replicator = PassiveReplicator(engine, "cli", played, _unresolved)
        replicator.start()
        for item in dialog.items:
            if isinstance(item, Said) and item.direction == "c2s":
                played.play(item)
        profiles = {"getCollections", "getCheckpoint", "setCheckpoint", "subChanges"}
        compared += _compare_replies(played, profiles | {"proposeChanges", "rev"})
        _compare_requests(played, {"changes", "rev", "norev"})
        replicator.on_closed(CloseInfo(code=1000))
    assert compared >= 3
    assert not engine.violations


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_active_model_proposes_and_asks_as_recorded(name: str) -> None:
    engine = _engine(name, "cli")
    compared = 0
    for edits, dialog in meetings(name):
        _edit(engine, edits, "cli")
        played = Played(dialog, "s2c")
        profiles = [item.profile for item in dialog.items if isinstance(item, Said)]
        replicator = ActiveReplicator(
            engine,
            "srv",
            played,
            _unresolved,
            push="proposeChanges" in profiles,
            pull="subChanges" in profiles,
        )
        replicator.start()
        for item in dialog.items:
            if isinstance(item, Said) and item.direction == "s2c":
                if item.kind == "MSG" or dialog.request_of(item).profile != "setCheckpoint":
                    played.play(item)
                played.keep_checkpoint()
        compared += _compare_replies(played, {"changes", "rev"})
        _compare_requests(played, {"proposeChanges", "rev", "subChanges"})
        assert replicator.closed is not None, "all is done, and it stays"
    assert compared + len(engine.progress) > 0
    assert not engine.violations
