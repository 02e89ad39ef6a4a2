"""What a replay notices: recordings changed in one place, which settee can't come up to."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.replay.log import Dumped, Replicated, Side, Sync
from tests.replay.play import play_from_listener, play_to_listener
from tests.replay.recording import Said, Scenario, scenario

Change = Callable[[Scenario], Scenario]


def with_final(side: Side, change: Callable[[Dumped], Dumped]) -> Change:
    """Change the first document of one of the dumps."""

    def changed(played: Scenario) -> Scenario:
        dumps = dict(played.log.final[side])
        place = next(iter(dumps))
        dumps[place] = change(dumps[place])
        return played._replace(
            log=played.log._replace(final={**played.log.final, side: dumps}),
        )

    return changed


def with_answer(profile: str, change: Callable[[Said], Said], *, at: int = 0) -> Change:
    """Change the first recorded answer to a request of this kind in a connection."""
    return _with_said("answers", profile, change, at)


def with_request(profile: str, change: Callable[[Said], Said], *, at: int = 0) -> Change:
    """Change the first recorded request of this kind in a connection."""
    return _with_said("requests", profile, change, at)


def with_rev(change: Callable[[dict[str, str]], dict[str, str]], *, at: int = 0) -> Change:
    """Change the properties of the first recorded `rev` in a connection."""
    return with_request(
        "rev", lambda said: said._replace(properties=change(dict(said.properties))), at=at
    )


def _with_said(where: str, profile: str, change: Callable[[Said], Said], at: int) -> Change:
    def changed(played: Scenario) -> Scenario:
        dialog = copy.copy(played.dialogs[at])
        key = next(key for key, said in dialog.requests.items() if said.profile == profile)
        all_said: dict[tuple[str, int], Said] = getattr(dialog, where)
        object.__setattr__(dialog, where, {**all_said, key: change(all_said[key])})
        return played._replace(dialogs=(*played.dialogs[:at], dialog, *played.dialogs[at + 1 :]))

    return changed


def with_sync(change: Callable[[Sync], Sync]) -> Change:
    """Change what the recorded peer reported of its first sync."""

    def changed(played: Scenario) -> Scenario:
        steps = [change(s) if isinstance(s, Sync) else s for s in played.log.steps]
        return played._replace(log=played.log._replace(steps=tuple(steps)))

    return changed


OTHER = "1-" + "0" * 40
OTHER_VERSION = "18ea99b9960b0000@AAAAAAAAAAAAAAAAAAAAAQ"


def with_rows(change: Callable[[Any], Any]) -> Callable[[Said], Said]:
    """Change the body of a message, which is JSON."""
    return lambda said: said._replace(body=json.dumps(change(said.json)).encode())


DEPARTURES: dict[str, tuple[str, Change, str]] = {
    "another current revision here": (
        "3.1/pull3",
        with_final("srv", lambda d: d._replace(tid=OTHER)),
        "alice.*\n.*1-6ad1.* == '1-0000",
    ),
    "another body here": (
        "3.1/push3",
        with_final("srv", lambda d: d._replace(body="{}")),
        "alice.*\n.* == '{}'",
    ),
    "a tombstone here": (
        "3.1/push3",
        with_final("srv", lambda d: d._replace(deleted=True)),
        "alice.*\n.*False == True",
    ),
    "other ancestors here": (
        "3.1/blob-push",
        with_final("srv", lambda d: d._replace(tree=(*d.tree, OTHER))),
        "second.*\n.* == \\['1-0000",
    ),
    "another current revision there": (
        "3.1/pull3",
        with_final("cli", lambda d: d._replace(tid=OTHER)),
        "alice.*\n.*1-6ad1.* == '1-0000",
    ),
    "a conflict that is not there": (
        "3.1/pushpull",
        with_final("cli", lambda d: d._replace(conflicted=True)),
        "alice.*\n.*False == True",
    ),
    "another status for a proposal": (
        "3.1/push3",
        with_answer("proposeChanges", lambda said: said._replace(body=b"[304]")),
        r"got \[\], recorded \[304\]",
    ),
    "an error in the place of a checkpoint's revision": (
        "3.1/push3",
        with_answer("setCheckpoint", lambda said: said._replace(kind="ERR")),
        "setCheckpoint.* got .*1-cc",
    ),
    "another blob": (
        "3.1/blob-pull",
        with_answer("getAttachment", lambda said: said._replace(body=b"other")),
        "another blob for",
    ),
    "another history in a revision": (
        "3.1/blob-pull",
        with_rev(lambda properties: {**properties, "history": OTHER}),
        "'history': '1-81be.*recorded with.*'history': '1-0000",
    ),
    "a revision that was a tombstone": (
        "3.1/pull3",
        with_rev(lambda properties: {**properties, "deleted": "1"}),
        "recorded with .*'deleted'",
    ),
    "a revision that was not offered": (
        "3.1/pull3",
        with_rev(lambda properties: {**properties, "id": "other"}),
        "alice.* was never asked for",
    ),
    "a document that was not replicated": (
        "3.1/push3",
        with_sync(lambda s: s._replace(replicated=s.replicated | {Replicated("push", "x", OTHER)})),
        "right set:\n.*doc_id='x'",
    ),
    "a conflict that was told of": (
        "3.1/conflict-new",
        with_sync(lambda s: s._replace(failed=frozenset())),
        "left set:\n.*doc_id='c1'.*WebSocket/409",
    ),
    "another version here": (
        "4-vv/pull3",
        with_final("srv", lambda d: d._replace(tid=OTHER_VERSION)),
        "alice.*\n.*18ea99b5c84c.* == '18ea99b9960b",
    ),
    "an author who is missing in a vector here": (
        "4-vv/delta",
        with_final("srv", lambda d: d._replace(tree=d.tree[:1])),
        r"art'\)\n.*\n.*\n.*'18ea99b75cf40000@7\+",
    ),
    "an author who is missing in a vector there": (
        "4-vv/delta",
        with_final("cli", lambda d: d._replace(tree=d.tree[:1])),
        r"art'\)\n.*\n.*\n.*'18ea99b75cf40000@7\+",
    ),
    "another vector in a refusal": (
        "4-vv/conflict",
        with_answer(
            "proposeChanges",
            with_rows(lambda rows: [{**rows[0], "rev": rows[0]["rev"].split(";")[0]}]),
            at=1,
        ),
        r"got \[.*@UAw43SNtT.*; 18ea99b9960b0000@Z2wr.*\], recorded",
    ),
    "another vector in a revision": (
        "4-vv/conflict",
        with_rev(lambda properties: {**properties, "history": OTHER_VERSION}, at=2),
        "'history': '18ea99b9960b0000@Z2wr.*recorded with.*'history': '18ea99b9960b0000@AAAA",
    ),
    "a reply that does not tell what it takes": (
        "4-vv/push3",
        with_answer(
            "proposeChanges",
            lambda said: said._replace(properties={**said.properties, "sendReplacementRevs": "2"}),
        ),
        "sendReplacementRevs",
    ),
}


@pytest.mark.parametrize("departure", DEPARTURES)
def test_a_replay_to_a_listener_notices(departure: str, tmp_path: Path) -> None:
    name, change, says = DEPARTURES[departure]
    with pytest.raises(AssertionError, match=says):
        play_to_listener(change(scenario(name)), tmp_path)


FROM_LISTENERS: dict[str, tuple[str, Change, str]] = {
    "another current revision here": (
        "3.1/pull3",
        with_final("cli", lambda d: d._replace(tid=OTHER)),
        "alice.*\n.*1-6ad1.* == '1-0000",
    ),
    "another current revision there": (
        "3.1/push3",
        with_final("srv", lambda d: d._replace(tid=OTHER)),
        "alice.*\n.*1-6ad1.* == '1-0000",
    ),
    "another answer to an offer": (
        "3.1/pull3",
        with_answer("changes", lambda said: said._replace(body=b"[0,[],[]]")),
        r"alice.* got \[\], recorded 0",
    ),
    "another history in a revision": (
        "3.1/blob-push",
        with_rev(lambda properties: {**properties, "history": OTHER}),
        "'history': '2-a28b.*recorded with.*'history': '1-0000",
    ),
    "a document that was not pushed": (
        "3.1/push3",
        with_sync(lambda s: s._replace(replicated=s.replicated | {Replicated("push", "x", OTHER)})),
        "right set:\n.*'x'",
    ),
    "an error that was told of": (
        "3.1/conflict-new",
        with_sync(lambda s: s._replace(failed=frozenset())),
        "left set:\n.*'c1', True, 409",
    ),
    "the error that a missing collection is": (
        "3.1/collections",
        with_sync(lambda s: s._replace(error=None)),
        "no collection inv.nosuch",
    ),
    "an author who is missing in a vector here": (
        "4-vv/delta",
        with_final("cli", lambda d: d._replace(tree=d.tree[:1])),
        r"art'\)\n.*\n.*\n.*'18ea99b75cf40000@7\+",
    ),
    "another author": (
        "4-vv/push3",
        with_request(
            "getCollections",
            lambda said: said._replace(properties={**said.properties, "uuid": "somebody"}),
        ),
        "'uuid': '1f59b48d-.*recorded somebody",
    ),
    "another parent of a proposal": (
        "4-vv/delta",
        with_request("proposeChanges", with_rows(lambda rows: [[*rows[0][:2], "", 9]]), at=1),
        r"18ea99b71d970000@XCGK.*recorded \['art', '18ea99b73d9a0001@XCGK[^,]*', '', 9",
    ),
    "another version in an answer to an offer": (
        "4-vv/conflict",
        with_answer("changes", with_rows(lambda rows: [[*rows[0], OTHER_VERSION]]), at=2),
        r"c1.* got \['18ea99b9be990001@Z2wr.*recorded .*@AAAA",
    ),
}


@pytest.mark.parametrize("departure", FROM_LISTENERS)
def test_a_replay_from_a_listener_notices(departure: str, tmp_path: Path) -> None:
    name, change, says = FROM_LISTENERS[departure]
    with pytest.raises(AssertionError, match=says):
        play_from_listener(change(scenario(name)), tmp_path)


def test_a_replay_waits_in_vain_for_what_never_comes(tmp_path: Path) -> None:
    played = scenario("3.1/pull3")
    steps = tuple(step for step in played.log.steps if getattr(step, "doc_id", "") != "doc-3")
    fewer = played._replace(log=played.log._replace(steps=steps))
    with pytest.raises(AssertionError, match=r"waited in vain for rev .*doc-3"):
        play_to_listener(fewer, tmp_path)
