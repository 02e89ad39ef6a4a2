"""Guessing passwords is made slow: a few failures are free, after them each try has to wait.

Counted per address and user. Who waits is not told apart from who is checked at once, and nothing
is hashed meanwhile. Works with the time that it is given; knows no clock.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from settee.limits import (
    LOGIN_DELAY_S,
    LOGIN_DELAY_S_MAX,
    LOGIN_FAILURES_MAX,
    LOGIN_WINDOW_S,
    LOGINS_WATCHED_MAX,
)

__all__ = ["LoginGuard"]


class _Watched:
    """The tries of one user from one address."""

    __slots__ = ("failed_at", "next_at")

    def __init__(self) -> None:
        self.failed_at: list[float] = []
        self.next_at = 0.0
        """When the next try may be made."""


class LoginGuard:
    """Says how long a login has to wait. Remembers the 4,096 that failed last."""

    def __init__(self) -> None:
        self._watched: Final[OrderedDict[tuple[str, str], _Watched]] = OrderedDict()

    def wait_s(self, address: str, user: str, now: float) -> float | None:
        """Return how many seconds a try has to wait, and count it as made then.

        None if that would be more than 8 s: too many are waiting, come back later.
        """
        watched = self._watched.get((address, user))
        if watched is None:
            return 0.0
        watched.failed_at = [at for at in watched.failed_at if now - at < LOGIN_WINDOW_S]
        if len(watched.failed_at) < LOGIN_FAILURES_MAX:
            return 0.0
        at = max(watched.next_at, now + LOGIN_DELAY_S)
        if at - now > LOGIN_DELAY_S_MAX:
            return None
        watched.next_at = at + LOGIN_DELAY_S
        return at - now

    def failed(self, address: str, user: str, now: float) -> None:
        """Count a failure."""
        key = (address, user)
        watched = self._watched.pop(key, None) or _Watched()
        self._watched[key] = watched
        watched.failed_at = [*watched.failed_at[-LOGIN_FAILURES_MAX:], now]
        if len(self._watched) > LOGINS_WATCHED_MAX:
            self._watched.popitem(last=False)

    def succeeded(self, address: str, user: str) -> None:
        """Forget the failures: it was the user after all."""
        self._watched.pop((address, user), None)
