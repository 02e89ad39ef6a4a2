"""Five failures are free, then each try waits its turn."""

from __future__ import annotations

from settee.limits import (
    LOGIN_DELAY_S,
    LOGIN_DELAY_S_MAX,
    LOGIN_FAILURES_MAX,
    LOGIN_WINDOW_S,
    LOGINS_WATCHED_MAX,
)
from settee.peer.logins import LoginGuard

WHO = ("192.0.2.7", "bob")


def failing(count: int, now: float = 0.0) -> LoginGuard:
    guard = LoginGuard()
    for _ in range(count):
        guard.failed(*WHO, now)
    return guard


def test_failures_up_to_the_limit_cost_nothing() -> None:
    assert failing(0).wait_s(*WHO, 0) == 0
    assert failing(LOGIN_FAILURES_MAX - 1).wait_s(*WHO, 0) == 0
    assert failing(LOGIN_FAILURES_MAX).wait_s(*WHO, 0) == LOGIN_DELAY_S


def test_after_that_each_try_has_a_turn_of_its_own_until_there_are_too_many() -> None:
    guard = failing(LOGIN_FAILURES_MAX)
    waits = [guard.wait_s(*WHO, 0) for _ in range(500)]
    turns = int(LOGIN_DELAY_S_MAX / LOGIN_DELAY_S)
    assert waits[:turns] == [LOGIN_DELAY_S * n for n in range(1, turns + 1)]
    assert set(waits[turns:]) == {None}
    assert guard.wait_s(*WHO, LOGIN_DELAY_S_MAX) == LOGIN_DELAY_S, "the queue has moved on"


def test_others_are_not_held_up() -> None:
    guard = failing(100)
    assert guard.wait_s("192.0.2.8", "bob", 0) == 0
    assert guard.wait_s("192.0.2.7", "alice", 0) == 0


def test_a_minute_or_the_right_password_clears_the_record() -> None:
    guard = failing(100, now=10.0)
    assert guard.wait_s(*WHO, 10 + LOGIN_WINDOW_S - 1) == LOGIN_DELAY_S
    assert guard.wait_s(*WHO, 10 + LOGIN_WINDOW_S) == 0
    guard = failing(100)
    guard.succeeded(*WHO)
    assert guard.wait_s(*WHO, 0) == 0


def test_what_is_remembered_is_bounded() -> None:
    guard = failing(LOGIN_FAILURES_MAX)
    for n in range(LOGINS_WATCHED_MAX):
        guard.failed("192.0.2.9", f"user{n}", 0)
    assert len(guard._watched) == LOGINS_WATCHED_MAX
    assert guard.wait_s(*WHO, 0) == 0, "the oldest made room"
