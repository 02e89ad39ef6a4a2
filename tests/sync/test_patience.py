from __future__ import annotations

import pytest

from settee.limits import REPLY_TIMEOUT_S, RETRY_WAIT_S_MAX
from settee.sync.events import Activity
from settee.sync.patience import Patience
from tests.sync.peers import (
    Driven,
    MemoryStorage,
    ScriptedPeer,
    Two,
    active,
    opened,
    passive,
)


def test_an_answer_must_come_in_time() -> None:
    patience = Patience(0.0)
    patience.expect("a", 10.0)
    patience.expect("b", 20.0)
    assert patience.expects_answers
    assert patience.deadline(waits=False, stays=False) == 10.0 + REPLY_TIMEOUT_S
    patience.answered("a")
    assert patience.deadline(waits=False, stays=False) == 20.0 + REPLY_TIMEOUT_S
    assert patience.verdict(19.9 + REPLY_TIMEOUT_S, waits=False, stays=False) is None
    error = patience.verdict(20.0 + REPLY_TIMEOUT_S, waits=False, stays=False)
    assert error is not None
    assert (error.domain, error.code, error.transient) == ("Network", 3, True)
    patience.answered("b")
    assert patience.deadline(waits=False, stays=False) is None


def test_silence_counts_only_while_it_is_the_peers_turn() -> None:
    patience = Patience(0.0)
    assert patience.deadline(waits=False, stays=True) is None
    assert patience.deadline(waits=True, stays=True) == REPLY_TIMEOUT_S
    patience.heard(5.0)
    assert patience.deadline(waits=True, stays=True) == 5.0 + REPLY_TIMEOUT_S


def test_our_own_slow_disk_is_not_the_peers_silence() -> None:
    patience = Patience(0.0)
    patience.own_work(True, 10.0)
    assert patience.deadline(waits=True, stays=False) is None
    patience.own_work(True, 50.0)
    patience.own_work(False, 110.0)
    assert patience.deadline(waits=True, stays=False) == 100.0 + REPLY_TIMEOUT_S
    patience.own_work(False, 200.0)
    assert patience.deadline(waits=True, stays=False) == 100.0 + REPLY_TIMEOUT_S


def test_what_was_heard_during_own_work_is_not_heard_in_the_future() -> None:
    patience = Patience(0.0)
    patience.own_work(True, 0.0)
    patience.heard(30.0)
    patience.own_work(False, 40.0)
    assert patience.deadline(waits=True, stays=False) == 40.0 + REPLY_TIMEOUT_S


def test_what_was_held_back_is_tried_again_by_those_who_stay() -> None:
    patience = Patience(0.0)
    patience.held_back(7.0)
    patience.held_back(70.0)
    assert patience.deadline(waits=False, stays=False) is None
    assert patience.deadline(waits=False, stays=True) == 7.0 + RETRY_WAIT_S_MAX
    error = patience.verdict(7.0 + RETRY_WAIT_S_MAX, waits=False, stays=True)
    assert error is not None
    assert error.transient


@pytest.mark.parametrize("continuous", [True, False])
def test_a_peer_that_never_sends_what_it_announced_is_left(continuous: bool) -> None:
    driven = Driven(active(push=False, continuous=continuous), MemoryStorage("a"))
    peer = opened(driven)
    peer.reply(peer.take("subChanges"))
    peer.send("changes", [[7, "doc", "1-aa"]])
    peer.send("changes", [], no_reply=True)
    peer.run()
    assert driven.session.activity is Activity.BUSY
    driven.elapse(REPLY_TIMEOUT_S - 1)
    assert driven.finished is None
    peer.send("changes", [], no_reply=True)  # A sign of life.
    peer.run()
    driven.elapse(REPLY_TIMEOUT_S - 1)
    peer.run()
    assert driven.finished is None
    driven.elapse(1)
    peer.run()
    assert driven.finished is not None
    assert driven.finished.close_code == 4001
    assert driven.storage.own == {}


def test_an_idle_session_waits_for_ever_and_then_has_its_full_patience() -> None:
    a, b = (
        Driven(active(continuous=True), MemoryStorage("a")),
        Driven(passive(), MemoryStorage("b")),
    )
    two = Two(a, b)
    a.start()
    two.run()
    assert a.session.next_deadline() is None
    a.elapse(86_400)
    a.save("doc", {})
    a.work()
    a.elapse(REPLY_TIMEOUT_S - 1)
    two.run()
    assert a.finished is None
    assert b.storage.contents() == a.storage.contents()
    assert b.session.next_deadline() is None


def test_a_passive_session_leaves_the_peer_its_time() -> None:
    storage = MemoryStorage("b")
    storage.fill(3)
    driven = Driven(passive(), storage)
    peer = ScriptedPeer(driven)
    peer.ask("subChanges", continuous="true")
    peer.take("changes")
    driven.elapse(86_400)
    assert driven.session.next_deadline() is None
    assert driven.finished is None


@pytest.mark.regression("clocks apart")
def test_clocks_that_disagree_delay_documents_and_lose_none() -> None:
    left, right = MemoryStorage("a"), MemoryStorage("b", marks=False)
    left.fill(5)
    right.fill(5, prefix="other")
    right.time_max = left.time_max = 0  # Each takes the other to be far in the future.
    a, b = Driven(active(continuous=True), left), Driven(passive(), right)
    two = Two(a, b)
    a.start()
    two.run()
    assert len(a.failures) == 10
    assert a.session.activity is Activity.IDLE
    right.time_max = left.time_max = 2**62
    a.elapse(RETRY_WAIT_S_MAX)
    assert a.finished is not None
    assert a.finished.close_code == 4001
    again = Two(Driven(active(continuous=True), left), Driven(passive(), right))
    again.a.start()
    again.run()
    assert left.contents() == right.contents()
    assert len(left.contents()) == 10
    assert again.a.failures == []
