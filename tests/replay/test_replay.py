"""Each recorded scenario once more, with settee in the place of either engine."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from settee.blip.frame import ACK_RPY, MSG, NO_REPLY, RPY, TYPE_MASK, URGENT, read_header, uvarint
from settee.blip.message import Reply, Request
from settee.ids import CollectionName
from settee.net.acceptor import Accept
from settee.net.dialer import DialPlan
from settee.net.link import Link
from settee.net.tls import Trust
from settee.peer.active import ActivePeer, ReplicatorOptions
from settee.peer.passive import ListenerOptions
from settee.peer.target import Target
from tests import captures
from tests.replay.log import Edit, Log, Sync
from tests.replay.ours import Ours
from tests.replay.play import play_from_listener, play_to_listener
from tests.replay.recording import DEFAULT, Dialog, Said, Scenario, scenario
from tests.replay.script import Holdings, Script
from tests.simulation.links import link_pair
from tests.simulation.loop import VirtualLoop

SCENARIOS = [name for name in captures.scenarios() if not name.startswith("mixed/")]

ONLY_LISTENERS = {"auth": "the refusals are HTTP; what follows is pull3"}


def test_all_recorded_scenarios_are_there() -> None:
    spoken = Counter(scenario(name).dialogs[-1].subprotocol[-1] for name in SCENARIOS)
    assert spoken == {"3": 37, "4": 19}
    assert {name.split("/")[1] for name in SCENARIOS}.issuperset(ONLY_LISTENERS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_recorded_active_peer_and_settees_listener_come_to_the_logged_state(
    name: str, tmp_path: Path
) -> None:
    play_to_listener(scenario(name), tmp_path)


@pytest.mark.parametrize("name", [n for n in SCENARIOS if n.split("/")[1] not in ONLY_LISTENERS])
def test_settees_replicator_and_the_recorded_listener_come_to_the_logged_state(
    name: str, tmp_path: Path
) -> None:
    play_from_listener(scenario(name), tmp_path)


class Window:
    """Watches how far the sender of a blob is ahead of what was acknowledged to it."""

    def __init__(self) -> None:
        self.sent: Counter[int] = Counter()
        self.acked: Counter[int] = Counter()
        self.acks = 0

    def see(self, direction: str, frame: bytes) -> None:
        number, flags, at = read_header(frame)
        kind = flags & TYPE_MASK
        if direction == "s2c" and kind == RPY:
            self.sent[number] += len(frame) - at
            assert self.sent[number] - self.acked[number] < 128_000 + 16_384
        elif direction == "c2s" and kind == ACK_RPY:
            assert flags == ACK_RPY | URGENT | NO_REPLY
            self.acks += 1
            self.acked[number] = uvarint(frame, at)[0]
            assert self.acked[number] <= self.sent[number]
        elif direction == "c2s" and kind == MSG and number == 1:  # A new connection.
            self.sent.clear()
            self.acked.clear()


@pytest.mark.parametrize("engine", ["3.1", "4-vv"])
def test_settees_listener_sends_a_big_blob_as_it_is_acknowledged(
    engine: str, tmp_path: Path
) -> None:
    window = Window()
    play_to_listener(scenario(f"{engine}/blob-big"), tmp_path, on_frame=window.see)
    assert max(window.sent.values()) > 300_000
    assert window.acks >= 2


@pytest.mark.parametrize("engine", ["3.1", "4-vv"])
def test_settees_replicator_acknowledges_a_big_blob_as_it_comes(
    engine: str, tmp_path: Path
) -> None:
    """Without ACKs nothing after 128,000 bytes would come.

    In the recording this peer has the same blobs in documents of its own, so settee would not ask
    for them: those documents, the push of them and their author are left out.
    """
    played = scenario(f"{engine}/blob-big")
    made = [s for s in played.log.steps if isinstance(s, Edit) and s.side == "srv"]
    sync = played.log.steps[-1]
    assert isinstance(sync, Sync)
    place = DEFAULT, "down"
    dumps = {side: {place: dumped[place]} for side, dumped in played.log.final.items()}
    log = played.log._replace(authors={}, steps=(*made, sync), final=dumps)
    window = Window()
    only_down = played._replace(log=log, dialogs=played.dialogs[1:])
    play_from_listener(only_down, tmp_path, on_frame=window.see)
    assert max(window.sent.values()) > 300_000
    assert window.acks >= 2


# --- what engines of two versions refuse each other -----------------------------------------------

NOTHING = Log({}, (), {"srv": {}, "cli": {}}, {})


def mixed(name: str) -> Scenario:
    """Load an exchange that failed; of these the logs are cut off."""
    dialog = Dialog(captures.load(f"mixed/{name}").connections[0])
    return Scenario(name, NOTHING, (dialog,), {})


class Opening(Script):
    """Says what the recorded peer said until it was refused."""

    def __init__(self, link: Any, played: Scenario) -> None:
        super().__init__(link, played.dialogs[0], Holdings(played, "cli"))
        self.answers: dict[int, Reply] = {}

    async def play(self) -> None:
        self.link.attach(self)
        said = [
            item for item in self.dialog.items if isinstance(item, Said) and item.direction == "c2s"
        ]
        for item in said:
            self.connection.send_request(item.number, item.properties, item.body)
            self.flush()
        await self.until(lambda: len(self.answers) == len(said), "all answers")
        self.link.close(1000)

    def requested(self, request: Request) -> None:
        assert request.properties["Profile"] == "changes"
        assert request.no_reply, "there is nothing to be offered"

    def replied(self, reply: Reply) -> None:
        assert isinstance(reply.token, int)
        self.answers[reply.token] = reply


@pytest.mark.parametrize("name", ["c31-s4-default", "c4-s31-default"])
def test_a_peer_that_the_other_version_refused_is_served_in_its_own_dialect(
    name: str, tmp_path: Path
) -> None:
    played = mixed(name)
    dialog = played.dialogs[0]
    refused = {n for (end, n), a in dialog.answers.items() if (end, a.kind) == ("c2s", "ERR")}
    assert refused, "the recorded listener refused it"
    ours = Ours(tmp_path, VirtualLoop(), [DEFAULT], {})
    passive = ours.listener(ListenerOptions(path="s", collections=ours.collections))

    async def work() -> Opening:
        accept = await ours.ask(passive, dialog)
        assert isinstance(accept, Accept)
        agent = dialog.head.headers["user-agent"]
        mine, theirs = link_pair(ours.loop, name, user_agent=agent, server="settee")
        driver = ours.serve(accept, theirs)
        opening = Opening(mine, played)
        await opening.play()
        await driver.done.wait()
        assert driver.error is None
        return opening

    try:
        opening = ours.loop.run_until_complete(work())
    finally:
        ours.close()
    profiles = {number: dialog.requests["c2s", number].profile for number in opening.answers}
    for number, reply in opening.answers.items():
        # No checkpoint yet: the one refusal that is in order.
        assert reply.error == (profiles[number] == "getCheckpoint"), reply
        if profiles[number] == "proposeChanges":
            assert reply.body == b"[]"
        if reply.error:
            assert reply.properties == {"Error-Domain": "HTTP", "Error-Code": "404"}
    assert {"subChanges", "proposeChanges"} <= {profiles[number] for number in refused}


class Refusing(Script):
    """Gives to each request the refusal that the recorded peer got."""

    def requested(self, request: Request) -> None:
        self.with_collections = "collection" in request.properties
        assert not self.with_collections
        recorded = next(a for a in self.dialog.answers.values() if a.kind == "ERR")
        self.send_answer(request.number, recorded)


def test_a_listener_that_refuses_the_old_dialect_is_spoken_to_in_the_new_one(
    tmp_path: Path,
) -> None:
    played = mixed("c31-s4-default")
    loop = VirtualLoop()
    ours = Ours(tmp_path / "ours", loop, [DEFAULT], {})
    theirs_db = Ours(tmp_path / "theirs", loop, [DEFAULT], {})
    passive = theirs_db.listener(ListenerOptions(path="s", collections=theirs_db.collections))
    refusing: list[Refusing] = []
    openings: list[bytes] = []

    async def dialer(plan: DialPlan) -> Link:
        number = len(openings)
        mine, theirs = link_pair(
            loop, f"refused {number}", user_agent=plan.user_agent, server="other"
        )
        frames: list[bytes] = []
        openings.append(b"")

        def seen(frame: bytes) -> None:
            frames.append(frame)
            openings[number] = frames[0]

        mine.on_frame = seen
        if number == 0:  # The recorded 4.x listener refuses.
            refusing.append(Refusing(theirs, played.dialogs[0], Holdings(played, "srv")))
            theirs.attach(refusing[0])
        else:
            theirs.attach(passive.accept(theirs))
        return mine

    options = ReplicatorOptions(
        targets=(Target(False, "192.0.2.1", 80, "s"),),
        collections=(CollectionName.parse(DEFAULT),),
        trust=Trust(),
    )
    peer = ActivePeer(ours.db, options, ours.runtime, dialer=dialer)
    ours.db.default_collection["apples"] = {"n": 1}

    async def work() -> None:
        await peer.start()
        await peer.finished()
        await asyncio.sleep(1)

    try:
        loop.run_until_complete(work())
        assert theirs_db.db.default_collection["apples"]["n"] == 1
    finally:
        theirs_db.db.close()
        ours.close()
    assert peer.status.value.error is None
    assert not refusing[0].faults
    assert refusing[0].closed is not None
    assert [b"getCollections" in frame for frame in openings] == [False, True]
    assert refusing[0].closed.code == 4002
