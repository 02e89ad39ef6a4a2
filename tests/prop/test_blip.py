"""Messages on their way, mixed and compressed, whose frames are cut, lost, doubled or swapped."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settee.blip import Request
from settee.errors import PeerProtocolError
from tests.blip.peers import Pair
from tests.prop import examples

MESSAGES = st.lists(
    st.tuples(st.integers(0, 40_000), st.booleans(), st.booleans()), min_size=1, max_size=5
)
"""Size, whether compressed, whether urgent."""


@pytest.mark.property(number=6)
@examples(12)
@given(MESSAGES, st.sampled_from(["cut", "lost", "twice", "swapped"]), st.data())
def test_what_is_cut_lost_doubled_or_swapped_never_becomes_another_message(
    sizes: list[tuple[int, bool, bool]], harm: str, data: st.DataObject
) -> None:
    pair = Pair()
    sent = []
    for n, (size, compress, urgent) in enumerate(sizes):
        message = {"Profile": "rev", "n": str(n)}, bytes([n, 255 - n]) * (size // 2)
        sent.append(message)
        pair.a.send_request(n, *message, compress=compress, urgent=urgent)
    frames = pair.a.frames_to_send(10**9)
    at = data.draw(st.integers(0, len(frames) - 1), "frame")
    if harm == "cut":
        size = data.draw(st.integers(0, len(frames[at]) - 1), "bytes left")
        frames[at] = frames[at][:size]
    elif harm == "lost":
        del frames[at]
    elif harm == "twice":
        frames.insert(at, frames[at])
    else:
        other = data.draw(st.integers(0, len(frames) - 1), "other frame")
        frames[at], frames[other] = frames[other], frames[at]
    came = []
    with contextlib.suppress(PeerProtocolError):
        for frame in frames:
            came += pair.b.receive([frame])
    got = [(dict(r.properties), r.body) for r in came if isinstance(r, Request)]
    assert all(message in sent for message in got), "a message that nobody sent"
    assert len(got) == len({message["n"] for message, _ in got}), "a message twice"
