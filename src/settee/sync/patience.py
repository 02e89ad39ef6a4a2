"""How long a session waits: for answers, for a silent peer, for another try.

Room: pure protocol.
Touches: settee.errors, settee.limits.
Never touches: sockets, files, the wall clock, randomness.
Spec: wire protocol 9.4.

A link notices a peer that is gone; this notices one that is there and does nothing. Only an active
session gives up: its owner comes back.
"""

from __future__ import annotations

from typing import Final

from settee.errors import SyncError
from settee.limits import REPLY_TIMEOUT_S, RETRY_WAIT_S_MAX

__all__ = ["Patience"]

_HELD_BACK_S: Final = RETRY_WAIT_S_MAX
"""What was refused for the time being is tried again after this long, on a new connection."""


class Patience:
    """The deadlines of one session. Each time is one of `now`."""

    def __init__(self, now: float) -> None:
        self._answers: dict[object, float] = {}
        self._heard_s = now
        self._own_since_s: float | None = None
        self._held_back_s: float | None = None

    # --- answers to single requests ---------------------------------------------------------------

    def expect(self, token: object, now: float) -> None:
        """Note a request whose answer must come within REPLY_TIMEOUT_S."""
        self._answers[token] = now + REPLY_TIMEOUT_S

    def answered(self, token: object) -> None:
        """Note that an answer came."""
        self._answers.pop(token, None)

    @property
    def expects_answers(self) -> bool:
        """Whether such a request is unanswered."""
        return bool(self._answers)

    # --- silence ----------------------------------------------------------------------------------

    def heard(self, now: float) -> None:
        """Note that the peer said something, or that we begin to wait for it."""
        self._heard_s = now

    def own_work(self, busy: bool, now: float) -> None:
        """Note whether our own storage is at work: that time is not the peer's."""
        if busy:
            if self._own_since_s is None:
                self._own_since_s = now
        elif self._own_since_s is not None:
            self._heard_s += now - max(self._own_since_s, self._heard_s)
            self._own_since_s = None

    # --- another try ------------------------------------------------------------------------------

    def held_back(self, now: float) -> None:
        """Note that a document could not be replicated for the time being."""
        if self._held_back_s is None:
            self._held_back_s = now + _HELD_BACK_S

    # --- together ---------------------------------------------------------------------------------

    def deadline(self, *, waits: bool, stays: bool) -> float | None:
        """When `verdict` may have one.

        `waits`: the session waits for its peer. `stays`: it would stay connected for ever.
        """
        deadlines = list(self._answers.values())
        if waits and self._own_since_s is None:
            deadlines.append(self._heard_s + REPLY_TIMEOUT_S)
        if stays and self._held_back_s is not None:
            deadlines.append(self._held_back_s)
        return min(deadlines, default=None)

    def verdict(self, now: float, *, waits: bool, stays: bool) -> SyncError | None:
        """Return why the session must end now, None if it need not."""
        deadline = self.deadline(waits=waits, stays=stays)
        if deadline is None or now < deadline:
            return None
        if deadline == self._held_back_s:
            message = "some documents could not be replicated; they are tried again now"
            return SyncError(message, domain="HTTP", code=503, transient=True)
        return SyncError(
            f"the peer gave no answer for {REPLY_TIMEOUT_S:.0f} s",
            domain="Network",
            code=3,
            transient=True,
        )
