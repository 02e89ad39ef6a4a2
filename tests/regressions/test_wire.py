"""Mistakes of the network's side that others made, over real sockets with TLS.

Slow: each of hundreds of places in a handshake takes two connections.
"""

from __future__ import annotations

import pytest

from tests.proxy.pair import stage
from tests.proxy.plan import HOWS, How, Scene, Way

HANDSHAKE_BYTES = {"up": 700, "down": 1100}
"""More than either side says in it."""


@pytest.mark.slow
@pytest.mark.regression("gone inside the TLS handshake")
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_peer_that_vanishes_in_the_handshake_is_given_up(direction: str, how: How) -> None:
    with stage() as made:
        for place in range(0, HANDSHAKE_BYTES[direction], 50):
            way = Way(cut_at=place, how=how)
            ways = {direction: way}
            passed = made.play(Scene(name=f"{how} at {place}", tls=True, **ways))  # type: ignore[arg-type]
            assert passed[direction] == place
