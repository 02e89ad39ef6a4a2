"""Plays a scenario against settee, and compares where both ends come to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, Literal

from settee.errors import SyncError
from settee.ids import CollectionName
from settee.net.acceptor import Accept, Refuse
from settee.net.dialer import DialPlan
from settee.net.link import Link
from settee.net.tls import Trust
from settee.peer.active import ActivePeer, ReplicatorOptions
from settee.peer.authenticators import ListenerPasswordAuthenticator
from settee.peer.doorkeeper import Keys
from settee.peer.driver import SessionDriver
from settee.peer.hooks import CollectionConfig
from settee.peer.passive import ListenerOptions
from settee.peer.target import Target
from tests.replay.active import Played, ScriptedPeer
from tests.replay.log import Dumped, Edit, Key, Side, Sync, canonical
from tests.replay.ours import Ours
from tests.replay.passive import ScriptedListener, Serving
from tests.replay.recording import DEFAULT, Dialog, Scenario
from tests.simulation.links import SimLink, link_pair
from tests.simulation.loop import VirtualLoop

__all__ = ["compare", "ours_for", "play_from_listener", "play_to_listener"]

OnFrame = Callable[[str, bytes], None]

_UNAUTHORIZED: Final = (6, 401)
"""Domain ``WebSocket`` and code in a log."""


def _unseen(direction: str, frame: bytes) -> None:
    pass


@contextlib.contextmanager
def ours_for(played: Scenario, side: Side, directory: Path) -> Iterator[Ours]:
    """Open a database with the collections that one side of a scenario has."""
    paths = {path for path, _ in played.log.final[side]}
    if side == "cli":
        paths.update(path for dialog in played.dialogs for path in dialog.collections)
    ours = Ours(
        directory,
        VirtualLoop(),
        sorted(paths or {DEFAULT}),
        played.blobs,
        names=played.names,
        author=played.log.authors.get(side, ""),
    )
    try:
        yield ours
    finally:
        ours.close()


def compare(
    end: dict[tuple[str, str], Dumped], logged: dict[tuple[str, str], Dumped], *, branches: bool
) -> None:
    """Assert that an end of a replay is what the log's dump says.

    `branches` false: of an end that keeps no revisions beside the current one.
    """
    assert sorted(end) == sorted(logged)
    for place, expected in logged.items():
        got = end[place]
        assert got.tid == expected.tid, place
        assert got.deleted == expected.deleted, place
        assert got.body == expected.body, place
        if branches:
            assert got.conflicted == expected.conflicted, place
        if branches or not expected.conflicted:
            assert sorted(got.tree) == sorted(expected.tree), place


def play_to_listener(
    played: Scenario,
    directory: Path,
    *,
    on_frame: OnFrame = _unseen,
) -> None:
    """Play the recorded active peer of a scenario to a settee listener.

    What the recorded listener took as a branch beside its own, settee's resolves: there its end has
    to be what the engine's own default rule would choose, and know both revisions.
    `on_frame`: sees each frame as it is sent, with its direction.
    """
    peer = ScriptedPeer(played)
    with ours_for(played, "srv", directory) as ours:
        passive = ours.listener(
            ListenerOptions(
                path=played.dialogs[0].head.target.strip("/").removesuffix("/_blipsync"),
                collections=ours.collections,
                keys=Keys(password=_authenticator(played)),
            )
        )
        dialogs = iter(played.dialogs)
        for step in played.log.steps:
            if isinstance(step, Edit):
                (ours if step.side == "srv" else peer.holdings).edit(step)
                continue
            dialog = next(dialogs)
            accept = ours.loop.run_until_complete(ours.ask(passive, dialog))
            if dialog.status == 401:
                assert isinstance(accept, Refuse)
                assert accept.status == 401
                assert step.error == _UNAUTHORIZED
                continue
            assert isinstance(accept, Accept)
            assert accept.subprotocol == dialog.subprotocol
            mine, theirs = _links(ours, dialog, "settee", on_frame)
            connection = Played(peer, mine, dialog, step, ours.edit)
            driver = ours.serve(accept, theirs)
            ours.loop.run_until_complete(_play(connection, driver))
            _check_played(connection, driver, dialog, step)
        assert next(dialogs, None) is None
        end, logged = ours.dumped(), played.log.final["srv"]
        for place in [place for place, dumped in logged.items() if dumped.conflicted]:
            _compare_resolved(ours, played, place, logged[place])
            del end[place]
        closed = {place: dumped for place, dumped in logged.items() if not dumped.conflicted}
        compare(end, closed, branches=False)
    compare(peer.holdings.dumped(), played.log.final["cli"], branches=True)


def _links(
    ours: Ours, dialog: Dialog, server: str, on_frame: OnFrame, *, user_agent: str = ""
) -> tuple[SimLink, SimLink]:
    active, passive = link_pair(
        ours.loop,
        "replay",
        user_agent=user_agent or dialog.head.headers["user-agent"],
        server=server,
        subprotocol=dialog.subprotocol,
    )
    active.on_frame = partial(on_frame, "c2s")
    passive.on_frame = partial(on_frame, "s2c")
    return active, passive


async def _play(connection: Played, driver: SessionDriver) -> None:
    await connection.play()
    await driver.done.wait()


def _check_played(
    connection: Played,
    driver: SessionDriver,
    dialog: Dialog,
    sync: Sync,
) -> None:
    assert driver.error is None
    replicated = sync.replicated
    assert connection.replicated == replicated
    assert connection.failed == sync.failed
    assert connection.asked_blobs == {
        said.properties["digest"]
        for (end, _), said in dialog.requests.items()
        if end == "s2c" and said.profile == "getAttachment"
    }
    pulled = sum(one.direction == "pull" for one in replicated)
    assert driver.session.progress.pushed == pulled
    assert driver.session.progress.pulled == len(replicated) - pulled


def _authenticator(played: Scenario) -> ListenerPasswordAuthenticator | None:
    if all(dialog.status == 101 for dialog in played.dialogs):
        return None
    return ListenerPasswordAuthenticator(lambda user, word: (user, word) == ("joe", "s3cret"))


# --- the other way round ------------------------------------------------------------------------


def play_from_listener(played: Scenario, directory: Path, *, on_frame: OnFrame = _unseen) -> None:
    """Let a settee replicator do what the recorded active peer of a scenario did.

    Conflicts that the recorded peer left open, settee resolves: there its end has to be what the
    engine's own default rule would choose, and know both revisions.
    """
    listener = ScriptedListener(played)
    with ours_for(played, "cli", directory) as ours:
        dialogs = iter(played.dialogs)
        for step in played.log.steps:
            if isinstance(step, Edit):
                _edit_for(ours, listener, step)
            else:
                dialog = next(dialogs)
                ours.loop.run_until_complete(_replicate(ours, listener, dialog, step, on_frame))
        assert next(dialogs, None) is None
        end, logged = ours.dumped(), played.log.final["cli"]
        open_ = {place: dumped for place, dumped in logged.items() if dumped.conflicted}
        for place, dumped in open_.items():
            _compare_resolved(ours, played, place, dumped)
        closed = {place: dumped for place, dumped in end.items() if place not in open_}
        compare(closed, {p: d for p, d in logged.items() if p not in open_}, branches=True)
    there = listener.holdings.dumped()
    last = played.log.steps[-1]
    assert isinstance(last, Sync)
    if last.push:  # What settee resolved it has pushed.
        for place in open_:
            got = there.pop(place)
            assert got.tid == end[place].tid
            assert got.body == end[place].body
    compare(there, {p: d for p, d in played.log.final["srv"].items() if p in there}, branches=True)


def _edit_for(ours: Ours, listener: ScriptedListener, edit: Edit) -> None:
    if edit.side == "srv":
        listener.holdings.edit(edit)
        return
    held = ours.held(edit.collection, edit.doc_id)
    assert held is not None or ours.names.may_be_first(edit.tid)
    ours.edit(edit)


def _compare_resolved(ours: Ours, played: Scenario, place: tuple[str, str], logged: Dumped) -> None:
    held = ours.held(*place)
    assert held is not None
    unknown = [tid for tid in logged.tree if not ours.names.holds(held, tid)]
    assert not unknown, f"{held} of {place} knows nothing of {unknown}"
    winner = Key(*place, ours.names.stands(logged.tree))
    assert ours.dumped()[place].body == canonical(played.log.bodies[winner])


async def _replicate(
    ours: Ours, listener: ScriptedListener, dialog: Dialog, sync: Sync, on_frame: OnFrame
) -> None:
    serving: list[Serving] = []

    async def dialer(plan: DialPlan) -> Link:
        assert dialog.subprotocol in plan.subprotocols, plan
        mine, theirs = _links(ours, dialog, "CouchbaseLite", on_frame, user_agent=plan.user_agent)
        serving.append(Serving(listener, theirs, dialog, sync))
        playing.append(asyncio.ensure_future(serving[0].play()))
        return mine

    playing: list[asyncio.Future[None]] = []
    peer = ActivePeer(ours.db, _options(dialog, sync), ours.runtime, dialer=dialer)
    await peer.start()
    await asyncio.sleep(1)
    for edit in sync.live_edits:
        if edit.side == "srv":
            serving[0].edit(edit)
        else:
            ours.edit(edit)
        await asyncio.sleep(1)
    if sync.continuous:
        await peer.stop()
    await playing[0]
    await peer.finished()
    _check_result(ours, peer, serving[0], sync)


def _options(dialog: Dialog, sync: Sync) -> ReplicatorOptions:
    both: Literal["push_and_pull", "push", "pull"] = "push_and_pull"
    if sync.push != sync.pull:
        both = "push" if sync.push else "pull"
    paths = tuple(CollectionName.parse(path) for path in dialog.collections)
    return ReplicatorOptions(
        targets=(Target(False, "192.0.2.1", 80, "recorded"),),
        replicator_type=both,
        continuous=sync.continuous,
        delta_sync=sync.deltas,
        collections=paths,
        configs=tuple(
            CollectionConfig(collection=path.path, document_ids=_chosen(dialog)) for path in paths
        ),
        trust=Trust(),
        max_attempts=1,
    )


def _chosen(dialog: Dialog) -> list[str] | None:
    """Return the documents to which a recorded pull was restricted, None if it was not."""
    chosen = [
        said.json["docIDs"]
        for (end, _), said in dialog.requests.items()
        if (end, said.profile) == ("c2s", "subChanges") and said.body
    ]
    return chosen[0] if chosen else None


def _check_result(ours: Ours, peer: ActivePeer, serving: Serving, sync: Sync) -> None:
    error = peer.status.value.error
    if sync.error is None:
        assert error is None
    else:
        assert isinstance(error, SyncError)
        assert error.code == sync.error[1]
    pushed = {(key.doc_id, key.tid) for key in serving.pushed}
    logged = {(one.doc_id, one.tid) for one in sync.replicated if one.direction == "push"}
    for key in serving.resolutions:  # In the place of what the recorded peer said of its conflict.
        held = ours.held(key.collection, key.doc_id)
        assert held is not None
        pushed.remove((key.doc_id, ours.names.of(held).name))
        logged = {one for one in logged if one[0] != key.doc_id}
    assert pushed == logged
    assert {(e.doc_id, e.pushed, getattr(e.error, "code", 0)) for e in peer.errors} == {
        (one.doc_id, True, int(one.error.partition("/")[2]))
        for one in sync.failed
        if one.direction == "push"
    }
    progress = peer.status.value.progress
    assert progress.pushed == len(serving.pushed)
    assert progress.pulled == len(serving.pulled)
