"""What the end of a link means to the peer that held it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from settee import Activity, ConnectionFailedError, SyncError
from settee.net.link import CloseInfo
from settee.peer.driver import _error_of_close
from tests.simulation.world import world


@pytest.mark.parametrize(
    ("code", "active", "transient"),
    [
        (1000, True, False),
        (1001, True, False),
        (1002, True, False),
        (1011, True, False),
        (4002, True, False),
        (4001, True, True),
        (1006, True, True),
        (1006, False, True),
    ],
)
def test_a_close_by_the_peer_is_an_error_that_may_or_may_not_pass(
    code: int, active: bool, transient: bool
) -> None:
    error = _error_of_close(CloseInfo(code=code, reason="why", by_peer=True), active)
    assert isinstance(error, SyncError)
    assert error.transient is transient


@pytest.mark.parametrize("code", [1000, 1001])
def test_an_active_peer_that_says_goodbye_is_no_error_to_the_listener(code: int) -> None:
    assert _error_of_close(CloseInfo(code=code, by_peer=True), False) is None


def test_what_the_link_says_went_wrong_is_told_as_it_is() -> None:
    lost = ConnectionFailedError("the cable was pulled")
    assert _error_of_close(CloseInfo(code=1006, error=lost), True) is lost


def test_a_peer_that_talks_nonsense_is_shut_out_and_the_listener_goes_on(tmp_path: Path) -> None:
    with world(tmp_path, 1) as w:
        a, b = w.peer("a"), w.peer("b")
        replicator = a.dial(b, continuous=True)
        w.start(replicator)
        w.settle()
        a.links[-1].send([b"\x05\x00junk"])
        w.elapse(1)
        assert replicator.status.value.activity is Activity.STOPPED
        assert "1002" in str(replicator.status.value.error)
        a.db.default_collection["after"] = {"n": 1}
        w.sync(a.dial(b))
        assert b.db.default_collection["after"]["n"] == 1


def test_local_changes_by_another_handle_reach_the_peer(tmp_path: Path) -> None:
    with world(tmp_path, 2) as w:
        a, b = w.peer("a"), w.peer("b")
        w.start(a.dial(b, continuous=True))
        w.settle()
        b.db.default_collection["x"] = {"n": 1}
        a.db.default_collection["y"] = {"n": 2}
        w.elapse(1)
        assert a.contents() == b.contents()
        assert len(a.contents()) == 2


@pytest.mark.regression("link left open by a bug")
@pytest.mark.parametrize("side", ["active", "passive"])
def test_a_bug_of_ours_ends_the_session_and_says_so(
    tmp_path: Path, side: str, caplog: pytest.LogCaptureFixture
) -> None:
    with world(tmp_path, side) as w:
        a, b = w.peer("a"), w.peer("b")
        replicator = a.dial(b, continuous=True)
        w.start(replicator)
        w.settle()
        driver = replicator._driver if side == "active" else b.passive.connections[0]._driver
        assert driver is not None

        def broken(*_: object) -> None:
            raise AssertionError("planted")

        driver.session.receive = broken  # type: ignore[method-assign]
        (a if side == "passive" else b).db.default_collection["x"] = {"n": 1}
        w.elapse(1)
        assert "planted" in caplog.text
        assert b.passive.connections == ()
        error = replicator.status.value.error
        assert error is not None
        assert ("planted" in str(error)) is (side == "active")


class Witness:
    """A session that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def answer(self, answers: list[tuple[int, object]], now: float) -> None:
        self.told.append(list(answers))

    def local_changed(self, changed: list[int], now: float) -> None:
        self.told.append(changed)


def test_what_workers_have_to_tell_reaches_the_session_in_order_and_in_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world(tmp_path, 1) as w:
        a, b = w.peer("a"), w.peer("b")
        replicator = a.dial(b, continuous=True)
        w.start(replicator)
        w.settle()
        driver = replicator._driver
        assert driver is not None
        witness, steps = Witness(), list[int]()
        monkeypatch.setattr(driver, "session", witness)
        monkeypatch.setattr(driver, "_after", lambda: steps.append(1))
        with ThreadPoolExecutor(1) as thread:  # They come from other threads.
            told: list[Any] = [(1, "a"), (2, "b"), [0], (3, "c")]
            for item in told:
                thread.submit(driver._post, item).result()
        assert witness.told == []
        w.elapse(0.001)
        assert witness.told == [[(1, "a"), (2, "b")], [0], [(3, "c")]]
        assert len(steps) == 1
        driver._post((4, "d"))
        w.elapse(0.001)
        assert witness.told[-1] == [(4, "d")]
        monkeypatch.undo()
