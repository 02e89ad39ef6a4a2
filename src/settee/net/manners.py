"""Who keeps breaking the protocol is not listened to for a while.

A broken link costs its peer nothing and us a handshake, a login and whatever it broke. Counted per
address, since that is known before anything is read. Works with the time that it is given; knows no
clock.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

from settee.limits import BROKEN_LINKS_MAX, BROKEN_LINKS_S, BROKEN_WATCHED_MAX

__all__ = ["Manners"]


class Manners:
    """Remembers the addresses whose links ended for breaking the protocol; 4,096 at most."""

    def __init__(self) -> None:
        self._broken: Final[OrderedDict[str, deque[float]]] = OrderedDict()

    def broke(self, address: str, now: float) -> None:
        """Note that a link from there broke the protocol."""
        times = self._broken.pop(address, None)
        if times is None:
            times = deque(maxlen=BROKEN_LINKS_MAX)
        times.append(now)
        self._broken[address] = times
        if len(self._broken) > BROKEN_WATCHED_MAX:
            self._broken.popitem(last=False)

    def shut_out(self, address: str, now: float) -> bool:
        """Tell whether so many did within a minute that nobody there is listened to."""
        times = self._broken.get(address)
        if times is None:
            return False
        while times and now - times[0] >= BROKEN_LINKS_S:
            times.popleft()
        if not times:
            del self._broken[address]
        return len(times) >= BROKEN_LINKS_MAX
